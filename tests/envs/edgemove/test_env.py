"""EdgeMove's env: the books of an episode, actions, walks, the lower bound, plans and pictures."""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from splitgym.envs.edgemove.actions import CLOUD, STAY, flattened
from splitgym.envs.edgemove.adaptation import Placement, adaptation_s
from splitgym.envs.edgemove.observation import LISTED, SERVER, STATE
from splitgym.envs.edgemove.planning import balanced_cut
from splitgym.envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, TASKS
from splitgym.envs.edgemove.system import NOBODY
from splitgym.models.plans import PipelinePlan, load_plan, save_plan
from splitgym.ui.errors import InputError

from ... import refused, slow
from .episodes import SHORT, make, play, seen, write_places

# The books.


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"action": "flat", "probe": "blocking"},
        {"action": "paper", "scenario": "resnet50-cinic10-x2", "on_device_s": 4000.0},
        {"walks": "train", "half_duplex": True, "in_flight": 3},
    ],
    ids=str,
)
def test_the_return_is_minus_the_training_time_in_cycles_alone(kwargs: dict[str, Any]) -> None:
    env, rng = make(**{**SHORT, **kwargs}), np.random.default_rng(0)
    system = env.dynamics.system
    for seed in range(4):
        rewards, info = play(env, rng, seed)
        trace = info["trace"]
        assert sum(rewards) == pytest.approx(-info["elapsed_s"] / system.on_device_cycle_s, rel=1e-12)
        spent = trace["cycle_s"] + trace["adaptation_s"] + trace["probe_s"]
        assert info["elapsed_s"] == pytest.approx(spent.sum(dtype=float), rel=1e-5)
        assert trace["elapsed_s"] == pytest.approx(spent.cumsum(dtype=float), rel=1e-5)
        assert rewards == pytest.approx(-spent / system.on_device_cycle_s, rel=1e-5)
        assert len(rewards) == ceil(system.iterations / system.scenario.cycle) == len(spent) == system.cycles
        assert trace["iterations"][:-1].tolist() == [system.scenario.cycle] * (len(rewards) - 1)
        assert trace["iterations"].sum() == system.iterations
        assert info["training_s"] == pytest.approx(trace["cycle_s"].sum(dtype=float), rel=1e-5)
        assert info["adaptation_s"] == pytest.approx(trace["adaptation_s"].sum(dtype=float), rel=1e-5)
        assert info["speedup"] == pytest.approx(system.on_device_s / info["elapsed_s"])
        workers, cuts = [NOBODY, *trace["worker"]], [system.n_layers, *trace["cut"]]
        changes = [(a, b) for a, b in pairwise(workers) if a != b]
        assert info["worker_switches"] == sum(a != NOBODY for a, _ in changes)
        moves = zip(pairwise(workers), pairwise(cuts), strict=True)
        assert info["cut_moves"] == sum(w[0] == w[1] and c[0] != c[1] for w, c in moves)
        assert info["probes"] == trace["probed"].sum()


def test_every_step_tells_of_its_cycle() -> None:
    env, rng, elapsed = make(**SHORT), np.random.default_rng(3), 0.0
    env.reset(seed=1)
    for _ in range(5):
        before = env.dynamics.elapsed_s[0]
        _, reward, _, _, info = env.step(rng.integers(env.action_space.nvec))
        told = info["cycle"]
        spent = told["cycle_s"] + told["adaptation_s"] + told["probe_s"]
        assert told["elapsed_s"] == pytest.approx(before + spent, rel=1e-6)
        assert reward == pytest.approx(-spent / env.dynamics.system.on_device_cycle_s, rel=1e-6)
        assert told["oracle_cycle_s"] > 0
        assert (told["worker"] == "none") == (told["cut"] == env.dynamics.system.n_layers)
        assert told["elapsed_s"] > elapsed
        elapsed = told["elapsed_s"]
    cheap = make(optimum=False, **SHORT)
    cheap.reset(seed=1)
    assert "oracle_cycle_s" not in cheap.step(np.array([0, 0, 0]))[4]["cycle"]


