"""Trainings over worker processes that are killed, hang or cannot reach each other; and emulated devices and links."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from splitgym.runtime.controller import ClusterFailure, Controller
from splitgym.runtime.shaper import Relay
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.training.job import TrainingJob
from splitgym.runtime.training.live import Training
from splitgym.runtime.training.local import LocalTraining
from splitgym.runtime.training.log import open_log
from splitgym.runtime.wire_training import AnyEntry, Compressed, Minibatch, Move, Round, Share
from splitgym.runtime.wire_training_plan import Kind, TrainingPace
from splitgym.ui.errors import InputError

from ... import ROOT
from ..live import ENOUGH_S, until
from .live import NAMES, job, kill, run, session, training
from .nets import PLAIN, same
from .reference import RATE

KINDS: tuple[Kind, ...] = ("cut", "pipeline", "hybrid", "compressed")


def entries_of(kind: Kind, count: int) -> list[AnyEntry]:
    """Entries that drain at the end."""
    half = count // 2
    match kind:
        case "cut":
            return [Round(i, i * 7 % 6, RATE) for i in range(count)]
        case "pipeline":
            first = [Minibatch(i, 2, RATE) for i in range(half)]
            return [*first, Move(2, 4), *(Minibatch(i, 4, RATE) for i in range(half, count)), Move(4, 4)]
        case "hybrid":
            return [Share(i, RATE, ("edge", "device", "cloud"), 1, 3, (4, 4, 4)) for i in range(count)]
        case _:
            return [Compressed(i, RATE, 2 + i * 4 // count) for i in range(count)]


def is_whole(what: TrainingJob, entries: list[AnyEntry], states: Any) -> bool:
    """Whether states are those of a training in one process that loses nobody."""
    whole = LocalTraining(what.rules, what.make)
    list(whole.run(entries))
    due = whole.states()
    return all(same(states[role], due[role]) for role in what.roles)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_fifty_kills_over_five_hundred_steps_leave_no_trace(kind: Kind, testbed: Testbed, tmp_path: Path) -> None:
    what, draw = job(kind, PLAIN, cut=2 if kind == "pipeline" else 0), random.Random(kind)
    entries = entries_of(kind, 500)
    with training(testbed, tmp_path, what) as found:

        def lose() -> None:
            kill(testbed, draw.choice(list(found.session.workers.values())))

        steps = run(found, entries, dict.fromkeys(draw.sample(range(500), 50), lose))
        states = found.states()
        assert sum(event.kind == "lost" for event in found.events) > 25  # not one for each: two may meet one worker
    assert [step.number for step in steps] == list(range(len(entries)))
    assert is_whole(what, entries, states)


CONTROLLER = """
import json, sys
from pathlib import Path
from splitgym.runtime.controller import Member
from splitgym.runtime.keys import Identity, Member as Listed, Roster
from splitgym.runtime.session import open_session
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.training.live import Training
from splitgym.runtime.training.log import open_log
from tests.runtime.training.live import job
from tests.runtime.training.nets import PLAIN
from tests.runtime.training.test_live_faults import entries_of
told = json.loads(sys.argv[1])
folder, members = Path(told["folder"]), [Member(*member) for member in told["members"]]
roster = Roster(Listed(*listed) for listed in told["roster"])
with (
    open_log(folder / "log") as log,
    open_session(members, Identity(*told["identity"]), roster, BlobStore(folder / "own"), returns=True) as controller,
    Training(controller, job("pipeline", PLAIN, cut=2, every=7), log=log) as training,
):
    for step in training.run(entries_of("pipeline", 200)):
        print(step.number, flush=True)
