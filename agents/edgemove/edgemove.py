"""EdgeMove: a first cut (Alg. 1), partitioning adaptation (Alg. 2), worker adaptation (Alg. 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...envs.edgemove.actions import STAY
from ...envs.edgemove.observation import View, view
from ...envs.edgemove.pipeline import period_s
from ...envs.edgemove.planning import balanced_cut, literal_cut
from ...envs.edgemove.system import System
from .climbing import Climber, LiteralClimber, SoundClimber


@dataclass
class Lane:
    """What the agent remembers of one training.

    Attributes:
        rng: draws first directions.
        climber: of the current worker, None without one.
        climbers: sound ones by the first cut that they began with: what moves have cost is known to the next worker.
        usual_s: time of an iteration that is to be expected (sound: a moving average; literal: the worst so far).
        asked: whether a probe's results arrive with the next observation.
    """

    rng: np.random.Generator
    climber: Climber | None = None
    climbers: dict[int, SoundClimber] = field(default_factory=dict)
    usual_s: float = np.nan
    asked: bool = False


@dataclass(frozen=True)
class Offer:
    """The best server of the list.

    Attributes:
        choice: of the action.
        cut: Alg. 1's.
        worth_s: what it is judged by, and ``kept_s``, that of the worker (inf if it is not listed).
        is_worker: whether it is the worker.
        probed: whether a probe told its time.
    """

    choice: int
    cut: int
    worth_s: float
    kept_s: float
    is_worker: bool
    probed: bool


class EdgeMove:
    """The paper's agent. What moves have cost is remembered from worker to worker, which the paper does not say.

    Args:
        env: an EdgeMove env with absolute cuts.
        seed: of the first directions.
        literal: Alg. 1 to 3 as printed: the first cut by mean layers without the transfer, moves for ever, probes
            whenever the worst time so far is passed, any better probe wins the worker.
        tie, drift: see :class:`SoundClimber`.
        worse: share by which a cycle must exceed the moving average for a probe.
        gain: share by which another server must be better than the worker.
        memory: weight of the newest cycle in the moving average.
        foresight: (ours) whether the cut moves only where a gain can be expected: not to one that takes longer by the
            client's own time and the link's alone. It needs the client's profile by layer, the paper's agent does not.
    """

    def __init__(
        self,
        env: Any,
        seed: int = 0,
        *,
        literal: bool = False,
        tie: float = 0.03,
        drift: float = 0.15,
        worse: float = 0.1,
        gain: float = 0.1,
        memory: float = 0.3,
        foresight: bool = True,
    ) -> None:
        self.system: System = env.unwrapped.dynamics.system
        self.literal, self.tie, self.drift = literal, tie, drift
        self.worse, self.gain, self.memory, self.foresight = worse, gain, memory, foresight and not literal
        self.seed = seed

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        seen = view(observation, self.system)
        n = len(seen.cut)
        lanes = [Lane(np.random.default_rng((self.seed, i))) for i in range(n)] if state is None else state
        for i in np.flatnonzero(np.zeros(n) if episode_start is None else episode_start):
            lanes[i] = Lane(lanes[i].rng)
        return np.array([self._decide(seen, i, lane) for i, lane in enumerate(lanes)]), lanes

    def _decide(self, seen: View, i: int, lane: Lane) -> tuple[int, int, int]:
        """(cut less 1, server choice, probe) of a lane."""
        alone = self.system.n_layers - 1
        if alone == 0:
            return alone, STAY, 0
        offer = self._offer(seen, i)
        arrived, lane.asked = lane.asked, False
        if lane.climber is None or not (seen.has_worker[i] and seen.in_reach[i]):
            if offer is None:
                lane.climber = None
                return alone, STAY, 0
            return self._take(offer, lane, arrived)
        now_s = float(seen.last_s[i])
        if arrived and offer is not None and self._is_better(offer):
            return self._take(offer, lane, arrived)
        if np.isnan(lane.usual_s) or (arrived and not self.literal):
            lane.usual_s = now_s
        lane.asked = self._asks(lane, now_s, bool(seen.notified[i].any()))
        if self.literal:
            lane.usual_s = max(lane.usual_s, now_s)
        else:
            lane.usual_s += self.memory * (now_s - lane.usual_s)
        least_s = self._least_s(seen, i) if self.foresight else None
        return lane.climber.next(now_s, least_s) - 1, STAY, int(lane.asked)

    def _least_s(self, seen: View, i: int) -> np.ndarray:
        """(L + 1,) an iteration with every cut if the server took no time, by the client's profile and the link."""
        system, setting = self.system, self.system.scenario
        link_s = system.link_bits / seen.rate_bits[i]
        return period_s(system.client_s, 0.0, link_s, link_s, seen.rtt_s[i], setting.in_flight, setting.half_duplex)

    def _offer(self, seen: View, i: int) -> Offer | None:
        """The best of the probed servers in reach, of all as if they took no time where none was probed; or None."""
        known = np.flatnonzero(seen.covers[i] & np.isfinite(seen.server_probed_s[i]))
        if not known.size:
            known = np.flatnonzero(seen.covers[i])
        if not known.size:
            return None
        rtt_s = seen.server_rtt_s[i, known]
        probed_s = np.fmax(seen.server_probed_s[i, known], rtt_s)
        if self.literal:
            cuts, worth_s = literal_cut(self.system, probed_s, rtt_s), probed_s
        else:
            cuts, worth_s = balanced_cut(self.system, probed_s, seen.server_bits[i, known], rtt_s)
        best, mine = int(worth_s.argmin()), seen.is_worker[i, known]
        kept_s = float(worth_s[mine][0]) if mine.any() else np.inf
        probed = bool(np.isfinite(seen.server_probed_s[i, known[best]]))
        return Offer(int(known[best]) + 1, int(cuts[best]), float(worth_s[best]), kept_s, bool(mine[best]), probed)

    def _is_better(self, offer: Offer) -> bool:
        least = 0.0 if self.literal else self.gain
        return not offer.is_worker and offer.worth_s < (1.0 - least) * offer.kept_s

    def _asks(self, lane: Lane, now_s: float, notified: bool) -> bool:
        return notified or now_s > (1.0 if self.literal else 1.0 + self.worse) * lane.usual_s

    def _take(self, offer: Offer, lane: Lane, arrived: bool) -> tuple[int, int, int]:
        """Begin with a new worker; one that was chosen by what older probes told is compared again by a new one."""
        lane.usual_s = np.nan
        lane.climber = self._climber(offer.cut, lane)
        lane.asked = not (offer.probed if self.literal else arrived)
        return lane.climber.cut - 1, offer.choice, int(lane.asked)

    def _climber(self, cut: int, lane: Lane) -> Climber:
        """Partitioning adaptation from a first cut, or the one that began there with another worker."""
        if not self.literal and cut in lane.climbers:
            lane.climbers[cut].resume()
            return lane.climbers[cut]
        up, highest = bool(lane.rng.random() < 0.5), self.system.n_layers - 1
        if self.literal:
            return LiteralClimber(cut, 1, highest, up)
        lane.climbers[cut] = SoundClimber(cut, 1, highest, up, self.tie, self.drift)
        return lane.climbers[cut]
