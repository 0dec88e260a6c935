"""The physics where all are on one access point: every message takes airtime, and the air carries one at a time.

A message of n bytes from i to j crosses the air twice and takes ``8 n / eta (1 / B_i + 1 / B_j)`` of it; a rate is what
a link carries while it has the air. The sender's thread first pays the fixed cost ``t_msg(i, j)``, then asks for the
air, which serves whoever asked first (of two at once the first device), and copies ``n / r_out(i) + n / r_in(j)`` when
it is through; only then it turns to its next message. The requester is on Wi-Fi too and pays both ways. As incoming
links do in the switched physics, the air serves one exchange after another: what is sent for a layer-volume waits until
all that goes to the volume before is through. (An air that knows no exchanges gives random plans latencies 0.5 to 2 %
away, mean of absolute values.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .physics import NEVER_S, Events, Physics, Progress, Rates, in_order, of_device


@dataclass(frozen=True)
class Messages:
    """From S senders to R receivers each, in n lanes; arrays are (S, R, n).

    Attributes:
        some: whether there is a message.
        fixed_s, air_s, copy_s: its fixed cost, its airtime and its copies.
    """

    some: np.ndarray
    fixed_s: np.ndarray
    air_s: np.ndarray
    copy_s: np.ndarray

    @property
    def own_s(self) -> np.ndarray:
        """What a message takes where nothing else is sent."""
        return self.fixed_s + self.air_s + self.copy_s


def over_the_air(
    sent: Messages, begin: np.ndarray, air_free_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every sender's messages in receiver order, one of them on the air at a time, in the order of asking for it.

    Args:
        sent: the messages.
        begin: (S, n) when senders begin.
        air_free_s: (n,) when the air is free; changed in place.

    Returns:
        (S, R, n) when every message begins, and when it ends, 0 for none; (S, n) when senders are free.
    """
    senders, receivers, n = sent.some.shape
    following = np.full((senders, receivers + 1, n), receivers)  # whom a sender has a message for, from a receiver on
    for r in reversed(range(receivers)):
        following[:, r] = np.where(sent.some[:, r], r, following[:, r + 1])
    fixed_s = np.concatenate([sent.fixed_s, np.full((senders, 1, n), NEVER_S)], axis=1)
    begins, ends, free_s = np.zeros(sent.some.shape), np.zeros(sent.some.shape), begin.copy()
    turn = following[:, 0].copy()
    asks_s = free_s + np.take_along_axis(fixed_s, turn[:, None], axis=1)[:, 0]
    lanes = np.arange(n)
    while lanes.size:
        s = asks_s[:, lanes].argmin(axis=0)
        asked_s = asks_s[s, lanes]
        going = asked_s < NEVER_S
        if not going.all():
            s, asked_s, lanes = s[going], asked_s[going], lanes[going]
        r = turn[s, lanes]
        begins[s, r, lanes] = free_s[s, lanes]
        air_free_s[lanes] = through_s = np.maximum(asked_s, air_free_s[lanes]) + sent.air_s[s, r, lanes]
        ends[s, r, lanes] = free_s[s, lanes] = end_s = through_s + sent.copy_s[s, r, lanes]
        turn[s, lanes] = r = following[s, r + 1, lanes]
        asks_s[s, lanes] = end_s + fixed_s[s, r, lanes]
    return begins, ends, free_s


class SharedPhysics(Physics):
    """Steps images through layer-volumes over one access point; arguments are those of :class:`.physics.Physics`."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        copy = self.links.copy_s_per_byte
        self._pair_copy_s = (copy[:, None] + copy[None])[:, :, None]
        self._requester_copy_s = (copy + self.links.requester_copy_s_per_byte)[:, None]

    def _scatter(self, at: Progress, row_bytes, a_at, b_at, some, rates: Rates, events: Events | None) -> np.ndarray:
        lo, hi = self._needs(0, a_at, b_at, some)
        sent_bytes = (hi - lo) * row_bytes[0]
        sent = Messages(
            some[None],
            (some * self._requester_message_s)[None],
            (sent_bytes * (rates.in_s + rates.requester_in_s))[None],
            (sent_bytes * self._requester_copy_s)[None],
        )
        begins, ends, _ = over_the_air(sent, np.zeros((1, some.shape[1])), at.link_s[-1])
        at.scatter_s += sent.own_s[0]
        at.send_s[-1] += in_order(sent.own_s[0])
        at.air_s += in_order(sent.air_s[0])
        if events is not None:
            for d in range(self.devices):
                events.add("scatter", d, begins[0, d, 0], ends[0, d, 0], "")
        return ends[0]

    def _exchange(self, at: Progress, row_bytes, a_at, b_at, some, rates: Rates, events: Events | None) -> np.ndarray:
        moved = self._moved(
            at.hold, [self._needs(t, a_at, b_at, some) for t in range(self.volumes.n_tensors)], row_bytes
        )
        air_s = rates.in_s[:, None] + rates.in_s[None]
        begins, ends = self._send(at, moved, self._pair_message_s, air_s, self._pair_copy_s)
        if events is not None:
            for s, d in np.argwhere(moved[:, :, 0] > 0).tolist():
                events.add("send", s, begins[s, d, 0], ends[s, d, 0], f"{d}")
        return np.maximum.reduce(ends, axis=0)

    def _collect(
        self, at: Progress, sent_bytes: np.ndarray, host: np.ndarray | None, rates: Rates, events: Events | None
    ) -> np.ndarray:
        if host is None:
            fixed_s, copy_s = self._requester_message_s, self._requester_copy_s
            air_s = rates.in_s + rates.requester_in_s
        else:
            fixed_s, copy_s = self._pair_message_s[:, host, 0], self._pair_copy_s[:, host, 0]
            air_s = rates.in_s + of_device(rates.in_s, host, np.arange(host.size))
        begins, ends = self._send(at, sent_bytes[:, None], fixed_s[:, None], air_s[:, None], copy_s[:, None])
        if events is not None:
            self._log_collected(events, begins[:, 0], ends[:, 0], sent_bytes > 0, host)
        return np.maximum.reduce(ends[:, 0], axis=0)

    def _return_result(self, at: Progress, host: np.ndarray, rates: Rates, events: Events | None) -> np.ndarray:
        sent_bytes = np.zeros_like(at.done_s)
        sent_bytes[host, np.arange(host.size)] = self.result_bytes
        return self._collect(at, sent_bytes, None, rates, events)

    def _send(
        self, at: Progress, sent_bytes: np.ndarray, fixed_s: np.ndarray, air_s: np.ndarray, copy_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Devices send bytes (D, R, n), with these costs of a message and of a byte.

        Returns:
            (D, R, n) when every message begins, and when it ends, 0 for none.
        """
        some = sent_bytes > 0
        sent = Messages(some, some * fixed_s, sent_bytes * air_s, sent_bytes * copy_s)
        begins, ends, at.free_s = over_the_air(sent, np.maximum(at.free_s, at.done_s), at.link_s[-1])
        for own_s, air_s in zip(sent.own_s.swapaxes(0, 1), sent.air_s.swapaxes(0, 1), strict=True):  # by receiver
            at.send_s[:-1] += own_s
            at.air_s += in_order(air_s)
        return begins, ends
