"""One clear line for what families cannot do: options, scenarios, files, plans and agents, in every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from splitgym.agents.registry import agents_of
from splitgym.envs import FAMILIES
from splitgym.models.cuts import cut_points
from splitgym.models.lookup import get_model
from splitgym.ui.names import MOST_NAMED

from ..command_line import edit, read
from .brief import BRIEF, Brief, hurry, undraw
from .cases import CASES, own

EVERY = pytest.mark.parametrize("name", FAMILIES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of every family: a folder with its files that are wrong, and the plan of a run."""
    made = {name: tmp_path_factory.mktemp(name) for name in BRIEF}
    with pytest.MonkeyPatch.context() as patch:
        undraw(patch)
        hurry(patch)
        for name, brief in BRIEF.items():
            brief.play(brief.planner)("--out", str(made[name] / "run"))
            (made[name] / "run" / "plan.json").rename(made[name] / "good.json")
    for name, cases in CASES.items():
        if hasattr(cases, "write_files"):
            cases.write_files(made[name])
    return made


@pytest.fixture(autouse=True)
def brief(name: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Brief:
    """The family's, in its folder."""
    monkeypatch.chdir(folders[name])
    return BRIEF[name]


# What is each family's own.


@pytest.mark.parametrize(("name", "words", "named"), own("OPTIONS"))
def test_bad_options_are_one_line(name: str, words: str, named: str, brief: Brief) -> None:
    brief.train.refuses(f"{CASES[name].RUN} {words} --out out", named)
    brief.evaluate.refuses(f"{CASES[name].EVALUATION} {words} --out out", named)


@pytest.mark.parametrize(("name", "scenario", "named"), own("SCENARIOS"))
def test_bad_scenarios_are_one_line(name: str, scenario: str, named: str, brief: Brief) -> None:
    brief.train.refuses(f"--scenario {scenario} --out out", named)
    words = f"{CASES[name].EVALUATION} --scenarios {brief.scenario},{scenario}"
    brief.evaluate.refuses(f"{words} --out out", named)


@pytest.mark.parametrize(("name", "words", "named"), own("RUNS"))
def test_bad_words_for_a_run_are_one_line(words: str, named: str, brief: Brief) -> None:
    brief.train.refuses(f"{words} --out out", named)


@pytest.mark.parametrize(("name", "words", "named"), own("EVALUATIONS"))
def test_bad_words_for_an_evaluation_are_one_line(words: str, named: str, brief: Brief) -> None:
    brief.evaluate.refuses(f"{words} --out out", named)


@pytest.mark.parametrize(("name", "changes", "named"), own("PLANS"))
def test_a_plan_that_does_not_fit_is_one_line(name: str, changes: dict[str, Any], named: str, brief: Brief) -> None:
    Path("plan.json").write_text(json.dumps({**CASES[name].PLAN, **changes}))
    assert "plan.json: " in brief.play("plan.json").refuses("--out out", named)


@pytest.mark.parametrize("name", ["hiertrain"])
def test_a_cut_inside_a_residual_block_is_one_line(name: str, brief: Brief) -> None:
    model = get_model("resnet34_32")
    inside = next(m for m in range(1, len(model.steps)) if m not in cut_points(model, stem=True))
    changes = {"model": "resnet34_32", "m_s": inside, "m_l": len(model.steps)}
    Path("plan.json").write_text(json.dumps({**CASES[name].PLAN, **changes}))
    named = f"plan.json: m_s is {inside}, resnet34_32 can be cut behind"
    brief.play("plan.json").refuses("--scenario resnet34_32-2 --out out", named)


# What is the same for all.


@EVERY
@pytest.mark.parametrize(
    ("changes", "named"),
    [({"model": "alexnet"}, "model is 'alexnet', expected '"), ({"kind": "other"}, ""), ({"extra": 1}, "")],
)
def test_a_plan_of_another_kind_is_one_line(changes: dict[str, Any], named: str, brief: Brief) -> None:
    Path("plan.json").write_bytes(Path("good.json").read_bytes())
    edit("plan.json", **changes)
    brief.play("plan.json").refuses("--out out", f"plan.json: {named}")


@EVERY
def test_a_plan_for_other_devices_is_refused_before_anything_runs(brief: Brief) -> None:
    types = read("good.json")["types"]
    for device, kind in types.items():
        Path("plan.json").write_bytes(Path("good.json").read_bytes())
        edit("plan.json", types={**types, device: "other"})
        named = f"plan.json: types: {device} is 'other', in scenario {brief.scenario} it is '{kind}'"
        brief.play("plan.json").refuses("--out out", named)
        agents = f"--scenarios {brief.scenario} --agents {brief.planner},plan.json --out out"
        brief.evaluate.of(*brief.kwargs).refuses(agents, named)


@pytest.mark.parametrize(
    ("name", "scenario", "named"),
    [
        ("distredge", "DA-50", "types: xavier-1 (xavier) is not in scenario DA-50, which has tx2-1 (tx2), tx2-2 (tx2)"),
        ("l2s", "alexnet-gpu-60", "model is 'resnet34', expected 'alexnet_2012'"),
        ("edgemove", "resnet50-cinic10", "model is 'vgg16_32', expected 'resnet50_32_pool'"),
        ("hiertrain", "alexnet-3", "model is 'lenet5', expected 'alexnet_64'"),
        ("deprune", "vgg11-cifar10-layer9", "cut is 5, allowed: 9, that of the scenario"),
    ],
)
def test_a_plan_must_fit_every_scenario_before_anything_runs(scenario: str, named: str, brief: Brief) -> None:
    agents = f"--scenarios {brief.scenario},{scenario} --agents {brief.planner},good.json --out out"
    brief.evaluate.of(*brief.kwargs).refuses(agents, f"good.json: {named}")


@EVERY
def test_hyperparameters_are_checked_before_anything_runs(brief: Brief) -> None:
    words = f"--scenarios {brief.scenario} --agents {brief.planner},ppo --hyperparams gamma=2 --out out"
    brief.evaluate.refuses(words, "agent ppo: gamma is 2, allowed: 0..1")


def filled(brief: Brief, text: str) -> str:
    known = agents_of(brief.name)
    agents = ", ".join(list(known)[:2]) if len(known) <= MOST_NAMED else "those of --list"
    return text.format(env=brief.name, planner=brief.planner, scenario=brief.scenario, agents=agents)


@EVERY
@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--scenario nowhere.yaml", "nowhere.yaml: cannot be read"),
        ("--agent nobody", "--agent: unknown agent 'nobody' for {env}; known: {agents}"),
        ("--agent missing.json", "missing.json: cannot be read"),
        ("--env-kwargs model=nonet", "unknown model 'nonet'; did you mean voxelnet"),
        ("--agent {planner} --episodes 5", "--episodes: agent {planner} is not trained beforehand"),
        ("--agent {planner} --steps 500", "--steps: agent {planner} is not trained beforehand"),
        ("--agent {planner} --hyperparams x=1", "agent {planner}: unknown hyperparameter 'x'"),
        ("--agent ppo --hyperparams gamma=2", "agent ppo: gamma is 2, allowed: "),
    ],
)
def test_bad_input_for_a_run_is_one_line(words: str, named: str, brief: Brief) -> None:
    brief.train.refuses(filled(brief, f"{words} --out out"), filled(brief, named))


