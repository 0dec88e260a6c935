"""Work in processes: the same results everywhere, a killed process costs its own piece only, and nothing is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from splitgym.experiments.executors.processes import carry_out
from splitgym.experiments.executors.work import Executor, Work
from splitgym.ui.errors import InputError

from .. import ROOT
from .marked import alive, marked_environment, wait_until_none_is_left
from .works import begun, dies, refuses, square, waits

SLOW = [pytest.mark.slow, pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")]
RAY = pytest.param("ray", marks=SLOW)
KINDS = {"processes": Executor(2), "ray": Executor(2, "ray")}
EVALUATE = (
    "eval.py", "--env", "l2s", "--scenarios", "constant", "--agents", "linucb-e,oracle,pdt", "--seeds", "2",
    "--env-kwargs", "rounds=50",
)  # fmt: skip
PATIENCE_S = 120.0


@pytest.fixture(params=["processes", RAY])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Executor:
    """Two workers of either kind, which find this folder's modules."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return KINDS[request.param]


def results(works: list[Work[Any]], executor: Executor) -> dict[str, Any]:
    return {work.name: result for work, result in carry_out(works, executor, lambda work, share: None)}


def squares(count: int, folder: Path) -> list[Work[Any]]:
    return [Work(str(number), square, (number, str(folder))) for number in range(count)]


def test_gives_what_one_process_gives(executor: Executor, tmp_path: Path) -> None:
    works = squares(5, tmp_path)
    assert results(works, executor) == results(works, Executor(1)) == {str(n): n**2 for n in range(5)}


def test_tells_of_progress_on_the_way(tmp_path: Path) -> None:
    told: set[tuple[str, float]] = set()
    list(carry_out(squares(3, tmp_path), Executor(2), lambda work, share: told.add((work.name, share))))
    assert told == {(str(number), share) for number in range(3) for share in (0.0, 0.5)}


def test_a_killed_process_costs_its_own_piece_only(
    executor: Executor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    works = [Work("victim", dies, (1, str(tmp_path))), Work("neighbour", waits, (str(tmp_path), "dies"))]
    assert results([*works, *squares(2, tmp_path)], executor) == {
        "victim": "lived", "neighbour": "waited", "0": 0, "1": 1,
    }  # fmt: skip
    assert sorted(begun(tmp_path)) == ["dies", "dies", "square 0", "square 1", "waits"]
    assert capfd.readouterr().err == "victim: its process was killed; is there memory enough? Trying again\n"


def test_a_piece_that_kills_its_process_twice_ends_all(executor: Executor, tmp_path: Path) -> None:
    works = [Work("victim", dies, (9, str(tmp_path))), Work("neighbour", waits, (str(tmp_path), "nobody"))]
    with pytest.raises(InputError, match=r"^victim: its process was killed; .* \(tried 2 times\)$"):
        results(works, executor)
    assert begun(tmp_path).count("dies") == 2


def test_an_error_arrives_as_it_was_raised_with_where_from(executor: Executor, tmp_path: Path) -> None:
    works = [Work("refuses", refuses, (str(tmp_path),)), *squares(1, tmp_path)]
    with pytest.raises(InputError, match=r"^field is 3, allowed: 1, 2$") as caught:
        results(works, executor)
    assert "works.py" in str(caught.value.__cause__)


def test_a_caller_that_stops_leaves_no_process(tmp_path: Path) -> None:
    works = [*squares(1, tmp_path), Work("never", waits, (str(tmp_path), "nobody"))]
    before = set(multiprocessing.active_children())
    with closing(carry_out(works, Executor(2), lambda work, share: None)) as done:
        next(done)
    assert set(multiprocessing.active_children()) <= before


@pytest.fixture
def marked() -> Iterator[dict[str, str]]:
    with marked_environment() as env:
        yield env


@pytest.mark.slow
def test_results_do_not_depend_on_the_executor(marked: dict[str, str], tmp_path: Path) -> None:
    kinds = {"one": ["--workers", "1"], "two": ["--workers", "2"]}
    if find_spec("ray") is not None:
        kinds["ray"] = ["--ray", "local", "--workers", "2"]
    for name, words in kinds.items():
        command = [sys.executable, *EVALUATE, *words, "--out", str(tmp_path / name)]
        subprocess.run(command, cwd=ROOT, env=marked, check=True, capture_output=True, timeout=2 * PATIENCE_S)
    assert len({(tmp_path / name / "results.csv").read_bytes() for name in kinds}) == 1
    wait_until_none_is_left(marked)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--executor", "processes"], pytest.param(["--ray", "local"], marks=SLOW[1])])
def test_ctrl_c_leaves_nothing_running(marked: dict[str, str], words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, *EVALUATE[:-1], "rounds=200000", "--workers", "2", *words, "--out", str(tmp_path / "o")]
    child = subprocess.Popen(command, cwd=ROOT, env=marked, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + PATIENCE_S
    while len(alive(marked)) < 3:
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.2)
    time.sleep(2.0)  # wherever it is then
    os.killpg(child.pid, signal.SIGINT)
    _, told = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 130
    assert told.splitlines()[-1].startswith("splitgym-eval: interrupted")
    wait_until_none_is_left(marked)
