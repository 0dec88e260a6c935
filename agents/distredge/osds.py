"""OSDS, DistrEdge's optimal split decision search (paper, Sec. IV-C, Algorithm 2), on SB3's DDPG."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DDPG
from stable_baselines3.common.noise import ActionNoise

from ..sb3 import Sb3Learner


class GatedNoise(ActionNoise):
    """Gaussian noise switched on with probability eps = max(0, 1 - (episode * delta_eps)^2) (Algorithm 2, lines 8-12).

    Args:
        size: action size.
        variance: sigma^2.
        delta_eps: decay of eps per episode.
        seed: of the noise.
    """

    def __init__(self, size: int, variance: float, delta_eps: float, seed: int) -> None:
        super().__init__()
        self.size, self.sigma, self.delta_eps = size, float(np.sqrt(variance)), delta_eps
        self.episode = 0
        self.rng = np.random.default_rng(seed)

    @property
    def epsilon(self) -> float:
        """Probability of exploring in the episode under way."""
        return max(0.0, 1.0 - (self.episode * self.delta_eps) ** 2)

    def reset(self) -> None:
        self.episode += 1

    def __call__(self) -> np.ndarray:
        if self.rng.random() < self.epsilon:
            return self.rng.normal(0.0, self.sigma, self.size).astype(np.float32)
        return np.zeros(self.size, dtype=np.float32)

    def __repr__(self) -> str:
        return f"GatedNoise(sigma={self.sigma:.3g}, epsilon={self.epsilon:.3g})"


class TwoRateDDPG(DDPG):
    """DDPG whose actor and critic learn at rates of their own (SB3 sets both from one schedule)."""

    actor_rate: float = 1e-4
    critic_rate: float = 1e-3

    def _update_learning_rate(self, optimizers: Any) -> None:
        for optimizer, rate in zip(optimizers, (self.actor_rate, self.critic_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate


class Osds(Sb3Learner):
    """OSDS: keeps the best plan and the actor and critic of the best episode.

    Args:
        env: with a fixed partition (LC-PSS) and the paper's observation.
        variance: sigma^2 of the exploration noise; 0.1 with four providers, 1 with 16 (Sec. V).
        delta_eps: decay of the share of exploring steps per episode.
        actor_rate, critic_rate: learning rates.
        actor_net, critic_net: hidden layers.
    """

    def __init__(
        self,
        env: Any,
        seed: int = 0,
        episodes: int = 4000,
        variance: float = 0.1,
        delta_eps: float = 1 / 250,
        actor_rate: float = 1e-4,
        critic_rate: float = 1e-3,
        actor_net: tuple[int, ...] = (400, 200, 100),
        critic_net: tuple[int, ...] = (400, 200, 100, 100),
        batch_size: int = 64,
        gamma: float = 0.99,
        buffer_size: int = 100_000,
    ) -> None:
        noise = GatedNoise(env.action_space.shape[0], variance, delta_eps, seed)
        super().__init__(
            env,
            TwoRateDDPG,
            seed=seed,
            episodes=episodes,
            action_noise=noise,
            batch_size=batch_size,
            gamma=gamma,
            buffer_size=buffer_size,
            learning_starts=batch_size,
            policy_kwargs={
                "net_arch": {"pi": list(actor_net), "qf": list(critic_net)},
                "optimizer_kwargs": {"fused": True},  # the same update in one kernel
            },
        )
        self._rates = (actor_rate, critic_rate)
        self._set_rates()
        self._best_weights: dict[str, Any] | None = None

    def _set_rates(self) -> None:
        assert isinstance(self.model, TwoRateDDPG)
        self.model.actor_rate, self.model.critic_rate = self._rates

    def keep_best(self) -> None:
        """Actor* and Critic* of the best episode (Algorithm 2, lines 24-26)."""
        self._best_weights = {k: v.clone() for k, v in self.model.policy.state_dict().items()}

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        if self.dynamics.eval_episodes == 1 or self._best_weights is None:
            return super().predict(observation, state, episode_start, deterministic)
        actions, _ = self._best_policy().predict(observation, deterministic=deterministic)
        return actions, state

    def _best_policy(self) -> Any:
        if not hasattr(self, "_actor"):
            self._actor = copy.deepcopy(self.model.policy)
            self._actor_of: Any = None
        if self._actor_of is not self._best_weights:
            assert self._best_weights is not None
            self._actor.load_state_dict(self._best_weights)
            self._actor_of = self._best_weights
        return self._actor

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self._best_weights is not None:
            torch.save(self._best_weights, folder / "best.pt")

    def load(self, folder: Path) -> None:
        super().load(folder)
        self._set_rates()
        if (folder / "best.pt").is_file():
            self._best_weights = torch.load(folder / "best.pt", weights_only=True)
