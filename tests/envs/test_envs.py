"""Every registered environment: checkers, scalar = batch, seeds, autoreset; a new family is covered by registering."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.env_match import check_environments_match
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from splitgym.envs import FAMILIES, Dynamics, Family, ScalarEnv
from splitgym.ui.errors import InputError

from .. import refused, slow
from .made import colours, make, make_batch, random_action

# Of every family the default and the first of every group.
FIRST = [(f, s) for f in FAMILIES.values() for s in {f.default_scenario: 0, **{g[0]: 0 for g in f.groups.values()}}]
REST = [(f, scenario) for f in FAMILIES.values() for scenario in f.scenarios if (f, scenario) not in FIRST]
FEW = [
    ("distredge", {"scenario": "DB-50"}),
    ("distredge", {"scenario": "LB", "observation": "full"}),
    ("distredge", {"scenario": "DA-50", "observation": "full", "partition": "learned"}),
    ("distredge", {"scenario": "NA-nano-ssd_vgg16", "partition": "auto", "reward": "paper"}),
    ("distredge", {"scenario": "dynamic-nano", "observation": "full", "gap_s": 7.0}),
    ("l2s", {"scenario": "resnet34-gpu-60", "rounds": 12}),
    ("l2s", {"scenario": "resnet34-dynamic", "rounds": 15, "sync": "change"}),
    ("l2s", {"scenario": "alexnet-gpu-100", "reward": "total", "privacy_point": 0, "sync_period": 3, "rounds": 10}),
    (
        "l2s",
        {
            "scenario": "vgg16-gpu-60", "sync": "ask", "rounds": 9,
            "mbps_changes": [[4, 10.0]], "load_changes": [[2, 3.0], [7, 1.5]],
        },
    ),
    ("edgemove", {"scenario": "vgg16-cifar10", "on_device_s": 800.0}),
    ("edgemove", {"scenario": "resnet50-cinic10-x2", "on_device_s": 3100.0, "action": "paper"}),
    ("edgemove", {"scenario": "vgg16-cifar10-100mbps", "on_device_s": 700.0, "action": "flat", "probe": "blocking"}),
    ("edgemove", {"scenario": "resnet50-speech", "on_device_s": 1500.0, "walks": "train", "half_duplex": True}),
    ("hiertrain", {"scenario": "alexnet-drift", "blocks": 8}),
    ("hiertrain", {"scenario": "lenet5-2", "plans": "layers", "activation_bits": 8, "blocks": 6}),
    ("hiertrain", {"scenario": "alexnet-3.5", "share_links": True, "relay": "store", "cost": "event", "blocks": 5}),
    ("deprune", {"scenario": "vgg11-cifar10", "epochs": 6}),
    ("deprune", {"scenario": "vgg11-cifar10-dynamic", "time_weight": 0.3, "epochs": 9}),
    ("deprune", {"scenario": "vgg11-cifar10", "noise": False, "module": False, "epochs": 5}),
]  # fmt: skip
ONE_EACH = [next(case for case in FEW if case[0] == family) for family in FAMILIES]
OTHERS = [case for case in FEW if case not in ONE_EACH]
# What the scalar env computes by default and the vector env does not.
WHOLE = {family: {"optimum": True} for family in ("distredge", "edgemove", "hiertrain")}
CHEAP = {"l2s": {"record": False}, **{family: {"optimum": False} for family in WHOLE}}


def ids(value: Any) -> str:
    if isinstance(value, Family):
        return value.name
    return value if isinstance(value, str) else "-".join(map(str, value.values()))


def steps_of(dynamics: Dynamics, episodes: int) -> int:
    """Steps in which so many episodes end and another is under way, however they begin."""
    return episodes * (dynamics.episode_steps + 1) + 1


def lane_of(observation: Any, lane: int) -> Any:
    """One lane of a batched observation."""
    if isinstance(observation, dict):
        return {key: values[lane] for key, values in observation.items()}
    return observation[lane]


def same(one: Any, other: Any) -> bool:
    """Whether two observations are equal to the bit, in type and shape too."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return one.dtype == other.dtype and np.array_equal(one, other)


@pytest.mark.filterwarnings("ignore:Your observation [a-z]+ has an unconventional shape")  # a table, flattened by SB3
@pytest.mark.parametrize(("family", "scenario"), [*FIRST, *slow(*REST)], ids=ids)
def test_checkers_pass(family: Family, scenario: str) -> None:
    env = gym.make(family.env_id, scenario=scenario).unwrapped
    check_env(env, skip_render_check=True)
    sb3_check_env(env)


