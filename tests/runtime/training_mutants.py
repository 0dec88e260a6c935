"""Bugs that a training must not have, planted one at a time: each is a patch of one decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from splitgym.runtime.packet_links import PacketLink, Sealed
from splitgym.runtime.session_core import SessionCore
from splitgym.runtime.training.core import Tell, TrainingCore
from splitgym.runtime.training.cut import Device
from splitgym.runtime.training.last import LastMember
from splitgym.runtime.training.member import Member
from splitgym.runtime.training.pipeline import STASH, Client
from splitgym.runtime.training.session import Deploy, TrainingSession
from splitgym.runtime.transport import Buffer
from splitgym.runtime.wire_training import Prepared
from splitgym.runtime.wire_training_plan import Part
from splitgym.runtime.worker_core import WorkerCore

from .mutants import _journal_is_forgotten

Patch = Callable[[pytest.MonkeyPatch], None]


def _worker_takes_any_epoch(patch: pytest.MonkeyPatch) -> None:
    own = WorkerCore.accepts
    patch.setattr(WorkerCore, "accepts", lambda core, sender, part: own(core, sender, changed(part, epoch=core.epoch)))


def _worker_takes_any_session(patch: pytest.MonkeyPatch) -> None:
    own = WorkerCore.accepts

    def accepts(core: WorkerCore, sender: str, part: Part) -> bool:
        if part.session == core.session or core.plan is None:
            return own(core, sender, part)
        known = {peer.name: peer.incarnation for peer in core.plan.peers}
        incarnation = known.get(sender, part.incarnation)
        return own(core, sender, changed(part, session=core.session, epoch=core.epoch, incarnation=incarnation))

    patch.setattr(WorkerCore, "accepts", accepts)


def _controller_takes_any_epoch(patch: pytest.MonkeyPatch) -> None:
    own = SessionCore.accepts
    patch.setattr(SessionCore, "accepts", lambda core, worker, part: own(core, worker, changed(part, epoch=core.epoch)))


def changed(part: Part, **changes: Any) -> Part:
    """A part's header with some fields changed."""
    return msgspec.structs.replace(part, **changes)


def _gaps_are_not_noticed(patch: pytest.MonkeyPatch) -> None:
    own = PacketLink.add

    def add(link: PacketLink, part: Part, payload: Buffer) -> Sealed | None:
        if part.number > link._number and not part.offset:
            link._number, link._came = part.number, 0
        return own(link, part, payload)

    patch.setattr(PacketLink, "add", add)


def _what_comes_twice_is_taken_twice(patch: pytest.MonkeyPatch) -> None:
    own = PacketLink.add

    def add(link: PacketLink, part: Part, payload: Buffer) -> Sealed | None:
        if part.number < link._number and len(payload) == part.size:
            return Sealed(payload, part.envelope_bytes)
        return own(link, part, payload)

    patch.setattr(PacketLink, "add", add)


def _logs_what_one_has_done(patch: pytest.MonkeyPatch) -> None:
    own = TrainingCore.handle

    def handle(core: TrainingCore, member: str, header: Any, state: Any = None) -> list[Any]:
        if isinstance(header, Prepared) and header.epoch == core.epoch:
            for other in core.rules.members:
                core._reports.setdefault(header.number, {}).setdefault(other, header)
        return own(core, member, header, state)

    patch.setattr(TrainingCore, "handle", handle)


def _logs_again_what_is_done_again(patch: pytest.MonkeyPatch) -> None:
    own = TrainingCore._restore

    def restore(core: TrainingCore) -> list[Any]:
        core.logged = core.checkpoint
        return own(core)

    patch.setattr(TrainingCore, "_restore", restore)


def _commits_before_it_logs(patch: pytest.MonkeyPatch) -> None:
    own = TrainingCore._log
    patch.setattr(TrainingCore, "_log", lambda core: sorted(own(core), key=lambda action: not isinstance(action, Tell)))


def _members_do_not_go_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Member, "take_state", lambda member, state: None)


def _what_was_under_way_is_not_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Client, "begin_epoch", lambda client: None)


