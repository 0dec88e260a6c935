"""EdgeMove's baselines against brute force, whole trainings, plans as agents, learners."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.agents.edgemove.baselines import DeviceCloud, PipeDreamE
from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs.edgemove.actions import CLOUD, STAY
from splitgym.envs.edgemove.scenarios import TASKS
from splitgym.envs.edgemove.system import System
from splitgym.experiments.play import options_for, play
from splitgym.models.plans import PipelinePlan, save_plan

from ... import refused, slow
from .observations import make, make_batch, observed, server
from .short import ALONE, ENV, FIRST, SHORT, SYSTEM, in_reach, run

# Baselines -----------------------------------------------------------------------------------------------------------


def test_on_device_takes_what_the_task_takes() -> None:
    for task in TASKS:
        env = make(scenario=task, noise=0.0)
        quiet, system = play(make_agent("edgemove", "on-device", env), env, 1).metrics, env.dynamics.system
        assert quiet["elapsed_s"] == pytest.approx(system.on_device_s, rel=1e-9)
        assert quiet["elapsed_s"] == pytest.approx(system.scenario.on_device_s, rel=1e-3)
        assert quiet["speedup"] == pytest.approx(1.0, rel=1e-9)
        assert quiet["adaptation_s"] == quiet["cut_moves"] == quiet["worker_switches"] == 0


def period_s(system: Any, cut: int, server_s: float, bits: float, rtt_s: float) -> float:
    """Of an iteration, K in flight."""
    link_s = system.link_bits[cut] / bits
    path = system.client_s[cut] + server_s + 2 * link_s + rtt_s
    return max(system.client_s[cut], server_s, link_s, path / system.scenario.in_flight)


CLOUDS = {task: make(scenario=task).dynamics.system for task in ("vgg16-cifar10", "resnet50-cinic10")}


@given(st.sampled_from(list(CLOUDS)), st.floats(0.5, 1000.0), st.floats(0.1, 0.17))
def test_device_cloud_cuts_where_the_pipeline_is_fastest(task: str, mbps: float, rtt_s: float) -> None:
    system = CLOUDS[task]
    periods = {
        cut: period_s(system, cut, float(system.server_s[-1, cut]), 1e6 * mbps, rtt_s)
        for cut in range(1, system.n_layers)
    }
    periods[system.n_layers] = float(system.client_s[-1])  # without the cloud
    agent = DeviceCloud.__new__(DeviceCloud)
    agent.system = system
    seen = observed(system, [server(0.01)], cloud_rate=1e6 * mbps, cloud_rtt=rtt_s)
    action, _ = agent.predict(seen, None, FIRST)
    cut = int(action[0, 0]) + 1
    assert action[0, 1:].tolist() == [CLOUD, 0]
    assert periods[cut] <= min(periods.values()) * (1 + 1e-5)  # observations are float32


def test_device_cloud_follows_the_rate_and_stays() -> None:
    agent = DeviceCloud(ENV)
    cuts = [run(agent, [observed(SYSTEM, cloud_rate=1e6 * mbps, cloud_rtt=0.13)])[0][0] + 1 for mbps in (1, 60, 600)]
    assert cuts[0] == SYSTEM.n_layers > cuts[1] > cuts[2]
    env = make_batch(10, scenario="vgg16-cifar10")
    metrics = play(make_agent("edgemove", "device-cloud", env), env, 10).metrics
    assert set(env.dynamics.trace["worker"].ravel()) == {SYSTEM.cloud}
    assert metrics["worker_switches"] == 0
    assert metrics["cut_moves"] > 0


@given(st.sampled_from(list(CLOUDS)), st.floats(1e-3, 2.0), st.floats(1e6, 1e9), st.booleans())
def test_pipedream_cuts_where_the_longest_stage_is_shortest(
    task: str, whole_s: float, rate_bits: float, link: bool
) -> None:
    """The link is a stage of the original only: activations one way, gradients the other."""
    system = CLOUDS[task]
    agent = PipeDreamE.__new__(PipeDreamE)
    agent.system, agent.link = system, link
    longest = {
        cut: max(
            system.client_s[cut],
            system.server_s[0, cut] * whole_s / system.server_s[0, 0],
            2 * system.link_bits[cut] / rate_bits if link else 0.0,
        )
        for cut in range(1, system.n_layers)
    }
    assert longest[agent.cut(whole_s, rate_bits)] == min(longest.values())


def test_pipedream_chooses_among_all_in_reach_by_its_seed() -> None:
    seen = observed(SYSTEM, [server(0.02 * (place + 1)) for place in range(5)])
    chosen = [run(PipeDreamE(ENV, seed), [seen])[0][1] for seed in range(200)]
    counts = np.bincount(chosen, minlength=6)[1:]
    assert counts.min() > 20
    assert chosen == [run(PipeDreamE(ENV, seed), [seen])[0][1] for seed in range(200)]
    assert run(PipeDreamE(ENV), [observed(SYSTEM)])[0] == [ALONE, STAY, 0]


def test_pipedream_e_does_not_see_the_network_and_the_original_does() -> None:
    """PipeDream-E: the same cut whatever the rate; and the probe's round trip is no computation."""
    for link, count in ((False, 1), (True, 2)):
        cuts = {
            run(PipeDreamE(ENV, link=link), [observed(SYSTEM, [server(0.05 + rtt_s, mbps, rtt_s)])])[0][0]
            for mbps in (50.0, 600.0)
            for rtt_s in (0.005, 0.04)
        }
        assert len(cuts) == count


