"""OSDS as Algorithm 2 has it: exploration, rates of learning, the replay, Actor* and Critic*."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splitgym.agents.distredge.osds import GatedNoise, Osds, TwoRateDDPG, _over_known
from splitgym.agents.registry import get_spec, make_agent
from splitgym.experiments.play import make_env

from .test_learners import DISTREDGE, EPISODES, learn, make_learner


def test_exploration_is_gated_as_in_algorithm_2() -> None:
    noise = GatedNoise(3, 0.1, 1 / 250, seed=0)
    for episode in range(400):
        assert noise.episode == episode
        assert noise.epsilon == pytest.approx(max(0.0, 1 - (episode / 250) ** 2))
        noise.reset()
    assert noise.epsilon == 0.0
    assert not any(noise().any() for _ in range(200))


@pytest.mark.parametrize(("episode", "share"), [(0, 1.0), (125, 0.75), (200, 0.36), (250, 0.0)])
def test_share_and_size_of_the_noise(episode: int, share: float) -> None:
    noise = GatedNoise(3, 0.1, 1 / 250, seed=1)
    noise.episode = episode
    drawn = np.array([noise() for _ in range(4000)])
    explored = drawn.any(axis=1)
    assert explored.mean() == pytest.approx(share, abs=0.03)
    if share:
        assert drawn[explored].std() == pytest.approx(np.sqrt(0.1), rel=0.05)
        assert drawn[explored].mean() == pytest.approx(0.0, abs=0.02)


def linear_sizes(net: torch.nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in net.modules() if isinstance(m, torch.nn.Linear)]


@pytest.mark.parametrize(("scenario", "variance"), [("DB-50", 0.1), ("LC", 1.0)])
def test_osds_is_the_papers(scenario: str, variance: float) -> None:
    """Sec. V: networks, batch, discount, noise; and LC-PSS at 0.75 with the observation of Eq. 7."""
    env = make_env(DISTREDGE, scenario, get_spec("distredge", "osds").env_kwargs)
    learner: Any = make_agent("distredge", "osds", env)
    assert type(learner) is Osds
    model: Any = learner.model
    devices = learner.dynamics.system.n_devices
    seen, actions = devices + 4, devices - 1
    assert env.observation_space.shape == (seen,)
    assert linear_sizes(model.actor) == [(seen, 400), (400, 200), (200, 100), (100, actions)]
    critic = [(seen + actions, 400), (400, 200), (200, 100), (100, 100), (100, 1)]
    assert linear_sizes(model.critic) == linear_sizes(model.critic_target) == critic
    assert isinstance(model.actor.mu[-1], torch.nn.Tanh)
    assert (model.batch_size, model.gamma, model.n_envs) == (64, 0.99, 1)
    assert model.action_noise.sigma == pytest.approx(np.sqrt(variance))
    assert model.action_noise.delta_eps == 1 / 250
    assert learner.episodes == 4000


def test_actor_and_critic_learn_at_rates_of_their_own() -> None:
    learner = make_learner("osds", actor_rate=1e-4, critic_rate=1e-3)
    learner.learn(10, None, lambda report: None)
    assert learner.model._n_updates > 0
    rates = [[g["lr"] for g in net.optimizer.param_groups] for net in (learner.model.actor, learner.model.critic)]
    assert rates == [[1e-4], [1e-3]]
    frozen = make_learner("osds", actor_rate=0.0, critic_rate=1e-3)
    before = [{k: v.clone() for k, v in net.state_dict().items()} for net in (frozen.model.actor, frozen.model.critic)]
    frozen.learn(10, None, lambda report: None)
    after = [net.state_dict() for net in (frozen.model.actor, frozen.model.critic)]
    changed = [any(not torch.equal(new[k], v) for k, v in old.items()) for old, new in zip(before, after, strict=True)]
    assert changed == [False, True]


def test_rates_survive_saving(tmp_path: Path) -> None:
    learner = make_learner("osds", actor_rate=2e-4, critic_rate=3e-3)
    learner.learn(10, None, lambda report: None)
    learner.save(tmp_path)
    again = make_learner("osds", actor_rate=2e-4, critic_rate=3e-3)
    again.load(tmp_path)
    assert isinstance(again.model, TwoRateDDPG)
    again.learn(20, None, lambda report: None)
    assert [net.optimizer.param_groups[0]["lr"] for net in (again.model.actor, again.model.critic)] == [2e-4, 3e-3]


def test_unsorted_actions_are_learnt_from() -> None:
    """Algorithm 2, line 17: the replay holds the actor's own output; only the plan is sorted."""
    learner = make_learner("osds")
    played: list[np.ndarray] = []
    step_async = learner.vec.step_async
    learner.vec.step_async = lambda actions: (played.append(actions.copy()), step_async(actions))
    learner.learn(12, None, lambda report: None)
    buffer = learner.model.replay_buffer
    stored = buffer.actions[: buffer.size(), 0]
    assert len(stored) == len(played) - 1  # training ends before SB3 stores the last one
    assert np.allclose(stored, np.concatenate(played[:-1]), atol=1e-6)
    assert np.any(np.diff(stored, axis=1) < 0)
    assert all(list(split) == sorted(split) for split in learner.best_plan.splits)


