"""Images a second with many in flight: by hand, against latency, and against a stream played event by event."""

from __future__ import annotations

from functools import cache

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs import FAMILIES
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import PlanBatch, System
from splitgym.envs.distredge.throughput import stage_names, stage_s

from .stream_reference import finished_s
from .test_physics import bare_system, random_plan

MODELS = ("vgg16", "resnet50", "yolov2", "ssd_vgg16")


@cache
def mixed(model: str = "vgg16", medium: str = "switched") -> System:
    return System(get_scenario("ND-xavier", model=model, devices=("xavier", "tx2", "nano", "pi3"), medium=medium))


def test_one_device_is_exact() -> None:
    """A TX2 alone, its link at 50 Mbit/s: the image over that link takes longer than the whole model."""
    plan_of = {mbps: System(get_scenario("DA-50-uint8", devices=("tx2",), mbps=(mbps,))) for mbps in (50.0, 300.0)}
    copy_s = 1 / 0.8e9 + 1 / 1.5e9
    for mbps, system in plan_of.items():
        image_s = 224 * 224 * 3 * (8 / (0.94 * mbps * 1e6) + copy_s)
        slowest_s, limit = max((image_s, "tx2-1 receives"), (float(system.model_s[0]), "tx2-1 computes"))
        ips, limits = system.throughput([system.everything_on(0)])
        assert ips == pytest.approx(1 / slowest_s, rel=1e-12)
        assert limits == (limit,)


def test_every_stage_by_hand() -> None:
    """Outer devices get 4 kB each and send 8 kB at 8 Mbit/s to the middle one, which returns 16 kB."""
    system = bare_system((80.0, 8.0, 80.0), width=1000, requester_mbps=80.0)
    plan = system.plan((1, 2, 3), ((4, 4), (0, 4), (0, 8)))
    _, done, _ = system.replay(plan)
    stages = dict(zip(stage_names(system.names), stage_s(done)[:, 0] * 1e3, strict=True))
    assert stages == pytest.approx(
        {
            "nano-1 computes": 0.0, "nano-2 computes": 0.0, "nano-3 computes": 0.0,
            "nano-1 sends": 8.0, "nano-2 sends": 16.0, "nano-3 sends": 8.0, "requester sends": 0.8,
            "nano-1 receives": 0.4, "nano-2 receives": 16.0, "nano-3 receives": 0.4, "requester receives": 1.6,
            "the air is in use": 0.0,
        }
    )  # fmt: skip
    assert system.throughput([plan]).ips == pytest.approx(1 / 16e-3)


@pytest.mark.parametrize("medium", ["switched", "shared"])
@pytest.mark.parametrize("model", MODELS)
def test_never_below_one_image_after_another(model: str, medium: str) -> None:
    system, rng = mixed(model, medium), np.random.default_rng(len(model))
    plans = PlanBatch.of([random_plan(system, rng) for _ in range(100)], system.n_units)
    mbps = rng.uniform(5, 400, (system.n_devices, 100))
    ips = system.throughput(plans, system.every_volume, mbps).ips
    assert np.all(ips * system.evaluate(plans, system.every_volume, mbps) >= 1 - 1e-12)


@given(seed=st.integers(0, 2**32 - 1), model=st.sampled_from(MODELS), medium=st.sampled_from(["switched", "shared"]))
@settings(max_examples=15)
def test_a_stream_of_images_comes_close_from_below(seed: int, model: str, medium: str) -> None:
    system, images = mixed(model, medium), 150
    rng = np.random.default_rng(seed)
    plan, mbps = random_plan(system, rng), rng.uniform(5, 400, system.n_devices)
    ips = system.throughput([plan], system.every_volume, mbps[:, None]).ips[0]
    reached = images / max(finished_s(system, plan, mbps.tolist(), images, in_flight=24))
    assert 0.95 * ips < reached < ips * (1 + 1e-9)


def test_many_plans_and_one_agree_to_the_bit() -> None:
    system, rng = mixed(), np.random.default_rng(7)
    plans = [random_plan(system, rng) for _ in range(20)]
    ips, limits = system.throughput(plans, system.every_volume)
    alone = [system.throughput([plan], system.every_volume) for plan in plans]
    assert ips.tolist() == [one.ips[0] for one in alone]
    assert limits == tuple(one.limits[0] for one in alone)
    assert len(set(limits)) > 2


@pytest.mark.parametrize("scenario", ["DB-50", "dynamic-nano"])
def test_the_env_tells_what_its_plans_reach(scenario: str) -> None:
    lanes = 16
    env = gym.make_vec(
        FAMILIES["distredge"].env_id, lanes, scenario=scenario, partition="learned", autoreset_mode="SameStep"
    )
    dynamics = env.dynamics  # type: ignore[attr-defined]
    env.reset(seed=0)
    env.action_space.seed(0)
    info: dict = {}
    while not info:
        mbps = dynamics.mbps.copy()
        info = env.step(env.action_space.sample())[-1]
    plans = [dynamics.plan(lane) for lane in range(lanes)]
    expected = dynamics.system.throughput(plans, dynamics.physics, mbps).ips
    assert info["final_info"]["throughput_ips"] == pytest.approx(expected, rel=1e-12)
