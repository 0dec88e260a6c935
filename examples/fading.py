"""An environment of one's own: where to cut a network for every image while the link fades.

python train_agent.py --env examples.fading:FAMILY
"""

import numpy as np
from gymnasium import spaces

from splitgym.envs import BatchEnv, Dynamics, Family, ScalarEnv
from splitgym.models.lookup import get_model
from splitgym.profiling.tables import modelled_table
from splitgym.ui.errors import InputError

MEAN_MBPS = {"vgg16": 60.0, "alexnet": 300.0}  # scenario, which is a network -> mean rate of its link
LOG_RATE = 10.0  # the most that the logarithm of a rate is off that of the mean


class FadingDynamics(Dynamics):
    """A Jetson Nano computes the steps in front of the cut, a GTX 1080 Ti the others, all lanes at once."""

    metric_kinds = {"latency_s": "mean", "regret_s": "mean"}
    provenance = ("nano, gtx1080ti: modelled", "fading: assumed, log-normal, half of it stays for the next image")
    episode_steps, eval_episodes = 50, 20  # images of an episode

    def __init__(self, num_lanes, scenario):
        if scenario not in MEAN_MBPS:
            raise InputError(f"scenario is {scenario!r}, allowed: {', '.join(MEAN_MBPS)}")
        self.num_lanes, self.scenario_name = num_lanes, scenario
        model = get_model(scenario)
        device_s, server_s = (step_seconds(model, name) for name in ("nano", "gtx1080ti"))
        cuts = range(len(model.steps) + 1)
        self.compute_s = np.array([device_s[:cut].sum() + server_s[cut:].sum() for cut in cuts])
        self.bits = np.array([8.0 * model.cut_bytes(cut, value_bytes=4) for cut in cuts[:-1]] + [0.0])
        self.action_space = spaces.Discrete(len(cuts))
        self.observation_space = spaces.Box(-LOG_RATE, LOG_RATE, (1,), np.float32)
        self.rngs = [np.random.default_rng(0)] * num_lanes
        self.log_rate, self.latency_s, self.regret_s, self.images = np.zeros((4, num_lanes))

    def seed_lanes(self, lanes, rngs):
        for lane, rng in zip(lanes, rngs, strict=True):
            self.rngs[lane] = rng

    def reset_lanes(self, lanes):
        self.log_rate[lanes] = self.latency_s[lanes] = self.regret_s[lanes] = self.images[lanes] = 0.0
        self._fade(lanes)

    def advance(self, action, lanes=None):
        lanes = np.arange(self.num_lanes) if lanes is None else lanes
        every_s = self.cut_s(self.log_rate[lanes])
        taken_s = every_s[np.arange(len(lanes)), np.asarray(action)[lanes]]
        self.latency_s[lanes] += taken_s
        self.regret_s[lanes] += taken_s - every_s.min(axis=1)
        self.images[lanes] += 1
        self._fade(lanes)
        reward, terminated = np.zeros(self.num_lanes), np.zeros(self.num_lanes, dtype=bool)
        reward[lanes] = -taken_s / self.compute_s[-1]  # in units of the device on its own
        terminated[lanes] = self.images[lanes] == self.episode_steps
        return reward, terminated

    def cut_s(self, log_rate):
        """Latency of every cut at some rates (n,), as (n, cuts)."""
        return self.compute_s + self.bits / (1e6 * MEAN_MBPS[self.scenario_name] * np.exp(log_rate)[:, None])

    def observe(self):
        return self.log_rate[:, None].astype(np.float32)

    def metrics(self, lanes):
        images = self.images[lanes]
        return {"latency_s": self.latency_s[lanes] / images, "regret_s": self.regret_s[lanes] / images}

    def _fade(self, lanes):
        drawn = np.array([self.rngs[lane].normal() for lane in lanes])
        self.log_rate[lanes] = np.clip(0.5 * self.log_rate[lanes] + drawn, -LOG_RATE, LOG_RATE)


def step_seconds(model, device):
    table = modelled_table(model, device)
    return np.array([sum(table.seconds[k, table.heights[k]] for k in step.kernels) for step in model.steps])


class FadingEnv(ScalarEnv):
    def __init__(self, scenario="vgg16", render_mode=None):
        super().__init__(FadingDynamics(1, scenario), render_mode)


class FadingVectorEnv(BatchEnv):
    def __init__(self, num_envs=1, scenario="vgg16", **options):
        super().__init__(FadingDynamics(num_envs, scenario), **options)


FAMILY = Family(
    "fading", "Fading: where to cut a network for every image", "examples/Fading-v0",
    f"{__name__}:FadingEnv", f"{__name__}:FadingVectorEnv", tuple(MEAN_MBPS), "vgg16",
    headline="latency_s", regret="regret_s", exact=True, agents="examples.fading_agents",
    regret_note="regret is against the best cut at the rate of every image",
)  # fmt: skip
