"""The latency of one image under a spatial plan: the physics of DistrEdge, written once, for any number of lanes.

Each device has three threads: receive, compute, send. A message of n bytes from i to j takes
``t_msg(i, j) + 8 n / (eta min(B_i, B_j)) + n / r_out(i) + n / r_in(j)``; a device's messages leave one after another in
receiver order, and a receiver's link carries all that comes in, one exchange after another: an exchange's bytes follow
each other from the start of its first message or, if that is later, from the end of what came before over the link
(serving message by message as they come gives most plans the same latency, the others a little more or less). The
requester scatters serially at its own rate: a message occupies it as if the receiver were as fast, so several slow
links can be fed side by side.

Where all are on one access point every message takes airtime, and the air carries one at a time. A message of n bytes
from i to j crosses the air twice and takes ``8 n / eta (1 / B_i + 1 / B_j)`` of it; a rate is what a link carries while
it has the air. The sender's thread first pays the fixed cost ``t_msg(i, j)``, then asks for the air, which serves
whoever asked first (of two at once the first device), and copies ``n / r_out(i) + n / r_in(j)`` when it is through;
only then it turns to its next message. The requester is on Wi-Fi too and pays both ways. As incoming links do in the
switched physics, the air serves one exchange after another: what is sent for a layer-volume waits until all that goes
to the volume before is through. (An air that knows no exchanges gives random plans latencies 0.5 to 2 % away, mean of
absolute values.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .state import Progress
from .volumes import VolumeTables

Row = tuple[str, int, float, float, str]  # an event: kind, device, start_s, end_s, label
KINDS = ("scatter", "send", "compute")  # in the order of the kernels' numbers
NO_LOG = np.zeros((0, 5))


@dataclass(frozen=True)
class Links:
    """Who can send how fast; rates are Mbit/s.

    Attributes:
        message_s: (D,) fixed cost of a message at each device; a message pays the larger end's.
        copy_s_per_byte: (D,) copy and serialisation at each end.
        requester_message_s, requester_copy_s_per_byte: the same for the requester.
        eta: share of a rate that payload gets.
    """

    message_s: np.ndarray
    copy_s_per_byte: np.ndarray
    requester_message_s: float
    requester_copy_s_per_byte: float
    eta: float


class Rates:
    """What links carry, in one row for all lanes or in one each.

    Args:
        eta: share of a rate that payload gets.
        mbps: (D, 1) or (D, n) device rates.
        requester_mbps: rate of the requester, or what it has to every device, shaped as ``mbps``.

    Attributes:
        mbps: (1 or n, D) of the devices.
        in_s, requester_in_s: (1 or n, D) seconds a byte on every device's link, and on the requester's to each.
    """

    def __init__(self, eta: float, mbps: np.ndarray, requester_mbps: float | np.ndarray) -> None:
        self.mbps = _by_lane(mbps)
        self.in_s = 8e-6 / eta / self.mbps
        self.requester_in_s = 8e-6 / eta / _by_lane(np.broadcast_to(requester_mbps, mbps.shape))

    def take(self, lanes: np.ndarray | slice) -> Rates:
        """The same for some lanes (constant rates are shared)."""
        if len(self.mbps) == 1:
            return self
        part = object.__new__(Rates)
        part.mbps = self.mbps[lanes]
        part.in_s, part.requester_in_s = self.in_s[lanes], self.requester_in_s[lanes]
        return part


class ByteSeconds(NamedTuple):
    """What a byte of a message takes at rates that all lanes share, copies included.

    Attributes:
        pair_s: (D, D) between devices.
        requester_s: (D,) between each device and the requester.
        scatter_s: (D,) that it occupies the requester who scatters.
    """

    pair_s: np.ndarray
    requester_s: np.ndarray
    scatter_s: np.ndarray

    @staticmethod
    def of(links: Links, rates: Rates, shared: bool) -> ByteSeconds:
        copy_s, in_s, requester_in_s = links.copy_s_per_byte, rates.in_s[0], rates.requester_in_s[0]
        requester_copy_s, pair_copy_s = copy_s + links.requester_copy_s_per_byte, copy_s[:, None] + copy_s[None]
        if shared:
            requester_s = in_s + requester_in_s + requester_copy_s
            return ByteSeconds(in_s[:, None] + in_s[None] + pair_copy_s, requester_s, requester_s)
        return ByteSeconds(
            np.maximum(in_s[:, None], in_s[None]) + pair_copy_s,
            np.maximum(in_s, requester_in_s) + requester_copy_s,
            requester_in_s + requester_copy_s,
        )


@dataclass
class Events:
    """What happened to the only lane, for timelines: (kind, device, start_s, end_s, label) tuples."""

    rows: list[Row] = field(default_factory=list)


@cache
def kernels() -> Any:
    """The kernels; whoever only plans to step anything does not wait for Numba."""
    from . import kernels as compiled

    return compiled


class Physics:
    """Steps images through layer-volumes.

    Args:
        volumes: dense tables.
        types: (D,) which latency table each device uses.
        links: fixed message costs.
        result_bytes: bytes of the tail's output; 0 when the tail is empty and devices return their own rows.
        shared: whether all are on one access point.
    """

    def __init__(
        self, volumes: VolumeTables, types: Sequence[int], links: Links, result_bytes: int, shared: bool = False
    ) -> None:
        self.volumes = volumes
        self.devices = len(types)
        self._tables = kernels().Tables(
            np.stack([volumes.start, volumes.post_at, volumes.cell_at, volumes.height + 1], axis=1),
            volumes.row_bytes,
            volumes.out_bytes,
            volumes.rows,
            volumes.head_bytes,
            volumes.compute_s,
            volumes.tail_s,
        )
        self._ends = kernels().Ends(
            np.array(types, dtype=np.int64),
            np.append(links.message_s, links.requester_message_s),
            np.append(links.copy_s_per_byte, links.requester_copy_s_per_byte),
            float(result_bytes),
        )
        self._shared = shared
        self._each = np.arange(len(volumes.start))

    def volume(
        self,
        at: Progress,
        v: int | np.ndarray,
        posts: np.ndarray,
        rates: Rates,
        lanes: np.ndarray,
        events: Events | None = None,
    ) -> None:
        """Run one layer-volume in some lanes, updating ``at`` in place.

        Args:
            at: state of n lanes.
            v: volume number, one for all lanes or (m,); -1 for none.
            posts: (m, D + 1) int64 fence posts 0, splits, height.
            rates: rates now, of all lanes.
            lanes: (m,) those that run it.
            events: collects messages and parts; for one lane.
        """
        which = self._each[v : v + 1] if isinstance(v, int) else v
        log = self._log(events)
        kernels().run_volume(
            self._tables, self._ends, rates.in_s, rates.requester_in_s, self._air, at.state, lanes,
            which, posts, log,
        )  # fmt: skip
        if events is not None:
            events.rows += [self._row(line, f"{int(line[4])}") for line in log[1 : 1 + int(log[0, 0])]]

    def finish(self, at: Progress, rates: Rates, lanes: np.ndarray, events: Events | None = None) -> np.ndarray:
        """After the last volume: gather, tail, result. Returns the images' latency (m,) and settles ``at``."""
        latency_s = np.empty(lanes.size)
        log = self._log(events)
        kernels().finish(
            self._tables, self._ends, rates.in_s, rates.requester_in_s, self._air, at.state, lanes,
            latency_s, log,
        )  # fmt: skip
        if events is not None:
            labels = {self.devices: "R", self.devices + 1: "tail"}
            events.rows += [self._row(line, labels.get(int(line[4]), "gather")) for line in log[1 : 1 + int(log[0, 0])]]
        return latency_s

    @property
    def _air(self) -> Any:
        """Room for a message from everyone to everyone."""
        if not self._shared:
            return None
        count, to = np.empty(self.devices, dtype=np.int64), np.empty((self.devices,) * 2, dtype=np.int64)
        return kernels().Queues(count, to, np.empty((*to.shape, 3)))

    def _log(self, events: Events | None) -> np.ndarray:
        """Room for all that can happen in a volume: a message between any two, a part each."""
        return NO_LOG if events is None else np.zeros((1 + (self.devices + 1) ** 2, 5))

    def _row(self, line: np.ndarray, label: str) -> Row:
        kind, device, start_s, end_s, _ = line.tolist()
        name = KINDS[int(kind)]
        return name, int(device), start_s, end_s, "" if name == "scatter" else label


def _by_lane(values: np.ndarray) -> np.ndarray:
    return np.array(values.T, dtype=float, order="C")
