"""Results: one agent on one scenario with one seed; regret where no best plan is known; results.csv."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..envs import Family
from ..ui.files import write_text

COLUMNS = ("family", "scenario", "agent", "seed", "metric", "value")


@dataclass(frozen=True)
class Result:
    """How an agent did.

    Attributes:
        scenario, agent, seed: what was played.
        metrics: flat figures, named as in ``info["metrics"]``.
        kind: trained, planned, baseline, reference or agent; for tables.
        plan: the last episode's plan as JSON data, None where the family has none.
        seconds: wall-clock time: of training, of planning where the agent tells it, else of planning and playing.
        trace: the last episode step by step, name -> (steps,); None where the family records none. Not in JSON.
        series: the episodes one after another, name -> (episodes, ...); None likewise. Not in JSON.
    """

    scenario: str
    agent: str
    seed: int
    metrics: Mapping[str, float]
    kind: str = "agent"
    plan: Mapping[str, Any] | None = None
    seconds: float = math.nan
    trace: Mapping[str, np.ndarray] | None = None
    series: Mapping[str, np.ndarray] | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-able data; NaN becomes null."""
        return {
            "agent": self.agent,
            "kind": self.kind,
            "seed": self.seed,
            "metrics": {name: finite(value) for name, value in self.metrics.items()},
            "seconds": finite(self.seconds),
            "plan": self.plan,
        }


def finite(value: float) -> float | None:
    """The number, or None for what JSON cannot say."""
    return value if math.isfinite(value) else None


def better(family: Family, a: float, b: float) -> bool:
    """Whether headline value ``a`` beats ``b``."""
    return a < b if family.lower_is_better else a > b


def best_of(family: Family, values: Iterable[float]) -> float:
    """The best headline value."""
    return min(values) if family.lower_is_better else max(values)


def fill_regret(
    results: Sequence[Result], family: Family, random: Collection[str] = ()
) -> tuple[list[Result], dict[str, float]]:
    """Regret against the best of these results wherever no best-known plan fits.

    Args:
        results: of any scenarios.
        family: theirs.
        random: scenarios where a seed draws its own episodes, so that only results of the same seed compare.

    Returns:
        (results in the same order, scenario -> best headline value that was used there).
    """
    if family.regret is None:
        return list(results), {}
    name, headline = family.regret, family.headline
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        groups.setdefault(_group(result, random), []).append(result)
    filled, used = [], {}
    for result in results:
        group = groups[_group(result, random)]
        if any(math.isnan(r.metrics[name]) for r in group):
            best = best_of(family, (r.metrics[headline] for r in group))
            loss = result.metrics[headline] - best
            result = replace(result, metrics={**result.metrics, name: loss if family.lower_is_better else -loss})
            used[result.scenario] = best_of(family, [best, used.get(result.scenario, best)])
        filled.append(result)
    return filled, used


def _group(result: Result, random: Collection[str]) -> tuple[str, int]:
    return result.scenario, result.seed if result.scenario in random else 0


def write_csv(path: Path, results: Sequence[Result], family: Family) -> None:
    """Write tidy results: one line for every metric of every result."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in results:
        for name, value in result.metrics.items():
            writer.writerow((family.name, result.scenario, result.agent, result.seed, name, repr(float(value))))
    write_text(path, text.getvalue())


def by_group(
    results: Sequence[Result], groups: Mapping[str, Sequence[str]], metric: str
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Values of a metric over seeds, by group, scenario and agent; groups without results are left out."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for group, scenarios in groups.items():
        for result in results:
            if result.scenario in scenarios:
                agents = found.setdefault(group, {}).setdefault(result.scenario, {})
                agents.setdefault(result.agent, []).append(result.metrics[metric])
    return found
