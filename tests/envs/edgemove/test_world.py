"""EdgeMove's world: sites and walks, rates, loads, and how long a cycle takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.edgemove.city import CEILING_SNR_DB, EXTENT_M, City, Neighbourhood, build_city, rate_table
from splitgym.envs.edgemove.kernels import PIECES
from splitgym.envs.edgemove.pipeline import path_s, period_s
from splitgym.envs.edgemove.scenarios import get_scenario
from splitgym.envs.edgemove.servers import DRIFT_S, SAMPLE_S, SAMPLES, Servers
from splitgym.envs.edgemove.system import NOBODY, System
from splitgym.envs.edgemove.walks import STEP_M, TEST_WALKS, TRAIN_WALKS
from splitgym.envs.edgemove.world import World

from .worlds import shannon_bits, stages_by_hand, system, world_of

LANES = 64

QUIET = {"load_drift": 0.0, "burst_factor": 1.0, "edge_rtt_s": (0.02, 0.02), "cloud_rtt_s": (0.13, 0.13)}
STILL = "LATITUDE,LONGITUDE\n-37.8136,144.9631\n-37.8136,144.9631\n"


sizes = st.floats(1.0, 1e5)


# Sites.


def test_the_synthetic_city_is_that_of_the_paper() -> None:
    """125 sites, reaching 300 to 500 m, with one of two GPUs each, on the ground that the real ones cover."""
    city = build_city(get_scenario("vgg16-cifar10-city"))
    assert city.n_sites == 125
    assert 300 <= city.radius_m.min() < 320 < 480 < city.radius_m.max() <= 500
    assert set(city.gpu.tolist()) == {0, 1}
    assert (np.abs(city.position_m) <= np.array(EXTENT_M) / 2).all()
    again, other = (build_city(get_scenario("vgg16-cifar10-city", city_seed=seed)) for seed in (0, 1))
    assert np.array_equal(again.position_m, city.position_m)
    assert not np.array_equal(other.position_m, city.position_m)


@pytest.mark.parametrize("wide", [1.0, 30.0], ids=["city", "country"])
def test_the_grid_knows_every_site_that_covers_a_place(wide: float) -> None:
    """Against all 125 sites one by one, in a city and where the area is so wide that cells grow."""
    city, rng = build_city(get_scenario("vgg16-cifar10-city")), np.random.default_rng(0)
    high = wide * np.array(EXTENT_M)
    grid = Neighbourhood(city, -high, high)
    places = np.concatenate([rng.uniform(-high, high, (1500, 2)), city.position_m, [high, -high]])
    found = grid.of(places.T)
    assert found.shape == (len(places), grid.most)
    for place, sites in zip(places, found, strict=True):
        listed = sites[sites < city.n_sites].tolist()
        assert len(set(listed)) == len(listed)
        distance = np.hypot(*(city.position_m - place).T)
        assert set(np.flatnonzero(distance <= city.radius_m)) <= set(listed)
    if wide == 1.0:
        assert grid.most < 60


@given(data=st.data())
def test_the_sites_in_reach_are_those_of_all_one_by_one(data: st.DataObject) -> None:
    """In any city and area, in order, at the ends of coverage and the corners of the area too."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n_sites, size, reach = data.draw(st.integers(1, 60)), data.draw(sizes), data.draw(sizes)
    position = rng.uniform(-size, size, (n_sites, 2))
    city = City(position, reach * rng.uniform(0.1, 1.0, n_sites), np.zeros(n_sites, dtype=np.intp), (0.0, 0.0))
    low, high = np.sort(rng.uniform(-1.5 * size, 1.5 * size, (2, 2)), axis=0)
    ends = city.position_m + city.radius_m[:, None] * [1.0, 0.0]
    places = np.clip(np.concatenate([rng.uniform(low, high, (40, 2)), ends, [low, high]]), low, high)
    for place, sites in zip(places, Neighbourhood(city, low, high).of(places.T), strict=True):
        covers = np.hypot(*(city.position_m - place).T) <= city.radius_m
        assert [site for site in sites if site < n_sites and covers[site]] == np.flatnonzero(covers).tolist()


