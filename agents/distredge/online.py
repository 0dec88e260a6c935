"""Online DistrEdge: the trained actor decides image by image, and is fine-tuned when links change (paper, Sec. V-F)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from ...envs.distredge.dynamics import DistrEdgeDynamics
from ...envs.distredge.planning import partition_of
from .monitor import Detection, Watch
from .osds import Osds

Delay = Literal["paper", "measured"]
Serves = Literal["better", "actor"]


@dataclass(frozen=True)
class Strategy:
    """What decides: a partition, and for its splits an actor or a plan.

    Attributes:
        stops: end of every layer-volume.
        policy: with Actor* and Critic*, made for these volumes.
        plan_actions: (units, action size) of the best plan (R_s* of Algorithm 2); None where the actor decides.
        seconds: wall-clock time that LC-PSS and the training took.
    """

    stops: frozenset[int]
    policy: Any
    plan_actions: np.ndarray | None
    seconds: float


@dataclass
class _Lane:
    """What serves a lane, and what will once the controller is done with it."""

    serving: Strategy
    watch: Watch | None
    made: int = 1
    pending: Strategy | None = None
    ready_s: float = 0.0


@dataclass
class _State:
    stage: np.ndarray
    lanes: list[_Lane | None] = field(default_factory=list)


class Online:
    """The paper's agent on links that vary.

    The first strategy is made before the first image for the rates that it finds: LC-PSS, then OSDS. From then on
    the actor splits volume by volume, as intermediate latencies come in, or where exploration has found a plan that no
    actor comes up to at those rates, that plan is carried out (ours). When the monitor finds a link changed (Page's
    CUSUM, see :mod:`.monitor`: by default the mean logarithm of the images' rates within 15 s, a slack of 0.5, so that
    what lasts and is above a factor of 1.65 counts, and a threshold of 3), LC-PSS runs again and actor and critic are
    fine-tuned from those that serve, on the system at the monitored rates. Meanwhile the old strategy serves; the new
    one takes over with the first image after ``replan_delay_s``. Nothing is asked of the monitor for what is to come.

    On constant links it is OSDS: the best plan of the first training is carried out.

    Args:
        env: made with :data:`.plan_agent.ENV_KWARGS`, as partitions change.
        seed: of the trainings.
        partition: ``lc-pss`` (at the scenario's alpha, the paper's; what comes out does not depend on rates) or
            ``auto`` (at the alpha that physics likes best at the monitored rates).
        serves: ``better`` (Actor*, or the training's best plan where that took less) or ``actor`` (Actor* always, as in
            the paper).
        finetune_episodes: of every fine-tuning; ``episodes`` of the first training.
        replan_delay_s: time until a new strategy serves. The paper's is 20 to 210 s on a laptop; the default is 210.
        delay: ``paper`` counts ``replan_delay_s``, ``measured`` the time that it took on this machine, so that results
            differ from run to run.
        period_s, slack, threshold: see :class:`.monitor.Detection`.
        osds: further options of :class:`.osds.Osds`.
    """

    def __init__(
        self,
        env: Any,
        seed: int = 0,
        *,
        episodes: int,
        finetune_episodes: int,
        partition: str,
        serves: Serves,
        replan_delay_s: float,
        delay: Delay,
        period_s: float,
        slack: float,
        threshold: float,
        **osds: Any,
    ) -> None:
        self.dynamics: DistrEdgeDynamics = env.unwrapped.dynamics
        self.system = self.dynamics.system
        self.seed, self.episodes, self.finetune_episodes = seed, episodes, finetune_episodes
        self.alpha = "auto" if partition == "auto" else self.system.scenario.alpha
        self.replan_delay_s, self.measured = replan_delay_s, delay == "measured"
        self.serves = serves
        self.detection = Detection(period_s, slack, threshold)
        self.planning_s = 0.0  # wall-clock time of all trainings
        self._osds = osds
        kept = {k: v for k, v in env.spec.kwargs.items() if k not in ("render_mode", "reward", "backend")}
        self._env_id, self._env_kwargs = env.spec.id, {**kept, "observation": "paper", "optimum": False}

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        n = len(observation)
        if state is None:
            state, episode_start = _State(np.zeros(n, dtype=np.intp), [None] * n), np.ones(n, dtype=bool)
        starts = np.zeros(n, dtype=bool) if episode_start is None else np.asarray(episode_start, dtype=bool)
        stage = np.where(starts, 0, state.stage)
        for lane in np.flatnonzero(starts):
            state.lanes[lane] = self._before_image(state.lanes[lane], observation[lane : lane + 1])
        # One by one: a batch of another size gives an actor's output other last digits.
        actions = [self._act(state.lanes[i].serving, stage[i], observation[i : i + 1]) for i in range(n)]
        return np.stack(actions), _State((stage + 1) % self.system.n_units, state.lanes)

    def explain(self, state: Any) -> Mapping[str, np.ndarray]:
        """How many strategies a lane has had, the one that serves included, and whether one is being made."""
        lanes = state.lanes
        waits = np.array([lane.pending is not None for lane in lanes])
        return {"strategies": np.array([lane.made for lane in lanes]) - waits, "replanning": waits}

    def _act(self, strategy: Strategy, stage: int, observation: np.ndarray) -> np.ndarray:
        if strategy.plan_actions is not None:
            return strategy.plan_actions[stage]
        action = np.full(self.system.n_devices, -1.0, dtype=np.float32)
        if int(stage) + 1 in strategy.stops:
            seen = self.dynamics.observer.eq_7(observation)
            action[:-1], action[-1] = strategy.policy.predict(seen, deterministic=True)[0][0], 1.0
        return action

    def _before_image(self, lane: _Lane | None, observation: np.ndarray) -> _Lane:
        """Make the first strategy, adopt one that has become ready, ask for one if the links have changed."""
        if lane is None:
            if not self.system.scenario.varies:
                return _Lane(self._strategy(0, self.system.mbps, None), None)
            watch = Watch(self.dynamics, observation, self.detection)
            return _Lane(self._strategy(0, watch.monitor.mbps, None), watch)
        if lane.watch is None:
            return lane
        lane.watch.look(observation)
        now_s, monitor = lane.watch.now_s, lane.watch.monitor
        if lane.pending is None and monitor.changed.any():
            lane.pending = self._strategy(lane.made, monitor.settle(), lane.serving)
            lane.ready_s = now_s + (lane.pending.seconds if self.measured else self.replan_delay_s)
            lane.made += 1
        if lane.pending is not None and now_s >= lane.ready_s:
            lane.serving, lane.pending = lane.pending, None
        return lane

    def _strategy(self, number: int, mbps: np.ndarray, before: Strategy | None) -> Strategy:
        """LC-PSS at rates (D,), then OSDS from scratch or from the actor and critic before."""
        begun = time.perf_counter()
        stops = partition_of(self.system, self.alpha, mbps)
        env = gym.make(self._env_id, disable_env_checker=True, **{**self._env_kwargs, "partition": list(stops)})
        episodes = self.episodes if before is None else self.finetune_episodes
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        osds = Osds(env, seed, episodes=episodes, **self._osds)
        osds.train_at(mbps)
        if before is not None:
            osds.model.policy.load_state_dict(before.policy.state_dict())
        osds.learn(None, None, lambda report: None)
        plan_actions = self.dynamics.plan_actions(osds.best_plan) if self._plan_serves(osds) else None
        seconds = time.perf_counter() - begun
        self.planning_s += seconds
        return Strategy(frozenset(stops), osds.deciding, plan_actions, seconds)

    def _plan_serves(self, osds: Osds) -> bool:
        """Links are held in training, so that latencies compare."""
        return not self.system.scenario.varies or (self.serves == "better" and osds.vec.best < osds.star_s)
