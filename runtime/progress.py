"""Who keeps an item waiting: whoever computes for too long, or whose rows have not come though it has nothing to wait
for; and who keeps a plan from being served. Heartbeats alone do not tell, since a thread that beats outlives a
computation that is stuck. No I/O here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .wire import Heartbeat

PLAN_S = 15.0  # that a worker may take to have a plan, and to say that it is ready
LOAD_S = 20.0  # without any weights coming in
BUILD_S = 60.0  # for its parts


@dataclass(frozen=True)
class Culprit:
    """A worker that holds others up, and why in one line."""

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


def unready(
    workers: Iterable[str], beats: Mapping[str, Heartbeat], epoch: int, waited_s: float, ending_s: float
) -> Culprit | None:
    """Who does not get ready for an epoch.

    Args:
        workers: that are not ready.
        beats: the last heartbeat of every worker.
        waited_s: since they were told of it.
        ending_s: what a worker may go on computing what it computed before.
    """
    allowed_s = {"queued": ending_s, "loading": LOAD_S, "building": BUILD_S}
    words = {"queued": "still computes what is over", "loading": "gets no weights", "building": "builds its parts"}
    for worker in workers:
        beat = beats.get(worker)
        if beat is None or beat.epoch != epoch:
            if waited_s > PLAN_S:
                return Culprit(worker, f"has not taken the plan within {PLAN_S:g} s")
        elif beat.since_s > allowed_s.get(beat.phase, PLAN_S):
            what = words.get(beat.phase, "does not say that it is ready")
            return Culprit(worker, f"{what}, for {beat.since_s:.0f} s")
    return None
