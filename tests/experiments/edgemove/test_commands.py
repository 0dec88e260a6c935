"""splitgym-train and splitgym-eval on EdgeMove: what they leave behind, plan files, places, learners, bad input."""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from splitgym.agents.registry import agents_of
from splitgym.envs import get_family
from splitgym.envs.edgemove.dynamics import EdgeMoveDynamics
from splitgym.envs.edgemove.scenarios import GROUPS, TASKS
from splitgym.experiments import options as console
from splitgym.experiments import train_session as session
from splitgym.experiments.eval_command import main as evaluate_main
from splitgym.experiments.train_command import main as train_main
from splitgym.models.lookup import get_model
from splitgym.models.plans import PipelinePlan, load_plan
from splitgym.profiling.training import modelled_profile

Capture = pytest.CaptureFixture[str]
FIXED = [name for name, spec in agents_of("edgemove").items() if not spec.learns]
BASELINES = {"on-device", "device-cloud", "pipedream-e"}
PNG = b"\x89PNG\r\n\x1a\n"
SHORT = ("--env-kwargs", "on_device_s=300", "cycle=200")
TINY = {
    "ppo": ("lanes=2", "n_steps=8", "batch_size=8", "n_epochs=1"),
    "a2c": ("lanes=2", "n_steps=8"),
    "dqn": ("lanes=2", "batch_size=8", "buffer_size=200", "learning_starts=10", "gradient_steps=1"),
}
PLAN = {"schema": 1, "kind": "pipeline", "model": "vgg16_32", "cut": 6, "worker": "cloud", "in_flight": 2, "notes": {}}
SITES = "SITE_ID,LATITUDE,LONGITUDE,NAME\n1,-37.8136,144.9631,a\n2,-37.8150,144.9650,b\n3,-37.8120,144.9620,c\n"
WALK = "latitude,longitude\n-37.8136,144.9631\n-37.8150,144.9650\n-37.8160,144.9640\n"
FIELDS = "model: vgg16_32\ncycle: 200\non_device_s: 300\n"


@pytest.fixture(autouse=True)
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def fewer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two walks instead of ten where no number is asked for."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(EdgeMoveDynamics, "eval_episodes", 2)


@pytest.fixture(scope="module")
def fields() -> list[str]:
    return [name for name in ("model", "traces") if console.has_field(get_family("edgemove"), name)]


