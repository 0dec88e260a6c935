"""Jobs run once, are kept as they end, and run again where the code behind them has changed."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest

from splitgym.experiments.claims import ledger as ledgers
from splitgym.experiments.claims.findings import entries, needed
from splitgym.experiments.claims.ledger import JobFailed, Ledger, name_of, run, unique
from splitgym.experiments.claims.statement import Claim, Exhibit, Job, Setting
from splitgym.experiments.executors.work import Executor

from . import toy

JOBS = [Job(toy.twice, {"number": float(n)}, seconds=n + 1.0) for n in range(3)]


def quiet(share: float, text: str) -> None:
    assert 0.0 <= share <= 1.0 + 1e-9, text


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_kept_and_the_number_of_processes_has_no_say(tmp_path: Path, workers: int) -> None:
    assert run([*JOBS, *JOBS], Ledger(tmp_path), Executor(workers), quiet) == []
    assert len(list(tmp_path.iterdir())) == len(JOBS)
    again = Ledger(tmp_path)
    assert [again.result(job)["twice"] for job in JOBS] == [0.0, 2.0, 4.0]


def test_what_is_done_does_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[float] = []
    monkeypatch.setattr(toy, "twice", lambda number: ran.append(number))
    monkeypatch.setattr(toy.twice, "__qualname__", "twice")
    monkeypatch.setattr(toy.twice, "__module__", toy.__name__)
    jobs = [Job(toy.twice, {"number": float(n)}) for n in range(3)]
    run(jobs[:2], Ledger(tmp_path), Executor(), quiet)
    run(jobs, Ledger(tmp_path), Executor(), quiet)
    assert ran == [0.0, 1.0, 2.0]
    monkeypatch.setattr(ledgers, "code_of", lambda function: "other code")
    run(jobs, Ledger(tmp_path), Executor(), quiet)
    assert ran == [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]
    assert Ledger(tmp_path, any_code=True).find(jobs[0]) is not None


def test_one_job_that_fails_is_named_and_ends_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    (line,) = run([Job(toy.broken, seconds=9.0), *JOBS], ledger, Executor(), quiet)
    assert "broken()" in line
    assert "ValueError: no such luck" in line
    assert ledger.result(JOBS[2])["twice"] == 4.0
    with pytest.raises(JobFailed, match="no such luck"):
        ledger.result(Job(toy.broken))
    assert len(list(tmp_path.iterdir())) == len(JOBS)  # the next time tries again
    (entry,) = entries(
        toy.paper([Exhibit("fig3", "Fig. 3", "t", (Claim("k", "s", "p", toy.fails),))]), [Setting()], ledger
    )
    assert (entry.findings[0].verdict, "no such luck" in entry.findings[0].error) == ("not resolved", True)


def test_exclusive_jobs_come_last(tmp_path: Path) -> None:
    seen: list[str] = []
    jobs = [Job(toy.twice, {"number": 9.0}, exclusive=True), *JOBS]
    run(jobs, Ledger(tmp_path), Executor(), lambda share, text: seen.append(text))
    assert "9.0" in seen[-1]
    assert all("9.0" not in text for text in seen[: len(JOBS)])


def test_a_job_is_named_by_function_and_arguments() -> None:
    assert name_of(Job(toy.twice, {"number": 1.0, "inputs": "paper"})).endswith('toy.twice(inputs="paper", number=1.0)')
    assert unique([*JOBS, *JOBS]) == JOBS


def test_the_code_of_a_job_is_its_module_and_its_familys_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "claims"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    module, data, study = folder / "recorded_toys.py", folder / "toys.json", tmp_path / "study.json"
    study.write_text("2")
    module.write_text("def read():\n    return 1\n")
    data.write_text("1")
    function = importlib.import_module("recorded_toys").read
    code_of = inspect.unwrap(ledgers.code_of)
    codes = [code_of(function)]
    for path in (data, study, module):
        path.write_text(path.read_text() + "\n")
        codes.append(code_of(function))
    (folder / "other.py").write_text("")
    assert len(set(codes)) == 4
    assert code_of(function) == codes[-1]


def test_claims_share_jobs_and_records_are_plain(tmp_path: Path) -> None:
    jobs = needed(toy.paper(), toy.SETTINGS, leaderboard=False)
    assert len(unique(jobs)) < len(jobs)
    run(jobs, Ledger(tmp_path), Executor(), quiet)
    for path in tmp_path.iterdir():
        record = json.loads(path.read_text())
        assert {"job", "code", "versions", "seconds", "result"} <= record.keys()