def test_nearby_sites_are_those_that_cover_the_client() -> None:
    lanes, rng = 40, np.random.default_rng(2)
    world = world_of(system(), lanes)
    elapsed = rng.uniform(0.0, 6000.0, lanes)
    position = world.position_m(np.arange(lanes), elapsed)
    sites, distance, covers = world.nearby(np.arange(lanes), elapsed)
    city, counts = world.system.city, []
    for i in range(lanes):
        true = np.hypot(*(city.position_m - position[:, i]).T)
        assert sorted(sites[i, covers[i]]) == np.flatnonzero(true <= city.radius_m).tolist()
        assert distance[i, covers[i]] == pytest.approx(true[sites[i, covers[i]]], abs=1e-9)
        counts.append(covers[i].sum())
    assert 5 < np.mean(counts) < 30


# Links.


@pytest.mark.parametrize("change", [{}, {"edge_snr_db": 12.0, "path_loss": 2.0, "near_mbps": 90.0}], ids=str)
def test_rates_fall_with_distance_from_near_to_the_end_of_coverage(change: dict[str, Any]) -> None:
    scenario = get_scenario("vgg16-cifar10-city", **change)
    table = rate_table(scenario)
    assert (np.diff(table) <= 0).all()
    assert table[0] == table[10] == pytest.approx(1e6 * scenario.near_mbps)
    edge = 10 ** (scenario.edge_snr_db / 10)
    assert table[-1] == pytest.approx(1e6 * scenario.near_mbps * np.log2(1 + edge) / np.log2(1 + 1000.0))
    full = 10 ** ((scenario.edge_snr_db - CEILING_SNR_DB) / (10 * scenario.path_loss))  # reached at this share
    steps = len(table) - 1
    assert table[int(full * steps) - 1] == pytest.approx(table[0])
    assert table[int(full * steps) + 2] < table[0]


def test_goodput_is_shannons_at_every_distance_and_no_less_beyond() -> None:
    world, rng = world_of(system()), np.random.default_rng(0)
    city, scenario = world.system.city, world.system.scenario
    site = rng.integers(0, city.n_sites, 500)
    radius = city.radius_m[site]
    distance = rng.uniform(0.0, 1.0, 500) * radius
    lane, start = np.zeros(500, dtype=np.intp), np.zeros(500)
    rate = world.rate_bits(site, lane, start, distance)
    assert (rate >= shannon_bits(scenario, distance, radius) * (1 - 1e-12)).all()
    assert rate == pytest.approx(shannon_bits(scenario, distance, radius), rel=5e-3)
    ends = world.rate_bits(site, lane, start, radius)
    assert world.rate_bits(site, lane, start, 3 * radius) == pytest.approx(ends, rel=1e-3)
    assert ends == pytest.approx(shannon_bits(scenario, 1.0, 1.0), rel=1e-3)


def test_the_cloud_is_always_in_reach_at_a_rate_that_wanders() -> None:
    world = world_of(system(), 50)
    lane, cloud = np.arange(50), np.full(50, world.system.cloud)
    assert world.reaches(cloud, world.distance_m(cloud, world.position_m(lane, np.zeros(50)))).all()
    times = np.linspace(0.0, SAMPLES * SAMPLE_S, 400)
    rates = world.rate_bits(cloud[:, None], lane[:, None], times, np.array(1e9))
    assert rates.mean() == pytest.approx(300e6, rel=0.1)
    assert np.std(np.log(rates)) == pytest.approx(0.3, rel=0.2)
    assert np.array_equal(rates, world.rate_bits(cloud[:, None], lane[:, None], times, np.array(5.0)))


# Walks.


def test_walks_are_walked_at_constant_speed_and_retraced() -> None:
    """Against the polyline itself, to the metre that samples lie apart at most."""
    walks, rng = system().walks, np.random.default_rng(3)
    for walk in range(TEST_WALKS):
        points = walks.points_m[walk]
        lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        total = float(STEP_M * round(lengths[-1] / STEP_M))
        assert total == pytest.approx(lengths[-1], abs=STEP_M / 2)
        gone = rng.uniform(0.0, 5 * total, 400)
        at = walks.at(np.full(400, walk), gone)
        inside = total - np.abs(gone % (2 * total) - total)
        expected = np.stack([np.interp(inside * lengths[-1] / total, lengths, points[:, axis]) for axis in (0, 1)])
        assert np.hypot(*(at - expected)).max() <= 0.5 * STEP_M * 1.01
        assert walks.at(np.full(400, walk), 10 * total - gone) == pytest.approx(at)  # there and back five times
        assert np.array_equal(walks.at(np.array([walk]), np.array([0.0]))[:, 0], points[0])


