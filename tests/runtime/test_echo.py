"""Timing links by echoes: what is recovered of links of known latency and rate, and far ends that vanish or lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.profiling.message_fit import MessageFit, time_messages
from splitgym.runtime import wire, wire_types
from splitgym.runtime.echo import MOST_WINDOW, SILENCE_S, EchoChannel, answer
from splitgym.runtime.transport import CHUNK_BYTES, Buffer, Event, PeerGone
from splitgym.runtime.zmq_transport import REPLY_HWM

from .. import refused

SESSION = "ab" * 16
LATENCIES_S, RATES_MBPS = st.floats(1e-4, 0.01), st.floats(5.0, 1000.0)


class KnownLink:
    """A far end behind a link of known latency and rates, as a dialer; time passes only here.

    Args:
        latency_s: of every message, one way.
        up_mbps, down_mbps: of payload, from the far end and to it.
        rng: everything takes up to 3 % longer, and one in twenty half as long again; None for neither.
    """

    def __init__(
        self, latency_s: float, up_mbps: float, down_mbps: float, rng: np.random.Generator | None = None
    ) -> None:
        self.latency_s, self.rng = latency_s, rng
        self.up_s_per_byte, self.down_s_per_byte = 8e-6 / up_mbps, 8e-6 / down_mbps
        self.now_s = self.up_free_s = self.down_free_s = 100.0
        self.due: list[tuple[float, Event]] = []
        self.sent_bytes = 0

    def clock(self) -> float:
        return self.now_s

    def attend(self) -> None:
        pass

    def send(self, header: bytes, payload: Buffer | None = None, timeout_s: float = 5.0) -> None:
        n_bytes = 0 if payload is None else len(payload)
        self.sent_bytes += n_bytes
        self.down_free_s = max(self.now_s, self.down_free_s) + self._takes_s(n_bytes * self.down_s_per_byte)
        came_s = self.down_free_s + self._takes_s(self.latency_s)
        echo = wire.decode_data(header, n_bytes)
        assert isinstance(echo, wire.Echo)
        answer(echo, n_bytes, lambda header, payload: self._reply(came_s, header, payload))

    def _reply(self, came_s: float, header: bytes, payload: Buffer | None) -> None:
        n_bytes = 0 if payload is None else len(payload)
        self.up_free_s = max(came_s, self.up_free_s) + self._takes_s(n_bytes * self.up_s_per_byte)
        event = Event("message", "far", header, None if payload is None else memoryview(payload))
        self.due.append((self.up_free_s + self._takes_s(self.latency_s), event))
        self.due.sort(key=lambda due: due[0])

    def _takes_s(self, seconds: float) -> float:
        if self.rng is None:
            return seconds
        return seconds * (1.0 + 0.03 * self.rng.random()) * (1.5 if self.rng.random() < 0.05 else 1.0)

    def poll(self, timeout_s: float) -> Sequence[Event]:
        if not self.due or self.due[0][0] > self.now_s + timeout_s:
            self.now_s += timeout_s
            return []
        due_s, event = self.due.pop(0)
        self.now_s = max(self.now_s, due_s)
        return [event]

    def close(self) -> None:
        return


def measured(link: KnownLink, seconds: float = 10.0) -> tuple[MessageFit, float, float]:
    """Messages and streams of a link: the fit, and the goodputs up and down in Mbit/s."""
    channel = EchoChannel(link, SESSION, link.clock)
    fit = time_messages(channel, seconds * 0.5, clock=link.clock)
    round_trip_s = 2 * fit.samples_up[0][1]
    streams = [
        channel.stream_mbps(up, seconds * 0.2, mbps, round_trip_s)
        for up, mbps in ((True, fit.up_mbps), (False, fit.down_mbps))
    ]
    return fit, streams[0], streams[1]


@settings(max_examples=10)
@given(latency_s=LATENCIES_S, up_mbps=RATES_MBPS, down_mbps=RATES_MBPS)
def test_a_steady_link_is_recovered(latency_s: float, up_mbps: float, down_mbps: float) -> None:
    link = KnownLink(latency_s, up_mbps, down_mbps)
    fit, up, down = measured(link)
    assert fit.t_msg_s == pytest.approx(latency_s, rel=0.02)
    assert (fit.up_mbps, fit.down_mbps) == pytest.approx((up_mbps, down_mbps), rel=1e-3)
    assert (up, down) == pytest.approx((up_mbps, down_mbps), rel=1e-3)
    assert fit.residual(up, down) < 1e-3
    assert link.now_s - 100.0 < 20.0


@settings(max_examples=10)
@given(latency_s=LATENCIES_S, up_mbps=RATES_MBPS, down_mbps=RATES_MBPS, seed=st.integers(0, 99))
def test_a_disturbed_link_is_recovered_within_ten_percent(
    latency_s: float, up_mbps: float, down_mbps: float, seed: int
) -> None:
    fit, up, down = measured(KnownLink(latency_s, up_mbps, down_mbps, np.random.default_rng(seed)))
    assert fit.t_msg_s == pytest.approx(latency_s, rel=0.1)
    assert (up, down) == pytest.approx((up_mbps, down_mbps), rel=0.1)


class Queued(KnownLink):
    """A link that tells for how long it was busy with what it had taken, at most."""

    most_s = 0.0

    def send(self, header: bytes, payload: Buffer | None = None, timeout_s: float = 5.0) -> None:
        super().send(header, payload, timeout_s)
        self.most_s = max(self.most_s, self.down_free_s - self.now_s)


def test_a_slow_link_is_never_held_for_as_long_as_heartbeats_may_be_late() -> None:
    link = Queued(0.01, 0.2, 0.2)
    channel = EchoChannel(link, SESSION, link.clock)
    assert channel.stream_mbps(False, 2.0, 0.2, 0.02) == pytest.approx(0.2, rel=1e-3)
    assert link.most_s < 2.0


def test_the_answers_to_all_that_is_under_way_fit_the_queue_of_replies() -> None:
    per_message = -(-wire_types.MOST_ECHO_BYTES // CHUNK_BYTES)
    assert max(MOST_WINDOW, per_message) < REPLY_HWM


def test_messages_of_all_sizes_are_answered_once_they_are_whole() -> None:
    replies: list[tuple[wire.Echo, int]] = []

    def reply(header: bytes, payload: Buffer | None) -> None:
        n_bytes = 0 if payload is None else len(payload)
        echo = wire.decode_data(header, n_bytes)
        assert isinstance(echo, wire.Echo)
        replies.append((echo, n_bytes))

    answer(wire.Echo(SESSION, 1, 0, 2 * CHUNK_BYTES, 0), CHUNK_BYTES, reply)
    assert replies == []
    answer(wire.Echo(SESSION, 1, CHUNK_BYTES, 2 * CHUNK_BYTES, 0), CHUNK_BYTES, reply)
    assert replies == [(wire.Echo(SESSION, 1, 0, 0, 0), 0)]
    replies.clear()
    answer(wire.Echo(SESSION, 2, 0, 0, CHUNK_BYTES + 1), 0, reply)
    assert [(echo.number, echo.offset, n) for echo, n in replies] == [(2, 0, CHUNK_BYTES), (2, CHUNK_BYTES, 1)]


class Far(KnownLink):
    """A far end that answers with these events."""

    def __init__(self, *events: Event) -> None:
        super().__init__(0.001, 100.0, 100.0)
        self.events = list(events)

    def send(self, header: bytes, payload: Buffer | None = None, timeout_s: float = 5.0) -> None:
        self.due += [(self.now_s, event) for event in self.events]
        self.events.clear()


def test_a_far_end_that_vanishes_or_is_silent() -> None:
    far = Far(Event("down", "far"))
    with refused("far: the connection ended"):
        EchoChannel(far, SESSION, far.clock).up_s(0)

    class Gone(Far):
        def send(self, header: bytes, payload: Buffer | None = None, timeout_s: float = 5.0) -> None:
            raise PeerGone("far at pi:7412: cannot be connected")

    far = Gone()
    with refused("far at pi:7412: cannot be connected"):
        EchoChannel(far, SESSION, far.clock).down_s(10)


@pytest.mark.parametrize(
    "echo",
    [
        wire.Echo(SESSION, 9, 0, 0, 0), wire.Echo("cd" * 16, 1, 0, 0, 0), wire.Echo(SESSION, 1, 0, 5, 0), None,
    ],
)  # fmt: skip
def test_what_answers_something_else_is_no_answer(echo: wire.Echo | None) -> None:
    n_bytes = 0 if echo is None else echo.size
    header = b"\xff" if echo is None else wire.encode(echo)
    far = Far(Event("up", "far"), Event("message", "far", header, memoryview(bytes(n_bytes))))
    with refused(f"no answer for {SILENCE_S:g} s"):
        EchoChannel(far, SESSION, far.clock).up_s(0)
