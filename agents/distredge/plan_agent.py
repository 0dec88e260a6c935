"""Agents that follow a plan, made once or again whenever the network has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...envs.distredge.dynamics import DistrEdgeDynamics
from ...envs.distredge.system import System
from ...models.plans import SpatialPlan
from .monitor import Detection, Watch

Planner = Callable[[System, np.ndarray | None], SpatialPlan]
Resplit = Callable[[System, SpatialPlan, np.ndarray], SpatialPlan]
ENV_KWARGS = {"partition": "learned", "observation": "full"}  # one step per unit: any plan can be followed


@dataclass
class _Lane:
    """What one lane follows: its plan and that plan's actions, what is known of its links, a plan being made."""

    plan: SpatialPlan
    actions: np.ndarray
    watch: Watch | None = None
    pending: np.ndarray | None = None  # (D,) rates that it is made for
    ready_s: float = 0.0
    made: int = 1


@dataclass
class _State:
    stage: np.ndarray
    lanes: list[_Lane] = field(default_factory=list)


class PlanAgent:
    """Follows what a planner says.

    On constant links the planner is asked once. Where links vary it is asked before the first image and again when the
    monitor finds a link changed (see :mod:`.monitor`), and the old plan stays in use for ``replan_delay_s``. A monitor
    without slack and threshold asks for a plan for every image.

    Args:
        env: made with :data:`ENV_KWARGS`.
        planner: rates (D,) or None for nominal -> plan.
        replans: whether it looks at the rates at all.
        resplit: splits the volumes of the plan in use anew for the rates of every image, at once.
        replan_delay_s: how long a new plan takes to be made.
        period_s, slack, threshold: see :class:`.monitor.Detection`.
    """

    def __init__(
        self,
        env: Any,
        planner: Planner,
        replans: bool = False,
        resplit: Resplit | None = None,
        replan_delay_s: float = 0.0,
        period_s: float = 0.0,
        slack: float = 0.0,
        threshold: float = 0.0,
    ) -> None:
        self.dynamics: DistrEdgeDynamics = env.unwrapped.dynamics
        self.system = self.dynamics.system
        self.planner, self.resplit, self.replan_delay_s = planner, resplit, replan_delay_s
        self.detection = Detection(period_s, slack, threshold)
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
            lanes = [_Lane(self.best_plan, self._nominal) for _ in range(n)] if self.replans else []
            state = _State(np.zeros(n, dtype=np.intp), lanes)
            episode_start = np.ones(n, dtype=bool)
        starts = np.zeros(n, dtype=bool) if episode_start is None else np.asarray(episode_start, dtype=bool)
        stage = np.where(starts, 0, state.stage)
        if self.replans:
            for lane in np.flatnonzero(starts):
                self._before_image(state.lanes[lane], observation[lane : lane + 1])
            actions = np.stack([lane.actions[s] for lane, s in zip(state.lanes, stage, strict=True)])
        else:
            actions = self._nominal[stage]
        return actions, _State((stage + 1) % len(self._nominal), state.lanes)

    def explain(self, state: Any) -> Mapping[str, np.ndarray]:
        """How many plans a lane has had, and whether one is being made; see :meth:`.online.Online.explain`."""
        waits = np.array([lane.pending is not None for lane in state.lanes] or [False] * len(state.stage))
        made = np.array([lane.made for lane in state.lanes] or [1] * len(state.stage))
        return {"strategies": made, "replanning": waits}

    def _before_image(self, lane: _Lane, observation: np.ndarray) -> None:
        """Adopt a plan that has become ready, ask for one if the links have changed."""
        if lane.watch is None:
            lane.watch = Watch(self.dynamics, observation, self.detection)
            self._follow(lane, self.planner(self.system, lane.watch.monitor.mbps))
        else:
            lane.watch.look(observation)
            now_s, monitor = lane.watch.now_s, lane.watch.monitor
            if lane.pending is None and monitor.changed.any():
                lane.pending, lane.ready_s = monitor.settle(), now_s + self.replan_delay_s
            if lane.pending is not None and now_s >= lane.ready_s:
                self._follow(lane, self.planner(self.system, lane.pending))
                lane.pending, lane.made = None, lane.made + 1
        if self.resplit is not None:
            self._follow(lane, self.resplit(self.system, lane.plan, lane.watch.mbps))

    def _follow(self, lane: _Lane, plan: SpatialPlan) -> None:
        lane.plan, lane.actions = plan, self.dynamics.plan_actions(plan)
