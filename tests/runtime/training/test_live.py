"""Over worker processes: bit by bit what one process does, whoever is lost in the middle, the controller too."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from splitgym.models.model import Model
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.training.budget import selected_lr
from splitgym.runtime.training.core import Done
from splitgym.runtime.training.cut import Ledger
from splitgym.runtime.training.half import step_of
from splitgym.runtime.training.job import TrainingJob
from splitgym.runtime.training.live import Training
from splitgym.runtime.training.log import TrainingLog, open_log
from splitgym.runtime.training.state import State
from splitgym.runtime.training.trainer import Training as Trainer
from splitgym.runtime.training.trainer import train
from splitgym.runtime.wire_training import AnyEntry, Compressed, Redraw, Round
from splitgym.runtime.wire_training_plan import TrainingPace
from splitgym.ui.errors import InputError

from ..live import until
from .live import SETTINGS, job, kill, merged, run, session, training
from .members import minibatches, shares
from .nets import NORMS, PLAIN, digits, same
from .reference import RATE, BothCopies, compressed, hybrid, pipelined, plain, remembered

FAULTS = ["whole", "killed", "controller"]
SEGMENTS = [(2, 7), (4, 6), (1, 4)]
BUDGETS = [2, 6, 3]


class Bench:
    """Does entries over a testbed, with one fault in the middle."""

    def __init__(self, testbed: Testbed, folder: Path, fault: str) -> None:
        self._testbed, self._folder, self._fault = testbed, folder, fault

    def __call__(self, what: TrainingJob, entries: Sequence[AnyEntry]) -> tuple[list[Done], dict[str, State]]:
        middle = len(entries) // 2
        if self._fault == "controller":
            return self._with_another_controller(what, entries, middle)
        with training(self._testbed, self._folder / "store", what) as found:
            worker = self._playing(found)
            faults = {middle: lambda: kill(self._testbed, worker)} if self._fault == "killed" else {}
            steps = run(found, entries, faults)
            assert found.session.core.epoch > 2 or not faults
            return list(steps), dict(found.states())

    def _playing(self, found: Training) -> str:
        return random.Random(self._folder.name).choice(list(found.session.workers.values()))

    def _with_another_controller(
        self, what: TrainingJob, entries: Sequence[AnyEntry], middle: int
    ) -> tuple[list[Done], dict[str, State]]:
        """The first one is gone without a word, in the middle of a step."""
        done: dict[int, Done] = {}
        with ExitStack() as stack:
            log = stack.enter_context(open_log(self._folder / "log", {"what": what.kind}))
            first = stack.enter_context(training(self._testbed, self._folder / "store", what, log))
            for step in first.run(entries):
                done[step.number] = step
                if step.number == middle:
                    break
            first._controller.core.over = list  # type: ignore[method-assign]
        with (
            open_log(self._folder / "log", {"what": what.kind}) as log,
            training(self._testbed, self._folder / "store", what, log) as second,
        ):
            assert middle < second.logged == len(log.entries) <= len(entries)
            for step in second.run(entries[second.logged :]):
                assert step.number not in done
                done[step.number] = step
            return [done[n] for n in sorted(done)], dict(second.states())


@pytest.fixture(params=FAULTS)
def bench(testbed: Testbed, tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    return Bench(testbed, tmp_path, request.param)


def test_a_cut_without_moves_is_plain_sgd(bench: Bench) -> None:
    cut, steps = 3, 25
    net, optimizer, losses = plain(NORMS, digits(), steps)
    done, states = bench(job("cut", NORMS), [Round(i, cut, RATE) for i in range(steps)])
    mine = {name: value for name, value in states["device"].items() if step_of(name) < cut}
    theirs = {name: value for name, value in states["edge"].items() if step_of(name) >= cut}
    assert same(merged(mine, theirs), remembered(net, optimizer))
    for step in done:  # what was logged when the controller ended is told to nobody
        assert step.measures["loss"] / step.measures["samples"] == pytest.approx(losses[step.number], rel=1e-12)


def test_a_cut_with_moves_is_one_process_with_both_copies(bench: Bench) -> None:
    both, ledger, entries = BothCopies(NORMS, digits(), 4), Ledger(len(NORMS.steps), 4), list[AnyEntry]()
    for number, cut in enumerate([2, 4, 4, 1, 0, 3, 5, 7, 2, 2, 6, 1, 4, 3]):
        both.round(cut)
        entries.append(Round(number, cut, RATE))
        ledger.book(Round(number, cut, RATE))
        if (sync := ledger.due_behind()) is not None:
            entries.append(sync)
            ledger.book(sync)
    _, states = bench(job("cut", NORMS, every=5), entries)
    for who, net, optimizer in zip(("device", "edge"), both.nets, both.optimizers, strict=True):
        assert same(states[who], remembered(net, optimizer))


@pytest.mark.parametrize("in_flight", [2, 3])
def test_a_pipeline_is_one_process_with_the_same_versions(bench: Bench, in_flight: int) -> None:
    what = job("pipeline", NORMS, cut=2, in_flight=in_flight, every=5)
    _, states = bench(what, minibatches(SEGMENTS))
    assert same(merged(*states.values()), remembered(*pipelined(NORMS, digits(), SEGMENTS, in_flight)))


@pytest.mark.parametrize("model", [PLAIN, NORMS], ids=lambda model: model.name)
def test_hybrid_is_the_same_concatenations_in_one_process(bench: Bench, model: Model) -> None:
    steps, (m_s, m_l, b) = 7, (1, 3, (4, 3, 5))  # of one epoch
    done, states = bench(job("hybrid", model, every=3), shares(0, steps, m_s, m_l, b))
    assert same(states["edge"], remembered(*hybrid(model, digits(), steps, m_s, m_l, b)))
    if model is PLAIN:  # without batch norm it is the full batch
        net, optimizer, losses = plain(model, digits(), steps)
        for name, value in remembered(net, optimizer).items():
            assert (states["edge"][name] - value).abs().max() <= 1e-5
        for step in done:  # what was logged when the controller ended is told to nobody
            assert step.measures["loss"] / 12 == pytest.approx(losses[step.number], rel=1e-5)


def test_compressed_is_the_loop_with_its_records_and_bytes(bench: Bench) -> None:
    loop, entries, per_epoch = compressed(PLAIN, digits(), SETTINGS, BUDGETS), list[AnyEntry](), 8
    for epoch, budget in enumerate(BUDGETS):
        rate = selected_lr(
            SETTINGS.learning_rate * SETTINGS.decay**epoch,
            BUDGETS[: epoch + 1],
            SETTINGS.gamma,
            SETTINGS.boosted_epochs,
        )
        if epoch and budget < BUDGETS[epoch - 1]:
            entries.append(Redraw(epoch))
        entries += [Compressed(epoch * per_epoch + i, rate, budget) for i in range(per_epoch)]
    done, states = bench(job("compressed", PLAIN, every=7), entries)
    for who, half in zip(("client", "server"), loop.halves, strict=True):
        weights = {name: value for name, value in states[who].items() if "@" not in name}
        assert same(weights, half.state_dict())
    sums: list[Counter[str]] = [Counter() for _ in BUDGETS]
    for step in done:
        if isinstance(step.entry, Compressed):
            sums[step.entry.batch // per_epoch].update(step.measures)
    if len(done) == len(entries):
        for told, (loss, right, sent) in zip(sums, loop.epochs, strict=True):
            assert (told["loss"] / told["samples"], told["right"] / told["samples"]) == (loss, right)
            assert {kind: told[kind] for kind in sent} == sent


def test_the_same_trainer_tells_the_same_over_workers(testbed: Testbed, tmp_path: Path) -> None:
    what, local = job("compressed", PLAIN), Trainer(PLAIN, digits(), SETTINGS, "cpu")
    train(local, BUDGETS)
    with training(testbed, tmp_path, what) as found:
        remote = Trainer(PLAIN, digits(), SETTINGS, "cpu", over=found)
        train(remote, BUDGETS, on_epoch=lambda record: kill(testbed, "w0"))
    times = {"seconds": 0.0, "module_s": 0.0}
    assert [replace(r, **times) for r in remote.records] == [replace(r, **times) for r in local.records]


def test_a_role_goes_to_a_spare_worker_and_moves_on_request(testbed: Testbed, tmp_path: Path) -> None:
    segments = [(2, 8), (2, 6), (2, 5)]
    with training(testbed, tmp_path, job("pipeline", NORMS, cut=2)) as found:
        assert found.session.workers == {"client": "w0", "server": "w1"}
        entries = minibatches(segments)
        run(found, entries[:9], {4: lambda: kill(testbed, "w1")})
        assert found.session.workers["server"] == "w2"
        until(lambda: "w1" in found.session.session.membership.usable)
        found.switch("server", "w1")
        assert found.session.core.checkpoint == found.logged == 9  # what the new one begins with: nothing is done again
        run(found, entries[9:], {})
        assert found.session.workers["server"] == "w1"
        states = found.states()
    assert same(merged(*states.values()), remembered(*pipelined(NORMS, digits(), segments, 2)))


def test_a_training_goes_on_from_given_states(testbed: Testbed, tmp_path: Path) -> None:
    what = job("cut", PLAIN)
    with training(testbed, tmp_path, what) as first:
        run(first, [Round(i, 2, RATE) for i in range(6)], {})
        states = first.states()
    with training(testbed, tmp_path, what, TrainingLog(checkpoint=(0, states))) as second:
        run(second, [Round(i, 2, RATE) for i in range(6, 10)], {})
        found = second.states()
    net, optimizer, _ = plain(PLAIN, digits(), 10)
    mine = {name: value for name, value in found["device"].items() if step_of(name) < 2}
    theirs = {name: value for name, value in found["edge"].items() if step_of(name) >= 2}
    assert same(merged(mine, theirs), remembered(net, optimizer))


def test_who_closes_a_training_does_not_wait_and_misses_nothing_that_counts(testbed: Testbed, tmp_path: Path) -> None:
    what, entries = job("cut", PLAIN), [Round(n, 2, RATE) for n in range(8)]
    steps = (100.0,) * len(PLAIN.steps)
    paces = dict.fromkeys(what.roles, TrainingPace(steps, steps, steps, (0.0, 0.0), (0.0, 0.0)))
    with session(testbed, tmp_path / "store") as controller:
        with Training(controller, what) as first:
            with pytest.raises(InputError, match="rate"):
                first.submit(Round(0, 2, 1e9))  # which a worker would drop
            first.submit(*entries)
            until(lambda: first.logged >= 3)
        counted = list(first.rest())
        assert [step.number for step in counted] == list(range(len(first.log.entries)))
        with Training(controller, replace(what, paces=paces)) as slow:
            slow.submit(*entries)
            time.sleep(0.1)
            begun_s = time.monotonic()
        assert time.monotonic() - begun_s < 60  # an entry takes hours
        assert not [*slow.rest(), *slow.log.entries]
        with Training(controller, what) as again:  # finds nothing that was left behind
            found = list(again.run(entries))
    assert [step.measures for step in found[: len(counted)]] == [step.measures for step in counted]
