"""A joint search over cuts and splits: the reference that every agent is held against.

An evolutionary search over whole plans. It starts from every baseline's plan, so it is never worse than any; it scores
thousands of plans per call on the batched physics, and polishes the winners by trying every small change. Deterministic
for a seed: nothing depends on the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...envs.distredge.planning import ALPHA_GRID, lc_pss, proportional_splits, system_scores
from ...envs.distredge.system import PlanBatch, System
from ...models.plans import SpatialPlan
from .baselines import PLANNERS

ROUNDING = 1e-12  # relative difference of sums taken in another order
OnGeneration = Callable[[int, float], None]  # (generation, best latency_s)


@dataclass
class Population:
    """P plans as genes.

    Attributes:
        ends: (units, P) bool, whether a volume ends after the unit; the last row is True.
        posts: (units, D - 1, P) sorted shares of height where the next part begins; used where a volume ends.
    """

    ends: np.ndarray
    posts: np.ndarray

    def __len__(self) -> int:
        return self.ends.shape[1]

    def take(self, which: np.ndarray) -> Population:
        return Population(self.ends[:, which], self.posts[:, :, which])

    def joined(self, other: Population) -> Population:
        return Population(np.hstack([self.ends, other.ends]), np.concatenate([self.posts, other.posts], axis=2))

    def batch(self, heights: np.ndarray) -> PlanBatch:
        """The plans' volumes with whole rows."""
        count = self.ends.sum(axis=0)
        volumes = int(count.max())
        order = np.argsort(~self.ends, axis=0, kind="stable")[:volumes]
        rows = np.rint(self.posts * heights[:, None, None]).astype(np.intp)
        return PlanBatch(order + 1, count, np.take_along_axis(rows, order[:, None, :], axis=0))

    def plan(self, system: System, index: int) -> SpatialPlan:
        stops = np.flatnonzero(self.ends[:, index])
        rows = np.rint(self.posts[stops, :, index] * system.heights[stops][:, None]).astype(int)
        return system.plan(stops + 1, rows)


class Stopped(KeyboardInterrupt):
    """Ctrl-C in a search; ``plan`` is the best so far."""

    def __init__(self, plan: SpatialPlan) -> None:
        super().__init__()
        self.plan = plan


def encode(system: System, plans: Sequence[SpatialPlan]) -> Population:
    """Genes of plans; units inside a volume inherit the shares of the volume's end."""
    units, inner = system.n_units, system.n_devices - 1
    ends = np.zeros((units, len(plans)), dtype=bool)
    posts = np.zeros((units, inner, len(plans)))
    for p, plan in enumerate(plans):
        start = 0
        for stop, split in zip(plan.cuts, plan.splits, strict=True):
            ends[stop - 1, p] = True
            posts[start:stop, :, p] = np.asarray(split) / system.heights[stop - 1]
            start = stop
    return Population(ends, posts)


