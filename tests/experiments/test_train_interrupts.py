"""splitgym-train that is interrupted, fails or is killed: what is kept, what is said, and how a run goes on."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from splitgym.experiments import jobs, train_command
from splitgym.experiments import train_session as session

from .. import ROOT
from ..command_line import interrupted, names, read, rows
from ..envs.toy_family import Climber
from .brief import TRAIN

pytestmark = pytest.mark.usefixtures("scratch", "toy", "undrawn")

train = TRAIN.of("--env", "toy")


@pytest.fixture
def on_episode(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], Any]], None]:
    """Do something in the episode after so many."""

    def do(number: int, what: Callable[[], Any]) -> None:
        monkeypatch.setattr(Climber, "on_episode", staticmethod(lambda done: what() if done == number else None))

    return do


def fail() -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_the_best_and_can_go_on(number: int, code: int, on_episode: Any) -> None:
    on_episode(20, lambda: signal.raise_signal(number))
    called = train("--episodes", "50", "--seed", "1", "--out", "run", code=code)
    assert re.search(r"go on with: .* --resume run", called.err)
    assert "exact" in called.out  # the table is there
    result = read("run/result.json")
    assert (result["interrupted"], result["finished"], result["episodes"]) == (True, False, 21)
    assert {"plan.json", "curve.csv", "model"} <= set(names("run"))

    on_episode(-1, fail)  # never
    TRAIN("--resume", "run")
    train("--episodes", "50", "--seed", "1", "--out", "whole")
    result = read("run/result.json")
    assert (result["finished"], result["episodes"]) == (True, 50)
    assert read("run/plan.json") == read("whole/plan.json")
    cut, whole = (
        [(row["episodes"], row["best_cost_s"]) for row in rows(f"{run}/curve.csv")] for run in ("run", "whole")
    )
    assert cut == whole


def test_a_second_interrupt_stops_at_once(on_episode: Any) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("still running")

    on_episode(5, twice)
    train("--episodes", "50", "--out", "run", code=130)
    assert read("run/result.json")["episodes"] == 5


def test_an_interrupt_in_the_comparison_leaves_the_rest_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "assess", interrupted)
    called = train("--agent", "middle", "--out", "run", code=130)
    result = read("run/result.json")
    assert [row["agent"] for row in result["results"]] == ["middle"]
    assert result["interrupted"]
    assert "left out: exact, edge" in called.err
    assert "what is done is in run" in called.err


def test_a_comparison_that_was_interrupted_does_not_say_whether_splitting_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "assess", interrupted)
    assert "splitting" not in train("--agent", "edge", "--out", "run", code=130).out


def test_an_interrupt_while_it_concludes_says_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.tables, "ranking", interrupted)
    called = train("--episodes", "5", "--out", "run", code=130)
    assert "nothing was written" not in called.err
    assert "the training, which is complete; what is done is in run" in called.err
    assert read("run/result.json")["interrupted"]


def test_a_second_interrupt_while_saving_names_the_folder(monkeypatch: pytest.MonkeyPatch, on_episode: Any) -> None:
    on_episode(5, lambda: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(session, "play", lambda *_: signal.raise_signal(signal.SIGINT))
    called = train("--episodes", "50", "--out", "run", code=130)
    assert "nothing was written" not in called.err
    assert re.search(r"interrupted after 6 episodes; go on with: .* --resume run", called.err)
    result = read("run/result.json")
    assert (result["interrupted"], result["results"], result["episodes"]) == (True, [], 6)


def test_an_interrupt_before_the_folder_exists_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_command, "new_job", lambda *_: signal.raise_signal(signal.SIGINT))
    assert "interrupted, nothing was written" in train("--out", "run", code=130).err
    assert names() == []


def test_a_training_that_fails_at_once_leaves_nothing(monkeypatch: pytest.MonkeyPatch, on_episode: Any) -> None:
    on_episode(3, fail)
    with pytest.raises(RuntimeError, match="a bug"):
        train("--episodes", "5", "--out", "run")
    assert names() == []
    monkeypatch.setattr(jobs, "CHECKPOINT_S", 0.0)
    with pytest.raises(RuntimeError, match="a bug"):
        train("--episodes", "5", "--out", "run")
    assert read("run/model/progress.json")["episodes"] == 3


def test_checkpoints_come_while_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "CHECKPOINT_S", 0.0)
    seen: list[int] = []

    def on_episode(episodes: int) -> None:
        if episodes > 1:
            seen.append(read("run/model/progress.json")["episodes"])

    monkeypatch.setattr(Climber, "on_episode", staticmethod(on_episode))
    train("--episodes", "6", "--out", "run")
    assert seen == [2, 3, 4, 5]


def test_a_killed_run_goes_on_from_its_last_checkpoint(scratch: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from tests.envs import toy_family
from splitgym.experiments import jobs
from splitgym.experiments.train_command import main
jobs.CHECKPOINT_S = 0.0
toy_family.Climber.on_episode = staticmethod(lambda episodes: time.sleep(0.002))
with toy_family.registered():
    main(["--env", "toy", "--episodes", "100000", "--out", "run"])
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=scratch, stderr=subprocess.DEVNULL) as child:
        try:
            deadline = time.monotonic() + 120
            while not Path("run/model").is_dir():  # it is put there whole
                assert child.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            time.sleep(0.2)
            refused = TRAIN("--resume", "run", code=2)
        finally:
            child.kill()
    assert refused.told == ["splitgym-train: --resume run: another process is writing there"]
    assert child.returncode == -signal.SIGKILL
    model = next(p for p in (Path("run/model"), Path("run/.model.old")) if p.is_dir())
    done = read(model / "progress.json")["episodes"]
    assert 0 < done < 100_000
    TRAIN("--resume", "run", "--episodes", str(done + 5))
    assert read("run/result.json")["episodes"] == done + 5
    assert [name for name in names("run") if name.startswith(".")] == []


def test_a_finished_run_goes_on_with_a_larger_budget() -> None:
    train("--episodes", "10", "--out", "run")
    TRAIN.refuses("--resume run", "has spent its budget (10 episodes)")
    TRAIN.refuses("--resume run --episodes 10", "has done 10; name more")
    TRAIN("--resume", "run", "--episodes", "25")
    assert read("run/result.json")["episodes"] == 25
    assert read("run/config.json")["episodes"] == 25
    assert [int(row["episodes"]) for row in rows("run/curve.csv")] == list(range(1, 26))
