"""The trained agents that the suite ships do what they did when they were trained, and can be trained again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splitgym.agents import env_of, load
from splitgym.agents.run_folder import RunFolder
from splitgym.agents.saved import PRETRAINED, pretrained
from splitgym.envs import FAMILIES, get_family
from splitgym.experiments import eval_command
from splitgym.experiments.play import play
from splitgym.ui.errors import InputError

from ..command_line import Command, sketch, values

MOST_BYTES = 300_000
EVALUATE = Command(eval_command.PROG, eval_command.main, ("--workers", "1"))


@pytest.mark.parametrize("family", FAMILIES)
def test_it_plays_as_at_the_end_of_its_training(family: str) -> None:
    name = f"pretrained:{family}"
    config = RunFolder(pretrained(family)).read_config()
    told = json.loads((pretrained(family) / "result.json").read_text())
    mine = next(result for result in told["results"] if result["agent"] == config.agent)
    metric = get_family(family).headline
    assert play(load(name), env_of(name), None, config.seed).metrics[metric] == pytest.approx(mine["metrics"][metric])


@pytest.mark.parametrize("family", FAMILIES)
def test_it_says_how_it_was_trained_and_is_small(family: str) -> None:
    config = RunFolder(pretrained(family)).read_config()
    assert config.scenario == get_family(family).default_scenario
    assert list(config.command[:3]) == ["splitgym-train", "--env", family]
    assert config.command[config.command.index("--seed") + 1] == str(config.seed)
    assert RunFolder(pretrained(family)).read_progress().share == 1.0
    files = [path for path in pretrained(family).rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < MOST_BYTES


def test_every_family_has_one() -> None:
    assert {path.name for path in PRETRAINED.iterdir()} == set(FAMILIES)
    with pytest.raises(InputError, match="no agent of toy comes with the suite; there are those of deprune"):
        load("pretrained:toy")


def test_an_evaluation_takes_it_by_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eval_command, "save_figure", sketch)
    evaluate = EVALUATE.of("--env", "deprune")
    evaluate("--agents", "pretrained,deprune", "--out", "out")
    scenario = get_family("deprune").default_scenario
    assert {key[:2] for key in values("out", "score")} == {(scenario, "ppo"), (scenario, "deprune")}
    assert not Path("out/runs").exists()
    other = next(name for name in get_family("deprune").scenarios if name != scenario)
    evaluate.refuses(f"--agents pretrained --scenarios {other}", f"evaluate it there, with --scenarios {scenario}")
