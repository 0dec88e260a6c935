"""EdgeMove's env: the books of an episode, actions, probes, observations, walks, the lower bound."""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from splitgym.envs import FAMILIES
from splitgym.envs.edgemove.actions import CLOUD, STAY, flattened
from splitgym.envs.edgemove.adaptation import Placement, adaptation_s
from splitgym.envs.edgemove.listing import NOTIFY
from splitgym.envs.edgemove.observation import HISTORY, LISTED, SERVER, STATE, View, view
from splitgym.envs.edgemove.planning import balanced_cut
from splitgym.envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, TASKS
from splitgym.envs.edgemove.world import NOBODY
from splitgym.models.plans import PipelinePlan, load_plan, save_plan
from splitgym.ui.errors import InputError

from ... import slow

ENV_ID = FAMILIES["edgemove"].env_id
SHORT: dict[str, Any] = {"on_device_s": 1000.0}


def make(scenario: str = "vgg16-cifar10", **kwargs: Any) -> Any:
    return gym.make(ENV_ID, scenario=scenario, disable_env_checker=True, **kwargs).unwrapped


def play(env: Any, rng: np.random.Generator, seed: int | None = 0) -> tuple[list[float], dict[str, Any]]:
    """(rewards, the last info) of an episode of random actions."""
    env.reset(seed=seed)
    rewards, done, info = [], False, {}
    space = env.action_space
    while not done:
        action = rng.integers(space.nvec) if hasattr(space, "nvec") else rng.integers(space.n)
        _, reward, done, _, info = env.step(action)
        rewards.append(reward)
    return rewards, info


def seen(env: Any, observation: dict[str, np.ndarray]) -> View:
    """A scalar env's observation in SI units."""
    return view({name: values[None] for name, values in observation.items()}, env.dynamics.system)


def write_places(file: Path, places: list[tuple[float, float]]) -> str:
    file.write_text("LATITUDE,LONGITUDE\n" + "".join(f"{a},{b}\n" for a, b in places))
    return str(file)


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
    env = make("vgg16-cifar10-x2", optimum=False, on_device_s=40_000.0)
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


# Probes.


def test_what_a_probe_tells_is_there_at_the_end_of_the_cycle() -> None:
    env, dynamics = make(optimum=False, noise=0.0), None
    observation, _ = env.reset(seed=1)
    dynamics = env.dynamics
    saw = seen(env, observation)
    assert np.isfinite(saw.server_probed_s[saw.covers]).all()  # profiling before training
    assert saw.age_s[saw.covers].tolist() == [0.0] * int(saw.covers.sum())
    observation, *_ = env.step(np.array([9, 1, 0]))
    known, asked_at = dynamics.listing.probed_s.copy(), dynamics.listing.probed_at_s.copy()
    assert (asked_at[np.isfinite(known)] == 0).all()
    saw = seen(env, observation)
    fresh = saw.covers & np.isfinite(saw.server_probed_s)
    assert saw.age_s[fresh] == pytest.approx(dynamics.elapsed_s[0])
    before, sites = dynamics.elapsed_s[0], dynamics.world.nearby(np.array([0]), dynamics.elapsed_s)
    inside = sites[0][sites[2]]
    observation, _, _, _, info = env.step(np.array([9, STAY, 1]))
    assert info["cycle"]["probe_s"] == 0.0
    asked = [*inside, dynamics.system.cloud]
    after = dynamics.listing.probed_s[:, 0]
    others = np.setdiff1d(np.arange(126), asked)
    assert np.array_equal(after[others], known[others, 0])
    assert (after[asked] != known[asked, 0]).all()
    true = dynamics.world.test_iteration_s(np.array(asked), np.zeros(len(asked), np.intp), np.full(len(asked), before))
    assert np.abs(after[asked] / true - 1).max() <= 4 * 0.05
    assert np.std(after[asked] / true) == pytest.approx(0.05, rel=0.7)
    saw = seen(env, observation)
    fresh = np.isin(dynamics.listing.server[0], inside) & saw.covers[0]
    assert saw.age_s[0, fresh] == pytest.approx(dynamics.elapsed_s[0] - before, rel=1e-5)
    assert saw.cloud_probed_s[0] == pytest.approx(after[-1], rel=1e-5)


