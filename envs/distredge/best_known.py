"""The best plan known for each scenario, shipped as data and valid only for the inputs it was found for.

The search is not exact, so this is a reference and not an optimum: an agent that beats it has a negative regret. Where
links vary, the reference is the best of a bank of plans at the image's rates.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...models.plans import SpatialPlan
from .scenarios import Scenario
from .system import PlanBatch, System


@lru_cache(maxsize=1)
def shipped() -> dict[str, Any]:
    """All entries: scenario (see :func:`entry_name`) -> {fingerprint, latency_s, plans, command}."""
    return json.loads(Path(__file__).with_name("best_known.json").read_text())


def entry_name(scenario: Scenario) -> str:
    """What a scenario's entry is called: by its name, and its inputs where they are not the paper's."""
    return scenario.name if scenario.inputs == "paper" else f"{scenario.name} ({scenario.inputs})"


class BestKnown:
    """Best-known latency of a system; NaN when nothing shipped fits its fingerprint.

    Attributes:
        plans: the plans behind it.
    """

    def __init__(self, system: System) -> None:
        entry = shipped().get(entry_name(system.scenario))
        self.system = system
        self.plans: list[SpatialPlan] = []
        self._latency_s = float("nan")
        if entry is None or entry["fingerprint"] != system.fingerprint:
            return
        self.plans = [SpatialPlan.from_json(p, "best_known.json") for p in entry["plans"]]
        self._latency_s = entry["latency_s"]
        if system.scenario.varies:
            batch = PlanBatch.of(self.plans, system.n_units)
            self._batch = batch
            ranges = {r for p in self.plans for r in p.ranges}
            self._physics = system.physics(sorted(ranges))

    def latency_s(self, mbps: np.ndarray) -> np.ndarray:
        """(n,) best-known latency under rates (D, n); constant links give one value for all."""
        lanes = mbps.shape[1]
        if not self.system.scenario.varies or not self.plans:
            return np.full(lanes, self._latency_s)
        bank = len(self.plans)
        every = PlanBatch(
            np.tile(self._batch.stops, lanes), np.tile(self._batch.count, lanes), np.tile(self._batch.splits, lanes)
        )
        rates = np.repeat(mbps, bank, axis=1)
        return self.system.evaluate(every, self._physics, rates).reshape(lanes, bank).min(axis=1)
