"""splitgym-train and splitgym-eval on HierTrain: what they leave behind, plan files, learners, bad input."""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.agents.registry import agents_of
from splitgym.experiments import train_session as session
from splitgym.experiments.eval_command import main as evaluate_main
from splitgym.experiments.train_command import main as train_main
from splitgym.models.cuts import cut_points
from splitgym.models.lookup import get_model
from splitgym.models.plans import HybridPlan, load_plan
from splitgym.profiling.training import modelled_profile

Capture = pytest.CaptureFixture[str]
PLANNERS = [name for name, spec in agents_of("hiertrain").items() if not spec.learns]
LAYERS = ("jointdnn", "jointdnn+", "jalad")
PNG = b"\x89PNG\r\n\x1a\n"
BLOCKS = ("--env-kwargs", "blocks=5")
LENET = ("--scenario", "lenet5-2", "--env-kwargs")
SMALL = (*LENET, "blocks=3")
OFF_POLICY = ("lanes=2", "batch_size=8", "buffer_size=200", "learning_starts=10", "gradient_steps=1")
TINY = {"ppo": ("lanes=2", "n_steps=10", "batch_size=10", "n_epochs=1"), "ddpg": OFF_POLICY, "sac": OFF_POLICY}
PLAN = {"schema": 1, "kind": "hybrid", "model": "lenet5", "roles": ["edge", "device", "cloud"], "m_s": 1, "m_l": 2,
        "b": [60, 30, 38], "notes": {}}  # fmt: skip


