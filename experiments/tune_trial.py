"""One trial of a hyperparameter search, in a process of its own: draw, train with pruning, play, tell the study."""

from __future__ import annotations

import math
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..agents.hyperparam_types import search_space
from ..agents.protocol import Report
from ..agents.registry import get_spec
from ..agents.run_folder import RunFolder
from ..envs import get_family
from .executors.work import REPORT_S
from .jobs import Training, new_job
from .play import play

RUNGS = 20  # points of the learning curve at which trials are compared
FIRST_RUNG = 4  # trials are not pruned before
STARTUP_TRIALS = 4  # nor before so many have ended
STUDY = "splitgym"
OWN, PIECE = "own", "piece"  # attributes: what the agent has by itself, of a study; which piece of work a trial was


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        env, scenario, agent, seed: what every trial trains.
        options: of the env.
        hyperparams: those that are given, which are not searched.
        episodes, steps: budget of a trial; both None for the agent's own.
    """

    env: str
    scenario: str
    agent: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    hyperparams: Mapping[str, Any] = field(default_factory=dict)
    episodes: int | None = None
    steps: int | None = None


@contextmanager
def storage_of(out: Path) -> Iterator[Any]:
    """Where the study of a folder is kept, for Optuna; closed at the end."""
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{(out / 'study.db').resolve()}")
    try:
        yield storage
    finally:
        storage.engine.dispose()


def run_trial(search: Search, out: str, number: int, on_share: Callable[[float], None]) -> float:
    """Do one trial of the study in a folder; gives its value, NaN where it was pruned.

    Args:
        number: of the piece of work, which decides what is drawn beside the study's trials so far; the first one
            tries what the agent has by itself.

    Raises:
        InputError: the hyperparameters drawn are not allowed.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=(1000 * search.seed + number) % 2**32)
    pruner = optuna.pruners.MedianPruner(STARTUP_TRIALS, FIRST_RUNG)
    with storage_of(Path(out)) as storage:
        study = optuna.load_study(study_name=STUDY, storage=storage, sampler=sampler, pruner=pruner)
        if number == 0:  # not a trial that waits in the study's file, which two processes may take
            study.sampler = _fixed(study.user_attrs[OWN], sampler)
        trial = study.ask()
        trial.set_user_attr(PIECE, number)
        try:
            value = _train(search, Path(out), trial, on_share)
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return math.nan
        except BaseException:  # Ctrl-C too: the study knows that it did not end
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        study.tell(trial, value)
        return value


def _fixed(params: Mapping[str, Any], sampler: Any) -> Any:
    """A sampler that draws only what is not given."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(dict(params), sampler)


def _train(search: Search, out: Path, trial: Any, on_share: Callable[[float], None]) -> float:
    import optuna

    family = get_family(search.env)
    spec = get_spec(family.name, search.agent)
    hyperparams = {**search.hyperparams, **_drawn(search, trial)}
    job = new_job(
        family, spec, search.scenario, search.options, search.seed, hyperparams, search.episodes, search.steps,
        command=["splitgym-train", "--tune"],
    )  # fmt: skip
    path = out / "trials" / str(trial.user_attrs[PIECE])
    shutil.rmtree(path, ignore_errors=True)  # of a trial that did not end
    folder = RunFolder.create(path, job.config)
    by_regret = not job.env.unwrapped.dynamics.alike and family.paired_regret is not None
    sign = 1.0 if family.lower_is_better else -1.0  # regret is better where it is less, whatever the study prefers
    told, rung = 0.0, -1

    def on_point(report: Report, row: Mapping[str, float] | None) -> None:
        nonlocal told, rung
        if time.perf_counter() - told > REPORT_S:
            told = time.perf_counter()
            on_share(0.99 * report.share)
        reached = math.floor(RUNGS * report.share)
        value = sign * report.regret if by_regret else report.recent
        if reached > rung and math.isfinite(value):
            rung = reached
            trial.report(value, rung)
            if trial.should_prune():
                raise optuna.TrialPruned

    Training(job, folder).learn(on_point)
    return play(job.agent, job.env, None, search.seed).metrics[family.headline]


def _drawn(search: Search, trial: Any) -> dict[str, Any]:
    kind = get_spec(search.env, search.agent).hyperparams
    assert kind is not None
    drawn: dict[str, Any] = {}
    for name, (where, is_whole) in search_space(kind).items():
        if name in search.hyperparams:
            continue
        if is_whole:
            drawn[name] = trial.suggest_int(name, int(where.low), int(where.high), log=where.log)
        else:
            drawn[name] = trial.suggest_float(name, where.low, where.high, log=where.log)
    return drawn
