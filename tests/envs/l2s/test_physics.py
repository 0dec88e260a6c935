"""L2S's physics against plain arithmetic: delays, optimum, noise, synchronisation, the books of an episode."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from splitgym.envs.l2s.scenarios import SCENARIOS, get_scenario
from splitgym.envs.l2s.system import FEATURES, System
from splitgym.models.cuts import cut_points
from splitgym.models.lookup import get_model
from splitgym.models.plans import CutPlan
from splitgym.profiling.devices import get_device
from splitgym.ui.errors import InputError

from .reference import CUTS, link_of, make, make_batch, plain_delays_s, plain_totals_s, play, random_actions

PAPER = ("alexnet-gpu-60", "vgg16-cpu-60", "resnet34-gpu-100")
SUMMED = [FEATURES.index(name) for name in FEATURES if "bytes" not in name]


@pytest.mark.parametrize(
    ("model", "last", "names"),
    [
        ("alexnet", 11, {0: "input", 1: "conv1", 8: "pool5", 11: "fc3"}),
        ("vgg16", 21, {1: "conv1_1", 18: "pool5", 19: "fc1", 21: "fc3"}),
        ("resnet34", 17, {0: "input", 1: "conv2_1", 16: "conv5_3", 17: "fc1"}),
    ],
)
def test_partition_points_of_the_papers_networks(model: str, last: int, names: dict[int, str]) -> None:
    assert list(cut_points(get_model(model))) == CUTS[model]
    system = System(get_scenario(f"{model}-gpu-60"))
    assert (system.last, system.n_points) == (last, last - 3)
    assert {point: system.names[point] for point in names} == names


@pytest.mark.parametrize("privacy_point", [0, 4])
@pytest.mark.parametrize(
    ("name", "device", "mbps", "load"),
    [
        ("alexnet-gpu-60", "pi3", 60.0, 1.0),  # whose messages cost more than the edge's
        ("vgg16-cpu-60", "tx2-pytorch", 7.5, 3.0),
        ("resnet34-gpu-100", "nano", 200.0, 1.5),
    ],
)
def test_delay_of_every_point_is_the_sum_of_its_parts(
    name: str, device: str, mbps: float, load: float, privacy_point: int
) -> None:
    scenario = get_scenario(name, device=device, privacy_point=privacy_point, batch=5, optimizer="adam")
    system = System(scenario)
    delays_s = system.delay_s(np.array([mbps]), np.array([load]))[:, 0]
    assert delays_s == pytest.approx(plain_totals_s(scenario, mbps, load), rel=1e-12)
    for choice, point in enumerate(range(privacy_point, system.last + 1)):
        front_s, edge_s = plain_delays_s(scenario, point, mbps, load)
        assert system.front_s[choice] == pytest.approx(front_s, rel=1e-12)
        assert system.edge_delay_s(mbps, load, np.array([choice]))[0] == pytest.approx(edge_s, rel=1e-12)
    assert system.pdt_s == pytest.approx(plain_delays_s(scenario, system.last, mbps)[0], rel=1e-12)


def test_nothing_crosses_at_the_end_and_no_gradient_comes_back_to_the_image() -> None:
    system = System(get_scenario("vgg16-gpu-60", privacy_point=0, inputs="devices"))
    assert system.link_bits[-1] == system.message_s[-1] == system.edge_s[-1] == 0.0
    assert (system.link_bits[:-1] > 0).all()
    assert system.front_s[0] == 0.0
    assert system.link_bits[0] == pytest.approx(8 * 16 * (224 * 224 * 3 + 8) / 0.94)
    assert system.message_s[0] < 2 * get_device("tx2-pytorch").t_msg_s + 8 * 16 * (224 * 224 * 3 + 8) / 8e8
    floats = System(get_scenario("vgg16-gpu-60", privacy_point=0, inputs="devices", image_bytes=4))
    assert floats.link_bits[0] == pytest.approx(8 * 16 * (4 * 224 * 224 * 3 + 8) / 0.94)
    assert (floats.link_bits[1:] == system.link_bits[1:]).all()


def vgg16_features() -> np.ndarray:
    """The back part's work in every one of VGG-16's points, layer by layer from its published table."""
    side, channels, layers = 224, 3, []
    for wide, convs in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convs):
            values = side * side * wide
            layers.append([9 * channels * values, 0, values, values, 9 * channels * wide + wide, 0])
            channels = wide
        side //= 2
        layers.append([0, 0, side * side * wide, side * side * wide, 0, 0])
    for wide, inputs, relu in ((4096, 7 * 7 * 512, 1), (4096, 4096, 1), (1000, 4096, 0)):
        layers.append([0, wide * inputs, wide * relu, wide, 0, wide * inputs + wide])
    table = np.array(layers, dtype=float)
    rows = []
    for point in range(len(table)):
        conv, fc, elementwise, _, conv_weights, fc_weights = table[point:].sum(axis=0)
        values = table[point - 1, 3]
        forward, backward = (4 * values, 4 * values) if point else (224 * 224 * 3, 0)
        rows.append([conv, fc, elementwise, 16 * (forward + 8), 16 * backward, conv_weights, fc_weights, 0])
    rows.append([0.0] * 8)
    features = np.array(rows)
    return features / np.maximum(features.max(axis=0), 1.0)


def test_contexts_of_vgg16_are_those_of_its_published_table() -> None:
    contexts = System(get_scenario("vgg16-gpu-60", privacy_point=0, inputs="devices")).contexts
    assert contexts == pytest.approx(vgg16_features(), rel=1e-12)


def test_weights_of_resnet34_by_hand() -> None:
    """A block has two convolutions of 3 x 3, and one of 1 x 1 where the channels change; a norm behind each."""
    blocks = [64] * 3 + [128] * 4 + [256] * 6 + [512] * 3
    convs, norms = [], []
    for before, channels in zip([64, *blocks], blocks, strict=False):
        projects = before != channels
        convs.append(9 * before * channels + 9 * channels**2 + before * channels * projects)
        norms.append(2 * channels * (2 + projects))
    convs[0] += 49 * 3 * 64
    norms[0] += 2 * 64
    contexts = System(get_scenario("resnet34-gpu-60", privacy_point=0)).contexts
    for name, weights in (("conv weights", convs), ("norm weights", norms)):
        left = [sum(weights[p:]) / sum(weights) for p in range(17)] + [0.0]
        assert contexts[:, FEATURES.index(name)] == pytest.approx(left, rel=1e-12)


@pytest.mark.parametrize("name", [*PAPER, "googlenet-gpu-60", "inception_v3-gpu-60"])
@pytest.mark.parametrize("privacy_point", [0, 4])
def test_contexts_are_scaled_and_shrink_with_the_back_part(name: str, privacy_point: int) -> None:
    contexts = System(get_scenario(name, privacy_point=privacy_point)).contexts
    assert (contexts[-1] == 0.0).all()
    assert contexts.min() >= 0.0
    assert set(contexts.max(axis=0)) <= {0.0, 1.0}
    assert (np.diff(contexts[:, SUMMED], axis=0) <= 0).all()
    assert (contexts[:-1, FEATURES.index("forward bytes")] > 0).all()


def test_at_the_last_point_alone_there_is_nothing_to_decide() -> None:
    env = make(privacy_point=11, rounds=3)
    assert env.action_space == gym.spaces.Discrete(1)
    assert not env.reset(seed=0)[0]["contexts"].any()
    rounds, _, info = play(env, [0, 0, 0])
    assert all(r["edge_delay_s"] == 0.0 and r["point"] == 11 for r in rounds)
    assert info["regret_s"] == 0.0


# The optimum and what is lost against it.


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mbps_changes": [[1, 5.0], [4, 400.0], [9, 30.0], [10, 1.0], [11, 2.0]]},
        {"load_changes": [[3, 40.0], [6, 1.0]], "edge_load": 2.0, "mbps_changes": [[5, 500.0]]},
    ],
    ids=["constant", "rates", "loads"],
)
def test_the_optimum_is_that_of_trying_every_point(name: str, changes: dict[str, Any]) -> None:
    """Rates and loads change exactly at their rounds, and so does the optimum."""
    scenario = get_scenario(name, rounds=12, noise=0.0, **changes)
    env = make(name, rounds=12, noise=0.0, **changes)
    points = env.dynamics.system.n_points
    played = [play(env, [choice] * 12)[0] for choice in range(points)]
    mbps_of, load_of = scenario.mbps, scenario.edge_load
    for t in range(12):
        mbps_of = dict(scenario.mbps_changes).get(t, mbps_of)
        load_of = dict(scenario.load_changes).get(t, load_of)
        expected = plain_totals_s(scenario, mbps_of, load_of)
        assert [rounds[t]["delay_s"] for rounds in played] == pytest.approx(expected, rel=1e-12)
        assert {rounds[t]["oracle_delay_s"] for rounds in played} == {min(r[t]["delay_s"] for r in played)}


@pytest.mark.parametrize("name", ["resnet34-dynamic", "alexnet-gpu-100"])
def test_regret_is_what_each_round_costs_beyond_the_optimum(name: str) -> None:
    """On a seeded trace as on rates by round, a plain walk through the trace giving every round's delays."""
    changes = {} if name == "resnet34-dynamic" else {"mbps_changes": [[7, 8.0]], "load_changes": [[20, 9.0]]}
    scenario, env = get_scenario(name, rounds=40, **changes), make(name, rounds=40, noise=0.2, **changes)
    rounds, _, info = play(env, random_actions(env), seed=3)
    link = link_of(env) if scenario.varies else None
    load, regret_s, clock_s = 1.0, 0.0, 0.0
    for t, told in enumerate(rounds):
        load = dict(scenario.load_changes).get(t, load)
        mbps = float(info["trace"]["mbps"][t])
        assert link is None or mbps == link.at(clock_s)
        totals = plain_totals_s(scenario, link or mbps, load, start_s=clock_s)
        assert told["oracle_delay_s"] == pytest.approx(min(totals), rel=1e-6)
        assert told["regret_s"] >= (rounds[t - 1]["regret_s"] if t else 0.0)
        regret_s += totals[told["point"] - 4] - min(totals)
        assert told["regret_s"] == pytest.approx(regret_s, rel=1e-6, abs=1e-9)
        clock_s += told["delay_s"] + told["sync_s"]


