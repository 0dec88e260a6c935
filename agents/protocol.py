"""What every agent answers: the ``predict`` protocol, and what training one tells.

Heuristics, planners, bandits and networks are all asked the same way, ``predict(observation, state, episode_start,
deterministic) -> (actions, state)``, on batched observations as Stable-Baselines3 does it, and are judged by one loop.
``state`` carries whatever an agent remembers between calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Agent(Protocol):
    """Anything that decides."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Actions for a batch of observations.

        Args:
            observation: (n, ...) observations, or a dict of such.
            state: what the last call returned, None at first.
            episode_start: (n,) bool, lanes whose episode begins now; None means no lane, all when ``state`` is None.
            deterministic: without exploration noise; nothing is frozen by it.
        """
        ...


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while an agent was planning.

    Attributes:
        agent: follows the best plan so far.
    """

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent


@dataclass
class Report:
    """How training stands; handed to the progress callback.

    Attributes:
        episodes, steps: done so far in this run, resumed parts included.
        share: 0..1 of the budget.
        best: best headline value of an episode so far; NaN where episodes have luck of their own.
        recent: mean headline value of the newest episodes.
        regret: mean distance of the newest episodes to the optimum of each; NaN where that is not known.
        best_plan: the plan behind ``best``, where the family has plans.
        extra: further curves by name (losses, noise).
    """

    episodes: int
    steps: int
    share: float
    best: float
    recent: float
    best_plan: Any = None
    regret: float = float("nan")
    extra: Mapping[str, float] = field(default_factory=dict)


OnReport = Callable[[Report], None]


@runtime_checkable
class Learner(Agent, Protocol):
    """An agent that is trained before it is used.

    Attributes:
        best_plan: the best plan seen in training, None before or where the family has none.
        lanes: episodes that it plays at once; a budget ends with all of them.
        not_restored: what of a training is lost where it goes on from a folder, in words; empty for nothing.
    """

    best_plan: Any
    lanes: int
    not_restored: str

    def learn(self, episodes: int | None, steps: int | None, on_report: OnReport) -> None:
        """Train until the budget is spent (None: the hyperparameters' own); may be interrupted and called again.

        ``on_report`` is called regularly; an exception from it (KeyboardInterrupt) leaves the agent usable.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write everything needed to predict and to go on training."""
        ...

    def load(self, folder: Path) -> None:
        """Read what :meth:`save` wrote."""
        ...


def follow(
    plan_actions: np.ndarray, lanes: int, state: Any, episode_start: Sequence[bool] | np.ndarray | None
) -> tuple[np.ndarray, Any]:
    """Carry out a plan step by step: actions of every lane and the next step's index as state."""
    step = np.zeros(lanes, dtype=np.intp) if state is None else state
    if episode_start is not None:
        step = np.where(np.asarray(episode_start, dtype=bool), 0, step)
    return plan_actions[step], (step + 1) % len(plan_actions)
