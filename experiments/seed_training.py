"""One of several seeds, trained in a process that may be stopped or killed and goes on from its last checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..agents.protocol import Learner, Report
from ..agents.registry import get_spec
from ..agents.run_folder import Progress, RunFolder
from ..envs import get_family
from ..ui.console import Interrupts
from .executors.work import REPORT_S
from .jobs import Training, reopened_job
from .play import play
from .results import Result
from .run_tracker import tracker_of


def train_seed(run: str, mode: str, group: str, more: bool, on_share: Callable[[float], None]) -> Result:
    """Train as the config of a run folder says, then play.

    Args:
        run: the folder, with a checkpoint or none.
        mode: how it is tracked.
        group: what it is one of there.
        more: whether the budget is larger than when it was spent.
        on_share: takes the share that is done, 0..1.

    Raises:
        KeyboardInterrupt: asked to stop, by a signal; what was learned is saved.
        InputError: the scenario or the checkpoint is not what it was.
    """
    folder = RunFolder(Path(run))
    folder.recover()
    config = folder.read_config()
    family = get_family(config.env)
    job = reopened_job(family, get_spec(family.name, config.agent), folder, config)
    assert isinstance(job.agent, Learner)
    progress = folder.load_model(job.agent) if folder.has_model else Progress()
    training = Training(job, folder, progress, folder.read_curve(progress.episodes))
    tracker = tracker_of(mode if more or progress.share < 1.0 else "off", folder, job, group)
    told = 0.0
    with Interrupts("") as interrupts:

        def on_point(report: Report, row: Mapping[str, float] | None) -> None:
            nonlocal told
            interrupts.check()
            if row is not None:
                tracker.log(row)
            if time.perf_counter() - told > REPORT_S:
                told = time.perf_counter()
                on_share(0.99 * report.share)

        if more or progress.share < 1.0:
            training.learn(on_point)
        played = play(job.agent, job.env, None, config.seed)
    tracker.finish(summary={name: value for name, value in played.metrics.items() if math.isfinite(value)})
    seconds = training.progress.seconds
    return Result(config.scenario_name, config.agent, config.seed, played.metrics, "trained", played.plan, seconds)