def _stashed_weights_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    own = Client.take_state

    def take_state(client: Client, state: Any) -> None:
        own(client, {name: value for name, value in state.items() if not name.startswith(STASH)})

    patch.setattr(Client, "take_state", take_state)


def _whoever_plays_is_held_to_have_its_roles_copies(patch: pytest.MonkeyPatch) -> None:
    own = TrainingSession._run

    def run(session: TrainingSession, now_s: float) -> list[Any]:
        session._played = dict(session.workers)
        return own(session, now_s)

    patch.setattr(TrainingSession, "_run", run)


def _who_never_began_is_held_to_have_copies(patch: pytest.MonkeyPatch) -> None:
    own = LastMember.member

    def member(last: LastMember, key: object, make: Callable[[], Member]) -> tuple[Member, bool]:
        had = last._member is not None and last._key == key
        return own(last, key, make)[0], had

    patch.setattr(LastMember, "member", member)


def _quiet_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TrainingSession, "_is_quiet", lambda session, now_s: False)


def _stuck_workers_are_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TrainingSession, "_stuck", lambda session: None)


def _spare_workers_stay_spare(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TrainingSession, "_may_come", lambda session, worker: True)


def _loss_does_not_end_the_epoch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TrainingSession, "_stop", lambda session: None)


def _who_is_lost_may_play(patch: pytest.MonkeyPatch) -> None:
    def begin(session: TrainingSession) -> list[Any]:
        if session.session.welcomes.keys() < set(session.workers.values()):
            return []
        session.state = "BEGINNING"
        return [Deploy(dict(session.workers))]

    patch.setattr(TrainingSession, "_begin", begin)


def _a_device_applies_at_once(patch: pytest.MonkeyPatch) -> None:
    own = Device.prepared

    def prepared(device: Device, number: int, measures: Any = None) -> Any:
        device.half.apply(number, 0.5)
        return own(device, number, measures)

    patch.setattr(Device, "prepared", prepared)


# The patch, and what the simulation says of it: every mechanism has an invariant of its own.
_ALL: Mapping[Patch, str] = {
    _worker_takes_any_epoch: "takes packets of epoch",
    _worker_takes_any_session: "takes packets of another session",
    _controller_takes_any_epoch: "a packet of another epoch is taken by the controller",
    _gaps_are_not_noticed: "is out of order",
    _what_comes_twice_is_taken_twice: "is out of order",
    _logs_what_one_has_done: "has not done its part",
    _logs_again_what_is_done_again: "was delivered again",
    _journal_is_forgotten: "was delivered again",
    _commits_before_it_logs: "before it is logged",
    _members_do_not_go_back: "than a training that loses nobody",
    _what_was_under_way_is_not_forgotten: "was not delivered within",
    _stashed_weights_are_not_kept: "than a training that loses nobody",
    _whoever_plays_is_held_to_have_its_roles_copies: "has no state in front of entry",
    _who_never_began_is_held_to_have_copies: "has no state in front of entry",
    _quiet_is_not_noticed: "was not delivered within",
    _stuck_workers_are_not_noticed: "was not delivered within",
    _spare_workers_stay_spare: "gives up: nothing was logged",
    _loss_does_not_end_the_epoch: "is waited for though it has left",
    _who_is_lost_may_play: "gets a plan though it cannot be used",
    _a_device_applies_at_once: "before it is logged",
}
# A seed that finds it, where none of the first few does; if it finds it no more all others are tried.
SEEDS: Mapping[str, int] = {
    "gaps are not noticed": 80,
    "journal is forgotten": 32,
    "whoever plays is held to have its roles copies": 469,
    "who never began is held to have copies": 40,
    "stuck workers are not noticed": 29,
    "spare workers stay spare": 12,
    "quiet is not noticed": 15,
    "what was under way is not forgotten": 11,
}
MUTANTS: Mapping[str, tuple[Patch, str]] = {
    patch.__name__[1:].replace("_", " "): (patch, words)  # type: ignore[attr-defined]
    for patch, words in _ALL.items()
}
