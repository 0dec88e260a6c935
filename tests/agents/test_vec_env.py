"""The batch env as Stable-Baselines3's VecEnv."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecMonitor

from splitgym.agents.registry import agents_of
from splitgym.agents.sb3 import BatchVecEnv
from splitgym.envs import FAMILIES
from splitgym.envs.distredge.env import DistrEdgeVectorEnv

DISTREDGE = FAMILIES["distredge"]


def make_vec(lanes: int = 3, **kwargs: Any) -> tuple[BatchVecEnv, Any]:
    env: Any = gym.make_vec(DISTREDGE.env_id, num_envs=lanes, autoreset_mode="SameStep", **kwargs)
    return BatchVecEnv(env, "latency_s"), env


def test_vec_env_refuses_other_autoreset_modes() -> None:
    env: Any = gym.make_vec(DISTREDGE.env_id, num_envs=2)
    with pytest.raises(ValueError, match="SameStep"):
        BatchVecEnv(env, "latency_s")


@pytest.mark.parametrize("kwargs", [{}, {"scenario": "dynamic-nano", "observation": "full"}])
def test_vec_env_steps_as_sb3_expects(kwargs: dict[str, Any]) -> None:
    """Same-step reset: a lane that ends returns its next first observation, its last one is in the info."""
    vec, _ = make_vec(**kwargs)
    _, twin = make_vec(**kwargs)
    vec.seed(4)
    observation, expected = vec.reset(), twin.reset(seed=4)[0]
    assert np.array_equal(observation, expected)
    assert observation.dtype == np.float32
    rng, steps = np.random.default_rng(0), vec.env.dynamics.episode_steps
    for step in range(3 * steps):
        actions = rng.uniform(-1, 1, (3, *vec.action_space.shape)).astype(np.float32)  # type: ignore[misc]
        vec.step_async(actions)
        observation, reward, done, infos = vec.step_wait()
        expected, rewards, terminated, _, info = twin.step(actions)
        assert np.array_equal(observation, expected)
        assert reward.dtype == np.float32
        assert np.array_equal(reward, rewards.astype(np.float32))
        assert done.dtype == bool
        assert done.tolist() == terminated.tolist() == [step % steps == steps - 1] * 3
        for lane in range(3):
            if not done[lane]:
                assert infos[lane] == {}
                continue
            assert np.array_equal(infos[lane]["terminal_observation"], info["final_obs"][lane])
            assert not np.array_equal(infos[lane]["terminal_observation"], observation[lane])
            assert infos[lane]["TimeLimit.truncated"] is False
    assert vec.episodes == 9


class CutShort(DistrEdgeVectorEnv):
    """Says that lane 0's episodes were truncated, lane 1's both, lane 2's terminated."""

    def step(self, actions: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(actions)
        truncated[:2] = terminated[:2]
        terminated[0] = False
        return observation, reward, terminated, truncated, info


def test_vec_env_tells_truncation_from_termination() -> None:
    vec = BatchVecEnv(CutShort(3, autoreset_mode="SameStep"), "latency_s")
    vec.reset()
    for _ in range(vec.env.dynamics.episode_steps):
        _, _, done, infos = vec.step(np.zeros((3, 3), dtype=np.float32))
    assert done.all()
    assert [info["TimeLimit.truncated"] for info in infos] == [True, False, False]


def test_vec_env_keeps_the_best_episode() -> None:
    vec, env = make_vec(5)
    vec.reset()
    rng, found = np.random.default_rng(2), []
    for _ in range(8 * env.dynamics.episode_steps):
        _, _, done, _ = vec.step(rng.uniform(-1, 1, (5, 3)).astype(np.float32))
        if done.any():
            latency = env.dynamics.metrics(np.arange(5))["latency_s"]
            found += latency.tolist()
    assert vec.best == min(found)
    assert vec.recent["latency_s"] == found
    assert vec.best_plan is not None
    assert env.dynamics.system.evaluate([vec.best_plan])[0] == pytest.approx(vec.best, rel=1e-15)


def test_vec_env_may_look_for_the_highest() -> None:
    env: Any = gym.make_vec(DISTREDGE.env_id, num_envs=4, autoreset_mode="SameStep")
    vec = BatchVecEnv(env, "ips", lower_is_better=False)
    vec.reset()
    rng = np.random.default_rng(3)
    for _ in range(4 * env.dynamics.episode_steps):
        vec.step(rng.uniform(-1, 1, (4, 3)).astype(np.float32))
    assert vec.best == max(vec.recent["ips"])
    assert 1 / env.dynamics.system.evaluate([vec.best_plan])[0] == pytest.approx(vec.best)


def test_vec_env_is_seeded_once() -> None:
    """SB3 seeds before the first reset; later resets go on with the trace."""
    options = {"scenario": "dynamic-nano", "observation": "full", "gap_s": 300.0}
    vec, _ = make_vec(2, **options)
    vec.seed(8)
    first = vec.reset()
    for _ in range(vec.env.dynamics.episode_steps):
        vec.step(np.zeros((2, 3), dtype=np.float32))
    assert not np.array_equal(vec.reset(), first)
    vec.seed(8)
    assert np.array_equal(vec.reset(), first)


def test_vec_env_under_sb3s_monitor() -> None:
    inner, env = make_vec(3)
    vec = VecMonitor(inner, info_keywords=("latency_s", "speedup"))
    vec.reset()
    steps = env.dynamics.episode_steps
    for step in range(2 * steps):
        _, reward, done, infos = vec.step(np.zeros((3, 3), dtype=np.float32))
        assert done.all() == (step % steps == steps - 1)
        for lane in np.flatnonzero(done):
            assert infos[lane]["episode"]["l"] == steps
            assert infos[lane]["episode"]["latency_s"] > 0
            assert infos[lane]["episode"]["r"] == pytest.approx(reward[lane], rel=1e-5)
            assert "terminal_observation" in infos[lane]


def test_vec_env_attributes_and_methods() -> None:
    vec, env = make_vec(3)
    assert vec.render_mode is None
    assert vec.get_attr("num_envs") == [3, 3, 3]
    assert vec.get_attr("num_envs", indices=[0]) == [3]
    vec.set_attr("render_mode", "rgb_array")
    assert env.render_mode == "rgb_array"
    assert vec.env_is_wrapped(gym.Wrapper) == [False] * 3
    vec.set_attr("render_mode", None, indices=[2, 1, 0])
    assert env.render_mode is None
    for call in (lambda: vec.set_attr("render_mode", "human", indices=[1]), lambda: vec.env_method("close", indices=0)):
        with pytest.raises(ValueError, match="one batched env; leave indices out"):
            call()
    assert env.render_mode is None
    assert vec.env_method("close") == [None, None, None]
    vec.close()


def test_a_lucky_episode_is_not_the_best() -> None:
    """Noise of a round makes some episodes shorter than the optimum's expectation; none counts as best by that."""
    family = FAMILIES["l2s"]
    env: Any = gym.make_vec(family.env_id, num_envs=4, autoreset_mode="SameStep", rounds=5, noise=0.2, record=True)
    vec = BatchVecEnv(env, family.headline, paired_regret=family.paired_regret)
    vec.reset()
    rng, kept = np.random.default_rng(0), []
    for _ in range(40 * 5):
        _, _, done, infos = vec.step(rng.integers(0, env.single_action_space.n, 4))
        kept += [infos[lane]["regret_s"] for lane in np.flatnonzero(done)]
    assert np.isnan(vec.best)
    assert vec.least == min(kept) >= 0.0
    assert vec.recent["regret_s"] == kept
    assert vec.best_plan is not None


def test_models_of_the_command_line_load_on_the_default_env() -> None:
    """What learners see by default is what ``gym.make`` gives."""
    for family in FAMILIES.values():
        env: Any = gym.make(family.env_id, disable_env_checker=True)
        for name in ("ppo", "sac", "dqn"):
            spec = agents_of(family.name).get(name)
            if spec is not None and set(spec.env_kwargs) <= {"observation"}:
                assert not spec.env_kwargs, f"{family.name}: {name}"
        env.close()
