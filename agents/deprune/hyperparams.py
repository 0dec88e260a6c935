"""What Deprune's agents may be asked for: types and ranges. The values are in ``hyperparams/deprune.yaml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..hyperparam_types import Hyperparams, OffPolicy, OnPolicy, Share

__all__ = ["Constant", "Deprune", "Hyperparams", "OffPolicy", "OnPolicy", "Prune"]

MapShare = Annotated[float, Field(gt=0, le=1)]


class Constant(Hyperparams):
    """See :func:`splitgym.agents.deprune.schedule_agent.constant`."""

    share: MapShare


class Deprune(Constant):
    """See :func:`splitgym.agents.deprune.schedule_agent.deprune`."""

    full: Share


class Prune(Hyperparams):
    """See :func:`splitgym.agents.deprune.schedule_agent.prune`."""

    shares: Annotated[list[MapShare], Field(min_length=1)]
    first: Share
