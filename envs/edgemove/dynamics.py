"""EdgeMove as an MDP over n lanes: one step is a training cycle with one cut and one worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium import spaces

from ...models.plans import PipelinePlan
from ...ui.errors import InputError
from ..core import check_options, read_only, seeds_of
from ..scenarios import ScenarioDynamics
from .actions import Choices, action_space
from .adaptation import Placement, adaptation_s
from .listing import NOTIFY, Listing
from .observation import AGE_UNIT_S, CUT, DISTANCE_UNIT_M, HISTORY, LIMIT, LISTED, OLDEST, RTT_UNIT_S, SERVER, STATE
from .scenarios import get_scenario
from .system import System
from .world import NOBODY, World

OPTIONS = {
    "action": ("absolute", "flat", "paper", "oracle"),
    "probe": ("background", "blocking"),
    "optimum": (True, False),
}
TRACE = (
    "cycle_s", "adaptation_s", "probe_s", "oracle_cycle_s", "elapsed_s", "iterations", "cut", "worker", "probed",
    "east_m", "north_m",
)  # fmt: skip
SUMS = ("training_s", "adaptation_s", "probe_s", "oracle_s", "cut_moves", "worker_switches", "probes")


class EdgeMoveDynamics(ScenarioDynamics):
    """One episode is a whole training, one step a cycle of R iterations.

    Takes the arguments of :class:`splitgym.envs.edgemove.env.EdgeMoveEnv` after the number of lanes.
    """

    system: System
    metric_kinds = {
        "elapsed_s": "mean",
        "speedup": "harmonic",
        "training_s": "mean",
        "adaptation_s": "mean",
        "oracle_s": "mean",
        "regret_s": "mean",
        "cut_moves": "mean",
        "worker_switches": "mean",
        "probes": "mean",
    }
    plan_decides = False
    eval_episodes = 10

    def __init__(
        self,
        num_lanes: int,
        scenario: str,
        action: str = "absolute",
        probe: str = "background",
        optimum: bool = True,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        check_options("EdgeMove", {"action": action, "probe": probe, "optimum": optimum}, OPTIONS)
        self.num_lanes = num_lanes
        self.system = System(get_scenario(scenario, **fields))
        self.scenario_name = self.system.scenario.name
        self.episode_steps = self.system.cycles
        self.form, self.blocking = action, probe == "blocking"
        self.optimum = optimum or action == "oracle"
        self.world = World(self.system, num_lanes)
        self.listing = Listing(self.world, num_lanes)
        self.choices = Choices(self.world, self.listing, action)
        self.action_space = action_space(action, self.system.n_layers)
        self._cuts = self._cut_features()
        self.observation_space = spaces.Dict(
            {
                "state": spaces.Box(0.0, LIMIT, (len(STATE),), np.float32),
                "servers": spaces.Box(0.0, LIMIT, (LISTED, len(SERVER)), np.float32),
                "cuts": spaces.Box(0.0, LIMIT, self._cuts.shape[1:], np.float32),
            }
        )
        self._allocate()

    def _cut_features(self) -> np.ndarray:
        """(n, L, 2) what the client knows of every cut, read-only; the same in all lanes."""
        system = self.system
        link_s = 2.0 * system.link_bits / (1e6 * system.scenario.near_mbps)
        features = np.stack([system.client_s, link_s], axis=1)[1:] / system.on_device_iteration_s
        assert features.shape[1] == len(CUT)
        return np.broadcast_to(np.minimum(features, LIMIT).astype(np.float32), (self.num_lanes, *features.shape))

    def _allocate(self) -> None:
        n, system = self.num_lanes, self.system
        self._everyone = np.arange(n)
        self._walk0 = np.zeros(n, dtype=np.int64)
        self._episode = np.zeros(n, dtype=np.int64)
        self._rngs: list[np.random.Generator] = [np.random.default_rng(0)] * n
        self._step = np.zeros(n, dtype=np.intp)
        self.elapsed_s = np.zeros(n)
        self.cut, self.server = np.full(n, system.n_layers), np.full(n, NOBODY)
        self._last, self._worst, self._last_adaptation = np.zeros(n), np.zeros(n), np.zeros(n)
        self._history = np.zeros((2 * HISTORY, n))
        self._sums = {name: np.zeros(n) for name in SUMS}
        self.trace = {name: np.zeros((self.episode_steps, n), np.float32) for name in TRACE}
        self.trace["cut"][:], self.trace["worker"][:] = system.n_layers, NOBODY

    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        self._walk0[lanes] = seeds_of(rngs)
        self._episode[lanes] = 0
        self.world.seed(lanes, rngs)
        self.elapsed_s[lanes] = 0.0
        for lane, rng in zip(lanes, rngs, strict=True):
            self._rngs[lane] = rng

    def reset_lanes(self, lanes: np.ndarray) -> None:
        system, walks = self.system, self.system.walks
        self.world.clock_s[lanes] += self.elapsed_s[lanes]
        if system.scenario.walks == "test":
            self.world.walk[lanes] = (self._walk0[lanes] + self._episode[lanes]) % len(walks.test)
        else:
            self.world.walk[lanes] = [self._rngs[lane].choice(walks.train) for lane in lanes]
        self._episode[lanes] += 1
        self._step[lanes] = 0
        self.elapsed_s[lanes] = 0.0
        self.cut[lanes], self.server[lanes] = system.n_layers, NOBODY
        for values in (self._last, self._worst, self._last_adaptation, *self._sums.values()):
            values[lanes] = 0.0
        self._history[:, lanes] = 0.0
        self.listing.forget(lanes)
        start = np.zeros(len(lanes))
        self.listing.update(lanes, start)
        self.listing.probe(lanes, start, self._number(lanes))  # profiling before training (Sec. 3.1)
        self.listing.update(lanes, start)

    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        lane = self._everyone if lanes is None else lanes
        action = self.choices.checked(action, self.num_lanes, self.action_space)[lane]
        step, elapsed_s = self._step[lane], self.elapsed_s[lane].copy()
        iterations = np.minimum(self.system.iterations - step * self.system.scenario.cycle, self.system.scenario.cycle)
        old = Placement(self.cut[lane], self.server[lane])
        noise = self._noise(lane)
        if self.form == "oracle":
            _, server, cut = self.world.best_cycle_s(lane, elapsed_s, iterations)
            new, probes = Placement(cut, server), np.zeros(len(lane), dtype=bool)
            moved_s = np.zeros(len(lane))
        else:
            new, probes = self.choices.of(action, old, lane, elapsed_s)
            moved_s = self._adaptation_s(old, new, lane, elapsed_s)
        probe_s = self._probe(lane, elapsed_s, probes)
        begins_s = elapsed_s + moved_s + probe_s
        cycle_s = self._cycle_s(new, lane, begins_s, iterations, noise)
        self.elapsed_s[lane] = begins_s + cycle_s
        best_s = self._best_s(lane, begins_s, iterations, noise, cycle_s)
        self._note(lane, old, new, iterations, (cycle_s, moved_s, probe_s, best_s), probes)
        self._step[lane] = step + 1
        self.listing.update(lane, self.elapsed_s[lane])
        reward, terminated = np.zeros(self.num_lanes), np.zeros(self.num_lanes, dtype=bool)
        reward[lane] = -(cycle_s + moved_s + probe_s) / self.system.on_device_cycle_s
        terminated[lane] = step == self.episode_steps - 1
        return reward, terminated

    def _adaptation_s(self, old: Placement, new: Placement, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """(k,) seconds until new pipelines run."""
        return adaptation_s(self.world, old, new, lane, elapsed_s)

    def _cycle_s(
        self, new: Placement, lane: np.ndarray, begins_s: np.ndarray, iterations: np.ndarray, noise: np.ndarray
    ) -> np.ndarray:
        """(k,) seconds of cycles that begin at some times."""
        return noise * self.world.cycle_s(new.cut, new.server, lane, begins_s, iterations)

    def _number(self, lane: np.ndarray) -> np.ndarray:
        """(k,) numbers that no other cycle of the lane has had."""
        return self._episode[lane] * (self.episode_steps + 1) + self._step[lane]

    def _noise(self, lane: np.ndarray) -> np.ndarray:
        """(k,) factors on the time of a cycle."""
        noise = self.system.scenario.noise
        return 1.0 + noise * np.clip(self.world.servers.normal(lane, self._number(lane)), -4.0, 4.0)

    def _best_s(
        self, lane: np.ndarray, begins_s: np.ndarray, iterations: np.ndarray, noise: np.ndarray, cycle_s: np.ndarray
    ) -> np.ndarray:
        """(k,) seconds of the fastest cycle that could begin then; NaN where the optimum is left out."""
        if not self.optimum:
            return np.full(len(lane), np.nan)
        if self.form == "oracle":
            return cycle_s
        seconds, _, _ = self.world.best_cycle_s(lane, begins_s, iterations)
        return np.minimum(noise * seconds, cycle_s)  # a worker that was just left behind may be the fastest

    def _probe(self, lane: np.ndarray, elapsed_s: np.ndarray, probes: np.ndarray) -> np.ndarray:
        """(k,) seconds that probing costs; its results are there at the end of the cycle."""
        seconds = np.zeros(len(lane))
        if probes.any():
            who = lane[probes]
            if self.blocking:
                seconds[probes] = self.listing.blocking_probe_s(who, elapsed_s[probes])
            self.listing.probe(who, elapsed_s[probes], self._number(who) + 1)
        return seconds

    def _note(
        self,
        lane: np.ndarray,
        old: Placement,
        new: Placement,
        iterations: np.ndarray,
        seconds: tuple[np.ndarray, ...],
        probes: np.ndarray,
    ) -> None:
        """Keep what the step was, for observation, metrics and trace."""
        cycle_s, moved_s, probe_s, oracle_s = seconds
        system, step = self.system, self._step[lane]
        self.cut[lane], self.server[lane] = new.cut, new.server
        last = cycle_s / (iterations * system.on_device_iteration_s)
        another = new.server != old.server
        self._worst[lane] = np.where(another, last, np.maximum(self._worst[lane], last))
        self._last[lane] = last
        self._last_adaptation[lane] = moved_s / system.on_device_cycle_s
        history = self._history
        history[1:HISTORY, lane], history[HISTORY + 1 :, lane] = (
            history[: HISTORY - 1, lane].copy(),
            history[HISTORY:-1, lane].copy(),
        )
        history[0, lane], history[HISTORY, lane] = new.cut / system.n_layers, last
        switched = another & (old.server != NOBODY)
        moved = ~another & (new.cut != old.cut)
        figures = (cycle_s, moved_s, probe_s, oracle_s, moved, switched, probes)
        for values, figure in zip(self._sums.values(), figures, strict=True):
            values[lane] += figure
        east, north = self.world.position_m(lane, self.elapsed_s[lane])
        rows = (cycle_s, moved_s, probe_s, oracle_s, self.elapsed_s[lane], iterations, new.cut, new.server, probes)
        for kept, row in zip(self.trace.values(), (*rows, east, north), strict=True):
            kept[step, lane] = row

    def observe(self) -> dict[str, np.ndarray]:
        listing, world, system = self.listing, self.world, self.system
        server, lane, elapsed_s = listing.server, self._everyone[:, None], self.elapsed_s[:, None]
        clock_s = world.clock_s[:, None] + elapsed_s
        slot = world.servers.slot(server, lane)
        rtt_s = world.servers.rtt_s(slot, clock_s)
        test_s = world.test_iteration_s(server, lane, elapsed_s)
        probed_s, probed, age = self._probed(slot, clock_s)
        values = (
            listing.covers,
            server == self.server[:, None],
            listing.distance_m * (1.0 / DISTANCE_UNIT_M),
            world.rate_bits(server, lane, elapsed_s, listing.distance_m) * (1e-6 / system.scenario.near_mbps),
            rtt_s * (1.0 / RTT_UNIT_S),
            probed,
            age,
            test_s < NOTIFY * np.where(np.isfinite(probed_s), probed_s, 0.0),
        )
        servers = np.empty((self.num_lanes, LISTED, len(SERVER)), dtype=np.float32)
        for column, value in enumerate(values):
            servers[..., column] = value
        servers *= listing.covers[..., None]
        np.minimum(servers, LIMIT, out=servers)
        return {"state": self._state(clock_s[:, 0]), "servers": servers, "cuts": read_only(self._cuts)}

    def _probed(self, slot: np.ndarray, clock_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What was last probed (inf if never), and scaled: it and its age; 0 and ``OLDEST`` if never."""
        probed_s = self.listing.probed_s.take(slot)
        known = np.isfinite(probed_s)
        age = (clock_s - self.listing.probed_at_s.take(slot)) * (1.0 / AGE_UNIT_S)
        scaled = np.minimum(np.where(known, probed_s, 0.0) * (1.0 / self.system.on_device_iteration_s), LIMIT)
        return probed_s, scaled, np.where(known, np.minimum(age, OLDEST), OLDEST)

    def _state(self, clock_s: np.ndarray) -> np.ndarray:
        lane, elapsed_s, system, world = self._everyone, self.elapsed_s, self.system, self.world
        near = 1e6 * system.scenario.near_mbps
        has, cloud = self.server != NOBODY, system.cloud
        worker = np.maximum(self.server, 0)
        distance_m = world.distance_m(worker, world.position_m(lane, elapsed_s))
        slot, cloud_slot = (world.servers.slot(server, lane) for server in (worker, cloud))
        _, probed, age = self._probed(slot, clock_s)
        _, cloud_probed, cloud_age = self._probed(cloud_slot, clock_s)
        state = np.empty((len(STATE), self.num_lanes), dtype=np.float32)
        rows = (
            self.cut / system.n_layers,
            has & (self.server != system.cloud),
            self.server == system.cloud,
            has & world.reaches(worker, distance_m),
            has * world.rate_bits(worker, lane, elapsed_s, distance_m) / near,
            has * world.servers.rtt_s(slot, clock_s) / RTT_UNIT_S,
            has * probed,
            has * age,
            self._last,
            self._worst,
            self._last_adaptation,
            1.0 - self._step * (system.scenario.cycle / system.iterations),
            world.servers.cloud_bits(lane, clock_s) / near,
            world.servers.rtt_s(cloud_slot, clock_s) / RTT_UNIT_S,
            cloud_probed,
            cloud_age,
        )
        for i, row in enumerate(rows):
            state[i] = row
        state[len(rows) :] = self._history
        return np.ascontiguousarray(np.clip(state, 0.0, LIMIT).T)

    def step_info(self, lane: int) -> dict[str, Any]:
        step = int(self._step[lane]) - 1
        if step < 0:
            return {}
        names = ("cycle_s", "adaptation_s", "probe_s", "oracle_cycle_s")
        told: dict[str, Any] = {name: float(self.trace[name][step, lane]) for name in names}
        if not self.optimum:
            del told["oracle_cycle_s"]  # Gymnasium's checker compares infos, and NaN equals nothing
        told |= {
            "elapsed_s": float(self.elapsed_s[lane]),
            "cut_moves": int(self._sums["cut_moves"][lane]),
            "worker_switches": int(self._sums["worker_switches"][lane]),
            "worker": self.system.worker_name(int(self.server[lane])),
            "cut": int(self.cut[lane]),
        }
        return {"cycle": told}

    def metrics(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        sums, elapsed_s = {name: values[lanes] for name, values in self._sums.items()}, self.elapsed_s[lanes]
        return {
            "elapsed_s": elapsed_s,
            "speedup": self.system.on_device_s / elapsed_s,
            **{name: sums[name] for name in ("training_s", "adaptation_s", "oracle_s")},
            "regret_s": elapsed_s - sums["oracle_s"],
            **{name: sums[name] for name in ("cut_moves", "worker_switches", "probes")},
        }

    def details(self, lane: int) -> dict[str, Any]:
        trace = {name: rows[:, lane].copy() for name, rows in self.trace.items()}
        plan = self.plan(lane)
        return {"trace": trace, "plan": plan.to_json()}

    def plan(self, lane: int) -> PipelinePlan:
        """The pipeline of the last cycle, that of the last episode where the next one has not begun."""
        system, last = self.system, (int(self._step[lane]) or self.episode_steps) - 1
        cut, server = (int(self.trace[name][last, lane]) for name in ("cut", "worker"))
        return system.plan(cut, server)

    def plan_actions(self, plan: Any) -> np.ndarray:
        raise InputError("a plan's worker has another place in the list of every cycle; play it as an agent")

    @property
    def provenance(self) -> tuple[str, ...]:
        system = self.system
        city = f"from {system.scenario.sites}" if system.scenario.sites else "synthetic"
        profiles = (f"training of {p.model} on {p.provenance.label()}" for p in system.profiles.values())
        return (*system.scenario.provenance, *profiles, f"sites: {city}; links, loads and latencies: modelled (seeded)")

    def render_lane(self, lane: int) -> np.ndarray:
        from ..figures import frame
        from .viewer import episode_figure

        steps = int(self._step[lane])
        trace = {name: rows[:steps, lane] for name, rows in self.trace.items()}
        return frame(episode_figure(self.system, int(self.world.walk[lane]), trace, moving=True))
