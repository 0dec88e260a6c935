"""What splitgym-train and splitgym-eval do alike for every family of environments."""

from __future__ import annotations

import json
import math
import re
import shlex
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from splitgym.agents.distredge.joint import JointSearch
from splitgym.agents.registry import AgentSpec, agents_of
from splitgym.envs import FAMILIES, Family, get_family
from splitgym.experiments import train_session as session
from splitgym.experiments.play import Played, assess, play
from splitgym.experiments.results import Result
from splitgym.models.lookup import MODELS, get_model
from splitgym.models.plans import CompressedPlan, CutPlan, HybridPlan, PipelinePlan, SpatialPlan, load_plan
from splitgym.profiling.devices import device_names

from ..command_line import Called, by_agent, files, interrupted, metrics, names, read, rows
from .brief import BRIEF, Brief, hurry, undraw
from .cases import CASES, own

pytestmark = pytest.mark.usefixtures("scratch", "undrawn", "hurried")

FIXED = [(brief, name) for brief in BRIEF.values() for name, spec in agents_of(brief.name).items() if not spec.learns]
PLANS = {
    "distredge": SpatialPlan,
    "l2s": CutPlan,
    "edgemove": PipelinePlan,
    "hiertrain": HybridPlan,
    "deprune": CompressedPlan,
}
OPTIMAL = {"l2s": "oracle", "edgemove": "oracle", "hiertrain": "exact", "deprune": "best-schedule"}
SENDS_LESS = ("jalad", "without-module")  # so they may be better than the optimum
PLANNED = (  # agents whose plan is all that they do
    ("distredge", "aofl"),
    ("l2s", "fpt"),
    ("edgemove", "on-device"),
    ("hiertrain", "hiertrain"),
    ("hiertrain", "exact"),
    ("hiertrain", "all-edge"),
    ("deprune", "best-schedule"),
)


@pytest.fixture(scope="module", params=BRIEF.values(), ids=list(BRIEF))
def brief(request: pytest.FixtureRequest) -> Brief:
    return request.param


@pytest.fixture(scope="module")
def ended(brief: Brief, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Called]:
    """A run of its planner where a seed decides, with the comparison: its folder, and what was printed."""
    folder = tmp_path_factory.mktemp(brief.name) / "run"
    with pytest.MonkeyPatch.context() as patch:
        undraw(patch)
        hurry(patch)
        return folder, brief.play(brief.planner)("--scenario", brief.random, "--out", str(folder))


@pytest.fixture
def run(ended: tuple[Path, Called]) -> Path:
    return ended[0]


def test_every_family_is_here() -> None:
    assert BRIEF.keys() == FAMILIES.keys()


def test_a_run_keeps_what_was_asked_and_says_what_came_out(brief: Brief, ended: tuple[Path, Called]) -> None:
    run, called = ended
    config, result = read(run / "config.json"), read(run / "result.json")
    specs = agents_of(brief.name)
    assert (config["agent"], config["seed"], config["scenario"]) == (brief.planner, 0, brief.random)
    assert config["env_kwargs"] == {**brief.options, **specs[brief.planner].env_kwargs}
    assert (result["finished"], result["interrupted"]) == (True, False)
    kinds = {row["agent"]: row["kind"] for row in result["results"]}
    assert kinds.pop(brief.planner) == ("planned" if brief.name == "distredge" else "online")
    assert kinds == {name: "reference" if specs[name].reference else "baseline" for name in kinds}
    for words in (f"{brief.planner} against the baselines", "written to "):
        assert words in called.out
    assert called.err == ""
    assert "…" not in called.out  # no heading is cut off


@pytest.fixture(scope="module")
def competitors() -> dict[tuple[str, str], Result]:
    return {}


