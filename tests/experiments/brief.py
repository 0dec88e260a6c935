"""Every family played, learned and compared in no time: short settings, no pictures, few competitors."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest

from splitgym.agents import registry
from splitgym.envs import FAMILIES
from splitgym.envs.deprune.dynamics import DepruneDynamics
from splitgym.envs.edgemove.dynamics import EdgeMoveDynamics
from splitgym.experiments import eval_command, train_command, train_session

from ..command_line import Command, sketch
from ..envs.toy_family import Climber

TRAIN = Command(train_command.PROG, train_command.main)
EVALUATE = Command(eval_command.PROG, eval_command.main, ("--workers", "1"))

ON_POLICY = ("lanes=2", "n_steps=8", "batch_size=8", "n_epochs=1")
OFF_POLICY = ("lanes=2", "batch_size=8", "buffer_size=200", "learning_starts=10", "gradient_steps=1")


@dataclass(frozen=True)
class Brief:
    """A family's short setting.

    Attributes:
        name: of the family.
        planner: an agent that is not trained beforehand.
        scenario: where agents are played.
        random: where learners are trained, and a seed decides if it does anywhere.
        options: of the env, so that an episode is short.
        learners: hyperparameters of agents that are trained, so that they learn next to nothing.
    """

    name: str
    planner: str
    scenario: str
    random: str
    options: Mapping[str, Any]
    learners: Mapping[str, tuple[str, ...]]

    @property
    def train(self) -> Command:
        return TRAIN.of("--env", self.name, "--track", "off")

    @property
    def evaluate(self) -> Command:
        return EVALUATE.of("--env", self.name)

    @property
    def kwargs(self) -> tuple[str, ...]:
        """The options as words."""
        return ("--env-kwargs", *(f"{name}={value}" for name, value in self.options.items()))

    def play(self, agent: str) -> Command:
        """The run of an agent that is not trained, or of a plan file."""
        return self.train.of("--agent", agent, "--scenario", self.scenario, *self.kwargs)

    def learn(self, agent: str) -> Command:
        """The training of a learner."""
        words = ("--scenario", self.random, *self.kwargs, "--hyperparams", *self.learners[agent])
        return self.train.of("--agent", agent, *words)


BRIEF = {
    brief.name: brief
    for brief in (
        Brief("distredge", "aofl", "DB-50", "DB-50", {"model": "lenet5"}, {"ppo": ON_POLICY}),
        Brief(
            "l2s", "l2s", "resnet34-gpu-60", "resnet34-gpu-60", {"rounds": 20},
            {"ppo": ON_POLICY, "dqn": OFF_POLICY},
        ),
        Brief(
            "edgemove", "edgemove", "vgg16-cifar10", "vgg16-cifar10", {"on_device_s": 100.0, "cycle": 200},
            {"ppo": ON_POLICY, "a2c": ON_POLICY[:2], "dqn": OFF_POLICY},
        ),
        Brief(
            "hiertrain", "exact", "lenet5-2", "lenet5-drift", {"blocks": 2},
            {"ppo": ON_POLICY, "ddpg": OFF_POLICY, "sac": OFF_POLICY},
        ),
        Brief(
            "deprune", "deprune", "vgg11-cifar10", "vgg11-cifar10", {"epochs": 4},
            {"ppo": ON_POLICY, "dqn": OFF_POLICY},
        ),
    )
}  # fmt: skip


def undraw(patch: pytest.MonkeyPatch) -> None:
    """No pictures, only their files."""
    for family in FAMILIES.values():
        if family.experiments:
            module = import_module(family.experiments)
            for hook, drawn in {"draw_trace": {"episode": None}, "draw_plan": None, "eval_figures": {}}.items():
                if hasattr(module, hook):
                    patch.setattr(module, hook, lambda *_, drawn=drawn: drawn)
    for module in (train_session, eval_command):
        patch.setattr(module, "footnote", lambda *_, **__: None)
        patch.setattr(module, "save_figure", sketch)
    for curve in ("learning_curve", "regret_curve"):
        patch.setattr(train_session, curve, lambda *_, **__: None)
    patch.setattr(eval_command, "grouped_bars", lambda *_, **__: None)
    patch.setattr(eval_command, "has_error_bars", lambda _: False)


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Two episodes of an evaluation instead of ten, and short searches."""
    for dynamics in (EdgeMoveDynamics, DepruneDynamics):
        patch.setattr(dynamics, "eval_episodes", 2)
    shorten_searches(patch)


def shorten_searches(patch: pytest.MonkeyPatch) -> None:
    """A joint search of one generation, an online training of three episodes."""
    search = {"population": 8, "parents": 4, "patience": 1, "rounds": 1}
    defaults = registry._hyperparams("distredge")
    patch.setitem(defaults["joint"], "default", search)
    small = {"episodes": 3, "actor_net": [8], "critic_net": [8]}
    patch.setitem(defaults["online"], "default", {**defaults["online"]["default"], **small})


def isolate(patch: pytest.MonkeyPatch) -> None:
    """No comparison at the end of a training."""
    patch.setattr(train_session.Session, "_others", lambda _: [])


def interrupt_at(count: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ctrl-C in the toy learner's episode of that count over all trainings; returns a list that gets their numbers."""
    played: list[int] = []

    def on_episode(number: int) -> None:
        played.append(number)
        if len(played) == count:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Climber, "on_episode", staticmethod(on_episode))
    return played
