"""L2S's agents: the paper's bandits and its mode switch, its baselines, and learners."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...models.plans import CutPlan
from ..plan_files import plan_spec as spec_of
from ..protocol import Agent
from ..registry import AgentSpec, sb3_agent
from . import hyperparams
from .bandits import DiscountedLinUCB, LinTS, LinUCB, LinUCBE
from .baselines import PICKS, Fixed, Oracle
from .l2s import L2S

DEFAULT_AGENT = "l2s"


def _fixed(name: str, env: Any, seed: int = 0) -> Agent:
    return Fixed(env, PICKS[name])


def _follow(env: Any, plan: CutPlan) -> Agent:
    choice = env.unwrapped.dynamics.system.choice_of(plan.cut)
    return Fixed(env, lambda dynamics: choice)


plan_spec = partial(spec_of, CutPlan, _follow)
_FIXED = {
    "fpt": ("FPT: cut at P^c in every round", {}),
    "pdt": ("PDT: all on the end device", {}),
    "ppt": ("PPT: cut behind the first layer or residual block, with P^c = 1", {"privacy_point": 1}),
    "neurosurgeon": ("Neurosurgeon: the best point by offline profiles and the nominal rate", {}),
}

AGENTS: tuple[AgentSpec, ...] = (
    AgentSpec(
        "l2s", "the paper's agent: LinUCB-E until decisions agree, then regular training with a delay monitor", L2S,
        {"sync": "ask"}, seeded=True, hyperparams=hyperparams.L2S,
    ),
    AgentSpec(
        "l2s-probe", "L2S that looks at the network now and then while it trains on the device alone", L2S,
        {"sync": "ask"}, seeded=True, hyperparams=hyperparams.L2S,
    ),
    AgentSpec("linucb-e", "LinUCB with forced sampling (Alg. 1)", LinUCBE, hyperparams=hyperparams.LinUCBE),
    AgentSpec(
        "linucb", "LinUCB (Eq. 2), which the device alone may trap", LinUCB, baseline=True,
        hyperparams=hyperparams.LinUCB,
    ),
    AgentSpec(
        "d-linucb", "LinUCB that discounts old observations", DiscountedLinUCB, hyperparams=hyperparams.Discounted
    ),
    AgentSpec("lints", "linear Thompson sampling", LinTS, seeded=True, hyperparams=hyperparams.LinUCB),
    AgentSpec(
        "l2s-fws", "L2S-FWS: L2S that synchronises whenever the point changes", L2S,
        {"sync": "change"}, seeded=True, baseline=True, hyperparams=hyperparams.L2S,
    ),
    AgentSpec(
        "oracle", "the best point in every round, by expected delay", Oracle,
        reference=True, hyperparams=hyperparams.Hyperparams,
    ),
    *(
        AgentSpec(
            name, summary, partial(_fixed, name), options,
            baseline=True, whole=name == "pdt", hyperparams=hyperparams.Hyperparams,
        )
        for name, (summary, options) in _FIXED.items()
    ),
    *(
        AgentSpec(
            name, f"SB3's {name.upper()}", partial(sb3_agent, name), learns=True, seeded=True, hyperparams=allowed,
        )
        for name, allowed in (("ppo", hyperparams.OnPolicy), ("dqn", hyperparams.OffPolicy))
    ),
)  # fmt: skip
EVAL_AGENTS = ("l2s", "l2s-probe", "linucb-e", "linucb", "d-linucb", "lints", "l2s-fws", "oracle", *_FIXED)