@pytest.fixture
def played_once(competitors: dict[tuple[str, str], Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every competitor is played for the first comparison, and is the same in all others."""

    def remembered(family: Family, spec: AgentSpec, *setting: Any) -> Result:
        if (family.name, spec.name) not in competitors:
            competitors[family.name, spec.name] = assess(family, spec, *setting)
        return competitors[family.name, spec.name]

    monkeypatch.setattr(session, "assess", remembered)


@pytest.mark.usefixtures("played_once")
@pytest.mark.parametrize(("brief", "agent"), FIXED, ids=lambda value: getattr(value, "name", value))
def test_every_agent_plays_and_is_compared(brief: Brief, agent: str) -> None:
    brief.play(agent)("--out", "run")
    family, table = get_family(brief.name), read("run/result.json")["results"]
    assert table[0]["agent"] == agent
    compared = [name for name, spec in agents_of(brief.name).items() if spec.baseline or spec.reference]
    assert sorted(row["agent"] for row in table) == sorted({agent, *compared})
    assert all(math.isfinite(value) for row in table for value in row["metrics"].values())
    assert ("plan.json" in names("run")) == (table[0]["plan"] is not None)
    if table[0]["plan"] is not None:
        load_plan("run/plan.json", get_model(read("run/config.json")["settings"]["model"]), PLANS[brief.name])
    regret = family.regret or "regret_s"
    assert all(row["metrics"][regret] >= -1e-9 for row in table if row["agent"] not in SENDS_LESS)
    if brief.name in OPTIMAL:
        assert metrics("run", OPTIMAL[brief.name])[regret] == pytest.approx(0.0, abs=1e-9)


def test_training_and_evaluation_agree(brief: Brief, run: Path) -> None:
    table = read(run / "result.json")["results"]
    agents = ",".join(row["agent"] for row in table)
    brief.evaluate("--scenarios", brief.random, "--agents", agents, *brief.kwargs, "--out", "out")
    assert by_agent("out") == {row["agent"]: row["metrics"] for row in table}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("name", "agent"), PLANNED)
def test_a_saved_plan_does_as_its_agent_did(name: str, agent: str) -> None:
    brief = BRIEF[name]
    brief.play(agent)("--out", "first")
    brief.play("first/plan.json")("--out", "again")
    did = metrics("first", agent)
    assert metrics("again", "first/plan.json") == did
    agents = f"{agent},first/plan.json"
    brief.evaluate("--scenarios", brief.scenario, *brief.kwargs, "--agents", agents, "--out", "out")
    found = by_agent("out")
    assert found[agent] == did
    assert found["first/plan.json"] == did


@pytest.mark.parametrize(
    ("name", "agent", "by_seed"),
    [
        ("l2s", "lints", ("delay_s",)),
        ("edgemove", "pipedream-e", ("elapsed_s",)),
        ("hiertrain", "all-cloud", ("iteration_s",)),
        ("deprune", "deprune", ("accuracy", "elapsed_s")),
    ],
)
def test_a_run_depends_on_its_seed_only(name: str, agent: str, by_seed: tuple[str, ...]) -> None:
    brief = BRIEF[name]
    scenario = "vgg11-cifar10-dynamic" if name == "deprune" else brief.random
    words = ["--scenario", scenario, "--agent", agent, *brief.kwargs]
    for out, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        brief.train(*words, "--seed", seed, "--out", out)
    a, b, c = ({row["agent"]: row["metrics"] for row in read(f"{out}/result.json")["results"]} for out in "abc")
    assert a == b
    assert all(a[agent][metric] != c[agent][metric] for metric in by_seed)
    if name == "l2s":  # the noise of every round
        assert all(a[other] != c[other] for other in a)
    assert rows("a/curve.csv") == rows("b/curve.csv")
    assert (read("c/config.json")["seed"], read("c/plan.json")["notes"]["seed"]) == (2, 2)
    assert read("c/plan.json")["notes"]["agent"] == agent


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("name", "scenario", "settings"), own("FORMS"))
def test_a_scenario_by_form(name: str, scenario: str, settings: dict[str, Any]) -> None:
    BRIEF[name].play(BRIEF[name].planner)("--scenario", scenario, "--out", "run")
    found = read("run/config.json")["settings"]
    assert {field: found[field] for field in settings} == settings


@pytest.mark.usefixtures("alone")
def test_a_scenario_of_ones_own(brief: Brief) -> None:
    text = CASES[brief.name].FILE
    Path("mine.yaml").write_text(text)
    brief.train("--scenario", "mine.yaml", "--agent", brief.planner, "--out", "run")
    config = read("run/config.json")
    assert config["scenario_name"] == read("run/plan.json")["notes"]["scenario"] == "mine"
    assert Path(config["scenario"]).is_absolute()  # so that the run can be read from anywhere
    assert config["settings"] == config["settings"] | yaml.safe_load(text)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("name", "agent", "options"), own("EDGES"))
def test_the_edges_of_what_is_allowed(name: str, agent: str, options: str) -> None:
    changed = dict(pair.split("=", 1) for pair in options.split())
    brief = replace(BRIEF[name], options={**BRIEF[name].options, **changed})
    brief.play(agent)("--out", "run")
    found = metrics("run", agent)
    unknown = {field for field, value in found.items() if value is None}
    assert bool(unknown) == bool({"cost=event", "optimum=false"} & set(options.split()))  # what needs an optimum
    assert all(math.isfinite(value) for field, value in found.items() if field not in unknown)
    family = get_family(name)
    assert found[family.headline] > 0 or not family.headline.endswith("_s")
    regret = found.get(family.regret or "regret_s")
    assert agent in SENDS_LESS or regret is None or regret >= -1e-6
    settings, curve = read("run/config.json")["settings"], rows("run/curve.csv")
    steps = {"l2s": "rounds", "hiertrain": "blocks", "deprune": "epochs"}.get(name)
    assert len(curve) == (settings[steps] if steps else len(curve))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", [name for name, cases in CASES.items() if hasattr(cases, "PLAN")])
def test_a_plan_file_is_an_agent(name: str) -> None:
    brief, plan = BRIEF[name], CASES[name].PLAN
    Path("plan.json").write_text(json.dumps(plan))
    brief.play("plan.json")("--out", "run")
    kept, found = read("run/plan.json"), metrics("run", "plan.json")
    assert kept.pop("fingerprint")  # which who writes by hand does not know
    assert {**kept, "notes": {}} == plan
    expected = getattr(CASES[name], "PLAYED", {})
    assert {field: found[field] for field in expected} == pytest.approx(expected)
    words = ["--scenarios", brief.scenario, *brief.kwargs, "--agents", f"plan.json,{brief.planner}"]
    assert "plan.json" in brief.evaluate(*words, "--out", "out").out
    assert by_agent("out")["plan.json"] == found


def test_an_interrupt_keeps_the_episode_that_is_played(brief: Brief, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted_once(*args: Any) -> Played:
        signal.raise_signal(signal.SIGINT)
        return play(*args)

    monkeypatch.setattr(session, "play", interrupted_once)
    called = brief.play(brief.planner)("--out", "run", code=130)
    result = read("run/result.json")
    assert (result["interrupted"], [row["agent"] for row in result["results"]]) == (True, [brief.planner])
    assert "plan.json" in names("run")
    assert called.told[-1] == "interrupted; what is done is in run"


@pytest.mark.parametrize("agent", ["joint"])
def test_an_interrupt_keeps_the_best_plan_of_a_search(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[float] = []
    select = JointSearch._select

    def twice(search: JointSearch, people: Any, scores: Any) -> Any:
        if len(found) == 2:
            raise KeyboardInterrupt
        kept = select(search, people, scores)
        found.append(float(kept[1][0]))
        return kept

    monkeypatch.setattr(JointSearch, "_select", twice)
    BRIEF["distredge"].play(agent)("--out", "run", code=130)
    assert read("run/result.json")["interrupted"]
    assert read("run/plan.json")["notes"]["latency_s"] == pytest.approx(min(found))


def test_a_second_interrupt_leaves_nothing(brief: Brief, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "play", interrupted)
    called = brief.play(brief.planner)("--out", "run", code=130)
    assert called.err == "splitgym-train: interrupted, nothing was written\n"
    assert names() == []


# Several processes.


WORKERS = {
    "distredge": ("DB-50,dynamic-nano", "aofl,offload"),
    "l2s": ("resnet34-gpu-60,alexnet-gpu-100", "l2s,lints,oracle"),
    "edgemove": ("vgg16-cifar10,vgg16-agnews-x2", "edgemove,pipedream-e,oracle"),
    "hiertrain": ("lenet5-drift,alexnet-3", "exact,all-cloud,jalad"),
    "deprune": ("links", "deprune,best-schedule"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKERS)
def test_results_do_not_depend_on_the_number_of_workers(name: str) -> None:
    scenarios, agents = WORKERS[name]
    brief = BRIEF[name]
    words = ["--scenarios", scenarios, "--agents", agents, "--seeds", "2", *brief.kwargs]
    for workers in ("1", "2"):
        brief.evaluate(*words, "--workers", workers, "--episodes", "2", "--out", workers)
    assert Path("1/results.csv").read_bytes() == Path("2/results.csv").read_bytes()
    assert files("1") == files("2")


# Help.


TRAIN_HELP = {
    "distredge": ("DB-50-resnet50", "osds", "table1", "eta", "plan file"),
    "l2s": ("resnet34-switch", "[-p<P^c>]", "sweep-gpu", "privacy_point   4", "sync=period", "linucb-e", "plan file"),
    "edgemove": ("resnet50-speech-x2-300mbps", "[-x<speed factor>]", "near_mbps", "edgemove-literal", "plan file"),
    "hiertrain": ("alexnet-1.5-c4", "[-c<cores>]", "lenet5-drift", "edge_cores", "jointdnn+", "plan file"),
    "deprune": ("vgg11-cifar10-wifi8", "backend", "checkpoints", "bytes_weight", "without-module", "plan file"),
}
EVALUATE_HELP = {
    "distredge": ("homogeneous", "aofl"),
    "l2s": ("changing", "neurosurgeon"),
    "edgemove": ("double-speed", "lookahead"),
    "hiertrain": ("scaling", "jalad"),
    "deprune": ("links", "best-schedule"),
}


def test_help_teaches(brief: Brief) -> None:
    text = brief.train("--help").out
    assert all(words in text for words in ("environments (--env):", "examples:", "--resume", *TRAIN_HELP[brief.name]))
    assert all(group in text for group in get_family(brief.name).groups)
    text = brief.evaluate("--help").out
    assert all(words in text for words in ("--runs", "examples:", *EVALUATE_HELP[brief.name]))


def test_all_that_there_is_is_listed(brief: Brief) -> None:
    """Each with what it means, alone or all of them; of the chosen environment."""
    family = get_family(brief.name)
    there = {
        "scenarios": (family.scenarios, [family.scenario_forms, *family.groups]),
        "agents": (agents_of(brief.name), [spec.summary for spec in agents_of(brief.name).values()]),
        "devices": (device_names(), ["Jetson TX2, TensorRT FP16: 1.33 TFLOPS, 59.7 GB/s; fitted, 2.4 % off"]),
        "models": (MODELS, ["3x224x224, 21 layers or blocks, 15.5 GMACs, 138 M parameters"]),
    }
    for command in (brief.train, brief.evaluate):
        every = command("--list").out
        for what, (known, words) in there.items():
            one = command("--list", what).out
            assert {name for name in known if re.search(rf"^  {re.escape(name)}  +\S", one, re.MULTILINE)} == set(known)
            assert all(" ".join(word.split()) in " ".join(one.split()) for word in words)
            assert f"{what}:\n{one}" in every
        command.refuses("--list colours", "--list: invalid choice: 'colours' (choose from")


def test_examples_of_help_can_be_called(brief: Brief) -> None:
    """The run that an example goes on with is one that can be gone on with."""
    lines = brief.train("--help").out.partition("examples:")[2].splitlines()
    examples = [shlex.split(line) for line in lines if line]
    made = next(words for words in examples if "--out" in words)
    resumed = next(words for words in examples if "--resume" in words)
    assert made[made.index("--out") + 1] == resumed[resumed.index("--resume") + 1]
    assert agents_of(brief.name)[made[made.index("--agent") + 1]].learns