"""


@pytest.mark.slow
def test_a_controller_that_is_killed_is_followed_by_another(testbed: Testbed, tmp_path: Path) -> None:
    identity = testbed.identity
    told = {
        "folder": str(tmp_path), "identity": [identity.name, identity.public, identity.secret],
        "members": [[member.name, member.address] for member in testbed.members],
        "roster": [[m.name, m.public, m.role] for m in testbed.roster.members.values()],
    }  # fmt: skip
    words = [sys.executable, "-c", CONTROLLER, json.dumps(told)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as first:
        assert first.stdout is not None
        while int(first.stdout.readline()) < 30:
            pass
        first.kill()
    what, entries = job("pipeline", PLAIN, cut=2, every=7), entries_of("pipeline", 200)
    with open_log(tmp_path / "log") as log, training(testbed, tmp_path / "own", what, log) as found:
        assert 30 < found.logged < len(entries)
        assert log.checkpoint is not None
        run(found, entries[found.logged :], {})
        assert is_whole(what, entries, found.states())


def test_a_worker_that_hangs_is_replaced_and_what_it_had_begun_is_done_again(testbed: Testbed, tmp_path: Path) -> None:
    what, entries = job("cut", PLAIN), entries_of("cut", 20)
    with session(testbed, tmp_path) as controller, Training(controller, what) as found:

        def stop() -> None:
            testbed.signal("w1", signal.SIGSTOP)
            with controller.lock:
                controller.core.membership.lease_s = 1.0

        try:
            run(found, entries, {8: stop})
            assert found.session.workers["edge"] == "w2"
            assert any(event.kind == "lost" and "silent" in event.text for event in found.events)
        finally:
            testbed.signal("w1", signal.SIGCONT)
        assert is_whole(what, entries, found.states())


class Relayed(Controller):
    """Has everybody reach the second worker for packets through a relay."""

    relay: Relay

    def data_address(self, worker: str) -> str:
        return self.relay.address if worker == "w1" else super().data_address(worker)


@pytest.mark.parametrize("how", ["cut", "frozen"])
def test_a_link_that_loses_or_holds_what_it_carries_ends_an_epoch_and_nothing_else(
    how: str, testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitgym.runtime.session.Controller", Relayed)
    what, entries = job("pipeline", PLAIN, cut=2), entries_of("pipeline", 20)
    with Relay(testbed.running["w1"].data) as relay:
        monkeypatch.setattr(Relayed, "relay", relay, raising=False)

        def hurt() -> None:
            if how == "cut":
                relay.drop()
            else:
                relay.freeze()
                threading.Timer(1.5, relay.thaw).start()

        with session(testbed, tmp_path) as controller, Training(controller, what, quiet_s=0.5) as found:
            steps = run(found, entries, {8: hurt})
            states = found.states()
            assert controller.core.epoch > 1
    assert [step.number for step in steps] == list(range(len(entries)))
    assert is_whole(what, entries, states)


def test_what_cannot_go_on_says_why(testbed: Testbed, tmp_path: Path) -> None:
    what = job("cut", PLAIN)
    with session(testbed, tmp_path) as controller, Training(controller, what) as found:
        found.do(Round(0, 2, RATE))
        for name in NAMES:
            testbed.signal(name)
        until(lambda: controller.core.membership.gone >= set(NAMES))
        found.session.patience_s = 0.5
        with pytest.raises(ClusterFailure, match=r"nothing was logged for 0.5 s \(.*w1 its connection"):
            found.do(Round(1, 2, RATE))
    for name in NAMES:
        testbed.restart(name)


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        ({"device": "w0"}, "needs workers for device, edge; given are device"),
        ({"device": "w0", "edge": "w9"}, "there is no worker w9, allowed: w0, w1, w2"),
        ({"device": "w0", "edge": "w0"}, "a worker plays one role"),
    ],
)
def test_workers_that_cannot_play_are_named(
    workers: dict[str, str], said: str, testbed: Testbed, tmp_path: Path
) -> None:
    with session(testbed, tmp_path) as controller, pytest.raises(InputError, match=said):
        Training(controller, job("cut", PLAIN), workers)


@pytest.fixture
def _all_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are handed out when all members have told what they did, however late."""
    monkeypatch.setattr("splitgym.runtime.training.steps.GRACE_S", ENOUGH_S)


def pace(seconds: float, message_s: float) -> TrainingPace:
    """Every step takes so long, and so does every message."""
    return TrainingPace((seconds,) * 5, (seconds,) * 5, (seconds / 2,) * 5, (message_s,) * 2, (0.0, 0.0))


@pytest.mark.usefixtures("_all_tell")
def test_emulated_members_and_links_take_the_time_that_they_stand_for(testbed: Testbed, tmp_path: Path) -> None:
    step_s, message_s = 0.02, 0.03
    slow = pace(step_s, message_s)
    with training(testbed, tmp_path, job("cut", PLAIN, paces={"device": slow, "edge": slow})) as found:
        steps = run(found, [Round(i, 2, RATE) for i in range(4)], {})
    for step in steps:
        for role, (start, stop) in (("device", (0, 2)), ("edge", (2, 5))):
            took = {span.kind: span.end_s - span.start_s for span in step.spans[role] if span.kind not in ("receive",)}
            assert took["forward"] >= (stop - start) * step_s
            assert took["backward"] >= (stop - start) * step_s
            assert took["update"] >= (stop - start) * step_s / 2
            between = [span for span in step.spans[role] if span.kind == "send" and span.label != "controller"]
            assert all(span.end_s - span.start_s >= message_s for span in between)
            assert len(between) == 1
        whole_s = 2 * 5 * step_s + 2 * message_s
        assert step.logged_s - step.begun_s >= whole_s


@pytest.mark.usefixtures("_all_tell")
def test_work_that_takes_longer_than_it_stands_for_makes_a_step_invalid(testbed: Testbed, tmp_path: Path) -> None:
    with training(testbed, tmp_path, job("cut", PLAIN, paces={"edge": pace(0.0, 0.0)})) as found:
        step = found.do(Round(0, 2, RATE))
        assert step.overrun_s > 0.0
        assert not step.is_valid
    with training(testbed, tmp_path, job("cut", PLAIN)) as found:
        assert found.do(Round(0, 2, RATE)).is_valid