@pytest.mark.parametrize("task", TASKS)
def test_training_on_the_client_alone_takes_as_long_as_table_1_tells(task: str) -> None:
    published = {"vgg16-cifar10": 3053, "resnet50-cinic10": 6188, "vgg16-agnews": 4645, "resnet50-speech": 9331}
    assert set(published) == set(PUBLISHED_SPEEDUPS) == set(TASKS)
    for noise in (0.0, 0.029):
        env = make(task, noise=noise, optimum=False)
        system = env.dynamics.system
        assert system.scenario.cycle == {"agnews": 1000, "speech": 200}.get(task.split("-")[1], 500)
        assert env.dynamics.eval_episodes == 10
        env.reset(seed=0)
        done, info = False, {}
        while not done:
            _, _, done, _, info = env.step(np.array([system.n_layers - 1, STAY, 0]))
        assert info["adaptation_s"] == info["cut_moves"] == info["worker_switches"] == 0
        if noise:
            assert info["elapsed_s"] == pytest.approx(published[task], rel=4 * noise / system.cycles**0.5)
            assert info["elapsed_s"] != pytest.approx(published[task], rel=1e-6)
        else:
            assert info["elapsed_s"] == pytest.approx(published[task], abs=0.5 * system.on_device_iteration_s + 1e-6)


# Actions.


def test_the_flat_form_is_the_absolute_one_as_a_number() -> None:
    absolute, flat, rng = make(**SHORT), make(action="flat", **SHORT), np.random.default_rng(1)
    n_layers = absolute.dynamics.system.n_layers
    assert absolute.action_space.nvec.tolist() == [n_layers, LISTED + 2, 2]
    assert flat.action_space.n == n_layers * (LISTED + 2) * 2
    absolute.reset(seed=4)
    flat.reset(seed=4)
    done = False
    while not done:
        action = rng.integers(absolute.action_space.nvec)
        number = int(flattened(action[None])[0])
        assert number == np.ravel_multi_index(tuple(action), (n_layers, LISTED + 2, 2))
        one, two = absolute.step(action), flat.step(number)
        assert one[1] == two[1]
        assert all(np.array_equal(one[0][name], two[0][name]) for name in one[0])
        done = one[2]


def test_absolute_actions_place_cut_and_worker_where_they_say() -> None:
    env, rng = make(optimum=False), np.random.default_rng(8)
    system = env.dynamics.system
    observation, _ = env.reset(seed=2)
    for _ in range(25):
        cut, choice = int(rng.integers(system.n_layers)), int(rng.integers(LISTED + 2))
        saw, listed = seen(env, observation), env.dynamics.listing.server[0].copy()
        held = int(env.dynamics.server[0])
        observation, _, _, _, info = env.step(np.array([cut, choice, 0]))
        kept = held if bool(saw.in_reach[0]) else NOBODY
        if choice == CLOUD:
            server = system.cloud
        elif choice != STAY and saw.covers[0, choice - 1]:
            server = int(listed[choice - 1])
        else:
            server = kept
        if server == NOBODY or cut + 1 == system.n_layers:
            server, cut = NOBODY, system.n_layers - 1
        assert (info["cycle"]["cut"], info["cycle"]["worker"]) == (cut + 1, system.worker_name(server))
        assert (env.dynamics.cut[0], env.dynamics.server[0]) == (cut + 1, server)


