"""Deprune's env: the books of an episode, seeds, observations, regret, plans, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.agents.deprune import plan_spec
from splitgym.agents.registry import make_agent
from splitgym.envs import FAMILIES
from splitgym.envs.deprune.scenarios import SHARES
from splitgym.envs.deprune.viewer import BAND_COLORS, band_color, runs_of, training_figure
from splitgym.envs.figures import frame
from splitgym.models.plans import CompressedPlan, load_plan, save_plan

from .episodes import make, make_batch, play

SCHEDULES = st.lists(st.integers(0, 5), min_size=7, max_size=7)


def budgets_of(env: Any, agent: str) -> np.ndarray:
    """What an agent chooses, epoch by epoch."""
    made: Any = make_agent("deprune", agent, env)
    return made.budgets


# The books.


@given(
    actions=SCHEDULES,
    weights=st.tuples(st.floats(0, 3), st.floats(0, 3), st.floats(0, 3)),
    dynamic=st.booleans(),
    noise=st.booleans(),
    seed=st.integers(0, 5),
)
@settings(max_examples=40)
def test_the_return_is_the_score_less_what_guessing_is_worth(
    actions: list[int], weights: tuple[float, float, float], dynamic: bool, noise: bool, seed: int
) -> None:
    names = ("accuracy_weight", "bytes_weight", "time_weight")
    env = make(epochs=7, dynamic=dynamic, noise=noise, **dict(zip(names, weights, strict=True)))
    rewards, infos = play(env, actions, seed)
    parts = [info["rewards"] for info in infos]
    assert [sum(part.values()) for part in parts] == pytest.approx(rewards, abs=1e-12)
    total = {name: sum(part[name] for part in parts) for name in ("accuracy", "bytes", "time")}
    last, chance = infos[-1], env.dynamics.learner.chance
    assert sum(rewards) == pytest.approx(last["score"] - weights[0] * chance, abs=1e-9)
    assert total["accuracy"] == pytest.approx(weights[0] * (last["accuracy"] - chance), abs=1e-9)
    assert last["score"] == pytest.approx(weights[0] * last["accuracy"] + total["bytes"] + total["time"], abs=1e-9)
    assert all(part["bytes"] <= 0 and part["time"] <= 0 for part in parts)


@pytest.mark.parametrize(
    "changes", [{}, {"dynamic": True, "time_weight": 0.4}, {"clients": 8, "noise": False, "images": 999}], ids=str
)
def test_metrics_and_trace_are_what_the_epochs_tell(changes: dict[str, Any]) -> None:
    env, actions = make(epochs=9, **changes), np.random.default_rng(4).integers(0, 6, 9)
    system = env.dynamics.system
    rewards, infos = play(env, actions, seed=3)
    last, trace = infos[-1], infos[-1]["trace"]
    budgets = [system.budgets[a] for a in actions]
    assert [info["budget"] for info in infos] == budgets == trace["budget"].tolist()
    for name in ("accuracy", "loss", "sent_bytes", "epoch_s"):
        assert trace[name].tolist() == [info["epoch"][name] for info in infos]
    assert (trace["mbps"] != system.scenario.mbps).all() == bool(changes.get("dynamic"))
    one_way = system.images * system.interface.map_bytes
    for t, budget in enumerate(budgets):
        assert trace["map_bytes"][t] == 2 * one_way * budget
        step_bytes = system.interface.phi * 4 + system.scenario.overhead_bytes  # the filter and what else goes along
        beside = system.steps * step_bytes + 8 * system.images  # the labels
        assert trace["sent_bytes"][t] == 2 * one_way * budget + beside
        link_s = trace["sent_bytes"][t] * 8 * system.scenario.clients / (1e6 * trace["mbps"][t])
        compute_s = system.compute_s[system.budgets.index(budget)]
        assert trace["epoch_s"][t] == pytest.approx(compute_s + link_s + system.steps * 0.00067, rel=1e-12)
    everything = 2 * one_way * system.interface.phi * 9
    for info, part, t in zip(infos, [info["rewards"] for info in infos], range(9), strict=True):
        assert part["bytes"] == pytest.approx(-system.scenario.bytes_weight * trace["sent_bytes"][t] / everything)
        before = infos[t - 1]["epoch"]["accuracy"] if t else env.dynamics.learner.chance
        assert part["accuracy"] == pytest.approx(info["epoch"]["accuracy"] - before, abs=1e-12)
    slowest_s = system.sent_bytes[-1] * 8 * system.scenario.clients / (1e6 * system.scenario.mbps)
    longest = slowest_s + system.compute_s[-1] + system.steps * 0.00067
    times = [info["rewards"]["time"] for info in infos]
    assert times == pytest.approx((-system.scenario.time_weight * trace["epoch_s"] / (9 * longest)).tolist())
    metrics = last["metrics"]
    assert set(metrics) == set(env.dynamics.metric_kinds)
    assert metrics["accuracy"] == trace["accuracy"][-1]
    assert metrics["bytes_share"] == pytest.approx(trace["map_bytes"].sum() / everything)
    assert metrics["sent_bytes"] == trace["sent_bytes"].sum()
    assert metrics["elapsed_s"] == pytest.approx(trace["epoch_s"].sum())
    assert last["plan"] == env.dynamics.plan(0).to_json()
    assert last["plan"]["budgets"] == budgets
    assert len(rewards) == 9


def test_the_papers_traffic_as_a_metric() -> None:
    env = make()
    for name, share in (("deprune", 444 / 2304), ("no-compression", 1.0), ("high-compression", 1 / 32)):
        info = play(env, budgets_of(env, name))[1][-1]
        assert info["bytes_share"] == pytest.approx(share, rel=1e-12)
    assert f"{100 * 444 / 2304:.2f}" == "19.27"


@given(actions=SCHEDULES, weight=st.floats(0, 1), time_weight=st.floats(0, 1))
@settings(max_examples=40)
def test_regret_is_never_below_nothing_and_nothing_for_the_best(
    actions: list[int], weight: float, time_weight: float
) -> None:
    env = make(epochs=7, noise=False, bytes_weight=weight, time_weight=time_weight)
    last = play(env, actions)[1][-1]
    assert last["regret"] >= -1e-12
    best = play(env, budgets_of(env, "best-schedule"))[1][-1]
    assert best["regret"] == pytest.approx(0.0, abs=1e-12)
    assert best["score"] - last["score"] == pytest.approx(last["regret"], abs=1e-12)


def test_no_random_schedule_of_many_lanes_beats_the_best() -> None:
    lanes, rng = 400, np.random.default_rng(0)
    batch = make_batch(lanes, noise=False)
    batch.reset(seed=0)
    infos: dict[str, Any] = {}
    for _ in range(18):
        *_, infos = batch.step(rng.integers(0, 6, lanes))
    assert (infos["regret"] > 0).all()
    assert infos["regret"] + infos["score"] == pytest.approx(np.full(lanes, batch.dynamics.optimum))


def test_regret_leaves_noise_out_and_is_unknown_where_the_best_depends_on_the_rates() -> None:
    actions = [0, 0, 3, 5, 5]
    quiet = play(make(epochs=5, noise=False), actions)[1][-1]
    noisy = play(make(epochs=5), actions, seed=1)[1][-1]
    assert noisy["accuracy"] != quiet["accuracy"]
    assert noisy["regret"] == pytest.approx(quiet["regret"], abs=1e-12)
    changing = {"epochs": 5, "dynamic": True, "noise": False}
    assert play(make(**changing), actions)[1][-1]["regret"] == pytest.approx(quiet["regret"], abs=1e-12)
    assert np.isnan(play(make(**changing, time_weight=0.1), actions)[1][-1]["regret"])


# Observations.


def test_observations_say_what_the_table_says() -> None:
    env = make(epochs=8, dynamic=True)
    system, chance = env.dynamics.system, env.dynamics.learner.chance
    observation, info = env.reset(seed=6)
    assert info == {}
    assert observation.shape == (17,)
    assert observation[[0, 3]].tolist() == [0.0, 0.0]
    assert observation[1:3] == pytest.approx([chance, 1.0], rel=1e-6)
    assert not observation[5:].any()
    actions, share, counts = [1, 1, 5, 0, 5, 5, 2, 1], 0.0, np.zeros(6)
    for t, action in enumerate(actions, start=1):
        rate = observation[4]
        observation, _, done, _, info = env.step(action)
        share += system.budgets[action] / (system.budgets[-1] * 8)
        counts[action] += 1
        told = info["epoch"]
        expected = [t / 8, told["accuracy"], told["loss"] / -log(chance), share]
        assert observation[:4] == pytest.approx(expected, rel=1e-5)
        assert env.dynamics.trace["mbps"][t - 1, 0] == pytest.approx(system.scenario.mbps * rate, rel=1e-5)
        assert observation[5:11] == pytest.approx(counts / 8)
        assert observation[11:].tolist() == np.eye(6)[action].tolist()
        assert env.observation_space.contains(observation)
        assert done == (t == 8)


def test_one_budget_without_the_module() -> None:
    env = make(module=False, epochs=4, noise=False)
    assert env.action_space == gym.spaces.Discrete(1)
    assert env.observation_space.shape == (7,)
    system = env.dynamics.system
    info = play(env, [0] * 4)[1][-1]
    assert info["bytes_share"] == pytest.approx(1.0)
    one_way = system.images * system.interface.map_bytes * system.interface.phi
    beside = 8 * system.images + system.steps * system.scenario.overhead_bytes
    assert info["sent_bytes"] == 4 * (2 * one_way + beside)
    assert system.curves is not None
    bare = system.curves.bare
    assert bare is not None
    expected = bare.accuracy((1.0,), np.array([[4.0]]), np.array([0]))[0]
    assert info["accuracy"] == pytest.approx(expected, rel=1e-12)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"outside 0\.\.0"):
        env.step(1)


# Seeds.


def rates(env: Any, seed: int | None) -> np.ndarray:
    return play(env, [0] * env.dynamics.episode_steps, seed)[1][-1]["trace"]["mbps"]


def test_rates_change_by_seed_and_go_on_from_episode_to_episode() -> None:
    env = make(dynamic=True, noise=False)
    walks = [rates(env, seed) for seed in (5, None, None, 5, None, 6)]
    assert np.array_equal(walks[0], walks[3])
    assert np.array_equal(walks[1], walks[4])
    for i, j in ((0, 1), (1, 2), (0, 5)):
        assert not np.isclose(walks[i], walks[j]).any()
    assert (rates(make(noise=False, mbps=40.0), 3) == 40.0).all()
    assert env.dynamics.is_random
    assert not make(noise=False).dynamics.is_random
    assert make().dynamics.is_random


def test_changing_rates_have_the_nominal_mean_and_the_sigma_asked_for() -> None:
    batch = make_batch(3000, dynamic=True, noise=False, mbps=50.0, sigma=0.4)
    batch.reset(seed=0)
    for _ in range(18):
        batch.step(np.zeros(3000, dtype=int))
    drawn = batch.dynamics.trace["mbps"]
    assert drawn.mean() == pytest.approx(50.0, rel=0.01)
    assert np.log(drawn).std() == pytest.approx(0.4, rel=0.02)
    assert abs(np.corrcoef(drawn[0], drawn[1])[0, 1]) < 0.06


def test_noise_is_the_seeds_and_not_the_schedules() -> None:
    noisy, quiet = make(epochs=6), make(epochs=6, noise=False)

    def scatter(actions: Sequence[int], seed: int | None) -> np.ndarray:
        found = [play(env, actions, seed)[1][-1]["trace"]["accuracy"] for env in (noisy, quiet)]
        return found[0] - found[1]

    first = scatter([0, 1, 2, 3, 4, 5], 3)
    second = scatter([5, 5, 0, 0, 1, 1], None)
    assert np.abs(first).max() > 0
    assert scatter([5, 0, 5, 0, 5, 0], 3) == pytest.approx(first, abs=1e-12)
    assert scatter([2] * 6, None) == pytest.approx(second, abs=1e-12)
    assert not np.isclose(first, second).any()
    assert not np.isclose(first, scatter([0] * 6, 4)).any()


def test_noise_is_as_large_as_recorded() -> None:
    found = []
    for noise in (True, False):
        batch = make_batch(2000, noise=noise)
        batch.reset(seed=0)
        for _ in range(18):
            batch.step(np.full(2000, 3))
        found.append(batch.dynamics.trace["accuracy"][4:].copy())
    curves = batch.dynamics.system.curves
    assert (found[0] - found[1]).std() == pytest.approx(curves.model.noise, rel=0.03)


def test_two_lanes_are_two_scalar_envs() -> None:
    batch, scalars = make_batch(2, epochs=5, dynamic=True), [make(epochs=5, dynamic=True) for _ in range(2)]
    batch.reset(seed=8)
    actions = np.random.default_rng(1).integers(0, 6, (5, 2))
    infos: dict[str, Any] = {}
    for row in actions:
        *_, infos = batch.step(row)
    for lane, env in enumerate(scalars):
        info = play(env, actions[:, lane], 8 + lane)[1][-1]
        assert {name: infos["metrics"][name][lane] for name in info["metrics"]} == info["metrics"]
        assert batch.dynamics.plan(lane) == env.dynamics.plan(0)


# Plans.


def test_a_plan_is_carried_out_again(tmp_path: Path) -> None:
    env, actions = make(epochs=6), [0, 0, 3, 1, 5, 5]
    info = play(env, actions, seed=2)[1][-1]
    plan = env.dynamics.plan(0)
    assert plan.budgets == tuple(env.dynamics.system.budgets[a] for a in actions)
    assert env.dynamics.plan_actions(plan).tolist() == actions
    file = tmp_path / "plan.json"
    save_plan(plan, file)
    again = load_plan(file, env.dynamics.system.model, CompressedPlan)
    assert play(env, env.dynamics.plan_actions(again), seed=2)[1][-1]["metrics"] == info["metrics"]
    agent = plan_spec(str(file)).make(env, 0)
    state, start, chosen = None, np.ones(1, dtype=bool), []
    observation, _ = env.reset(seed=2)
    for _ in range(6):
        action, state = agent.predict(observation[None], state, start)
        chosen.append(int(action[0]))
        observation, *_ = env.step(chosen[-1])
        start = np.zeros(1, dtype=bool)
    assert chosen == actions


# Pictures.


def test_runs_of_epochs_at_one_budget() -> None:
    assert runs_of(np.array([2, 2, 64, 2, 2, 2])) == [(0, 2, 2), (2, 3, 64), (3, 6, 2)]
    assert runs_of(np.array([])) == []


def test_a_budget_has_its_color() -> None:
    system = make().dynamics.system
    assert [band_color(system, budget) for budget in system.budgets] == list(BAND_COLORS)
    alone = make(module=False).dynamics.system
    assert band_color(alone, alone.budgets[0]) in BAND_COLORS


def bands_of(figure: Any) -> list[tuple[float, float]]:
    """(from, to) of the bands behind a figure's curves."""
    return [(p.get_x(), p.get_x() + p.get_width()) for p in figure.axes[0].patches]


