"""``splitgym-eval``: agents against each other over scenarios and seeds; a table, results.csv and charts."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..envs import Family
from ..models.errors import InputError
from ..models.plans import write_text
from . import tables
from .console import (
    INTERRUPTED,
    Parser,
    add_env_options,
    entry,
    env_options,
    family_help,
    family_of,
    note,
    parse_pairs,
    stdout,
    whole,
)
from .core import AgentSpec, agents_module, agents_of, get_spec, hyperparams_of
from .evaluate import make_env
from .figures import footnote, grouped_bars, has_error_bars, save_figure
from .progress import Bar
from .results import Result, by_group, fill_regret, finite, write_csv
from .runs import RunConfig, RunFolder, check_free, find_runs, free_folder, plain, versions
from .training import check_hyperparams, check_planner_options, check_settings
from .workers import Task, run_tasks

PROG = "splitgym-eval"
RESULTS = "results.csv"


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


@dataclass(frozen=True)
class Setting:
    """A scenario that is evaluated.

    Attributes:
        asked: as on the command line; ``name`` is what it calls itself.
        settings: its fields.
        is_random: whether two seeds differ.
        provenance: where its numbers come from.
        fingerprint: of all its inputs, tables and traces included.
    """

    asked: str
    name: str
    settings: Mapping[str, Any]
    is_random: bool
    provenance: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class Run:
    """A run folder that takes part."""

    folder: RunFolder
    config: RunConfig


def _main(argv: Sequence[str] | None) -> int:
    family = family_of(argv)
    args = _parser(family).parse_args(argv)
    options = env_options(args)
    specs = _agents(family, args.agents)
    _check_options(specs, options)
    groups, asked = _scenarios(family, args.scenarios)
    if args.out is not None:
        check_free(args.out, RESULTS)
    settings = _settings(family, asked, options)
    runs = _runs(family, args.runs or [], settings, specs)
    hyperparams = _hyperparams(family, settings, specs, runs, parse_pairs("--hyperparams", args.hyperparams))
    tasks = _tasks(family, settings, specs, runs, options, hyperparams, args)
    out = args.out or free_folder(f"{family.name}-eval")
    _tell_options(specs, options)
    _tell_training(tasks, out)
    results, stopped = _evaluate(tasks, args.workers or os.cpu_count() or 1, out)
    if not results:
        raise KeyboardInterrupt
    command = sys.argv if argv is None else [PROG, *argv]
    shown = {group: [s.name for s in settings if s.asked in names] for group, names in groups.items()}
    _conclude(family, results, settings, shown, out, command)
    if stopped:
        note(f"interrupted: {len(results)} of {len(tasks)} evaluations are in the results")
        return INTERRUPTED
    return 0


def _parser(family: Family) -> Parser:
    parser = Parser(
        PROG,
        "Compare agents over scenarios and seeds: a table, results.csv and a chart for every group of scenarios.\n"
        "Agents that learn come from run folders (--runs) or are trained.",
        lambda: family_help(family, _examples(family)),
    )
    group = add_env_options(parser, family)
    default = family.default_scenario
    group.add_argument("--scenarios", metavar="A,B", nargs="+", help=f"scenarios, groups of them, or all ({default})")
    group = parser.add_argument_group("agents")
    module = agents_module(family.name)
    plan_files = " plan files," if hasattr(module, "plan_spec") else ""
    everyone = ", ".join(getattr(module, "EVAL_AGENTS", agents_of(family.name)))
    group.add_argument("--agents", metavar="A,B", nargs="+", help=f"agents,{plan_files} or all (all: {everyone})")
    group.add_argument(
        "--hyperparams", metavar="K=V", nargs="+", action="extend", help="for every agent here that has them"
    )
    group.add_argument(
        "--runs", metavar="DIR", nargs="+", action="extend", help="run folders with trained agents, or folders of such"
    )
    group.add_argument("--train-episodes", metavar="N", type=whole, help="budget of those that are trained (their own)")
    group = parser.add_argument_group("evaluation")
    group.add_argument("--seeds", metavar="K", type=whole, help="seeds 0..K-1 (1, or those of the runs)")
    group.add_argument("--episodes", metavar="N", type=whole, help="episodes of each evaluation (as the env says)")
    group.add_argument("--workers", metavar="N", type=whole, help="processes; results do not depend on it (one a core)")
    group.add_argument("--out", metavar="DIR", type=Path, help="new folder for the results (runs/<env>-eval-<n>)")
    return parser


def _examples(family: Family) -> list[str]:
    agents = list(agents_of(family.name))
    group = next(iter(family.groups), "all")
    env = f"{PROG} --env {family.name}"
    return [
        f"{env} --scenarios {','.join(family.scenarios[:2])} --agents {','.join(agents[-3:])}",
        f"{env} --scenarios {group} --agents {','.join(agents[:3])} --seeds 3 --out results/{group}",
        f"{env} --scenarios all --agents all --runs runs --workers 8",
    ]


def _words(lists: Sequence[str] | None) -> list[str]:
    """Comma-separated words, each once."""
    words = [word.strip() for text in lists or () for word in text.split(",")]
    return list(dict.fromkeys(word for word in words if word))


def _agents(family: Family, lists: Sequence[str] | None) -> list[AgentSpec]:
    known = agents_of(family.name)
    names = _words(lists)
    if lists is not None and not names:
        raise InputError(f"--agents: names nobody; known: {', '.join(known)}, or all")
    if not names or "all" in names:
        names = [*getattr(agents_module(family.name), "EVAL_AGENTS", known), *(n for n in names if n != "all")]
        names = list(dict.fromkeys(names))
    return [get_spec(family.name, name, "--agents") for name in names]


def _scenarios(family: Family, lists: Sequence[str] | None) -> tuple[dict[str, list[str]], list[str]]:
    """(group of the charts -> scenarios, all scenarios), from names of scenarios and groups."""
    names = _words(lists)
    if lists is not None and not names:
        raise InputError(f"--scenarios: names nothing; known: {', '.join(family.scenarios)}")
    names = names or [family.default_scenario]
    groups: dict[str, list[str]] = {}
    for name in names:
        if name == "all":
            for group, members in family.groups.items():
                groups[group] = list(members)
            grouped = {s for members in family.groups.values() for s in members}
            rest = [s for s in family.scenarios if s not in grouped]
            if rest:
                groups.setdefault("scenarios", []).extend(rest)
        elif name in family.groups and name not in family.scenarios:
            groups[name] = list(family.groups[name])
        else:
            groups.setdefault("scenarios", []).append(name)
    return groups, list(dict.fromkeys(s for members in groups.values() for s in members))


def _settings(family: Family, asked: Sequence[str], options: Mapping[str, Any]) -> list[Setting]:
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
            Setting(scenario, name, settings, dynamics.is_random, dynamics.provenance, dynamics.fingerprint)
        )  # fmt: skip
    return found


def _runs(
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


def _hyperparams(
    family: Family,
    settings: Sequence[Setting],
    specs: Sequence[AgentSpec],
    runs: Mapping[tuple[str, str, int], Run],
    given: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Agent -> those of the given hyperparameters that it has.

    Raises:
        InputError: one that no agent here has, a value of the wrong kind, or a run that was trained with another.
    """
    found: dict[str, dict[str, Any]] = {}
    for spec in specs:
        defaults = hyperparams_of(family.name, spec.name, settings[0].name)
        names = {*defaults, *_names_of(spec)}
        found[spec.name] = {name: value for name, value in given.items() if name in names}
        check_hyperparams(spec.name, found[spec.name], defaults)
    for name in given:
        if not any(name in own for own in found.values()):
            raise InputError(f"--hyperparams: none of {', '.join(found)} has a hyperparameter {name!r}")
    for run in runs.values():
        for name, value in found[run.config.agent].items():
            if run.config.hyperparams.get(name) != value:
                was = run.config.hyperparams.get(name)
                raise InputError(f"--runs {run.folder.path}: was trained with {name}={was}, not {value}")
    return found


