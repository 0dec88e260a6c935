"""The compiled physics to the bit: an exchange against one of all pairs, and any lanes against each alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.distredge.observation import LIMIT, RATE_SCALE_MBPS, Observer
from splitgym.envs.distredge.physics import Physics, Rates
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.state import Progress
from splitgym.envs.distredge.step_kernels import decide
from splitgym.envs.distredge.system import System

MEDIA = ("switched", "shared")
MODELS = ("vgg16", "resnet50", "ssd_vgg16")  # with one tensor across a cut, several, side heads
COUNTS = (2, 4, 9, 24)
KINDS = ("xavier", "tx2", "nano", "pi3")


@cache
def system_of(model: str, devices: int, medium: str) -> System:
    kinds, mbps = (KINDS * devices)[:devices], (50.0,) * devices
    return System(get_scenario("DB-50", model=model, devices=kinds, mbps=mbps, medium=medium))


@cache
def physics_of(system: System) -> Physics:
    """Over three ways to end a volume in the middle, and what may follow."""
    units = system.n_units
    middle = (units // 3, units // 2, units - 1)
    return system.physics(sorted({(a, b) for a in (0, *middle) for b in (*middle, units) if a < b}))


def random_posts(physics: Physics, v: int, rng: np.random.Generator) -> np.ndarray:
    """Fence posts of a volume (D + 1,), some of them at one another's place."""
    height, inner = int(physics.volumes.height[v]), physics.devices - 1
    rows = rng.integers(0, height + 1, inner) if rng.random() < 0.7 else rng.choice([0, height // 2, height], inner)
    return np.array([0, *np.sort(rows), height])


def missing_bytes(physics: Physics, v: int, posts: np.ndarray, held: np.ndarray, before: int) -> np.ndarray:
    """(D, D) bytes that a sender owns and a receiver's part reads, by all pairs."""
    tables, devices = physics.volumes, physics.devices
    need_lo, need_hi, hold = tables.rows
    moved = np.zeros((devices, devices))
    for s in range(devices):
        for d in range(devices):
            if s != d and posts[d + 1] > posts[d]:
                lo, hi = need_lo[:, tables.post_at[v] + posts[d]], need_hi[:, tables.post_at[v] + posts[d + 1]]
                own = hold[:, tables.post_at[before] + held[s]], hold[:, tables.post_at[before] + held[s + 1]]
                rows = np.maximum(np.minimum(hi, own[1]) - np.maximum(lo, own[0]), 0)
                moved[s, d] = rows @ tables.row_bytes[v]
    return moved


def exchanged(system: System, moved: np.ndarray, rates: Rates, at: Any, lane: int) -> tuple[np.ndarray, ...]:
    """(when rows are there, send threads free, links free), by all pairs."""
    links, in_s, devices = system.links, rates.in_s[lane], len(moved)
    begin = np.maximum(at.free_s[lane, :-1], at.done_s[lane, :-1])
    busy, link, ready = np.zeros(devices), at.link_s[lane, :-1].copy(), at.link_s[lane, :-1].copy()
    for d in range(devices):
        starts, ends = [], []
        for s in np.flatnonzero(moved[:, d]):
            copy_s = links.copy_s_per_byte[s] + links.copy_s_per_byte[d]
            took = moved[s, d] * (max(in_s[s], in_s[d]) + copy_s) + max(links.message_s[s], links.message_s[d])
            busy[s] += took
            ends.append(busy[s] + begin[s])
            starts.append(ends[-1] - took)
        if ends:
            link[d] = max(min(starts), link[d]) + moved[:, d].sum() * in_s[d]
            ready[d] = max(*ends, link[d])
    return ready, begin + busy, link


def exchanged_on_air(system: System, moved: np.ndarray, rates: Rates, at: Any, lane: int) -> tuple[np.ndarray, ...]:
    """(when rows are there, send threads free, the air free), message by message."""
    links, in_s, devices = system.links, rates.in_s[lane], len(moved)
    free, ready, air = np.maximum(at.free_s[lane, :-1], at.done_s[lane, :-1]), np.zeros(devices), at.link_s[lane, -1]
    queues = {s: [int(d) for d in np.flatnonzero(moved[s])] for s in range(devices) if moved[s].any()}
    while queues:
        asks = {s: free[s] + max(links.message_s[s], links.message_s[q[0]]) for s, q in queues.items()}
        s = min(queues, key=lambda s: (asks[s], s))
        d = queues[s].pop(0)
        air = max(asks[s], air) + moved[s, d] * (in_s[s] + in_s[d])
        free[s] = air + moved[s, d] * (links.copy_s_per_byte[s] + links.copy_s_per_byte[d])
        ready[d] = max(ready[d], free[s])
        queues = {s: q for s, q in queues.items() if q}
    return ready, free, air


@given(
    model=st.sampled_from(MODELS),
    devices=st.sampled_from(COUNTS),
    medium=st.sampled_from(MEDIA),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_an_exchange_is_that_of_all_pairs(model: str, devices: int, medium: str, seed: int) -> None:
    system, rng = system_of(model, devices, medium), np.random.default_rng(seed)
    physics = physics_of(system)
    v = int(rng.choice(np.flatnonzero(physics.volumes.start > 0)))
    before = int(rng.choice(np.flatnonzero(physics.volumes.stop == physics.volumes.start[v])))
    rates = system.rates(rng.uniform(5, 400, (devices, 1)))
    at, lane = Progress(devices, 1), np.zeros(1, dtype=np.int64)
    at.state.posts[0], at.state.volume[0] = random_posts(physics, before, rng), before
    for seconds in (at.state.done_s, at.state.free_s, at.state.link_s):
        seconds[0] = rng.uniform(0, 0.1, devices + 1)
    posts = random_posts(physics, v, rng)
    moved = missing_bytes(physics, v, posts, at.state.posts[0], before)
    one_by_one = exchanged if medium == "switched" else exchanged_on_air
    ready, free, link = one_by_one(system, moved, rates, at.state, 0)
    cells = physics.volumes.cell_at[v] + posts[:-1] * (posts[-1] + 1) + posts[1:]
    done = np.maximum(at.state.done_s[0, :-1], ready) + physics.volumes.compute_s[system.types, cells]
    physics.volume(at, v, posts[None], rates, lane)
    assert np.array_equal(at.state.done_s[0, :-1], done)
    assert np.array_equal(at.state.free_s[0, :-1], free)
    assert np.array_equal(at.state.link_s[0, :-1] if medium == "switched" else at.state.link_s[0, -1], link)


def played(
    system: System, which: list[list[int]], posts: list[list[np.ndarray]], mbps: np.ndarray, lanes: list[int]
) -> tuple[np.ndarray, Progress]:
    """Latencies of some lanes' plans, and their states, all lanes together volume by volume."""
    physics, at = physics_of(system), Progress(system.n_devices, len(lanes))
    rates = system.rates(mbps[:, lanes])
    for v in range(max(len(which[lane]) for lane in lanes)):
        some = np.array([i for i, lane in enumerate(lanes) if v < len(which[lane])])
        volumes = np.array([which[lanes[i]][v] for i in some])
        physics.volume(at, volumes, np.array([posts[lanes[i]][v] for i in some]), rates, some)
    return physics.finish(at, rates, np.arange(len(lanes))), at


@given(
    model=st.sampled_from(MODELS),
    devices=st.sampled_from(COUNTS),
    medium=st.sampled_from(MEDIA),
    n=st.integers(2, 7),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40)
def test_lanes_with_other_volumes_and_rates_do_not_touch_each_other(
    model: str, devices: int, medium: str, n: int, seed: int
) -> None:
    system, rng = system_of(model, devices, medium), np.random.default_rng(seed)
    physics, units = physics_of(system), system.n_units
    stops = [[*sorted(rng.choice((units // 3, units // 2, units - 1), rng.integers(0, 4), False)), units]
             for _ in range(n)]  # fmt: skip
    which = [[int(physics.volumes.index[r]) for r in zip([0, *s[:-1]], s, strict=True)] for s in stops]
    posts = [[random_posts(physics, v, rng) for v in some] for some in which]
    mbps = rng.uniform(5, 400, (devices, n))
    together, at = played(system, which, posts, mbps, list(range(n)))
    for lane in range(n):
        alone, own = played(system, which, posts, mbps, [lane])
        assert alone[0] == together[lane]
        for mine, all_lanes in zip(own.state, at.state, strict=True):
            assert np.array_equal(mine[0], all_lanes[lane])


@pytest.mark.parametrize("medium", MEDIA)
def test_a_log_changes_nothing_and_is_complete(medium: str) -> None:
    """Every second that a device computes or sends is in it, whatever many devices do."""
    system, rng = system_of("vgg16", 24, medium), np.random.default_rng(3)
    units = system.n_units
    stops = (units // 2, units - 1, units)
    plan = system.plan(stops, [np.sort(rng.integers(0, system.heights[s - 1] + 1, 23)) for s in stops])
    latency_s, at, events = system.replay(plan)
    assert latency_s == system.evaluate([plan])[0]
    for kind, totals in (("compute", at.compute_s), ("send", at.send_s), ("scatter", at.scatter_s)):
        busy = np.zeros(24)
        for _, device, start_s, end_s, _ in (row for row in events.rows if row[0] == kind):
            busy[device] += end_s - start_s
        if medium == "switched" or kind == "compute":
            assert busy == pytest.approx(totals[:24, 0])
        else:  # with the wait for the air
            assert np.all(busy >= totals[:24, 0] - 1e-12)


class Decisions:
    """What n lanes over a few stages have decided, all in front of some stage."""

    def __init__(self, n: int, inner: int, learned: bool, rng: np.random.Generator) -> None:
        self.n, self.inner, self.learned = n, inner, learned
        self.stops, self.heights = np.array([2, 3, 7, 8]), rng.integers(1, 300, 4)
        self.index = np.arange(8 * 9).reshape(8, 9)
        self.stage = rng.integers(0, 4, n)
        self.opened = np.array([rng.choice([0, *self.stops[:s]]) for s in self.stage])
        self.closed, self.splits = np.zeros((n, 4), dtype=bool), np.full((n, 4, inner), -1)

    def decide(self, action: np.ndarray, lanes: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        posts, volumes = np.zeros((lanes.size, self.inner + 2), dtype=np.int64), np.zeros(lanes.size, dtype=np.int64)
        through = decide(
            action, lanes, self.learned, self.stops, self.heights, self.index, self.stage, self.opened, self.closed,
            self.splits, posts, volumes,
        )  # fmt: skip
        return through, posts, volumes


@given(
    inner=st.integers(1, 20),
    n=st.integers(1, 6),
    learned=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.1, 1.0, 3.0, np.inf]),
)
@settings(max_examples=60)
def test_an_action_becomes_sorted_rows_and_perhaps_a_volume(
    inner: int, n: int, learned: bool, seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    made = Decisions(n, inner, learned, rng)
    stage, opened = made.stage.copy(), made.opened.copy()
    action = rng.uniform(-1, 1, (n, inner + learned)) * scale
    lanes = np.flatnonzero(rng.random(n) < 0.7)
    through, posts, volumes = made.decide(action, lanes)
    heights, mine = made.heights[stage[lanes]], np.sort(action[lanes, :inner], axis=1)
    assert np.array_equal(posts[:, 1:-1], np.rint((np.clip(mine, -1, 1) + 1) * (0.5 * heights[:, None])))
    assert not posts[:, 0].any()
    assert np.array_equal(posts[:, -1], heights)
    assert np.array_equal(made.splits[lanes, stage[lanes]], posts[:, 1:-1])
    assert np.sum(made.splits >= 0) == lanes.size * inner  # nobody else's
    assert through == np.sum(stage[lanes] == 3)
    ends = (action[lanes, -1] > 0) | (stage[lanes] == 3) if learned else np.ones(lanes.size, dtype=bool)
    stops = made.stops[stage[lanes]]
    assert np.array_equal(made.closed[lanes, stage[lanes]], ends)
    assert np.array_equal(volumes, np.where(ends, made.index[opened[lanes], stops], -1))
    opened[lanes[ends]] = stops[ends]
    stage[lanes] += 1
    assert np.array_equal(made.opened, opened)
    assert np.array_equal(made.stage, stage)


def test_nothing_is_decided_where_an_action_is_not_a_number() -> None:
    made, action = Decisions(2, 2, False, np.random.default_rng(0)), np.array([[0.5, 0.2], [0.1, np.nan]])
    stage, opened = made.stage.copy(), made.opened.copy()
    assert made.decide(action, np.arange(2))[0] == -1
    assert np.all(made.splits == -1)
    assert np.array_equal(made.stage, stage)
    assert np.array_equal(made.opened, opened)
    assert made.decide(action, np.arange(1))[0] >= 0


@given(seed=st.integers(0, 2**32 - 1), full=st.booleans(), learned=st.booleans(), n=st.integers(1, 4))
@settings(max_examples=40)
def test_observations_are_what_their_names_say(seed: int, full: bool, learned: bool, n: int) -> None:
    system, rng = system_of("vgg16", 4, "switched"), np.random.default_rng(seed)
    units = system.n_units
    observer = Observer(system, range(1, units + 1), full, learned)
    at, stage = Progress(4, n), rng.integers(0, units + 1, n)
    opened = rng.integers(0, stage + 1)
    at.state.done_s[:], at.state.free_s[:] = rng.uniform(0, 3, (2, n, 5)) * rng.choice([1.0, 1e3])
    at.state.posts[:] = np.sort(rng.integers(0, 50, (n, 5)), axis=1) * rng.integers(0, 2, (n, 1))
    rates, clock = system.rates(rng.uniform(5, 400, (4, n))), rng.random(n)
    seen = dict(zip(observer.names, observer(at, stage, opened, rates, clock).T, strict=True))
    height, t_ref = np.maximum(at.state.posts[:, -1], 1), system.reference_s
    wanted: dict[str, np.ndarray] = {}
    for d, name in enumerate(system.names):
        wanted[f"T[{name}] / T_ref"] = at.done_s[d] / t_ref
        wanted[f"send backlog[{name}] / T_ref"] = np.maximum(at.free_s[d] - at.done_s[d], 0) / t_ref
        wanted[f"rate[{name}] / 300 Mbps"] = rates.mbps[:, d] / RATE_SCALE_MBPS
        wanted[f"previous split {d} / H"] = at.state.posts[:, d] / height
    wanted |= {"H / 224": np.append(system.heights / 224, 0.0)[stage], "stages behind": stage / units}
    wanted |= {"clock share": clock, "open units share": (stage - opened) / units}
    wanted["open volume reads the image"] = (opened == 0).astype(float)
    for name in observer.names:
        if name in wanted:
            assert np.array_equal(seen[name], np.clip(wanted[name], 0, LIMIT).astype(np.float32)), name
