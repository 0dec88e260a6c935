"""What the benchmarks share: a figure, and how fast a vector env steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium as gym


@dataclass
class Figure:
    name: str
    value: float
    unit: str
    ratio: float | None = None
    reference: str = ""

    def line(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:8.3f} x {self.reference}"
        return f"{self.name:52s} {self.value:14,.4g} {self.unit:9s} {ratio}"


def vector_rate(make: Callable[[], gym.vector.VectorEnv], steps: int, repeats: int = 7) -> float:
    """Best env-steps per second of several repeats with random actions."""
    env = make()
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(8)]
    best = 0.0
    for _ in range(repeats):
        begin = time.perf_counter()
        for step in range(steps):
            env.step(actions[step % 8])
        best = max(best, env.num_envs * steps / (time.perf_counter() - begin))
    return best