def test_a_blocking_probe_costs_what_it_takes_and_one_beside_the_cycle_nothing() -> None:
    """All test models go out over the one radio, then the slowest server's iterations are waited for."""
    background = make(optimum=False, n_sites=250)
    blocking = make(optimum=False, n_sites=250, probe="blocking")
    for env in (background, blocking):
        env.reset(seed=6)
    dynamics = blocking.dynamics
    system, world = dynamics.system, dynamics.world
    sent, tests = 0.0, []
    position = world.position_m(np.array([0]), np.array([0.0]))[:, 0]
    covering = np.flatnonzero(np.hypot(*(system.city.position_m - position).T) <= system.city.radius_m)
    assert len(covering) > LISTED  # all in reach are asked, not the listed ones alone, and the cloud
    for server in (*covering, system.cloud):
        rate, rtt_s, load = world.conditions(np.array([server]), np.array([0]), np.array([0.0]))
        sent += 32 * system.model.params / rate[0]
        tests.append(system.scenario.probe_iterations * (system.server_s[system.kind[server], 0] * load[0] + rtt_s[0]))
    told = [env.step(np.array([9, 1, 1]))[4]["cycle"] for env in (background, blocking)]
    assert told[0]["probe_s"] == 0.0
    assert told[1]["probe_s"] == pytest.approx(sent + max(tests), rel=2e-3)
    assert told[1]["adaptation_s"] == told[0]["adaptation_s"]
    assert blocking.step(np.array([9, STAY, 0]))[4]["cycle"]["probe_s"] == 0.0


def test_every_probe_has_an_error_of_its_own() -> None:
    env = make(optimum=False, load_drift=0.0, burst_factor=1.0, edge_rtt_s=(0.01, 0.01), probe_noise=0.05)
    env.reset(seed=2)
    listing, told = env.dynamics.listing, []
    for _ in range(3):
        told.append(listing.probed_s[:, 0].copy())
        env.step(np.array([9, STAY, 1]))
    often = np.isfinite(told).all(axis=0)
    assert often.sum() > 3
    for one, other in ((0, 1), (1, 2)):
        assert (told[one][often] != told[other][often]).mean() > 0.5  # some have been left behind


def test_the_list_holds_who_covers_by_probed_time_then_distance() -> None:
    env, rng = make("vgg16-cifar10-x2", n_sites=200, optimum=False, on_device_s=8000.0), np.random.default_rng(3)
    dynamics = env.dynamics
    observation, _ = env.reset(seed=7)
    city, done, unprobed, full = dynamics.system.city, False, 0, 0
    while not done:
        position = dynamics.world.position_m(np.array([0]), dynamics.elapsed_s)[:, 0]
        distance = np.hypot(*(city.position_m - position).T)
        probed = dynamics.listing.probed_s[:-1, 0]
        covering = np.flatnonzero(distance <= city.radius_m)
        order = sorted(covering, key=lambda s: (probed[s], distance[s]))[:LISTED]
        saw, n = seen(env, observation), len(order)
        assert dynamics.listing.server[0, :n].tolist() == order
        assert saw.covers[0].tolist() == [True] * n + [False] * (LISTED - n)
        assert saw.distance_m[0, :n] == pytest.approx(distance[order], rel=1e-5, abs=1e-3)
        assert np.nan_to_num(saw.server_probed_s[0, :n], nan=np.inf) == pytest.approx(probed[order], rel=1e-5)
        unprobed += bool(np.isinf(probed[order]).sum() > 1)
        full += len(covering) > LISTED
        observation, _, done, _, _ = env.step(np.array([9, rng.integers(LISTED + 1), rng.random() < 0.2]))
    assert unprobed > 1
    assert full > 1


