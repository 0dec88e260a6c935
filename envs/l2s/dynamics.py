"""L2S's training rounds as an MDP over n lanes (paper, Sec. III-B, IV-C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium import spaces

from ...models.plans import CutPlan
from ..core import check_options, read_only
from ..links import LinkRates
from ..scenarios import ScenarioDynamics
from .ledger import SyncLedger
from .scenarios import get_scenario
from .system import FEATURES, System, TransferS

OPTIONS = {"reward": ("delay", "total"), "sync": ("period", "change", "ask"), "record": (True, False)}
LIMIT = 1e6  # bound of scaled delays
NOISE_BLOCK = 256  # rounds whose noise a lane draws at once
Lanes = np.ndarray | slice
ALL = slice(None)


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
        self._accuracy_worth = setting.accuracy_worth
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

        def box(*shape: int, high: float = 1.0, low: float = 0.0) -> spaces.Box:
            return spaces.Box(low, high, shape, np.float32)

        self.action_space = spaces.Discrete(2 * points if self.asks else points)
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
        scaled = (self.system.front_s / self.system.pdt_s).astype(np.float32)
        self._contexts = _shared(self.system.contexts.astype(np.float32), self.num_lanes)
        self._device_delay = _shared(scaled, self.num_lanes)

    def _schedule(self) -> None:
        """Rate, load and optimum of every round, where they are known before."""
        setting = self.system.scenario
        self._mbps_of = held(setting.mbps, setting.mbps_changes, setting.rounds)
        self._load_of = held(setting.edge_load, setting.load_changes, setting.rounds)
        expected_s = self.system.delay_s(self._mbps_of, self._load_of)
        self._oracle_of, self._best_of = expected_s.min(axis=0), expected_s.argmin(axis=0)

    def best_choice(self, rounds: np.ndarray) -> np.ndarray:
        """Actions (n,) with the least expected delay in some rounds (n,), from what agents cannot see.

        Where the link follows a trace, the lanes must be this env's own, since each has its own clock.
        """
        rounds = np.minimum(rounds, self.episode_steps - 1)
        if self.links.varies:
            return self._delays_s(ALL, self._clock, rounds).argmin(axis=0)
        return self._best_of[rounds]

    def _allocate(self, record: bool) -> None:
        n = self.num_lanes
        self._everyone = np.arange(n)
        self._rngs: list[np.random.Generator] = [np.random.default_rng(0)] * n
        self._noise = np.zeros((NOISE_BLOCK, n))
        self._clock = np.zeros(n)
        self._round = np.zeros(n, dtype=np.intp)
        self._choice = np.full(n, -1, dtype=np.intp)  # feasible point of the last round, -1 before the first
        self._edge = np.zeros(n)  # observed d^e of the last round
        figures = ("delay_s", "edge_delay_s", "oracle_delay_s", "sync_s", "regret_s", "stale", "accuracy_cost")
        self._sums = {name: np.zeros(n) for name in figures}
        self._now: dict[str, np.ndarray] = {}  # the last round's figures, for step_info
        self.trace: dict[str, np.ndarray] | None = None  # (rounds, lanes) of the episode under way
        if record:
            rounds = self.episode_steps
            names = ("delay_s", "expected_s", "edge_delay_s", "oracle_delay_s", "sync_s", "mbps")
            self.trace = {"point": np.zeros((rounds, n), np.int16)}
            self.trace |= {name: np.zeros((rounds, n), np.float32) for name in names}

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
        for values in self._sums.values():
            values[lanes] = 0.0

    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        where: Lanes = ALL if lanes is None else lanes
        choice, asked = self._checked(action, where)
        rounds, front_s = self._round[where].copy(), self.system.front_s[choice]
        at, asked_s = _shared_round(rounds), 0.0
        if asked is not None and asked.any():
            asked_s = self.ledger.synchronise(where, asked, partial(self._weights_s, where, at, ()))
        mbps, expected_s, oracle_s = self._conditions(where, at, choice, front_s, asked_s)
        delay_s = self._delay_s(where, rounds, choice, expected_s)
        weights_s = partial(self._weights_s, where, at, (asked_s, delay_s))
        sync_s = asked_s + self.ledger.advance(where, choice + self.system.first, rounds, weights_s)
        edge_s = np.where(choice == self.system.n_points - 1, 0.0, delay_s - front_s)  # as observed
        self._choice[where] = choice
        self._edge[where] = edge_s
        self._round[where] = rounds + 1
        stale = self.ledger.trained_stale[where]
        lost = np.where(stale, self.system.stale_costs[self.ledger.age[where]], 0.0)
        self._add(where, delay_s, edge_s, oracle_s, sync_s, expected_s - oracle_s, stale, lost)
        if self.trace is not None:
            self._write(where, rounds, delay_s, expected_s, edge_s, oracle_s, sync_s, mbps)
        if self.links.varies:
            self._clock[where] += delay_s + sync_s
        reward, terminated = np.zeros(self.num_lanes), np.zeros(self.num_lanes, dtype=bool)
        reward[where] = (delay_s + sync_s if self.total_reward else delay_s) / -self.system.pdt_s
        if self._accuracy_worth:
            reward[where] -= self._accuracy_worth * lost
        terminated[where] = rounds == self.episode_steps - 1
        return reward, terminated

    def _delay_s(self, where: Lanes, rounds: np.ndarray, choice: np.ndarray, expected_s: Any) -> Any:
        """(n,) seconds that rounds take, apart from synchronisation."""
        return expected_s * (1.0 + self._draw(where, rounds))

    def _checked(self, action: np.ndarray, where: Lanes) -> tuple[np.ndarray, np.ndarray | None]:
        """(feasible points, where synchronisation is asked for first) of the lanes that step."""
        action = np.asarray(action)
        if action.shape != (self.num_lanes,):
            raise ValueError(f"action has shape {action.shape[1:]}, it must be one whole number for each lane")
        if action.dtype.kind not in "iu":
            raise ValueError(f"action is of type {action.dtype}, it must be a whole number (NaN is none)")
        choice, points = action[where].astype(np.intp), self.system.n_points
        if choice.min() < 0 or choice.max() >= int(self.action_space.n):  # type: ignore[attr-defined]
            raise ValueError(f"action lies outside 0..{self.action_space.n - 1}")  # type: ignore[attr-defined]
        return (choice % points, choice >= points) if self.asks else (choice, None)

    def _conditions(
        self, where: Lanes, at: Any, choice: np.ndarray, front_s: np.ndarray, asked_s: Any
    ) -> tuple[Any, Any, Any]:
        """(rate at the start, the choice's expected delay, the optimum's) of rounds; scalars where lanes share them."""
        if self.links.varies:
            clock_s = self._clock.copy()
            clock_s[where] += asked_s
            delays_s = self._delays_s(where, clock_s[where], at)
            expected_s = delays_s[choice, np.arange(len(choice))]
            return self.links.at(clock_s)[0][where], expected_s, delays_s.min(axis=0)
        mbps = self._mbps_of[at]
        expected_s = front_s + self.system.edge_delay_s(mbps, self._load_of[at], choice)
        return mbps, expected_s, self._oracle_of[at]

    def _delays_s(self, where: Lanes, start_s: np.ndarray, at: Any) -> np.ndarray:
        """(K, n) expected delays of all points in rounds that begin at some times, on a link that varies."""
        return self.system.changing_delay_s(self._transfers(where), start_s, self._load_of[at])

    def _transfers(self, where: Lanes) -> TransferS:
        return partial(self.links.transfer_s, lanes=self._everyone[where])

    def _weights_s(self, where: Lanes, at: Any, past_s: Sequence[Any], low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(n,) seconds to send the weights between two points when the parts ``past_s`` of a round are over."""
        if self.links.varies:
            start_s = self._clock[where] + sum(past_s)
            return self.system.changing_sync_s(low, high, self._transfers(where), start_s)
        return self.system.sync_s(low, high, self._mbps_of[at])

    def _draw(self, where: Lanes, rounds: np.ndarray) -> np.ndarray | float:
        """Relative noise of this round."""
        sigma = self.system.scenario.noise
        if not sigma:
            return 0.0
        at = rounds % NOISE_BLOCK
        lanes = self._everyone[where]
        if not at.all():
            for lane in lanes[at == 0]:
                self._noise[:, lane] = self._rngs[lane].standard_normal(NOISE_BLOCK)
        return sigma * self._noise[at, lanes]

    def _add(self, where: Lanes, *figures: Any) -> None:
        for (name, total), value in zip(self._sums.items(), figures, strict=True):
            total[where] += value
            self._now[name] = value

    def _write(self, where: Lanes, rounds: np.ndarray, *figures: Any) -> None:
        assert self.trace is not None
        lanes = self._everyone[where]
        self.trace["point"][rounds, lanes] = self._choice[where] + self.system.first
        for name, value in zip(list(self.trace)[1:], figures, strict=True):
            self.trace[name][rounds, lanes] = value

    def observe(self) -> dict[str, np.ndarray]:
        n = self.num_lanes
        last_point = np.zeros((n, self.system.n_points), dtype=np.float32)
        some = self._everyone if self._choice.min() >= 0 else np.flatnonzero(self._choice >= 0)
        last_point[some, self._choice[some]] = 1.0
        edge = (self._edge / self.system.pdt_s).astype(np.float32)
        return {
            "contexts": read_only(self._contexts),
            "device_delay": read_only(self._device_delay),
            "last_edge_delay": np.clip(edge, -LIMIT, LIMIT)[:, None],
            "last_point": last_point,
            "round": (self._round / self.episode_steps).astype(np.float32)[:, None],
            "stale_layers": self.ledger.stale(),
        }

    def step_info(self, lane: int) -> dict[str, Any]:
        if self._choice[lane] < 0:
            return {}
        now = {name: float(np.broadcast_to(value, (self.num_lanes,))[lane]) for name, value in self._now.items()}
        point = int(self._choice[lane]) + self.system.first
        return {"round": {"point": point, **now, "regret_s": float(self._sums["regret_s"][lane])}}

    def metrics(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        sums, rounds = {name: values[lanes] for name, values in self._sums.items()}, self.episode_steps
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
        return CutPlan(self.system.model.name, steps, types=self.system.device_types)

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
            mbps, one = float(self.links.at(clock_s)[0, lane]), slice(lane, lane + 1)
            messages_s = self.system.messages_s(self._transfers(one), clock_s[one], load)[:, 0]
        when = f"round {rounds} of {self.episode_steps}" if rounds else "before the first round"
        ends_s = usual_s, seen_s
        return points_frame(self.system, mbps, load, choice if choice >= 0 else None, when, ends_s, messages_s)


def _shared(values: np.ndarray, lanes: int) -> np.ndarray:
    """The same values for every lane, without a copy; read-only."""
    return np.broadcast_to(values, (lanes, *values.shape))


def _shared_round(rounds: np.ndarray) -> Any:
    """The one round that all lanes are in, or the (n,) rounds of lanes that differ."""
    first = int(rounds[0])
    return first if rounds.size == 1 or (rounds == first).all() else rounds


def held(value: float, changes: Sequence[tuple[int, float]], rounds: int) -> np.ndarray:
    """(rounds,) the value of every round, held from each change on."""
    held = np.full(rounds, value)
    for at, later in changes:
        held[at:] = later
    return held
