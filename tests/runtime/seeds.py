"""Simulated seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from splitgym.runtime.simulation.world import Outcome


def clean_seeds(simulate: Callable[[int], Outcome], seeds: Iterable[int], words: str) -> Counter[str]:
    """In how many seeds everything happened that may, none of which violates anything.

    Args:
        words: of the command that repeats one.
    """
    counts = Counter[str]()
    for seed in seeds:
        outcome = simulate(seed)
        assert outcome.violation == "", f"python -m splitgym.runtime.simulate {words} --seed {seed} --log"
        counts.update(dict.fromkeys(outcome.counts, 1))
    return counts


def beginning_with(first: int, count: int) -> Iterable[int]:
    """So many seeds from 0 on, one of them in front."""
    return (first, *(seed for seed in range(count) if seed != first))
