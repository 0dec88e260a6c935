"""What HierTrain's agents may be asked for: types and ranges. The values are in ``hyperparams/hiertrain.yaml``."""

from __future__ import annotations

from ..hyperparam_types import Hyperparams, OffPolicy, OnPolicy

__all__ = ["Hyperparams", "OffPolicy", "OnPolicy", "Planner"]


class Planner(Hyperparams):
    """See :class:`splitgym.agents.hiertrain.plan_agent.PlanAgent`."""

    hold: bool
