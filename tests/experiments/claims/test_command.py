"""``splitgym-eval --paper``: what it writes, how it goes on after Ctrl-C, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from splitgym.experiments import eval_command
from splitgym.experiments.claims import command, ledger

from ...command_line import Command
from . import toy

EVALUATE = Command(eval_command.PROG, eval_command.main, ("--workers", "1", "--paper", "toy"))


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    monkeypatch.setattr(command, "papers", lambda names: [toy.paper()])


def findings(folder: str) -> Any:
    return json.loads(Path(folder, "findings.json").read_text())["findings"]


def test_a_table_on_the_screen_and_a_page(scratch: Path) -> None:
    told = EVALUATE("--out", "here").out
    assert "Two doubled is four." in told
    assert "1 holds, 1 holds in part, 1 cannot be tested here" in told
    assert {path.name for path in Path("here").iterdir()} == {"jobs", "findings.json", "report.html"}
    assert [entry["key"] for entry in findings("here")] == ["doubles", "rises", "fig2"]


@pytest.mark.parametrize("jobs_before", range(4))
def test_ctrl_c_at_any_moment_and_the_same_command_ends_alike(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, jobs_before: int
) -> None:
    attempt, count = ledger.attempt, 0

    def stopping(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count > jobs_before:
            raise KeyboardInterrupt
        return attempt(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "attempt", stopping)
        stopped = EVALUATE("--out", "here", code=130)
    assert "the same command goes on" in stopped.told[-1]
    assert len(list(Path("here/jobs").glob("*.json"))) == jobs_before
    EVALUATE("--out", "here")
    EVALUATE("--out", "whole")
    assert findings("here") == findings("whole")


def test_a_job_that_fails_is_named_and_the_rest_is_told(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = toy.Exhibit("fig3", "Fig. 3", "t", (toy.Claim("k", "It works.", "yes", toy.fails),))
    monkeypatch.setattr(command, "papers", lambda names: [toy.paper((*toy.EXHIBITS, bad))])
    done = EVALUATE("--out", "here", code=1)
    assert "broken(): ValueError: no such luck" in done.told[-1]
    assert findings("here")[0]["findings"][0]["verdict"] == "holds"
    assert findings("here")[-1]["findings"][0]["verdict"] == "not resolved"


def test_only_what_is_named(scratch: Path) -> None:
    EVALUATE("--out", "here", "--only", "rises", "--inputs", "devices")
    (entry,) = findings("here")
    assert (entry["key"], [f["inputs"] for f in entry["findings"]]) == ("rises", ["devices"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--only", "fig9"), "--only: l2s has no 'fig9'; known: doubles, fig1, fig2, rises, table1"),
        (("--inputs", "both", "--quik"), "unrecognized arguments: --quik"),
        (("--ray", "local", "--executor", "processes"), "--ray: is for --executor ray; leave one of them out"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_nothing_is_written(scratch: Path, words: tuple[str, ...], told: str) -> None:
    assert told in EVALUATE(*words, "--out", "here", code=2).told[-1]
    assert not Path("here").exists()


def test_an_unknown_paper_is_refused(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    told = Command(eval_command.PROG, eval_command.main)("--paper", "l3s", code=2).told[-1]
    assert "--paper: unknown paper 'l3s'; known: distredge, l2s, edgemove, hiertrain, deprune, all" in told