def test_clients_walk_at_their_speed() -> None:
    slow, fast = world_of(system()), world_of(system("vgg16-cifar10-city-x2"))
    lane, times = np.zeros(300, dtype=np.intp), np.linspace(0.0, 2000.0, 300)
    assert system("vgg16-cifar10-city-x2").scenario.speed_mps == 2 * system().scenario.speed_mps == 2.8
    assert slow.position_m(lane, times) == pytest.approx(fast.position_m(lane, times / 2))
    hops = np.hypot(*np.diff(slow.position_m(lane, times), axis=1))
    assert np.median(hops) == pytest.approx(1.4 * 2000 / 299, rel=0.2)
    assert hops.max() <= 1.4 * 2000 / 299 + STEP_M


def test_ten_walks_to_evaluate_and_others_to_train_on() -> None:
    walks, city = system().walks, system().city
    assert list(walks.test) == list(range(10))
    assert len(walks.train) == TRAIN_WALKS
    assert not set(walks.test) & set(walks.train)
    assert len(walks.points_m) == TEST_WALKS + TRAIN_WALKS
    assert len({points.tobytes() for points in walks.points_m}) == len(walks.points_m)
    low, high = city.box_m
    for points in walks.points_m:
        assert len(points) >= 3
        assert ((np.diff(points, axis=0) != 0).sum(axis=1) == 1).all()  # along streets
        assert (points >= low - 100).all()
        assert (points <= high + 100).all()


# Servers.


def bank(seed: int = 0, lanes: int = 3, **change: Any) -> Servers:
    servers = Servers(get_scenario("vgg16-cifar10-city", **change), 125, lanes)
    servers.seed(np.arange(lanes), [np.random.default_rng(seed + i) for i in range(lanes)])
    return servers


def test_loads_and_round_trips_stay_in_their_ranges_and_come_again() -> None:
    servers, times = bank(), np.arange(0.0, SAMPLES * SAMPLE_S, 7.0)
    slots = servers.slot(np.arange(125)[:, None], np.array(1))
    load, rtt = servers.load(slots, times), servers.rtt_s(slots, times)
    assert load.min() >= 1.0
    assert load.max() <= 2.0 * 3.0
    assert load.max() > 4.0
    assert rtt.min() >= 0.005 * (1 - 1e-6)
    assert rtt.max() <= 0.040 * (1 + 1e-6)
    assert np.ptp(rtt) > 0.030
    far = servers.rtt_s(servers.slot(125, np.arange(3))[:, None], times)
    assert far.min() >= 0.100 * (1 - 1e-6)
    assert far.max() <= 0.170 * (1 + 1e-6)
    for values, again in ((load, servers.load), (rtt, servers.rtt_s)):
        assert np.array_equal(values, again(slots, times + SAMPLES * SAMPLE_S))
    lanes = np.arange(3)[:, None]
    assert np.array_equal(servers.cloud_bits(lanes, times), servers.cloud_bits(lanes, times + SAMPLES * SAMPLE_S))


def test_loads_drift_over_minutes_and_burst_as_often_as_told() -> None:
    times = np.arange(SAMPLES) * SAMPLE_S
    slots = np.arange(126 * 3)[:, None]
    smooth = bank(burst_factor=1.0).load(slots, times)
    assert (smooth <= 2.0).all()
    assert np.mean(smooth) == pytest.approx(1.5, abs=0.05)
    lag = round(DRIFT_S / SAMPLE_S)
    assert np.corrcoef(smooth[:, :-lag].ravel(), smooth[:, lag:].ravel())[0, 1] == pytest.approx(np.exp(-1), abs=0.08)
    bursts = bank(load_drift=0.0).load(slots, times)
    assert set(np.unique(bursts).tolist()) == {1.0, 3.0}
    assert np.mean(bursts == 3.0) == pytest.approx(1 - np.exp(-68 / 600), abs=0.02)  # a burst lasts 68 s in the mean
    rare = bank(load_drift=0.0, burst_every_s=6000.0).load(slots, times)
    assert np.mean(rare == 3.0) == pytest.approx(1 - np.exp(-68 / 6000), abs=0.005)
    assert (bank(load_drift=0.0, burst_factor=1.0).load(slots, times) == 1.0).all()
    assert np.mean(bank(burst_s=1e12, load_drift=0.0).load(slots, times) == 3.0) > 0.99


