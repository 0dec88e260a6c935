"""Evaluations in worker processes. What comes out does not depend on how many there are."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agents.protocol import Learner, Report
from ..agents.registry import get_spec
from ..agents.run_folder import RunFolder
from ..envs import Family
from .executors import processes
from .executors.work import REPORT_S, Executor, Work
from .jobs import Job, Training, new_job, reopened_job
from .out_folders import file_stem, run_name
from .play import assess, play
from .results import Result

TRAINING_WEIGHT = 25.0  # of a training in the progress bar, beside 1 for a planner

OnProgress = Callable[["Task", float], None]


@dataclass(frozen=True)
class Task:
    """One agent on one scenario with one seed.

    Attributes:
        index: its place in the results.
        scenario: what makes the env; ``scenario_name`` is what it calls itself.
        options: env options that the user asks for.
        episodes: of the evaluation, the env's own when None.
        train_episodes: budget of a training, the agent's own when None.
        run: run folder with the trained agent, None to train or plan.
        hyperparams: on top of the agent's own; a run has its own.
        exclusive: whether only one at a time can play there, since it is a live cluster.
    """

    index: int
    family: Family
    agent: str
    learns: bool
    scenario: str
    scenario_name: str
    seed: int
    options: Mapping[str, Any]
    episodes: int | None
    train_episodes: int | None
    run: str | None
    hyperparams: Mapping[str, Any]
    exclusive: bool = False

    @property
    def trains(self) -> bool:
        return self.learns and self.run is None

    @property
    def weight(self) -> float:
        return TRAINING_WEIGHT if self.trains else 1.0


def run_tasks(
    tasks: Sequence[Task], executor: Executor, keep: Path | None, on_progress: OnProgress
) -> Generator[tuple[Task, Result], None, None]:
    """Carry out tasks, the long ones first.

    Args:
        tasks: what to do.
        executor: where.
        keep: where the run folders of trainings go.
        on_progress: called with a task and how much of it is done, 0..1.

    Yields:
        Every task with its result, as they are done.

    Raises:
        InputError: from a task; those that are done come first, the others are stopped.
    """
    ordered = sorted(tasks, key=lambda task: (-task.weight, task.index))
    by_name = {f"{task.agent} on {task.scenario_name}, seed {task.seed}": task for task in ordered}
    works = [Work(name, carry_out, (task, keep), task.weight, task.exclusive) for name, task in by_name.items()]

    def tell(work: Work[Result], share: float) -> None:
        on_progress(by_name[work.name], share)

    try:
        with closing(processes.carry_out(works, executor, tell)) as done:
            for work, result in done:
                yield by_name[work.name], result
    finally:
        _clear(keep)


def _clear(keep: Path | None) -> None:
    """Take away what stopped trainings have left, and the folder if it holds nothing."""
    if keep is None or not keep.is_dir():
        return
    for unfinished in keep.glob(".*.tmp"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if not any(keep.iterdir()):
        keep.rmdir()


def carry_out(task: Task, keep: Path | None, on_share: Callable[[float], None]) -> Result:
    """One task, in this process."""
    spec = get_spec(task.family.name, task.agent)
    if not spec.learns:
        return assess(
            task.family, spec, task.scenario, task.options, task.seed, task.episodes, task.hyperparams
        )  # fmt: skip
    if task.run is not None:
        folder = RunFolder(Path(task.run))
        job = reopened_job(task.family, spec, folder, folder.read_config())
        assert isinstance(job.agent, Learner)
        progress = folder.load_model(job.agent)
        seconds = progress.seconds
    else:
        assert keep is not None
        job = new_job(
            task.family, spec, task.scenario, task.options, task.seed, task.hyperparams,
            episodes=task.train_episodes, command=["splitgym-eval"],
        )  # fmt: skip
        seconds = _train(job, keep, on_share)
    played = play(job.agent, job.env, task.episodes, task.seed)
    return Result(
        task.scenario_name,
        spec.name,
        task.seed,
        played.metrics,
        "trained",
        played.plan,
        seconds,
        played.trace,
        played.series,
    )


def _train(job: Job, keep: Path, on_share: Callable[[float], None]) -> float:
    """Train into a run folder that appears when it is whole; returns the seconds it took."""
    config = job.config
    scenario = run_name(config.scenario_name, config.env_kwargs)
    name = file_stem(f"{config.env}-{scenario}-{config.agent}-s{config.seed}")
    hidden = keep / f".{name}.tmp"
    shutil.rmtree(hidden, ignore_errors=True)
    folder = RunFolder.create(hidden, config)
    training = Training(job, folder)
    told = 0.0

    def on_point(report: Report, row: Mapping[str, float] | None) -> None:
        nonlocal told
        if time.perf_counter() - told > REPORT_S:
            told = time.perf_counter()
            on_share(0.99 * report.share)

    try:
        training.learn(on_point)
        hidden.rename(keep / name)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return training.progress.seconds
