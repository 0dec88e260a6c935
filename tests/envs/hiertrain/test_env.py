"""HierTrain's env: actions, drifting rates, the books of an episode, pictures."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.figures import frame
from splitgym.envs.hiertrain.actions import decode, encode
from splitgym.envs.hiertrain.cost import COSTS, event_s, iteration_s, layers_s, terms
from splitgym.envs.hiertrain.planning import ExactPlanner
from splitgym.envs.hiertrain.rates import DEVICE_EDGE_FACTORS, EDGE_CLOUD_FACTORS
from splitgym.envs.hiertrain.scenarios import get_scenario
from splitgym.envs.hiertrain.schedule import ROLES, alone
from splitgym.envs.hiertrain.system import System
from splitgym.envs.hiertrain.viewer import COLORS, layers_timeline, plan_figure, timeline

from .episodes import make, make_batch, play, random_actions, rates_of
from .reference import (
    Plan,
    every_schedule,
    hand_out_loop_s,
    layers_loop_s,
    links,
    paper_loop_s,
    plain_of,
    random_plain,
    random_plan,
    random_rates,
    scored,
    to_plan,
    to_schedules,
    toy_system,
)

ACTION = st.lists(st.floats(-3.0, 3.0, width=32), min_size=8, max_size=8)


# Actions.


@pytest.mark.parametrize(("n_layers", "batch"), [(1, 1), (1, 7), (2, 3), (3, 12), (4, 5)])
def test_every_schedule_has_an_action(n_layers: int, batch: int) -> None:
    plans = every_schedule(n_layers, batch)[1].canonical()
    actions = encode(plans, n_layers)
    assert actions.dtype == np.float32
    assert actions.shape == (len(plans), 8)
    assert np.abs(actions).max() <= 1.0
    again = decode(actions, n_layers, batch).canonical()
    for name in ("worker", "m_s", "m_l", "b"):
        assert np.array_equal(getattr(again, name), getattr(plans, name))


@given(seed=st.integers(0, 2**32 - 1), n_layers=st.integers(1, 25), batch=st.integers(1, 2000))
@settings(max_examples=300)
def test_any_schedule_has_an_action(seed: int, n_layers: int, batch: int) -> None:
    rng = np.random.default_rng(seed)
    plans = to_schedules([random_plan(rng, n_layers, batch) for _ in range(8)]).canonical()
    again = decode(encode(plans, n_layers), n_layers, batch).canonical()
    assert [to_plan(again, i) for i in range(8)] == [to_plan(plans, i) for i in range(8)]


@given(action=ACTION, n_layers=st.integers(1, 25), batch=st.integers(1, 400))
@settings(max_examples=400)
def test_any_action_is_a_schedule(action: list[float], n_layers: int, batch: int) -> None:
    plan = to_plan(decode(np.array([action], dtype=np.float32), n_layers, batch))
    assert sorted(plan.roles) == [0, 1, 2]
    assert 0 <= plan.m_s <= plan.m_l <= n_layers
    assert min(plan.b) >= 0
    assert sum(plan.b) == batch
    assert plan.m_s > 0 or plan.b[1] == 0
    assert plan.m_l > 0 or plan.b[2] == 0
    score = np.clip(action[:3], -1.0, 1.0)
    assert all(score[a] >= score[b] for a, b in pairwise(plan.roles))
    inside = np.clip(np.array([action], dtype=np.float32), -1.0, 1.0)
    assert to_plan(decode(inside, n_layers, batch)) == plan  # what lies outside the box counts as its border


@pytest.mark.parametrize(
    ("action", "plan"),
    [
        ([1, 0, -1, -1, -1, 1, 1, 1], Plan((0, 1, 2), 0, 0, (12, 0, 0))),
        ([-1, 0, 1, -1, 1, 1, 1, 1], Plan((2, 1, 0), 0, 6, (6, 0, 6))),
        ([0, 1, -1, 1, 0, 0, 0, 0], Plan((1, 0, 2), 3, 6, (4, 4, 4))),
        ([0, 1, -1, 0, 1, 0, 0, 0], Plan((1, 0, 2), 3, 6, (4, 4, 4))),  # the lower cut is m_s
        ([0, 0, 0, 1, 1, 1, -1, -1], Plan((0, 1, 2), 6, 6, (12, 0, 0))),  # of equal scores the first
        ([-1, 0, 0, 0.4, 0.3, -1, -1, 1], Plan((1, 2, 0), 4, 4, (0, 0, 12))),
        ([0, -1, 0, 1, 1, np.log(2) / 4, 0, np.log(3) / 4], Plan((0, 2, 1), 6, 6, (4, 2, 6))),
    ],
    ids=str,
)
def test_actions_by_hand(action: list[float], plan: Plan) -> None:
    assert to_plan(decode(np.array([action]), 6, 12)) == plan


def test_largest_remainders() -> None:
    """Shares of 10 samples: 4.6, 3.3, 2.1 and 3.7, 3.7, 2.6 leave one and two over."""
    for share, expected in (([4.6, 3.3, 2.1], (5, 3, 2)), ([3.7, 3.7, 2.6], (4, 4, 2)), ([3.4, 3.4, 3.2], (4, 3, 3))):
        raw = np.log(share) / 4.0
        action = np.array([[1.0, 0.0, -1.0, 1.0, 1.0, *(raw - raw.max())]])
        assert to_plan(decode(action, 3, 10)).b == expected


def test_all_six_mappings_are_reached() -> None:
    scores = [[float(np.where(ROLES[:, c] == w)[0][0]) for w in range(3)] for c in range(6)]
    actions = np.array([[*(1.0 - np.array(s)), 1, 1, 0, 0, 0] for s in scores])
    assert decode(actions, 3, 3).worker.tolist() == ROLES.tolist()


@pytest.mark.parametrize("shape", [(7,), (1, 8), (), (9,)], ids=str)
def test_an_action_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    env = make(blocks=2, optimum=False)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"\(8,\)"):
        env.step(np.zeros(shape, dtype=np.float32))


def test_actions_that_are_none_are_refused() -> None:
    env = make(blocks=2, optimum=False)
    env.reset(seed=0)
    for at in range(8):
        action = np.zeros(8, dtype=np.float32)
        action[at] = np.nan
        with pytest.raises(ValueError, match="NaN"):
            env.step(action)
    layers = make("lenet5-2", plans="layers", blocks=2)
    layers.reset(seed=0)
    with pytest.raises(ValueError, match=r"\(7,\)"):
        layers.step(np.zeros(8, dtype=int))
    for outside in (-1, 3):
        with pytest.raises(ValueError, match=r"outside 0\.\.2"):
            layers.step(np.full(7, outside))
    with pytest.raises(ValueError, match="NaN"):
        layers.step(np.full(7, np.nan))
    assert layers.step(np.zeros(7, dtype=int))[1] < 0  # what was refused has not been played


# Rates.


def test_rates_walk_over_the_grid_by_single_steps() -> None:
    lanes, blocks = 200, 60
    batch = make_batch(lanes, "alexnet-drift", blocks=blocks)
    dynamics: Any = batch.dynamics
    batch.reset(seed=0)
    seen = [dynamics.rates.at.copy()]
    for _ in range(blocks):
        batch.step(np.zeros((lanes, 8), dtype=np.float32))
        seen.append(dynamics.rates.at.copy())
    at = np.array(seen)
    assert at.min() == 0
    assert (at.max(axis=(0, 2)) == [4, 7]).all()
    moves = np.diff(at, axis=0)
    assert np.abs(moves).max() == 1
    inside = (at[:-1] > 0) & (at[:-1] < np.array([4, 7])[:, None])
    for way in (-1, 1):
        assert (moves[inside] == way).mean() == pytest.approx(0.2, abs=0.015)
    assert abs(np.corrcoef(moves[:, 0].ravel(), moves[:, 1].ravel())[0, 1]) < 0.05
    assert len({tuple(lane.ravel()) for lane in at.transpose(2, 0, 1)}) == lanes
    first = np.array([np.bincount(at[0, link], minlength=n) / lanes for link, n in ((0, 5), (1, 8))], dtype=object)
    assert all(np.abs(share - 1 / len(share)).max() < 0.12 for share in first)


def test_the_traces_rates_are_the_nominal_ones_times_the_grid() -> None:
    env = make("alexnet-drift", blocks=80, edge_cloud_mbps=6.0, device_edge_mbps=20.0, optimum=False)
    shown = rates_of(play(env, random_actions(env), seed=3)[2]["trace"])
    for rates, nominal, factors in zip(shown, (20.0, 6.0), (DEVICE_EDGE_FACTORS, EDGE_CLOUD_FACTORS), strict=True):
        assert set(rates.tolist()) <= {float(np.float32(nominal * f)) for f in factors}
        assert len(set(rates.tolist())) > 2


def test_reset_goes_on_and_reset_with_a_seed_begins_another_walk() -> None:
    env, whole = (make("alexnet-drift", blocks=blocks, optimum=False) for blocks in (20, 20))
    actions = random_actions(env)
    parts = [rates_of(play(env, actions, seed)[2]["trace"]) for seed in (5, None, 5, None, 6)]
    for one, other in ((0, 2), (1, 3)):
        assert np.array_equal(parts[one], parts[other])
    for one, other in ((0, 1), (0, 4)):
        assert not np.array_equal(parts[one], parts[other])
    whole.reset(seed=5)
    for _ in range(20):
        observation, *_ = whole.step(actions[0])
    after, _ = whole.reset()
    assert np.array_equal(after[:2], observation[:2])  # the walk goes on where the episode has ended
    nominal = np.array([5.0, 3.0], dtype=np.float32)
    assert parts[1][:, 0] == pytest.approx(after[:2] * nominal, rel=1e-6)


def test_without_drift_rates_stay() -> None:
    env = make("alexnet-2.5", blocks=9, device_edge_mbps=7.0)
    assert not env.dynamics.is_random
    for seed in (0, None, 1):
        assert (rates_of(play(env, random_actions(env), seed)[2]["trace"]) == np.array([[7.0], [2.5]])).all()
    assert make("alexnet-drift", optimum=False).dynamics.is_random


# The books of an episode.


@pytest.mark.parametrize(
    ("name", "changes"),
    [("alexnet-drift", {}), ("lenet5-1.5", {"relay": "store", "share_links": True}), ("lenet5-drift", {"batch": 9})],
    ids=str,
)
def test_rewards_metrics_and_trace_are_what_the_blocks_tell(name: str, changes: dict[str, Any]) -> None:
    env = make(name, blocks=30, iterations=70, **changes)
    system, actions = env.dynamics.system, random_actions(env, 4)
    plain, n, batch = plain_of(system), system.n_layers, system.batch
    blocks, rewards, info = play(env, actions, seed=2)
    nominal = (1e6 * system.scenario.device_edge_mbps, 1e6 * system.scenario.edge_cloud_mbps)
    reference_s = paper_loop_s(plain, Plan((1, 0, 2), 0, 0, (batch, 0, 0)), nominal)
    plans = [to_plan(decode(a[None], n, batch)) for a in actions]
    trace, exact = info["trace"], ExactPlanner(system)
    grid = env.dynamics.rates.grid
    for t, (told, plan) in enumerate(zip(blocks, plans, strict=True)):
        shown = rates_of(trace)[:, t] * 1e6
        rates = [float(g[np.abs(g - r).argmin()]) for g, r in zip(grid, shown, strict=True)]
        assert told["iteration_s"] == pytest.approx(paper_loop_s(plain, plan, rates), rel=1e-9)
        replan_s = hand_out_loop_s(plain, plans[t - 1], plan, rates) if t else 0.0
        assert told["replan_s"] == pytest.approx(replan_s, rel=1e-9)
        assert told["optimal_s"] == exact.best(*rates).seconds
        assert told["gap"] == told["iteration_s"] / told["optimal_s"] - 1.0 >= -1e-12
        assert rewards[t] == pytest.approx(-(told["iteration_s"] + replan_s / 70) / reference_s, rel=1e-9)
    told = {key: np.array([b[key] for b in blocks]) for key in blocks[0]}
    assert told["replan_s"].any()
    metrics = info["metrics"]
    mean_s = told["iteration_s"].mean() + told["replan_s"].sum() / (30 * 70)
    assert metrics["iteration_s"] == pytest.approx(mean_s, rel=1e-9)
    assert metrics["optimal_s"] == pytest.approx(told["optimal_s"].mean(), rel=1e-9)
    assert metrics["gap"] == pytest.approx(told["gap"].mean(), rel=1e-9)
    assert metrics["replan_s"] == pytest.approx(told["replan_s"].sum(), rel=1e-9)
    assert metrics["speedup"] == pytest.approx(reference_s / mean_s, rel=1e-9)
    assert metrics["regret_s"] == pytest.approx(mean_s - told["optimal_s"].mean(), rel=1e-9)
    assert -sum(rewards) / 30 == pytest.approx(1.0 / metrics["speedup"], rel=1e-9)
    assert set(trace) == {"device_edge_mbps", "edge_cloud_mbps", "iteration_s", "replan_s", "optimal_s"}
    for key in ("iteration_s", "replan_s", "optimal_s"):
        assert trace[key] == pytest.approx(told[key].astype(np.float32), rel=1e-6)
    last = scored(plans[-1])
    names, points = ("device", "edge", "cloud"), system.points
    assert info["plan"]["roles"] == [names[w] for w in last.roles]
    assert (info["plan"]["m_s"], info["plan"]["m_l"]) == (points[last.m_s], points[last.m_l])
    assert info["plan"]["b"] == list(last.b)


@pytest.mark.parametrize("bits", [32, 8])
def test_books_of_layer_assignments(bits: int) -> None:
    env = make("lenet5-drift", plans="layers", activation_bits=bits, blocks=12, iterations=50)
    system = env.dynamics.system
    plain, rng = plain_of(system), np.random.default_rng(bits)
    owners = rng.integers(0, 3, (12, system.n_layers))
    blocks, rewards, info = play(env, owners, seed=1)
    for t, told in enumerate(blocks):
        rates = (rates_of(info["trace"])[:, t] * 1e6).tolist()
        assert told["iteration_s"] == pytest.approx(sum(layers_loop_s(plain, owners[t], rates, bits)), rel=1e-6)
        moved_s = [0.0] * 3  # by receiver
        if t:
            for bit, old, new in zip(plain.weights, owners[t - 1], owners[t], strict=True):
                moved_s[new] += bit / min(rates[link] for link in links(old, new)) if old != new else 0.0
        assert told["replan_s"] == pytest.approx(max(moved_s), rel=1e-6)
        expected = -(told["iteration_s"] + told["replan_s"] / 50) / env.dynamics.reference_s
        assert rewards[t] == pytest.approx(expected, rel=1e-9)
    assert "plan" not in info
    assert env.dynamics.plan(0) is None


def test_the_makespan_as_cost() -> None:
    env, paper = (make("alexnet-3.5", cost=cost, blocks=6) for cost in ("event", "paper"))
    actions, system = random_actions(env), env.dynamics.system
    blocks, _, info = play(env, actions, seed=0)
    plans = decode(actions, system.n_layers, system.batch)
    expected = event_s(terms(system, plans, *system.nominal))
    assert [b["iteration_s"] for b in blocks] == pytest.approx(expected.tolist(), rel=1e-12)
    assert all(set(b) == {"iteration_s", "replan_s"} for b in blocks)  # the optimum is that of the paper's cost
    assert np.isnan([info["metrics"][name] for name in ("optimal_s", "gap", "regret_s")]).all()
    by_paper, _, _ = play(paper, actions, seed=0)
    assert all(a["iteration_s"] <= b["iteration_s"] * (1 + 1e-12) for a, b in zip(blocks, by_paper, strict=True))
    assert env.dynamics.reference_s == paper.dynamics.reference_s  # a single worker meets no barrier


def test_the_optimum_of_every_point_of_the_grid_is_the_exact_one() -> None:
    dynamics: Any = make("lenet5-drift").dynamics
    exact, (slow, fast) = ExactPlanner(dynamics.system), dynamics.rates.grid
    at = np.array([(i, j) for i in range(len(slow)) for j in range(len(fast))]).T
    for order in (at[:, ::-1], at):  # computed, then looked up
        expected = [exact.best(slow[i], fast[j]).seconds for i, j in order.T]
        assert dynamics.optimum.seconds(order).tolist() == expected
    assert len(slow) * len(fast) == 40


def test_observations_say_what_the_table_says() -> None:
    env = make("alexnet-drift", blocks=5, optimum=False)
    system = env.dynamics.system
    observation, _ = env.reset(seed=4)
    assert observation.shape == (21,)
    assert not observation[8:].any()
    per_sample = (system.forward_s + system.backward_s)[:, -1]
    assert observation[2:5] * env.dynamics.reference_s == pytest.approx(128 * per_sample, rel=1e-5)
    bits = observation[5:8] * env.dynamics.reference_s * 5e6
    assert bits[0] == pytest.approx(128 * 32 * 64 * 64 * 3, rel=1e-5)
    assert bits[1] == pytest.approx(system.weight_bits[-1], rel=1e-5)
    assert bits[2] == pytest.approx(128 * min(system.output_bits[1:-1]), rel=1e-5)
    action = encode(to_schedules([Plan((2, 0, 1), 3, 8, (28, 40, 60))]), system.n_layers)[0]
    observation, *_, info = env.step(action)
    assert observation[8:14].tolist() == [0, 0, 0, 0, 1, 0]
    assert observation[14:16] == pytest.approx([3 / 11, 8 / 11])
    assert observation[16:19] == pytest.approx([28 / 128, 40 / 128, 60 / 128])
    assert observation[19] == pytest.approx(info["block"]["iteration_s"] / env.dynamics.reference_s, rel=1e-6)
    assert observation[20] == np.float32(1 / 5)
    for _ in range(4):
        *_, info = env.step(action)
    assert not env.reset()[0][8:].any()
    assert make("lenet5-2", plans="layers").observation_space.shape == (10 + 3 * 7,)


def test_standing_still_costs_no_weights() -> None:
    env = make("alexnet-drift", blocks=10, optimum=False)
    action = random_actions(env)[0]
    blocks, _, _ = play(env, [action] * 10, seed=0)
    assert {b["replan_s"] for b in blocks} == {0.0}
    play(env, random_actions(env, 1))  # the plan of an episode before is not what the next begins with
    assert play(env, random_actions(env, 2))[0][0]["replan_s"] == 0.0


# Pictures.


@given(seed=st.integers(0, 2**32 - 1), cost=st.sampled_from(sorted(COSTS)))
def test_the_timeline_ends_when_the_iteration_does(seed: int, cost: str) -> None:
    """Something computes or arrives on a worker; computing never overlaps there; o's end or an update is last."""
    rng = np.random.default_rng(seed)
    n_layers, batch = int(rng.integers(1, 7)), int(rng.integers(1, 20))
    system, rates = toy_system(random_plain(rng, n_layers, batch)), random_rates(rng)
    plan = to_schedules([random_plan(rng, n_layers, batch)])
    bars = timeline(system, plan, *rates, cost)
    seconds = float(iteration_s(system, plan, *rates, cost)[0])
    assert max((bar.end_s for bar in bars), default=0.0) == pytest.approx(seconds, rel=1e-12)
    assert all(bar.kind in COLORS and 0 <= bar.start_s < bar.end_s for bar in bars)
    for worker in range(3):
        computes = sorted((b.start_s, b.end_s) for b in bars if b.worker == worker and b.kind != "receive")
        ends = [end for _, end in computes[:-1]]
        assert all(end <= start * (1 + 1e-9) + 1e-12 for end, (start, _) in zip(ends, computes[1:], strict=True))
    at_work = {w for w, b in zip(plan.canonical().worker[:, 0], plan.canonical().b[:, 0], strict=True) if b > 0}
    assert {bar.worker for bar in bars} <= at_work | {int(plan.canonical().worker[0, 0])}


