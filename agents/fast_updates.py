"""Stable-Baselines3's off-policy algorithms with the same updates in less time.

On nets of a few hundred units a core spends half of an update beside the matrix products: on autograd, on Python for
every tensor, on memory given back and asked for again, on gradients of the critic that the actor's update throws away,
and on Adam's moments that have decayed to subnormal numbers. DDPG and TD3 go without all of that; weights come out as
with SB3's ``train`` on the fused Adam, but for the last bits at some batch sizes. SAC's update is SB3's, on that Adam.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.preprocessing import get_action_dim
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.td3.policies import TD3Policy
from torch import Tensor
from torch.optim import Adam

from .mlp import Mlp, is_plain

_SUBNORMAL = 5e-324


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Where a gradient stays zero, as behind a dead ReLU, Adam's moments decay to numbers that slow a core down."""
    before = _SUBNORMAL * 2.0 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """One row (n,) of all numbers of the tensors, which become views of it."""
    row = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    for tensor, part in zip(tensors, row.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.data = part.view(tensor.shape)
    return row


class AdamKernel:
    """``optimizer.step()`` as one kernel, on the optimizer's own moments.

    Args:
        optimizer: of parameters that have gradients, which are always found in the same places.
    """

    def __init__(self, optimizer: Adam) -> None:
        self.optimizer, self.state, self.group = optimizer, optimizer.state, optimizer.param_groups[0]
        parameters = self.group["params"]
        for parameter in parameters:
            if not self.state[parameter]:
                moments = {name: torch.zeros_like(parameter.detach()) for name in ("exp_avg", "exp_avg_sq")}
                self.state[parameter] = {"step": torch.tensor(0.0), **moments}
        self._steps = torch.stack([self.state[parameter]["step"] for parameter in parameters])
        for parameter, step in zip(parameters, self._steps.unbind(), strict=True):
            self.state[parameter]["step"] = step
        means, squares, steps = (
            [self.state[parameter][name] for parameter in parameters] for name in ("exp_avg", "exp_avg_sq", "step")
        )
        self._lists = [p.detach() for p in parameters], [p.grad for p in parameters], means, squares, [], steps

    @property
    def stale(self) -> bool:
        """Whether the optimizer has been given other moments since."""
        return self.optimizer.state is not self.state

    def step(self) -> None:
        """Update the parameters from their gradients."""
        beta1, beta2 = self.group["betas"]
        options = {name: self.group[name] for name in ("lr", "weight_decay", "eps", "amsgrad", "maximize")}
        self._steps += 1.0
        torch.ops.aten._fused_adam_.default(*self._lists, beta1=beta1, beta2=beta2, **options)


class Networks:
    """The networks of a TD3 policy for batches of one size, and the batch.

    Args:
        policy: one that :func:`is_plain_policy`.
        rows: batch size.
        lanes: of the env that the actor acts in.
    """

    def __init__(self, policy: Any, rows: int, lanes: int) -> None:
        self.rows, self.seen = rows, policy.observation_space.shape[0]
        halves = (policy.actor, policy.critic), (policy.actor_target, policy.critic_target)
        self._learning, self._targets = (joined([p for half in pair for p in half.parameters()]) for pair in halves)
        self.acting = Mlp(policy.actor.mu, lanes)
        self.actor, self.actor_target = Mlp(policy.actor.mu, rows, learns=True), Mlp(policy.actor_target.mu, rows)
        self.critics = [Mlp(net, rows, learns=True) for net in policy.critic.q_networks]
        self.critic_targets = [Mlp(net, rows) for net in policy.critic_target.q_networks]
        self._adams = AdamKernel(policy.actor.optimizer), AdamKernel(policy.critic.optimizer)
        size = self.seen + policy.action_space.shape[0]
        # what critics take, observations beside actions: as replayed, what came next, the actor's own actions
        self._batch = np.empty((3, rows, size), dtype=np.float32)
        self.replayed, self.next, self.own = torch.from_numpy(self._batch)
        self._ascent = torch.full((rows, 1), -1.0 / rows)

    def suit(self, rows: int) -> bool:
        """Whether they are for batches of this size, and of the optimizers as they are."""
        return self.rows == rows and not any(adam.stale for adam in self._adams)

    def draw(self, buffer: ReplayBuffer) -> tuple[Tensor, Tensor]:
        """Draw transitions as ``buffer.sample`` does: rewards (rows, 1), and whether their episodes go on (rows, 1)."""
        # NumPy's global stream, as SB3 draws and seeds it
        steps, lanes = (np.random.randint(0, n, self.rows) for n in (buffer.size(), buffer.n_envs))  # noqa: NPY002
        rows = steps * buffer.n_envs + lanes
        replayed, after, own = self._batch
        replayed[:, : self.seen] = own[:, : self.seen] = _taken(buffer.observations, rows)
        replayed[:, self.seen :] = _taken(buffer.actions, rows)
        after[:, : self.seen] = _taken(buffer.next_observations, rows)
        goes_on = 1.0 - _taken(buffer.dones, rows) * (1.0 - _taken(buffer.timeouts, rows))
        return torch.from_numpy(_taken(buffer.rewards, rows)), torch.from_numpy(goes_on)

    def update_critics(self, rewards: Tensor, goes_on: Tensor, gamma: float, noise: Tensor | None) -> float:
        """Fit the critics to the targets' values of what came next, at actions with noise: the loss before."""
        actions = self.actor_target.forward(self.next[:, : self.seen])
        self.next[:, self.seen :] = actions if noise is None else (actions + noise).clamp_(-1.0, 1.0)
        values = [target.forward(self.next) for target in self.critic_targets]
        least = values[0] if len(values) == 1 else torch.cat(values, dim=1).amin(dim=1, keepdim=True)
        wanted = rewards + goes_on * gamma * least
        loss = 0.0
        for critic in self.critics:
            missed = critic.forward(self.replayed) - wanted
            loss += missed.square().mean().item()
            critic.backward(missed * (2.0 / self.rows))
        self._adams[1].step()
        return loss

    def update_actor(self) -> float:
        """Raise the first critic's value of the actor's own actions: the loss before."""
        self.own[:, self.seen :] = self.actor.forward(self.own[:, : self.seen])
        loss = -self.critics[0].forward(self.own).mean().item()
        self.actor.backward(self.critics[0].input_slope(self._ascent)[:, self.seen :])
        self._adams[0].step()
        return loss

    def update_targets(self, tau: float) -> None:
        """Let the targets follow (Polyak), rounded as in SB3."""
        self._targets.mul_(1.0 - tau).add_(self._learning, alpha=tau)


def _taken(stored: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows (n, size) of what a replay buffer stores as (steps, lanes) or (steps, lanes, size)."""
    return stored.reshape(stored.shape[0] * stored.shape[1], -1).take(rows, axis=0)


def is_plain_policy(policy: Any) -> bool:
    """Whether :class:`Networks` knows the policy: plain nets on a row of floats, learnt by Adam on the CPU."""
    space, halves = policy.observation_space, (policy.actor, policy.critic)
    optimizers = [half.optimizer for half in halves]
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.float32
        and len(space.shape) == len(policy.action_space.shape) == 1
        and all(type(half.features_extractor) is FlattenExtractor for half in halves)
        and all(is_plain(net) for net in (policy.actor.mu, *policy.critic.q_networks))
        and all(type(o) is Adam and len(o.param_groups) == 1 and not o.defaults["amsgrad"] for o in optimizers)
        and policy.device.type == "cpu"
    )


class MlpPolicy(TD3Policy):
    """SB3's, which walks over all modules at every step of the env to set a mode that they are in."""

    def set_training_mode(self, mode: bool) -> None:
        if mode != self.training:
            super().set_training_mode(mode)


class FastUpdates(sb3.TD3):
    """Updates of TD3 without autograd; of a policy or a replay that :class:`Networks` does not know, SB3's own."""

    policy_aliases: ClassVar = {**sb3.TD3.policy_aliases, "MlpPolicy": MlpPolicy}
    _networks: Networks | None
    _plain: bool

    def _setup_model(self) -> None:
        super()._setup_model()
        self._plain, self._networks = is_plain_policy(self.policy), None

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_networks", "_plain"]

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        buffer = self.replay_buffer
        special = not self._plain or self._vec_normalize_env is not None
        if special or type(buffer) is not ReplayBuffer or buffer.optimize_memory_usage:
            super().train(gradient_steps, batch_size)
            return
        if self._networks is None or not self._networks.suit(batch_size):
            self._networks = Networks(self.policy, batch_size, self.n_envs)
        self._update_learning_rate([self.actor.optimizer, self.critic.optimizer])
        actor_losses, critic_losses = [], []
        with torch.no_grad(), subnormals_as_zero():
            for _ in range(gradient_steps):
                self._n_updates += 1
                drawn = self._networks.draw(buffer)
                critic_losses.append(self._networks.update_critics(*drawn, self.gamma, self._target_noise(batch_size)))
                if self._n_updates % self.policy_delay == 0:
                    actor_losses.append(self._networks.update_actor())
                    self._networks.update_targets(self.tau)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        if actor_losses:
            self.logger.record("train/actor_loss", sum(actor_losses) / len(actor_losses))
        if critic_losses:
            self.logger.record("train/critic_loss", sum(critic_losses) / len(critic_losses))

    def _target_noise(self, rows: int) -> Tensor | None:
        """Noise (rows, actions) of the target's actions; None with DDPG, which has none."""
        if self.target_noise_clip == 0.0:
            return None
        noise = torch.empty(rows, get_action_dim(self.action_space)).normal_(0.0, self.target_policy_noise)
        return noise.clamp_(-self.target_noise_clip, self.target_noise_clip)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        if self._networks is None or np.shape(observation) != self._networks.acting.inputs.shape:
            return super().predict(observation, state, episode_start, deterministic)
        with torch.no_grad():
            seen = torch.from_numpy(np.asarray(observation, dtype=np.float32))
            actions = self._networks.acting.forward(seen).numpy()
        return self.policy.unscale_action(actions), state


class TD3(FastUpdates):
    """SB3's TD3 with :class:`FastUpdates`."""


class DDPG(FastUpdates, sb3.DDPG):
    """SB3's DDPG with :class:`FastUpdates`."""


class SAC(sb3.SAC):
    """SB3's SAC with its Adam in one kernel, kept clear of subnormal numbers."""

    def _setup_model(self) -> None:
        if "optimizer_class" not in self.policy_kwargs:
            self.policy_kwargs.setdefault("optimizer_kwargs", {"fused": True})
        super()._setup_model()

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        with subnormals_as_zero():
            super().train(gradient_steps, batch_size)