def test_the_optimum_has_no_regret() -> None:
    env = make("alexnet-gpu-100", rounds=30, mbps_changes=[[10, 2.0], [20, 300.0]], noise=0.2)
    system = env.dynamics.system
    mbps = np.repeat([100.0, 2.0, 300.0], 10)
    best = system.delay_s(mbps, np.ones(30)).argmin(axis=0)
    assert len(set(best)) > 1
    rounds, _, info = play(env, best, seed=0)
    assert {r["regret_s"] for r in rounds} == {0.0}
    assert info["regret_s"] == 0.0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_round_beats_the_optimum(scenario: str) -> None:
    changes = [(10 * i, mbps) for i, (_, mbps) in enumerate(SCENARIOS[scenario].mbps_changes, start=1)]
    env = make(scenario, rounds=30, noise=0.0, mbps_changes=changes)
    rounds, _, _ = play(env, random_actions(env), seed=1)
    assert all(r["delay_s"] >= r["oracle_delay_s"] > 0 for r in rounds)


# Noise.


def test_noise_has_the_spread_that_it_says_and_no_bias() -> None:
    count = 3000
    env = make(rounds=count, noise=0.1)
    system = env.dynamics.system
    rounds, _, _ = play(env, [2] * count, seed=4)
    expected_s = system.front_s[2] + system.edge_delay_s(60.0, 1.0, np.array([2]))[0]
    relative = np.array([r["delay_s"] for r in rounds]) / expected_s - 1.0
    assert relative.std() == pytest.approx(0.1, rel=0.04)
    assert abs(relative.mean()) < 4 * 0.1 / np.sqrt(count)
    assert len(set(relative)) == count  # no draw comes twice
    assert abs(np.corrcoef(relative[:-1], relative[1:])[0, 1]) < 0.05