def test_seeds_choose_the_traces() -> None:
    times, slots = np.arange(0.0, 3000.0, 16.0), np.arange(126 * 3)[:, None]
    one, same, other = bank(5), bank(5), bank(6)
    assert np.array_equal(one.load(slots, times), same.load(slots, times))
    assert np.array_equal(one.rtt_s(slots, times), same.rtt_s(slots, times))
    for a, b in ((one.load, other.load), (one.rtt_s, other.rtt_s)):
        assert np.mean(a(slots, times) == b(slots, times)) < 0.5
    # Lane 1 of seeds 5, 6, 7 is lane 0 of seeds 6, 7, 8: lanes know nothing of each other.
    servers = np.arange(126)
    shifted = one.load(one.slot(servers, np.array(1)), np.array(100.0))
    assert np.array_equal(shifted, other.load(other.slot(servers, np.array(0)), np.array(100.0)))
    normals = [
        one.normal(np.zeros(500, dtype=np.intp), np.arange(500)),
        one.normal(np.ones(500, np.intp), np.arange(500)),
    ]
    assert np.corrcoef(normals)[0, 1] == pytest.approx(0.0, abs=0.15)
    assert np.std(normals[0]) == pytest.approx(1.0, abs=0.15)


# Cycles.


def quiet_world(tmp_path: Any, **change: Any) -> World:
    """A client that stands still among servers that do not change."""
    (tmp_path / "still.csv").write_text(STILL)
    scenario = get_scenario("vgg16-cifar10-city", trajectory=str(tmp_path / "still.csv"), **QUIET, **change)
    return world_of(System(scenario))


def test_a_cycle_under_constant_conditions_is_its_iterations_times_the_period(tmp_path: Any) -> None:
    for change in ({}, {"half_duplex": True}, {"in_flight": 1}):
        world = quiet_world(tmp_path, **change)
        setting = world.system.scenario
        zero = np.array([0])
        for cut, server in ((1, 3), (7, 20), (13, 41), (19, 99), (world.system.n_layers, NOBODY)):
            took = world.cycle_s(np.array([cut]), np.array([server]), zero, np.array([33.0]), np.array([480]))[0]
            stages = stages_by_hand(world, cut, server, 33.0)
            period = period_s(*stages, setting.in_flight, setting.half_duplex)
            assert took == pytest.approx(480 * period, rel=2e-3)  # rates are tabulated over distance
            exact = world.period_s(np.array([cut]), np.array([server]), zero, np.array([900.0]))[0]
            assert took == pytest.approx(480 * exact, rel=1e-12)
            filling = world.filling_s(np.array([cut]), np.array([server]), zero, np.array([33.0]))[0]
            assert filling == pytest.approx(path_s(*stages) - period, rel=2e-3, abs=1e-12)


def fine_cycle_s(
    world: World, case: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], iterations: int
) -> np.ndarray:
    """The same minibatch by minibatch."""
    cut, server, lane, elapsed = case
    done = np.zeros(len(cut))
    for _ in range(iterations):
        done += world.period_s(cut, server, lane, elapsed + done)
    return done


@pytest.mark.parametrize("change", [{"burst_factor": 1.0}, {}], ids=["drift", "bursts"])
def test_a_cycle_follows_the_walk_and_the_load(change: dict[str, Any]) -> None:
    """Four pieces are within 2 % of minibatch after minibatch, but where a burst begins or ends."""
    lanes, rng = 60, np.random.default_rng(0)
    world = world_of(System(get_scenario("vgg16-cifar10-city", **change)), lanes)
    lane, elapsed = np.arange(lanes), rng.uniform(0.0, 3000.0, lanes)
    sites, _, covers = world.nearby(lane, elapsed)
    server = np.array([rng.choice(s[c]) if c.any() else world.system.cloud for s, c in zip(sites, covers, strict=True)])
    case = (rng.integers(1, world.system.n_layers, lanes), server, lane, elapsed)
    fine = fine_cycle_s(world, case, 400)
    coarse = world.cycle_s(*case, np.full(lanes, 400))
    wrong = np.abs(coarse / fine - 1)
    assert np.median(wrong) < 0.005
    assert np.quantile(wrong, 0.9) < (0.02 if change else 0.06)
    begin = 400 * world.period_s(*case)
    assert np.mean(wrong) < 0.5 * np.mean(np.abs(begin / fine - 1))  # conditions at the beginning alone tell less
    assert PIECES == 4


