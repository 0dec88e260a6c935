"""splitgym-train and splitgym-eval on Deprune: what they leave behind, plan files, real training, bad input."""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.agents.registry import agents_of
from splitgym.experiments import train_session as session
from splitgym.experiments.eval_command import main as evaluate_main
from splitgym.experiments.train_command import main as train_main
from splitgym.models.lookup import get_model
from splitgym.models.plans import CompressedPlan, load_plan

Capture = pytest.CaptureFixture[str]
FIXED = [name for name, spec in agents_of("deprune").items() if not spec.learns]
COMPARED = {name for name, spec in agents_of("deprune").items() if spec.baseline or spec.reference}
PNG = b"\x89PNG\r\n\x1a\n"
PICTURES = {"training.png", "rewards.png", "recordings.png"}
SHORT = ("--env-kwargs", "epochs=4")
TINY = {
    "ppo": ("lanes=2", "n_steps=8", "batch_size=8", "n_epochs=1"),
    "dqn": ("lanes=2", "batch_size=8", "buffer_size=200", "learning_starts=10", "gradient_steps=1"),
}
TOY = "model: lenet5\nlayer: 1\nshares: [0.17, 0.5, 1]\nepochs: 3\nimages: 64\n"
REAL = ("--scenario", "toy.yaml", "--env-kwargs", "backend=train")
PLAN = {"schema": 1, "kind": "compressed", "model": "vgg11_32_half", "cut": 5, "r": 1, "budgets": [2, 2, 16, 64],
        "notes": {}}  # fmt: skip


@pytest.fixture(autouse=True)
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory with nothing in it but a small scenario without recordings."""
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(TOY)
    return tmp_path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the comparison at the end of a run."""
    monkeypatch.setattr(session.Session, "_others", lambda _: [])


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pictures, which take longer than everything else."""
    monkeypatch.setattr("splitgym.experiments.deprune.draw_trace", lambda *_: {})
    monkeypatch.setattr("splitgym.experiments.deprune.eval_figures", lambda *_: {})
    monkeypatch.setattr(session, "save_figure", lambda figure, path: path.write_bytes(PNG))


def train(*words: str) -> int:
    return train_main(["--env", "deprune", "--track", "off", *words])


def evaluate(*words: str, workers: int = 1) -> int:
    return evaluate_main(["--env", "deprune", "--workers", str(workers), *words])


def learn(agent: str, *words: str) -> int:
    """Train a learner for so little that it takes no time."""
    return train("--agent", agent, *SHORT, "--hyperparams", *TINY[agent], *words)


def read(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text())


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def files(folder: str = ".") -> set[str]:
    found = {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}
    return found - {"toy.yaml"}


def metrics(folder: str, agent: str) -> dict[str, float]:
    """Of an agent in the table of a training."""
    return next(row["metrics"] for row in read(f"{folder}/result.json")["results"] if row["agent"] == agent)


def write_plan(name: str = "plan.json", **changes: Any) -> None:
    Path(name).write_text(json.dumps({**PLAN, **changes}))


def write_images(folder: str, classes: str = "ab", parts: tuple[str, ...] = ("train", "test")) -> None:
    """Two images of noise for every class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for part in parts:
        for name in classes:
            place = Path(folder) / part / name
            place.mkdir(parents=True)
            for number in range(2):
                Image.fromarray(rng.integers(256, size=(32, 32), dtype=np.uint8)).save(place / f"{number}.png")


# What a run leaves behind.


