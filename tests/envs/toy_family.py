"""A family small enough to see through, for tests of what is the same for every family.

An episode is three steps; each action should hit a target. The cost is 1 s plus the squared distances.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from splitgym.agents.protocol import OnReport, Report
from splitgym.agents.registry import AgentSpec
from splitgym.envs import FAMILIES, BatchEnv, Dynamics, Family, ScalarEnv, register_family
from splitgym.ui.errors import InputError

STEPS = 3
FINGERPRINT = "abc"  # tests change it, as a changed table would
TARGETS = {"near": 0.1, "far": 0.8, "noisy": 0.0}


class ToyDynamics(Dynamics):
    """See the module; in ``noisy`` every episode draws its own target."""

    metric_kinds = {"cost_s": "mean", "regret_s": "mean", "moves": "sum", "first_action": "last"}

    def __init__(self, num_lanes: int, scenario: str, scale: float = 1.0, known: bool = False, **fields: Any) -> None:
        if fields:
            raise InputError(f"unknown option {min(fields)!r}; known: scale, known")
        if scenario not in TARGETS:
            raise InputError(f"unknown scenario {scenario!r}; known: {', '.join(TARGETS)}")
        if not isinstance(scale, (int, float)):
            raise InputError(f"scale is {scale!r}, allowed: a number")
        self.num_lanes, self.scenario_name, self.scale, self.known = num_lanes, scenario, scale, known
        self.is_random = scenario == "noisy"
        self.plan_decides = not self.is_random
        self.eval_episodes = 8 if self.is_random else 1
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = spaces.Box(-1.0, float(STEPS), (2,), np.float32)
        self.target = np.full(num_lanes, TARGETS[scenario])
        self.rngs = [np.random.default_rng(0) for _ in range(num_lanes)]
        self.step = np.zeros(num_lanes, dtype=int)
        self.actions = np.zeros((STEPS, num_lanes))

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"name": self.scenario_name, "scale": self.scale}

    @property
    def summary(self) -> str:
        return f"a target at {self.target[0]:g}, costs times {self.scale:g}"

    @property
    def fingerprint(self) -> str:
        return FINGERPRINT

    @property
    def provenance(self) -> tuple[str, ...]:
        return ("targets: modelled (made up)",)

    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        for lane, rng in zip(lanes, rngs, strict=True):
            self.rngs[lane] = rng

    def reset_lanes(self, lanes: np.ndarray) -> None:
        self.step[lanes] = 0
        if self.is_random:
            for lane in lanes:
                self.target[lane] = self.rngs[lane].uniform(-1, 1)

    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        lanes = np.arange(self.num_lanes) if lanes is None else lanes
        self.actions[self.step[lanes], lanes] = np.asarray(action)[lanes, 0]
        self.step[lanes] += 1
        terminated = np.zeros(self.num_lanes, dtype=bool)
        terminated[lanes] = self.step[lanes] == STEPS
        return np.where(terminated, -self.cost_s(), 0.0), terminated

    def cost_s(self) -> np.ndarray:
        return self.scale * (1.0 + ((self.actions - self.target) ** 2).sum(axis=0))

    def observe(self) -> np.ndarray:
        return np.stack([self.target, self.step], axis=1).astype(np.float32)

    def metrics(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        cost = self.cost_s()[lanes]
        regret = cost - self.scale if self.known else np.full(len(lanes), np.nan)
        moves = np.abs(self.actions[:, lanes]).sum(axis=0)
        return {"cost_s": cost, "regret_s": regret, "moves": moves, "first_action": self.actions[0, lanes]}

    def details(self, lane: int) -> dict[str, Any]:
        return {"plan": {"schema": 1, "kind": "toy", "actions": self.actions[:, lane].tolist()}}


class ToyEnv(ScalarEnv):
    """Scalar."""

    def __init__(self, scenario: str = "near", render_mode: str | None = None, **options: Any) -> None:
        super().__init__(ToyDynamics(1, scenario, **options), render_mode)


class ToyVectorEnv(BatchEnv):
    """Vector."""

    def __init__(
        self, num_envs: int = 1, scenario: str = "near", autoreset_mode: Any = "NextStep", **options: Any
    ) -> None:
        super().__init__(ToyDynamics(num_envs, scenario, **options), autoreset_mode)


class Fixed:
    """Always the same action, whatever it sees."""

    def __init__(self, env: Any, seed: int = 0, action: float = 0.0) -> None:
        self.action = action

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        return np.full((len(observation), 1), self.action, dtype=np.float32), state


class Exact:
    """Reads the target from the observation."""

    def __init__(self, env: Any, seed: int = 0) -> None:
        pass

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        return observation[:, :1], state


class Climber:
    """Learns one action by trying others near the best."""

    on_episode: Callable[[int], None] | None = None  # for tests: called before every episode

    def __init__(self, env: Any, seed: int = 0, episodes: int = 60, spread: float = 0.3) -> None:
        if spread <= 0:
            raise InputError(f"climber: spread is {spread}, it must be positive")
        if spread == 13:
            raise ValueError("thirteen will not do\nsee the manual")
        self.env, self.seed, self.budget, self.spread = env, seed, episodes, spread
        self.episodes, self.best, self.action = 0, float("inf"), -1.0
        self.best_plan: Any = None

    lanes, not_restored = 1, ""

    def learn(self, episodes: int | None, steps: int | None, on_report: OnReport) -> None:
        budget = episodes or (steps // STEPS if steps else self.budget)
        while self.episodes < budget:
            if Climber.on_episode is not None:
                Climber.on_episode(self.episodes)
            rng = np.random.default_rng((self.seed, self.episodes))
            action = float(np.clip(self.action + self.spread * rng.standard_normal(), -1, 1))
            cost = self._cost(action)
            self.episodes += 1
            if cost < self.best:
                self.best, self.action = cost, action
            share = self.episodes / budget
            on_report(
                Report(self.episodes, STEPS * self.episodes, share, self.best, cost, extra={"spread": self.spread})
            )

    def _cost(self, action: float) -> float:
        self.env.reset(seed=self.seed)
        info: dict[str, Any] = {}
        for _ in range(STEPS):
            *_, info = self.env.step(np.array([action], dtype=np.float32))
        return info["cost_s"]

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        return np.full((len(observation), 1), self.action, dtype=np.float32), state

    def save(self, folder: Path) -> None:
        data = {"episodes": self.episodes, "best": self.best, "action": self.action}
        (folder / "climber.json").write_text(json.dumps(data))

    def load(self, folder: Path) -> None:
        data = json.loads((folder / "climber.json").read_text())
        self.episodes, self.best, self.action = data["episodes"], data["best"], data["action"]


def _refuses(env: Any, seed: int = 0) -> Any:
    raise InputError("refuser: this scenario is not for me")


AGENTS = (
    AgentSpec("climber", "tries actions near the best", Climber, learns=True, seeded=True),
    AgentSpec("exact", "knows the target", Exact, reference=True),
    AgentSpec("middle", "always the middle", Fixed, baseline=True),
    AgentSpec("edge", "always the edge", partial(Fixed, action=1.0), baseline=True, whole=True),
    AgentSpec("refuser", "never works", _refuses, {"known": False}),
)
DEFAULT_AGENT = "climber"
EVAL_AGENTS = ("climber", "exact", "middle", "edge")

FAMILY = Family(
    name="toy",
    title="Toy: hit a target three times",
    env_id="tests/Toy-v0",
    entry_point="tests.envs.toy_family:ToyEnv",
    vector_entry_point="tests.envs.toy_family:ToyVectorEnv",
    scenarios=tuple(TARGETS),
    default_scenario="near",
    groups={"all-fixed": ("near", "far")},
    headline="cost_s",
    regret="regret_s",
    agents="tests.envs.toy_family",
    summaries={"near": "a target close by"},
)


@contextmanager
def registered() -> Iterator[Family]:
    """The family among the known ones, for as long as the context is open."""
    import gymnasium as gym

    register_family(FAMILY)
    try:
        yield FAMILY
    finally:
        del FAMILIES[FAMILY.name]
        del gym.registry[FAMILY.env_id]