@pytest.mark.parametrize("choice", [0, 5, 7])
def test_the_edge_delay_is_what_is_left_of_the_rounds(choice: int) -> None:
    """Only d - d^m is ever seen of the edge; on the device alone nothing is, though the round is noisy too."""
    env = make(rounds=20, noise=0.2)
    env.reset(seed=1)
    delays = set()
    for _ in range(20):
        observation, *_, info = env.step(choice)
        told = info["round"]
        delays.add(told["delay_s"])
        seen_s = 0.0 if choice == 7 else told["delay_s"] - env.dynamics.system.front_s[choice]
        assert told["edge_delay_s"] == seen_s
        assert observation["last_edge_delay"][0] == np.float32(seen_s / env.dynamics.system.pdt_s)
        assert observation["last_point"].tolist() == [float(i == choice) for i in range(8)]
    assert len(delays) == 20


def test_the_mean_over_many_seeds_is_the_expected_delay() -> None:
    lanes = 4000
    batch = make_batch(lanes, rounds=3, noise=0.2)
    batch.reset(seed=0)
    info: dict[str, Any] = {}
    for choice in (0, 3, 7):
        *_, info = batch.step(np.full(lanes, choice))
    totals = plain_totals_s(get_scenario("alexnet-gpu-60"), 60.0)
    expected_s = (totals[0] + totals[3] + totals[7]) / 3
    assert info["delay_s"].mean() == pytest.approx(expected_s, rel=5 * 0.2 / np.sqrt(lanes))
    assert len(set(info["delay_s"])) == lanes


