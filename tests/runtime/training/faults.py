"""Members that are lost in the middle of a training, and come back knowing nothing."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from splitgym.runtime.training.local import LocalTraining

SEEDS = st.one_of(st.none(), st.integers(0, 2**32))  # of the order in which links deliver
PACKETS = st.integers(0, 120)  # delivered before somebody is lost


def lose(training: LocalTraining, name: str) -> None:
    """A member is lost and starts anew."""
    training.kill(name)
    training.revive(name)


def run_with_losses(training: LocalTraining, losses: int, packets: int, seed: int) -> None:
    """Run to the end; now and then somebody is lost."""
    draw = random.Random(seed)
    for _ in range(losses):
        training.deliver(draw.randint(0, 2 * packets // losses))
        lose(training, draw.choice(list(training.members)))
    training.deliver()
