"""``splitgym-run`` with plans that train: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from splitgym.experiments.live import run_command, training_results, training_run
from splitgym.runtime.training.state import read_state
from splitgym.ui import progress

from ...command_line import PNG, Command, files, read, sketch
from ...runtime.live import children
from .trainers import SCENARIOS, trainers

RUN = Command(run_command.PROG, run_command.main)
WROTE = {"run.json", "job.json", "curve.csv", "training.jsonl"}
DRAWN = {"trace.json", "timeline.png"}
PLANS = {"cut": "cut.json", "pipeline": "device-cloud", "hybrid": "hybrid.json", "compressed": "compressed.json"}
KINDS = tuple(PLANS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("trainers")
    with trainers(path):
        yield path


@pytest.fixture(autouse=True)
def _here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_results, "save_figure", sketch)


def words_for(folder: Path, kind: str, steps: int) -> list[str]:
    plan = PLANS[kind]
    plan = str(folder / plan) if plan.endswith(".json") else plan
    return [plan, "--cluster", str(folder / f"{kind}-cluster.yaml"), "--steps", str(steps)]


def curve(out: str) -> list[list[str]]:
    with Path(out, "curve.csv").open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_plan_trains_and_writes_what_was_measured(kind: str, folder: Path) -> None:
    called = RUN(*words_for(folder, kind, 7), "--out", "out", "--checkpoint-every", "0")
    found = read("out/run.json")
    kept_to = found["measured"]["step_s"] is not None  # else nothing is drawn: this machine was too busy
    assert kept_to or found["not_counted"]
    assert files("out") - {"checkpoint.safetensors"} == (WROTE | DRAWN if kept_to else WROTE)
    assert not kept_to or Path("out/timeline.png").read_bytes() == PNG
    assert (found["steps"], found["plan"]["kind"]) == (7, kind)
    assert found["predicted"]["step_s"] > 0
    assert sum(term["predicted"] for term in found["terms_s"].values()) == pytest.approx(found["predicted"]["step_s"])
    if kept_to:
        # Nothing ends before it is due: a measured step is no shorter than what its work and messages stand for.
        assert found["measured"]["most_s"] >= found["predicted"]["step_s"] * 0.95
    header, *rows = curve("out")
    assert header == ["step", "loss", "accuracy", "step_s", "counts"]
    assert [row[0] for row in rows] == [str(n) for n in range(1, 8)]
    assert all(float(row[1]) > 0 for row in rows)
    assert "where a step's time goes" in called.out
    assert "written to out: run.json, curve.csv" in called.out


class Stopping(progress.Bar):
    """Ctrl-C half way."""

    def show(self, share: float, text: str) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["cut", "pipeline"])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {"cut": 6, "pipeline": 14}[kind]  # of a pipeline more are under way
    words = [*words_for(folder, kind, steps), "--checkpoint-every", "2"]
    RUN(*words, "--out", "whole")
    with monkeypatch.context() as patch:
        patch.setattr(progress, "Bar", Stopping)
        called = RUN(*words, "--out", "out", code=130)
    assert called.told[-1].endswith(f" {shlex.join(words)} --resume out")
    assert read("out/run.json")["interrupted"]
    with Path("out/training.jsonl").open("ab") as file:
        file.write(b'{"item": 9, "is"')  # a line that was not finished
    RUN(*words, "--resume", "out")
    assert read("out/run.json")["steps"] == steps
    assert [row[0] for row in curve("out")[1:]] == [str(n) for n in range(1, steps + 1)]
    if kind == "cut":  # a pipeline drains where it is stopped, so its weight versions are others
        assert [row[1] for row in curve("out")] == [row[1] for row in curve("whole")]
        mine, theirs = (read_state(Path(out) / "checkpoint.safetensors", "")[0] for out in ("out", "whole"))
        assert mine.keys() == theirs.keys()
        assert all((mine[name] == theirs[name]).all() for name in mine)
    RUN.refuses([*words, "--resume", "out"], f"--resume out: all {steps} steps are done")
    RUN.refuses([*words, "--resume", "out", "--seed", "1"], "was begun with seed 0, not 1")
    RUN.refuses([*words, "--resume", "out", "--learning-rate", "0.5"], "was begun with learning_rate 0.01, not 0.5")
    for field, value in (("batch", "4"), ("optimizer", "adam")):
        others = [*words, "--resume", "out", "--env-kwargs", f"{field}={value}"]
        RUN.refuses(others, f"--resume out: was begun with {field} ")
    Path("out/job.json").write_text("[1]")
    RUN.refuses([*words, "--resume", "out"], "out/job.json: is not the record of a training")


def test_a_worker_that_is_killed_costs_no_step(folder: Path) -> None:
    before = set(children())
    words = f"neurosurgeon --testbed {folder / 'cut.yaml'} --steps 6 --time-scale 3 --checkpoint-every 2 --kill edge"
    called = RUN(*words.split(), "--out", "out")
    assert [row[0] for row in curve("out")[1:]] == [str(n) for n in range(1, 7)]
    assert "edge: spare" in called.out or read("out/run.json")["plan"]["cut"] == 7  # alone it does not matter
    lines = Path("out/training.jsonl").read_text().splitlines()
    assert [json.loads(line)["batch"] for line in lines] == list(range(6))
    assert set(children()) <= before


def test_a_time_scale_is_found(folder: Path) -> None:
    words = f"{folder / 'cut.json'} --testbed {folder / 'cut.yaml'} --steps 2 --out out"
    RUN(*words.split())
    assert read("out/run.json")["emulation"]["time_scale"] >= 1


def test_curves_are_tracked_where_that_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, float]] = []

    class Tracker:
        def __init__(self, mode: str, *_: Any, axis: str) -> None:
            assert (mode, axis) == ("offline", "step")

        def log(self, row: dict[str, float]) -> None:
            rows.append(row)

        def finish(self, summary: dict[str, float], **_: Any) -> None:
            assert summary["predicted_step_s"] > 0

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(training_run, "Tracker", Tracker)
    RUN(*words_for(folder, "cut", 3), "--out", "out", "--track", "offline")
    assert [row["step"] for row in rows] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("pdt --testbed {cut}.yaml --images 3", "--images is for spatial plans, this one trains"),
        ("pdt --testbed {cut}.yaml --replan joint", "--replan is for spatial plans"),
        ("coedge --testbed DB-50 --steps 3", "--steps is for plans that train, this one is spatial"),
        (
            "pdt --testbed {cut}.yaml --emulate dilate",
            "--emulate is 'dilate', allowed for plans that train: table, none",
        ),
        ("pdt --testbed {cut}.yaml --kill cloud", "--kill is 'cloud', allowed: a role of a testbed: device, edge"),
        ("pdt --testbed {cut}.yaml --kill edge --checkpoint-every 0", "--kill needs checkpoints"),
        ("pdt --testbed {cut}.yaml --steps 0", "--steps"),
        ("pdt --testbed {cut}.yaml --data nowhere", "nowhere: is not a folder"),
        ("ppo --testbed {cut}.yaml", "ppo is trained"),
        ("nobody --testbed {cut}.yaml", "unknown agent 'nobody' for l2s"),
        ("{hybrid}.json --testbed {cut}.yaml", "{cut}.yaml"),
        ("{cut}.json --testbed resnet34-gpu-60", "model is 'lenet5', expected 'resnet34'"),
        ("{cut}.json --testbed {cut}.yaml --model alexnet", "model is 'lenet5', expected 'alexnet'"),
        ("pdt --testbed {cut}.yaml --resume .", "--resume .: holds no training that was begun (job.json is missing)"),
        ("{cut}.json --testbed lenet5-3", "cut.json is a plan for l2s: unknown scenario 'lenet5-3'"),
        ("odd.json --testbed lenet5-3", "odd.json: kind is 'job', allowed: cut, "),
        ("pdt --testbed {cut}.yaml --learning-rate 1e7", "learning_rate is 10000000.0, allowed: 1e-12..100"),
        ("pdt --testbed {cut}.yaml --resume . --out new", "--out is for a new run"),
        ("pdt --testbed {cut}.yaml --resume gone", "--resume gone: is not a folder"),
        ("jalad --testbed {hybrid}.yaml", "jalad leaves no plan"),
        ("pdt --cluster {cut}.yaml", "scenario is missing"),
        ("device-cloud --testbed {pipeline}.yaml --env-kwargs half_duplex=true", "half_duplex is true, allowed live"),
        ("exact --testbed {hybrid}.yaml --env-kwargs share_links=true", "share_links is true, allowed live"),
    ],
)
def test_bad_command_lines_are_one_line(words: str, named: str, folder: Path) -> None:
    paths = {kind: str(folder / kind) for kind in SCENARIOS}
    Path("odd.json").write_text('{"kind": "job"}')
    RUN.refuses(words.format(**paths), named.format(**paths))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"addresses": {"device": "127.0.0.1:7411"}}, "addresses are of device, needed: device, edge"),
        ({"keys": "nowhere"}, "roster.yaml: cannot be read"),
        ({"time_scale": 0}, "time_scale is 0"),
        ({"emulate": "slow"}, "emulate is 'slow'"),
        ({"scenario": "gone.yaml"}, "gone.yaml: cannot be read"),
    ],
)
def test_bad_cluster_files_are_one_line(fields: dict[str, Any], named: str, folder: Path, tmp_path: Path) -> None:
    data = yaml.safe_load((folder / "cut-cluster.yaml").read_text())
    own = {"scenario": str(folder / "cut.yaml"), "keys": str(folder / "keys")}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({**data, **own, **fields}))
    RUN.refuses([str(folder / "cut.json"), "--cluster", "bad.yaml"], named)