def test_the_papers_form_begins_with_alg_1_and_then_moves_layer_by_layer() -> None:
    env = make(action="paper", optimum=False)
    assert env.action_space.nvec.tolist() == [3, LISTED + 1, 2]
    system, dynamics = env.dynamics.system, env.dynamics
    env.reset(seed=5)
    assert env.step(np.array([0, STAY, 0]))[4]["cycle"]["worker"] == "none"  # a cut alone makes no pipeline
    elapsed, lane = dynamics.elapsed_s.copy(), np.array([0])
    server = dynamics.listing.server[:, 2].copy()
    rate, rtt_s, _ = dynamics.world.conditions(server, lane, elapsed)
    expected = balanced_cut(system, dynamics.listing.probed_s[server, lane], rate, rtt_s)[0]
    for first in (0, 2):  # whichever way the cut was to move
        env.reset(seed=5)
        env.step(np.array([0, STAY, 0]))
        told = env.step(np.array([first, 3, 0]))[4]["cycle"]
        assert (told["cut"], told["worker"]) == (int(expected[0]), system.worker_name(int(server[0])))
    for step, change in ((0, -1), (1, 0), (2, 1)):
        before = int(dynamics.cut[0])
        assert env.step(np.array([step, STAY, 0]))[4]["cycle"]["cut"] == before + change
    for step, end in ((0, 1), (2, system.n_layers - 1)):
        quick = make(action="paper", optimum=False, speed_mps=1e-3)
        quick.reset(seed=5)
        quick.step(np.array([step, 1, 0]))
        cuts = [quick.step(np.array([step, STAY, 0]))[4]["cycle"]["cut"] for _ in range(system.n_layers)]
        assert cuts[-3:] == [end] * 3
        assert set(np.abs(np.diff(cuts)).tolist()) == {0, 1}
    own = make(action="paper", optimum=False, speed_mps=1e-3)  # choosing the worker that one has moves on too
    own.reset(seed=5)
    first = own.step(np.array([1, 1, 0]))[4]["cycle"]
    names = [system.worker_name(int(s)) for s in own.dynamics.listing.server[0]]
    again = own.step(np.array([0, 1 + names.index(first["worker"]), 0]))[4]["cycle"]
    assert (again["cut"], again["worker"]) == (first["cut"] - 1, first["worker"])


def test_an_empty_place_of_the_list_means_staying() -> None:
    env = make(n_sites=6, coverage_m=[900.0, 900.0], speed_mps=1e-3, optimum=False)
    observation, _ = env.reset(seed=0)
    found = int(seen(env, observation).covers.sum())
    assert 0 < found <= 6
    first = env.step(np.array([6, 1, 0]))[4]["cycle"]
    assert first["worker"].startswith("site-")
    for place in (found + 1, LISTED):
        told = env.step(np.array([6, place, 0]))[4]["cycle"]
        assert (told["worker"], told["cut"], told["adaptation_s"]) == (first["worker"], 7, 0.0)


def test_a_worker_out_of_reach_is_lost() -> None:
    """The client then falls back on itself, and pays for the weights that are still there."""
    env = make("vgg16-cifar10-city-x2", optimum=False, on_device_s=40_000.0)
    dynamics, lost = env.dynamics, 0
    observation, _ = env.reset(seed=3)
    observation, *_ = env.step(np.array([9, 1, 0]))
    for _ in range(60):
        saw = seen(env, observation)
        old = Placement(dynamics.cut.copy(), dynamics.server.copy())
        elapsed = dynamics.elapsed_s.copy()
        if old.server[0] == NOBODY:
            assert not saw.has_worker[0]
            observation, *_ = env.step(np.array([9, 1, 0]))
            continue
        observation, _, _, _, info = env.step(np.array([9, STAY, 0]))
        told = info["cycle"]
        if saw.in_reach[0]:
            assert told["worker"] == f"site-{old.server[0]}"
            continue
        lost += 1
        assert (told["worker"], told["cut"]) == ("none", dynamics.system.n_layers)
        fetched = adaptation_s(
            dynamics.world, old, Placement(np.array([20]), np.array([NOBODY])), np.array([0]), elapsed
        )
        assert told["adaptation_s"] == pytest.approx(fetched[0], rel=1e-6)
        assert told["adaptation_s"] > 0
    assert lost >= 2


def test_without_a_server_in_reach_training_goes_on_alone_until_there_is_one(tmp_path: Path) -> None:
    """One site, and a walk that comes from 1.5 km away."""
    sites = write_places(tmp_path / "site.csv", [(-37.8136, 144.9631)])
    degrees = 1500 / 111_195
    walk = write_places(tmp_path / "walk.csv", [(-37.8136 - degrees, 144.9631), (-37.8136, 144.9631)])
    env = make(sites=sites, trajectory=walk, speed_mps=4.0)
    observation, _ = env.reset(seed=0)
    saw = seen(env, observation)
    assert not saw.covers.any()
    assert not saw.server_bits.any()
    workers, reached = [], []
    for _ in range(12):
        reached.append(bool(seen(env, observation).covers.any()))
        observation, _, _, _, info = env.step(np.array([11, 1, 0]))
        workers.append(info["cycle"]["worker"])
    assert workers == ["site-0" if there else "none" for there in reached]
    assert reached[:3] == [False] * 3
    assert any(reached)
    radius = env.dynamics.system.city.radius_m[0]
    assert 300 <= radius <= 500
    trace = env.dynamics.trace
    assert (trace["cut"][:3, 0] == 20).all()
    assert (trace["oracle_cycle_s"][:3, 0] > 0).all()
    assert env.step(np.array([11, CLOUD, 0]))[4]["cycle"]["worker"] == "cloud"


