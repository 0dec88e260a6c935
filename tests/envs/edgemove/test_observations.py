"""What an EdgeMove client sees: probes, the list of servers, observations and their space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.envs.edgemove.actions import CLOUD, STAY
from splitgym.envs.edgemove.kernels import NOTIFY
from splitgym.envs.edgemove.observation import HISTORY, LISTED, STATE
from splitgym.envs.edgemove.system import NOBODY

from .episodes import SHORT, make, play, seen, write_places


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
    env, rng = make("vgg16-cifar10-city-x2", n_sites=200, optimum=False, on_device_s=8000.0), np.random.default_rng(3)
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
