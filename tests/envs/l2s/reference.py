"""Plain L2S: a round's delay part by part, every layer's copies by name; and its envs played through."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np

from splitgym.envs.core import BatchEnv
from splitgym.envs.l2s.env import L2SEnv
from splitgym.envs.l2s.scenarios import Scenario
from splitgym.models.lookup import get_model
from splitgym.profiling.devices import get_device
from splitgym.profiling.training import TrainingProfile, modelled_profile

from ...profiling.reference import PlainTrace

# Steps in front of every partition point: behind every layer, in ResNet-34 behind every block (the stem is in the
# first block's part, the pool in front of fc1 in the last one's).
CUTS = {
    "alexnet": [*range(12)],
    "alexnet_2012": [*range(12)],
    "vgg16": [*range(22)],
    "resnet34": [0, *range(3, 19), 20],
}


def make(scenario: str = "alexnet-gpu-60", **kwargs: Any) -> L2SEnv:
    env = gym.make("splitgym/L2S-v0", disable_env_checker=True, scenario=scenario, **kwargs).unwrapped
    assert isinstance(env, L2SEnv)
    return env


def make_batch(n: int, scenario: str = "alexnet-gpu-60", **kwargs: Any) -> BatchEnv:
    env = gym.make_vec("splitgym/L2S-v0", num_envs=n, scenario=scenario, **kwargs)
    assert isinstance(env, BatchEnv)
    return env


def play(env: L2SEnv, actions: Any, seed: int | None = None) -> tuple[list[dict[str, Any]], list[float], dict]:
    """What every round of an episode tells, its rewards, and the info at the end."""
    env.reset(seed=seed)
    rounds, rewards, info = [], [], {}
    for action in actions:
        _, reward, _, _, info = env.step(int(action))
        rounds.append(info["round"])
        rewards.append(reward)
    return rounds, rewards, info


def random_actions(env: L2SEnv, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(env.dynamics.action_space.n, size=env.dynamics.episode_steps)  # type: ignore[attr-defined]


def modelled(scenario: Scenario) -> tuple[TrainingProfile, TrainingProfile]:
    model, (batch, optimizer, tiles) = get_model(scenario.model), (scenario.batch, scenario.optimizer, scenario.tiles)
    ends = (scenario.device, scenario.edge_device)
    more = {"backward": scenario.backward, "update_bytes": scenario.update_bytes}
    device, edge = (modelled_profile(model, end, (batch,), optimizer, tiles, **more) for end in ends)
    return device, edge


def link_of(env: L2SEnv) -> PlainTrace:
    """The seeded trace that an env's link follows, read off second by second."""
    links = env.dynamics.links
    return PlainTrace([1.0] * 3600, [float(links.at(np.array([t]))[0, 0]) for t in range(3600)])


class Held:
    """A link whose rate holds."""

    def __init__(self, mbps: float) -> None:
        self.mbps = mbps

    def transfer_s(self, bits: float, start_s: float) -> float:
        return bits / (1e6 * self.mbps)


def plain_link(mbps: float | PlainTrace) -> Held | PlainTrace:
    return mbps if isinstance(mbps, PlainTrace) else Held(mbps)


def plain_delays_s(
    scenario: Scenario,
    point: int,
    mbps: float | PlainTrace,
    load: float = 1.0,
    profiles: Any = None,
    start_s: float = 0.0,
) -> tuple[float, float]:
    """(d^m, d^e) of a round at a partition point 0..P, part after part as in Sec. III-B."""
    device, edge = profiles or modelled(scenario)
    ends, cut = [get_device(scenario.device), get_device(scenario.edge_device)], CUTS[scenario.model][point]
    forward_s = front_s = back_s = 0.0
    for i in range(len(device.steps)):
        side = device if i < cut else edge
        step_forward_s, step_backward_s = side.at(scenario.batch)
        seconds = step_forward_s[i] + step_backward_s[i] + side.update_s[i]
        if i < cut:
            forward_s += step_forward_s[i]
            front_s += seconds
        else:
            back_s += load * seconds
    if cut == len(device.steps):
        return front_s, 0.0
    labels = 8 * scenario.batch
    if cut == 0:
        messages = [(ends[0], scenario.image_bytes * 224 * 224 * 3 * scenario.batch + labels)]
    else:
        messages = [
            (ends[0], device.activation_bytes[cut - 1] * scenario.batch + labels),
            (ends[1], device.gradient_bytes[cut - 1] * scenario.batch),
        ]
    edge_s = 0.0
    for i, (sender, size) in enumerate(messages):
        edge_s += message_s(ends, sender, size, scenario.eta, mbps, start_s + forward_s + edge_s)
        edge_s += back_s if i == 0 else 0.0
    return front_s, edge_s


def message_s(ends: Any, sender: Any, size: float, eta: float, mbps: float | PlainTrace, start_s: float) -> float:
    """Seconds of a message: its fixed and copy costs, then its bits on the link."""
    cost_s = sender.t_msg_s + size / ends[0].copy_bytes_per_s + size / ends[1].copy_bytes_per_s
    return cost_s + plain_link(mbps).transfer_s(8 * size / eta, start_s + cost_s)


def plain_totals_s(
    scenario: Scenario,
    mbps: float | PlainTrace,
    load: float = 1.0,
    profiles: Any = None,
    start_s: float = 0.0,
) -> list[float]:
    first = 4 if scenario.privacy_point is None else scenario.privacy_point
    feasible = range(first, len(CUTS[scenario.model]))
    return [sum(plain_delays_s(scenario, p, mbps, load, profiles, start_s)) for p in feasible]


class Copies:
    """Every layer with the sides that trained it since its copies last agreed."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, cuts = scenario, CUTS[scenario.model]
        model = get_model(scenario.model)
        params = [sum(model.kernels[k].layer.params(model.kernels[k].in_shape) for k in s.kernels) for s in model.steps]
        self.bytes = [4 * sum(params[a:b]) for a, b in pairwise(cuts)]
        self.sides: list[set[str]] = [set() for _ in self.bytes]
        self.holder = [""] * len(self.bytes)

    @property
    def stale(self) -> list[bool]:
        return [len(sides) == 2 for sides in self.sides]

    def train(self, point: int) -> None:
        for layer, sides in enumerate(self.sides):
            self.holder[layer] = "device" if layer < point else "edge"
            sides.add(self.holder[layer])

    def synchronise(self, mbps: float | PlainTrace, start_s: float = 0.0) -> float:
        """Send every layer that both sides trained, in one message, and return its seconds."""
        size = sum(size for size, stale in zip(self.bytes, self.stale, strict=True) if stale)
        for layer, sides in enumerate(self.sides):
            if sides:
                sides.clear()
                sides.add(self.holder[layer])
        ends = [get_device(self.scenario.device), get_device(self.scenario.edge_device)]
        return message_s(ends, ends[0], size, self.scenario.eta, mbps, start_s) if size else 0.0