# Rewards, the books of an episode, seeds.


@pytest.mark.parametrize("sync", ["period", "change", "ask"])
@pytest.mark.parametrize("reward", ["delay", "total"])
def test_rewards_and_metrics_are_what_the_rounds_tell(reward: str, sync: str) -> None:
    env = make("resnet34-gpu-60", reward=reward, sync=sync, rounds=50, sync_period=8, mbps_changes=[[9, 25.0]])
    pdt_s = plain_delays_s(get_scenario("resnet34-gpu-60"), 17, 60.0)[0]
    rounds, rewards, info = play(env, random_actions(env), seed=2)
    told = {name: np.array([r[name] for r in rounds]) for name in rounds[0]}
    assert told["sync_s"].any()
    costs = told["delay_s"] + told["sync_s"] if reward == "total" else told["delay_s"]
    assert rewards == pytest.approx((-costs / pdt_s).tolist(), rel=1e-12)
    metrics = info["metrics"]
    for name in ("delay_s", "edge_delay_s", "oracle_delay_s"):
        assert metrics[name] == pytest.approx(told[name].mean(), rel=1e-9)
    assert metrics["sync_s"] == pytest.approx(told["sync_s"].sum())
    assert metrics["total_s"] == pytest.approx(told["delay_s"].sum() + told["sync_s"].sum())
    assert metrics["saved"] == pytest.approx(1 - metrics["total_s"] / (50 * pdt_s))
    assert metrics["regret_s"] == told["regret_s"][-1]
    trace = info["trace"]
    assert set(trace) == {"point", "delay_s", "expected_s", "edge_delay_s", "oracle_delay_s", "sync_s", "mbps"}
    assert trace["point"].tolist() == told["point"].tolist()
    for name in ("delay_s", "edge_delay_s", "oracle_delay_s", "sync_s"):
        assert trace[name].shape == (50,)
        assert trace[name] == pytest.approx(told[name].astype(np.float32))
    assert trace["mbps"].tolist() == [60.0] * 9 + [25.0] * 41
    slow, fast = (plain_totals_s(get_scenario("resnet34-gpu-60"), mbps) for mbps in (25.0, 60.0))
    expected = [(fast if t < 9 else slow)[point - 4] for t, point in enumerate(trace["point"])]
    assert trace["expected_s"] == pytest.approx(np.array(expected, dtype=np.float32))
    assert trace["expected_s"].shape == (50,)


def test_an_episode_begins_with_nothing_known() -> None:
    env = make(rounds=8)
    for seed in (0, None, 5):
        observation, _ = env.reset(seed=seed)
        for name in ("last_point", "last_edge_delay", "round", "stale_layers"):
            assert not observation[name].any()
        assert observation["device_delay"] == pytest.approx(env.dynamics.system.front_s / env.dynamics.system.pdt_s)
        assert np.array_equal(observation["contexts"], env.dynamics.system.contexts.astype(np.float32))
        for t in range(3 if seed == 0 else 8):
            observation, *_ = env.step(t % 7)
            assert observation["round"] == np.float32((t + 1) / 8)
            assert observation["last_edge_delay"] > 0


