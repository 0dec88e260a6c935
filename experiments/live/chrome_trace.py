"""Traces in the format of Chrome's and Perfetto's viewers: predicted and measured as two processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...runtime.geometry import REQUESTER
from .traces import Trace
from .training_trace import Trace as TrainingTrace

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


def training_trace(traces: Mapping[str, TrainingTrace], roles: Sequence[str]) -> dict[str, Any]:
    """The same for trainings: what every role computes, sends and gets.

    Args:
        traces: by what they are; times already on one scale.
        roles: of the training.
    """
    events: list[dict[str, Any]] = []
    for pid, (what, trace) in enumerate(traces.items(), start=1):
        events.append({"ph": "M", "pid": pid, "name": "process_name", "args": {"name": what}})
        events += [event for event in _tracks(pid, roles) if event["tid"] > len(THREADS)]
        for work in trace.works:
            tid, facts = _tid(roles.index(work.role), "compute"), {"entry": work.number}
            events.append(_slice(pid, tid, work.kind, work.start_s, work.end_s, facts))
        for message in trace.messages:
            facts = {"entry": message.number, "bytes": message.size_bytes}
            send, receive = roles.index(message.sender), roles.index(message.receiver)
            ends = message.start_s, message.there_s
            events.append(_slice(pid, _tid(send, "send"), f"to {message.receiver}", *ends, facts))
            events.append(_slice(pid, _tid(receive, "receive"), f"from {message.sender}", *ends, facts))
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
    free_s: dict[int, float] = {}  # when a receiver has all that came before
    for number, message in enumerate(sorted(trace.messages, key=lambda m: m.there_s)):
        facts = {"bytes": message.size_bytes, "in front of unit": message.boundary}
        to, of = _party(message.receiver, names), _party(message.sender, names)
        send, receive = _tid(message.sender, "send"), _tid(message.receiver, "receive")
        yield _slice(pid, send, f"to {to}", message.start_s, message.left_s, facts)
        begun_s = max(free_s.get(message.receiver, 0.0), message.start_s + message.fixed_s)
        yield _slice(pid, receive, f"from {of}", min(begun_s, message.there_s), message.there_s, facts)
        free_s[message.receiver] = message.there_s
        flow = {"pid": pid, "cat": "message", "name": "message", "id": pid * 100_000 + number}
        yield {**flow, "ph": "s", "tid": send, "ts": message.start_s * 1e6}
        yield {**flow, "ph": "f", "bp": "e", "tid": receive, "ts": message.there_s * 1e6}


def _party(device: int, names: Sequence[str]) -> str:
    return "requester" if device == REQUESTER else names[device]


def _slice(pid: int, tid: int, name: str, start_s: float, end_s: float, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ph": "X", "pid": pid, "tid": tid, "name": name, "ts": start_s * 1e6, "dur": max(0.0, end_s - start_s) * 1e6,
        "args": dict(facts),
    }  # fmt: skip
