"""Stable-Baselines3 on the batch envs: the VecEnv adapter and a learner for any of its algorithms.

torch comes in with this module, so nothing imports it before an agent that learns is made.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ..envs import FAMILIES, BatchEnv
from ..models.plans import KINDS
from ..ui.errors import InputError
from ..ui.files import write_text
from . import fast_updates
from .protocol import OnReport, Report, follow
from .recent_metrics import RecentMetrics

REPORT_S = 0.5  # an interruption waits for a report: no longer than this between two

CONSTANT = ("train/learning_rate", "train/clip_range", "train/n_updates")  # told by SB3 beside what is learned


class BatchVecEnv(VecEnv):
    """A :class:`~splitgym.envs.core.BatchEnv` (same-step reset) as Stable-Baselines3's ``VecEnv``.

    Keeps the best episode, with its plan, and the newest values. Episodes are compared by their distance to their own
    optimum where that is known, as luck says nothing about a plan, else by the headline metric.

    Attributes:
        episodes: episodes ended so far.
        least: what the best episode is compared by, the less the better; ``best_plan`` is its plan.
        recent: metrics of the newest episodes.
    """

    def __init__(
        self, env: BatchEnv, headline: str, lower_is_better: bool = True, paired_regret: str | None = None
    ) -> None:
        if env.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
            raise ValueError("the batch env must reset in the same step: autoreset_mode='SameStep'")
        self.env, self.headline, self.paired_regret = env, headline, paired_regret  # before VecEnv asks for render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.sign = 1.0 if lower_is_better else -1.0
        self.episodes, self.least, self.best_plan = 0, np.inf, None
        self.recent = RecentMetrics(200)
        self._actions: np.ndarray | None = None

    def reset(self) -> Any:
        seed = self._seeds[0]
        observation, _ = self.env.reset(seed=seed)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return _writable(observation)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            lanes, final, metrics = np.flatnonzero(done), info["final_obs"], info["final_info"].get("metrics", {})
            if terminated.any():
                self._note(np.flatnonzero(terminated), metrics)
            for lane in lanes:
                last = {k: v[lane] for k, v in final.items()} if isinstance(final, dict) else final[lane]
                own = {k: float(v[lane]) for k, v in metrics.items() if k[0] != "_"} if terminated[lane] else {}
                infos[lane] = {
                    **own,
                    "terminal_observation": last,
                    "TimeLimit.truncated": bool(truncated[lane] and not terminated[lane]),
                }
        return _writable(observation), reward.astype(np.float32), done, infos

    @property
    def best(self) -> float:
        """The best headline value of an episode; NaN where episodes have luck of their own."""
        return self.least * self.sign if self.env.dynamics.alike else float("nan")

    def _note(self, lanes: np.ndarray, metrics: Mapping[str, np.ndarray]) -> None:
        ended = {name: values[lanes] for name, values in metrics.items()}
        self.episodes += len(lanes)
        self.recent.extend(ended)
        cost = ended[self.headline] * self.sign
        if self.paired_regret is not None and not self.env.dynamics.alike:
            regret = ended[self.paired_regret]
            cost = regret if np.isfinite(regret).all() else cost
        winner = int(np.argmin(cost))
        if cost[winner] < self.least:
            self.least = float(cost[winner])
            self.best_plan = self.env.dynamics.plan(int(lanes[winner]))

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        self._all_lanes(f"set_attr({attr_name!r})", indices)
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        self._all_lanes(f"env_method({method_name!r})", indices)
        return [getattr(self.env, method_name)(*args, **kwargs)] * self.num_envs

    def _all_lanes(self, call: str, indices: Any) -> None:
        """All lanes are one env: what is done to some is done to all, so it is done to all only."""
        if sorted(set(self._get_indices(indices))) != list(range(self.num_envs)):
            raise ValueError(f"{call}: the lanes are one batched env; leave indices out, or name all of them")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(self._get_indices(indices))  # type: ignore[arg-type]


def _writable(observation: Any) -> Any:
    """The observation as torch takes it: what never changes comes read-only."""
    if isinstance(observation, dict):
        return {k: v if v.flags.writeable else v.copy() for k, v in observation.items()}
    return observation


def _algorithm(name: str) -> type[BaseAlgorithm]:
    """An algorithm of SB3's by name; the faster one where there is one."""
    return getattr(fast_updates, name, None) or getattr(sb3, name)


