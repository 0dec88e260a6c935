"""Where a training's time goes: the chain of work and messages that a step waits for, by term.

The chain is walked back from the moment at which a step counts: what ended last before something began is what it
waited for. The terms add up to the time between two such moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .training_trace import Message, Trace, Work

WAITING, RUNTIME = "waiting", "runtime"
MEANINGS = {
    "forward": "of the steps of the model there",
    "backward": "of the steps of the model there",
    "train": "both passes of the steps of the model there",
    "update": "of the weights there",
    "fixed": "fixed cost of messages",
    "bytes": "bytes over the link",
    WAITING: "for earlier messages of the same sender",
    RUNTIME: "the runtime's own: control messages, threads, the log, sockets",
}
SLACK_S = 1e-12  # of sums of floats


def terms(trace: Trace, first: int, last: int) -> dict[str, float]:
    """Seconds by term between the log of entry ``first`` and that of ``last``."""
    return _Walk(trace, trace.logged_s[first]).back_from(last)


def shared(found: Mapping[str, float], entries: int) -> dict[str, float]:
    """Terms of so many entries as those of one."""
    return {name: seconds / entries for name, seconds in found.items()}


def ordered(*found: Mapping[str, float]) -> list[str]:
    """Names of all terms of some, work first, the runtime's own last."""
    kinds = list(MEANINGS)
    names = {name for one in found for name in one}
    return sorted(names, key=lambda name: (kinds.index(name.split()[0]), name))


class _Walk:
    def __init__(self, trace: Trace, begin_s: float) -> None:
        self._trace, self._begin_s = trace, begin_s
        self._left: dict[int, Work | Message] = dict(enumerate((*trace.works, *trace.messages)))
        self._now_s = 0.0
        self.total: dict[str, float] = {}

    def back_from(self, last: int) -> dict[str, float]:
        """Walk from the log of an entry to the beginning."""
        self._now_s = self._trace.logged_s[last]
        if self._trace.barrier:
            at = self._chosen(self._take(None, last))
        else:  # whoever goes back last tells that the entry is done
            done = [work for work in self._trace.works if work.number == last]
            role = max(done, key=lambda work: work.end_s).role if done else None
            at = self._chosen(self._take(role, None))
        while at is not None and self._now_s > self._begin_s:
            if isinstance(at, Work):
                self._pass(f"{at.kind} {at.role}", at.start_s)
                at = self._before(at.role)
            else:
                at = self._message(at)
        self._pass(RUNTIME, self._begin_s)
        return self.total

    def _pass(self, term: str, until_s: float) -> None:
        """Attribute the time back to a moment."""
        until_s = max(until_s, self._begin_s)
        if until_s < self._now_s - SLACK_S:
            self.total[term] = self.total.get(term, 0.0) + self._now_s - until_s
            self._now_s = until_s

    def _before(self, role: str) -> Work | Message | None:
        """What a role did or got last, or the log behind which it could go on."""
        found = self._take(role, None)
        logged_s, number = self._log()
        if number is not None and (found is None or _end(found[1]) < logged_s - SLACK_S):
            self._pass(RUNTIME, logged_s)
            found = self._take(None, number)
        return self._chosen(found)

    def _log(self) -> tuple[float, int | None]:
        """The last log by now behind which entries begin: when, and of which entry."""
        logs = [(s, n) for n, s in self._trace.logged_s.items() if s <= self._now_s + SLACK_S and self._trace.barrier]
        return max(logs, default=(self._begin_s, None))

    def _take(self, role: str | None, most: int | None) -> tuple[int, Work | Message] | None:
        """What ended last by now at a role, or at any; of entries up to ``most``."""
        ended = [
            (key, one)
            for key, one in self._left.items()
            if _end(one) <= self._now_s + SLACK_S
            and (role is None or role == _place(one))
            and (most is None or one.number <= most)
        ]
        return max(ended, key=lambda pair: (_end(pair[1]), pair[0]), default=None)

    def _chosen(self, found: tuple[int, Work | Message] | None) -> Work | Message | None:
        if found is None:
            return None
        del self._left[found[0]]
        self._pass(RUNTIME, _end(found[1]))
        return found[1]

    def _message(self, message: Message) -> Work | Message | None:
        """Attribute a message and those that it waited for; returns what the first of them waited for."""
        link = f"{message.sender}→{message.receiver}"
        own_s = message.there_s - message.start_s - message.fixed_s - message.bytes_s
        self._pass(RUNTIME, self._now_s - max(0.0, own_s))
        self._pass(f"bytes {link}", max(message.start_s, self._now_s - message.bytes_s))
        self._pass(f"fixed {link}", message.start_s)
        while True:
            queued = self._queued(message.sender)
            own = self._take(message.sender, None)
            ready_s = max(_end(own[1]) if own is not None else self._begin_s, self._log()[0])
            if queued is None or queued.left_s <= ready_s or queued.start_s >= self._now_s:
                return self._before(message.sender)
            self._pass(RUNTIME, queued.left_s)
            self._pass(WAITING, max(queued.start_s, ready_s))

    def _queued(self, sender: str) -> Message | None:
        """The sender's message that left last by now."""
        earlier: Sequence[Message] = [
            m for m in self._trace.messages if m.sender == sender and m.left_s <= self._now_s + SLACK_S
        ]
        return max(earlier, key=lambda m: m.left_s, default=None)


def _end(one: Work | Message) -> float:
    return one.end_s if isinstance(one, Work) else one.there_s


def _place(one: Work | Message) -> str:
    return one.role if isinstance(one, Work) else one.receiver
