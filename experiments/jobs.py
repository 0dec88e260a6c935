"""Training a learner into a run folder: checkpoints, the learning curve, going on after an interruption."""

from __future__ import annotations

import datetime
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..agents.protocol import Agent, Interrupted, Learner, Report
from ..agents.registry import AgentSpec, hyperparams_of
from ..agents.run_folder import CONFIG, Progress, RunConfig, RunFolder, Tracked
from ..envs import Family
from ..ui.errors import InputError
from .out_folders import plain, versions
from .play import build_agent, make_env, options_for
from .results import finite
from .tracking import new_track_id

CHECKPOINT_S = 20.0  # a killed run loses no more than this and the time of a report
CURVE_POINTS = 1000  # reports kept for the learning curve, spread over the budget

OnPoint = Callable[[Report, Mapping[str, float] | None], None]


@dataclass(frozen=True)
class Job:
    """An agent and the env it decides in, with what was asked for.

    Attributes:
        seconds: wall-clock time that making the agent took (a planner plans then).
        interrupted: whether Ctrl-C cut that short.
    """

    family: Family
    spec: AgentSpec
    config: RunConfig
    env: Any
    agent: Agent
    seconds: float
    interrupted: bool = False


def single_thread() -> None:
    """One thread for torch: small networks gain nothing from more, and results stay the same on every machine."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def new_job(
    family: Family,
    spec: AgentSpec,
    scenario: str,
    options: Mapping[str, Any],
    seed: int,
    hyperparams: Mapping[str, Any] | None = None,
    episodes: int | None = None,
    steps: int | None = None,
    track: Tracked = "off",
    command: Sequence[str] = (),
) -> Job:
    """Make the env and the agent that the arguments ask for; writes nothing.

    Raises:
        InputError: anything in them that is unknown or not allowed.
    """
    if not spec.learns:
        _check_planner(spec, options, episodes, steps)
    if Path(scenario).is_file():
        scenario = str(Path(scenario).resolve())
    env_kwargs = options_for(spec, options)
    env = make_env(family, scenario, env_kwargs)
    dynamics = env.unwrapped.dynamics
    defaults = hyperparams_of(family.name, spec.name, dynamics.scenario_name)
    check_hyperparams(spec.name, hyperparams or {}, defaults)
    config = RunConfig(
        env=family.name,
        scenario=scenario,
        scenario_name=dynamics.scenario_name,
        settings=plain(dynamics.settings),
        env_kwargs=plain(env_kwargs),
        agent=spec.name,
        hyperparams=plain({**defaults, **(hyperparams or {})}),
        seed=seed,
        episodes=episodes,
        steps=steps,
        track=track,
        track_id=new_track_id(),
        versions=versions(),
        command=list(command),
        started=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        fingerprint=dynamics.fingerprint,
    )
    return _make(family, spec, config, env)


def _check_planner(spec: AgentSpec, options: Mapping[str, Any], episodes: int | None, steps: int | None) -> None:
    if episodes is not None or steps is not None:
        option = "--episodes" if steps is None else "--steps"
        raise InputError(f"{option}: agent {spec.name} is not trained beforehand; leave the budget out")
    check_planner_options(spec, options)


def check_planner_options(spec: AgentSpec, options: Mapping[str, Any]) -> None:
    """A planner has the env that it was written for; options that contradict it are not ignored.

    Raises:
        InputError: names the option.
    """
    for name in options:
        if name in spec.env_kwargs and options[name] != spec.env_kwargs[name]:
            needed = f"{name}={spec.env_kwargs[name]}"
            raise InputError(f"--env-kwargs: agent {spec.name} needs {needed}, not {options[name]}")


def reopened_job(family: Family, spec: AgentSpec, folder: RunFolder, config: RunConfig) -> Job:
    """Make a run's env and agent again as its config says; the model is not loaded yet.

    Raises:
        InputError: the scenario is not what it was, or the config is no longer valid.
    """
    try:
        env = make_env(family, config.scenario, config.env_kwargs)
    except InputError as error:
        raise InputError(f"{folder.path / CONFIG}: {error}") from None
    dynamics = env.unwrapped.dynamics
    check_settings(folder, config, plain(dynamics.settings), dynamics.fingerprint)
    try:
        return _make(family, spec, config, env)
    except InputError as error:
        raise InputError(f"{folder.path / CONFIG}: {error}") from None


def _make(family: Family, spec: AgentSpec, config: RunConfig, env: Any) -> Job:
    single_thread()
    start, interrupted = time.perf_counter(), False
    try:
        agent = build_agent(family, spec.name, env, config.seed, config.hyperparams)
    except Interrupted as stop:
        agent, interrupted = stop.agent, True
    return Job(family, spec, config, env, agent, time.perf_counter() - start, interrupted)


def check_settings(folder: RunFolder, config: RunConfig, settings: Mapping[str, Any], fingerprint: str = "") -> None:
    """A run must have been made for the very scenario that is asked for, with the very tables and traces.

    Raises:
        InputError: names the first field that differs.
    """
    for name in sorted({*settings, *config.settings}):
        before, now = config.settings.get(name), settings.get(name)
        if before != now:
            raise InputError(
                f"{folder.path}: is a run of another scenario, {config.scenario_name}: "
                f"{name} is {before!r} there, {now!r} is asked for"
            )
    if config.fingerprint and fingerprint and fingerprint != config.fingerprint:
        raise InputError(
            f"{folder.path}: a table, trace or model file of {config.scenario_name} has changed since the run; "
            "train again, or put the file back"
        )


def check_hyperparams(agent: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Values must be of the kind of the defaults they replace; unknown names are the agent's own matter.

    Raises:
        InputError: names the hyperparameter.
    """
    kinds = {bool: "true or false", str: "text", list: "a list", int: "a number", float: "a number"}
    for name, value in given.items():
        if name in ("env", "seed", "family", "name"):
            raise InputError(f"--hyperparams: {name} is not a hyperparameter, it has its own option")
        default = defaults.get(name)
        if default is None:
            continue
        numeric = isinstance(default, (int, float)) and not isinstance(default, bool)
        kind = (int, float) if numeric else type(default)
        if not isinstance(value, kind) or isinstance(value, bool) != isinstance(default, bool):
            allowed = kinds.get(type(default), type(default).__name__)
            raise InputError(f"--hyperparams: {name} of {agent} is {value!r}, allowed: {allowed}, such as {default!r}")


