"""OSDS, DistrEdge's optimal split decision search (paper, Sec. IV-C, Algorithm 2), on SB3's DDPG."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.noise import ActionNoise

from ...envs.distredge.dynamics import DistrEdgeDynamics
from ..fast_updates import DDPG
from ..sb3 import Sb3Learner


class GatedNoise(ActionNoise):
    """Gaussian noise switched on with probability eps = max(0, 1 - (episode * delta_eps)^2) (Algorithm 2, lines 8-12).

    Args:
        size: action size.
        variance: sigma^2.
        delta_eps: decay of eps per episode.
        seed: of the noise.

    Attributes:
        explored: whether there was noise in the episode under way.
    """

    def __init__(self, size: int, variance: float, delta_eps: float, seed: int) -> None:
        super().__init__()
        self.size, self.sigma, self.delta_eps = size, float(np.sqrt(variance)), delta_eps
        self.episode, self.explored = 0, False
        self.rng = np.random.default_rng(seed)

    @property
    def epsilon(self) -> float:
        """Probability of exploring in the episode under way."""
        return max(0.0, 1.0 - (self.episode * self.delta_eps) ** 2)

    def reset(self) -> None:
        self.episode, self.explored = self.episode + 1, False

    def __call__(self) -> np.ndarray:
        if self.rng.random() < self.epsilon:
            self.explored = True
            return self.rng.normal(0.0, self.sigma, self.size).astype(np.float32)
        return np.zeros(self.size, dtype=np.float32)

    def __repr__(self) -> str:
        return f"GatedNoise(sigma={self.sigma:.3g}, epsilon={self.epsilon:.3g})"


class TwoRateDDPG(DDPG):
    """DDPG as in Algorithm 2: rates of their own for actor and critic, and no steps at random before the actor's.

    SB3 sets both rates from one schedule, and draws uniform actions until ``learning_starts``.
    """

    actor_rate: float
    critic_rate: float

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """The actor's actions plus noise from the first step on (lines 7-12)."""
        return super()._sample_action(0, action_noise, n_envs)

    def _update_learning_rate(self, optimizers: Any) -> None:
        for optimizer, rate in zip(optimizers, (self.actor_rate, self.critic_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate


@dataclass(frozen=True)
class Star:
    """Actor and critic at the end of the best episode.

    Attributes:
        cost: what the episode is compared by, the less the better.
        latency_s: what it took.
        weights: of the policy.
    """

    cost: float
    latency_s: float
    weights: dict[str, Any]


class Osds(Sb3Learner):
    """OSDS: keeps the best plan (R_s* of Algorithm 2) and the actor and critic of the best episode (Actor*, Critic*).

    On constant links the best plan is carried out, where links vary Actor* decides. The latency of an episode depends
    on the luck of its rates there, so Actor* is that of the episode which took least over the best plan known for the
    very rates it met, or over Offload's latency at them where none is known. Only episodes without exploration count
    for it (ours; Algorithm 2 counts all): what noise has found is a plan, and no feat of the actor. Before there is
    one, the actor as it is decides.

    Args:
        env: with a fixed partition (LC-PSS) and the paper's observation.
        variance: sigma^2 of the exploration noise; 0.1 with four providers, 1 with 16 (Sec. V).
        delta_eps: decay of the share of exploring steps per episode.
        batch_size: transitions per update; updates begin when the replay holds as many.
        actor_rate, critic_rate: learning rates.
        actor_net, critic_net: hidden layers.
    """

    def __init__(
        self,
        env: Any,
        seed: int = 0,
        *,
        episodes: int,
        variance: float,
        delta_eps: float,
        actor_rate: float,
        critic_rate: float,
        actor_net: Sequence[int],
        critic_net: Sequence[int],
        batch_size: int,
        gamma: float,
        buffer_size: int,
    ) -> None:
        noise = GatedNoise(env.action_space.shape[0], variance, delta_eps, seed)
        super().__init__(
            env,
            TwoRateDDPG,
            seed=seed,
            lanes=1,
            episodes=episodes,
            train_options={"optimum": True},
            action_noise=noise,
            batch_size=batch_size,
            gamma=gamma,
            buffer_size=buffer_size,
            learning_starts=batch_size - 1,  # SB3 updates after more steps than that
            policy_kwargs={
                "net_arch": {"pi": list(actor_net), "qf": list(critic_net)},
                "optimizer_kwargs": {"fused": True},  # the same update in one kernel
            },
        )
        self._rates = (actor_rate, critic_rate)
        self._set_rates()
        self._star: Star | None = None
        self._deciding: Any = None

    def _set_rates(self) -> None:
        assert isinstance(self.model, TwoRateDDPG)
        self.model.actor_rate, self.model.critic_rate = self._rates

    def train_at(self, mbps: np.ndarray) -> None:
        """Train at these rates (D,) of the links, whatever the scenario's are."""
        dynamics = self.vec.env.dynamics
        assert isinstance(dynamics, DistrEdgeDynamics)
        dynamics.hold(mbps)

    def episode_ended(self, metrics: Mapping[str, float]) -> None:
        """Keep Actor* and Critic* (Algorithm 2, lines 24-26), as they are at the episode's end."""
        assert isinstance(self.model, TwoRateDDPG)
        noise = self.model.action_noise
        assert isinstance(noise, GatedNoise)
        cost = _over_known(metrics)
        if not noise.explored and (self._star is None or cost < self._star.cost):
            weights = {k: v.clone() for k, v in self.model.policy.state_dict().items()}
            self._star = Star(cost, metrics["latency_s"], weights)
            self._deciding = None

    @property
    def star_s(self) -> float:
        """Latency of Actor*'s episode; infinite before there is one."""
        return np.inf if self._star is None else self._star.latency_s

    @property
    def deciding(self) -> Any:
        """The policy with Actor* and Critic*, apart from the one that is trained; that one before there are any."""
        if self._star is None:
            return self.model.policy
        if self._deciding is None:
            self._deciding = copy.deepcopy(self.model.policy)
            self._deciding.load_state_dict(self._star.weights)
        return self._deciding

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        if self.dynamics.plan_decides and self.best_plan is not None:
            return super().predict(observation, state, episode_start, deterministic)
        return self.deciding.predict(observation, deterministic=deterministic)[0], state

    def save(self, folder: str | Path) -> None:
        folder = Path(folder)
        super().save(folder)
        if self._star is not None:
            with (folder / "best.pt").open("wb") as file:
                torch.save(vars(self._star), file)

    def load(self, folder: str | Path) -> None:
        folder = Path(folder)
        super().load(folder)
        self._set_rates()
        self._star = self._deciding = None
        if (folder / "best.pt").is_file():
            self._star = Star(**torch.load(folder / "best.pt", weights_only=True))


def _over_known(metrics: Mapping[str, float]) -> float:
    """Latency over the best known at the episode's rates, over Offload's where none is known."""
    latency_s, regret_s = metrics["latency_s"], metrics["regret_s"]
    return latency_s / (latency_s - regret_s) if np.isfinite(regret_s) else 1.0 / metrics["speedup"]
