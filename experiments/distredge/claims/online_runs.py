"""What is run for the claims about links that vary: an agent over an hour of a trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....agents.registry import get_spec
from ....envs import FAMILIES
from ....envs.distredge.best_known import BestKnown
from ....envs.distredge.dynamics import DistrEdgeDynamics
from ....envs.scenarios import Inputs
from ...play import assess

SCENARIO = "dynamic-nano"
DIGITS = 6


def hour(agent: str, inputs: Inputs, seed: int, images: int, hyperparams: Mapping[str, Any]) -> dict[str, Any]:
    """An agent on the seed's trace, whose hour so many images see.

    Returns:
        By image, (images,): ``clock_s`` when it was sent, ``latency_s``, ``best_s`` of the bank of plans at its rates,
        ``strategies`` that had served so far and ``asked`` that had been asked for; and ``mbps``, (images, devices).
    """
    options = {"inputs": inputs}
    dynamics = DistrEdgeDynamics(1, SCENARIO, fields=options)
    result = assess(
        FAMILIES["distredge"], get_spec("distredge", agent), SCENARIO, options, seed, images, dict(hyperparams)
    )
    series = result.series
    assert series is not None
    best_s = BestKnown(dynamics.system).latency_s(series["mbps"].T)
    strategies = series["strategies"]
    return {
        "clock_s": _rounded(series["clock_s"]),
        "latency_s": _rounded(series["latency_s"]),
        "best_s": _rounded(best_s),
        "strategies": strategies.tolist(),
        "asked": (strategies + series["replanning"]).tolist(),
        "mbps": np.round(series["mbps"], 3).tolist(),
        "provenance": list(dynamics.provenance),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return np.round(values, DIGITS).tolist()
