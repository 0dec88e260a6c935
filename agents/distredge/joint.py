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
        ends: (P, units) bool, whether a volume ends after the unit; the last column is True.
        posts: (P, units, D - 1) sorted shares of height where the next part begins; used where a volume ends.
    """

    ends: np.ndarray
    posts: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, which: np.ndarray | slice) -> Population:
        return Population(self.ends[which], self.posts[which])

    def joined(self, other: Population) -> Population:
        return Population(np.concatenate([self.ends, other.ends]), np.concatenate([self.posts, other.posts]))

    def batch(self, heights: np.ndarray) -> PlanBatch:
        """The plans' volumes with whole rows."""
        count = self.ends.sum(axis=1)
        order = np.argsort(~self.ends, axis=1, kind="stable")[:, : int(count.max())]
        posts = self.posts[np.arange(len(self))[:, None], order]
        posts *= heights[order, None]
        rows = np.rint(posts, out=posts).astype(np.intp)
        return PlanBatch(order.T + 1, count, rows.transpose(1, 2, 0))

    def plan(self, system: System, index: int) -> SpatialPlan:
        stops = np.flatnonzero(self.ends[index])
        rows = np.rint(self.posts[index, stops] * system.heights[stops][:, None]).astype(int)
        return system.plan(stops + 1, rows)


class Stopped(KeyboardInterrupt):
    """Ctrl-C in a search; ``plan`` is the best so far."""

    def __init__(self, plan: SpatialPlan) -> None:
        super().__init__()
        self.plan = plan


