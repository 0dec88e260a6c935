"""L2S's training rounds as an MDP over n lanes (paper, Sec. III-B, IV-C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium import spaces

from ...models.plans import CutPlan
from ..core import check_options, read_only, whole_numbers
from ..links import LinkRates
from ..scenarios import ScenarioDynamics
from .kernels import any_begins, booked, held_conditions, noisy, observed
from .ledger import SyncLedger
from .scenarios import get_scenario
from .system import FEATURES, System, TransferS

OPTIONS = {"reward": ("delay", "total"), "sync": ("period", "change", "ask"), "record": (True, False)}
LIMIT = 1e6  # bound of scaled delays
NOISE_BLOCK = 256  # rounds whose noise a lane draws at once
FIGURES = ("delay_s", "edge_delay_s", "oracle_delay_s", "sync_s", "regret_s", "stale", "accuracy_cost")
TRACE = ("delay_s", "expected_s", "edge_delay_s", "oracle_delay_s", "sync_s", "mbps")


class L2SDynamics(ScenarioDynamics):
    """One episode is T training rounds, one step a round.

    Takes the arguments of :class:`splitgym.envs.l2s.env.L2SEnv` after the number of lanes.
    """

    system: System
    metric_kinds = {
        "delay_s": "mean",
        "edge_delay_s": "mean",
        "oracle_delay_s": "mean",
        "sync_s": "mean",
        "total_s": "mean",
        "saved": "mean",
        "regret_s": "mean",
        "stale_rounds": "mean",
        "accuracy_cost": "mean",
    }
    eval_episodes = 1
    plan_decides = False

    def __init__(
        self,
        num_lanes: int,
        scenario: str,
        reward: str = "delay",
        sync: str = "period",
        record: bool = True,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        check_options("L2S", {"reward": reward, "sync": sync, "record": record}, OPTIONS)
        self.num_lanes = num_lanes
        self.system = System(get_scenario(scenario, **fields))
        setting = self.system.scenario
        self.scenario_name = setting.name
        self.total_reward, self.asks = reward == "total", sync == "ask"
        self.links = LinkRates([setting.mbps], num_lanes, self.system.traces, setting.dynamic)
        self._accuracy_worth, self._noise_share = float(setting.accuracy_worth), float(setting.noise)
        self.is_random = self.links.is_random or setting.noise > 0
        self.episode_steps = setting.rounds
        self.ledger = SyncLedger(self.system, num_lanes, every_change=sync == "change")
        self._spaces()
        self._schedule()
        self._allocate(record)

    @property
    def alike(self) -> bool:
        return super().alike and not self.links.varies  # a trace goes on from episode to episode

    def _spaces(self) -> None:
        points, layers = self.system.n_points, self.system.last
        self._pdt_s = self.system.pdt_s

        def box(*shape: int, high: float = 1.0, low: float = 0.0) -> spaces.Box:
            return spaces.Box(low, high, shape, np.float32)

        self._actions = 2 * points if self.asks else points
        self.action_space = spaces.Discrete(self._actions)
        self.observation_space = spaces.Dict(
            {
                "contexts": box(points, len(FEATURES)),
                "device_delay": box(points),
                "last_edge_delay": box(1, low=-LIMIT, high=LIMIT),
                "last_point": box(points),
                "round": box(1),
                "stale_layers": box(layers),
            }
        )
        scaled = (self.system.front_s / self._pdt_s).astype(np.float32)
        self._contexts = _shared(self.system.contexts.astype(np.float32), self.num_lanes)
        self._device_delay = _shared(scaled, self.num_lanes)

    def _schedule(self) -> None:
        """Rate and load of every round, and what rounds then take, where that is known before."""
        setting = self.system.scenario
        self._mbps_of = held(setting.mbps, setting.mbps_changes, setting.rounds)
        self._load_of = held(setting.edge_load, setting.load_changes, setting.rounds)
        both = np.stack([self._mbps_of, self._load_of])
        (self._stage_mbps, load), stage = np.unique(both, axis=1, return_inverse=True)
        self._stage_of = stage.reshape(-1)
        self._expected_s = self.system.delay_s(self._stage_mbps, load)
        self._oracle_s = self._expected_s.min(axis=0)

    def best_choice(self, rounds: np.ndarray) -> np.ndarray:
        """Actions (n,) with the least expected delay in some rounds (n,), from what agents cannot see.

        Where the link follows a trace, the lanes must be this env's own, since each has its own clock.
        """
        rounds = np.minimum(rounds, self.episode_steps - 1)
        if self.links.varies:
            return self._delays_s(self._everyone, self._clock, rounds).argmin(axis=0)
        return self._expected_s.argmin(axis=0)[self._stage_of[rounds]]

    def _allocate(self, record: bool) -> None:
        n = self.num_lanes
        self._everyone = np.arange(n)
        self._rngs: list[np.random.Generator] = [np.random.default_rng(0)] * n
        self._noise = np.zeros((NOISE_BLOCK, n))
        self._clock = np.zeros(n)
        self._round = np.zeros(n, dtype=np.intp)
        self._choice = np.full(n, -1, dtype=np.intp)  # feasible point of the last round, -1 before the first
        self._edge = np.zeros(n)  # observed d^e of the last round
        self._now = np.zeros((len(FIGURES), n))  # of the last round
        self._sums = np.zeros((len(FIGURES), n))
        rounds = self.episode_steps if record else 0
        self._points = np.zeros((rounds, n), np.int16)
        self._trace = np.zeros((len(TRACE), rounds, n), np.float32)
        self.trace: dict[str, np.ndarray] | None = None  # (rounds, lanes) of the episode under way
        if record:
            self.trace = {"point": self._points, **dict(zip(TRACE, self._trace, strict=True))}

    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        self.links.seed(lanes, rngs)
        for lane, rng in zip(lanes, rngs, strict=True):
            self._rngs[lane] = rng
        self._clock[lanes] = 0.0

    def reset_lanes(self, lanes: np.ndarray) -> None:
        self._round[lanes] = 0
        self._choice[lanes] = -1
        self._edge[lanes] = 0.0
        self.ledger.clear(lanes)
        self._sums[:, lanes] = 0.0

    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        choice, rounds = whole_numbers(action, self.num_lanes, self._actions), self._round
        if lanes is None:
            lanes, rounds = self._everyone, rounds.copy()
        else:
            choice, rounds = choice[lanes], rounds[lanes]
        asked_s: Any = 0.0
        if self.asks:
            asked, choice = choice >= self.system.n_points, choice % self.system.n_points
            if asked.any():
                asked_s = self.ledger.synchronise(lanes, asked, partial(self._weights_s, lanes, rounds, ()))
        conditions = self._conditions(lanes, rounds, choice, asked_s)
        delay_s = self._delay_s(lanes, rounds, choice, conditions[1])
        weights_s = partial(self._weights_s, lanes, rounds, (asked_s, delay_s))
        sync_s = asked_s + self.ledger.advance(lanes, choice + self.system.first, rounds, weights_s)
        return booked(
            lanes, rounds, choice, conditions, delay_s, sync_s, self.system.front_s, self.system.first,
            self.system.stale_costs, self._pdt_s, self._accuracy_worth, self.total_reward, self.links.varies,
            self.ledger.state, self._choice, self._edge, self._round, self._clock, self._now, self._sums, self._points,
            self._trace,
        )  # fmt: skip

    def _conditions(self, lanes: np.ndarray, rounds: np.ndarray, choice: np.ndarray, asked_s: Any) -> np.ndarray:
        """(3, k) the rate at the start, the choice's expected delay, and the optimum's, of rounds of some lanes."""
        if not self.links.varies:
            stages = self._stage_of, self._stage_mbps, self._expected_s, self._oracle_s
            return held_conditions(rounds, choice, *stages)
        start_s = self._clock[lanes] + asked_s
        delays_s = self._delays_s(lanes, start_s, rounds)
        found = np.empty((3, len(choice)))
        found[0] = self.links.at(start_s, lanes)[0]
        found[1] = delays_s[choice, self._everyone[: len(choice)]]
        found[2] = np.minimum.reduce(delays_s)
        return found

    def _delay_s(self, lanes: np.ndarray, rounds: np.ndarray, choice: np.ndarray, expected_s: np.ndarray) -> np.ndarray:
        """(k,) seconds that rounds take, apart from synchronisation."""
        if self._noise_share and any_begins(rounds, NOISE_BLOCK):
            for lane in lanes[rounds % NOISE_BLOCK == 0]:
                self._noise[:, lane] = self._rngs[lane].standard_normal(NOISE_BLOCK)
        return noisy(expected_s, self._noise_share, self._noise, rounds, lanes)

    def _delays_s(self, lanes: np.ndarray, start_s: np.ndarray, rounds: np.ndarray) -> np.ndarray:
        """(K, k) expected delays of all points in rounds that begin at some times, on a link that varies."""
        return self.system.changing_delay_s(self._transfers(lanes), start_s, self._load_of[rounds])

    def _transfers(self, lanes: np.ndarray) -> TransferS:
        return partial(self.links.transfer_s, lanes=lanes)

    def _weights_s(
        self, lanes: np.ndarray, rounds: np.ndarray, past_s: Sequence[Any], low: np.ndarray, high: np.ndarray
    ) -> np.ndarray:
        """(k,) seconds to send the weights between two points when the parts ``past_s`` of a round are over."""
        if self.links.varies:
            start_s = self._clock[lanes] + sum(past_s)
            return self.system.changing_sync_s(low, high, self._transfers(lanes), start_s)
        return self.system.sync_s(low, high, self._mbps_of[rounds])

    def observe(self) -> dict[str, np.ndarray]:
        edge, point, share, stale = observed(
            self.system.last, self.system.n_points, self.ledger.state, self._choice, self._edge, self._round,
            self._pdt_s, self.episode_steps, LIMIT,
        )  # fmt: skip
        return {
            "contexts": read_only(self._contexts),
            "device_delay": read_only(self._device_delay),
            "last_edge_delay": edge,
            "last_point": point,
            "round": share,
            "stale_layers": stale,
        }

    def step_info(self, lane: int) -> dict[str, Any]:
        if self._choice[lane] < 0:
            return {}
        told = dict(zip(FIGURES, self._now[:, lane].tolist(), strict=True))
        point = int(self._choice[lane]) + self.system.first
        return {"round": {"point": point, **told, "regret_s": float(self._sums[FIGURES.index("regret_s"), lane])}}

    def metrics(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        sums, rounds = dict(zip(FIGURES, self._sums[:, lanes], strict=True)), self.episode_steps
        total = sums["delay_s"] + sums["sync_s"]
        return {
            "delay_s": sums["delay_s"] / rounds,
            "edge_delay_s": sums["edge_delay_s"] / rounds,
            "oracle_delay_s": sums["oracle_delay_s"] / rounds,
            "sync_s": sums["sync_s"],
            "total_s": total,
            "saved": 1.0 - total / (rounds * self.system.pdt_s),
            "regret_s": sums["regret_s"],
            "stale_rounds": sums["stale"],
            "accuracy_cost": sums["accuracy_cost"],
        }

    def details(self, lane: int) -> dict[str, Any]:
        trace = {} if self.trace is None else {k: v[:, lane].copy() for k, v in self.trace.items()}
        plan = self.plan(lane)
        return {"trace": trace, **({} if plan is None else {"plan": plan.to_json()})}

    def plan(self, lane: int) -> CutPlan | None:
        """The partition point that an ended episode's last tenth chose most often; None without a record."""
        if self.trace is None:
            return None
        last = self.trace["point"][-max(1, self.episode_steps // 10) :, lane]
        steps = self.system.points[int(np.bincount(last).argmax())]
        model = self.system.model
        return CutPlan(model.name, steps, types=self.system.device_types, fingerprint=model.fingerprint)

    def plan_actions(self, plan: CutPlan) -> np.ndarray:
        """(rounds,) the plan's point in every round.

        Raises:
            InputError: the plan cuts where no feasible partition point lies.
        """
        return np.full(self.episode_steps, self.system.choice_of(plan.cut))

    @property
    def summary(self) -> str:
        return self.system.scenario.described(f"a measured link of {self.system.mbps:.4g} Mbps on average")

    @property
    def provenance(self) -> tuple[str, ...]:
        link = "imported (trace file)" if self.system.traces else "modelled (the scenario's constants)"
        if self.links.is_random:
            link = "modelled (seeded traces)"
        profiles = (f"training of {p.model} on {p.provenance.label()}" for p in (self.system.device, self.system.edge))
        curve = self.system.stale_curve
        lost = () if curve is None else (curve.label(),)
        return (*profiles, f"link: {link}", *lost, *self.system.scenario.provenance)

    def render_lane(self, lane: int) -> np.ndarray:
        from .viewer import points_frame

        rounds, choice = int(self._round[lane]), int(self._choice[lane])
        at, clock_s = max(rounds - 1, 0), self._clock.copy()
        mbps, load, messages_s = float(self._mbps_of[at]), float(self._load_of[at]), None
        usual_s = seen_s = float(self.system.delay_s(self._mbps_of, self._load_of).max())
        if self.links.varies:
            if rounds and self.trace is not None:  # when the last round began, not the next one
                clock_s[lane] -= self.trace["delay_s"][at, lane] + self.trace["sync_s"][at, lane]
                rates = self.trace["mbps"][:rounds, lane].astype(float)
                seen_s = float(self.system.delay_s(rates, self._load_of[:rounds]).max())
            mbps, one = float(self.links.at(clock_s)[0, lane]), np.array([lane])
            messages_s = self.system.messages_s(self._transfers(one), clock_s[one], load)[:, 0]
        when = f"round {rounds} of {self.episode_steps}" if rounds else "before the first round"
        ends_s = usual_s, seen_s
        return points_frame(self.system, mbps, load, choice if choice >= 0 else None, when, ends_s, messages_s)


def _shared(values: np.ndarray, lanes: int) -> np.ndarray:
    """The same values for every lane, without a copy; read-only."""
    return np.broadcast_to(values, (lanes, *values.shape))


def held(value: float, changes: Sequence[tuple[int, float]], rounds: int) -> np.ndarray:
    """(rounds,) the value of every round, held from each change on."""
    held = np.full(rounds, value)
    for at, later in changes:
        held[at:] = later
    return held
