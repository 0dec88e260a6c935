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
from .kernels import MOST_SIGMAS, observe_clients, observe_servers
from .listing import Listing
from .observation import CUT, HISTORY, LIMIT, LISTED, SERVER, STATE
from .scenarios import get_scenario
from .system import NOBODY, System
from .world import World

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
        self._memory = np.zeros((3 + 2 * HISTORY, n))  # last cycle, worst, last adaptation, history of cuts, of cycles
        self._sums = np.zeros((len(SUMS), n))
        self._trace = np.zeros((n, self.episode_steps, len(TRACE)), np.float32)
        self.trace["cut"][:], self.trace["worker"][:] = system.n_layers, NOBODY

    @property
    def trace(self) -> dict[str, np.ndarray]:
        """What every step of the last episode was, by :data:`TRACE`'s names: (steps, n) each."""
        return {name: self._trace[..., row].T for row, name in enumerate(TRACE)}

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
        self._memory[:, lanes], self._sums[:, lanes] = 0.0, 0.0
        self.listing.forget(lanes)
        start = np.zeros(len(lanes))
        self.listing.probe(lanes, start, self._number(lanes))  # profiling before training (Sec. 3.1)
        self.listing.update(lanes, start, self.server)

    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        at = slice(None) if lanes is None else lanes  # a slice is far cheaper than all indices
        lane, setting = self._everyone[at], self.system.scenario
        action = self.choices.checked(action, self.num_lanes, self.action_space)[at]
        step, elapsed_s = self._step[at].copy(), self.elapsed_s[at].copy()
        iterations = np.minimum(self.system.iterations - step * setting.cycle, setting.cycle)
        old = Placement(self.cut[at].copy(), self.server[at].copy())
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
        best_s = self._best_s(lane, begins_s, iterations, noise, cycle_s)
        self.cut[at], self.server[at] = new.cut, new.server
        self._step[at], self.elapsed_s[at] = step + 1, begins_s + cycle_s
        self.listing.update(lane, self.elapsed_s[at], self.server)
        self._remember(at, old, new, cycle_s / (iterations * self.system.on_device_iteration_s), moved_s)
        seconds = cycle_s, moved_s, probe_s, best_s
        self._count(at, old, new, seconds, probes)
        after = self.elapsed_s[at], iterations, new.cut, new.server, probes, *self.listing.place_m[at].T
        self._trace[lane, step] = np.stack([*seconds, *after], axis=1)
        reward, terminated = np.zeros(self.num_lanes), np.zeros(self.num_lanes, dtype=bool)
        reward[at] = -(cycle_s + moved_s + probe_s) / self.system.on_device_cycle_s
        terminated[at] = step == self.episode_steps - 1
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
        return 1.0 + noise * np.clip(self.world.servers.normal(lane, self._number(lane)), -MOST_SIGMAS, MOST_SIGMAS)

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

    def _remember(self, at: Any, old: Placement, new: Placement, last: np.ndarray, moved_s: np.ndarray) -> None:
        """Keep what clients remember of a cycle; ``last`` is its time in that of the client alone."""
        before = self._memory[:, at]
        memory = np.empty_like(before)
        memory[0], memory[2] = last, moved_s / self.system.on_device_cycle_s
        memory[1] = np.where(new.server != old.server, last, np.maximum(before[1], last))
        memory[4:] = before[3:-1]
        memory[3], memory[3 + HISTORY] = new.cut / self.system.n_layers, last
        self._memory[:, at] = memory

    def _count(
        self, at: Any, old: Placement, new: Placement, seconds: tuple[np.ndarray, ...], probes: np.ndarray
    ) -> None:
        """Add a cycle to the episode's sums."""
        another = new.server != old.server
        moved, switched = ~another & (new.cut != old.cut), another & (old.server != NOBODY)
        for row, figure in enumerate((*seconds, moved, switched, probes)):
            self._sums[row, at] += figure

    def observe(self) -> dict[str, np.ndarray]:
        system, setting, listing = self.system, self.system.scenario, self.listing
        near_mbps, share = setting.near_mbps, setting.cycle / system.iterations
        units = 1e6 * near_mbps, 1e-6 / near_mbps, system.on_device_iteration_s, share
        own = self.cut, self.server, listing.reached, self._step, self.elapsed_s
        listed = listing.server, listing.distance_m, listing.covers
        state = np.empty((self.num_lanes, len(STATE)), dtype=np.float32)
        servers = np.empty((self.num_lanes, LISTED, len(SERVER)), dtype=np.float32)
        tables, probes = self.world.tables, listing.probes
        observe_clients(tables, units, own, self._memory, probes, state)
        observe_servers(tables, units, self.server, self.elapsed_s, listed, probes, servers)
        return {"state": state, "servers": servers, "cuts": read_only(self._cuts)}

    def step_info(self, lane: int) -> dict[str, Any]:
        step = int(self._step[lane]) - 1
        if step < 0:
            return {}
        told: dict[str, Any] = dict(zip(TRACE[:4], self._trace[lane, step, :4].tolist(), strict=True))
        if not self.optimum:
            del told["oracle_cycle_s"]  # Gymnasium's checker compares infos, and NaN equals nothing
        told |= {
            "elapsed_s": float(self.elapsed_s[lane]),
            **{name: int(self._sums[SUMS.index(name), lane]) for name in ("cut_moves", "worker_switches")},
            "worker": self.system.worker_name(int(self.server[lane])),
            "cut": int(self.cut[lane]),
        }
        return {"cycle": told}

    def metrics(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        sums, elapsed_s = dict(zip(SUMS, self._sums[:, lanes], strict=True)), self.elapsed_s[lanes]
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