class _Reporter(BaseCallback):
    """Counts episodes against the budget, tells how it stands, tells the learner of every episode that ended."""

    def __init__(self, learner: Sb3Learner, episodes: int | None, steps: int, on_report: OnReport) -> None:
        super().__init__()
        self.learner, self.episodes, self.steps, self.on_report = learner, episodes, steps, on_report
        self._every = max(1, steps // 400)
        self._next, self._due_s = 0, 0.0

    def _on_step(self) -> bool:
        vec = self.learner.vec
        for info in self.locals["infos"]:
            if vec.headline in info:
                self.learner.episode_ended(info)
        done = self.episodes is not None and vec.episodes >= self.episodes
        if self.num_timesteps >= self._next or time.monotonic() >= self._due_s or done:
            self._next = self.num_timesteps + self._every
            self.on_report(self.learner.report(self.episodes, self.steps, self.num_timesteps))
            self._due_s = time.monotonic() + REPORT_S
        return not done


class Sb3Learner:
    """Any SB3 algorithm on many lanes of a family's batch env.

    Args:
        env: a scalar env; its spec says how the lanes are made.
        algorithm: an SB3 class, or its name in lower case.
        seed: of the lanes and the networks.
        lanes: number of lanes.
        episodes: default budget.
        policy: SB3 policy name; by default the one for the observation space.
        train_options: of the env, for training only; what is asked for explicitly goes first.
        algorithm_kwargs: for the algorithm.

    After training the agent carries out the best plan that it found, on constant links; where links vary it asks the
    policy.
    """

    not_restored = "the episodes under way, the rollout they fill, and the random numbers to come"

    def __init__(
        self,
        env: Any,
        algorithm: str | type[BaseAlgorithm],
        seed: int = 0,
        *,
        lanes: int,
        episodes: int,
        policy: str | None = None,
        train_options: Mapping[str, Any] = MappingProxyType({}),
        **algorithm_kwargs: Any,
    ) -> None:
        torch.set_num_threads(1)
        self.lanes = lanes
        self.algorithm = _algorithm(algorithm.upper()) if isinstance(algorithm, str) else algorithm
        self.episodes = episodes
        self.dynamics = env.unwrapped.dynamics
        family = next(f for f in FAMILIES.values() if f.env_id == env.spec.id)
        kwargs = {**train_options, **{k: v for k, v in env.spec.kwargs.items() if k != "render_mode"}}
        batch = gym.make_vec(env.spec.id, num_envs=lanes, autoreset_mode="SameStep", **kwargs)
        self.vec = BatchVecEnv(batch, family.headline, family.lower_is_better, family.paired_regret)  # type: ignore[arg-type]
        if "policy_kwargs" in algorithm_kwargs:  # SB3 writes into it
            algorithm_kwargs["policy_kwargs"] = copy.deepcopy(algorithm_kwargs["policy_kwargs"])
        fitting = "MultiInputPolicy" if isinstance(self.vec.observation_space, spaces.Dict) else "MlpPolicy"
        if policy not in (None, fitting):
            raise InputError(
                f"{self.algorithm.__name__}: policy is {policy!r}, allowed for these observations: {fitting}"
            )
        try:
            self.model = self.algorithm(fitting, self.vec, seed=seed, device="cpu", **algorithm_kwargs)
        except AssertionError as error:
            raise InputError(f"{self.algorithm.__name__}: {error}".splitlines()[0]) from None

    @property
    def best_plan(self) -> Any:
        return self.vec.best_plan

    def learn(self, episodes: int | None, steps: int | None, on_report: OnReport) -> None:
        """Train until ``episodes`` or ``steps`` in all are done; see :class:`splitgym.agents.protocol.Learner`."""
        if steps is None:
            episodes = episodes or self.episodes
        episode_steps = self.vec.env.dynamics.episode_steps
        total = (episodes or 0) * episode_steps if steps is None else steps
        # a resumed run begins with a fresh episode, so a budget in episodes may take a few steps more
        spare = episode_steps * self.vec.num_envs if steps is None else 0
        left = total + spare - self.model.num_timesteps
        if left <= 0 or (episodes is not None and self.vec.episodes >= episodes):
            return
        callback = _Reporter(self, episodes, total, on_report)
        self.model.set_logger(Logger(None, []))  # SB3's own leaves an empty folder in /tmp a training
        self.model.learn(left, callback=callback, reset_num_timesteps=self.model.num_timesteps == 0, log_interval=None)  # type: ignore[arg-type]
        on_report(self.report(episodes, total, self.model.num_timesteps))

    def report(self, episodes: int | None, steps: int, done: int) -> Report:
        """How training stands."""
        vec = self.vec
        share = min(1.0, max(done / steps, vec.episodes / episodes if episodes else 0.0))
        recent, regret = vec.recent.mean(vec.headline), vec.recent.mean(vec.paired_regret)
        told = self.model.logger.name_to_value.items()  # losses, entropy and the like, of the newest update
        extra = {name: float(v) for name, v in told if name.startswith("train/") and name not in CONSTANT}
        extra |= vec.recent.curves(without=(vec.headline, vec.paired_regret))
        return Report(vec.episodes, done, share, vec.best, recent, vec.best_plan, regret, extra)

    def episode_ended(self, metrics: Mapping[str, float]) -> None:
        """Called with the figures of every episode, before what it taught is learned from."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        if self.vec.best_plan is None or not self.dynamics.plan_decides:
            actions, _ = self.model.predict(observation, deterministic=deterministic)
            return actions, state
        return follow(self.dynamics.plan_actions(self.vec.best_plan), len(observation), state, episode_start)

    def save(self, folder: str | Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "model.zip").open("wb") as file:  # given a path, it leaves the file open where it fails
            self.model.save(file)
        if isinstance(self.model, OffPolicyAlgorithm):
            with (folder / "replay.pkl").open("wb") as file:
                self.model.save_replay_buffer(file)
        plan = self.vec.best_plan
        state = {
            "episodes": self.vec.episodes,
            "least": self.vec.least,
            "recent": self.vec.recent.to_json(),
            "best_plan": None if plan is None else plan.to_json(),
        }
        write_text(folder / "learner.json", json.dumps(state))

    def load(self, folder: str | Path) -> None:
        folder = Path(folder)
        for name in ("model.zip", "learner.json"):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name}: missing; a saved model has model.zip and learner.json")
        self.model = self.algorithm.load(folder / "model.zip", env=self.vec, device="cpu")
        if isinstance(self.model, OffPolicyAlgorithm) and (folder / "replay.pkl").is_file():
            self.model.load_replay_buffer(folder / "replay.pkl")
        state = json.loads((folder / "learner.json").read_text())
        self.vec.episodes, self.vec.least = state["episodes"], state["least"]
        self.vec.recent.restore(state["recent"])
        if state["best_plan"] is not None:
            plan = state["best_plan"]
            self.vec.best_plan = KINDS[plan["kind"]](plan, str(folder / "learner.json"))
