"""EdgeMove's worlds that tests look at, and an iteration's stages by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from splitgym.envs.edgemove.city import CEILING_SNR_DB
from splitgym.envs.edgemove.scenarios import Scenario, get_scenario
from splitgym.envs.edgemove.system import NOBODY, System
from splitgym.envs.edgemove.world import World


@cache
def system(name: str = "vgg16-cifar10-city") -> System:
    return System(get_scenario(name))


def world_of(of: System, lanes: int = 1, seed: int = 0) -> World:
    world = World(of, lanes)
    world.seed(np.arange(lanes), [np.random.default_rng(seed + i) for i in range(lanes)])
    world.walk[:] = np.arange(lanes) % len(of.walks.points_m)
    return world


def shannon_bits(scenario: Scenario, distance_m: Any, radius_m: Any) -> np.ndarray:
    """Capacity at the signal-to-noise ratio there over the best one's, of the rate close to a site."""
    decades = np.log10(np.maximum(np.asarray(distance_m) / radius_m, 1e-9))
    snr_db = np.minimum(scenario.edge_snr_db - 10 * scenario.path_loss * decades, CEILING_SNR_DB)
    return 1e6 * scenario.near_mbps * np.log2(1 + 10 ** (snr_db / 10)) / np.log2(1 + 10 ** (CEILING_SNR_DB / 10))


def layer_values(of: System) -> list[int]:
    """Numbers behind every layer of one sample."""
    profile = next(iter(of.profiles.values()))
    return [int(profile.activation_bytes[point - 1]) // 4 for point in of.points[1:]]


def stages_by_hand(
    world: World, cut: int, server: int, elapsed_s: float = 0.0
) -> tuple[float, float, float, float, float]:
    """Client, server, up, down and round trip of a minibatch of lane 0, from profiles, sites and traces."""
    of = world.system
    if server == NOBODY:
        return float(of.client_s[-1]), 0.0, 0.0, 0.0, 0.0
    clock = np.array([world.clock_s[0] + elapsed_s])
    slot = world.servers.slot(server, np.array([0]))
    if server == of.cloud:
        rate, kind = float(world.servers.cloud_bits(np.array([0]), clock)[0]), -1
    else:
        position = world.position_m(np.array([0]), np.array([elapsed_s]))[:, 0]
        distance = float(np.hypot(*(of.city.position_m[server] - position)))
        radius = of.city.radius_m[server]
        rate, kind = float(shannon_bits(of.scenario, min(distance, radius), radius)), of.city.gpu[server]
    values = 4 * 8 * of.scenario.batch * np.array(layer_values(of))
    link = values[cut - 1] / rate
    load, rtt = float(world.servers.load(slot, clock)[0]), float(world.servers.rtt_s(slot, clock)[0])
    return float(of.client_s[cut]), float(of.server_s[kind, cut]) * load, link, link, rtt