def test_frames_show_the_schedule() -> None:
    system = System(get_scenario("alexnet-3.5"))
    plan = to_schedules([Plan((2, 0, 1), 3, 8, (28, 40, 60))])
    drawn, empty = frame(plan_figure(system, plan, *system.nominal)), frame(plan_figure(system, None, *system.nominal))
    for picture in (drawn, empty):
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3

    def shows(frame: np.ndarray, color: str) -> bool:
        wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
        return bool((np.abs(frame.astype(int) - wanted).max(axis=2) < 3).sum() > 50)

    assert all(shows(drawn, COLORS[kind]) for kind in ("forward", "backward"))
    assert not any(shows(empty, COLORS[kind]) for kind in ("forward", "backward"))
    other = frame(plan_figure(system, alone(1, 128), *system.nominal))
    assert not np.array_equal(drawn, other)


def test_rendering_follows_the_last_block() -> None:
    env = make("alexnet-3.5", render_mode="rgb_array", blocks=3, optimum=False)
    env.reset(seed=0)
    pictures: list[Any] = [env.render()]
    for action in random_actions(env, 1):
        env.step(action)
        pictures.append(env.render())
    assert all(not np.array_equal(a, b) for a, b in pairwise(pictures))


@pytest.mark.parametrize("owner", [[0] * 11, [0] * 4 + [2] * 7, [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2], [1, 2] * 5 + [0]])
def test_a_layer_assignments_picture_ends_when_its_iteration_does(owner: list[int]) -> None:
    system = System(get_scenario("alexnet-3.5"))
    for bits in (32, 8):
        bars = layers_timeline(system, np.array(owner), *system.nominal, bits)
        seconds = float(layers_s(system, np.array(owner)[:, None], *system.nominal, bits)[0])
        assert max(bar.end_s for bar in bars) == pytest.approx(seconds)
        assert all(bar.kind in COLORS and bar.end_s > bar.start_s for bar in bars)


def test_layer_assignments_are_drawn() -> None:
    env = gym.make("splitgym/HierTrain-v0", plans="layers", render_mode="rgb_array", blocks=3)
    env.reset(seed=0)
    env.step(np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]))
    pixels = np.asarray(env.render()).reshape(-1, 3)
    forward = [int(COLORS["forward"][i : i + 2], 16) for i in (1, 3, 5)]
    assert (pixels == forward).all(axis=1).any()
