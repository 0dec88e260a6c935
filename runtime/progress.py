"""Who keeps an item waiting: whoever computes for too long, or whose rows have not come though it has nothing to wait
for. Heartbeats alone do not tell, since a thread that beats outlives a computation that is stuck. No I/O here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .wire import Heartbeat


@dataclass(frozen=True)
class Culprit:
    """A worker that holds an item up, and why in one line."""

    worker: str
    reason: str


def culprit(lacks: str, beats: Mapping[str, Heartbeat], due_s: float, late_s: float) -> Culprit | None:
    """Follow who waits for whom, from the result backwards.

    Args:
        lacks: the worker that the result waits for; empty where that is not known.
        beats: the last heartbeat of every worker.
        due_s: what an item may take.
        late_s: how long nothing has come.

    Returns:
        Who holds the item up; None while somebody still computes and it has been less than twice ``due_s``.
    """
    seen: list[str] = []
    while lacks in beats and lacks not in seen:
        seen.append(lacks)
        lacks = beats[lacks].lacks
    if not seen:
        return None
    last = seen[-1]
    beat = beats[last]
    if beat.phase == "compute":
        if beat.since_s <= due_s and late_s <= 2.0 * due_s:
            return None
        return Culprit(last, f"has computed item {beat.item} for {beat.since_s:.1f} s, {due_s:.1f} s are allowed")
    if lacks and lacks not in beats:
        return Culprit(last, "does not get what the controller sends it")
    return Culprit(last, f"has sent nothing for {late_s:.1f} s, though it waits for nobody")