def test_the_papers_schedule_leaves_everything_in_its_folder(capsys: Capture) -> None:
    assert train("--seed", "3", "--out", "run") == 0
    assert files("run") == {"config.json", "plan.json", "result.json", "curve.csv", *PICTURES}
    config, plan, result = read("run/config.json"), read("run/plan.json"), read("run/result.json")
    assert (config["agent"], config["seed"], config["scenario"]) == ("deprune", 3, "vgg11-cifar10")
    assert (config["settings"]["epochs"], config["settings"]["layer"]) == (18, 5)
    assert (plan["kind"], plan["cut"], plan["budgets"]) == ("compressed", 5, [2] * 15 + [64] * 3)
    assert (plan["notes"]["agent"], plan["notes"]["seed"]) == ("deprune", 3)
    assert result["finished"]
    kinds = {row["agent"]: row["kind"] for row in result["results"]}
    assert kinds.pop("deprune") == "online"
    assert set(kinds) == COMPARED
    assert kinds["best-schedule"] == "reference"
    assert metrics("run", "deprune")["bytes_share"] == pytest.approx(0.1927, abs=5e-5)
    assert all(Path(f"run/{name}").read_bytes().startswith(PNG) for name in PICTURES)
    curve = rows("run/curve.csv")
    assert [int(row["round"]) for row in curve] == list(range(1, 19))
    assert [float(row["budget"]) for row in curve] == plan["budgets"]
    printed = capsys.readouterr()
    assert "deprune against the baselines" in printed.out
    assert "both without noise" in printed.out
    assert "held-out error" in printed.out
    assert "written to run" in printed.out
    assert printed.err == ""
    assert "…" not in printed.out  # no heading is cut off


@pytest.mark.parametrize("agent", FIXED)
@pytest.mark.usefixtures("undrawn")
def test_every_agent_plays_and_is_compared(agent: str) -> None:
    assert train("--agent", agent, *SHORT, "--out", "run") == 0
    table = read("run/result.json")["results"]
    names = [row["agent"] for row in table]
    assert names[0] == agent
    assert len(set(names)) == len(names)
    assert set(names) == COMPARED | {agent}
    assert all(math.isfinite(value) for row in table for value in row["metrics"].values())
    assert all(row["metrics"]["regret"] >= -1e-9 for row in table if row["agent"] != "without-module")
    assert metrics("run", "best-schedule")["regret"] == pytest.approx(0.0, abs=1e-9)
    plan = load_plan("run/plan.json", get_model("vgg11_32_half"), CompressedPlan)
    assert len(plan.budgets) == 4


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_run_depends_on_its_seed_only() -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train("--scenario", "vgg11-cifar10-dynamic", *SHORT, "--seed", seed, "--out", name) == 0
    a, b, c = (metrics(name, "deprune") for name in "abc")
    assert a == b
    assert a["accuracy"] != c["accuracy"]
    assert a["elapsed_s"] != c["elapsed_s"]
    assert rows("a/curve.csv") == rows("b/curve.csv")


@pytest.mark.usefixtures("undrawn")
def test_a_scenario_of_ones_own() -> None:
    Path("mine.yaml").write_text("model: vgg11_32_half\nlayer: 5\ncurves: vgg11-cifar10\nepochs: 3\nmbps: 5\n")
    assert train("--scenario", "mine.yaml", "--agent", "prune", "--out", "run") == 0
    config = read("run/config.json")
    assert (config["scenario_name"], config["settings"]["mbps"]) == ("mine", 5.0)
    assert Path(config["scenario"]).is_absolute()  # so that the run can be read from anywhere
    assert set(read("run/plan.json")["budgets"]) <= {64, 16, 2}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "options",
    [
        ["epochs=1"],
        ["shares=[0.5]"],
        ["shares=[0.1,1]", "noise=false"],
        ["clients=100", "time_weight=1"],
        ["dynamic=true", "sigma=0"],
        ["dynamic=true", "time_weight=0.2"],
        ["bytes_weight=0", "accuracy_weight=0"],
        ["batch=4000"],
        ["images=2"],
        ["mbps=1e-6", "rtt_s=10"],
    ],
    ids=str,
)
def test_the_edges_of_what_is_allowed(options: list[str]) -> None:
    words = ["--scenarios", "vgg11-cifar10", "--agents", "deprune,prune,best-schedule"]
    short = () if options == ["epochs=1"] else SHORT[1:]
    assert evaluate(*words, "--env-kwargs", *short, *options, "--episodes", "2", "--out", "out") == 0
    found = {(r["agent"], r["metric"]): float(r["value"]) for r in rows("out/results.csv")}
    assert all(map(math.isfinite, found.values()))
    assert all(value >= -1e-9 for (_, metric), value in found.items() if metric == "regret")