def test_pipedream_profiles_a_worker_that_it_meets_on_the_way_as_loaded_as_it_is() -> None:
    """For a cycle the client trains all layers but the last; what it is told then decides, whatever the round trip."""
    start, met = observed(SYSTEM, [server(0.02)]), observed(SYSTEM, [server(None, rtt_s=0.03)])
    rtts = (0.01, 0.03)
    told = {
        (whole_s, rtt_s): run(PipeDreamE(ENV), [start, met, held(whole_s + 0.03, rtt_s), held(9.0, rtt_s)])
        for whole_s in (0.016, 0.16)
        for rtt_s in rtts
    }
    for (whole_s, _), (first, profiled, cut, kept) in told.items():
        assert first[1:] == [1, 0]
        assert profiled == [ALONE - 1, 1, 1]
        assert cut == [PipeDreamE(ENV).cut(whole_s, 1.0) - 1, STAY, 0]
        assert kept[1:] == [STAY, 0]
    assert told[0.016, 0.01][2] != told[0.16, 0.01][2]
    for whole_s in (0.016, 0.16):
        assert told[whole_s, rtts[0]] == told[whole_s, rtts[1]]


def held(probed_s: float, rtt_s: float) -> Any:
    """What is seen with an edge server as the worker."""
    return observed(SYSTEM, [server(probed_s, rtt_s=rtt_s, worker=True)], probed=probed_s, rtt=rtt_s)


def test_pipedream_keeps_worker_and_cut_until_coverage_ends() -> None:
    """But for the cycle in which a worker is profiled."""
    env = make(scenario="vgg16-cifar10")
    switches, alone = 0, env.dynamics.system.n_layers
    for seed in range(3):
        trace = play(make_agent("edgemove", "pipedream-e", env, seed), env, 1, seed).trace
        assert trace is not None
        for before, after in pairwise(range(len(trace["worker"]))):
            if trace["worker"][before] < 0:
                continue
            if in_reach(env.dynamics.system, trace, before, int(trace["worker"][before])):
                assert trace["worker"][after] == trace["worker"][before]
                assert trace["cut"][after] == trace["cut"][before] or trace["cut"][before] == alone - 1
            else:
                assert trace["worker"][after] != trace["worker"][before]
                switches += 1
    assert switches > 5


# Whole trainings -----------------------------------------------------------------------------------------------------


def trained(scenario: str, name: str, seeds: int = 1) -> dict[str, float]:
    """Metrics over the ten trajectories, the mean over some of the agent's seeds."""
    env = make_batch(10, scenario=scenario, **get_spec("edgemove", name).env_kwargs)
    found = [play(make_agent("edgemove", name, env, seed), env, 10).metrics for seed in range(seeds)]
    return {key: float(np.mean([metrics[key] for metrics in found])) for key in ("speedup", "worker_switches")}


NAMES = ("on-device", "device-cloud", "pipedream-e", "edgemove-literal", "edgemove", "lookahead", "oracle")


SOME_TASKS = ["vgg16-cifar10", "resnet50-speech", *slow("resnet50-cinic10", "vgg16-agnews")]


@cache
def speedups(scenario: str) -> dict[str, float]:
    """By agent, over the ten trajectories."""
    seeds = {"pipedream-e": 3}  # much hangs on the servers that it draws
    return {name: trained(scenario, name, seeds.get(name, 1))["speedup"] for name in NAMES}


@pytest.mark.parametrize("task", SOME_TASKS)
def test_table_1s_order_and_where_ours_stand(task: str) -> None:
    """The paper's order with its setting, EdgeMove as printed; ours, the pipeline's model and the oracle beyond it."""
    found = speedups(task)
    assert found["on-device"] == pytest.approx(1.0, abs=0.01)
    assert found["device-cloud"] > 1.2
    assert found["pipedream-e"] > 1.02 * found["device-cloud"]
    assert found["edgemove-literal"] > 1.1 * found["pipedream-e"]
    assert found["edgemove"] > 1.5 * found["edgemove-literal"]
    assert found["lookahead"] > found["edgemove"]
    assert found["oracle"] > found["lookahead"]


