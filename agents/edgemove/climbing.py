"""Partitioning adaptation (paper, Alg. 2): the cut moves by one layer after a cycle, by what cycles took."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Climber(Protocol):
    """Moves a cut, cycle by cycle."""

    cut: int

    def next(self, seconds: float, least_s: np.ndarray | None = None) -> int:
        """The cut of the next cycle, from what an iteration with the current one took.

        Args:
            seconds: measured.
            least_s: (L + 1,) what an iteration takes at least with every cut, where that is known.
        """
        ...


class LiteralClimber:
    """Alg. 2 as printed: on and on, turning round whenever a cycle took longer than the one before.

    Args:
        cut: where to start.
        lowest, highest: cuts allowed.
        up: the first direction.
    """

    def __init__(self, cut: int, lowest: int, highest: int, up: bool) -> None:
        self.cut, self._lowest, self._highest = cut, lowest, highest
        self._direction = 1 if up else -1
        self._before = np.inf

    def next(self, seconds: float, least_s: np.ndarray | None = None) -> int:
        if seconds > self._before:
            self._direction = -self._direction
        self._before = seconds
        if not self._lowest <= self.cut + self._direction <= self._highest:
            self._direction = -self._direction
        self.cut = min(max(self.cut + self._direction, self._lowest), self._highest)
        return self.cut


class SoundClimber:
    """Alg. 2 that ends: it knows what it has seen, stops at the best of it, and starts again when that drifts.

    From the best cut it goes on in a direction over cuts that are worse by no more than ``tie``, and stops where both
    directions end in one that is worse by more (or in the last cut allowed). When the time at the best cut has changed
    by more than ``drift``, it forgets those cuts that the change could make better than it, and looks again: it moves
    only where the change may gain more than earlier moves have lost.

    Args:
        cut: where to start.
        lowest, highest: cuts allowed.
        up: the first direction.
        tie: relative difference that counts as none.
        drift: relative change that starts another search.

    Attributes:
        settled: whether it stays where it is.
    """

    def __init__(self, cut: int, lowest: int, highest: int, up: bool, tie: float = 0.03, drift: float = 0.15) -> None:
        self.cut, self._lowest, self._highest = cut, lowest, highest
        self._direction = 1 if up else -1
        self._tie, self._drift = tie, drift
        self._seen: dict[int, float] = {}
        self.settled = False

    @property
    def best(self) -> int:
        """The best cut that was seen."""
        return min(self._seen, key=lambda cut: self._seen[cut], default=self.cut)

    def next(self, seconds: float, least_s: np.ndarray | None = None) -> int:
        before = self._seen.get(self.cut)
        if self.settled and before is not None:
            if abs(seconds - before) <= self._drift * before:
                return self.cut
            self._forget(seconds - before)
        self._seen[self.cut] = seconds
        target = self._target(least_s)
        self.settled = target == self.cut
        self.cut += int(np.sign(target - self.cut))
        return self.cut

    def resume(self) -> int:
        """Go on from the best cut with another worker, knowing what moves have cost; returns that cut."""
        self.cut, self.settled = self.best, True
        return self.cut

    def _forget(self, change: float) -> None:
        """After a change at the best cut: what lay farther above it than the change stays known, moved along."""
        least = self._seen[self.cut]
        self._seen = {cut: s + change for cut, s in self._seen.items() if s - least > abs(change)}
        self.settled = False

    def _target(self, least_s: np.ndarray | None) -> int:
        """The nearest cut worth trying, or the best that was seen when there is none."""
        best = self.best
        for direction in (self._direction, -self._direction):
            cut = best + direction
            while self._lowest <= cut <= self._highest and self._is_tie(cut, best):
                cut += direction
            inside = self._lowest <= cut <= self._highest
            if inside and cut not in self._seen and not self._is_hopeless(cut, best, least_s):
                self._direction = direction
                return cut
        return best

    def _is_hopeless(self, cut: int, best: int, least_s: np.ndarray | None) -> bool:
        """Whether no gain is to be expected: it takes longer than the best even with a server that takes no time."""
        return least_s is not None and float(least_s[cut]) > self._seen[best]

    def _is_tie(self, cut: int, best: int) -> bool:
        return cut in self._seen and self._seen[cut] <= (1.0 + self._tie) * self._seen[best]
