"""A leaderboard a family: agents over scenarios and seeds by the headline metric.

Scores are normalised per scenario by a reference agent's, and summed up by the interquartile mean with an interval by
stratified bootstrap, as Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
NeurIPS 2021, propose: https://arxiv.org/abs/2108.13264.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ...agents.registry import get_spec
from ...envs import get_family
from ...envs.scenarios import Inputs
from ..workers import Task, carry_out
from .statement import Asking, Job, Setting

RESAMPLES = 2000
TRIM = 0.25  # at either end, for the interquartile mean


@dataclass(frozen=True)
class Place:
    """An agent's place: interquartile mean of its normalised scores, 95 % interval, and how many scores those are."""

    agent: str
    iqm: float
    lower: float
    upper: float
    scores: int


@dataclass(frozen=True)
class Leaderboard:
    """Who is compared, on what.

    Attributes:
        family: whose.
        scenarios: on which everybody plays.
        agents: everybody, without the reference.
        reference: by whose headline metric scores are divided, scenario by scenario and seed by seed.
        seeds: of agents and scenarios that have luck.
        seconds, quick_seconds: about how long one score takes, by agent; the others take ``seconds_each``.
        difference: whether the reference's score is taken away instead: for metrics around zero.
        train_episodes: budget of agents that are trained, when quick, of all or by agent; their own otherwise.
    """

    family: str
    scenarios: tuple[str, ...]
    agents: tuple[str, ...]
    reference: str
    seeds: int = 3
    seconds: Mapping[str, float] | None = None
    quick_seconds: Mapping[str, float] | None = None
    seconds_each: float = 1.0
    difference: bool = False
    train_episodes: int | Mapping[str, int] | None = None

    def scores(self, setting: Setting) -> Asking[list[Place]]:
        """Places, the best first."""
        seeds = setting.seeds(self.seeds)
        everybody = (self.reference, *self.agents)
        keys = [(agent, scenario, seed) for agent in everybody for scenario in self.scenarios for seed in seeds]
        found = yield [self.job(*key, setting) for key in keys]
        shape = len(everybody), len(self.scenarios), len(seeds)
        reference, *others = np.array([result["headline"] for result in found], dtype=float).reshape(shape)
        places = []
        for agent, scores in zip(self.agents, others, strict=True):
            table = scores - reference if self.difference else scores / reference
            places.append(Place(agent, *interquartile(table), table.size))
        lower_is_better = get_family(self.family).lower_is_better
        return sorted(places, key=lambda place: place.iqm if lower_is_better else -place.iqm)

    def job(self, agent: str, scenario: str, seed: int, setting: Setting) -> Job:
        """One score."""
        budget = self.train_episodes.get(agent) if isinstance(self.train_episodes, Mapping) else self.train_episodes
        arguments = {
            "family": self.family, "agent": agent, "scenario": scenario, "seed": seed, "inputs": setting.inputs,
            "train_episodes": budget if setting.quick else None,
        }  # fmt: skip
        seconds = self.quick_seconds if setting.quick and self.quick_seconds is not None else self.seconds
        return Job(score, arguments, (seconds or {}).get(agent, self.seconds_each))


def score(
    family: str, agent: str, scenario: str, seed: int, inputs: Inputs, train_episodes: int | None
) -> dict[str, Any]:
    """How an agent does on a scenario, trained first where it learns: headline metric, all metrics, and its plan."""
    found = get_family(family)
    with TemporaryDirectory() as folder:
        learns, options = get_spec(family, agent).learns, {"inputs": inputs}
        task = Task(0, found, agent, learns, scenario, scenario, seed, options, None, train_episodes, None, {})
        result = carry_out(task, Path(folder), lambda share: None)
    return {"headline": result.metrics[found.headline], "metrics": dict(result.metrics), "plan": result.plan}


def interquartile(table: np.ndarray) -> tuple[float, float, float]:
    """(interquartile mean, lower, upper) of scores (scenarios, seeds).

    The interval is of seeds, drawn anew within every scenario; where all seeds of a scenario agree, they add nothing
    to it.
    """
    from scipy.stats import trim_mean

    rng = np.random.default_rng(0)
    seeds = table.shape[1]
    draws = rng.integers(0, seeds, (RESAMPLES, *table.shape))
    resampled = np.take_along_axis(np.broadcast_to(table, draws.shape), draws, axis=2).reshape(RESAMPLES, -1)
    lower, upper = np.percentile(trim_mean(resampled, TRIM, axis=1), (2.5, 97.5))
    return float(trim_mean(table.ravel(), TRIM)), float(lower), float(upper)


def of_groups(groups: Mapping[str, Sequence[str]], *names: str) -> tuple[str, ...]:
    """Scenarios of some groups, each once."""
    return tuple(dict.fromkeys(scenario for name in names for scenario in groups[name]))