def test_servers_that_have_become_faster_notify() -> None:
    env, dynamics, notified = make(optimum=False, on_device_s=20_000.0), None, 0
    observation, _ = env.reset(seed=1)
    dynamics, done = env.dynamics, False
    while not done:
        saw, elapsed = seen(env, observation), dynamics.elapsed_s
        for place in np.flatnonzero(saw.covers[0]):
            server = dynamics.listing.server[:, place]
            now = dynamics.world.test_iteration_s(server, np.array([0]), elapsed)[0]
            probed = dynamics.listing.probed_s[server[0], 0]
            assert saw.notified[0, place] == (np.isfinite(probed) and now < NOTIFY * probed)
            notified += saw.notified[0, place]
        observation, _, done, _, _ = env.step(np.array([9, STAY, 0]))
    assert notified > 5


# Observations.


def test_observations_in_si_units_are_the_worlds() -> None:
    env, rng = make(on_device_s=6000.0, optimum=False), np.random.default_rng(5)
    dynamics = env.dynamics
    system, world = dynamics.system, dynamics.world
    observation, _ = env.reset(seed=2)
    zero, last, worst, done, step = np.array([0]), np.nan, np.nan, False, 0
    kinds = set()
    while not done:
        saw, elapsed = seen(env, observation), dynamics.elapsed_s
        server = dynamics.server.copy()
        assert saw.cut[0] == dynamics.cut[0]
        assert saw.has_worker[0] == (server[0] != NOBODY)
        assert saw.on_cloud[0] == (server[0] == system.cloud)
        assert saw.left[0] == pytest.approx(1 - step * system.scenario.cycle / system.iterations, abs=1e-6)
        if server[0] != NOBODY:
            rate, rtt_s, _ = world.conditions(server, zero, elapsed)
            assert saw.rate_bits[0] == pytest.approx(rate[0], rel=1e-5)
            assert saw.rtt_s[0] == pytest.approx(rtt_s[0], rel=1e-5)
            distance = world.distance_m(server, world.position_m(zero, elapsed))
            assert saw.in_reach[0] == world.reaches(server, distance)[0]
            kinds.add((bool(saw.on_cloud[0]), bool(saw.in_reach[0])))
        else:
            assert (saw.rate_bits[0], saw.rtt_s[0], saw.in_reach[0]) == (0.0, 0.0, False)
        rate, rtt_s, _ = world.conditions(np.array([system.cloud]), zero, elapsed)
        assert (saw.cloud_bits[0], saw.cloud_rtt_s[0]) == (pytest.approx(rate[0]), pytest.approx(rtt_s[0]))
        for place in np.flatnonzero(saw.covers[0]):
            listed = dynamics.listing.server[:, place]
            rate, rtt_s, _ = world.conditions(listed, zero, elapsed)
            assert saw.server_bits[0, place] == pytest.approx(rate[0], rel=1e-5)
            assert saw.server_rtt_s[0, place] == pytest.approx(rtt_s[0], rel=1e-5)
            assert saw.is_worker[0, place] == (listed[0] == server[0])
        assert np.array([saw.last_s[0], saw.worst_s[0]]) == pytest.approx([last, worst], rel=1e-5, nan_ok=True)
        action = np.array([rng.integers(19), rng.choice([STAY, STAY, 1, 2, CLOUD]), rng.integers(2)])
        observation, _, done, _, info = env.step(action)
        iterations = dynamics.trace["iterations"][step, 0]
        last = info["cycle"]["cycle_s"] / iterations
        worst = last if dynamics.server[0] != server[0] else np.nanmax([worst, last])
        step += 1
    assert {(True, True), (False, True)} <= kinds


def test_the_state_remembers_the_last_cycles_and_the_last_adaptation() -> None:
    env, rng = make(optimum=False, **SHORT), np.random.default_rng(6)
    system, cuts, times = env.dynamics.system, [0.0] * HISTORY, [0.0] * HISTORY
    env.reset(seed=0)
    for _ in range(6):
        observation, _, _, _, info = env.step(np.array([rng.integers(19), rng.integers(1, 4), 0]))
        state, told = dict(zip(STATE, observation["state"].tolist(), strict=True)), info["cycle"]
        cuts = [told["cut"] / system.n_layers, *cuts[:-1]]
        times = [told["cycle_s"] / system.on_device_cycle_s, *times[:-1]]
        assert [state[f"cut_{i}"] for i in range(HISTORY)] == pytest.approx(cuts)
        assert [state[f"cycle_{i}"] for i in range(HISTORY)] == pytest.approx(times)
        assert state["last_adaptation"] == pytest.approx(told["adaptation_s"] / system.on_device_cycle_s)