@pytest.fixture(autouse=True)
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pictures, which take longer than everything else."""
    monkeypatch.setattr("splitgym.experiments.hiertrain.draw_trace", lambda *_: {})
    monkeypatch.setattr("splitgym.experiments.hiertrain.eval_figures", lambda *_: {})
    monkeypatch.delattr("splitgym.experiments.hiertrain.draw_plan")
    monkeypatch.setattr(session, "save_figure", lambda figure, path: path.write_bytes(PNG))


def train(*words: str) -> int:
    return train_main(["--env", "hiertrain", *words])


def evaluate(*words: str, workers: int = 1) -> int:
    return evaluate_main(["--env", "hiertrain", "--workers", str(workers), *words])


def learn(agent: str, *words: str) -> int:
    """Train a learner for so little that it takes no time."""
    scenario = ("--scenario", "lenet5-drift")
    return train("--agent", agent, *scenario, *BLOCKS, "--hyperparams", *TINY[agent], *words)


def read(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text())


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def files(folder: str = ".") -> set[str]:
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def metrics(folder: str, agent: str) -> dict[str, float]:
    """Of an agent in the table of a training."""
    return next(row["metrics"] for row in read(f"{folder}/result.json")["results"] if row["agent"] == agent)


def write_plan(name: str = "plan.json", **changes: Any) -> None:
    Path(name).write_text(json.dumps({**PLAN, **changes}))


# What a run leaves behind.


def test_the_papers_planner_leaves_everything_in_its_folder(capsys: Capture) -> None:
    assert train(*SMALL, "--seed", "3", "--out", "run") == 0
    assert files("run") == {"config.json", "plan.json", "result.json", "curve.csv", "timeline.png"}
    config, plan, result = read("run/config.json"), read("run/plan.json"), read("run/result.json")
    assert (config["agent"], config["seed"], config["scenario"]) == ("hiertrain", 3, "lenet5-2")
    assert (config["settings"]["edge_cloud_mbps"], config["settings"]["blocks"]) == (2.0, 3)
    assert config["env_kwargs"] == {"blocks": 3, "plans": "hybrid"}
    assert config["hyperparams"] == {"hold": False}
    assert (plan["kind"], plan["notes"]["agent"], plan["notes"]["seed"]) == ("hybrid", "hiertrain", 3)
    assert plan["notes"]["iteration_s"] == metrics("run", "hiertrain")["iteration_s"]
    assert result["finished"]
    kinds = {row["agent"]: row["kind"] for row in result["results"]}
    assert kinds["hiertrain"] == "planned"
    assert {name for name, kind in kinds.items() if kind == "reference"} == {"exact"}
    assert {name for name, kind in kinds.items() if kind == "baseline"} == set(PLANNERS) - {"hiertrain", "exact"}
    assert Path("run/timeline.png").read_bytes().startswith(PNG)
    printed = capsys.readouterr()
    assert "hiertrain against the baselines" in printed.out
    assert "written to run" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("agent", PLANNERS)
@pytest.mark.usefixtures("undrawn")
def test_every_agent_plans_and_is_compared(agent: str) -> None:
    assert train("--agent", agent, *SMALL, "--out", "run") == 0
    table = read("run/result.json")["results"]
    assert table[0]["agent"] == agent
    names = [row["agent"] for row in table]
    assert len(set(names)) == len(names)
    assert set(PLANNERS) - {"hiertrain"} <= set(names)
    assert all(math.isfinite(value) for row in table for value in row["metrics"].values())
    best = metrics("run", "exact")
    assert best["gap"] == pytest.approx(0.0, abs=1e-9)
    assert best["iteration_s"] == pytest.approx(best["optimal_s"], rel=1e-9)
    for row in table:
        if row["agent"] != "jalad":  # it sends less
            assert row["metrics"]["regret_s"] >= -1e-9
        assert (row["plan"] is None) == (row["agent"] in LAYERS)
    if agent not in LAYERS:
        plan = load_plan("run/plan.json", get_model("lenet5"), HybridPlan)
        assert sum(plan.b) == 128
    else:
        assert "plan.json" not in files("run")


def test_an_episode_on_drifting_links_is_drawn_and_is_the_curve() -> None:
    assert train("--agent", "all-cloud", "--scenario", "alexnet-drift", *BLOCKS, "--out", "run") == 0
    assert {"blocks.png", "timeline.png", "curve.csv", "plan.json"} <= files("run")
    assert all(path.read_bytes().startswith(PNG) for path in Path("run").glob("*.png"))
    curve = rows("run/curve.csv")
    assert [int(row["round"]) for row in curve] == [1, 2, 3, 4, 5]
    assert all(float(row["gap"]) >= -1e-6 for row in curve)
    assert "iteration_s" not in read("run/plan.json")["notes"]  # every rate has its own


def test_layer_assignments_on_drifting_links_are_drawn_too() -> None:
    assert train("--agent", "jalad", "--scenario", "alexnet-drift", *BLOCKS, "--out", "run") == 0
    assert files("run") == {"config.json", "result.json", "curve.csv", "blocks.png"}


@pytest.mark.usefixtures("undrawn")
def test_the_seed_decides_where_links_drift_to() -> None:
    words = ["--agent", "all-cloud", "--scenario", "lenet5-drift", *BLOCKS]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train(*words, "--seed", seed, "--out", name) == 0
    a, b, c = ({row["agent"]: row["metrics"] for row in read(f"{name}/result.json")["results"]} for name in "abc")
    assert a == b
    assert a["all-cloud"] != c["all-cloud"]
    assert rows("a/curve.csv") == rows("b/curve.csv")


@pytest.mark.usefixtures("undrawn")
def test_holding_on_to_a_plan_saves_replanning() -> None:
    words = ["--agents", "exact", "--scenarios", "alexnet-drift", "--episodes", "1"]
    found = {}
    for hold in ("false", "true"):
        options = ["--env-kwargs", "blocks=30", "iterations=1", "--hyperparams", f"hold={hold}"]
        assert evaluate(*words, *options, "--out", hold) == 0
        found[hold] = {row["metric"]: float(row["value"]) for row in rows(f"{hold}/results.csv")}
    restless, calm = found["false"], found["true"]
    assert calm["replan_s"] < restless["replan_s"]
    assert calm["gap"] >= restless["gap"] == pytest.approx(0.0, abs=1e-9)
    assert calm["iteration_s"] < restless["iteration_s"]


@pytest.mark.usefixtures("undrawn")
def test_scenarios_by_form_and_from_a_file() -> None:
    assert train("--scenario", "vgg16-37.5-c3", "--agent", "exact", *BLOCKS, "--out", "form") == 0
    settings = read("form/config.json")["settings"]
    assert (settings["model"], settings["edge_cloud_mbps"], settings["edge_cores"]) == ("vgg16", 37.5, 3)
    Path("mine.yaml").write_text("model: lenet5\nedge_cloud_mbps: 20\nblocks: 4\nbatch: 32\nedge: tx2\n")
    assert train("--scenario", "mine.yaml", "--agent", "exact", "--out", "file") == 0
    config = read("file/config.json")
    assert (config["scenario_name"], config["settings"]["batch"]) == ("mine", 32)
    assert Path(config["scenario"]).is_absolute()  # so that the run can be read from anywhere
    assert sum(load_plan("file/plan.json", get_model("lenet5"), HybridPlan).b) == 32


@pytest.mark.usefixtures("undrawn")
def test_a_profile_from_a_file_counts() -> None:
    modelled_profile(get_model("lenet5"), "v100", (128,), "sgd", True).save("fast.csv")
    assert train("--agent", "all-device", *SMALL, "profiles={device: fast.csv}", "--out", "fast") == 0
    assert train("--agent", "all-device", *SMALL, "--out", "slow") == 0
    assert metrics("fast", "all-device")["iteration_s"] < 0.2 * metrics("slow", "all-device")["iteration_s"]
    assert metrics("fast", "all-edge") == pytest.approx(metrics("slow", "all-edge") | _known(metrics("fast", "exact")))


def _known(best: dict[str, float]) -> dict[str, float]:
    """What a device that is faster changes about All-Edge: the optimum beside it."""
    edge = metrics("slow", "all-edge")["iteration_s"]
    optimal = best["optimal_s"]
    return {"optimal_s": optimal, "gap": edge / optimal - 1.0, "regret_s": edge - optimal}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("agent", "options"),
    [
        ("exact", ["blocks=2", "cost=event"]),
        ("exact", ["blocks=2", "share_links=true"]),
        ("exact", ["blocks=2", "exchange=always", "relay=store"]),
        ("exact", ["blocks=2", "batch=1"]),
        ("exact", ["blocks=2", "batch=2", "share_links=true"]),
        ("exact", ["blocks=2", "optimizer=adam", "edge_cores=4", "tiles=false"]),
        ("exact", ["blocks=2", "optimum=false", "drift=true"]),
        ("exact", ["blocks=1", "drift=true"]),
        ("exact", ["blocks=2", "edge_cloud_mbps=1e-6"]),
        ("exact", ["blocks=2", "edge_cloud_mbps=1e9", "device_edge_mbps=1e9"]),
        ("jalad", ["blocks=2", "drift=true", "share_links=true"]),
    ],
)
def test_the_edges_of_what_is_allowed(agent: str, options: list[str]) -> None:
    assert train("--agent", agent, *LENET, *options, "--out", "run") == 0
    found = metrics("run", agent)
    assert math.isfinite(found["iteration_s"])
    assert found["iteration_s"] > 0
    known = not {"cost=event", "optimum=false"} & set(options)
    assert (found["gap"] is not None) == known


@pytest.mark.usefixtures("undrawn")
def test_sharing_links_takes_longer() -> None:
    write_plan(b=[88, 2, 38])  # samples go to edge and cloud at the same time
    for name in ("true", "false"):
        words = [*SMALL, "edge_cloud_mbps=20", f"share_links={name}"]
        assert train("--agent", "plan.json", *words, "--out", name) == 0
    assert metrics("true", "plan.json")["iteration_s"] > metrics("false", "plan.json")["iteration_s"]


def test_an_interrupted_episode_leaves_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def play(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "play", play)
    assert train("--agent", "hiertrain", *SMALL, "--out", "run") == 130
    assert capsys.readouterr().err == "splitgym-train: interrupted, nothing was written\n"
    assert not Path("run").exists()


# Plan files.


def test_a_plan_file_is_an_agent(capsys: Capture) -> None:
    write_plan()
    assert train("--agent", "plan.json", *SMALL, "--out", "run") == 0
    kept = load_plan("run/plan.json", get_model("lenet5"), HybridPlan)
    assert (list(kept.roles), kept.m_s, kept.m_l, list(kept.b)) == (PLAN["roles"], 1, 2, PLAN["b"])
    assert metrics("run", "plan.json")["iteration_s"] >= metrics("run", "exact")["iteration_s"]
    assert "timeline.png" in files("run")
    assert evaluate("--scenarios", "lenet5-2", *BLOCKS, "--agents", "plan.json,exact", "--out", "out") == 0
    values = {row["agent"]: float(row["value"]) for row in rows("out/results.csv") if row["metric"] == "iteration_s"}
    assert values["plan.json"] == pytest.approx(metrics("run", "plan.json")["iteration_s"])
    assert "plan.json" in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_a_saved_plan_does_as_its_planner_did() -> None:
    for agent in ("hiertrain", "exact", "all-edge"):
        assert train("--agent", agent, *SMALL, "--out", agent) == 0
        assert train("--agent", f"{agent}/plan.json", *SMALL, "--out", f"again-{agent}") == 0
        again = metrics(f"again-{agent}", f"{agent}/plan.json")
        assert again == pytest.approx(metrics(agent, agent), rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"b": [60, 30, 37]}, "plan.json: b sums to 127, the batch of lenet5-2 is 128"),
        ({"b": [60, 30]}, "plan.json: b is [60, 30], allowed: 3 numbers of samples"),
        ({"b": [160, -2, -30]}, "plan.json: b is [160, -2, -30], allowed: 3 numbers of samples"),
        ({"b": [60, 30, 38.0]}, "plan.json: b[2] is 38.0, allowed: a whole number"),
        ({"m_s": 3}, "plan.json: m_s is 3, m_l 2, allowed: 0 <= m_s <= m_l <= 7"),
        ({"m_l": 99}, "plan.json: m_s is 1, m_l 99, allowed: 0 <= m_s <= m_l <= 7"),
        ({"m_s": 0}, "plan.json: b gives worker s 30 samples, but m_s is 0; allowed: 0"),
        ({"roles": ["edge", "device"]}, "plan.json: roles has 2 names, allowed: 3"),
        (
            {"roles": ["edge", "phone", "cloud"]},
            "roles is ['edge', 'phone', 'cloud'], allowed: device, edge",
        ),
        ({"roles": ["edge", "edge", "cloud"]}, "plan.json: "),
        ({"model": "vgg16"}, "plan.json: model is 'vgg16', expected 'lenet5'"),
        ({"kind": "cut"}, "plan.json: "),
        ({"extra": 1}, "plan.json: "),
    ],
)
def test_a_plan_that_does_not_fit_is_one_line(changes: dict[str, Any], named: str, capsys: Capture) -> None:
    write_plan(**changes)
    refuses("splitgym-train", train("--agent", "plan.json", *SMALL, "--out", "run"), named, capsys, {"plan.json"})


def test_a_cut_inside_a_residual_block_is_one_line(capsys: Capture) -> None:
    model = get_model("resnet34_32")
    inside = next(m for m in range(1, len(model.steps)) if m not in cut_points(model, stem=True))
    write_plan(model="resnet34_32", m_s=inside, m_l=len(model.steps))
    words = ["--scenario", "resnet34_32-2", "--agent", "plan.json", *BLOCKS, "--out", "run"]
    refuses("splitgym-train", train(*words), f"plan.json: m_s is {inside}, resnet34_32 can be cut behind", capsys,
            {"plan.json"})  # fmt: skip


# Bad input.


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are wrong, each in its way."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("alexnet", "lenet5"):
        modelled_profile(get_model(name), "pi3", (16,), "sgd", True).save(folder / f"{name}.csv")
    whole = (folder / "lenet5.csv").read_text().splitlines()
    (folder / "short.csv").write_text("\n".join(whole[:-1]) + "\n")
    for name, text in {
        "norate.yaml": "model: vgg16\nedge_cloud_mbps: 0\n",
        "nomodel.yaml": "edge_cloud_mbps: 3\n",
        "nothing.yaml": "model: vgg16\n",
        "broken.yaml": "model: [",
    }.items():
        (folder / name).write_text(text)
    return folder


def refuses(prog: str, code: int, named: str, capsys: Capture, before: set[str]) -> None:
    """Checks that there is one line with what is wrong, and that nothing was written."""
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith(f"{prog}: ")
    assert named in printed.err
    assert files() == before
    assert [path for path in Path().iterdir() if path.is_dir()] == []


BAD_ENV: list[tuple[list[str], str]] = [
    (["edge_cloud_mbps=-3"], "edge_cloud_mbps is -3, allowed: a finite number above 0"),
    (["edge_cloud_mbps=0"], "edge_cloud_mbps is 0, allowed: a finite number above 0"),
    (["device_edge_mbps=0"], "device_edge_mbps is 0, allowed: a finite number above 0"),
    (["edge_cloud_mbps=.inf"], "the value of edge_cloud_mbps, '.inf', is neither a finite number"),
    (["batch=0"], "batch is 0, allowed: 1.."),
    (["batch=12.5"], "batch is 12.5, allowed: a whole number, 1..2000"),
    (["blocks=0"], "blocks is 0, allowed: 1.."),
    (["iterations=0"], "iterations is 0, allowed: 1.."),
    (["edge_cores=5"], "edge_cores is 5, allowed: 1..4"),
    (["edge_cores=0"], "edge_cores is 0, allowed: 1..4"),
    (["sample_bytes=-1"], "sample_bytes is -1"),
    (["thread_gain=nan"], "thread_gain is 'nan'"),
    (["relay=pigeon"], "relay is 'pigeon', allowed: stream, store"),
    (["exchange=never"], "exchange is 'never', allowed: holders, always"),
    (["optimizer=lion"], "optimizer is 'lion', allowed: sgd, "),
    (["cost=fun"], "cost='fun' is not one of paper, event"),
    (["optimum=maybe"], "optimum='maybe' is not one of True, False"),
    (["share_links=maybe"], "share_links is 'maybe', allowed: true or false"),
    (["model=nonet"], "unknown model 'nonet'; known models: alexnet, "),
    (["device=nowhere"], "unknown device 'nowhere'; known: "),
    (["edge=nowhere"], "unknown edge 'nowhere'; known: "),
    (["colour=red"], "unknown option 'colour'; known: plans, activation_bits, cost, optimum, model"),
    (["profiles={device: alexnet.csv}"], "alexnet.csv: model is 'alexnet', expected 'lenet5'"),
    (["profiles={edge: short.csv}"], "short.csv: profile has "),
    (["profiles={device: lenet5.csv}"], "batch is 128, but the training profile"),
    (["profiles={device: nowhere.csv}"], "nowhere.csv: cannot be read"),
    (["profiles={phone: lenet5.csv}"], "profiles names 'phone', allowed: device, edge, cloud"),
]
BAD_SCENARIO = [
    ("nowhere", "unknown scenario 'nowhere'; known: alexnet-1.5, "),
    ("nowhere", "<model>-<Mbps>[-c<cores>] or <model>-drift"),
    ("nonet-3", "unknown model 'nonet'; known models: "),
    ("alexnet-0", "edge_cloud_mbps is 0.0, allowed: a finite number above 0"),
    ("alexnet--5", "edge_cloud_mbps is -5.0"),
    ("alexnet-3-c9", "edge_cores is 9, allowed: 1..4"),
    ("nowhere.yaml", "nowhere.yaml: cannot be read"),
    ("norate.yaml", "norate.yaml: edge_cloud_mbps is 0, "),
    ("nomodel.yaml", "nomodel.yaml: field model is missing"),
    ("nothing.yaml", "nothing.yaml: field edge_cloud_mbps is missing"),
    ("broken.yaml", "broken.yaml: is not YAML"),
]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        *((["--scenario", "lenet5-2", "--env-kwargs", *options], named) for options, named in BAD_ENV),
        *((["--scenario", name], named) for name, named in BAD_SCENARIO),
        (["--env-kwargs", "plans=layers"], "agent hiertrain needs plans=hybrid, not layers"),
        (["--agent", "jalad", "--env-kwargs", "activation_bits=16"], "agent jalad needs activation_bits=8, not 16"),
        (["--agent", "ppo", "--env-kwargs", "activation_bits=7"], "activation_bits=7 is not one of 32, 16, 8, 4"),
        (["--agent", "nobody"], "--agent: unknown agent 'nobody' for hiertrain; known: hiertrain, exact, all-device"),
        (["--agent", "missing.json"], "missing.json: cannot be read"),
        (["--hyperparams", "hold=maybe"], "hold of hiertrain is 'maybe', allowed: true or false"),
        (["--agent", "all-edge", "--hyperparams", "hold=true"], "agent all-edge: unknown hyperparameter 'hold'"),
        (["--agent", "sac", "--hyperparams", "gamma=2"], "agent sac: gamma is 2, allowed: "),
        (["--episodes", "5"], "--episodes: agent hiertrain is not trained beforehand"),
        (["--agent", "exact", "--steps", "500"], "--steps: agent exact is not trained beforehand"),
    ],
)
def test_bad_input_for_a_run_is_one_line(words: list[str], named: str, inputs: Path, capsys: Capture) -> None:
    shutil.copytree(inputs, ".", dirs_exist_ok=True)
    before = files()
    refuses("splitgym-train", train(*words, "--out", "run"), named, capsys, before)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        *((["--scenarios", "lenet5-2", "--env-kwargs", *options], named) for options, named in BAD_ENV),
        *((["--scenarios", f"lenet5-2,{name}"], named) for name, named in BAD_SCENARIO),
        (["--scenarios", "lenet"], "groups: alexnet, lenet5, cores, drifting, scaling"),
        (["--agents", "exact,nobody"], "--agents: unknown agent 'nobody' for hiertrain; known: hiertrain, exact"),
        (["--agents", "jalad", "--env-kwargs", "activation_bits=4"], "jalad needs activation_bits=8, not 4"),
        (["--agents", "all-edge", "--hyperparams", "hold=true"], "none of all-edge has a hyperparameter 'hold'"),
        (["--runs", "nowhere"], "--runs nowhere: is not a folder"),
    ],
)
def test_bad_input_for_an_evaluation_is_one_line(words: list[str], named: str, inputs: Path, capsys: Capture) -> None:
    shutil.copytree(inputs, ".", dirs_exist_ok=True)
    before = files()
    code = evaluate(*([] if "--agents" in words else ["--agents", "exact,all-edge"]), *words, "--out", "out")
    refuses("splitgym-eval", code, named, capsys, before)


def test_a_planners_run_is_not_resumed(capsys: Capture) -> None:
    assert train("--agent", "exact", *SMALL, "--out", "run") == 0
    capsys.readouterr()
    assert train_main(["--resume", "run"]) == 2
    assert "--resume run: agent exact is not trained beforehand; nothing to go on with" in capsys.readouterr().err


# Evaluation.


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    words = ["--scenarios", "lenet5-drift,alexnet-3", "--agents", "exact,all-cloud,jalad", "--seeds", "2", *BLOCKS]
    assert evaluate(*words, "--episodes", "1", "--out", "one", workers=1) == 0
    assert evaluate(*words, "--episodes", "1", "--out", "two", workers=2) == 0
    assert Path("one/results.csv").read_bytes() == Path("two/results.csv").read_bytes()
    assert files("one") == files("two")
    found = [(r["scenario"], r["agent"]) for r in rows("one/results.csv") if r["metric"] == "iteration_s"]
    assert found.count(("lenet5-drift", "all-cloud")) == 2
    assert found.count(("alexnet-3", "all-cloud")) == 1  # a seed changes nothing there


@pytest.mark.usefixtures("undrawn")
def test_training_and_evaluation_agree() -> None:
    scenario = ["lenet5-drift", *BLOCKS]
    assert train("--scenario", *scenario, "--agent", "exact", "--out", "run") == 0
    assert evaluate("--scenarios", *scenario, "--agents", "exact,all-cloud,jalad", "--out", "out") == 0
    found = {(row["agent"], row["metric"]): float(row["value"]) for row in rows("out/results.csv")}
    for agent in ("exact", "all-cloud", "jalad"):
        assert {metric: value for (name, metric), value in found.items() if name == agent} == metrics("run", agent)


def test_a_group_is_drawn_like_the_papers_figures(capsys: Capture) -> None:
    assert evaluate("--scenarios", "lenet5", "--agents", "exact,all-edge,all-cloud", *BLOCKS, "--out", "out") == 0
    assert files("out") == {"results.csv", "eval.json", "lenet5.png", "lenet5_ratio.png"}
    written = re.search(r"^written to out: (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert written is not None
    assert set(written[1].split(", ")) == files("out")
    times: dict[str, list[float]] = {}
    for row in rows("out/results.csv"):
        if row["metric"] == "iteration_s":
            times.setdefault(row["agent"], []).append(float(row["value"]))
    assert times["all-cloud"] == sorted(times["all-cloud"], reverse=True)  # the faster the link, the faster
    assert len(set(times["all-edge"])) == 1  # it does not use that link
    assert all(np.array(times["exact"]) <= np.minimum(times["all-edge"], times["all-cloud"]) * (1 + 1e-9))


@pytest.mark.slow
def test_every_agent_is_evaluated_on_every_scenario() -> None:
    assert evaluate("--scenarios", "all", "--agents", "all", *BLOCKS, "--episodes", "1", "--out", "out", workers=2) == 0
    charts = {"alexnet", "lenet5", "cores", "drifting", "scaling"}
    assert {f"{name}.png" for name in charts} <= files("out")
    assert {row["agent"] for row in rows("out/results.csv")} == set(PLANNERS)


# Help.


def test_help_teaches(capsys: Capture) -> None:
    assert train("--help") == 0
    text = capsys.readouterr().out
    for words in ("alexnet-1.5-c4", "[-c<cores>]", "lenet5-drift", "edge_cores", "jointdnn+", "examples:", "plan file"):
        assert words in text
    assert evaluate("--help") == 0
    text = capsys.readouterr().out
    assert "scaling" in text
    assert "jalad" in text


def test_examples_of_help_can_be_called(capsys: Capture) -> None:
    """The run that an example goes on with is one that can be gone on with."""
    train("--help")
    lines = capsys.readouterr().out.partition("examples:")[2].splitlines()
    examples = [shlex.split(line) for line in lines if line]
    made = next(words for words in examples if "--out" in words)
    resumed = next(words for words in examples if "--resume" in words)
    assert made[made.index("--out") + 1] == resumed[resumed.index("--resume") + 1]
    assert agents_of("hiertrain")[made[made.index("--agent") + 1]].learns


# Learners.


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("agent", TINY)
def test_a_learner_is_trained_and_gone_on_with(agent: str, capsys: Capture) -> None:
    assert learn(agent, "--episodes", "6", "--out", "run") == 0
    assert {"config.json", "plan.json", "result.json", "curve.csv", "learning_curve.png"} <= files("run")
    assert {"model/model.zip", "model/learner.json", "model/progress.json"} <= files("run")
    result = read("run/result.json")
    assert (result["episodes"], result["steps"], result["finished"]) == (6, 30, True)
    assert result["results"][0]["kind"] == "trained"
    words = ["--agents", agent, "--scenarios", "lenet5-drift", *BLOCKS, "--runs", "run", "--out", "out"]
    assert evaluate(*words) == 0
    found = next(float(row["value"]) for row in rows("out/results.csv") if row["metric"] == "iteration_s")
    assert found == metrics("run", agent)["iteration_s"]
    capsys.readouterr()
    assert train_main(["--resume", "run"]) == 2
    assert "has spent its budget (6 episodes)" in capsys.readouterr().err
    assert train_main(["--resume", "run", "--episodes", "10"]) == 0
    result = read("run/result.json")
    assert (result["episodes"], result["steps"], result["finished"]) == (10, 50, True)


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_training_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from splitgym.agents.sb3 import Sb3Learner

    report = Sb3Learner.report

    def interrupted(self: Sb3Learner, *rest: Any) -> Any:
        if self.vec.episodes >= 4:
            monkeypatch.setattr(Sb3Learner, "report", report)
            signal.raise_signal(signal.SIGINT)
        return report(self, *rest)

    monkeypatch.setattr(Sb3Learner, "report", interrupted)
    assert learn("ppo", "--episodes", "10", "--out", "run") == 130
    assert re.search(r"interrupted after 4 episodes; go on with: .* --resume run", capsys.readouterr().err)
    assert read("run/result.json")["interrupted"]
    assert train_main(["--resume", "run"]) == 0
    result = read("run/result.json")
    assert (result["episodes"], result["finished"]) == (10, True)


@pytest.mark.usefixtures("undrawn")
def test_a_learner_can_assign_layers() -> None:
    words = ["--hyperparams", *TINY["ppo"], "--episodes", "4", "--out", "run"]
    assert train("--agent", "ppo", *SMALL, "plans=layers", *words) == 0
    assert read("run/config.json")["env_kwargs"]["plans"] == "layers"
    assert "plan.json" not in files("run")
    assert metrics("run", "ppo")["regret_s"] >= metrics("run", "jointdnn+")["regret_s"] - 1e-9