def test_an_interrupted_episode_leaves_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def play(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "play", play)
    assert train(*SHORT, "--out", "run") == 130
    assert capsys.readouterr().err == "splitgym-train: interrupted, nothing was written\n"
    assert not Path("run").exists()


# Plan files.


@pytest.mark.usefixtures("undrawn")
def test_a_plan_file_is_an_agent() -> None:
    write_plan()
    assert train("--agent", "plan.json", *SHORT, "--out", "run") == 0
    assert read("run/plan.json")["budgets"] == PLAN["budgets"]
    assert metrics("run", "plan.json")["bytes_share"] == pytest.approx((2 + 2 + 16 + 64) / 256)
    assert evaluate("--scenarios", "vgg11-cifar10", *SHORT, "--agents", "plan.json,deprune", "--out", "out") == 0
    values = {(r["agent"], r["metric"]): float(r["value"]) for r in rows("out/results.csv")}
    assert values["plan.json", "score"] == pytest.approx(metrics("run", "plan.json")["score"])


@pytest.mark.usefixtures("undrawn", "alone")
def test_the_plan_of_a_run_is_that_run_again() -> None:
    assert train("--agent", "best-schedule", *SHORT, "--out", "first") == 0
    assert train("--agent", "first/plan.json", *SHORT, "--out", "again") == 0
    assert metrics("again", "first/plan.json") == metrics("first", "best-schedule")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cut": 2, "budgets": [2, 2, 2, 2]}, "plan.json: cut is 2, allowed: 5, that of the scenario"),
        ({"r": 2}, "plan.json: r is 2, allowed: 1, that of the scenario"),
        ({"budgets": [2, 64]}, "plan.json: budgets has 2 epochs, allowed: 4"),
        ({"budgets": [2, 3, 64, 64]}, "plan.json: budgets[1] is 3, allowed: 2, 4, 8, 16, 32, 64"),
        ({"budgets": [2, 2, 2, 65]}, "plan.json: budgets[3]: budget is 65, allowed: 1 to 64"),
        ({"budgets": [2, 2, 0, 64]}, "plan.json: budgets"),
        ({"budgets": []}, "plan.json: budgets"),
        ({"budgets": [2.5, 2, 2, 2]}, "plan.json: budgets"),
        ({"model": "vgg16"}, "plan.json: model is 'vgg16', expected 'vgg11_32_half'"),
        ({"kind": "cut"}, "plan.json: "),
        ({"extra": 1}, "plan.json: "),
    ],
)
def test_a_plan_that_does_not_fit_is_one_line(changes: dict[str, Any], named: str, capsys: Capture) -> None:
    write_plan(**changes)
    refuses("splitgym-train", train("--agent", "plan.json", *SHORT, "--out", "run"), named, capsys, {"plan.json"})


# Real training.


@pytest.mark.usefixtures("alone")
def test_a_real_training_is_drawn() -> None:
    assert train(*REAL, "epochs=1", "images=8", "--out", "run") == 0
    assert files("run") == {"config.json", "plan.json", "result.json", "curve.csv", "training.png", "rewards.png"}


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_real_training_shows_how_far_it_is_and_is_kept(capsys: Capture) -> None:
    assert train(*REAL, "checkpoints=kept", "--out", "run") == 0
    printed = capsys.readouterr()
    assert re.search(r"playing\s+33 %\s+deprune\s+.* left", printed.err)
    assert "accuracy: trained here on scikit-learn digits" in printed.out
    assert len(files("kept")) == 3
    weights = {path: path.stat().st_mtime_ns for path in Path("kept").iterdir()}
    assert train(*REAL, "checkpoints=kept", "--out", "again") == 0
    assert metrics("again", "deprune") == metrics("run", "deprune")
    assert {path: path.stat().st_mtime_ns for path in Path("kept").iterdir()} == weights


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_stopped_training_goes_on_with_the_same_command(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from splitgym.envs.deprune.trainer import Training

    epoch = Training.epoch

    def stopped(self: Training, *rest: Any) -> Any:
        if len(self.records) == 2:
            signal.raise_signal(signal.SIGINT)
        return epoch(self, *rest)

    monkeypatch.setattr(Training, "epoch", stopped)
    assert train(*REAL, "checkpoints=kept", "--out", "run") == 130
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("playing")]
    assert lines == ["splitgym-train: interrupted; whole epochs are kept in kept, the same command goes on from there"]
    assert not Path("run").exists()
    assert len(files("kept")) == 2
    trained: list[int] = []
    monkeypatch.setattr(Training, "epoch", lambda self, *rest: (trained.append(rest[0]), epoch(self, *rest))[1])
    assert train(*REAL, "checkpoints=kept", "--out", "run") == 0
    assert len(trained) == 1
    monkeypatch.setattr(Training, "epoch", epoch)
    assert train(*REAL, "--out", "whole") == 0
    assert metrics("whole", "deprune") == metrics("run", "deprune")


