"""What is run for the claims about LC-PSS: the best splits of its partitions, by alpha and by random decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....envs.distredge.planning import ALPHA_GRID, lc_pss, partition_scores, system_scores
from ....envs.distredge.scenarios import get_scenario
from ....envs.distredge.system import PlanBatch, System
from ....envs.scenarios import Inputs
from ....models.plans import volume_ranges
from .runs import sources

POPULATION, GENERATIONS = 384, 120
MIXED, COPIED = 0.2, 0.3  # children whose volumes come from two parents, and one of whose volumes is split as another


def by_alpha(scenario: str, inputs: Inputs, seed: int, restarts: int) -> dict[str, Any]:
    """LC-PSS's partition at every alpha of Fig. 4: ``volumes`` and, with the best splits found, ``latency_s``."""
    system = System(get_scenario(scenario, inputs=inputs))
    scores = system_scores(system)
    found = [lc_pss(system.model, scores, alpha) for alpha in ALPHA_GRID]
    return {
        "alphas": list(ALPHA_GRID),
        "volumes": [len(stops) for stops in found],
        "latency_s": [split_s(system, stops, seed, restarts) for stops in found],
        "provenance": sources(system),
    }


def by_decisions(
    scenario: str, inputs: Inputs, decisions: Sequence[int], repeats: int, restarts: int
) -> dict[str, Any]:
    """LC-PSS over and over, every time with other random decisions.

    Returns:
        ``partitions``, the different ones; ``latency_s``, (partitions,) with the best splits found; ``which``,
        (decisions, repeats) of them.
    """
    system = System(get_scenario(scenario, inputs=inputs))
    alpha, value_bytes = system.scenario.alpha, system.scenario.value_bytes
    found = [
        [lc_pss(system.model, partition_scores(system.model, system.n_devices, count, seed, value_bytes), alpha)
         for seed in range(repeats)]
        for count in decisions
    ]  # fmt: skip
    different = sorted({stops for row in found for stops in row})
    return {
        "partitions": [list(stops) for stops in different],
        "latency_s": [split_s(system, stops, 0, restarts) for stops in different],
        "which": [[different.index(stops) for stops in row] for row in found],
        "provenance": sources(system),
    }


def split_s(system: System, stops: Sequence[int], seed: int, restarts: int) -> float:
    """The least latency (s) of a partition that evolutionary searches over its splits find, or one device alone."""
    search = SplitSearch(system, stops)
    seeds = np.random.SeedSequence(seed).spawn(restarts)
    found = [search.search(np.random.default_rng(s), alike=i % 2 == 1) for i, s in enumerate(seeds)]
    return min(*found, search.alone_s())


class SplitSearch:
    """Evolution over the splits of a partition (:mod:`....agents.distredge.joint` moves the cuts, too)."""

    def __init__(self, system: System, stops: Sequence[int]) -> None:
        self.system, self.stops = system, np.array(stops)
        self.physics = system.physics(volume_ranges(stops))
        self.heights = system.heights[self.stops - 1][:, None, None]

    def seconds(self, posts: np.ndarray) -> np.ndarray:
        """(P,) latency of splits (volumes, devices - 1, P), as shares of height where the next part begins."""
        size, volumes = posts.shape[2], len(self.stops)
        rows = np.rint(posts * self.heights).astype(np.intp)
        batch = PlanBatch(np.tile(self.stops[:, None], size), np.full(size, volumes), rows)
        return self.system.evaluate(batch, self.physics)

    def alone_s(self) -> float:
        """The least latency of one device alone."""
        devices = self.system.n_devices
        posts = np.arange(devices - 1)[:, None] >= np.arange(devices)
        return float(self.seconds(np.tile(posts.astype(float), (len(self.stops), 1, 1))).min())

    def search(self, rng: np.random.Generator, alike: bool) -> float:
        """The least latency of a population's last generation.

        Args:
            alike: whether the first plans split all volumes alike.
        """
        posts = self._first(rng, alike)
        scores = self.seconds(posts)
        for _ in range(GENERATIONS):
            children = self._children(posts, rng)
            posts = np.concatenate([posts, children], axis=2)
            scores = np.concatenate([scores, self.seconds(children)])
            keep = np.argsort(scores, kind="stable")[:POPULATION]
            posts, scores = posts[:, :, keep], scores[keep]
        return float(scores[0])

    def _first(self, rng: np.random.Generator, alike: bool) -> np.ndarray:
        """Shares at random, and one plan of shares by capability."""
        volumes, devices = len(self.stops), self.system.n_devices
        drawn = rng.dirichlet(np.full(devices, 0.4), (1 if alike else volumes, POPULATION)).transpose(0, 2, 1)
        posts = np.cumsum(np.broadcast_to(drawn, (volumes, devices, POPULATION)), axis=1)[:, :-1]
        capability = self.system.capability
        posts[:, :, 0] = np.cumsum(capability / capability.sum())[:-1]
        return posts

    def _children(self, posts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Of the best quarter: volumes of two parents, some posts moved, some volumes split as another one."""
        volumes, inner, _ = posts.shape
        first, other = (rng.integers(0, POPULATION // 4, POPULATION) for _ in range(2))
        mixed = rng.random((volumes, 1, POPULATION)) < MIXED
        children = np.where(mixed, posts[:, :, other], posts[:, :, first])
        moved = rng.random((volumes, inner, POPULATION)) < rng.uniform(0.05, 0.5, POPULATION)
        children = children + moved * rng.normal(0.0, np.exp(rng.uniform(-5, -0.5, POPULATION)), children.shape)
        copied = np.flatnonzero(rng.random(POPULATION) < COPIED)
        to, of = (rng.integers(0, volumes, len(copied)) for _ in range(2))
        children[to, :, copied] = children[of, :, copied]
        return np.sort(np.clip(children, 0.0, 1.0), axis=1)