def test_the_client_knows_its_own_time_and_the_link_of_every_cut() -> None:
    env = make(optimum=False, **SHORT)
    system, cuts = env.dynamics.system, env.reset(seed=0)[0]["cuts"]
    assert cuts[:, 0] == pytest.approx(system.client_s[1:] / system.client_s[-1])
    link = 2 * system.link_bits[1:] / 600e6 / system.on_device_iteration_s
    assert cuts[:, 1] == pytest.approx(link, rel=1e-5)
    assert cuts[-1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "change",
    [
        {"near_mbps": 1.0}, {"near_mbps": 1e6}, {"speed_mps": 300.0}, {"speed_mps": 1e-6},
        {"edge_rtt_s": [20.0, 30.0], "cloud_rtt_s": [40.0, 50.0]}, {"load_drift": 100.0, "burst_factor": 50.0},
        {"n_sites": 1}, {"n_sites": 600, "coverage_m": [5.0, 9000.0]}, {"coverage_m": [1e6, 1e7], "n_sites": 40},
        {"cycle": 1, "on_device_s": 3.0}, {"cycle": 10**6}, {"on_device_s": 1e-3}, {"in_flight": 64},
        {"cloud_mbps": 0.01}, {"edge_snr_db": -40.0}, {"noise": 0.2, "probe_noise": 0.2}, {"burst_s": 1e9},
    ],
    ids=str,
)  # fmt: skip
def test_observations_lie_in_their_space_in_odd_scenarios(change: dict[str, Any]) -> None:
    env, rng = make(probe="blocking", **{**SHORT, **change}), np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    done, info = False, {}
    while not done:
        assert env.observation_space.contains(observation)
        observation, reward, done, _, info = env.step(rng.integers(env.action_space.nvec))
        assert np.isfinite(reward)
        assert reward < 0
    assert env.observation_space.contains(observation)
    assert all(np.isfinite(v) for v in info["metrics"].values())


def test_a_walk_across_the_world_is_no_reason_to_stop(tmp_path: Path) -> None:
    """Sites far apart, and a walk between them: what is asked about is wide, not what is kept."""
    places = [(-37.8, 144.9), (51.5, -0.1), (40.7, -74.0)]
    sites, walk = (
        write_places(tmp_path / "a.csv", places),
        write_places(tmp_path / "b.csv", places[:1] * 2 + places[1:2]),
    )
    for kwargs in ({"sites": sites}, {"trajectory": walk}):
        env = make(**SHORT, **kwargs)
        _, info = play(env, np.random.default_rng(0))
        assert env.observation_space.contains(env.reset()[0])
        assert np.isfinite(info["elapsed_s"])


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


@pytest.mark.parametrize("scenario", ["vgg16-cifar10", *slow("resnet50-speech-x2-300mbps")])
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


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (PipelinePlan("vgg16_32", 5, "site-125", 2), "worker is 'site-125', allowed: none, cloud, site-0 to site-124"),
        (PipelinePlan("vgg16_32", 5, "none", 2), "worker is 'none' with cut 5"),
        (PipelinePlan("vgg16_32", 20, "cloud", 2), "worker is 'cloud' with cut 20"),
        (PipelinePlan("vgg16_32", 21, "none", 2), "cut is 21"),
        (PipelinePlan("vgg16_32", 5, "cloud", 3), "in_flight is 3, that of vgg16-cifar10 is 2"),
    ],
    ids=lambda v: getattr(v, "worker", ""),
)
def test_plans_that_do_not_fit_the_scenario_are_refused(plan: PipelinePlan, words: str) -> None:
    system = make(optimum=False).dynamics.system
    assert system.placement_of(PipelinePlan("vgg16_32", 5, "cloud", 2)) == (5, system.cloud)
    assert system.placement_of(PipelinePlan("vgg16_32", 20, "none", 2)) == (20, NOBODY)
    with pytest.raises(InputError) as caught:
        system.placement_of(plan)
    assert str(caught.value).startswith(words)


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
