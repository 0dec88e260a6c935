"""What EdgeMove's agents may be asked for: types and ranges. The values are in ``hyperparams/edgemove.yaml``."""

from __future__ import annotations

from ...ui.validation import NonNegative, Positive, Share
from ..hyperparam_types import Hyperparams, OffPolicy, OnPolicy

__all__ = ["EdgeMove", "Hyperparams", "Literal", "Lookahead", "OffPolicy", "OnPolicy"]


class Literal(Hyperparams):
    """See :class:`splitgym.agents.edgemove.edgemove.EdgeMove`."""

    literal: bool


class EdgeMove(Literal):
    """See :class:`splitgym.agents.edgemove.edgemove.EdgeMove`."""

    tie: NonNegative
    drift: Positive
    worse: NonNegative
    gain: Share
    memory: Share
    foresight: bool


class Lookahead(Hyperparams):
    """See :class:`splitgym.agents.edgemove.lookahead.Lookahead`."""

    cycles: Positive
