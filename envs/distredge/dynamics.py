"""DistrEdge's split process as an MDP over n lanes (paper, Sec. IV-C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium import spaces

from ...models.plans import SpatialPlan, volume_ranges
from ...profiling.link_file import LinkMeasurement
from ...ui.errors import InputError
from ..core import check_options
from ..links import LinkRates
from ..scenarios import ScenarioDynamics
from .best_known import BestKnown
from .observation import LIMIT, Observer, step_kernels
from .physics import Rates
from .planning import partition_of
from .scenarios import get_scenario
from .state import Progress
from .system import System
from .throughput import slowest_s

OPTIONS = {"observation": ("paper", "full"), "reward": ("speedup", "paper"), "optimum": (True, False)}


class DistrEdgeDynamics(ScenarioDynamics):
    """One episode is one image, one step one layer-volume (one unit under ``partition="learned"``).

    Takes the arguments of :class:`splitgym.envs.distredge.env.DistrEdgeEnv` after the number of lanes.
    """

    system: System
    metric_kinds = {
        "latency_s": "mean",
        "ips": "harmonic",
        "speedup": "mean",
        "regret_s": "mean",
        "volumes": "mean",
        "throughput_ips": "harmonic",
    }

    def __init__(
        self,
        num_lanes: int,
        scenario: str,
        observation: str = "full",
        reward: str = "speedup",
        partition: str | Sequence[int] = "lc-pss",
        optimum: bool = True,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        check_options("DistrEdge", {"observation": observation, "reward": reward, "optimum": optimum}, OPTIONS)
        self.num_lanes = num_lanes
        self.system = System(get_scenario(scenario, **fields))
        if self.system.n_devices < 2:
            raise InputError("DistrEdge: one device leaves nothing to decide; name at least two")
        self.scenario_name = self.system.scenario.name
        self.paper_reward = reward == "paper"
        self.learned = isinstance(partition, str) and partition == "learned"
        self.stops = self._stops(partition)
        if self.learned:
            self.physics = self.system.every_volume
        else:
            self.physics = self.system.physics(volume_ranges(self.stops))
        self.episode_steps = len(self.stops)
        self.observer = Observer(self.system, self.stops, observation == "full", self.learned)
        self.links = LinkRates(self.system.mbps.tolist(), num_lanes, self.system.traces, self.system.scenario.dynamic)
        self.is_random = self.links.is_random
        self.plan_decides = not self.links.varies
        self.eval_episodes = 1 if self.plan_decides else 200
        self.best = BestKnown(self.system) if optimum or not self.system.scenario.varies else None
        actions = self.system.n_devices - 1 + self.learned
        self.action_space = spaces.Box(-1.0, 1.0, (actions,), np.float32)
        self.observation_space = spaces.Box(0.0, LIMIT, (self.observer.size,), np.float32)
        self._action_shape = (actions,)
        self._allocate()

    def _stops(self, partition: str | Sequence[int]) -> tuple[int, ...]:
        units = self.system.n_units
        if self.learned:
            return tuple(range(1, units + 1))
        where = f"DistrEdge: partition={partition!r}"
        if isinstance(partition, str) and partition in ("lc-pss", "auto"):
            return partition_of(self.system, self.system.scenario.alpha if partition == "lc-pss" else "auto")
        listed = isinstance(partition, (list, tuple, np.ndarray))
        if not listed or not all(isinstance(c, (int, np.integer)) and not isinstance(c, bool) for c in partition):
            raise InputError(f"{where} is not one of lc-pss, auto, learned, or a list of cut units")
        stops = [int(c) for c in partition]
        inside = stops[:-1] if stops and stops[-1] == units else stops
        if inside != sorted(set(inside)) or any(not 0 < c < units for c in inside):
            raise InputError(f"{where}: cuts must increase strictly within 1..{units - 1}")
        return (*inside, units)

    def _allocate(self) -> None:
        n, devices, stages = self.num_lanes, self.system.n_devices, len(self.stops)
        self._everyone = np.arange(n)
        self._stop_at = np.array(self.stops)
        self._heights = self.system.heights[self._stop_at - 1]
        self._rates: Rates = self.system.nominal
        self.progress = Progress(devices, n)
        self._stage = np.zeros(n, dtype=np.int64)
        self._open = np.zeros(n, dtype=np.int64)  # first unit of the volume under way
        self._clock = np.zeros(n)
        self._no_clock = np.zeros(n)
        self._latency = np.zeros(n)
        self._slowest_s = np.zeros(n)  # stage of the last image
        self._reference_s = np.full(n, self.system.reference_s)  # Offload at the image's rates
        self._ended = np.zeros(n, dtype=bool)
        self._splits = np.zeros((n, stages, devices - 1), dtype=np.int64)
        self._closed = np.zeros((n, stages), dtype=bool)

    def hold(self, mbps: np.ndarray) -> None:
        """From the next image on, all links stay at these rates (D,): what is planned on who knows no more of them."""
        self.links = LinkRates(mbps.tolist(), self.num_lanes)
        self.is_random, self.plan_decides, self.eval_episodes = False, True, 1
        self._rates = self.system.rates(mbps[:, None])
        self._reference_s[:] = self.system.offload_s(mbps[:, None])

    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        self.links.seed(lanes, rngs)
        self._clock[lanes] = 0.0
        self._ended[lanes] = False

    def reset_lanes(self, lanes: np.ndarray) -> None:
        if self.links.varies:
            before = lanes[self._ended[lanes]]
            self._clock[before] += self._latency[before] + self.system.scenario.gap_s
            self._rates = self.system.rates(self.links.at(self._clock))
        self._ended[lanes] = False
        self.progress.clear(lanes)
        self._stage[lanes] = 0
        self._open[lanes] = 0

    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        action = np.asarray(action, dtype=np.float64, order="C")
        if action.shape != (self.num_lanes, *self._action_shape):
            raise ValueError(f"action has shape {action.shape[1:]}, it must be {self._action_shape} for each lane")
        lanes = self._everyone if lanes is None else lanes
        posts = np.empty((lanes.size, self.system.n_devices + 1), dtype=np.int64)
        volume = np.empty(lanes.size, dtype=np.int64)
        through = step_kernels().decide(
            action, lanes, self.learned, self._stop_at, self._heights, self.physics.volumes.index, self._stage,
            self._open, self._closed, self._splits, posts, volume,
        )  # fmt: skip
        if through < 0:
            raise ValueError("action holds NaN")
        self._run(lanes, volume, posts)
        reward, terminated = np.zeros(self.num_lanes), np.zeros(self.num_lanes, dtype=bool)
        if through:
            ended = lanes[self._stage[lanes] == len(self.stops)]
            latency = self._end(ended)
            terminated[ended] = True
            reward[ended] = 1.0 / latency if self.paper_reward else self._reference_s[ended] / latency
        return reward, terminated

    def _run(self, lanes: np.ndarray, volume: np.ndarray, posts: np.ndarray) -> None:
        """Run a volume in some lanes, in those none where it is -1."""
        self.physics.volume(self.progress, volume, posts, self._rates, lanes)

    def _end(self, lanes: np.ndarray) -> np.ndarray:
        latency = self.physics.finish(self.progress, self._rates, lanes)
        if self.links.varies:
            self._reference_s[lanes] = self.system.offload_s(self.mbps[:, lanes])
        self._latency[lanes] = latency
        self._slowest_s[lanes] = slowest_s(self.progress, lanes)
        self._ended[lanes] = True
        return latency

    @property
    def mbps(self) -> np.ndarray:
        """(D, lanes) device rates of the images under way."""
        return np.broadcast_to(self._rates.mbps.T, (self.system.n_devices, self.num_lanes))

    @property
    def summary(self) -> str:
        return self.system.scenario.described(self.system.mbps.tolist())

    @property
    def provenance(self) -> tuple[str, ...]:
        links = "imported (trace files)" if self.system.scenario.traces else "modelled (the scenario's constants)"
        if self.links.is_random:
            links = "modelled (seeded traces)"
        measured = self._measured_links()
        links = f"links{' otherwise' if measured else ''}: {links}"
        return (*self.system.scenario.provenance, *(table.label() for table in self.system.tables), *measured, links)

    def _measured_links(self) -> list[str]:
        """A line for every measured link, with the devices that it is used for."""
        users = dict[LinkMeasurement, list[str]]()
        for name, link in zip(self.system.names, self.system.measured, strict=True):
            if link is not None:
                users.setdefault(link, []).append(name)
        what = "message costs" if self.links.varies else "link"
        return [f"{what} of {', '.join(names)}: {link.label()}" for link, names in users.items()]

    def observe(self) -> np.ndarray:
        clock = self._clock / self.links.period_s % 1.0 if self.links.varies else self._no_clock
        return self.observer(self.progress, self._stage, self._open, self._rates, clock)

    def metrics(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        latency = self._latency[lanes]
        best = np.full(len(lanes), np.nan) if self.best is None else self.best.latency_s(self.mbps[:, lanes])
        return {
            "latency_s": latency,
            "ips": 1.0 / latency,
            "speedup": self._reference_s[lanes] / latency,
            "regret_s": latency - best,
            "volumes": self._closed[lanes].sum(axis=1).astype(float),
            "throughput_ips": 1.0 / self._slowest_s[lanes],
        }

    def arrays(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "compute_s": self.progress.compute_s[:, lanes].T.copy(),
            "transmit_s": self.progress.transmit_s[:, lanes].T.copy(),
        }

    def details(self, lane: int) -> dict[str, Any]:
        if not self.links.varies:
            return {"plan": self.plan(lane).to_json()}
        series = {"clock_s": float(self._clock[lane]), "mbps": self.mbps[:, lane].copy()}
        return {"plan": self.plan(lane).to_json(), "series": series}

    def plan(self, lane: int) -> SpatialPlan:
        """The plan of the last ended episode of a lane, until its next first step."""
        closed = self._closed[lane]
        return self.system.plan(self._stop_at[closed].tolist(), self._splits[lane, closed].tolist())

    def plan_actions(self, plan: SpatialPlan) -> np.ndarray:
        """(stages, action size) float32: the inverse of Eq. 9.

        Raises:
            InputError: the plan cuts elsewhere than this partition.
        """
        if not self.learned and plan.cuts != self.stops:
            cuts = f"the plan cuts at {list(plan.cuts)}, this partition at {list(self.stops)}"
            raise InputError(f"{cuts}; an env with partition=learned takes any plan")
        inner = self.system.n_devices - 1
        actions = np.full((len(self.stops), self.action_space.shape[0]), -1.0, dtype=np.float32)  # type: ignore[index]
        for stop, split in zip(plan.cuts, plan.splits, strict=True):
            stage = self.stops.index(stop)
            actions[stage, :inner] = 2.0 * np.asarray(split) / self._heights[stage] - 1.0
            if self.learned:
                actions[stage, inner] = 1.0
        return actions

    def render_lane(self, lane: int) -> np.ndarray:
        from .viewer import timeline_frame

        stage = int(self._stage[lane])
        before = stage == 0 and self._latency[lane] > 0  # the lane has begun its next image, and decided nothing
        until = len(self.stops) if before else stage
        closed = np.flatnonzero(self._closed[lane, :until])
        stops, splits = self._stop_at[closed].tolist(), self._splits[lane, closed].tolist()
        ranges = list(pairwise([0, *stops]))
        return timeline_frame(self.system, ranges, splits, self.mbps[:, lane], before and not self._ended[lane])
