"""OSDS, DistrEdge's optimal split decision search (paper, Sec. IV-C, Algorithm 2), on SB3's DDPG."""

from __future__ import annotations

from collections.abc import Sequence
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


class Osds(Sb3Learner):
    """OSDS: keeps the best plan and the actor and critic of the best episode.

    On constant links the best plan is carried out. Where links vary the latency of an episode depends on the luck of
    its rates, so the actor as it is now decides there, not that of the best episode.

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
        self._best_weights: dict[str, Any] | None = None

    def _set_rates(self) -> None:
        assert isinstance(self.model, TwoRateDDPG)
        self.model.actor_rate, self.model.critic_rate = self._rates

    def keep_best(self) -> None:
        """Actor* and Critic* of the best episode (Algorithm 2, lines 24-26), at its end, before its last update."""
        self._best_weights = {k: v.clone() for k, v in self.model.policy.state_dict().items()}

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self._best_weights is not None:
            with (folder / "best.pt").open("wb") as file:
                torch.save(self._best_weights, file)

    def load(self, folder: Path) -> None:
        super().load(folder)
        self._set_rates()
        if (folder / "best.pt").is_file():
            self._best_weights = torch.load(folder / "best.pt", weights_only=True)