def test_a_kept_trace_is_not_written_over() -> None:
    env = make(rounds=6)
    _, _, info = play(env, [0] * 6, seed=0)
    kept = {name: values.copy() for name, values in info["trace"].items()}
    play(env, [7] * 6)
    assert all(np.array_equal(info["trace"][name], values) for name, values in kept.items())


def test_without_a_record_there_is_no_trace_and_no_plan() -> None:
    env = make(rounds=4, record=False)
    _, _, info = play(env, [1] * 4, seed=0)
    assert info["trace"] == {}
    assert "plan" not in info
    assert env.dynamics.plan(0) is None
    with_record = play(make(rounds=4), [1] * 4, seed=0)[2]
    assert info["metrics"] == with_record["metrics"]


def test_only_the_scalar_env_tells_of_every_round() -> None:
    batch = make_batch(2, rounds=3)
    batch.reset(seed=0)
    for _ in range(2):
        assert batch.step(np.zeros(2, dtype=int))[4] == {}
    info = batch.step(np.zeros(2, dtype=int))[4]
    assert "metrics" in info
    assert not {"round", "trace", "plan"} & set(info)


def test_reset_with_a_seed_restarts_and_without_one_goes_on() -> None:
    env = make("resnet34-dynamic", rounds=25)
    first, second, again, other = (play(env, [3] * 25, seed)[2]["trace"] for seed in (7, None, 7, 8))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["mbps"], second["mbps"])
    assert not np.array_equal(first["mbps"], other["mbps"])
    assert not np.array_equal(first["delay_s"] / first["oracle_delay_s"], second["delay_s"] / second["oracle_delay_s"])


@pytest.mark.parametrize(
    ("changes", "random"), [({"noise": 0.0}, False), ({}, True), ({"dynamic": True, "noise": 0.0}, True)]
)
def test_whether_seeds_matter_is_told(changes: dict[str, Any], random: bool) -> None:
    env = make("resnet34-gpu-60", rounds=10, **changes)
    assert env.dynamics.is_random == random
    assert (play(env, [5] * 10, 1)[1] != play(env, [5] * 10, 2)[1]) == random


# Plans.

TYPES = {"device": "tx2-pytorch-measured", "edge": "gtx1080ti"}


def test_the_plan_is_the_last_tenths_most_frequent_point() -> None:
    env = make("resnet34-gpu-60", rounds=40)
    _, _, info = play(env, [0] * 36 + [9, 9, 9, 2], seed=0)
    plan = env.dynamics.plan(0)
    assert plan is not None
    assert plan == CutPlan("resnet34", CUTS["resnet34"][4 + 9], types=TYPES)
    assert info["plan"] == plan.to_json()
    assert plan.validate(get_model("resnet34")) is plan
    env = make(rounds=5)
    play(env, [0, 0, 0, 0, 6], seed=0)
    assert env.dynamics.plan(0) == CutPlan("alexnet_2012", 10, types=TYPES)


@pytest.mark.parametrize("name", ["alexnet-gpu-60", "resnet34-gpu-60"])
def test_a_plans_actions_carry_it_out(name: str) -> None:
    env = make(name, rounds=20, noise=0.0)
    for choice in range(env.dynamics.system.n_points):
        play(env, [choice] * 20)
        plan = env.dynamics.plan(0)
        assert plan is not None
        actions = env.dynamics.plan_actions(plan)
        assert actions.tolist() == [choice] * 20
        _, _, info = play(env, actions)
        assert info["trace"]["point"].tolist() == [4 + choice] * 20
        assert env.dynamics.plan(0) == plan


@pytest.mark.parametrize("cut", [2, 3, 19, 21])
def test_a_plan_that_cuts_elsewhere_is_one_line(cut: int) -> None:
    """In ResNet-34 with P^c = 4: in front of P^c, within the stem, in front of fc1, beyond the end."""
    with pytest.raises(InputError, match=rf"^.*cut is {cut}.*resnet34-gpu-60 are 6, 7, .*18, 20.*\Z"):
        make("resnet34-gpu-60").dynamics.plan_actions(CutPlan("resnet34", cut, types=TYPES))