@pytest.mark.usefixtures("undrawn", "alone")
def test_ones_own_images_are_trained_on() -> None:
    write_images("mine", "abc")
    assert train(*REAL, "data=mine", "--out", "run") == 0
    assert any("trained here on " in line and "mine" in line for line in read("run/result.json")["provenance"])


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_without_curves_the_best_schedule_is_left_out(capsys: Capture) -> None:
    words = [*REAL, "epochs=1", "images=8"]
    assert train(*words, "--out", "run") == 0
    assert "best-schedule is left out: best-schedule needs recorded curves" in capsys.readouterr().err
    refuses(
        "splitgym-train",
        train(*words, "--agent", "best-schedule", "--out", "other"),
        "best-schedule needs recorded curves; this scenario has none", capsys, files(), {"run"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("nothing", "data/train: is not a folder; it must hold a folder of images for every class"),
        ("one class", "data/train: has only the class 'a'; two or more are needed"),
        ("no test", "data/test: is not a folder"),
        ("empty class", "data/train/c: holds no images; allowed: .jpg"),
        ("broken", "data/train/a/0.png: cannot be read as an image"),
        ("text", "data/train/b/0.png: cannot be read as an image"),
        ("unknown class", "data/test: class 'c' is not in data/train"),
        ("no folder", "nowhere: is not a folder; it must hold train/<class>/ and test/<class>/"),
    ],
)
def test_images_that_cannot_be_used_are_one_line(wrong: str, named: str, capsys: Capture) -> None:
    Path("data").mkdir()
    if wrong not in ("nothing", "no folder"):
        write_images(
            "data", "a" if wrong == "one class" else "ab", ("train",) if wrong == "no test" else ("train", "test")
        )
    if wrong == "empty class":
        Path("data/train/c").mkdir()
    if wrong == "unknown class":
        write_images("data", "c", ("test",))
    if wrong == "broken":
        Path("data/train/a/0.png").write_bytes(Path("data/train/a/0.png").read_bytes()[:60])
    if wrong == "text":
        Path("data/train/b/0.png").write_text("no image")
    folder = "nowhere" if wrong == "no folder" else "data"
    code = train(*REAL, f"data={folder}", "--out", "run")
    refuses("splitgym-train", code, named, capsys, files(), {"data"})


@pytest.mark.parametrize("wrong", ["file", "broken"])
@pytest.mark.usefixtures("undrawn", "alone")
def test_checkpoints_that_cannot_be_used_are_one_line(wrong: str, capsys: Capture) -> None:
    if wrong == "file":
        Path("kept").write_text("")
        named = "checkpoints: kept is not a folder that can be written to"
    else:
        assert train(*REAL, "checkpoints=kept", "--out", "run") == 0
        for path in Path("kept").iterdir():
            path.write_bytes(b"broken")
        named = ".pt: is not a checkpoint of a split training"
        capsys.readouterr()
    before = files()
    code = train(*REAL, "checkpoints=kept", "--out", "other")
    printed = capsys.readouterr()
    assert code == 2
    assert "Traceback" not in printed.err
    lines = [line for line in printed.err.splitlines() if not line.startswith("playing")]
    assert len(lines) == 1
    assert named in lines[0]
    assert files() == before


# Bad input.


def refuses(
    prog: str,
    code: int,
    named: str,
    capsys: Capture,
    before: set[str],
    folders: Collection[str] = (),
) -> None:
    """Checks that there is one line with what is wrong, and that nothing was written."""
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith(f"{prog}: ")
    assert named in printed.err
    assert files() == before
    assert {path.name for path in Path().iterdir() if path.is_dir()} == set(folders)