class Training:
    """A learner on its way through its budget.

    Args:
        job: with an agent that learns.
        folder: where checkpoints go.
        progress, curve: how far it has come before.

    Attributes:
        progress, curve: how far it has come; ``curve`` has one row a point.
    """

    def __init__(
        self,
        job: Job,
        folder: RunFolder,
        progress: Progress | None = None,
        curve: Sequence[Mapping[str, float]] = (),
    ) -> None:
        assert isinstance(job.agent, Learner)
        self.learner: Learner = job.agent
        self.config, self.headline = job.config, job.family.headline
        self.folder = folder
        self.progress = progress = progress or Progress()
        self.curve = [dict(row) for row in curve]
        self._seconds_before = progress.seconds
        self._point_share = progress.share if curve else -1.0

    def learn(self, on_point: OnPoint) -> None:
        """Train to the end of the budget, with checkpoints on the way and one at the end.

        Args:
            on_point: called with every report, and with its row where it becomes a point of the curve. An exception
                from it stops the training.

        Raises:
            KeyboardInterrupt: as ``on_point`` raised it; what was learned is saved.
        """
        self._begun = self._saved = time.perf_counter()

        def on_report(report: Report) -> None:
            row = self._note(report)
            if time.perf_counter() - self._saved > CHECKPOINT_S:
                self.checkpoint()
            on_point(report, row)

        try:
            self.learner.learn(self.config.episodes, self.config.steps, on_report)
        except KeyboardInterrupt:
            self.checkpoint()
            raise
        self.progress = replace(self.progress, share=1.0)
        self.checkpoint()

    def checkpoint(self) -> None:
        """Save everything as it is now."""
        self.folder.checkpoint(self.learner, self.progress, self.curve)
        self._saved = time.perf_counter()

    def _note(self, report: Report) -> dict[str, float] | None:
        seconds = self._seconds_before + time.perf_counter() - self._begun
        best = finite(report.best)
        if report.share < self._point_share:  # a larger budget than that of the last point
            self._point_share = -1.0
        self.progress = Progress(report.episodes, report.steps, report.share, best, seconds)
        if report.share < 1.0 and report.share - self._point_share < 1.0 / CURVE_POINTS:
            return None
        if self.curve and (
            self.curve[-1]["steps"] >= report.steps
            # Nothing has ended since; before the first end the steps alone are told.
            or (self.curve[-1]["episodes"] == report.episodes > 0 and report.share < 1.0)
        ):
            return None
        self._point_share = report.share
        row = {
            "episodes": report.episodes,
            "steps": report.steps,
            "seconds": round(seconds, 3),
            f"best_{self.headline}": report.best,
            f"recent_{self.headline}": report.recent,
            "recent_regret": report.regret,
            **report.extra,
        }
        row = {name: value for name, value in row.items() if math.isfinite(value)}
        self.curve.append(row)
        return row