@pytest.mark.parametrize("task", SOME_TASKS)
def test_in_the_city_edgemove_is_ahead_of_its_baselines(task: str) -> None:
    found = speedups(f"{task}-city")
    assert found["edgemove"] > 1.1 * max(found["device-cloud"], found["pipedream-e"], found["edgemove-literal"])
    assert found["lookahead"] > found["edgemove"]
    assert found["oracle"] > found["lookahead"]


@pytest.mark.parametrize("task", SOME_TASKS)
def test_edgemove_at_double_speed_stays_ahead_of_pipedream_at_single(task: str) -> None:
    fast = trained(f"{task}-x2", "edgemove")
    assert fast["speedup"] > 1.5 * speedups(task)["pipedream-e"]
    assert fast["worker_switches"] > trained(task, "edgemove")["worker_switches"]


# A plan as an agent --------------------------------------------------------------------------------------------------

SPARSE = {"scenario": "vgg16-cifar10", "n_sites": 40}  # fewer sites in reach than the list holds


def plan_of(
    worker: str, cut: int = 6, model: str = "vgg16_32", in_flight: int = 2, system: System = SYSTEM
) -> PipelinePlan:
    types = {"client": "pixel6a", worker: system.device_types.get(worker, "v100")}
    types.pop("none", None)
    return PipelinePlan(model, cut, worker, in_flight, types=types)


def played(plan: PipelinePlan, folder: Path, env: Any, seed: int = 0) -> Any:
    path = folder / "plan.json"
    save_plan(plan, path)
    trace = play(make_agent("edgemove", str(path), env), env, 1, seed).trace
    assert trace is not None
    return trace


def test_a_saved_plan_is_played_where_its_worker_is_in_reach(tmp_path: Path) -> None:
    env = make(**SPARSE)
    system = env.dynamics.system
    first = play(make_agent("edgemove", "edgemove", env), env, 1, seed=1)
    assert first.plan is not None
    assert first.trace is not None
    site = int(first.trace["worker"][-1])
    (tmp_path / "edgemove.json").write_text(json.dumps(first.plan))
    trace = play(make_agent("edgemove", str(tmp_path / "edgemove.json"), env), env, 1, seed=1).trace
    assert trace is not None
    assert first.plan["worker"] == f"site-{site}"
    there = [in_reach(system, trace, cycle, site) for cycle in range(len(trace["worker"]) - 1)]
    assert {True, False} == set(there)
    expected = [(system.points.index(first.plan["cut"]), site) if here else (system.n_layers, -1) for here in there]
    assert list(zip(trace["cut"][1:], trace["worker"][1:], strict=True)) == expected


def test_a_batch_plays_a_plan_as_single_envs_do(tmp_path: Path) -> None:
    batch = make_batch(4, **SPARSE)
    batch.reset(seed=0)
    site = int(batch.dynamics.listing.server[0, 0])
    path = tmp_path / "plan.json"
    plan = plan_of(f"site-{site}", system=batch.dynamics.system)
    save_plan(plan, path)
    play(make_agent("edgemove", str(path), batch), batch, 4)
    workers = batch.dynamics.trace["worker"]
    assert (workers[:, 0] == site).any()
    for seed in range(4):
        alone = played(plan, tmp_path, make(**SPARSE), seed)
        assert np.array_equal(alone["worker"], workers[:, seed])


@pytest.mark.parametrize(("worker", "cut", "server_index"), [("cloud", 6, SYSTEM.cloud), ("none", 20, -1)])
def test_plans_without_a_site(worker: str, cut: int, server_index: int, tmp_path: Path) -> None:
    trace = played(plan_of(worker, cut), tmp_path, ENV)
    assert set(trace["worker"]) == {server_index}
    assert set(trace["cut"]) == {cut}


WRONG: list[tuple[str, PipelinePlan, str]] = [
    (
        "resnet50-cinic10",
        plan_of("site-3", 19, "resnet50_32_pool"),
        "cut is 19, resnet50_32_pool can be cut behind 2, 3,",
    ),
    ("vgg16-cifar10", plan_of("site-3", 21), "cut is 21, allowed: 1..20"),
    ("vgg16-cifar10", plan_of("site-3", 0), "cut is 0, allowed: 1..20"),
    ("vgg16-cifar10", plan_of("site-125"), "types: site-125 (v100) is not in scenario vgg16-cifar10, which has client"),
    ("vgg16-cifar10", plan_of("site-3", in_flight=3), "in_flight is 3, that of vgg16-cifar10 is 2"),
    ("vgg16-cifar10", plan_of("none"), "worker is 'none' with cut 6, allowed: none behind all layers only"),
    ("vgg16-cifar10", plan_of("site-3", 20), "worker is 'site-3' with cut 20, allowed: none behind all layers only"),
    ("vgg16-agnews", plan_of("site-3"), "model is 'vgg16_32', expected 'vgg16_text'"),
]


