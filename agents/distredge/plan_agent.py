"""Agents that follow a plan, made once or again whenever the network has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...envs.distredge.dynamics import DistrEdgeDynamics
from ...envs.distredge.system import System
from ...models.plans import SpatialPlan

Planner = Callable[[System, np.ndarray | None], SpatialPlan]
ENV_KWARGS = {"partition": "learned", "observation": "full"}  # one step per unit: any plan can be followed


@dataclass
class _Lane:
    """What one lane follows: its plan's actions, the rates it was made for, a plan being made.

    The clock that is observed starts over with the trace; ``clock_s`` goes on.
    """

    actions: np.ndarray
    mbps: np.ndarray | None = None
    pending: np.ndarray | None = None
    ready_s: float = 0.0
    seen_s: float = 0.0
    clock_s: float = 0.0


@dataclass
class _State:
    stage: np.ndarray
    lanes: list[_Lane] = field(default_factory=list)


class PlanAgent:
    """Follows what a planner says.

    On constant links the planner is asked once. Where links vary it is asked again when a monitored rate has moved by
    more than ``threshold`` since the last time, and the old plan stays in use for ``replan_delay_s``.

    Args:
        env: made with :data:`ENV_KWARGS`.
        planner: rates (D,) or None for nominal -> plan.
        replans: whether it looks at the rates at all.
        replan_delay_s: how long a new plan takes to be made.
        threshold: relative change of a rate that asks for a new plan; 0 plans for every image.
    """

    def __init__(
        self, env: Any, planner: Planner, replans: bool = False, replan_delay_s: float = 0.0, threshold: float = 0.0
    ) -> None:
        self.dynamics: DistrEdgeDynamics = env.unwrapped.dynamics
        self.system = self.dynamics.system
        self.planner, self.replan_delay_s, self.threshold = planner, replan_delay_s, threshold
        self.replans = replans and self.system.scenario.varies
        self.best_plan = planner(self.system, None)
        self._nominal = self.dynamics.plan_actions(self.best_plan)

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        n = len(observation)
        if state is None:
            state = _State(np.zeros(n, dtype=np.intp), [_Lane(self._nominal) for _ in range(n)] if self.replans else [])
            episode_start = np.ones(n, dtype=bool)
        starts = np.zeros(n, dtype=bool) if episode_start is None else np.asarray(episode_start, dtype=bool)
        stage = np.where(starts, 0, state.stage)
        if self.replans:
            for lane in np.flatnonzero(starts):
                self._look(state.lanes[lane], observation[lane : lane + 1])
            actions = np.stack([lane.actions[s] for lane, s in zip(state.lanes, stage, strict=True)])
        else:
            actions = self._nominal[stage]
        return actions, _State((stage + 1) % len(self._nominal), state.lanes)

    def _look(self, lane: _Lane, observation: np.ndarray) -> None:
        """Before an image: adopt a plan that has become ready, ask for one if the rates have moved."""
        period_s = self.dynamics.links.period_s
        now_s = float(self.dynamics.observer.clock_share(observation)[0]) * period_s
        lane.clock_s += (now_s - lane.seen_s) % period_s
        lane.seen_s = now_s
        mbps = self.dynamics.observer.rates_mbps(observation)[0].astype(float)
        first = lane.mbps is None
        if first or (lane.pending is None and np.any(np.abs(mbps / lane.mbps - 1.0) > self.threshold)):
            lane.mbps = lane.pending = mbps
            lane.ready_s = lane.clock_s + (0.0 if first else self.replan_delay_s)
        if lane.pending is not None and lane.clock_s >= lane.ready_s:
            lane.actions = self.dynamics.plan_actions(self.planner(self.system, lane.pending))
            lane.pending = None
