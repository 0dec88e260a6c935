"""Agents that learn: the paper's OSDS, the risk-seeking learner, any SB3 algorithm."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splitgym.agents import sb3
from splitgym.agents.distredge.risk_seeking import MixedPolicy, RiskSeeking
from splitgym.agents.protocol import Report
from splitgym.agents.registry import get_spec, make_agent
from splitgym.agents.sb3 import Sb3Learner
from splitgym.envs import FAMILIES
from splitgym.experiments.play import make_env, play
from splitgym.ui.errors import InputError

from ... import refused, slow

DISTREDGE = FAMILIES["distredge"]
SMALL = {"net_arch": [16]}
REPLAY = {"batch_size": 32, "buffer_size": 5000, "learning_starts": 40, "gradient_steps": 1}
# Small networks and few lanes: what is checked here does not depend on learning well.
TINY: dict[str, dict[str, Any]] = {
    "osds": {"actor_net": [16], "critic_net": [16], "batch_size": 32},
    "risk-seeking": {"lanes": 8, "hidden": 16},
    "ppo": {"lanes": 4, "n_steps": 15, "batch_size": 30, "n_epochs": 2, "policy_kwargs": SMALL},
    "sac": {"lanes": 4, "policy_kwargs": SMALL, **REPLAY},
    "a2c": {"lanes": 4, "n_steps": 10, "policy_kwargs": SMALL},
    "td3": {"lanes": 4, "policy_kwargs": SMALL, **REPLAY},
    "ddpg": {"lanes": 4, "policy_kwargs": SMALL, **REPLAY},
}
FOUR = ("osds", "risk-seeking", "ppo", "sac")
MORE = slow("a2c", "td3", "ddpg")
EPISODES = 24


@cache
def env_for(name: str, scenario: str = "DB-50") -> Any:
    """Learners train on envs of their own; of this one they only take the system, or play it from a seed."""
    return make_env(DISTREDGE, scenario, get_spec("distredge", name).env_kwargs)


def make_learner(name: str, seed: int = 0, scenario: str = "DB-50", **hyperparams: Any) -> Any:
    return make_agent("distredge", name, env_for(name, scenario), seed, **{**TINY[name], **hyperparams})


def batch_env(learner: Any) -> Any:
    return learner.env if isinstance(learner, RiskSeeking) else learner.vec.env


def best_s(learner: Any) -> float:
    return learner.best if isinstance(learner, RiskSeeking) else learner.vec.best


def learn(learner: Any, episodes: int = EPISODES) -> tuple[list[Report], list[float]]:
    """Train: (reports, latency of every episode)."""
    reports: list[Report] = []
    latencies: list[float] = []
    dynamics = batch_env(learner).dynamics
    measure = dynamics.metrics

    def metrics(lanes: np.ndarray) -> dict[str, np.ndarray]:
        found = measure(lanes)
        latencies.extend(found["latency_s"].tolist())
        return found

    dynamics.metrics = metrics
    learner.learn(episodes, None, reports.append)
    dynamics.metrics = measure
    return reports, latencies


@cache
def trained(name: str) -> tuple[Any, list[Report], list[float]]:
    """A learner that nobody trains any further, and what :func:`learn` gave."""
    learner = make_learner(name)
    return learner, *learn(learner)


def history(learner: Any, reports: list[Report], latencies: list[float]) -> tuple[Any, ...]:
    return latencies, [repr((r.episodes, r.steps, r.best, r.recent)) for r in reports], learner.best_plan


@pytest.mark.parametrize("name", [*FOUR, *MORE])
def test_same_seed_same_result_other_seed_other(name: str) -> None:
    again = make_learner(name)
    assert history(again, *learn(again)) == history(*trained(name))
    assert learn(make_learner(name, seed=2))[1] != trained(name)[2]


@pytest.mark.parametrize("name", [*FOUR, *MORE])
def test_keeps_the_best_plan_and_plays_it(name: str) -> None:
    learner, reports, latencies = trained(name)
    assert EPISODES <= len(latencies) < EPISODES + 2 * batch_env(learner).num_envs
    assert best_s(learner) == min(latencies)
    dynamics = learner.dynamics
    learner.best_plan.validate(dynamics.system.model)
    assert dynamics.system.evaluate([learner.best_plan])[0] == pytest.approx(min(latencies), rel=1e-15)
    played = play(learner, env_for(name))
    assert played.metrics["latency_s"] == best_s(learner)
    assert played.plan == learner.best_plan.to_json()
    # What is reported on the way.
    assert [r.best for r in reports] == sorted((r.best for r in reports), reverse=True)
    assert [r.episodes for r in reports] == sorted(r.episodes for r in reports)
    assert reports[-1].share == 1.0
    assert reports[-1].episodes == len(latencies)
    assert reports[-1].steps == len(latencies) * dynamics.episode_steps
    assert reports[-1].best_plan == learner.best_plan
    assert all(0 <= r.share <= 1 for r in reports)


@pytest.mark.parametrize("name", [*FOUR, *MORE])
def test_saved_loaded_and_gone_on_with(name: str, tmp_path: Path) -> None:
    learner, *_ = trained(name)
    learner.save(tmp_path / "model")
    again = make_learner(name)
    again.load(tmp_path / "model")
    assert again.best_plan == learner.best_plan
    assert best_s(again) == best_s(learner)
    assert play(again, env_for(name)).metrics["latency_s"] == best_s(learner)
    reports, latencies = learn(again, EPISODES)  # the budget is spent
    assert latencies == []
    reports, latencies = learn(again, 2 * EPISODES)
    assert EPISODES <= len(latencies) < EPISODES + 2 * batch_env(again).num_envs
    assert reports[0].episodes > EPISODES - 1
    assert reports[-1].episodes >= 2 * EPISODES
    assert best_s(again) == min(best_s(learner), *latencies)
    assert again.dynamics.system.evaluate([again.best_plan])[0] == pytest.approx(best_s(again), rel=1e-15)


@pytest.mark.parametrize("name", FOUR)
def test_loaded_policy_is_the_saved_one(name: str, tmp_path: Path) -> None:
    """Where links vary the policy is asked, not the best plan: its weights must have come through."""
    learner = make_learner(name, scenario="dynamic-nano")
    learner.learn(24, None, lambda report: None)
    learner.save(tmp_path / "model")
    again = make_learner(name, seed=9, scenario="dynamic-nano")
    observation = np.stack([learner.dynamics.observation_space.sample() for _ in range(20)])
    before, _ = again.predict(observation, deterministic=True)
    again.load(tmp_path / "model")
    expected, _ = learner.predict(observation, deterministic=True)
    found, _ = again.predict(observation, deterministic=True)
    assert np.array_equal(found, expected)
    assert not np.array_equal(before, expected)


@pytest.mark.parametrize("name", ["osds", "sac"])
def test_replay_comes_back(name: str, tmp_path: Path) -> None:
    learner = make_learner(name)
    learner.learn(24, None, lambda report: None)
    learner.save(tmp_path)
    again = make_learner(name)
    again.load(tmp_path)
    old, new = learner.model.replay_buffer, again.model.replay_buffer
    assert new.size() == old.size() > 0
    for field in ("observations", "actions", "rewards", "next_observations", "dones"):
        assert np.array_equal(getattr(new, field)[: new.size()], getattr(old, field)[: old.size()])


@pytest.mark.parametrize("name", FOUR)
@pytest.mark.parametrize("missing", ["learner.json", "weights"])
def test_incomplete_model_folder_is_one_line(name: str, missing: str, tmp_path: Path) -> None:
    learner = make_learner(name)
    learner.save(tmp_path)
    file = tmp_path / missing
    if missing == "weights":
        file = tmp_path / ("policy.pt" if name == "risk-seeking" else "model.zip")
    file.unlink()
    with refused(start=f"{file}: missing"):
        make_learner(name).load(tmp_path)


@pytest.mark.parametrize("name", FOUR)
def test_interrupted_it_stays_usable(name: str, tmp_path: Path) -> None:
    learner = make_learner(name)

    def interrupt(report: Report) -> None:
        if report.episodes >= EPISODES // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner.learn(EPISODES, None, interrupt)
    assert learner.best_plan is not None
    learner.save(tmp_path)
    assert play(learner, env_for(name)).metrics["latency_s"] == best_s(learner)
    reports, _ = learn(learner)
    assert reports[-1].episodes >= EPISODES


@pytest.mark.parametrize("name", FOUR)
def test_budget_in_steps(name: str) -> None:
    learner = make_learner(name)
    reports: list[Report] = []
    stages = learner.dynamics.episode_steps
    learner.learn(None, 20 * stages, reports.append)
    rollout = {"ppo": 60, "risk-seeking": 8 * stages}.get(name, batch_env(learner).num_envs)
    assert 20 * stages <= reports[-1].steps < 20 * stages + rollout


def test_own_budget_when_none_is_given() -> None:
    learner = make_learner("risk-seeking", episodes=40, lanes=16)
    reports: list[Report] = []
    learner.learn(None, None, reports.append)
    assert reports[-1].episodes == 48  # whole batches of 16
    learner = make_learner("ppo", episodes=10)
    learner.learn(None, None, reports.append)
    assert 10 <= reports[-1].episodes < 20


def test_hyperparameters_are_left_as_they_are() -> None:
    """SB3 writes into policy_kwargs; two agents made from the same ones must not notice."""
    given = {"net_arch": {"pi": [8], "vf": [8]}}
    for _ in range(2):
        make_learner("ppo", policy_kwargs=given)
    assert given == {"net_arch": {"pi": [8], "vf": [8]}}


@pytest.mark.parametrize(
    ("report_s", "budget", "expected"), [(0.0, 4_000_000, [1, 2, 3, 4, 5]), (1e9, 2000, [1, 6, 11, 16, 21])]
)
def test_reports_come_by_the_clock_too(
    report_s: float, budget: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a budget of millions of steps a report must not wait for a share of it."""
    monkeypatch.setattr(sb3, "REPORT_S", report_s)
    learner, seen = make_learner("osds"), []

    def interrupt(report: Report) -> None:
        seen.append(report.steps)
        if len(seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner.learn(None, budget, interrupt)
    assert seen == expected


def test_algorithm_that_does_not_fit_the_actions() -> None:
    with refused("DQN"):
        Sb3Learner(make_env(DISTREDGE, "DB-50", {}), "dqn", lanes=1, episodes=1)


def test_learner_state_is_plain_json(tmp_path: Path) -> None:
    for name in ("ppo", "risk-seeking"):
        learner = make_learner(name)
        learner.learn(16, None, lambda report: None)
        learner.save(tmp_path / name)
        state = json.loads((tmp_path / name / "learner.json").read_text())
        assert state["best_plan"] == learner.best_plan.to_json()
        assert state["least" if name == "ppo" else "best"] == best_s(learner)
        assert state["episodes"] >= 16


@pytest.mark.parametrize("name", ["osds", "risk-seeking", "ppo"])
def test_a_folder_may_be_told_as_text(name: str, tmp_path: Path) -> None:
    learner, other = make_learner(name), make_learner(name, seed=1)
    learner.learn(16, None, lambda report: None)
    learner.save(str(tmp_path / "model"))
    other.load(str(tmp_path / "model"))
    assert other.best_plan.to_json() == learner.best_plan.to_json()


# The risk-seeking learner --------------------------------------------------------------------------------------------


def test_risk_seeking_refuses_a_fixed_partition() -> None:
    for options in ({}, {"partition": "auto"}, {"partition": [9]}):
        with pytest.raises(InputError, match="partition=learned"):
            make_agent("distredge", "risk-seeking", make_env(DISTREDGE, "DB-50", options))


@cache
def whole_run(patience: int) -> tuple[Any, list[float]]:
    whole = make_learner("risk-seeking", patience=patience)
    return whole, learn(whole, 80)[1]


@pytest.mark.parametrize(("patience", "stop"), [(120, 40), (3, 24), (3, 32), (3, 40), (3, 48)])
def test_risk_seeking_resumes_exactly(patience: int, stop: int, tmp_path: Path) -> None:
    """Stopped and gone on with, it finds what it would have found in one go, fresh starts of the policy included."""
    whole, expected = whole_run(patience)
    first = make_learner("risk-seeking", patience=patience)
    _, before = learn(first, stop)
    first.save(tmp_path)
    second = make_learner("risk-seeking", patience=patience)
    second.load(tmp_path)
    _, after = learn(second, 80)
    assert before + after == expected
    assert second.best_plan == whole.best_plan
    assert second.starts == whole.starts
    assert (whole.starts > 1) == (patience == 3)


def test_log_likelihood_is_that_of_the_sampled_decisions() -> None:
    """Gaussian splits where the volume ends, and the Bernoulli end itself (torch's own distributions)."""
    torch.manual_seed(0)
    policy = MixedPolicy(6, 3, 8, end_bias=-0.5)
    seen = torch.randn(40, 6)
    action = torch.cat([torch.randn(40, 3), torch.where(torch.rand(40, 1) < 0.5, 1.0, -1.0)], dim=1)
    mean, std, end = policy(seen)
    ends = action[:, -1] > 0
    splits = torch.distributions.Normal(mean, std).log_prob(action[:, :-1]).sum(-1)
    expected = torch.distributions.Bernoulli(logits=end).log_prob(ends.float()) + torch.where(ends, splits, 0.0)
    constant = torch.where(ends, 3 * 0.5 * np.log(2 * np.pi), 0.0)  # of the Gaussian; it moves no gradient
    found, entropy = policy.log_prob(seen, action)
    assert torch.allclose(found, expected + constant, atol=1e-5)
    bernoulli = torch.distributions.Bernoulli(logits=end).entropy().mean()
    assert torch.allclose(entropy, bernoulli + std.log().mean(), atol=1e-5)


def test_risk_seeking_learns_from_the_best() -> None:
    """The likelihood of the best episodes of a batch rises, that of the batch's rest does not as much."""
    learner = make_learner("risk-seeking", lanes=64, entropy=0.0, quantile=0.1, memory=1, epochs=8)
    learner._observation, _ = learner.env.reset(seed=0)
    observations, actions, latency = learner._rollout()
    assert learner.recent["latency_s"] == [latency.mean()]
    top = np.argsort(latency)[:6]

    def likelihood() -> np.ndarray:
        with torch.no_grad():
            found, _ = learner.policy.log_prob(observations.flatten(0, 1), actions.flatten(0, 1))
        return found.reshape(observations.shape[:2]).sum(0).numpy()

    before = likelihood()
    learner._learn_from(observations, actions, latency)
    rise = likelihood() - before
    assert rise[top].mean() > 0
    assert rise[top].mean() > np.delete(rise, top).mean()


def test_risk_seeking_finds_better_than_offload() -> None:
    learner = make_learner("risk-seeking", scenario="NA-nano", lanes=128, hidden=64)
    learner.learn(128 * 40, None, lambda report: None)
    assert learner.best < learner.dynamics.system.reference_s