def encode(system: System, plans: Sequence[SpatialPlan]) -> Population:
    """Genes of plans; units inside a volume inherit the shares of the volume's end."""
    units, inner = system.n_units, system.n_devices - 1
    ends = np.zeros((len(plans), units), dtype=bool)
    posts = np.zeros((len(plans), units, inner))
    for p, plan in enumerate(plans):
        start = 0
        for stop, split in zip(plan.cuts, plan.splits, strict=True):
            ends[p, stop - 1] = True
            posts[p, start:stop] = np.asarray(split) / system.heights[stop - 1]
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

    Attributes:
        generation, evaluated: generations and plans so far.
        share: 0..1 of the search behind it, by how long nothing has improved in the round under way.
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
        self.share = 0.0
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
            for number in range(self.rounds):
                found = self._round(number, start, on_generation)
                champions = found if champions is None else champions.joined(found)
            assert champions is not None
            final = self._round(self.rounds, champions.joined(start), on_generation)
            best = self._simplify(self._polish(final.take(slice(1))))
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
        ends = (rng.random((units, count)) < rng.uniform(0.0, 0.25, count)).T
        ends[:, -1] = True
        weights = self.system.capability[:, None] ** rng.uniform(0.0, 1.0, count)
        weights = weights * rng.uniform(0.2, 1.0, (units, devices, count))
        weights *= rng.random((1, devices, count)) < rng.uniform(0.2, 1.0, count)
        weights += 1e-9 * self.system.capability[:, None]
        shares = np.cumsum(weights, axis=1)
        posts = (shares[:, :-1] / shares[:, -1:]).transpose(2, 0, 1)
        return Population(np.ascontiguousarray(ends), np.ascontiguousarray(posts))

    def _round(self, number: int, start: Population, on_generation: OnGeneration | None) -> Population:
        """Evolve until nothing improves for ``patience`` generations; returns the parents, best first."""
        people = start.joined(self._random(self.population))
        scores = self._score(people)
        people, scores = self._select(people, scores)
        best, idle = scores[0], 0
        while idle < self.patience:
            family = self._mutate(people)
            child_scores = self._score(family.take(slice(len(people), None)))
            people, scores = self._select(family, np.concatenate([scores, child_scores]))
            self.generation += 1
            idle = 0 if scores[0] < best * (1 - 1e-4) else idle + 1
            self.share = max(self.share, (number + idle / self.patience) / (self.rounds + 1))
            best = min(best, scores[0])
            if best < self._best_s:
                self._best_s, self._best = best, people.take(slice(1))
            if on_generation:
                on_generation(self.generation, float(best))
        return people

    def _select(self, people: Population, scores: np.ndarray) -> tuple[Population, np.ndarray]:
        """The best with different latencies (equal ones are the same plan in practice)."""
        _, unique = np.unique(scores, return_index=True)
        keep = unique[: self.parents]
        return people.take(keep), scores[keep]

    def _mutate(self, people: Population) -> Population:
        """The parents, then children: copies of parents (the better the likelier) with one to three random changes."""
        rng, n, parents = self.rng, self.population, len(people)
        rank = np.minimum((rng.random(n) ** 2 * parents).astype(int), parents - 1)
        family = people.take(np.concatenate([np.arange(parents), rank]))
        ends, posts = family.ends[parents:], family.posts[parents:]
        lanes = np.arange(n)
        changes = [self._move_post, self._move_post, self._drop_device, self._transfer, self._copy_split]
        if ends.shape[1] > 1:  # one unit can be cut nowhere
            self._cross(ends, posts, people, lanes[rng.random(n) < 0.25])
            changes[2:2] = [self._move_cut, self._toggle_cut]
        for _ in range(3):
            choice = rng.integers(0, len(changes) + 1, n)
            for c, change in enumerate(changes):
                change(ends, posts, lanes[choice == c])
        ends[:, -1] = True
        _put_in_order(posts)
        return family

    def _cross(self, ends: np.ndarray, posts: np.ndarray, people: Population, lanes: np.ndarray) -> None:
        """From a random unit on take another parent's genes."""
        other = self.rng.integers(0, len(people), lanes.size)
        at = self.rng.integers(1, ends.shape[1], lanes.size)
        i, unit = np.nonzero(np.arange(ends.shape[1]) >= at[:, None])
        ends[lanes[i], unit] = people.ends[other[i], unit]
        posts[lanes[i], unit] = people.posts[other[i], unit]

    def _span(self, ends: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        """(lanes, units) mask of the units of one random volume of every lane."""
        mine = ends[lanes]
        volume = np.cumsum(mine, axis=1) - mine
        pick = (self.rng.random(lanes.size) * mine.sum(axis=1)).astype(int)
        return volume == pick[:, None]

    def _move_post(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """Shift one boundary, in one volume or in all, by a step of a random scale (a row up to everything)."""
        rng, size = self.rng, lanes.size
        which = rng.integers(0, posts.shape[2], size)
        step = rng.choice([-1.0, 1.0], size) * np.exp(rng.uniform(np.log(0.003), np.log(0.7), size))
        i, unit = np.nonzero(self._span(ends, lanes) | (rng.random(size) < 0.2)[:, None])
        posts[lanes[i], unit, which[i]] += step[i]

    def _move_cut(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """Move a random cut by up to three units, with its split."""
        rng, units = self.rng, ends.shape[1]
        lanes = lanes[ends[lanes, :-1].any(axis=1)]
        at = self._random_cut(ends, lanes)
        to = np.clip(at + rng.choice([-3, -2, -1, 1, 2, 3], lanes.size), 0, units - 2)
        ends[lanes, at] = False
        ends[lanes, to] = True
        posts[lanes, to] = posts[lanes, at]

    def _random_cut(self, ends: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        """The unit before one of every lane's cuts, 0 where it has none."""
        weight = ends[lanes, :-1] * self.rng.random((ends.shape[1] - 1, lanes.size)).T
        return weight.argmax(axis=1)

    def _toggle_cut(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """Add a cut, or take one away."""
        at = self.rng.integers(0, ends.shape[1] - 1, lanes.size)
        remove = (self.rng.random(lanes.size) < 0.5) & ends[lanes, :-1].any(axis=1)
        at = np.where(remove, self._random_cut(ends, lanes), at)
        ends[lanes, at] = ~remove

    def _drop_device(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """Give a device nothing in one volume, or everything."""
        rng, inner = self.rng, np.arange(posts.shape[2])
        device = rng.integers(0, inner.size + 1, lanes.size)
        everything = rng.random(lanes.size) < 0.3
        i, unit = np.nonzero(self._span(ends, lanes))
        mine, who = posts[lanes[i], unit], device[i]
        edge = np.where(who == 0, 0.0, mine[np.arange(who.size), np.maximum(who - 1, 0)])
        some = who < inner.size  # behind the last device ends the height
        mine[some, who[some]] = edge[some]
        posts[lanes[i], unit] = np.where(everything[i, None], inner >= who[:, None], mine)

    def _transfer(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """One device hands another its part, or some of it, in one volume or in all."""
        rng, size, devices = self.rng, lanes.size, posts.shape[2] + 1
        giver, taker = rng.integers(0, devices, size), rng.integers(0, devices, size)
        share = np.where(rng.random(size) < 0.5, 1.0, rng.random(size))
        where = self._span(ends, lanes) | (rng.random(size) < 0.3)[:, None]
        parts = np.diff(posts[lanes], axis=2, prepend=0.0, append=1.0)
        each = np.arange(size)
        moved = parts[each, :, giver] * share[:, None] * where
        parts[each, :, giver] -= moved
        parts[each, :, taker] += moved
        posts[lanes] = np.cumsum(parts[:, :, :-1], axis=2)

    def _copy_split(self, ends: np.ndarray, posts: np.ndarray, lanes: np.ndarray) -> None:
        """One volume takes the split of another unit of the same plan."""
        source = self.rng.integers(0, ends.shape[1], lanes.size)
        i, unit = np.nonzero(self._span(ends, lanes))
        posts[lanes[i], unit] = posts[lanes[i], source[i]]

    def _polish(self, best: Population) -> Population:
        """Try every small change of every volume until none helps."""
        score = self._score(best)[0]
        while True:
            tried = self._neighbours(best)
            scores = self._score(tried)
            winner = int(np.argmin(scores))
            if scores[winner] >= score:
                return best
            best, score = tried.take(slice(winner, winner + 1)), scores[winner]

    def _simplify(self, best: Population) -> Population:
        """Leave out every cut that gains nothing."""
        score = self._score(best)[0]
        for unit in np.flatnonzero(best.ends[0, :-1]):
            fewer = Population(best.ends.copy(), best.posts)
            fewer.ends[0, unit] = False
            if self._score(fewer)[0] <= score * (1 + ROUNDING):
                best = fewer
        return best

    def _neighbours(self, best: Population) -> Population:
        """A boundary moved by a few rows, a cut more or less, a cut moved."""
        ends, posts = best.ends[0], best.posts[0]
        stops, inner = np.flatnonzero(ends), posts.shape[1]
        moves = np.array([-8, -4, -3, -2, -1, 1, 2, 3, 4, 8])
        toggles = range(len(ends) - 1)
        shifts = [(stop, stop + step) for stop in stops[:-1] for step in (-2, -1, 1, 2)
                  if 0 <= stop + step < len(ends) - 1]  # fmt: skip
        boundaries = len(stops) * inner * moves.size
        made = best.take(np.zeros(boundaries + len(toggles) + len(shifts), dtype=np.intp))
        split = made.posts[:boundaries].reshape(len(stops), inner, moves.size, *posts.shape)
        for volume, (start, stop) in enumerate(zip([0, *(stops[:-1] + 1)], stops, strict=True)):
            for post in range(inner):
                split[volume, post, :, start : stop + 1, post] += (moves / self.system.heights[stop])[:, None]
        _put_in_order(made.posts[:boundaries])
        for i, unit in enumerate(toggles, start=boundaries):
            made.ends[i, unit] = not ends[unit]
        for i, (stop, to) in enumerate(shifts, start=boundaries + len(toggles)):
            made.ends[i, stop], made.ends[i, to] = False, True
            made.posts[i, to] = posts[stop]
        return made


def _put_in_order(posts: np.ndarray) -> None:
    """Sort shares (P, units, D - 1) and keep them within 0 and 1, in place; most are so already."""
    falls = (posts[:, :, 1:] < posts[:, :, :-1]).any(axis=2)
    wrong = np.nonzero(falls | (posts[:, :, 0] < 0.0) | (posts[:, :, -1] > 1.0))
    posts[wrong] = np.sort(np.clip(posts[wrong], 0.0, 1.0), axis=1)
