"""Updates by hand are those of Stable-Baselines3's ``train``."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.utils import set_random_seed
from torch import nn

from splitgym.agents import fast_updates
from splitgym.agents.sb3 import Sb3Learner

NAMES = ("DDPG", "TD3")
SIZES: dict[str, Any] = {"batch_size": 50, "learning_starts": 40, "train_freq": 4, "gradient_steps": 3}
NET = {"net_arch": {"pi": [48, 24], "qf": [40, 20, 24]}}
FUSED = {"optimizer_kwargs": {"fused": True}}
LANES, STEPS = 2, 300


def make(algorithm: Any, seed: int = 0, **policy_kwargs: Any) -> Any:
    kwargs = {**NET, **FUSED, **policy_kwargs}
    env = gym.make("splitgym/DistrEdge-v0", scenario="DB-50", disable_env_checker=True)
    return Sb3Learner(env, algorithm, seed, lanes=LANES, episodes=1000, policy_kwargs=kwargs, **SIZES).model


def seeded(model: Any, updates: int) -> Any:
    set_random_seed(7)
    model.train(updates, SIZES["batch_size"])
    return model


def pair(name: str, **policy_kwargs: Any) -> tuple[Any, Any]:
    """Ours and SB3's, untrained, with the same weights and the same replay of actions at random."""
    ours, theirs = make(getattr(fast_updates, name), **policy_kwargs), make(getattr(sb3, name), 1, **policy_kwargs)
    theirs.set_parameters(ours.get_parameters())
    theirs.learning_starts = 2 * STEPS  # no update yet
    theirs.learn(STEPS)
    ours.replay_buffer = copy.deepcopy(theirs.replay_buffer)
    ours.set_logger(theirs.logger)
    return ours, theirs


def assert_equal(ours: Any, theirs: Any) -> None:
    found, expected = ours.get_parameters(), theirs.get_parameters()
    assert found.keys() == expected.keys()
    torch.testing.assert_close(dict(found["policy"]), dict(expected["policy"]), rtol=1e-5, atol=1e-6)
    for name in ("actor.optimizer", "critic.optimizer"):
        for key, moments in expected[name]["state"].items():
            torch.testing.assert_close(found[name]["state"][key], moments, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_update_is_sb3s(name: str) -> None:
    ours, theirs = pair(name)
    start = copy.deepcopy(ours.policy.state_dict())
    for updates in (1, 1, 2, 20):
        told = [dict(seeded(model, updates).logger.name_to_value) for model in (ours, theirs)]
        assert_equal(ours, theirs)
        assert told[0] == pytest.approx(told[1], rel=1e-4)
    assert ours._n_updates == theirs._n_updates == 24
    assert all(not torch.equal(value, start[key]) for key, value in ours.policy.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_on_from_other_weights_and_moments(name: str) -> None:
    ours, theirs = pair(name)
    at_first = copy.deepcopy(theirs.get_parameters())
    for updates in (6, 3):  # not the same number: the next round is not to begin where the last one did
        for model in (ours, theirs):
            model.set_parameters(copy.deepcopy(at_first))
            model._n_updates = 0
            seeded(model, updates)
        assert_equal(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_what_sb3_has_saved_is_trained_further(name: str, tmp_path: Path) -> None:
    _, theirs = pair(name)
    seeded(theirs, 5).save(tmp_path / "model")
    ours = getattr(fast_updates, name).load(tmp_path / "model", env=theirs.env, device="cpu")
    ours.replay_buffer, ours._logger = theirs.replay_buffer, theirs.logger
    for model in (ours, theirs):
        seeded(model, 5)
    assert_equal(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_is_the_same(name: str, tmp_path: Path) -> None:
    ours, _ = pair(name)
    seeded(ours, 5).save(tmp_path / "model")
    again = type(ours).load(tmp_path / "model", env=ours.env, device="cpu")
    again.replay_buffer, again._logger = ours.replay_buffer, ours.logger
    for model in (ours, again):
        seeded(model, 5)
    assert_equal(again, ours)


@pytest.mark.parametrize("name", NAMES)
def test_whole_trainings_are_the_same(name: str) -> None:
    """Acting, noise and replay included; few updates, as the last bits of their sums grow."""
    models = ours, theirs = [make(getattr(package, name)).learn(80) for package in (fast_updates, sb3)]
    assert ours._n_updates == theirs._n_updates > 0
    size = theirs.replay_buffer.size()
    for stored in ("observations", "actions", "next_observations", "rewards", "dones"):
        found, expected = (getattr(model.replay_buffer, stored)[:size] for model in models)
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert_equal(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_it_acts_as_its_policy_does(name: str) -> None:
    model = make(getattr(fast_updates, name))
    model.learn(80)
    model.observation_space.seed(0)
    for rows in (1, LANES, 5):
        observation = np.stack([model.observation_space.sample() for _ in range(rows)])
        expected = model.policy.predict(observation)[0]
        for seen in (observation, observation.astype(np.float64)):
            assert model.predict(seen)[0] == pytest.approx(expected, abs=1e-6)
    assert model.predict(observation[0])[0] == pytest.approx(expected[0], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_sb3_goes_on_where_ours_leaves_off(name: str) -> None:
    ours, theirs = pair(name)
    for plain in (True, False, True):
        ours._plain = plain  # where it is not, the update is SB3's
        for model in (ours, theirs):
            seeded(model, 4)
        assert_equal(ours, theirs)
    assert {float(state["step"]) for state in ours.critic.optimizer.state.values()} == {12.0}


def test_other_nets_are_left_to_sb3() -> None:
    ours, theirs = pair("DDPG", activation_fn=nn.Tanh)
    for model in (ours, theirs):
        seeded(model, 5)
    assert_equal(ours, theirs)


def test_what_the_caller_does_with_subnormal_numbers_stays() -> None:
    smallest = torch.tensor(1e-45)
    for flushed in (False, True):
        torch.set_flush_denormal(flushed)
        try:
            with fast_updates.subnormals_as_zero():
                assert (smallest * 2.0).item() == 0.0
            assert ((smallest * 2.0).item() == 0.0) is flushed
        finally:
            torch.set_flush_denormal(False)