@pytest.mark.parametrize("action", [[20, 0, 0], [0, 18, 0], [0, 0, 2], [-1, 0, 0]], ids=str)
def test_actions_outside_the_space_are_refused(action: list[int]) -> None:
    env = make(optimum=False, **SHORT)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="outside"):
        env.step(np.array(action))
    with pytest.raises(ValueError, match="whole numbers"):
        env.step(np.array([0.0, 0.0, 0.0]))


# Walks, seeds and clocks.


def test_seed_i_walks_trajectory_i_and_further_episodes_the_next() -> None:
    env = make(optimum=False, **SHORT)
    for seed in (0, 3, 9, 10, 25):
        walked = []
        for episode in range(12):
            env.reset(seed=seed if episode == 0 else None)
            walked.append(int(env.dynamics.world.walk[0]))
        assert walked == [(seed + k) % 10 for k in range(12)]
    env.reset()
    assert env.dynamics.world.walk[0] in range(10)


def test_an_env_without_a_seed_walks_somewhere() -> None:
    walks = set()
    for _ in range(12):
        env = make(optimum=False, **SHORT)
        env.reset()
        walks.add(int(env.dynamics.world.walk[0]))
    assert walks <= set(range(10))
    assert len(walks) > 1


def test_training_walks_are_others_than_the_evaluations() -> None:
    env, walks = make(walks="train", optimum=False, **SHORT), []
    for episode in range(30):
        env.reset(seed=0 if episode == 0 else None)
        walks.append(int(env.dynamics.world.walk[0]))
    assert min(walks) >= 10
    assert len(set(walks)) > 15
    again = make(walks="train", optimum=False, **SHORT)
    again.reset(seed=0)
    assert again.dynamics.world.walk[0] == walks[0]


def test_loads_go_on_from_episode_to_episode_and_a_seed_begins_anew() -> None:
    env, rng = make(optimum=False, **SHORT), np.random.default_rng(0)
    first, _ = env.reset(seed=4)
    elapsed = []
    for _ in range(3):
        done = False
        while not done:
            _, _, done, _, info = env.step(rng.integers(env.action_space.nvec))
        elapsed.append(info["elapsed_s"])
        observation, _ = env.reset()
        assert env.dynamics.world.clock_s[0] == pytest.approx(sum(elapsed))
        assert not np.array_equal(observation["servers"], first["servers"])
        assert seen(env, observation).age_s[0, 0] == 0.0
    env.step(rng.integers(env.action_space.nvec))
    env.reset()  # an episode that is broken off counts as far as it came
    assert env.dynamics.world.clock_s[0] > sum(elapsed)
    again, _ = env.reset(seed=4)
    assert all(np.array_equal(again[name], first[name]) for name in first)
    assert env.dynamics.world.clock_s[0] == 0.0


# The lower bound.


@pytest.mark.parametrize("scenario", ["vgg16-cifar10-city", *slow("resnet50-speech-city-x2-300mbps")])
def test_no_cycle_is_faster_than_the_fastest(scenario: str) -> None:
    """Where nothing is moved the cycle begins when the fastest one would; moving only adds to it."""
    env, rng = make(scenario), np.random.default_rng(0)
    equal = 0
    for seed in range(4):
        _, info = play(env, rng, seed)
        trace = info["trace"]
        still = (trace["adaptation_s"] == 0) & (trace["probe_s"] == 0)
        assert (trace["cycle_s"] >= trace["oracle_cycle_s"] * (1 - 1e-6))[still].all()
        equal += still.sum()
        assert info["regret_s"] >= 0
        assert info["oracle_s"] == pytest.approx(trace["oracle_cycle_s"].sum(dtype=float), rel=1e-5)
        assert info["regret_s"] == pytest.approx(info["elapsed_s"] - info["oracle_s"])
    assert equal > 5


