"""What L2S's agents may be asked for: types and ranges. The values are in ``hyperparams/l2s.yaml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..hyperparam_types import Count, Hyperparams, NonNegative, OffPolicy, OnPolicy, Positive, Share, Whole

__all__ = ["L2S", "Discounted", "Hyperparams", "LinUCB", "LinUCBE", "OffPolicy", "OnPolicy"]


class LinUCB(Hyperparams):
    """See :class:`splitgym.agents.l2s.bandits.LinUCB`."""

    alpha: NonNegative
    ridge: Positive


class LinUCBE(LinUCB):
    """See :class:`splitgym.agents.l2s.bandits.LinUCBE`."""

    mu: Annotated[float, Field(gt=0, lt=1)]
    horizon: Annotated[Whole, Field(ge=0)] | None = None


class Discounted(LinUCB):
    """See :class:`splitgym.agents.l2s.bandits.DiscountedLinUCB`."""

    discount: Annotated[float, Field(gt=0, lt=1)]


class L2S(LinUCB):
    """See :class:`splitgym.agents.l2s.l2s.L2S`."""

    mu: Annotated[float, Field(gt=0, lt=1)]
    adapt_rounds: Count
    agree_rounds: Count
    monitor_rounds: Count
    drift: Positive
    random_rate: Share
    probe_period: Annotated[Whole, Field(ge=0)]
