"""An image's trace in the format of Chrome's and Perfetto's viewers: predicted and measured as two processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...runtime.geometry import REQUESTER
from .traces import Message, Trace

THREADS = ("receive", "compute", "send")  # of every device, as in the physics


def chrome_trace(traces: Mapping[str, Trace], names: Sequence[str]) -> dict[str, Any]:
    """All traces beside each other.

    Args:
        traces: by what they are, such as "predicted"; times already on one scale.
        names: of the devices.
    """
    events: list[dict[str, Any]] = []
    for pid, (what, trace) in enumerate(traces.items(), start=1):
        events.append({"ph": "M", "pid": pid, "name": "process_name", "args": {"name": what}})
        events += _tracks(pid, names)
        events += _parts(pid, trace)
        events += _messages(pid, trace, names)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _tid(device: int, thread: str) -> int:
    return 1 + 3 * (device + 1) + THREADS.index(thread)


def _tracks(pid: int, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for device, name in enumerate(("requester", *names), start=REQUESTER):
        for thread in THREADS:
            if device == REQUESTER and thread == "compute":
                continue
            tid = _tid(device, thread)
            yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": f"{name} {thread}"}}
            yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index", "args": {"sort_index": tid}}


def _parts(pid: int, trace: Trace) -> Iterator[dict[str, Any]]:
    for part in trace.computes:
        name = part.label if part.label == "tail" else f"volume {part.label}"
        yield _slice(pid, _tid(part.device, "compute"), name, part.start_s, part.end_s, {})


def _messages(pid: int, trace: Trace, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for number, message in enumerate(trace.messages):
        facts = {"bytes": message.size_bytes, "in front of unit": message.boundary}
        to, of = _party(message.receiver, names), _party(message.sender, names)
        send, receive = _tid(message.sender, "send"), _tid(message.receiver, "receive")
        begun_s = message.start_s + message.fixed_s
        yield _slice(pid, send, f"to {to}", message.start_s, message.left_s, facts)
        yield _slice(pid, receive, f"from {of}", _arrives_s(message, begun_s), message.there_s, facts)
        flow = {"pid": pid, "cat": "message", "name": "message", "id": pid * 100_000 + number}
        yield {**flow, "ph": "s", "tid": send, "ts": message.start_s * 1e6}
        yield {**flow, "ph": "f", "bp": "e", "tid": receive, "ts": message.there_s * 1e6}


def _arrives_s(message: Message, begun_s: float) -> float:
    """When its bytes begin to come over the receiver's link, which serves one message after another."""
    return min(message.there_s, begun_s + message.shared_s)


def _party(device: int, names: Sequence[str]) -> str:
    return "requester" if device == REQUESTER else names[device]


def _slice(pid: int, tid: int, name: str, start_s: float, end_s: float, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ph": "X", "pid": pid, "tid": tid, "name": name, "ts": start_s * 1e6, "dur": max(0.0, end_s - start_s) * 1e6,
        "args": dict(facts),
    }  # fmt: skip