def test_the_oracle_meets_its_bound_and_pays_for_no_switch() -> None:
    env = make(action="oracle", optimum=False)
    assert env.action_space == gym.spaces.Discrete(1)
    env.reset(seed=0)
    done, info = False, {}
    while not done:
        _, _, done, _, info = env.step(0)
    assert info["regret_s"] == pytest.approx(0.0, abs=1e-6)
    assert info["adaptation_s"] == info["probes"] == 0
    assert info["trace"]["cycle_s"].tolist() == info["trace"]["oracle_cycle_s"].tolist()
    assert info["speedup"] > 2


def test_greedy_play_does_not_reach_the_bound() -> None:
    env = make()
    env.reset(seed=0)
    done, info = False, {}
    while not done:
        _, _, done, _, info = env.step(np.array([11, 1, 1]))
    assert 0 < info["regret_s"] < info["elapsed_s"]
    assert info["worker_switches"] > 0


# Plans, options, pictures.


def test_the_plan_of_an_episode_is_its_last_pipeline(tmp_path: Path) -> None:
    env = make(**SHORT)
    system = env.dynamics.system
    _, info = play(env, np.random.default_rng(5))
    plan = env.dynamics.plan(0)
    assert info["plan"] == plan.to_json()
    save_plan(plan, tmp_path / "plan.json")
    again = load_plan(tmp_path / "plan.json", system.model, PipelinePlan)
    assert again == plan
    placed = (int(info["trace"]["cut"][-1]), int(info["trace"]["worker"][-1]))
    assert system.placement_of(again) == placed
    with pytest.raises(InputError, match="another place in the list"):
        env.dynamics.plan_actions(plan)


def plan_of(cut: int, worker: str, in_flight: int) -> PipelinePlan:
    return PipelinePlan("vgg16_32", cut, worker, in_flight, types={})


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (plan_of(5, "site-125", 2), "worker is 'site-125', allowed: none, cloud, site-0 to site-124"),
        (plan_of(5, "none", 2), "worker is 'none' with cut 5"),
        (plan_of(20, "cloud", 2), "worker is 'cloud' with cut 20"),
        (plan_of(21, "none", 2), "cut is 21"),
        (plan_of(5, "cloud", 3), "in_flight is 3, that of vgg16-cifar10-city is 2"),
    ],
    ids=lambda v: getattr(v, "worker", ""),
)
def test_plans_that_do_not_fit_the_scenario_are_refused(plan: PipelinePlan, words: str) -> None:
    system = make(optimum=False).dynamics.system
    assert system.placement_of(plan_of(5, "cloud", 2)) == (5, system.cloud)
    assert system.placement_of(plan_of(20, "none", 2)) == (20, NOBODY)
    with refused(start=words):
        system.placement_of(plan)


@pytest.mark.parametrize(
    ("option", "allowed"),
    [
        ({"action": "relative"}, "absolute, flat, paper"),
        ({"probe": "never"}, "blocking"),
        ({"optimum": 2}, "True, False"),
    ],
)
def test_options_are_checked(option: dict[str, Any], allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        make(**option)
    assert allowed in str(caught.value)
    assert next(iter(option)) in str(caught.value)


def test_a_picture_before_and_within_an_episode() -> None:
    env = make(render_mode="rgb_array", **SHORT)
    env.reset(seed=0)
    empty = env.render()
    for action in ([9, 1, 0], [9, CLOUD, 0]):
        env.step(np.array(action))
    begun = env.render()
    assert empty.shape == begun.shape
    assert not np.array_equal(empty, begun)


def test_names_of_the_observation_are_as_many_as_its_numbers() -> None:
    space = make(optimum=False, **SHORT).observation_space
    assert space["state"].shape == (len(STATE),)
    assert space["servers"].shape == (LISTED, len(SERVER))