@pytest.fixture(autouse=True)
def asked_once(fields: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line makes a city to see which options there are; it is the same city every time."""
    monkeypatch.setattr(console, "has_field", lambda _, name: name in fields)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the comparison at the end of a run."""
    monkeypatch.setattr(session.Session, "_others", lambda _: [])


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pictures, which take longer than everything else."""
    monkeypatch.setattr("splitgym.experiments.edgemove.draw_trace", lambda *_: {})
    monkeypatch.setattr("splitgym.experiments.edgemove.eval_figures", lambda *_: {})
    monkeypatch.setattr(session, "save_figure", lambda figure, path: path.write_bytes(PNG))


def train(*words: str) -> int:
    return train_main(["--env", "edgemove", "--track", "off", *words])


def evaluate(*words: str, workers: int = 1) -> int:
    return evaluate_main(["--env", "edgemove", "--workers", str(workers), *words])


def learn(agent: str, *words: str) -> int:
    """Train a learner for so little that it takes no time."""
    return train("--agent", agent, *SHORT, "--hyperparams", *TINY[agent], *words)


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


def write_places() -> None:
    Path("town").mkdir()
    for name, text in {"sites.csv": SITES, "walk.csv": WALK}.items():
        (Path("town") / name).write_text(text)
    (Path("town") / "town.yaml").write_text(f"{FIELDS}sites: sites.csv\ntrajectory: walk.csv\n")


# What a run leaves behind.


def test_the_papers_agent_leaves_everything_in_its_folder(capsys: Capture) -> None:
    assert train(*SHORT, "--seed", "3", "--out", "run") == 0
    assert files("run") == {"config.json", "plan.json", "result.json", "curve.csv", "walk.png", "cuts.png"}
    config, plan, result = read("run/config.json"), read("run/plan.json"), read("run/result.json")
    assert (config["agent"], config["seed"], config["scenario"]) == ("edgemove", 3, "vgg16-cifar10")
    assert (config["settings"]["cycle"], config["settings"]["speed_mps"]) == (200, 1.4)
    assert config["env_kwargs"] == {"on_device_s": 300, "cycle": 200, "action": "absolute"}
    assert (plan["kind"], plan["notes"]["agent"], plan["notes"]["seed"]) == ("pipeline", "edgemove", 3)
    assert "elapsed_s" not in plan["notes"]  # the last cycle's plan alone does not take that long
    assert result["finished"]
    kinds = {row["agent"]: row["kind"] for row in result["results"]}
    assert kinds.pop("edgemove") == "online"
    assert {name for name, kind in kinds.items() if kind == "reference"} == {"oracle", "lookahead"}
    assert {name for name, kind in kinds.items() if kind == "baseline"} == BASELINES
    assert all(Path(f"run/{name}.png").read_bytes().startswith(PNG) for name in ("walk", "cuts"))
    curve = rows("run/curve.csv")
    assert [int(row["round"]) for row in curve] == list(range(1, len(curve) + 1))
    assert len(curve) == math.ceil(_iterations() / 200)
    printed = capsys.readouterr()
    assert "edgemove against the baselines" in printed.out
    assert "regret is against the fastest server and cut of every cycle" in printed.out
    assert "written to run" in printed.out
    assert printed.err == ""
    assert "…" not in printed.out  # no heading is cut off


def _iterations() -> int:
    forward, backward = (profile := modelled_profile(get_model("vgg16_32"), "pixel6a", (32,), "sgd", True)).at(32)
    return round(300 / float((forward + backward + profile.update_s).sum()))


@pytest.mark.parametrize("agent", FIXED)
@pytest.mark.usefixtures("undrawn")
def test_every_agent_plays_and_is_compared(agent: str) -> None:
    assert train("--agent", agent, *SHORT, "--out", "run") == 0
    table = read("run/result.json")["results"]
    names = [row["agent"] for row in table]
    assert names[0] == agent
    assert len(set(names)) == len(names)
    assert set(names) >= BASELINES | {"oracle", "lookahead"}
    assert all(math.isfinite(value) for row in table for value in row["metrics"].values())
    for row in table:
        found = row["metrics"]
        assert found["regret_s"] >= -1e-6
        assert found["elapsed_s"] == pytest.approx(found["training_s"] + found["adaptation_s"])
        assert found["speedup"] == pytest.approx(300 / found["elapsed_s"], rel=0.1)
    assert metrics("run", "oracle")["regret_s"] == pytest.approx(0.0, abs=1e-6)
    assert metrics("run", "on-device")["speedup"] == pytest.approx(1.0, abs=0.05)
    load_plan("run/plan.json", get_model("vgg16_32"), PipelinePlan)


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_run_depends_on_its_seed_only() -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train("--agent", "pipedream-e", *SHORT, "--seed", seed, "--out", name) == 0
    a, b, c = ({row["agent"]: row["metrics"] for row in read(f"{name}/result.json")["results"]} for name in "abc")
    assert a == b
    assert a["pipedream-e"] != c["pipedream-e"]
    assert rows("a/curve.csv") == rows("b/curve.csv")


@pytest.mark.usefixtures("undrawn", "alone")
def test_scenarios_by_form() -> None:
    assert train("--scenario", "resnet50-speech-x2.5-300mbps", "--agent", "on-device", *SHORT, "--out", "form") == 0
    settings = read("form/config.json")["settings"]
    assert (settings["model"], settings["near_mbps"]) == ("resnet50_speech", 300.0)
    assert settings["speed_mps"] == pytest.approx(2.5 * 1.4)


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_town_of_ones_own() -> None:
    write_places()
    assert train("--scenario", "town/town.yaml", "--agent", "edgemove", "--out", "run") == 0
    config = read("run/config.json")
    assert config["scenario_name"] == "town"
    assert Path(config["scenario"]).is_absolute()  # so that the run can be read from anywhere
    assert Path(config["settings"]["sites"]) == Path("town/sites.csv").resolve()
    assert any("sites: from " in line for line in read("run/result.json")["provenance"])
    workers = {int(float(row["worker"])) for row in rows("run/curve.csv")}
    assert workers <= {-1, 0, 1, 2, 3}
    assert workers & {0, 1, 2}
    words = [*SHORT, "sites=town/sites.csv", "trajectory=town/walk.csv"]
    assert train("--agent", "edgemove", *words, "--out", "same") == 0
    assert metrics("same", "edgemove") == metrics("run", "edgemove")


@pytest.mark.usefixtures("alone")
def test_a_town_is_drawn() -> None:
    write_places()
    assert train("--scenario", "town/town.yaml", "--agent", "lookahead", "--out", "run") == 0
    assert {"walk.png", "cuts.png"} <= files("run")
    assert evaluate("--scenarios", "town/town.yaml", "--agents", "edgemove,on-device", "--out", "out") == 0
    charts = {"scenarios.png", "scenarios_adaptation.png", "scenarios_progress.png"}
    assert files("out") == {"results.csv", "eval.json", *charts}
    assert all(path.read_bytes().startswith(PNG) for path in Path("out").glob("*.png"))


@pytest.mark.usefixtures("undrawn")
def test_far_from_all_sites_the_client_trains_alone() -> None:
    Path("far.csv").write_text("LATITUDE,LONGITUDE\n48.1,11.5\n48.11,11.5\n")
    assert train("--agent", "edgemove", *SHORT, "trajectory=far.csv", "--out", "run") == 0
    assert metrics("run", "edgemove") == metrics("run", "on-device")
    assert read("run/plan.json")["worker"] == "none"
    assert {row["worker"] for row in rows("run/curve.csv")} == {"-1.0"}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "options",
    [
        ["half_duplex=true"],
        ["in_flight=1"],
        ["in_flight=8", "tiles=false"],
        ["probe=blocking"],
        ["n_sites=1", "coverage_m=[1,2]"],
        ["near_mbps=1"],
        ["near_mbps=1e9"],
        ["speed_mps=1e4"],
        ["speed_mps=1e-6"],
        ["noise=0", "probe_noise=0", "load_drift=0"],
        ["gpus=[v100]"],
        ["edge_rtt_s=[0.01,0.01]", "optimizer=adam"],
    ],
)
def test_the_edges_of_what_is_allowed(options: list[str]) -> None:
    words = ["--scenarios", "vgg16-cifar10", "--agents", "edgemove,oracle", *SHORT, *options, "--episodes", "2"]
    assert evaluate(*words, "--out", "out") == 0
    found = {(r["agent"], r["metric"]): float(r["value"]) for r in rows("out/results.csv")}
    assert all(map(math.isfinite, found.values()))
    assert found["edgemove", "regret_s"] >= -1e-6


@pytest.mark.usefixtures("undrawn", "alone")
def test_the_shortest_training_is_one_cycle() -> None:
    assert train("--env-kwargs", "on_device_s=1e-9", "--agent", "edgemove", "--out", "run") == 0
    assert len(rows("run/curve.csv")) == 1


@pytest.mark.usefixtures("undrawn")
def test_without_the_optimum_regret_is_against_the_table(capsys: Capture) -> None:
    assert train("--agent", "edgemove", *SHORT, "optimum=false", "--out", "run") == 0
    assert metrics("run", "edgemove")["oracle_s"] is None
    assert "oracle_iteration_s" not in rows("run/curve.csv")[0]
    assert "regret is against the best of this table" in capsys.readouterr().out
    assert min(row["metrics"]["regret_s"] for row in read("run/result.json")["results"]) == 0.0


def test_an_interrupted_episode_leaves_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def play(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "play", play)
    assert train(*SHORT, "--out", "run") == 130
    assert capsys.readouterr().err == "splitgym-train: interrupted, nothing was written\n"
    assert not Path("run").exists()


# Plan files.


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_plan_file_is_an_agent() -> None:
    write_plan()
    assert train("--agent", "plan.json", *SHORT, "--out", "run") == 0
    kept = load_plan("run/plan.json", get_model("vgg16_32"), PipelinePlan)
    assert (kept.cut, kept.worker, kept.in_flight) == (6, "cloud", 2)
    found = metrics("run", "plan.json")
    assert (found["cut_moves"], found["worker_switches"]) == (0.0, 0.0)
    assert evaluate("--scenarios", "vgg16-cifar10", *SHORT, "--agents", "plan.json,on-device", "--out", "out") == 0
    values = {row["agent"]: float(row["value"]) for row in rows("out/results.csv") if row["metric"] == "elapsed_s"}
    assert values["plan.json"] == pytest.approx(found["elapsed_s"])


@pytest.mark.usefixtures("undrawn", "alone")
def test_the_plan_of_a_client_alone_is_on_device() -> None:
    assert train("--agent", "on-device", *SHORT, "--out", "alone") == 0
    assert read("alone/plan.json")["worker"] == "none"
    assert train("--agent", "alone/plan.json", *SHORT, "--out", "again") == 0
    assert metrics("again", "alone/plan.json") == metrics("alone", "on-device")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"worker": "site-125"}, "plan.json: worker is 'site-125', allowed: none, cloud, site-0 to site-124"),
        ({"worker": "moon"}, "plan.json: worker is 'moon', allowed: none, cloud, site-0 to site-124"),
        ({"worker": "none"}, "plan.json: worker is 'none' with cut 6, allowed: none behind all layers only"),
        ({"worker": 3}, "plan.json: worker"),
        ({"cut": 0}, "plan.json: cut is 0, "),
        ({"cut": 99}, "plan.json: cut is 99, "),
        ({"cut": 1.5}, "plan.json: cut "),
        ({"in_flight": 3}, "plan.json: in_flight is 3, that of vgg16-cifar10 is 2"),
        ({"in_flight": 0}, "plan.json: in_flight is 0"),
        ({"model": "vgg16"}, "plan.json: model is 'vgg16', expected 'vgg16_32'"),
        ({"kind": "cut"}, "plan.json: "),
        ({"extra": 1}, "plan.json: "),
    ],
)
def test_a_plan_that_does_not_fit_is_one_line(changes: dict[str, Any], named: str, capsys: Capture) -> None:
    write_plan(**changes)
    refuses("splitgym-train", train("--agent", "plan.json", *SHORT, "--out", "run"), named, capsys, {"plan.json"})


# Bad input.


@pytest.fixture
def inputs() -> set[str]:
    """Files that are wrong, each in its way."""
    for name, text in {
        "nocolumn.csv": "LAT,LON\n-37.8,144.9\n",
        "range.csv": "LATITUDE,LONGITUDE\n-37.8,144.9\n-97.8,144.9\n",
        "west.csv": "LATITUDE,LONGITUDE\n-37.8,244.9\n",
        "words.csv": "LATITUDE,LONGITUDE\nhere,144.9\n",
        "short.csv": "LATITUDE,LONGITUDE\n-37.8\n",
        "nothing.csv": "",
        "header.csv": "LATITUDE,LONGITUDE\n",
        "point.csv": "LATITUDE,LONGITUDE\n-37.8,144.9\n",
        "noiterations.yaml": "model: vgg16_32\non_device_s: 300\n",
        "zero.yaml": "model: vgg16_32\non_device_s: 300\ncycle: 0\n",
        "field.yaml": f"{FIELDS}colour: red\n",
        "nosites.yaml": f"{FIELDS}sites: nowhere.csv\n",
        "point.yaml": f"{FIELDS}trajectory: point.csv\n",
        "list.yaml": "- 1\n",
        "broken.yaml": "model: [",
    }.items():
        Path(name).write_text(text)
    Path("binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    modelled_profile(get_model("vgg16"), "pixel6a", (32,), "sgd", True).save("other.csv")
    return files()


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


BAD_ENV: list[tuple[str, str]] = [
    ("speed_mps=0", "scenario vgg16-cifar10: speed_mps is 0, allowed: 1e-9..1e12"),
    ("speed_mps=-1.4", "speed_mps is -1.4, allowed: 1e-9..1e12"),
    ("speed_mps=.inf", "the value of speed_mps, '.inf', is neither a finite number"),
    ("cycle=0", "scenario vgg16-cifar10: cycle is 0, allowed: 1..1000000"),
    ("cycle=-5", "cycle is -5, allowed: 1..1000000"),
    ("cycle=1.5", "cycle is 1.5, allowed: a whole number, 1..1000000"),
    ("on_device_s=0", "on_device_s is 0, allowed: 1e-9..1e12"),
    ("batch=0", "batch is 0, allowed: 1.."),
    ("near_mbps=0", "near_mbps is 0, allowed: 0.001..1e12"),
    ("cloud_mbps=-3", "cloud_mbps is -3, allowed: 0.001..1e12"),
    ("edge_rtt_s=[0.04,0.005]", "edge_rtt_s is 0.04, 0.005, allowed: two numbers above 0, the lower first"),
    ("edge_rtt_s=5", "edge_rtt_s is 5, allowed: a list of (finite number, finite number)"),
    ("coverage_m=[0,300]", "coverage_m[0] is 0, allowed: a finite number above 0"),
    ("n_sites=0", "n_sites is 0, allowed: 1..2000"),
    ("n_sites=3000", "n_sites is 3000, allowed: 1..2000"),
    ("in_flight=0", "in_flight is 0, allowed: 1..64"),
    ("noise=0.5", "noise is 0.5, allowed: 0..0.2"),
    ("burst_factor=0.5", "burst_factor is 0.5, allowed: "),
    ("city_seed=-1", "city_seed is -1, allowed: 0..4294967296"),
    ("walks=never", "walks is 'never', allowed: test, train"),
    ("optimizer=lion", "optimizer is 'lion', allowed: sgd, "),
    ("gpus=[]", "gpus is empty, allowed: one or more of "),
    ("gpus=[nowhere]", "unknown device 'nowhere'; known: "),
    ("client=nowhere", "unknown device 'nowhere'; known: "),
    ("model=nonet", "unknown model 'nonet'; known models: "),
    ("probe=never", "probe='never' is not one of background, blocking"),
    ("optimum=maybe", "optimum='maybe' is not one of True, False"),
    ("half_duplex=maybe", "half_duplex is 'maybe', allowed: true or false"),
    ("colour=red", "unknown option 'colour'; known: action, probe, optimum, model"),
    ("sites=nowhere.csv", "nowhere.csv: cannot be read"),
    ("sites=nocolumn.csv", "nocolumn.csv: has no column LATITUDE; sites have the columns LATITUDE and LONGITUDE"),
    ("sites=range.csv", "range.csv: line 3: LATITUDE is '-97.8', allowed: degrees from -90 to 90"),
    ("sites=west.csv", "west.csv: line 2: LONGITUDE is '244.9', allowed: degrees from -180 to 180"),
    ("sites=words.csv", "words.csv: line 2: LATITUDE is 'here', allowed: degrees"),
    ("sites=short.csv", "short.csv: line 2: LONGITUDE is '', allowed: degrees"),
    ("sites=nothing.csv", "nothing.csv: has no column LATITUDE"),
    ("sites=header.csv", "header.csv: holds 0 sites, allowed: 1 or more"),
    ("sites=binary.csv", "binary.csv: is not a text file in UTF-8"),
    ("trajectory=point.csv", "point.csv: holds 1 points of a trajectory, allowed: 2 or more"),
    ("trajectory=nocolumn.csv", "nocolumn.csv: has no column LATITUDE; points of a trajectory have"),
    ("profiles={pixel6a: other.csv}", "other.csv: model is 'vgg16', expected 'vgg16_32'"),
    ("profiles={phone: other.csv}", "profiles names 'phone', allowed: pixel6a, rtx2080ti, rtx3080ti, v100-pytorch"),
]
BAD_SCENARIO = [
    ("nowhere", "unknown scenario 'nowhere'; known: vgg16-cifar10, "),
    ("nowhere", "any <task>[-x<speed factor>][-<Mbps>mbps]"),
    ("vgg16-cifar10-x0", "scenario vgg16-cifar10-x0: speed_mps is 0.0, allowed: 1e-9..1e12"),
    ("vgg16-cifar10-x-2", "unknown scenario 'vgg16-cifar10-x-2'"),
    ("vgg16-cifar10-0mbps", "near_mbps is 0.0, allowed: 0.001..1e12"),
    ("vgg16-cifar10-300mbps-x2", "unknown scenario 'vgg16-cifar10-300mbps-x2'"),
    ("nowhere.yaml", "nowhere.yaml: cannot be read"),
    ("noiterations.yaml", "noiterations.yaml: field cycle is missing"),
    ("zero.yaml", "zero.yaml: cycle is 0, allowed: 1..1000000"),
    ("field.yaml", "field.yaml: unknown field 'colour'"),
    ("nosites.yaml", "nowhere.csv: cannot be read"),
    ("point.yaml", "point.csv: holds 1 points of a trajectory, allowed: 2 or more"),
    ("list.yaml", "list.yaml: must hold fields such as model, cycle, on_device_s"),
    ("broken.yaml", "broken.yaml: is not YAML"),
]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        *((["--env-kwargs", option], named) for option, named in BAD_ENV),
        *((["--scenario", name], named) for name, named in BAD_SCENARIO),
        (["--env-kwargs", "action=paper"], "agent edgemove needs action=absolute, not paper"),
        (["--agent", "oracle", "--env-kwargs", "action=flat"], "agent oracle needs action=oracle, not flat"),
        (["--agent", "ppo", "--env-kwargs", "action=fun"], "action='fun' is not one of absolute, flat, paper, oracle"),
        (["--agent", "nobody"], "--agent: unknown agent 'nobody' for edgemove; known: edgemove, edgemove-literal"),
        (["--agent", "missing.json"], "missing.json: cannot be read"),
        (["--hyperparams", "tie=-1"], "agent edgemove: tie is -1, allowed: 0 or more"),
        (["--hyperparams", "literal=maybe"], "literal of edgemove is 'maybe', allowed: true or false"),
        (["--agent", "lookahead", "--hyperparams", "cycles=0"], "agent lookahead: cycles is 0, allowed: "),
        (["--agent", "on-device", "--hyperparams", "tie=0"], "agent on-device: unknown hyperparameter 'tie'"),
        (["--agent", "ppo", "--hyperparams", "gamma=2"], "agent ppo: gamma is 2, allowed: "),
        (["--episodes", "5"], "--episodes: agent edgemove is not trained beforehand"),
        (["--trace", "point.csv"], "unrecognized arguments: --trace point.csv"),
    ],
)
def test_bad_input_for_a_run_is_one_line(words: list[str], named: str, inputs: set[str], capsys: Capture) -> None:
    refuses("splitgym-train", train(*words, "--out", "run"), named, capsys, inputs)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        *((["--scenarios", "vgg16-cifar10", "--env-kwargs", option], named) for option, named in BAD_ENV[::9]),
        *((["--scenarios", f"vgg16-cifar10,{name}"], named) for name, named in BAD_SCENARIO[::3]),
        (["--scenarios", "table2"], "groups: table1, double-speed, rates"),
        (["--agents", "edgemove,nobody"], "--agents: unknown agent 'nobody' for edgemove; known: edgemove"),
        (["--agents", "oracle", "--env-kwargs", "action=absolute"], "oracle needs action=oracle, not absolute"),
        (["--agents", "on-device", "--hyperparams", "tie=0"], "none of on-device has a hyperparameter 'tie'"),
        (["--runs", "nowhere"], "--runs nowhere: is not a folder"),
    ],
)
def test_bad_input_for_an_evaluation_is_one_line(
    words: list[str], named: str, inputs: set[str], capsys: Capture
) -> None:
    code = evaluate(*([] if "--agents" in words else ["--agents", "edgemove"]), *words, "--out", "out")
    refuses("splitgym-eval", code, named, capsys, inputs)


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_run_that_was_not_trained_is_not_resumed(capsys: Capture) -> None:
    assert train("--agent", "on-device", *SHORT, "--out", "run") == 0
    capsys.readouterr()
    assert train_main(["--resume", "run"]) == 2
    assert "--resume run: agent on-device is not trained beforehand; nothing to go on with" in capsys.readouterr().err


# Evaluation.


def test_groups_are_drawn_like_the_papers_figures(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("splitgym.experiments.eval_command.save_figure", lambda figure, path: path.write_bytes(PNG))
    words = ["--scenarios", "table1,double-speed", "--agents", "edgemove", *SHORT, "--episodes", "1"]
    assert evaluate(*words, "--out", "out") == 0
    charts = {f"{group}{kind}.png" for group in ("table1", "double-speed") for kind in ("", "_adaptation", "_progress")}
    assert files("out") == {"results.csv", "eval.json", "speed.png", *charts}
    written = re.search(r"^written to out: (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert written is not None
    assert set(written[1].split(", ")) == files("out")


def test_the_rates_are_a_sweep() -> None:
    words = ["--scenarios", "rates", "--agents", "oracle,on-device", *SHORT, "--episodes", "1", "--out", "out"]
    assert evaluate(*words) == 0
    assert files("out") == {"results.csv", "eval.json", "rates.png"}
    speedups: dict[str, list[float]] = {}
    for row in rows("out/results.csv"):
        if row["metric"] == "speedup":
            speedups.setdefault(row["agent"], []).append(float(row["value"]))
    assert speedups["oracle"] == sorted(speedups["oracle"])  # the faster the link, the faster
    assert len(set(speedups["on-device"])) == 1  # it does not use it


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_results_do_not_depend_on_the_number_of_workers() -> None:
    agents = "edgemove,pipedream-e,oracle"
    words = ["--scenarios", "vgg16-cifar10,vgg16-agnews-x2", "--agents", agents, "--seeds", "2", *SHORT]
    assert evaluate(*words, "--episodes", "2", "--out", "one", workers=1) == 0
    assert evaluate(*words, "--episodes", "2", "--out", "two", workers=2) == 0
    assert Path("one/results.csv").read_bytes() == Path("two/results.csv").read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_training_and_evaluation_agree() -> None:
    assert train("--agent", "edgemove", *SHORT, "--out", "run") == 0
    agents = ("edgemove", "lookahead", *sorted(BASELINES), "oracle")
    assert evaluate("--scenarios", "vgg16-cifar10", *SHORT, "--agents", ",".join(agents), "--out", "out") == 0
    found = {(row["agent"], row["metric"]): float(row["value"]) for row in rows("out/results.csv")}
    for agent in agents:
        assert {metric: value for (name, metric), value in found.items() if name == agent} == metrics("run", agent)


@pytest.mark.slow
def test_a_whole_table_is_played_and_the_oracle_bounds_it() -> None:
    """All ten walks of the four tasks by every agent, as it is asked for without further words."""
    assert evaluate("--scenarios", "table1", "--out", "out", workers=2) == 0
    found = {
        (r["scenario"], r["agent"]): float(r["value"]) for r in rows("out/results.csv") if r["metric"] == "elapsed_s"
    }
    assert set(found) == {(task, agent) for task in TASKS for agent in FIXED}
    for task, scenario in TASKS.items():
        assert found[task, "oracle"] == min(found[task, agent] for agent in FIXED)
        assert found[task, "on-device"] == pytest.approx(scenario.on_device_s, rel=0.02)


# Help.


def test_help_teaches(capsys: Capture) -> None:
    assert train("--help") == 0
    text = capsys.readouterr().out
    for words in ("resnet50-speech-x2-300mbps", "[-x<speed factor>]", "near_mbps", "edgemove-literal", "plan file"):
        assert words in text
    assert all(group in text for group in GROUPS)
    assert evaluate("--help") == 0
    assert "lookahead" in capsys.readouterr().out


def test_examples_of_help_can_be_called(capsys: Capture) -> None:
    """The run that an example goes on with is one that can be gone on with."""
    train("--help")
    lines = capsys.readouterr().out.partition("examples:")[2].splitlines()
    examples = [shlex.split(line) for line in lines if line]
    made = next(words for words in examples if "--out" in words)
    resumed = next(words for words in examples if "--resume" in words)
    assert made[made.index("--out") + 1] == resumed[resumed.index("--resume") + 1]
    assert agents_of("edgemove")[made[made.index("--agent") + 1]].learns


# Learners.


@pytest.mark.usefixtures("undrawn", "alone")
@pytest.mark.parametrize(
    "agent", ["ppo", pytest.param("a2c", marks=pytest.mark.slow), pytest.param("dqn", marks=pytest.mark.slow)]
)
def test_a_learner_is_trained_and_gone_on_with(agent: str, capsys: Capture) -> None:
    assert learn(agent, "--episodes", "6", "--out", "run") == 0
    assert {"config.json", "plan.json", "result.json", "curve.csv", "learning_curve.png"} <= files("run")
    assert {"model/model.zip", "model/learner.json", "model/progress.json"} <= files("run")
    result = read("run/result.json")
    assert (result["episodes"], result["finished"]) == (6, True)
    assert result["results"][0]["kind"] == "trained"
    assert read("run/config.json")["settings"]["walks"] == "test"  # it is judged there, and learns elsewhere
    words = ["--agents", agent, "--scenarios", "vgg16-cifar10", *SHORT, "--runs", "run", "--out", "out"]
    assert evaluate(*words) == 0
    found = next(float(row["value"]) for row in rows("out/results.csv") if row["metric"] == "elapsed_s")
    assert found == metrics("run", agent)["elapsed_s"]
    capsys.readouterr()
    assert train_main(["--resume", "run"]) == 2
    assert "has spent its budget (6 episodes)" in capsys.readouterr().err
    assert train_main(["--resume", "run", "--episodes", "10"]) == 0
    assert (read("run/result.json")["episodes"], read("run/result.json")["finished"]) == (10, True)


@pytest.mark.usefixtures("undrawn", "alone")
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


@pytest.mark.usefixtures("undrawn", "alone")
def test_a_learner_can_move_the_cut_as_the_paper_does() -> None:
    words = ["--hyperparams", *TINY["ppo"], "--episodes", "4", "--out", "run"]
    assert train("--agent", "ppo", *SHORT, "action=paper", *words) == 0
    assert read("run/config.json")["env_kwargs"]["action"] == "paper"
    assert math.isfinite(metrics("run", "ppo")["regret_s"])
