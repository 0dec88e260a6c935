"""What an evaluation has to do: every agent on every scenario with every seed, from the command line's words."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..agents.hyperparam_files import Table
from ..agents.registry import AgentSpec, agent_hyperparams, chosen, hyperparams_of
from ..agents.run_folder import RunConfig, RunFolder
from ..envs import Family
from ..ui.console import note
from ..ui.errors import InputError
from .jobs import check_hyperparams, check_settings
from .out_folders import find_runs, plain
from .play import build_agent, make_env, options_for
from .workers import Task


@dataclass(frozen=True)
class Setting:
    """A scenario that is evaluated.

    Attributes:
        asked: as on the command line; ``name`` is what it calls itself.
        settings: its fields.
        is_random: whether two seeds differ.
        exclusive: whether only one process at a time can play it.
        provenance: where its numbers come from.
        fingerprint: of all its inputs, tables and traces included.
    """

    asked: str
    name: str
    settings: Mapping[str, Any]
    is_random: bool
    exclusive: bool
    provenance: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class Run:
    """A run folder that takes part."""

    folder: RunFolder
    config: RunConfig


def make_settings(family: Family, asked: Sequence[str], options: Mapping[str, Any]) -> list[Setting]:
    """Make every scenario once, so that whatever is wrong with it comes out before anything is written."""
    found: list[Setting] = []
    for scenario in asked:
        try:
            dynamics = make_env(family, scenario, options).unwrapped.dynamics
        except InputError as error:
            groups = f"; groups: {', '.join(family.groups)}" if "unknown scenario" in str(error) else ""
            raise InputError(f"{error}{groups}") from None
        name = dynamics.scenario_name
        if any(s.name == name for s in found):
            raise InputError(f"--scenarios: two scenarios are called {name}; give one of them another name")
        settings = plain(dynamics.settings)
        found.append(
            Setting(
                scenario, name, settings, dynamics.is_random, dynamics.exclusive, dynamics.provenance,
                dynamics.fingerprint,
            )
        )  # fmt: skip
    return found


def match_runs(
    family: Family, paths: Sequence[str], settings: Sequence[Setting], specs: Sequence[AgentSpec]
) -> dict[tuple[str, str, int], Run]:
    """(scenario, agent, seed) -> run, from run folders.

    Raises:
        InputError: a folder that is no run, a run that fits nothing that is asked for, or two for the same.
    """
    by_name = {s.name: s for s in settings}
    names = [spec.name for spec in specs if spec.learns]
    found: dict[tuple[str, str, int], Run] = {}
    used: set[str] = set()
    for folder, named in find_runs(paths):
        config = folder.read_config()
        fits = config.env == family.name and config.scenario_name in by_name and config.agent in names
        if not fits and not named:
            continue
        if not fits:
            raise InputError(
                f"--runs {folder.path}: is a run of {config.agent} on {config.scenario_name} ({config.env}); "
                f"asked for is {', '.join(names) or 'no agent that learns'} on {', '.join(by_name)} ({family.name})"
            )
        setting = by_name[config.scenario_name]
        check_settings(folder, config, setting.settings, setting.fingerprint)
        progress = folder.read_progress()
        if progress.share < 1.0:
            note(
                f"{folder.path} was interrupted after {progress.episodes} episodes, {progress.share:.0%} of its budget"
            )
        key = (config.scenario_name, config.agent, config.seed)
        if key in found:
            raise InputError(
                f"--runs {folder.path}: scenario, agent and seed are those of {found[key].folder.path} too"
            )
        found[key] = Run(folder, config)
        used.add(str(folder.path.parent))
    for path in paths:
        is_run = any(run.folder.path == Path(path) for run in found.values())
        if not is_run and str(Path(path)) not in used:
            asked = f"{', '.join(names)} on {', '.join(by_name)}"
            raise InputError(f"--runs {path}: holds no run of what is asked for, {asked} ({family.name})")
    return found


def share_hyperparams(
    family: Family,
    settings: Sequence[Setting],
    specs: Sequence[AgentSpec],
    runs: Mapping[tuple[str, str, int], Run],
    given: Mapping[str, Any],
    table: Table,
) -> dict[tuple[str, str], dict[str, Any]]:
    """(agent, scenario) -> what a file says, then those of the given hyperparameters that the agent has.

    Raises:
        InputError: one that no agent here has, a value of the wrong kind, or a run that was trained with another.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    taken: set[str] = set()
    for spec in specs:
        defaults = hyperparams_of(family.name, spec.name, settings[0].name)
        names = {*defaults, *_names_of(spec)}
        own = {name: value for name, value in given.items() if name in names}
        taken.update(own)
        check_hyperparams(spec.name, own, defaults)
        for setting in settings:
            merged = {**chosen(table.get(spec.name, {}), setting.name), **own}
            check_hyperparams(spec.name, merged, defaults)
            agent_hyperparams(family.name, spec, setting.name, merged)
            found[spec.name, setting.name] = merged
    for name in given:
        if name not in taken:
            everyone = ", ".join(spec.name for spec in specs)
            raise InputError(f"--hyperparams: none of {everyone} has a hyperparameter {name!r}")
    for run in runs.values():
        for name, value in found[run.config.agent, run.config.scenario_name].items():
            if run.config.hyperparams.get(name) != value:
                was = run.config.hyperparams.get(name)
                raise InputError(f"--runs {run.folder.path}: was trained with {name}={was}, not {value}")
    return found