@pytest.mark.parametrize(("family", "kwargs"), [*ONE_EACH, *slow(*OTHERS)], ids=ids)
def test_render_check_passes(family: str, kwargs: dict) -> None:
    env = make(family, render_mode="rgb_array", **kwargs)
    check_env(env)
    env.reset(seed=0)
    done = False
    while not done:
        *_, done, _, _ = env.step(env.action_space.sample())
    frame = env.render()
    assert isinstance(frame, np.ndarray)
    assert frame.ndim == 3
    assert frame.dtype == np.uint8
    assert colours(frame) > 10  # bars in colour, not an empty page


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize(("family", "kwargs"), FEW, ids=ids)
def test_every_lane_equals_the_scalar_env_to_the_bit(family: str, kwargs: dict, mode: str) -> None:
    lanes, rng = 3, np.random.default_rng(1)
    batch = make_batch(family, lanes, autoreset_mode=mode, **WHOLE.get(family, {}), **kwargs)
    scalars = [make(family, **kwargs) for _ in range(lanes)]
    observations, _ = batch.reset(seed=11)
    for i, env in enumerate(scalars):
        assert same(env.reset(seed=11 + i)[0], lane_of(observations, i))
    over = np.zeros(lanes, dtype=bool)
    for _ in range(steps_of(batch.dynamics, episodes=2)):
        actions = np.stack([random_action(scalars[0], rng) for _ in range(lanes)])
        observations, rewards, terminated, truncated, infos = batch.step(actions)
        assert not truncated.any()
        for i, env in enumerate(scalars):
            if over[i] and mode == "NextStep":
                observation, reward, done, info = env.reset()[0], 0.0, False, {}
            else:
                observation, reward, done, _, info = env.step(actions[i])
            if done:
                ended = infos["final_info"] if mode == "SameStep" else infos
                _same_info(ended, info, i)
                if mode == "SameStep":
                    assert same(lane_of(infos["final_obs"], i), observation)
                    observation = env.reset()[0]
            assert same(lane_of(observations, i), observation)
            assert rewards[i] == reward
            assert terminated[i] == done
            over[i] = done


def _same_info(batch: dict, scalar: dict, lane: int) -> None:
    assert scalar["metrics"]
    assert batch["_metrics"][lane]
    for key, value in scalar["metrics"].items():
        assert batch["metrics"][f"_{key}"][lane]
        assert batch[f"_{key}"][lane]
        for mine in (batch["metrics"][key][lane], batch[key][lane]):
            assert mine == value or (np.isnan(mine) and np.isnan(value))
    for key, value in scalar.items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(batch[key][lane], value)


@pytest.mark.parametrize(("family", "kwargs"), FEW, ids=ids)
def test_lanes_out_of_step_do_not_disturb_each_other(family: str, kwargs: dict) -> None:
    """With autoreset off, lanes are reset one by one; each must go on as its scalar env does."""
    lanes, rng = 3, np.random.default_rng(2)
    batch = make_batch(family, lanes, autoreset_mode="Disabled", **kwargs)
    scalars = [make(family, **CHEAP.get(family, {}), **kwargs) for _ in range(lanes)]
    batch.reset(seed=3)
    for i, env in enumerate(scalars):
        env.reset(seed=3 + i)
    for step in range(9 + steps_of(batch.dynamics, episodes=2)):
        if step in (2, 5, 9):  # begin a new episode early in one lane
            lane = step % lanes
            batch.reset(options={"reset_mask": np.arange(lanes) == lane})
            scalars[lane].reset()
        actions = np.stack([random_action(scalars[0], rng) for _ in range(lanes)])
        observations, rewards, terminated, _, _ = batch.step(actions)
        for i, env in enumerate(scalars):
            observation, reward, done, _, _ = env.step(actions[i])
            assert same(lane_of(observations, i), observation)
            assert rewards[i] == reward
            assert terminated[i] == done
            if done:
                env.reset()
        if terminated.any():
            with pytest.raises(gym.error.ResetNeeded):
                batch.step(actions)
            observations, _ = batch.reset(options={"reset_mask": terminated})


@pytest.mark.parametrize(("family", "kwargs"), FEW, ids=ids)
def test_same_seed_same_trajectory_other_seed_other(family: str, kwargs: dict) -> None:
    first, second = make(family, **kwargs), make(family, **kwargs)
    dynamics = first.dynamics
    check_environments_match(first, second, steps_of(dynamics, 2), seed=5, info_comparison="keys-equivalence")
    rng = np.random.default_rng(0)
    one, _ = first.reset(seed=5)
    other, _ = second.reset(seed=6)
    differs = not same(one, other)
    for _ in range(steps_of(dynamics, 2)):
        action = random_action(first, rng)
        a, b = first.step(action), second.step(action)
        differs |= not same(a[0], b[0]) or a[1] != b[1]
        if a[2]:
            first.reset()
            second.reset()
    assert differs == dynamics.is_random


