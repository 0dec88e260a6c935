"""EdgeMove's cycles on real workers: the same MDP, its times measured, while a network really learns.

The client and the server of the pipeline are processes that take the times of those that they stand for, where and when
the client is. Another process stands by for the next server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ui.errors import InputError
from ..live_lane import LiveLane
from ..live_lane import dynamics_of as made
from ..live_training import NO_LINK, Costs, Learning
from ..training_cluster import LiveOptions
from .adaptation import Placement
from .dynamics import EdgeMoveDynamics
from .system import NOBODY

if TYPE_CHECKING:
    from ...runtime.training.steps import Step
    from ...runtime.wire_training import AnyEntry

ROLES, SPARE = ("client", "server"), "server-2"
SAMPLED = 6  # minibatches of a cycle that are timed, at least
PROBED = 3  # rounds of a test model
PROBE_SEED = 0  # of its widths


class LiveDynamics(LiveLane, EdgeMoveDynamics):
    """One lane whose minibatches are trained by workers.

    Of a cycle some minibatches are really trained, at the rate and load in its middle; its time is that of as many as
    it has, and behind a change that of the first one, which fills the pipeline. Layers that change sides really travel.
    A new worker gets its layers from the client, which first fetches them from the old one; where that is out of reach
    they come over the backhaul, which is not emulated but priced, as in the tables.
    """

    family = "EdgeMove"
    measures = "cycles, moves, test models"

    def __init__(self, num_lanes: int, live: LiveOptions, **options: Any) -> None:
        super().__init__(num_lanes, **options)
        if self.form == "oracle":
            raise InputError("EdgeMove: action='oracle', allowed for backend=live: absolute, flat, paper")
        from .live import make_system

        make_system(self.system.scenario)
        self.eval_episodes = 1
        self._open(live, ROLES, lambda: [self._task()], (SPARE,))
        self.world.whole_s[:] = self._probed_kinds()[self.system.kind]
        self._worker = ROLES[1]  # that plays the server
        self._next = 0  # minibatch
        self._changed = False  # since the last cycle

    def _task(self) -> Any:
        """The smallest part of the network on the client."""
        from .live import task

        return task(self.system, self.system.plan(min(1, self.system.n_layers - 1) or 1, self._near()), self._learning)

    def _near(self) -> int:
        return self.system.cloud if self.system.n_layers > 1 else NOBODY

    def _probed_kinds(self) -> np.ndarray:
        """(kinds,) seconds of an iteration of a test model, on noise, on every kind of server, its floor included."""
        from ...runtime.training.data import Dataset
        from ...runtime.training.probe import CLASSES, noise_batch, obfuscated
        from .live import costs, job, server_party

        setting, found = self.system.scenario, []
        model = obfuscated(self.system.model, PROBE_SEED)
        images, labels = noise_batch(model, setting.batch, PROBE_SEED)
        names = tuple(str(number) for number in range(CLASSES))
        noise = Dataset("noise", names, images, labels, images[:1], labels[:1])
        probe = replace(job(self.system, 0, Learning(noise)), model=model, in_flight=1)
        base = costs(self.world, NOBODY, 0, 0.0)
        for kind in range(len(setting.gpus) + 1):
            parties = {**base.parties, "server": server_party(self.system, kind)}
            free = Costs(parties, dict.fromkeys(base.links, NO_LINK), base.batch)
            training = self._bench.begin(self, probe, free, self.scale)
            steps = list(training.run(self._test_entries(), drains=True))[:PROBED]
            told = [busy_s for step in steps if (busy_s := self._busy_s(step)) > 0.0]
            if not told:
                raise InputError("workers do not tell in time how long they computed; is this machine too busy?")
            found.append(np.median(told) / self.scale)
        return np.array(found)

    def _test_entries(self) -> list[AnyEntry]:
        from ...runtime.wire_training import Minibatch

        return [Minibatch(number, 0, self._learning.rate) for number in range(PROBED)]

    @staticmethod
    def _busy_s(step: Step) -> float:
        """Real seconds that the server computes for a minibatch; 0 where it has not told in time."""
        spans = [span for span in step.spans.get("server", ()) if span.kind not in ("send", "receive")]
        return max(s.end_s for s in spans) - min(s.start_s for s in spans) if spans else 0.0

    def reset_lanes(self, lanes: np.ndarray) -> None:
        from .live import job

        super().reset_lanes(lanes)
        self._begin(partial(job, self.system, len(self.system.model.steps)), self._costs(NOBODY, 0.0))
        self._worker, self._next, self._changed = ROLES[1], 0, False

    def _costs(self, server: int, elapsed_s: float) -> Costs:
        from .live import costs

        return costs(self.world, server, 0, elapsed_s)

    def _adaptation_s(self, old: Placement, new: Placement, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        self._changed = bool(old.differs(new)[0])
        if not self._changed:
            return np.zeros(1)
        (cut,), (server,), (then,), (worker,) = old.cut, old.server, new.cut, new.server
        at_s, last, spent_s = float(elapsed_s[0]), self.system.n_layers, 0.0
        if server == worker:
            return np.array([self._moved_s(int(server), int(cut), int(then), at_s)])
        if server != NOBODY:
            position = self.world.position_m(lane, elapsed_s)
            reached = bool(self.world.reaches(old.server, self.world.distance_m(old.server, position))[0])
            if not reached:
                left_bits = self.system.weight_bits[-1] - self.system.weight_bits[cut]
                spent_s += float(left_bits) / (1e6 * self.system.scenario.backhaul_mbps)
            if reached or worker == NOBODY:
                spent_s += self._moved_s(int(server), int(cut), last, at_s)
                cut = last
        if worker != NOBODY:
            self._switch()
            spent_s += self._moved_s(int(worker), int(cut), int(then), at_s)
        return np.array([spent_s])

    def _switch(self) -> None:
        """Have the process that stands by play the server."""
        self._worker = SPARE if self._worker == ROLES[1] else ROLES[1]
        self._playing().switch("server", self._worker)

    def _moved_s(self, server: int, before: int, after: int, elapsed_s: float) -> float:
        """Seconds that layers take to change sides over a server's link."""
        from ...runtime.wire_training import Move

        if before == after:
            return 0.0
        moved = Move(self.system.points[before], self.system.points[after])
        return self._took_s(self._keep_to(self._costs(server, elapsed_s)).do(moved))

    def _cycle_s(
        self, new: Placement, lane: np.ndarray, begins_s: np.ndarray, iterations: np.ndarray, noise: np.ndarray
    ) -> np.ndarray:
        from ...runtime.wire_training import Minibatch

        (cut,), (server,) = new.cut, new.server
        depth = 1 if server == NOBODY else self.system.scenario.in_flight
        expected_s = float(self.world.cycle_s(new.cut, new.server, lane, begins_s, iterations)[0])
        training = self._keep_to(self._costs(int(server), float(begins_s[0]) + expected_s / 2))
        timed = depth * ceil(SAMPLED / depth)
        numbers = range(self._next, self._next + timed + 2 * depth + 1)
        entries = (Minibatch(number, self.system.points[cut], self._learning.rate) for number in numbers)
        found = [step for step in training.run(entries, drains=True) if isinstance(step.entry, Minibatch)]
        self._next = numbers.stop
        self._note_learnt(found)
        period_s = (found[depth + timed].logged_s - found[depth].logged_s) / timed
        first_s = found[0].logged_s - found[0].begun_s if self._changed else period_s
        return np.array([(first_s + (float(iterations[0]) - 1.0) * period_s) / self.scale])


def dynamics_of(backend: str, num_lanes: int, options: Mapping[str, Any], live: Mapping[str, Any]) -> EdgeMoveDynamics:
    """The dynamics of a backend; see :func:`..live_lane.dynamics_of`."""
    return made("EdgeMove", EdgeMoveDynamics, LiveDynamics, backend, num_lanes, options, live)
