"""What L2S's agents may be asked for: types and ranges. The values are in ``hyperparams/l2s.yaml``."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from ...ui.validation import Count, Positive, Share, Whole
from ..hyperparam_types import Hyperparams, OffPolicy, OnPolicy

__all__ = ["L2S", "Discounted", "Hyperparams", "LinUCB", "LinUCBE", "OffPolicy", "OnPolicy"]

Inside = Annotated[float, Interval(gt=0, lt=1)]


class LinUCB(Hyperparams):
    """See :class:`splitgym.agents.l2s.bandits.LinUCB`."""

    alpha: Annotated[float, Interval(ge=0, le=1e6)]
    ridge: Annotated[float, Interval(ge=1e-6, le=1e6)]  # below, sums in double precision lose the prior


class LinUCBE(LinUCB):
    """See :class:`splitgym.agents.l2s.bandits.LinUCBE`."""

    mu: Inside
    horizon: Whole | None = None


class Discounted(LinUCB):
    """See :class:`splitgym.agents.l2s.bandits.DiscountedLinUCB`."""

    discount: Inside


class L2S(LinUCB):
    """See :class:`splitgym.agents.l2s.l2s.L2S`."""

    mu: Inside
    adapt_rounds: Count
    agree_rounds: Count
    monitor_rounds: Count
    drift: Positive
    random_rate: Share
    probe_period: Whole