class JointSearch:
    """Evolution over (cuts, splits).

    Args:
        system: the scenario.
        seed: of all randomness.
        population: children per generation; ``parents`` survive.
        patience: generations without improvement before a round ends.
        rounds: restarts from the elite with fresh random plans; the best of all wins.
        mbps: (D,) rates to plan for, nominal when None.
    """

    def __init__(
        self,
        system: System,
        seed: int = 0,
        population: int = 1024,
        parents: int = 96,
        patience: int = 60,
        rounds: int = 4,
        mbps: np.ndarray | None = None,
    ) -> None:
        self.system, self.mbps = system, mbps
        self.rng = np.random.default_rng(seed)
        self.population, self.parents = population, parents
        self.patience, self.rounds = patience, rounds
        self.generation = 0
        self.evaluated = 0
        self._best: Population | None = None  # of all rounds so far, one plan
        self._best_s = np.inf

    def search(self, on_generation: OnGeneration | None = None) -> tuple[SpatialPlan, float]:
        """Run the whole search: (best plan, its latency in seconds).

        Raises:
            Stopped: Ctrl-C after the first generation.
        """
        try:
            start = encode(self.system, self._starting_plans())
            champions: Population | None = None
            for _ in range(self.rounds):
                found = self._round(start, on_generation)
                champions = found if champions is None else champions.joined(found)
            assert champions is not None
            final = self._round(champions.joined(start), on_generation)
            best = self._simplify(self._polish(final.take(np.array([0]))))
        except KeyboardInterrupt:
            if self._best is None:
                raise
            raise Stopped(self._best.plan(self.system, 0)) from None
        return best.plan(self.system, 0), float(self._score(best)[0])

    def _score(self, people: Population) -> np.ndarray:
        self.evaluated += len(people)
        rates = None if self.mbps is None else self.mbps[:, None]
        return self.system.evaluate(people.batch(self.system.heights), self.system.every_volume, rates)

    def _starting_plans(self) -> list[SpatialPlan]:
        system = self.system
        plans = [planner(system, self.mbps) for planner in PLANNERS.values()]
        plans += [system.everything_on(d) for d in range(system.n_devices)]
        scores = system_scores(system)
        for alpha in ALPHA_GRID:
            stops = lc_pss(system.model, scores, alpha)
            plans.append(system.plan(stops, proportional_splits(system, stops, system.capability)))
        return plans

    def _random(self, count: int) -> Population:
        """Few random cuts, random subsets of devices with random shares."""
        units, devices, rng = self.system.n_units, self.system.n_devices, self.rng
        ends = rng.random((units, count)) < rng.uniform(0.0, 0.25, count)
        ends[-1] = True
        weights = self.system.capability[:, None] ** rng.uniform(0.0, 1.0, count)
        weights = weights * rng.uniform(0.2, 1.0, (units, devices, count))
        weights *= rng.random((1, devices, count)) < rng.uniform(0.2, 1.0, count)
        weights += 1e-9 * self.system.capability[:, None]
        shares = np.cumsum(weights, axis=1)
        return Population(ends, shares[:, :-1] / shares[:, -1:])

    def _round(self, start: Population, on_generation: OnGeneration | None) -> Population:
        """Evolve until nothing improves for ``patience`` generations; returns the parents, best first."""
        people = start.joined(self._random(self.population))
        scores = self._score(people)
        people, scores = self._select(people, scores)
        best, idle = scores[0], 0
        while idle < self.patience:
            children = self._mutate(people)
            child_scores = self._score(children)
            people, scores = self._select(people.joined(children), np.concatenate([scores, child_scores]))
            self.generation += 1
            idle = 0 if scores[0] < best * (1 - 1e-4) else idle + 1
            best = min(best, scores[0])
            if best < self._best_s:
                self._best_s, self._best = best, people.take(np.array([0]))
            if on_generation:
                on_generation(self.generation, float(best))
        return people

    def _select(self, people: Population, scores: np.ndarray) -> tuple[Population, np.ndarray]:
        """The best with different latencies (equal ones are the same plan in practice)."""
        _, unique = np.unique(scores, return_index=True)
        keep = unique[: self.parents]
        return people.take(keep), scores[keep]

    def _mutate(self, people: Population) -> Population:
        """Children: copies of parents (the better the likelier) with one to three random changes."""
        rng, n = self.rng, self.population
        rank = np.minimum((rng.random(n) ** 2 * len(people)).astype(int), len(people) - 1)
        ends, posts = people.ends[:, rank].copy(), people.posts[:, :, rank].copy()
        lanes = np.arange(n)
        changes = [self._move_post, self._move_post, self._drop_device, self._transfer, self._copy_split]
        if len(ends) > 1:  # one unit can be cut nowhere
            self._cross(ends, posts, people, lanes[rng.random(n) < 0.25])
            changes[2:2] = [self._move_cut, self._toggle_cut]
        for _ in range(3):
            choice = rng.integers(0, len(changes) + 1, n)
            for c, change in enumerate(changes):
                change(ends, posts, lanes[choice == c])
        ends[-1] = True
        posts.sort(axis=1)
        return Population(ends, np.clip(posts, 0.0, 1.0, out=posts))

    def _cross(self, ends: np.ndarray, posts: np.ndarray, people: Population, lanes: np.ndarray) -> None:
        """From a random unit on take another parent's genes."""
        other = self.rng.integers(0, len(people), lanes.size)
        at = self.rng.integers(1, len(ends), lanes.size)
        tail = np.arange(len(ends))[:, None] >= at
        ends[:, lanes] = np.where(tail, people.ends[:, other], ends[:, lanes])
        posts[:, :, lanes] = np.where(tail[:, None], people.posts[:, :, other], posts[:, :, lanes])

    def _span(self, ends: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        """(units, lanes) mask of the units of one random volume of every lane."""
        volume = np.cumsum(ends[:, lanes], axis=0) - ends[:, lanes]
        pick = (self.rng.random(lanes.size) * ends[:, lanes].sum(axis=0)).astype(int)
        return volume == pick

    def _move_post(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """Shift one boundary, in one volume or in all, by a step of a random scale (a row up to everything)."""
        rng, size = self.rng, lanes.size
        which = rng.integers(0, posts.shape[1], size)
        step = rng.choice([-1.0, 1.0], size) * np.exp(rng.uniform(np.log(0.003), np.log(0.7), size))
        where = self._span(ends, lanes) | (rng.random(size) < 0.2)
        posts[:, which, lanes] += where * step

    def _move_cut(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """Move a random cut by up to three units, with its split."""
        rng, units = self.rng, len(ends)
        lanes = lanes[ends[:-1, lanes].any(axis=0)]
        weight = ends[:-1, lanes] * rng.random((units - 1, lanes.size))
        at = weight.argmax(axis=0)
        to = np.clip(at + rng.choice([-3, -2, -1, 1, 2, 3], lanes.size), 0, units - 2)
        ends[at, lanes] = False
        ends[to, lanes] = True
        posts[to, :, lanes] = posts[at, :, lanes]

    def _toggle_cut(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """Add a cut, or take one away."""
        at = self.rng.integers(0, len(ends) - 1, lanes.size)
        remove = (self.rng.random(lanes.size) < 0.5) & ends[:-1, lanes].any(axis=0)
        weight = ends[:-1, lanes] * self.rng.random((len(ends) - 1, lanes.size))
        at = np.where(remove, weight.argmax(axis=0), at)
        ends[at, lanes] = ~remove

    def _drop_device(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """Give a device nothing in one volume, or everything."""
        rng, devices = self.rng, posts.shape[1] + 1
        device = rng.integers(0, devices, lanes.size)
        everything = rng.random(lanes.size) < 0.3
        span = self._span(ends, lanes)[:, None]
        inner = np.arange(devices - 1)[:, None]
        mine = posts[:, :, lanes]
        full = np.broadcast_to((inner >= device).astype(float), mine.shape)
        edge = np.take_along_axis(mine, np.maximum(device - 1, 0)[None, None].repeat(len(ends), 0), axis=1)
        edge = np.where(device == 0, 0.0, edge)
        none = np.where(inner == device, edge, mine)
        posts[:, :, lanes] = np.where(span, np.where(everything, full, none), mine)

    def _transfer(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """One device hands another its part, or some of it, in one volume or in all."""
        rng, size, devices = self.rng, lanes.size, posts.shape[1] + 1
        giver, taker = rng.integers(0, devices, size), rng.integers(0, devices, size)
        share = np.where(rng.random(size) < 0.5, 1.0, rng.random(size))
        where = self._span(ends, lanes) | (rng.random(size) < 0.3)
        bounds = np.zeros((len(ends), devices + 1, size))
        bounds[:, 1:-1], bounds[:, -1] = posts[:, :, lanes], 1.0
        parts, each = np.diff(bounds, axis=1), np.arange(size)
        moved = parts[:, giver, each] * share * where
        parts[:, giver, each] -= moved
        parts[:, taker, each] += moved
        posts[:, :, lanes] = np.cumsum(parts, axis=1)[:, :-1]

    def _copy_split(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """One volume takes the split of another unit of the same plan."""
        source = self.rng.integers(0, len(ends), lanes.size)
        span = self._span(ends, lanes)[:, None]
        posts[:, :, lanes] = np.where(span, posts[source, :, lanes].T[None], posts[:, :, lanes])

    def _polish(self, best: Population) -> Population:
        """Try every small change of every volume until none helps."""
        score = self._score(best)[0]
        while True:
            tried = self._neighbours(best)
            scores = self._score(tried)
            winner = int(np.argmin(scores))
            if scores[winner] >= score:
                return best
            best, score = tried.take(np.array([winner])), scores[winner]

    def _simplify(self, best: Population) -> Population:
        """Leave out every cut that gains nothing."""
        score = self._score(best)[0]
        for unit in np.flatnonzero(best.ends[:-1, 0]):
            fewer = Population(best.ends.copy(), best.posts)
            fewer.ends[unit] = False
            if self._score(fewer)[0] <= score * (1 + ROUNDING):
                best = fewer
        return best

    def _neighbours(self, best: Population) -> Population:
        ends, posts = best.ends[:, 0], best.posts[:, :, 0]
        made: list[tuple[np.ndarray, np.ndarray]] = []
        stops = np.flatnonzero(ends)
        for start, stop in zip(np.concatenate([[0], stops[:-1] + 1]), stops, strict=True):
            for post in range(posts.shape[1]):
                for rows in (-8, -4, -3, -2, -1, 1, 2, 3, 4, 8):
                    changed = posts.copy()
                    changed[start : stop + 1, post] += rows / self.system.heights[stop]
                    made.append((ends, np.sort(np.clip(changed, 0.0, 1.0), axis=1)))
        for unit in range(len(ends) - 1):
            toggled = ends.copy()
            toggled[unit] = not toggled[unit]
            made.append((toggled, posts))
        for stop in stops[:-1]:
            for step in (-2, -1, 1, 2):
                if 0 <= stop + step < len(ends) - 1:
                    moved, carried = ends.copy(), posts.copy()
                    moved[stop], moved[stop + step] = False, True
                    carried[stop + step] = posts[stop]
                    made.append((moved, carried))
        return Population(np.stack([m[0] for m in made], axis=1), np.stack([m[1] for m in made], axis=2))