def test_a_training_is_drawn_with_bands_accuracy_and_bytes() -> None:
    env = make(epochs=7)
    trace = play(env, [0, 0, 0, 4, 4, 5, 5])[1][-1]["trace"]
    figure = training_figure(env.dynamics.system, trace, "mine")
    assert bands_of(figure) == [(0.5, 3.5), (3.5, 5.5), (5.5, 7.5)]
    accuracy, traffic = (axes.lines[0] for axes in figure.axes)
    assert accuracy.get_ydata() == pytest.approx(100 * trace["accuracy"])
    share = np.cumsum([1 / 32] * 3 + [1 / 2] * 2 + [1.0] * 2) / 7
    assert traffic.get_ydata() == pytest.approx(100 * share)
    assert accuracy.get_xdata().tolist() == [1, 2, 3, 4, 5, 6, 7]
    title = figure.axes[0].get_title(loc="left")
    low = env.dynamics.system.budgets[0]
    assert title.startswith("mine ")
    assert f"vgg11-cifar10: {low} maps x 3, " in title
    assert f"{100 * trace['accuracy'][-1]:.1f} %" in title
    (drawn,) = (axes.get_legend() for axes in figure.axes if axes.get_legend())
    legend = [text.get_text() for text in drawn.get_texts()]
    assert [text.split()[0] for text in legend] == [str(budget) for budget in env.dynamics.system.budgets]
    assert len(legend) == len(SHARES)
    picture = frame(figure)
    assert picture.dtype == np.uint8
    assert len(np.unique(picture @ np.array([1 << 16, 1 << 8, 1]))) > 50


def test_a_training_that_has_not_begun_and_one_under_way_are_drawn() -> None:
    env = make(epochs=7, render_mode="rgb_array")
    env.reset(seed=0)
    empty = env.render()
    figure = training_figure(env.dynamics.system, {k: v[:0, 0] for k, v in env.dynamics.trace.items()})
    assert "no epoch yet" in figure.axes[0].get_title(loc="left")
    assert bands_of(figure) == []
    env.step(0)
    env.step(5)
    part = env.render()
    assert empty.shape == part.shape
    assert not np.array_equal(empty, part)


@pytest.mark.parametrize("constant", [0, 5], ids=["high-compression", "no-compression"])
def test_the_default_weights_prefer_the_papers_schedule_to_a_constant_one(constant: int) -> None:
    env = gym.make(FAMILIES["deprune"].env_id, noise=False, disable_env_checker=True)
    scores = []
    for budgets in ([0] * 15 + [5] * 3, [constant] * 18):
        env.reset(seed=0)
        infos = [env.step(budget)[4] for budget in budgets]
        scores.append(infos[-1]["score"])
    assert scores[0] > scores[1]