@EVERY
@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--scenarios {scenario},nowhere.yaml", "nowhere.yaml: cannot be read"),
        ("--agents {planner},nobody", "--agents: unknown agent 'nobody' for {env}; known: {agents}"),
        ("--env-kwargs model=nonet", "unknown model 'nonet'; did you mean voxelnet"),
        ("--hyperparams x=1", "none of {planner} has a hyperparameter 'x'"),
        ("--runs nowhere", "--runs nowhere: is not a folder"),
    ],
)
def test_bad_input_for_an_evaluation_is_one_line(words: str, named: str, brief: Brief) -> None:
    brief.evaluate.refuses(filled(brief, "--agents {planner} " + words + " --out out"), filled(brief, named))


@EVERY
def test_a_folder_is_no_agent(brief: Brief) -> None:
    named = "run is a folder, not an agent; splitgym-eval --runs run takes the agent of a run, "
    brief.evaluate.refuses(f"--agents {brief.planner},run --out out", f"--agents: {named}")
    brief.train.refuses("--agent run --out out", f"--agent: {named}")


@EVERY
def test_a_name_of_300_characters_is_one_line(brief: Brief) -> None:
    name = "x" * 300
    for command in (brief.play(brief.planner), brief.evaluate.of("--agents", brief.planner)):
        command.refuses(f"--out {name}", f"--out {name}: cannot be written (File name too long)")


@EVERY
def test_unknown_scenarios_are_answered_with_the_groups(name: str, brief: Brief) -> None:
    brief.evaluate.refuses("--scenarios nowhere --out out", f"groups: {', '.join(FAMILIES[name].groups)}")


@EVERY
def test_a_run_that_was_not_trained_is_not_resumed(brief: Brief) -> None:
    named = f"--resume run: agent {brief.planner} is not trained beforehand; nothing to go on with"
    brief.train.refuses("--resume run", named)
