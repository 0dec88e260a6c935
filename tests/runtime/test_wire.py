"""Messages come back as they were; nothing else that arrives does any harm."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.runtime import wire, wire_requests, wire_types
from splitgym.runtime.wire_training_plan import Part, Setup, TrainingPace, TrainingPlan

TOKEN, DIGEST = "ab" * 16, "11" * 32
PACE = wire.Pace("table", (0.1, 0.2), 0.3, 1.0, (0.001,) * 3, (1e-8,) * 3, 1e-8, 2e-8)
PEER = wire.Peer("ann", "there:7412", 9)
SETUP = Setup(
    "cut", ("device", "edge"), {"is": "Model"}, "sgd", 0.9, 5e-4, 16, 0, 0, False, (0.5,), (0.2,), 20
)  # fmt: skip
TRAINING = TrainingPlan(
    TOKEN, 3, 0, SETUP, (PEER, PEER), (DIGEST,), TrainingPace((0.1,), (0.2,), (0.0,), (0.0, 0.1), (0.0, 1e-7))
)
MESSAGES: list[wire.Control] = [
    wire.Hello(1, "1.0", TOKEN, "here:1"),
    wire.Welcome(TOKEN, 2**52, "1.0", 7412, "a board", "jtop"),
    wire.Refuse("no"),
    wire.PlanMessage(
        TOKEN, 3, 0, {"is": "Model"}, (DIGEST,), (0,), {"cuts": [1]}, 1, 0, (wire.Peer("a", "b:1", 1),), 2, PACE
    ),
    wire.Want(TOKEN, 3, (DIGEST,)),
    wire.Blob(TOKEN, 1, DIGEST, 0, 10),
    wire.Ready(TOKEN, 3),
    wire.Spans(TOKEN, 3, 4, (wire.Span("compute", 0.5, 1.5, "tail"),), 0.0, 12.0),
    wire.Heartbeat(TOKEN, 1, 2, 3, "compute", 0.5, 9.0, 8.0, 0.1),
    wire.Reset(TOKEN, 3),
    wire.Bye(TOKEN),
    wire.Failed(TOKEN, 3, "why"),
    wire_requests.PrepareKernels(TOKEN, 1, {"is": "Model"}),
    wire_requests.TimeKernel(TOKEN, 2, "conv1", 9, 3, 5),
    wire_requests.TimeCopies(TOKEN, 3, 0.5),
    wire_requests.KernelsPrepared(
        TOKEN, 1, "torch", "a board", "FP32", "PyTorch 2", "eager", 4, (("stage1 merge", 5),), True
    ),
    wire_requests.Timed(TOKEN, 2, (0.25, 0.5)),
    wire_requests.Unable(TOKEN, 2, "why", True),
    TRAINING,
]
ECHO = wire.Echo(TOKEN, 1, 0, 100, 5000)
CHUNK = wire.Chunk(TOKEN, 1, 2, 3, 4, "main", 0, 7, wire_types.FLOAT16, DIGEST, 0, 100, 200, 1.5)
PART = Part(TOKEN, 1, 2, 3, 0, 100, 20, 1.5)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_control_messages_come_back(message: wire.Control) -> None:
    assert wire.encode(wire.decode_control(wire.encode(message))) == wire.encode(message)


def test_every_control_message_is_tried_here() -> None:
    assert {type(message) for message in MESSAGES} == set(wire.Control.__args__)


@pytest.mark.parametrize("header", [CHUNK, PART, ECHO])
def test_chunks_parts_and_echoes_come_back(header: wire.Data | wire.Echo) -> None:
    assert wire.decode_data(wire.encode(header), 100) == header
    if not isinstance(header, wire.Echo):
        assert wire.decode_chunk(wire.encode(header), 100) == header


@pytest.mark.parametrize("header", [CHUNK, PART, ECHO])
@pytest.mark.parametrize(("offset", "n"), [(0, 0), (0, 101), (50, 51), (100, 1)])
def test_bytes_beyond_their_piece_are_refused(offset: int, n: int, header: wire.Data | wire.Echo) -> None:
    data = wire.encode(msgspec.structs.replace(header, offset=offset))
    with pytest.raises(wire_types.WireError):
        wire.decode_data(data, n)
    with pytest.raises(wire_types.WireError):
        wire.decode_chunk(data, n)


@pytest.mark.parametrize("changes", [{"size": 2**22 + 1}, {"wanted": 2**22 + 1}, {"wanted": -1}, {"session": "x"}])
def test_echoes_are_bounded(changes: dict[str, Any]) -> None:
    assert wire.decode_data(wire.encode(msgspec.structs.replace(ECHO, size=0)), 0)
    with pytest.raises(wire_types.WireError):
        wire.decode_data(wire.encode(msgspec.structs.replace(ECHO, **changes)), 100)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    for decode in (wire.decode_control, lambda d: wire.decode_chunk(d, 1), lambda d: wire.decode_data(d, 1)):
        with suppress(wire_types.WireError):
            decode(data)


@given(st.sampled_from(MESSAGES), st.data())
def test_damaged_messages_are_messages_or_refused(message: wire.Control, data: st.DataObject) -> None:
    encoded = bytearray(wire.encode(message))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    with suppress(wire_types.WireError):
        wire.decode_control(bytes(encoded))


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        (MESSAGES[0], "session", "no token"), (MESSAGES[0], "session", "ab"), (MESSAGES[0], "software", "x" * 65),
        (MESSAGES[1], "data", 0), (MESSAGES[1], "data", 65536), (MESSAGES[5], "size", wire_types.MOST_PIECE_BYTES + 1),
        (MESSAGES[5], "offset", -1), (MESSAGES[6], "epoch", True), (MESSAGES[6], "epoch", 1.5),
        (MESSAGES[7], "overrun_s", -1.0), (MESSAGES[9], "epoch", 2**60),
        (MESSAGES[13], "samples", 1001), (MESSAGES[13], "samples", 0), (MESSAGES[13], "rows", -1),
        (MESSAGES[14], "seconds", 10.5), (MESSAGES[15], "passes", 0), (MESSAGES[16], "values", [0.1] * 1001),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused(message: Any, field: str, value: Any) -> None:
    fields = {**msgspec.to_builtins(message), field: value}
    with pytest.raises(wire_types.WireError):
        wire.decode_control(msgspec.msgpack.encode(fields))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "soft"), ("roles", []), ("roles", ["a"] * 9), ("optimizer", "lbfgs"), ("momentum", 1.0), ("batch", 0),
        ("batch", 2**20 + 1), ("mean", []), ("mean", [float("nan")]), ("deviation", [1e7]), ("every", -1),
        ("in_flight", 0), ("in_flight", 65), ("threads", 0), ("threads", 65), ("more", 1),
    ],
)  # fmt: skip
def test_trainings_out_of_bounds_are_refused(field: str, value: Any) -> None:
    fields = msgspec.to_builtins(TRAINING)
    fields["setup"] = {**fields["setup"], field: value}
    with pytest.raises(wire_types.WireError):
        wire.decode_control(msgspec.msgpack.encode(fields))


@pytest.mark.parametrize("changes", [{"size": 2**30 + 1}, {"number": -1}, {"envelope_bytes": -1}, {"session": "x"}])
def test_parts_are_bounded(changes: dict[str, Any]) -> None:
    with pytest.raises(wire_types.WireError):
        wire.decode_data(wire.encode(msgspec.structs.replace(PART, **changes)), 100)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e300])
def test_moments_are_on_a_clock(value: float) -> None:
    for header in (CHUNK, PART):
        with pytest.raises(wire_types.WireError):
            wire.decode_data(wire.encode(msgspec.structs.replace(header, begun_s=value)), 100)
    for message in (
        wire.Heartbeat(TOKEN, sent_s=value),
        wire.Heartbeat(TOKEN, echo_s=value),
        wire.Spans(TOKEN, 1, 1, (wire.Span("send", value, 1.0, "R"),)),
        wire.Spans(TOKEN, 1, 1, (wire.Span("send", 1.0, 1.0, "R", wait_s=value),)),
    ):
        with pytest.raises(wire_types.WireError):
            wire.decode_control(wire.encode(message))


def test_unknown_fields_and_kinds_are_refused() -> None:
    for fields in ({"is": "ready", "epoch": 1, "more": 2}, {"is": "exec", "code": "1"}, {"epoch": 1}, []):
        with pytest.raises(wire_types.WireError):
            wire.decode_control(msgspec.msgpack.encode(fields))
