"""What DistrEdge's agents may be asked for: types and ranges. The values are in ``hyperparams/distredge.yaml``."""

from __future__ import annotations

from typing import Literal

from ...ui.validation import Count, NonNegative, Positive, PositiveShare, Share, Whole
from ..hyperparam_types import Hyperparams, OffPolicy, OnPolicy

__all__ = ["Hyperparams", "Joint", "OffPolicy", "OnPolicy", "Online", "Osds", "Replanning", "RiskSeeking"]


class Osds(Hyperparams):
    """See :class:`splitgym.agents.distredge.osds.Osds`."""

    episodes: Count
    variance: NonNegative
    delta_eps: NonNegative
    actor_rate: NonNegative
    critic_rate: NonNegative
    actor_net: list[Count]
    critic_net: list[Count]
    batch_size: Count
    gamma: Share
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
    quantile: PositiveShare
    memory: Whole
    rate: Positive
    entropy: NonNegative
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
