"""Several processes at once: every run has a folder of its own, and one folder has one process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .. import ROOT
from ..command_line import by_agent, names, read

COUNT = 3
TRAIN = ("train", "--track", "off", "--episodes", "5")
EVALUATE = ("eval", "--workers", "1", "--agents", "climber,middle", "--train-episodes", "5")
CASES = {
    "trainings": TRAIN,
    "evaluations": EVALUATE,
    "one training": (*TRAIN, "--out", "new/out"),
    "one evaluation": (*EVALUATE, "--out", "new/out"),
}
CHILD = f"""
import json, os, sys, time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
import pytest
from tests.envs.toy_family import registered
from tests.experiments.brief import undraw
from splitgym.experiments import eval_command, train_command
me, top = sys.argv[1], Path.cwd()
with registered(), pytest.MonkeyPatch.context() as patch:
    undraw(patch)
    for case, (command, *words) in json.loads(sys.argv[2]).items():
        os.chdir(top / case)
        Path(f"ready-{{me}}").touch()
        while len(list(Path().glob("ready-*"))) < {COUNT}:
            time.sleep(0.0005)
        with Path(f"printed-{{me}}").open("w") as file, redirect_stdout(file), redirect_stderr(file):
            main = {{"train": train_command, "eval": eval_command}}[command].main
            code = main(["--env", "toy", *words])
        Path(f"code-{{me}}").write_text(str(code))
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for every case, in which so many processes did the same."""
    top = tmp_path_factory.mktemp("at-once")
    for case in CASES:
        (top / case).mkdir()
    words = [json.dumps(CASES)]
    children = [subprocess.Popen([sys.executable, "-c", CHILD, str(me), *words], cwd=top) for me in range(COUNT)]
    try:
        assert [child.wait(120) for child in children] == [0] * COUNT
    finally:
        for child in children:
            child.kill()
            child.wait()
    return top


@pytest.fixture
def case(ended: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """(exit code, all that was printed) of every process, best first; in the folder of the case."""
    monkeypatch.chdir(ended / request.param)
    return sorted((int(Path(f"code-{me}").read_text()), Path(f"printed-{me}").read_text()) for me in range(COUNT))


@pytest.mark.parametrize("case", ["trainings"], indirect=True)
def test_trainings_take_folders_of_their_own(case: list[tuple[int, str]]) -> None:
    assert [code for code, _ in case] == [0] * COUNT
    folders = [re.findall(r"^written to (\S+)$", text, re.MULTILINE)[0] for _, text in case]
    assert sorted(folders) == [f"runs/toy-near-climber-s0-{number}" for number in (1, 2, 3)]
    assert all(read(f"{folder}/result.json")["episodes"] == 5 for folder in folders)


@pytest.mark.parametrize("case", ["evaluations"], indirect=True)
def test_evaluations_take_folders_of_their_own(case: list[tuple[int, str]]) -> None:
    assert [code for code, _ in case] == [0] * COUNT
    folders = [re.findall(r"^written to (\S+): ", text, re.MULTILINE)[0] for _, text in case]
    assert sorted(folders) == [f"runs/toy-eval-{number}" for number in (1, 2, 3)]
    for folder in folders:
        assert set(by_agent(folder)) == {"climber", "middle"}
        assert names(f"{folder}/runs") == ["toy-near-climber-s0"]


@pytest.mark.parametrize("case", ["one training", "one evaluation"], indirect=True)
def test_one_of_all_that_name_the_same_folder_writes_it(case: list[tuple[int, str]]) -> None:
    assert [code for code, _ in case] == [0, 2, 2]
    for _, text in case[1:]:
        assert re.fullmatch(
            r"splitgym-(train|eval): --out new/out: (another process is|already holds|is not empty).*\n", text
        )
    assert {"result.json", "results.csv"} & set(names("new/out"))
