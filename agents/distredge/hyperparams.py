"""What DistrEdge's agents may be asked for: types and ranges. The values are in ``hyperparams/distredge.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from ...ui.validation import Count, NonNegative, Positive, PositiveShare, Share, Whole
from ..hyperparam_types import Hyperparams, OffPolicy, OnPolicy, Search

__all__ = ["Hyperparams", "Joint", "OffPolicy", "OnPolicy", "Online", "Osds", "Replanning", "RiskSeeking"]


class Osds(Hyperparams):
    """See :class:`splitgym.agents.distredge.osds.Osds`."""

    episodes: Count
    variance: Annotated[NonNegative, Search(0.01, 2.0, log=True)]
    delta_eps: Annotated[NonNegative, Search(1e-4, 0.1, log=True)]
    actor_rate: Annotated[NonNegative, Search(1e-5, 1e-2, log=True)]
    critic_rate: Annotated[NonNegative, Search(1e-4, 1e-2, log=True)]
    actor_net: list[Count]
    critic_net: list[Count]
    batch_size: Annotated[Count, Search(32, 256, log=True)]
    gamma: Annotated[Share, Search(0.9, 1.0)]
    buffer_size: Count


class Online(Osds):
    """See :class:`splitgym.agents.distredge.online.Online`."""

    finetune_episodes: Count
    partition: Literal["auto", "lc-pss"]
    serves: Literal["better", "actor"]
    replan_delay_s: NonNegative
    delay: Literal["paper", "measured"]
    period_s: NonNegative
    slack: NonNegative
    threshold: NonNegative


class RiskSeeking(Hyperparams):
    """See :class:`splitgym.agents.distredge.risk_seeking.RiskSeeking`."""

    episodes: Count
    lanes: Count
    quantile: Annotated[PositiveShare, Search(0.01, 0.5, log=True)]
    memory: Annotated[Whole, Search(0, 64)]
    rate: Annotated[Positive, Search(3e-4, 3e-2, log=True)]
    entropy: Annotated[NonNegative, Search(1e-3, 0.3, log=True)]
    patience: Count
    epochs: Count
    hidden: Count
    end_bias: float


class Joint(Hyperparams):
    """See :class:`splitgym.agents.distredge.joint.JointSearch`."""

    population: Count
    parents: Count
    patience: Count
    rounds: Count


class Replanning(Hyperparams):
    """See :class:`splitgym.agents.distredge.plan_agent.PlanAgent`."""

    replan_delay_s: NonNegative
    period_s: NonNegative
    slack: NonNegative
    threshold: NonNegative