def _names_of(spec: AgentSpec) -> list[str]:
    """Hyperparameters that an agent declares."""
    if spec.hyperparams is not None:
        return list(spec.hyperparams.model_fields)
    options = inspect.signature(spec.make).parameters.values()
    return [o.name for o in options if o.name not in ("env", "seed") and o.kind is not o.VAR_KEYWORD]


def _tasks(
    family: Family,
    settings: Sequence[Setting],
    specs: Sequence[AgentSpec],
    runs: Mapping[tuple[str, str, int], Run],
    options: Mapping[str, Any],
    hyperparams: Mapping[str, Mapping[str, Any]],
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
                        hyperparams=hyperparams[spec.name],
                    )
                )
    return tasks


def _check_options(specs: Sequence[AgentSpec], options: Mapping[str, Any]) -> None:
    """An agent alone needs the options as they are; beside others, it keeps those that define it.

    Raises:
        InputError: names the agent and the option.
    """
    if len(specs) == 1 and not specs[0].learns:
        check_planner_options(specs[0], options)


def _tell_options(specs: Sequence[AgentSpec], options: Mapping[str, Any]) -> None:
    for spec in specs:
        own = {k: v for k, v in spec.env_kwargs.items() if not spec.learns and options.get(k, v) != v}
        if own:
            note(f"{spec.name} has its own {', '.join(f'{name}={value}' for name, value in own.items())}")