@pytest.mark.parametrize(("family", "kwargs"), FEW, ids=ids)
def test_observations_are_the_users_to_keep_and_to_change(family: str, kwargs: dict) -> None:
    env, other, rng = make(family, **kwargs), make(family, **kwargs), np.random.default_rng(7)
    observation, _ = env.reset(seed=2)
    other.reset(seed=2)
    for _ in range(8):
        kept = copy.deepcopy(observation)
        action = random_action(env, rng)
        after, *_, over, _, _ = env.step(action)
        assert same(observation, kept)
        for values in observation.values() if isinstance(observation, dict) else [observation]:
            values += 1
        assert same(after, other.step(action)[0])
        if over:
            after, _ = env.reset()
            other.reset()
        observation = after


@pytest.mark.parametrize("family", list(FAMILIES))
def test_scalar_env_conventions(family: str) -> None:
    env = make(family)
    assert isinstance(env, ScalarEnv)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    done, info, steps = False, {}, 0
    while not done:
        assert not {"metrics", *env.dynamics.metric_kinds} & set(info)  # none before the end
        _, reward, done, truncated, info = env.step(env.action_space.sample())
        assert type(reward) is float
        assert type(done) is bool
        assert truncated is False
        steps += 1
    assert steps <= env.dynamics.episode_steps
    assert set(info["metrics"]) == set(env.dynamics.metric_kinds)
    assert all(type(v) is float for v in info["metrics"].values())
    assert FAMILIES[family].headline in info["metrics"]
    assert env.dynamics.provenance
    assert all("modelled" in line or "inferred" in line for line in env.dynamics.provenance)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_spec_is_json_able_and_envs_pickle_by_spec(family: str) -> None:
    env = gym.make(FAMILIES[family].env_id, scenario=FAMILIES[family].scenarios[0])
    assert env.spec is not None
    assert EnvSpec.from_json(env.spec.to_json()).id == env.spec.id
    json.dumps(env.unwrapped.dynamics.settings)  # type: ignore[attr-defined]
    again = pickle.loads(pickle.dumps(env.spec)).make()
    assert again.observation_space == env.observation_space


@pytest.mark.parametrize("family", list(FAMILIES))
def test_vector_env_declares_its_autoreset_mode(family: str) -> None:
    assert make_batch(family, 2).metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert make_batch(family, 2, autoreset_mode="SameStep").metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    batch = make_batch(family, 2, autoreset_mode="SameStep")
    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(batch)
    wrapped.reset(seed=0)
    for _ in range(batch.dynamics.episode_steps):
        wrapped.step(wrapped.action_space.sample())
    assert len(wrapped.return_queue) >= 2


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize(
    "kwargs",
    [{"scenario": "nowhere"}, {"colour": "red"}, {"autoreset_mode": "Sometimes"}],
    ids=["scenario", "option", "autoreset"],
)
def test_bad_arguments_are_one_line(family: str, kwargs: dict) -> None:
    with refused() as caught:
        gym.make_vec(FAMILIES[family].env_id, num_envs=1, **kwargs)
    assert any(str(word) in str(caught.value) for pair in kwargs.items() for word in pair)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("ending", ["yaml", "yml"])
def test_a_missing_scenario_file_is_named(family: str, ending: str, tmp_path: Path) -> None:
    path = str(tmp_path / f"none.{ending}")
    with refused("cannot be read", start=f"{path}: "):
        make(family, scenario=path)


def test_import_is_light_and_registration_idempotent() -> None:
    code = (
        "import sys, warnings; warnings.simplefilter('error'); import splitgym.envs, importlib;"
        "importlib.reload(splitgym.envs);"
        "heavy = {'torch', 'wandb', 'matplotlib', 'numba', 'stable_baselines3'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("family", list(FAMILIES))
def test_misuse_is_refused(family: str) -> None:
    env = make(family)
    env.reset(seed=0)
    space = env.action_space
    assert space.shape is not None
    with pytest.raises(ValueError, match="shape"):
        env.step(np.zeros(sum(space.shape) + 4, dtype=space.dtype))
    with pytest.raises(ValueError, match="NaN"):
        env.step(np.full(space.shape, np.nan, dtype=np.float32))
    if isinstance(space, gym.spaces.Discrete):
        for outside in (-1, int(space.n)):
            with pytest.raises(ValueError, match=rf"outside 0\.\.{space.n - 1}"):
                env.step(outside)
    done = False
    while not done:
        _, _, done, _, _ = env.step(env.action_space.sample())
    with pytest.raises(gym.error.ResetNeeded):
        env.step(env.action_space.sample())
    counts: list[Any] = [0, -1, 2.5]
    for count in counts:
        with pytest.raises(InputError, match=rf"^num_envs is {count}, allowed: whole numbers from 1$"):
            gym.make_vec(FAMILIES[family].env_id, num_envs=count)
    with pytest.raises(InputError):
        gym.make(FAMILIES[family].env_id, scenario=3)
