"""splitgym-train: what it prints and leaves behind, and what decides it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from splitgym.experiments.out_folders import claimed_run, run_name
from splitgym.models.lookup import get_model
from splitgym.models.plans import SpatialPlan, load_plan
from splitgym.ui.progress import Bar

from .. import ROOT
from ..command_line import PNG, files, metrics, names, read, rows
from .brief import EVALUATE, ON_POLICY, TRAIN

pytestmark = pytest.mark.usefixtures("scratch", "toy", "hurried")

train = TRAIN.of("--env", "toy")
LEAST = ("--steps", "1", "--track", "off", "--hyperparams", *ON_POLICY)


def test_a_training_leaves_everything_in_its_folder() -> None:
    called = train("--episodes", "40", "--seed", "3", "--out", "run", "--hyperparams", "spread=5e-1")
    assert set(names("run")) == {"config.json", "model", "plan.json", "result.json", "curve.csv", "learning_curve.png"}
    assert Path("run/learning_curve.png").read_bytes().startswith(PNG)
    config, result, plan = read("run/config.json"), read("run/result.json"), read("run/plan.json")
    assert (config["agent"], config["seed"], config["episodes"]) == ("climber", 3, 40)
    assert config["hyperparams"] == {"spread": 0.5}
    assert config["settings"] == {"name": "near", "scale": 1.0}
    assert config["command"][0] == "splitgym-train"
    assert {"python", "numpy", "splitgym"} <= set(config["versions"])
    assert result["finished"]
    assert (result["episodes"], result["steps"]) == (40, 120)
    assert result["provenance"] == ["targets: modelled (made up)"]
    table = {row["agent"]: row for row in result["results"]}
    assert {name: row["kind"] for name, row in table.items()} == {
        "climber": "trained",
        "exact": "reference",
        "middle": "baseline",
        "edge": "baseline",
    }
    assert plan["notes"]["cost_s"] == table["climber"]["metrics"]["cost_s"]
    assert plan["actions"] == table["climber"]["plan"]["actions"]
    curve = rows("run/curve.csv")
    assert [int(row["episodes"]) for row in curve] == list(range(1, 41))
    best = [float(row["best_cost_s"]) for row in curve]
    assert best == sorted(best, reverse=True)
    assert best[-1] == pytest.approx(table["climber"]["metrics"]["cost_s"])
    for words in ("climber after 40 episodes, seed 3", "numbers: targets: modelled (made up)", "written to run"):
        assert words in called.out


def test_the_table_ranks_by_the_headline_and_says_what_regret_means() -> None:
    lines = train("--agent", "middle", "--scenario", "far").out.splitlines()
    (head,) = [line for line in lines if "cost (ms)" in line]
    assert head.split()[:2] == ["agent", "cost"]
    assert "regret (ms)*" in head
    ranked = [line.replace("▸", " ").split()[:3] for line in lines[lines.index(head) + 1 :][:3]]
    assert ranked == [["exact", "1000.0", "0.0"], ["edge", "1120.0", "120.0"], ["middle", "2920.0", "1920.0"]]
    assert any("no best-known plan fits this scenario" in line for line in lines)
    assert read("runs/toy-far-middle-s0-1/result.json")["regret_against"] == "best of this table"


def test_where_a_best_plan_is_known_regret_is_against_it() -> None:
    called = train("--agent", "middle", "--env-kwargs", "known=true", "scale=2")
    assert "regret is against the best-known plan, 2000 ms" in called.out
    assert read("runs/toy-near-middle-s0-1/result.json")["regret_against"] == "best known"


@pytest.mark.parametrize(
    ("scenario", "mbps", "pays"),
    [
        ("alexnet-3.5", 5.0, True),
        ("alexnet-3.5", 0.01, False),
        ("alexnet-drift", 0.4, True),  # now and then, for who need not plan anew as those of the table do
    ],
)
def test_where_splitting_does_not_pay_it_says_so(scenario: str, mbps: float, pays: bool) -> None:
    options = ("--scenario", scenario, "--env-kwargs", f"device_edge_mbps={mbps}")
    out = TRAIN.of("--env", "hiertrain")("--agent", "all-device", *options).out
    assert ("splitting does not pay here: nothing is better than all-device" in out) is not pays
    assert out.split("▸")[1].split()[0] == "all-device"


def test_default_folders_are_numbered() -> None:
    for _ in range(2):
        train("--agent", "exact")
    assert names("runs") == ["toy-near-exact-s0-1", "toy-near-exact-s0-2"]
    assert "model" not in names("runs/toy-near-exact-s0-1")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "near"),
        ({"model": "lenet5"}, "near-lenet5"),
        ({"model": "/nets/small.onnx@3x32x32#scores"}, "near-small"),
        ({"model": "nets.small:tiny@3x32x32"}, "near-nets.small_tiny"),
        ({"model": 2}, "near"),  # of an environment of one's own, where it is no network's name
    ],
)
def test_folders_are_named_by_the_network_that_was_put_in(options: dict[str, Any], name: str) -> None:
    with claimed_run(run_name("near", options)) as path:
        assert path == Path("runs") / f"{name}-1"


def test_a_run_with_another_network_says_so_in_its_name() -> None:
    TRAIN.of("--env", "hiertrain")("--agent", "all-device", "--model", "lenet5")
    assert names("runs") == ["hiertrain-alexnet-3.5-lenet5-all-device-s0-1"]


@pytest.mark.usefixtures("undrawn")
def test_the_same_seed_gives_the_same_run_and_another_one_does_not() -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        train("--episodes", "10", "--seed", seed, "--out", name)
    a, b, c = (read(f"{name}/plan.json")["actions"] for name in "abc")
    assert a == b != c


@pytest.mark.usefixtures("undrawn")
def test_steps_are_a_budget_too() -> None:
    train("--steps", "30", "--out", "run")
    assert read("run/result.json")["episodes"] == 10


def test_the_headline_says_what_the_scenario_is_now() -> None:
    called = train("--agent", "middle", "--env-kwargs", "scale=3")
    assert "near (a target at 0.1, costs times 3): middle against" in called.out


def test_plans_of_varying_episodes_carry_no_mean() -> None:
    for scenario, noted in (("near", True), ("noisy", False)):
        train("--agent", "middle", "--scenario", scenario, "--out", scenario)
        notes = read(f"{scenario}/plan.json")["notes"]
        assert ("cost_s" in notes) is noted
        assert notes["numbers"] == ["targets: modelled (made up)"]


def test_a_bar_at_its_end_has_nothing_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("work") as bar:
        bar.show(0.5, "half")
        bar.show(1.0, "all")
    half, end = capsys.readouterr().err.splitlines()
    assert half.endswith("half  1 s left")
    assert end == "work 100 %  all"


def test_help_teaches() -> None:
    text = TRAIN("--help").out
    for words in ("environments (--env):", "toy", "DB-50-resnet50", "osds", "table1", "eta", "examples:", "--resume"):
        assert words in text
    text = train("--help").out
    for words in ("a target close by", "always the middle", "all-fixed", "scale"):
        assert words in text
    assert "osds" not in text


@pytest.mark.slow
def test_a_learners_offline_wandb_run_lies_in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    called = train("--episodes", "5", "--out", "run", "--track", "off")
    assert len(list(Path("run/wandb").glob("offline-run-*/*.wandb"))) == 1
    assert "WANDB_MODE=offline wins over --track off" in called.err
    assert "wandb leet run/wandb" in called.out


# DistrEdge, the family that is taken without --env.


def test_a_planner_writes_a_plan_that_loads() -> None:
    called = TRAIN("--scenario", "DB-50", "--agent", "deepthings", "--env-kwargs", "eta=0.9", "--out", "run")
    plan = load_plan("run/plan.json", get_model("vgg16"), SpatialPlan)
    assert plan.notes["scenario"] == "DB-50"
    compared = {row["agent"] for row in read("run/result.json")["results"]}
    assert compared >= {"joint", "coedge", "modnn", "mednn", "deepthings", "deeperthings", "aofl", "offload"}
    assert metrics("run", "deepthings")["latency_s"] == plan.notes["latency_s"]
    assert read("run/config.json")["settings"]["eta"] == 0.9
    assert Path("run/timeline.png").read_bytes().startswith(PNG)
    for words in ("latency (ms)", "images/s", "speed-up over offload", "regret (ms)", "modelled"):
        assert words in called.out


NETWORK, TOLD = ROOT / "examples/net.onnx", "net.onnx: 4 units that can be split by height"


@pytest.fixture
def _own(scratch: Path) -> None:
    (scratch / "own.yaml").write_text(f"{{model: {NETWORK}, devices: [nano, nano], mbps: [50, 50]}}\n")


@pytest.mark.usefixtures("_own")
def test_a_network_of_ones_own_is_told_once_wherever_it_is_named() -> None:
    evaluate = EVALUATE.of("--agents", "offload", "--workers", "1")
    for called in (
        TRAIN("--scenario", "own.yaml", "--agent", "offload"),
        TRAIN("--scenario", "NA-nano", "--model", str(NETWORK), "--agent", "offload"),
        TRAIN("--scenario", "own.yaml", "--agent", "ppo", *LEAST, "--seeds", "1", "--workers", "1"),
        evaluate("--scenarios", "own.yaml", "NA-nano"),
    ):
        assert called.told.count(TOLD) == 1
    assert not any("split by height" in line for line in evaluate("--scenarios", "NA-nano").told)


@pytest.mark.usefixtures("_own")
def test_a_search_tells_a_network_of_ones_own() -> None:
    pytest.importorskip("optuna")
    called = TRAIN("--scenario", "own.yaml", "--agent", "ppo", *LEAST, "--tune", "1", "--workers", "1")
    assert called.told.count(TOLD) == 1


def test_a_bad_trace_is_named(scratch: Path) -> None:
    words = "--scenario NA-nano --agent offload --out run --trace link.txt"
    TRAIN.refuses(words, f"{scratch / 'link.txt'}: cannot be read (No such file or directory)")
    Path("link.txt").write_text("0 2.0\n20 4.0\n10 3.0\n")
    TRAIN.refuses(words, "link.txt: line 3: time 10 s is not after 20 s")


@pytest.mark.slow
def test_the_default_agent_learns_and_goes_on() -> None:
    TRAIN("--episodes", "4096", "--out", "run")
    first = metrics("run", "risk-seeking")["latency_s"]
    TRAIN("--resume", "run", "--episodes", "8192")
    second = metrics("run", "risk-seeking")["latency_s"]
    assert second <= first
    plan = load_plan("run/plan.json", get_model("vgg16"), SpatialPlan)
    assert plan.notes["latency_s"] == second
    assert {"timeline.png", "learning_curve.png", "curve.csv"} <= files("run")
