"""What moving layers costs: who has what must go where, over which link."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from splitgym.envs.edgemove.adaptation import Placement, adaptation_s
from splitgym.envs.edgemove.pipeline import path_s, period_s
from splitgym.envs.edgemove.scenarios import get_scenario
from splitgym.envs.edgemove.system import NOBODY, System
from splitgym.envs.edgemove.world import World

from .worlds import stages_by_hand, system, world_of


@cache
def moving() -> tuple[World, int, int, int]:
    """A world with two servers in reach of lane 0 after 100 s, at different rates, and one that is not."""
    world = world_of(system())
    sites, _, covers = world.nearby(np.array([0]), np.array([100.0]))
    near = sites[0, covers[0]]
    rates = world.rate_bits(near, np.zeros(len(near), dtype=np.intp), np.full(len(near), 100.0), _distance(world, near))
    away = np.setdiff1d(np.arange(world.system.n_sites), near)
    return world, int(near[rates.argmax()]), int(near[rates.argmin()]), int(away[0])


def _distance(world: World, sites: np.ndarray) -> np.ndarray:
    position = world.position_m(np.array([0]), np.array([100.0]))
    return world.distance_m(sites, position)


def weight_bits_behind(of: System, cut: int) -> float:
    """Parameters of all steps behind a cut, in float32."""
    params = next(iter(of.profiles.values())).params
    return 32.0 * float(params[of.points[cut] :].sum())


NEAR, OTHER, LOST, CLOUD, ALONE = "near", "other", "lost", "cloud", "alone"
MOVES = [
    (NEAR, 5, NEAR, 9), (NEAR, 9, NEAR, 5), (OTHER, 12, OTHER, 13), (NEAR, 5, NEAR, 5), (CLOUD, 3, CLOUD, 8),
    (NEAR, 7, OTHER, 7), (NEAR, 7, OTHER, 15), (OTHER, 15, NEAR, 7),
    (LOST, 7, NEAR, 7), (LOST, 7, NEAR, 15), (LOST, 15, NEAR, 7), (LOST, 4, CLOUD, 6), (LOST, 6, ALONE, 20),
    (NEAR, 6, CLOUD, 6), (CLOUD, 6, NEAR, 9), (CLOUD, 6, ALONE, 20), (NEAR, 6, ALONE, 20),
    (ALONE, 20, NEAR, 6), (ALONE, 20, CLOUD, 19), (ALONE, 20, ALONE, 20),
]  # fmt: skip


def adaptation_by_hand(old: str, old_cut: int, new: str, new_cut: int) -> float:
    """In words: who has what must go where, over which link."""
    world, near, other, lost = moving()
    of, servers = world.system, {NEAR: near, OTHER: other, LOST: lost, CLOUD: world.system.cloud, ALONE: NOBODY}
    if (old, old_cut) == (new, new_cut):
        return 0.0

    def rate(place: str) -> float:
        server = np.array([servers[place]])
        distance = _distance(world, server)
        return float(world.rate_bits(server, np.array([0]), np.array([100.0]), distance)[0])

    old_bits, new_bits = weight_bits_behind(of, old_cut), weight_bits_behind(of, new_cut)
    backhaul = 1e6 * of.scenario.backhaul_mbps
    if old == new:
        seconds = abs(new_bits - old_bits) / rate(new)
    elif old == LOST and new == ALONE:
        seconds = old_bits / backhaul + old_bits / rate(LOST)
    elif old == LOST:
        seconds = old_bits / backhaul + abs(new_bits - old_bits) / rate(new)
    else:
        seconds = (old_bits / rate(old) if old != ALONE else 0.0) + (new_bits / rate(new) if new != ALONE else 0.0)
    stages = stages_by_hand(world, new_cut, servers[new], 100.0)
    return seconds + path_s(*stages) - period_s(*stages, of.scenario.in_flight)


@pytest.mark.parametrize("move", MOVES, ids=lambda m: "{}-{}-{}-{}".format(*m))
def test_what_a_move_costs_by_hand(move: tuple[str, int, str, int]) -> None:
    world, near, other, lost = moving()
    assert world.system.n_layers == 20
    servers = {NEAR: near, OTHER: other, LOST: lost, CLOUD: world.system.cloud, ALONE: NOBODY}
    old = Placement(np.array([move[1]]), np.array([servers[move[0]]]))
    new = Placement(np.array([move[3]]), np.array([servers[move[2]]]))
    seconds = adaptation_s(world, old, new, np.array([0]), np.array([100.0]))
    assert seconds == pytest.approx([adaptation_by_hand(*move)], rel=2e-3)  # rates are tabulated over distance
    assert (seconds[0] == 0.0) == (move[:2] == move[2:])


def test_moves_of_many_lanes_at_once_cost_the_same_each() -> None:
    world, near, other, lost = moving()
    servers = {NEAR: near, OTHER: other, LOST: lost, CLOUD: world.system.cloud, ALONE: NOBODY}
    old, new = (
        Placement(np.array([cut for _, cut in places]), np.array([servers[place] for place, _ in places]))
        for places in ([m[:2] for m in MOVES], [m[2:] for m in MOVES])
    )
    lane, elapsed = np.zeros(len(MOVES), dtype=np.intp), np.full(len(MOVES), 100.0)
    together = adaptation_s(world, old, new, lane, elapsed)
    for i in range(len(MOVES)):
        before, after = (Placement(p.cut[i : i + 1], p.server[i : i + 1]) for p in (old, new))
        assert adaptation_s(world, before, after, lane[:1], elapsed[:1])[0] == together[i]


def test_a_faster_backhaul_helps_only_where_the_old_worker_is_lost() -> None:
    world, near, other, lost = moving()
    fast = world_of(System(get_scenario("vgg16-cifar10-city", backhaul_mbps=10_000.0)))
    zero, at, cut = np.array([0]), np.array([100.0]), np.array([7])

    def cost(of: World, old: int, new: int) -> float:
        return float(adaptation_s(of, Placement(cut, np.array([old])), Placement(cut, np.array([new])), zero, at)[0])

    assert cost(world, near, other) == cost(fast, near, other)
    bits = weight_bits_behind(world.system, 7)
    assert cost(world, lost, near) - cost(fast, lost, near) == pytest.approx(bits / 1e9 - bits / 1e10)
