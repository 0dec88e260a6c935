"""Paces that change on the way, and trainings of one session one after another: what is learnt is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitgym.runtime.testbed import Testbed
from splitgym.runtime.training.live import Training
from splitgym.runtime.training.local import LocalTraining
from splitgym.runtime.wire_training import Round
from splitgym.runtime.wire_training_plan import TrainingPace

from .live import job, session
from .nets import PLAIN, same
from .reference import BATCH, RATE

STEP_S, LATER_S = 0.002, 0.01  # of every step of the model, at first and then


def paces(seconds: float) -> dict[str, TrainingPace]:
    every = (seconds,) * len(PLAIN.steps)
    return dict.fromkeys(("device", "edge"), TrainingPace(every, every, (0.0,) * len(every), (0.0, 0.0), (0.0, 0.0)))


@pytest.mark.parametrize("every", [None, 3])
def test_paces_change_between_entries_and_nothing_that_is_learnt_does(
    every: int | None, testbed: Testbed, folder: Path
) -> None:
    what = job("cut", PLAIN, every=every, paces=paces(STEP_S))
    entries = [Round(number, 2, RATE) for number in range(8)]
    with session(testbed, folder / "store") as controller, Training(controller, what) as found:
        before = list(found.run(entries[:4]))
        found.repace(paces(LATER_S))
        after = list(found.run(entries[4:]))
        states = found.states()
    assert [step.number for step in (*before, *after)] == list(range(8))
    for step in after:
        passes = 2 * len(PLAIN.steps) * step.measures["samples"] / BATCH  # every step once forward and once backward
        assert step.ended_s - step.begun_s >= passes * LATER_S
    assert {step.epoch for step in before}.isdisjoint({step.epoch for step in after})
    local = LocalTraining(what.rules, what.make)
    for entry in entries:
        local.do(entry)
    for role, state in local.states().items():
        assert same(states[role], state)


def test_another_training_of_a_session_begins_anew(testbed: Testbed, folder: Path) -> None:
    what, told = job("cut", PLAIN, every=None), []
    with session(testbed, folder / "store") as controller:
        for _ in range(2):
            with Training(controller, what) as found:
                told.append([step.measures for step in found.run([Round(number, 2, RATE) for number in range(3)])])
    assert told[0] == told[1]