def _tell_training(tasks: Sequence[Task], out: Path) -> None:
    names = list(dict.fromkeys(t.agent for t in tasks if t.trains))
    if names:
        count = sum(t.trains for t in tasks)
        note(f"no run is given for {', '.join(names)}: {count} trainings first, kept in {out / 'runs'} (reuse: --runs)")


def _evaluate(tasks: Sequence[Task], workers: int, out: Path) -> tuple[list[Result], bool]:
    """Results in the order of the tasks, and whether Ctrl-C left some out."""
    keep = out / "runs" if any(task.trains for task in tasks) else None
    weight = sum(task.weight for task in tasks)
    share = {task.index: 0.0 for task in tasks}
    found: dict[int, Result] = {}
    with Bar("evaluating") as bar:

        def on_progress(task: Task, done: float) -> None:
            share[task.index] = done
            total = sum(share[t.index] * t.weight for t in tasks) / weight
            bar.show(total, f"{len(found)} of {len(tasks)}  {task.agent} on {task.scenario_name}")

        try:
            with closing(run_tasks(tasks, min(workers, len(tasks)), keep, on_progress)) as done:
                for task, result in done:
                    found[task.index] = result
                    on_progress(task, 1.0)
        except KeyboardInterrupt:
            return [found[i] for i in sorted(found)], True
    return [found[i] for i in sorted(found)], False


def _conclude(
    family: Family,
    results: Sequence[Result],
    settings: Sequence[Setting],
    groups: Mapping[str, Sequence[str]],
    out: Path,
    command: Sequence[str],
) -> None:
    """Print the table and write results.csv, eval.json and the charts."""
    results, used = fill_regret(results, family, {s.name for s in settings if s.is_random})
    provenance = list(dict.fromkeys(line for s in settings for line in s.provenance))
    figures = _figures(family, results, groups)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_csv(out / RESULTS, results, family)
        about = {
            "command": list(command),
            "versions": versions(),
            "provenance": provenance,
            "regret_against_best_of_results": {name: finite(value) for name, value in used.items()},
            "results": [{"scenario": r.scenario, **r.to_json()} for r in results],
        }
        write_text(out / "eval.json", json.dumps(about, indent=1, allow_nan=False) + "\n")
        for name, figure in figures.items():
            spread = "; error bars: standard deviation over seeds" if has_error_bars(figure) else ""
            footnote(figure, f"numbers: {tables.sources(provenance)}{spread}")
            save_figure(figure, out / f"{name}.png")
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None
    console = stdout()
    title, parts = tables.comparison(results, family, console.width)
    console.print(f"\n{title}", style="bold", soft_wrap=True)
    for number, table in enumerate(parts):
        if number:
            console.print()
        tables.print_table(console, table)
    lines = tables.provenance_lines(provenance)
    if used and family.regret is not None:
        which = "these scenarios" if len(used) > 1 else next(iter(used))
        lines.insert(0, f"no best-known plan fits {which}: {family.regret} there is against the best of these results")
    for line in lines:
        console.print(line, style="dim", soft_wrap=True)
    written = ", ".join([RESULTS, "eval.json", *(f"{name}.png" for name in figures)])
    console.print(f"written to {out}: {written}", soft_wrap=True)


def _figures(family: Family, results: Sequence[Result], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The family's own charts, or bars of the headline metric for every group."""
    own = getattr(agents_module(family.name), "eval_figures", None)
    if own is not None:
        return own(results, groups)
    figures = {}
    for group, values in by_group(results, groups, family.headline).items():
        flat = [v for agents in values.values() for seeds in agents.values() for v in seeds]
        label, factor = tables.axis_of(family, family.headline, flat)
        figures[group] = grouped_bars(values, label, f"{family.title}: {group}", factor)
    return figures
