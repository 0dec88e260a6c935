"""What Deprune's agents may be asked for: types and ranges. The values are in ``hyperparams/deprune.yaml``."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Len

from ...ui.validation import PositiveShare, Share
from ..hyperparam_types import Hyperparams, OffPolicy, OnPolicy

__all__ = ["Constant", "Deprune", "Hyperparams", "OffPolicy", "OnPolicy", "Prune"]


class Constant(Hyperparams):
    """See :func:`splitgym.agents.deprune.schedule_agent.constant`."""

    share: PositiveShare


class Deprune(Constant):
    """See :func:`splitgym.agents.deprune.schedule_agent.deprune`."""

    full: Share


class Prune(Hyperparams):
    """See :func:`splitgym.agents.deprune.schedule_agent.prune`."""

    shares: Annotated[list[PositiveShare], Len(1)]
    first: Share