def test_cycles_of_many_lanes_are_the_pieces_of_each_to_the_bit() -> None:
    """Compiled or over arrays, alone or among others."""
    lanes, rng = 200, np.random.default_rng(4)
    world = world_of(System(get_scenario("resnet50-cinic10-city-x2", half_duplex=True)), lanes)
    of, lane = world.system, np.arange(lanes)
    cut, server = rng.integers(1, of.n_layers + 1, lanes), rng.integers(NOBODY, of.cloud + 1, lanes)
    elapsed, iterations = rng.uniform(0.0, 9000.0, lanes), rng.integers(1, 500, lanes)
    share = iterations / PIECES
    period, done = world.period_s(cut, server, lane, elapsed), np.zeros(lanes)
    for _ in range(PIECES):
        period = world.period_s(cut, server, lane, elapsed + done + 0.5 * share * period)
        done += share * period
    assert np.array_equal(world.cycle_s(cut, server, lane, elapsed, iterations), done)
    for i in range(0, lanes, 20):
        one = (values[i : i + 1] for values in (cut, server, lane, elapsed, iterations))
        assert world.cycle_s(*one)[0] == done[i]


def best_of_all(world: World, lane: int, elapsed: float, iterations: int) -> tuple[float, int, int]:
    """The first of the fastest: the client alone, then all sites in reach and the cloud, cut by cut."""
    of, best = world.system, (world.system.on_device_iteration_s * iterations, NOBODY, world.system.n_layers)
    sites, _, covers = world.nearby(np.array([lane]), np.array([elapsed]))
    cuts = np.arange(1, of.n_layers)
    server = np.repeat(np.append(sites[covers], of.cloud), len(cuts))
    cut, lanes = np.tile(cuts, len(server) // len(cuts)), np.full(len(server), lane)
    seconds = world.cycle_s(cut, server, lanes, np.full(len(server), elapsed), np.full(len(server), iterations))
    at = int(np.argmin(seconds))
    return (seconds[at], server[at], cut[at]) if seconds[at] < best[0] else best


@settings(max_examples=40)
@given(st.data())
def test_the_fastest_cycle_is_that_of_all_servers_and_cuts_to_the_bit(data: st.DataObject) -> None:
    """In crowded and in empty cities, on foot and by train, where links, clients or servers are slow or in bursts."""
    fields = {
        "n_sites": st.sampled_from([1, 40, 125, 600]),
        "speed_mps": st.sampled_from([0.01, 1.4, 8.0]),
        "near_mbps": st.sampled_from([1.0, 150.0, 600.0, 1e5]),
        "edge_snr_db": st.sampled_from([-10.0, 0.0, 30.0]),
        "cloud_mbps": st.sampled_from([0.01, 300.0]),
        "edge_rtt_s": st.sampled_from([(0.005, 0.04), (0.001, 3.0)]),
        "load_drift": st.sampled_from([0.0, 1.0, 50.0]),
        "burst_factor": st.sampled_from([1.0, 4.0, 40.0]),
        "burst_every_s": st.sampled_from([60.0, 600.0]),
        "cycle": st.sampled_from([20, 1000, 20_000]),
        "in_flight": st.sampled_from([1, 2, 8]),
        "half_duplex": st.booleans(),
        "city_seed": st.integers(0, 3),
    }
    drawn = {name: data.draw(values, label=name) for name, values in fields.items()}
    world, lanes = world_of(System(get_scenario("resnet50-cinic10", **drawn)), LANES), np.arange(LANES)
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    elapsed, iterations = rng.uniform(0.0, 4000.0, LANES), rng.integers(1, drawn["cycle"] + 1, LANES)
    seconds, server, cut = world.best_cycle_s(lanes, elapsed, iterations)
    for i in range(LANES):
        assert (seconds[i], server[i], cut[i]) == best_of_all(world, i, elapsed[i], int(iterations[i]))


def test_the_fastest_cycle_is_the_clients_own_where_links_are_poor(tmp_path: Any) -> None:
    (tmp_path / "far.csv").write_text("latitude;x\n".replace(";x", ",longitude") + "10.0,20.0\n10.001,20.0\n")
    scenario = get_scenario("vgg16-cifar10-city", trajectory=str(tmp_path / "far.csv"), cloud_mbps=0.01)
    world = world_of(System(scenario))
    seconds, server, cut = world.best_cycle_s(np.array([0]), np.array([5.0]), np.array([500]))
    assert (server[0], cut[0]) == (NOBODY, world.system.n_layers)
    assert seconds[0] == pytest.approx(500 * world.system.on_device_iteration_s)
    assert not world.nearby(np.array([0]), np.array([5.0]))[2].any()
