"""Deliveries survive the controller: what is on the disk has happened, once; a torn line has not."""

from __future__ import annotations

import io
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from splitgym.runtime.journal import Journal, open_journal
from splitgym.ui.errors import InputError


class JournalMachine(RuleBasedStateMachine):
    """Deliveries, and ends of the controller at any byte of one."""

    def __init__(self) -> None:
        super().__init__()
        self.file = io.BytesIO()
        self.journal = Journal(self.file)
        self.delivered: list[int] = []

    @rule(value=st.integers())
    def deliver(self, value: int) -> None:
        self.journal.append({"value": value})
        self.delivered.append(value)

    @rule(value=st.integers(), share=st.floats(0.0, 1.0, exclude_max=True))
    def die_over_a_delivery(self, value: int, share: float) -> None:
        before = len(self.file.getvalue())
        self.journal.append({"value": value})
        data = self.file.getvalue()
        torn = data[: before + int((len(data) - before) * share)]
        self.file = io.BytesIO(torn)
        self.journal = Journal(self.file)

    @rule()
    def start_anew(self) -> None:
        self.journal = Journal(self.file)

    @invariant()
    def holds_what_was_delivered(self) -> None:
        assert [entry["value"] for entry in self.journal.entries] == self.delivered
        assert self.journal.next == len(self.delivered)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


def test_a_file_outlives_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with open_journal(path) as journal:
        journal.append({"latency_s": 0.5})
    with open_journal(path) as journal:
        assert journal.next == 1
        journal.append({"latency_s": 0.25})
    assert path.read_text().splitlines() == ['{"item": 0, "latency_s": 0.5}', '{"item": 1, "latency_s": 0.25}']


@pytest.mark.parametrize("text", ["no journal\n", '{"item": 1}\n', '{"item": 0}\n{"item": 2}\n', "[]\n"])
def test_what_is_no_journal_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^run/journal: line \d is no delivery of item \d$"):
        Journal(io.BytesIO(text.encode()), "run/journal")


def test_a_full_disk_delivers_nothing(tmp_path: Path) -> None:
    """Neither now nor when there is room again: what could not be written is nowhere."""
    path, before = tmp_path / "journal.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open_journal(path) as journal:
        journal.append({})
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, before[1]))
            with pytest.raises(InputError, match=r"journal\.jsonl: cannot be written \(File too large\)"):
                journal.append({"latency_s": 0.5})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert journal.next == 1
    with open_journal(path) as journal:
        assert journal.next == 1
        journal.append({"latency_s": 0.25})
    assert path.read_text().splitlines() == ['{"item": 0}', '{"item": 1, "latency_s": 0.25}']
