"""Agents from run folders decide as they did when they were trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from splitgym.agents import Agent, env_of, load, make_agent
from splitgym.experiments.play import batched, play
from splitgym.experiments.train_command import main
from splitgym.ui.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short training of a network, and the evaluation at its end."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    words = ["--env", "deprune", "--agent", "dqn", "--steps", "200", "--track", "off", "--out", str(folder)]
    assert main([*words, "--seed", "3"]) == 0
    return folder


def test_a_loaded_agent_plays_as_the_run_says(run: Path) -> None:
    agent, env = load(run), env_of(run)
    assert isinstance(agent, Agent)
    told = json.loads((run / "result.json").read_text())
    mine = next(result for result in told["results"] if result["agent"] == "dqn")
    assert play(agent, env, seed=3).metrics["score"] == pytest.approx(mine["metrics"]["score"])


def test_it_predicts_for_batches_in_an_env_of_ones_own(run: Path) -> None:
    env = env_of(run, render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    actions, _ = load(str(run), env).predict(np.stack([observation, observation]), None, np.ones(2, dtype=bool), True)
    assert len(actions) == 2
    assert actions[0] == actions[1]
    assert env.action_space.contains(actions[0])
    assert env.render().ndim == 3


@pytest.mark.parametrize("family", ["distredge", "l2s"])
def test_it_predicts_for_one_observation_of_any_kind(family: str) -> None:
    run = f"pretrained:{family}"
    env = env_of(run)
    actions, _ = load(run, env).predict(batched(env.reset(seed=0)[0]), None)
    assert env.action_space.contains(actions[0])


@pytest.mark.parametrize("family", ["hiertrain", "distredge"])
def test_an_env_of_another_family_is_refused(family: str) -> None:
    env = env_of("pretrained:l2s")
    with pytest.raises(InputError, match=f"^run pretrained:{family} is of {family}, the env of l2s$"):
        load(f"pretrained:{family}", env)
    with pytest.raises(InputError, match=f"^agent ppo is of {family}, the env of l2s$"):
        make_agent(family, "ppo", env)


@pytest.mark.parametrize(("folder", "told"), [("nowhere", "is not a folder"), (".", "config.json is missing")])
def test_what_is_no_run_is_refused(tmp_path: Path, folder: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        load(tmp_path / folder)


def test_a_run_without_a_model_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    with pytest.raises(InputError, match="holds no trained model"):
        load(tmp_path)