def check_plan_files(
    family: Family, settings: Sequence[Setting], specs: Sequence[AgentSpec], options: Mapping[str, Any]
) -> None:
    """Plans fit every scenario.

    Raises:
        InputError: names the scenario, the file and what does not fit.
    """
    for spec in specs:
        for setting in settings if spec.from_file else ():
            try:
                build_agent(family, spec.name, make_env(family, setting.asked, options_for(spec, options)), 0, {})
            except InputError as error:
                raise InputError(f"scenario {setting.name}: {error}") from None


def _names_of(spec: AgentSpec) -> list[str]:
    """Hyperparameters that an agent declares."""
    if spec.hyperparams is not None:
        return [field.name for field in fields(spec.hyperparams)]
    options = inspect.signature(spec.make).parameters.values()
    return [o.name for o in options if o.name not in ("env", "seed") and o.kind is not o.VAR_KEYWORD]


def make_tasks(
    family: Family,
    settings: Sequence[Setting],
    specs: Sequence[AgentSpec],
    runs: Mapping[tuple[str, str, int], Run],
    options: Mapping[str, Any],
    hyperparams: Mapping[tuple[str, str], Mapping[str, Any]],
    args: argparse.Namespace,
) -> list[Task]:
    """Everything to evaluate, in the order of the results."""
    tasks: list[Task] = []
    for setting in settings:
        for spec in specs:
            trained = [seed for scenario, agent, seed in runs if (scenario, agent) == (setting.name, spec.name)]
            seeds = range(args.seeds or 1) if spec.seeded or setting.is_random else range(1)
            if trained:
                seeds = sorted({*trained, *(range(args.seeds) if args.seeds else ())})
            for seed in seeds:
                run = runs.get((setting.name, spec.name, seed))
                tasks.append(
                    Task(
                        index=len(tasks),
                        family=family,
                        agent=spec.name,
                        learns=spec.learns,
                        scenario=setting.asked,
                        scenario_name=setting.name,
                        seed=seed,
                        options=dict(options),
                        episodes=args.episodes,
                        train_episodes=args.train_episodes,
                        run=None if run is None else str(run.folder.path),
                        hyperparams=hyperparams[spec.name, setting.name],
                        exclusive=setting.exclusive,
                    )
                )
    return tasks
