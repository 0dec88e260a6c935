"""HierTrain's planning as an MDP over n lanes: a schedule for every block of iterations, while rates drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium import spaces

from ...models.plans import HybridPlan
from ..core import check_options
from ..scenarios import ScenarioDynamics
from .actions import decode, encode
from .cost import hand_out_s, iteration_s, layers_s
from .kernels import booked, layers_handed_s, observed, planned
from .rates import DriftingRates, OptimumTable
from .scenarios import get_scenario
from .schedule import ROLES, Schedules, alone
from .system import EDGE, System

OPTIONS = {
    "plans": ("hybrid", "layers"),
    "activation_bits": (32, 16, 8, 4),
    "cost": ("paper", "event"),
    "optimum": (True, False),
}
LIMIT = 1e3
Lanes = np.ndarray | slice
FIGURES: tuple[str, ...] = ("iteration_s", "replan_s", "optimal_s")  # of a block
TRACE = ("device_edge_mbps", "edge_cloud_mbps", *FIGURES)
ALL = slice(None)


class HierTrainDynamics(ScenarioDynamics):
    """One episode is ``blocks`` blocks of training iterations, one step a block.

    Takes the arguments of :class:`splitgym.envs.hiertrain.env.HierTrainEnv` after the number of lanes.
    """

    system: System
    metric_kinds = {
        "iteration_s": "mean",
        "optimal_s": "mean",
        "gap": "mean",
        "replan_s": "mean",
        "speedup": "harmonic",
        "regret_s": "mean",
    }

    def __init__(
        self,
        num_lanes: int,
        scenario: str,
        plans: str = "hybrid",
        activation_bits: int = 32,
        cost: str = "paper",
        optimum: bool = True,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        given = {"plans": plans, "activation_bits": activation_bits, "cost": cost, "optimum": optimum}
        check_options("HierTrain", given, OPTIONS)
        self.num_lanes = num_lanes
        self.system = System(get_scenario(scenario, **fields))
        setting = self.system.scenario
        self.scenario_name = setting.name
        self.by_layer, self.activation_bits, self.cost = plans == "layers", activation_bits, cost
        self.is_random = setting.drift
        self.plan_decides = not setting.drift
        self.eval_episodes = 10 if setting.drift else 1
        self.episode_steps = setting.blocks
        self.rates = DriftingRates(setting, num_lanes)
        self.optimum = OptimumTable(self.system, self.rates.grid) if optimum and cost == "paper" else None
        edge_alone = iteration_s(self.system, alone(EDGE, setting.batch), *self.system.nominal, cost)
        self.reference_s = float(edge_alone[0])
        self._spaces()
        self._allocate()

    def _spaces(self) -> None:
        n_layers = self.system.n_layers
        if self.by_layer:
            self.action_space = spaces.MultiDiscrete(np.full(n_layers, 3))
            self._last_size = 3 * n_layers
        else:
            self.action_space = spaces.Box(-1.0, 1.0, (8,), np.float32)
            self._last_size = 11
        self._profile = self._summary_of_profile()
        size = 2 + len(self._profile) + self._last_size + 2
        self.observation_space = spaces.Box(0.0, LIMIT, (size,), np.float32)

    def _summary_of_profile(self) -> np.ndarray:
        """What a plan depends on besides the rates, in units of the reference: compute, input, weights, cuts."""
        system, (device_edge, _) = self.system, self.system.nominal
        compute = system.batch * (system.forward_s + system.backward_s)[:, -1]
        inner = system.output_bits[1:-1]
        least = inner.min() if inner.size else system.sample_bits  # one layer is cut nowhere
        bits = [system.batch * system.sample_bits, system.weight_bits[-1], system.batch * least]
        scaled = np.concatenate([compute, np.array(bits) / device_edge]) / self.reference_s
        return np.minimum(scaled, LIMIT).astype(np.float32)

    def _allocate(self) -> None:
        n, blocks = self.num_lanes, self.episode_steps
        self._everyone = np.arange(n)
        self._block = np.zeros(n, dtype=np.intp)
        self._now = np.zeros((len(FIGURES), n))  # of the last block
        self._sums = np.zeros((len(FIGURES) + 1, n))  # of an episode, the gap to the optimum behind all others
        self._last = np.zeros((self._last_size, n), dtype=np.float32)  # the last plan as it is observed
        self._last_s = np.zeros(n)
        self._owner = np.zeros((self.system.n_layers, n), dtype=np.intp)
        worker, b = (np.repeat(np.array(a)[:, None], n, axis=1) for a in ((0, 1, 2), (self.system.batch, 0, 0)))
        self._plan = Schedules(worker, np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp), b)
        self._trace = np.zeros((len(TRACE), blocks, n), np.float32)
        self.trace = dict(zip(TRACE, self._trace, strict=True))

    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        self.rates.seed(lanes, rngs)

    def reset_lanes(self, lanes: np.ndarray) -> None:
        self.rates.reset(lanes)
        self._block[lanes] = 0
        self._last[:, lanes] = 0.0
        self._last_s[lanes] = 0.0
        self._sums[:, lanes] = 0.0

    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        where: Lanes = ALL if lanes is None else lanes
        action, each = self._checked(action)[where], self._everyone if lanes is None else lanes
        blocks, rates = self._block[where].copy(), self.rates.now(where)
        run = self._run_layers if self.by_layer else self._run_hybrid
        iteration_s, replan_s = run(action, each, rates, blocks)
        if self.optimum is None:
            optimal_s = np.full(len(each), np.nan)
        else:
            optimal_s = self.optimum.seconds(self.rates.at[:, where])
        self.rates.move(blocks, where, each)
        return booked(
            each, rates, iteration_s, replan_s, optimal_s, self.system.scenario.iterations, self.reference_s,
            self._block, self._last_s, self._now, self._sums, self._trace,
        )  # fmt: skip

    def _checked(self, action: np.ndarray) -> np.ndarray:
        action = np.asarray(action)
        shape = (self.num_lanes, *self.action_space.shape)  # type: ignore[misc]
        if action.shape != shape:
            raise ValueError(f"action has shape {action.shape[1:]}, it must be {shape[1:]} for each lane")
        if self.by_layer:
            if action.dtype.kind not in "iu":
                raise ValueError(f"action is of type {action.dtype}, it must hold whole numbers (NaN is none)")
            if action.min() < 0 or action.max() > 2:
                raise ValueError("action lies outside 0..2")
        elif np.isnan(np.add.reduce(action, axis=None)):
            raise ValueError("action holds NaN")
        return action

    def _run_hybrid(
        self, action: np.ndarray, lanes: np.ndarray, rates: np.ndarray, blocks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(seconds of an iteration, seconds to hand out weights) of the schedules that actions stand for."""
        n, batch = self.system.n_layers, self.system.batch
        plans = decode(action, n, batch).canonical()
        old = self._plan if lanes is self._everyone else self._plan.take(lanes)
        seconds, handed_s = self._times(old, plans, rates, blocks)
        planned(ROLES, lanes, *plans.arrays, *self._plan.arrays, n, batch, self._last)
        return seconds, np.where(blocks > 0, handed_s, 0.0)

    def _times(
        self, old: Schedules, plans: Schedules, rates: np.ndarray, blocks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of an iteration of schedules, and to hand out the weights that they need behind old ones."""
        device_edge, edge_cloud = rates
        handed_s = hand_out_s(self.system, old, plans, device_edge, edge_cloud)
        return iteration_s(self.system, plans, device_edge, edge_cloud, self.cost), handed_s

    def _run_layers(
        self, action: np.ndarray, lanes: np.ndarray, rates: np.ndarray, blocks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same for layer assignments; weights move from the old owners, to all new ones side by side."""
        owner, (device_edge, edge_cloud) = action.T.astype(np.intp, order="C"), rates
        seconds = layers_s(self.system, owner, device_edge, edge_cloud, self.activation_bits)
        old = np.ascontiguousarray(self._owner[:, lanes])
        handed = layers_handed_s(self.system.tables, old, owner, rates)
        self._owner[:, lanes] = owner
        self._last[:, lanes] = (owner[:, None] == np.arange(3)[:, None]).reshape(self._last_size, -1)
        return seconds, np.where(blocks > 0, handed, 0.0)

    def observe(self) -> np.ndarray:
        return observed(
            self.rates.now(), self.system.nominal, self._profile, self._last, self._last_s, self.reference_s,
            self._block, self.episode_steps, LIMIT,
        )  # fmt: skip

    def step_info(self, lane: int) -> dict[str, Any]:
        if not self._block[lane]:
            return {}
        told = dict(zip(FIGURES, self._now[:, lane].tolist(), strict=True))
        if self.optimum is None:
            del told["optimal_s"]  # Gymnasium's checker compares infos, and NaN equals nothing
        else:
            told["gap"] = told["iteration_s"] / told["optimal_s"] - 1.0
        return {"block": told}

    def metrics(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        sums = dict(zip((*FIGURES, "gap"), self._sums[:, lanes], strict=True))
        blocks = self.episode_steps
        iterations = blocks * self.system.scenario.iterations
        mean_s = sums["iteration_s"] / blocks + sums["replan_s"] / iterations
        return {
            "iteration_s": mean_s,
            "optimal_s": sums["optimal_s"] / blocks,
            "gap": sums["gap"] / blocks,
            "replan_s": sums["replan_s"],
            "speedup": self.reference_s / mean_s,
            "regret_s": mean_s - sums["optimal_s"] / blocks,
        }

    def details(self, lane: int) -> dict[str, Any]:
        plan = self.plan(lane)
        trace = {name: rows[:, lane].copy() for name, rows in self.trace.items()}
        return {"trace": trace, **({} if plan is None else {"plan": plan.to_json()})}

    def plan(self, lane: int) -> HybridPlan | None:
        """The schedule of the last block; None for layer assignments."""
        if self.by_layer:
            return None
        return self.system.plan_of(self._plan, lane)

    def plan_actions(self, plan: HybridPlan) -> np.ndarray:
        """(blocks, 8) float32: the plan's schedule in every block.

        Raises:
            InputError: a cut lies inside a residual block, or the samples do not sum to the scenario's batch.
        """
        return np.repeat(encode(self.system.schedule_of(plan), self.system.n_layers), self.episode_steps, axis=0)

    @property
    def provenance(self) -> tuple[str, ...]:
        links = "modelled (a seeded walk over a grid)" if self.rates.drifts else "modelled (the scenario's constants)"
        return (*self.system.provenance, f"links: {links}")

    def render_lane(self, lane: int) -> np.ndarray:
        from ..figures import frame
        from .viewer import layers_figure, plan_figure

        if not self._last_s[lane] > 0:
            return frame(plan_figure(self.system, None, *self.system.nominal, moving=True))
        at = max(int(self._block[lane]) - 1, 0)
        when = f"block {at + 1} of {self.episode_steps}"
        links = ("device_edge_mbps", "edge_cloud_mbps")
        device_edge, edge_cloud = (1e6 * float(self.trace[link][at, lane]) for link in links)
        if self.by_layer:
            owner = self._owner[:, lane]
            return frame(layers_figure(self.system, owner, device_edge, edge_cloud, self.activation_bits, when))
        plan = self._plan.take(np.array([lane]))
        return frame(plan_figure(self.system, plan, device_edge, edge_cloud, when=when, moving=True, cost=self.cost))