BAD_ENV: list[tuple[str, str]] = [
    ("epochs=0", "scenario vgg11-cifar10: epochs is 0, allowed: 1..10000"),
    ("epochs=1.5", "epochs is 1.5, allowed: a whole number, 1..10000"),
    ("batch=1", "batch is 1, allowed: 2..65536"),
    ("images=1", "images is 1, allowed: 0 or 2..1e9"),
    ("clients=0", "clients is 0, allowed: 1..10000"),
    ("mbps=0", "mbps is 0, allowed: 1e-6..1e9"),
    ("mbps=.inf", "the value of mbps, '.inf', is neither a finite number"),
    ("rtt_s=-1", "rtt_s is -1, allowed: 0..1e6"),
    ("bytes_weight=-1", "bytes_weight is -1, allowed: 0..1e6"),
    ("shares=[]", "shares is [], allowed: rising numbers above 0, up to 1"),
    ("shares=[1,0.5]", "shares is [1.0, 0.5], allowed: rising numbers above 0, up to 1"),
    ("shares=[0.5,2]", "shares[1] is 2, allowed: a finite number above 0, at most 1"),
    ("shares=[0.001,0.002]", "shares [0.001, 0.002] of 64 maps name a budget twice"),
    ("layer=99", "layer is 99, allowed for vgg11_32_half: 0 to 21"),
    ("layer=-1", "layer is -1, allowed for vgg11_32_half: 0 to 21"),
    ("layer=3", "layer is 3, but the curves vgg11-cifar10 were recorded with 5"),
    ("resolution=40", "r is 40, allowed for maps of 16x16: 1 to 16"),
    ("resolution=2", "resolution is 2, but the curves vgg11-cifar10 were recorded with 1"),
    ("curves=nowhere", "unknown curves 'nowhere'; known: vgg11-cifar10"),
    ("curves=''", 'nothing was recorded for it; use backend="train"'),
    ("model=nonet", "unknown model 'nonet'; known models: "),
    ("client=nowhere", "unknown device 'nowhere'; known: "),
    ("backend=fun", "backend='fun' is not one of curves, train"),
    ("checkpoints=kept", 'checkpoints: only backend "train" has any'),
    ("module=maybe", "module is 'maybe', allowed: true or false"),
    ("colour=red", "unknown option 'colour'; known: "),
]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        *((["--env-kwargs", option], named) for option, named in BAD_ENV),
        (["--scenario", "nowhere"], "unknown scenario 'nowhere'; known: vgg11-cifar10, "),
        (["--scenario", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--agent", "nobody"], "--agent: unknown agent 'nobody' for deprune; known: deprune, prune"),
        (["--agent", "missing.json"], "missing.json: cannot be read"),
        (["--hyperparams", "share=0"], "agent deprune: share is 0, allowed: a finite number above 0, at most 1"),
        (["--hyperparams", "share=1.5"], "share is 1.5, allowed: a finite number above 0, at most 1"),
        (["--hyperparams", "full=-1"], "agent deprune: full is -1, allowed: 0..1"),
        (["--hyperparams", "first=0.5"], "agent deprune: unknown hyperparameter 'first'"),
        (["--agent", "prune", "--hyperparams", "shares=[0.5,0]"], "agent prune: shares[1] is 0, allowed: "),
        (["--agent", "prune", "--hyperparams", "shares=[]"], "agent prune: shares is [], allowed: "),
        (["--agent", "ppo", "--hyperparams", "gamma=2"], "agent ppo: gamma is 2, allowed: "),
        (["--agent", "best-schedule", "--env-kwargs", "epochs=90"], "are too many; take fewer epochs or shares"),
        (["--episodes", "5"], "--episodes: agent deprune is not trained beforehand"),
    ],
)
def test_bad_input_for_a_run_is_one_line(words: list[str], named: str, capsys: Capture) -> None:
    refuses("splitgym-train", train(*words, "--out", "run"), named, capsys, set())


