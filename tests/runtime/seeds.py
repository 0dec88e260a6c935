"""Simulated seeds, as many as there is time for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from splitgym.runtime.simulation.world import Outcome


def clean_seeds(
    simulate: Callable[[int], Outcome], seeds: Iterable[int], words: str, fewest: int = 0, seconds: float = 0.0
) -> Counter[str]:
    """In how many seeds everything happened that may, none of which violates anything.

    Args:
        words: of the command that repeats one.
        fewest: seeds, however long they take; all by default.
        seconds: for more of them.
    """
    counts, begun_s, done = Counter[str](), time.monotonic(), 0
    for seed in seeds:
        if fewest and done >= fewest and time.monotonic() - begun_s > seconds:
            break
        outcome = simulate(seed)
        assert outcome.violation == "", f"python -m splitgym.runtime.simulate {words} --seed {seed} --log"
        counts.update(dict.fromkeys(outcome.counts, 1))
        done += 1
    assert done >= fewest
    return counts