def test_the_noise_counts_episodes_from_one_and_on_after_loading(tmp_path: Path) -> None:
    learner = make_learner("osds")
    seen: list[int] = []
    learner.learn(10, None, lambda report: seen.append(learner.model.action_noise.episode))
    assert sorted(set(seen)) == list(range(1, 11))
    learner.save(tmp_path)
    again = make_learner("osds")
    again.load(tmp_path)
    seen.clear()
    again.learn(15, None, lambda report: seen.append(again.model.action_noise.episode))
    assert sorted(set(seen)) == list(range(11, 16))


def watched(monkeypatch: pytest.MonkeyPatch, learner: Any) -> list[tuple[bool, dict[str, float], Any]]:
    """Whether each episode explored, its figures, and actor and critic at its end."""
    found: list[tuple[bool, dict[str, float], Any]] = []
    episode_ended = learner.episode_ended

    def spy(metrics: dict[str, float]) -> None:
        policy = {k: v.clone() for k, v in learner.model.policy.state_dict().items()}
        found.append((learner.model.action_noise.explored, dict(metrics), policy))
        episode_ended(metrics)

    monkeypatch.setattr(learner, "episode_ended", spy)
    return found


def equal(a: Any, b: Any) -> bool:
    return all(torch.equal(a[k], v) for k, v in b.items())


STAR: dict[str, Any] = {"actor_rate": 1e-2, "delta_eps": 1 / 10}  # half of the episodes explore


@pytest.mark.parametrize("scenario", ["DB-50", "dynamic-nano"])
def test_actor_and_critic_of_the_best_episode_are_kept(
    scenario: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of those that the actor played alone; also over an interruption, after which worse ones do not replace them."""
    learner = make_learner("osds", scenario=scenario, **STAR)
    episodes = watched(monkeypatch, learner)
    learn(learner)
    assert {explored for explored, _, _ in episodes} == {True, False}
    cost, at, best = min(((_over_known(m), i, w) for i, (e, m, w) in enumerate(episodes) if not e), key=lambda e: e[:2])
    assert equal(learner.deciding.state_dict(), best)
    assert at == len(episodes) - 1 or not equal(learner.model.policy.state_dict(), best)
    learner.save(tmp_path)
    again = make_learner("osds", scenario=scenario, **STAR)
    again.load(tmp_path)
    assert equal(again.deciding.state_dict(), best)
    assert equal(again.model.policy.state_dict(), learner.model.policy.state_dict())  # it is this one that goes on
    later = watched(monkeypatch, again)
    learn(again, EPISODES + 8)
    alone = [(_over_known(m), w) for e, m, w in later if not e]
    assert alone
    least = min(alone, key=lambda e: e[0])
    assert equal(again.deciding.state_dict(), least[1] if least[0] < cost else best)


def test_where_links_vary_actor_star_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not the actor as it is, nor that of the lowest latency, which may only have met the best rates."""
    learner = make_learner("osds", seed=3, scenario="dynamic-nano", **STAR)
    episodes = watched(monkeypatch, learner)
    learner.learn(EPISODES, None, lambda report: None)
    alone = [(m, w) for e, m, w in episodes if not e]
    judged, luckiest = min(alone, key=lambda e: _over_known(e[0])), min(alone, key=lambda e: e[0]["latency_s"])
    assert judged is not luckiest
    size = learner.dynamics.observation_space.shape[0]
    observation = np.random.default_rng(0).uniform(0.0, 1.0, (5, size)).astype(np.float32)
    actions, _ = learner.predict(observation, deterministic=True)
    assert not np.array_equal(actions, learner.model.predict(observation, deterministic=True)[0])
    learner.save(tmp_path)
    again = make_learner("osds", seed=9, scenario="dynamic-nano", **STAR)
    again.load(tmp_path)
    assert np.array_equal(actions, again.predict(observation, deterministic=True)[0])
    learner.model.policy.load_state_dict(judged[1])
    assert np.array_equal(actions, learner.model.predict(observation, deterministic=True)[0])


def test_without_an_episode_of_the_actors_own_it_decides_as_it_is() -> None:
    learner = make_learner("osds", scenario="dynamic-nano", delta_eps=0.0)
    learner.learn(8, None, lambda report: None)
    assert learner.deciding is learner.model.policy


def test_episodes_compare_by_the_best_known_at_their_rates_then_by_offload() -> None:
    known = {"latency_s": 0.09, "regret_s": 0.03, "speedup": 1.25}
    assert _over_known(known) == pytest.approx(1.5)
    assert _over_known({**known, "regret_s": float("nan")}) == pytest.approx(0.8)


def test_the_first_steps_are_the_actors() -> None:
    """Algorithm 2 has no steps at random: without noise every action is the actor's, updates wait for a batch."""
    learner = make_learner("osds", variance=0.0)
    model, first = learner.model, []
    begin = {k: v.clone() for k, v in model.policy.state_dict().items()}
    updates: list[tuple[int, int]] = []
    step_async = learner.vec.step_async

    def spy(actions: np.ndarray) -> None:
        updates.append((model.num_timesteps, model._n_updates))
        if model._n_updates == 0:
            assert np.array_equal(actions, model.predict(model._last_obs, deterministic=True)[0])
            first.append(actions)
        step_async(actions)

    learner.vec.step_async = spy
    learner.learn(None, 60, lambda report: None)
    assert len(first) == 32  # a batch
    assert [done for done, count in updates if count == 0] == list(range(32))
    assert updates[-1] == (59, 28)
    assert any(not torch.equal(v, begin[k]) for k, v in model.policy.state_dict().items())