@pytest.mark.parametrize(
    ("words", "named"),
    [
        *((["--env-kwargs", option], named) for option, named in BAD_ENV[:3]),
        (["--scenarios", "nowhere"], "groups: cuts, links"),
        (["--agents", "deprune,nobody"], "--agents: unknown agent 'nobody' for deprune"),
        (["--agents", "prune", "--hyperparams", "share=1"], "none of prune has a hyperparameter 'share'"),
        (["--runs", "nowhere"], "--runs nowhere: is not a folder"),
    ],
)
def test_bad_input_for_an_evaluation_is_one_line(words: list[str], named: str, capsys: Capture) -> None:
    code = evaluate(*([] if "--agents" in words else ["--agents", "deprune"]), *words, "--out", "out")
    refuses("splitgym-eval", code, named, capsys, set())


# Evaluation.


@pytest.mark.slow
def test_groups_are_drawn_like_the_papers_figures(capsys: Capture) -> None:
    assert evaluate("--scenarios", "cuts,links", "--agents", "deprune,no-compression", *SHORT, "--out", "out") == 0
    charts = {"cuts.png", "cuts_traffic.png", "cuts_progress.png", "cuts_bytes.png", "links.png", "links_progress.png"}
    assert charts | {"results.csv", "eval.json"} <= files("out")
    written = re.search(r"^written to out: (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert written is not None
    assert set(written[1].split(", ")) == files("out")
    assert all(path.read_bytes().startswith(PNG) for path in Path("out").glob("*.png"))


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_results_do_not_depend_on_the_number_of_workers() -> None:
    words = ["--scenarios", "links", "--agents", "deprune,best-schedule", "--seeds", "2", *SHORT]
    assert evaluate(*words, "--out", "one", workers=1) == 0
    assert evaluate(*words, "--out", "two", workers=2) == 0
    assert Path("one/results.csv").read_bytes() == Path("two/results.csv").read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_training_and_evaluation_agree() -> None:
    assert train(*SHORT, "--out", "run") == 0
    assert (
        evaluate("--scenarios", "vgg11-cifar10", "--agents", "deprune,prune,no-compression", *SHORT, "--out", "out")
        == 0
    )
    found = {(row["agent"], row["metric"]): float(row["value"]) for row in rows("out/results.csv")}
    for agent in ("deprune", "no-compression"):
        assert {metric: value for (name, metric), value in found.items() if name == agent} == metrics("run", agent)


# Tracking and help.


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn", "alone")
def test_a_run_is_tracked_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert train_main(["--env", "deprune", "--track", "offline", *SHORT, "--out", "run"]) == 0
    assert any("offline-run" in name for name in files("run"))


def test_help_teaches(capsys: Capture) -> None:
    assert train("--help") == 0
    text = capsys.readouterr().out
    for words in ("vgg11-cifar10-wifi8", "backend", "checkpoints", "bytes_weight", "without-module", "examples:"):
        assert words in text
    examples = [shlex.split(line) for line in text.partition("examples:")[2].splitlines() if line]
    made = next(words for words in examples if "--out" in words)
    assert agents_of("deprune")[made[made.index("--agent") + 1]].learns


# Learners.


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("agent", TINY)
def test_a_learner_is_trained_and_gone_on_with(agent: str, capsys: Capture) -> None:
    assert learn(agent, "--episodes", "6", "--out", "run") == 0
    assert {"config.json", "plan.json", "result.json", "curve.csv", "learning_curve.png"} <= files("run")
    result = read("run/result.json")
    assert (result["episodes"], result["steps"], result["finished"]) == (6, 24, True)
    assert result["results"][0]["kind"] == "trained"
    words = ["--agents", agent, "--scenarios", "vgg11-cifar10", *SHORT, "--runs", "run", "--out", "out"]
    assert evaluate(*words) == 0
    found = next(float(row["value"]) for row in rows("out/results.csv") if row["metric"] == "score")
    assert found == metrics("run", agent)["score"]
    capsys.readouterr()
    assert train_main(["--resume", "run"]) == 2
    assert "has spent its budget (6 episodes)" in capsys.readouterr().err
    assert train_main(["--resume", "run", "--episodes", "10"]) == 0
    result = read("run/result.json")
    assert (result["episodes"], result["steps"], result["finished"]) == (10, 40, True)
