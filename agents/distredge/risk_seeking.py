"""A learner of the partition and the splits together, by risk-seeking policy gradient.

What counts in planning is the best plan found, not the mean of the policy. So each update raises the likelihood of the
best few episodes of a batch and of the best ever seen (B. Petersen et al., "Deep symbolic regression: recovering
mathematical expressions from data via risk-seeking policy gradients", ICLR 2021), under an entropy bonus, and a policy
that has stopped finding better plans is started afresh. Decisions are mixed: where the parts begin is Gaussian,
whether the volume ends is Bernoulli.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from ...envs import FAMILIES
from ...models.plans import SpatialPlan
from ...ui.errors import InputError
from ...ui.files import write_text
from ..protocol import OnReport, Report, follow
from ..recent_metrics import RecentMetrics


class MixedPolicy(nn.Module):
    """Gaussian split coordinates and a Bernoulli end of volume.

    Args:
        observations: observation size.
        splits: number of split coordinates.
        hidden: width of the two hidden layers.
        end_bias: first logit of ending a volume; few volumes are the better prior.
    """

    def __init__(self, observations: int, splits: int, hidden: int, end_bias: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(observations, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.mean = nn.Linear(hidden, splits)
        self.end = nn.Linear(hidden, 1)
        self.log_std = nn.Parameter(torch.full((splits,), -0.3))
        nn.init.orthogonal_(self.mean.weight, 0.1)
        nn.init.orthogonal_(self.end.weight, 0.1)
        nn.init.constant_(self.end.bias, end_bias)
        with torch.no_grad():
            self.mean.bias.copy_(torch.linspace(-0.5, 0.5, splits + 2)[1:-1])

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(mean (n, splits), std (splits,), end logit (n,))."""
        body = self.body(observation)
        return self.mean(body), self.log_std.clamp(-4.0, 0.5).exp(), self.end(body).squeeze(-1)

    def log_prob(self, observation: torch.Tensor, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-likelihood (n,) of actions, and mean entropy. A split counts only where the volume ends."""
        mean, std, end = self(observation)
        ends = (action[:, -1] > 0).float()
        gauss = (-0.5 * ((action[:, :-1] - mean) / std) ** 2 - std.log()).sum(-1)
        bernoulli = -nn.functional.binary_cross_entropy_with_logits(end, ends, reduction="none")
        share = torch.sigmoid(end)
        entropy = -(share * nn.functional.logsigmoid(end) + (1 - share) * nn.functional.logsigmoid(-end)).mean()
        return gauss * ends + bernoulli, entropy + std.log().mean()


class RiskSeeking:
    """Learns on the learned-partition env; see the module.

    Args:
        env: scalar env with ``partition="learned", observation="full"``.
        episodes: default budget.
        lanes: episodes per update.
        quantile: share of a batch's episodes that are learnt from.
        memory: best episodes ever that are learnt from again.
        rate: learning rate.
        entropy: weight of the entropy bonus at first; falls linearly to a tenth within a start.
        patience: updates without a better plan (of this start) before the policy starts afresh.
        epochs: gradient steps per update.
        hidden, end_bias: of :class:`MixedPolicy`.
    """

    not_restored = ""

    def __init__(
        self,
        env: Any,
        seed: int = 0,
        *,
        episodes: int,
        lanes: int,
        quantile: float,
        memory: int,
        rate: float,
        entropy: float,
        patience: int,
        epochs: int,
        hidden: int,
        end_bias: float,
    ) -> None:
        torch.set_num_threads(1)
        self.dynamics = env.unwrapped.dynamics
        family = next(f for f in FAMILIES.values() if f.env_id == env.spec.id)
        kwargs = {"optimum": True, **{k: v for k, v in env.spec.kwargs.items() if k != "render_mode"}}
        self.headline, self.paired_regret = family.headline, family.paired_regret
        self.env: Any = gym.make_vec(env.spec.id, num_envs=lanes, autoreset_mode="SameStep", **kwargs)
        self.lanes, self.budget, self.stages = lanes, episodes, self.dynamics.episode_steps
        self.elite = max(1, int(quantile * lanes))
        self.memory_size, self.rate, self.entropy, self.patience = memory, rate, entropy, patience
        self.epochs, self.hidden, self.end_bias = epochs, hidden, end_bias
        self.generator = torch.Generator().manual_seed(seed)
        self.seed, self.starts, self.episodes = seed, 0, 0
        self.best, self.best_plan = float("inf"), None
        self.recent = RecentMetrics(20)  # means of an update's episodes
        self.told: dict[str, float] = {}  # of the newest update
        self._observation: Any = None
        self._start_afresh()

    def _start_afresh(self) -> None:
        torch.manual_seed(self.seed * 1000 + self.starts)
        self.starts += 1
        sizes = (self.env.single_observation_space.shape[0], self.env.single_action_space.shape[0] - 1)
        self.policy = MixedPolicy(*sizes, self.hidden, self.end_bias)
        self.value = nn.Sequential(nn.Linear(sizes[0], 64), nn.Tanh(), nn.Linear(64, 1))
        self.optimizer = torch.optim.Adam([*self.policy.parameters(), *self.value.parameters()], self.rate, fused=True)
        self.start_best, self.idle, self.updates = float("inf"), 0, 0
        self.memory: list[tuple[float, torch.Tensor, torch.Tensor]] = []

    def learn(self, episodes: int | None, steps: int | None, on_report: OnReport) -> None:
        """Train until the budget is spent; see :class:`splitgym.agents.protocol.Learner`."""
        budget = episodes or (steps // self.stages if steps else self.budget)
        if self._observation is None:
            self._observation, _ = self.env.reset(seed=self.seed)
        while self.episodes < budget:
            observations, actions, latency = self._rollout()
            self._learn_from(observations, actions, latency)
            self.episodes += self.lanes
            on_report(self._report(budget))
            if self.idle >= self.patience:
                self._start_afresh()

    def _report(self, budget: int) -> Report:
        share = min(1.0, self.episodes / budget)
        recent, regret = self.recent.mean(self.headline), self.recent.mean(self.paired_regret)
        extra = {"policy_starts": float(self.starts), **self.told}
        extra |= self.recent.curves(without=(self.headline, self.paired_regret))
        best = self.best if self.dynamics.alike else float("nan")
        done = self.episodes * self.stages
        return Report(self.episodes, done, share, best, recent, self.best_plan, regret, extra)

    def _rollout(self) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        """One episode in every lane: (stages, lanes, ...) observations and actions, (lanes,) latencies."""
        observations, actions = [], []
        info: dict[str, Any] = {}
        for _ in range(self.stages):
            seen = torch.from_numpy(self._observation)
            action = self._sample(seen)
            observations.append(seen)
            actions.append(action)
            self._observation, _, _, _, info = self.env.step(action.numpy())
        metrics = info["final_info"]["metrics"]
        self.recent.extend({name: values.mean(keepdims=True) for name, values in metrics.items()})
        latency = metrics[self.headline]
        winner = int(np.argmin(latency))
        if latency[winner] < self.best:
            self.best, self.best_plan = float(latency[winner]), self.env.dynamics.plan(winner)
        return torch.stack(observations), torch.stack(actions), latency

    @torch.no_grad()
    def _sample(self, seen: torch.Tensor) -> torch.Tensor:
        mean, std, end = self.policy(seen)
        splits = mean + std * torch.randn(mean.shape, generator=self.generator)
        ends = torch.rand(end.shape, generator=self.generator) < torch.sigmoid(end)
        return torch.cat([splits, ends.float()[:, None] * 2 - 1], dim=1)

    def _learn_from(self, observations: torch.Tensor, actions: torch.Tensor, latency: np.ndarray) -> None:
        """Raise the likelihood of the best episodes of the batch and of those remembered."""
        score, first = self._score(latency), observations[0]
        varies = not self.dynamics.plan_decides
        if varies:  # lanes meet different rates: compare with what their rates let expect
            score = score - self.value(first).squeeze(-1).detach()
        top = torch.topk(score, self.elite).indices
        chosen = [(observations[:, top], actions[:, top])]
        if not varies:
            self._remember(observations, actions, latency)
            chosen += [(o[:, None], a[:, None]) for _, o, a in self.memory]
        seen = torch.cat([c[0] for c in chosen], dim=1).flatten(0, 1)
        done = torch.cat([c[1] for c in chosen], dim=1).flatten(0, 1)
        bonus = self.entropy * max(0.1, 1.0 - self.updates / (3 * self.patience))
        for _ in range(self.epochs):
            likelihood, entropy = self.policy.log_prob(seen, done)
            loss = -likelihood.mean() - bonus * entropy
            if varies:
                loss = loss + nn.functional.mse_loss(self.value(first).squeeze(-1), self._score(latency))
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
            self.optimizer.step()
        self.told = {"train/loss": loss.item(), "train/entropy_loss": -entropy.item()}
        self.updates += 1
        best = float(latency.min())
        self.idle = 0 if best < self.start_best * (1 - 1e-4) else self.idle + 1
        self.start_best = min(self.start_best, best)

    def _score(self, latency: np.ndarray) -> torch.Tensor:
        return -torch.from_numpy(np.log(latency)).float()

    def _remember(self, observations: torch.Tensor, actions: torch.Tensor, latency: np.ndarray) -> None:
        """Keep the best different episodes of this start."""
        known = {m[0] for m in self.memory}
        for lane in np.argsort(latency)[: self.memory_size]:
            value = float(latency[lane])
            if value not in known:
                known.add(value)
                self.memory.append((value, observations[:, lane].clone(), actions[:, lane].clone()))
        self.memory = sorted(self.memory, key=lambda m: m[0])[: self.memory_size]

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        if self.best_plan is not None and self.dynamics.plan_decides:
            return follow(self.dynamics.plan_actions(self.best_plan), len(observation), state, episode_start)
        seen = torch.as_tensor(np.asarray(observation))
        if deterministic:
            with torch.no_grad():
                mean, _, end = self.policy(seen)
            actions = torch.cat([mean, end.sign()[:, None]], dim=1)
        else:
            actions = self._sample(seen)
        return actions.clamp(-1.0, 1.0).numpy(), state

    def save(self, folder: str | Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "policy": self.policy.state_dict(),
            "value": self.value.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "memory": self.memory,
            "random": self.generator.get_state(),
        }
        with (folder / "policy.pt").open("wb") as file:
            torch.save(state, file)
        numbers = {k: getattr(self, k) for k in ("episodes", "starts", "start_best", "idle", "updates", "best")}
        plan = None if self.best_plan is None else self.best_plan.to_json()
        newest = self.recent.to_json()
        write_text(folder / "learner.json", json.dumps({**numbers, "best_plan": plan, "recent": newest}))

    def load(self, folder: str | Path) -> None:
        folder = Path(folder)
        for name in ("policy.pt", "learner.json"):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name}: missing; a saved model has policy.pt and learner.json")
        state = torch.load(folder / "policy.pt", weights_only=True)
        self.policy.load_state_dict(state["policy"])
        self.value.load_state_dict(state["value"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.memory = [tuple(m) for m in state["memory"]]
        self.generator.set_state(state["random"])
        numbers = json.loads((folder / "learner.json").read_text())
        plan = numbers.pop("best_plan")
        self.recent.restore(numbers.pop("recent"))
        for name, value in numbers.items():
            setattr(self, name, value)
        self.best_plan = None if plan is None else SpatialPlan.from_json(plan, str(folder / "learner.json"))