@pytest.mark.parametrize(("scenario", "plan", "message"), WRONG)
def test_a_plan_that_does_not_fit_is_one_line(scenario: str, plan: PipelinePlan, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    save_plan(plan, path)
    with refused(start=f"{path}: {message}"):
        make_agent("edgemove", str(path), make(scenario=scenario))


# Learners ------------------------------------------------------------------------------------------------------------

TINY: dict[str, dict[str, Any]] = {
    "ppo": {"lanes": 3, "n_steps": 8, "batch_size": 12, "n_epochs": 1, "policy_kwargs": {"net_arch": [16]}},
    "a2c": {"lanes": 3, "n_steps": 8, "policy_kwargs": {"net_arch": [16]}},
    "dqn": {
        "lanes": 3, "batch_size": 8, "buffer_size": 400, "learning_starts": 12, "gradient_steps": 1,
        "policy_kwargs": {"net_arch": [16]},
    },
}  # fmt: skip
LEARNERS = ["ppo", "dqn", *slow("a2c")]


def learner_of(name: str, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    """(learner, the env that it is judged on)."""
    env = make(**{**SHORT, **options_for(get_spec("edgemove", name), options)})
    return make_agent("edgemove", name, env, seed, **TINY[name]), env


def walks_of(learner: Any) -> set[int]:
    """Numbers of the walks that its lanes take."""
    vec = learner.vec
    vec.seed(5)
    vec.reset()
    found = set(vec.env.dynamics.world.walk.tolist())
    for _ in range(25):
        _, _, done, _ = vec.step(np.array([vec.action_space.sample() for _ in range(vec.num_envs)]))
        if done.any():
            found |= set(vec.env.dynamics.world.walk.tolist())
    return found


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_never_walk_what_they_are_judged_on(name: str) -> None:
    learner, env = learner_of(name)
    assert env.dynamics.system.scenario.walks == "test"
    assert learner.vec.env.dynamics.system.scenario.walks == "train"
    walked = walks_of(learner)
    assert min(walked) >= 10
    assert len(walked) > 3
    env.reset(seed=4)
    assert env.dynamics.world.walk.tolist() == [4]


def test_what_the_user_asks_for_goes_first() -> None:
    learner, _ = learner_of("ppo", walks="test", near_mbps=200.0)
    scenario = learner.vec.env.dynamics.system.scenario
    assert (scenario.walks, scenario.near_mbps) == ("test", 200.0)
    assert walks_of(learner) <= set(range(10))


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_train_and_go_on_after_loading(name: str, tmp_path: Path) -> None:
    learner, env = learner_of(name)
    before = [p.detach().clone() for p in learner.model.policy.parameters()]
    reports: list[Any] = []
    learner.learn(6, None, reports.append)
    assert reports[-1].episodes >= 6
    assert any(
        not np.array_equal(a, b.detach()) for a, b in zip(before, learner.model.policy.parameters(), strict=True)
    )
    assert np.isnan(reports[-1].best)  # every walk has luck of its own
    assert np.isfinite(reports[-1].recent)
    learner.save(tmp_path)
    again, _ = learner_of(name, seed=9)
    again.load(tmp_path)
    assert play(again, env, 2).metrics["elapsed_s"] == play(learner, env, 2).metrics["elapsed_s"]
    assert again.best_plan == learner.best_plan
    reports.clear()
    again.learn(6, None, reports.append)
    assert not reports  # the budget is spent
    again.learn(9, None, reports.append)
    assert reports[0].episodes >= 6
    assert reports[-1].episodes >= 9


def test_the_best_plan_is_that_of_an_episodes_last_cycle() -> None:
    """Lanes have begun anew by the time that it is asked for."""
    learner, _ = learner_of("ppo")
    ends: list[tuple[float, int, int]] = []
    dynamics = learner.vec.env.dynamics
    measure = dynamics.metrics

    def metrics(lanes: np.ndarray) -> dict[str, np.ndarray]:
        found = measure(lanes)
        ends.extend(zip(found["elapsed_s"], dynamics.cut[lanes], dynamics.server[lanes], strict=True))
        return found

    dynamics.metrics = metrics
    learner.learn(9, None, lambda report: None)
    _, cut, worker = min(ends)
    plan = learner.best_plan
    assert (plan.cut, plan.worker) == (dynamics.system.points[cut], dynamics.system.worker_name(worker))
    assert len({end[1:] for end in ends}) > 1
