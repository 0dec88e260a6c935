"""What a training on workers showed: the time of a step beside what was predicted, and where it went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from ...envs.live_training import Costs, Task
from ...envs.training_cluster import Workers
from ...runtime.training.steps import Step
from .training_terms import MEANINGS, ordered, shared, terms
from .training_timeline import predicted
from .training_trace import Trace, measured

MOST_KEPT = 60  # steps in a row with all that happened in them


@dataclass
class Steps:
    """Steps under the same costs, one after another.

    Attributes:
        kept: the last ones that count and follow each other.
        periods_s: real seconds of a step for each that counts, by its number: behind the K-th before it, over K.
        invalid: how many do not count, since real work took longer than what it stands for.
        count: of all.
    """

    costs: Costs
    kept: list[Step] = field(default_factory=list)
    periods_s: dict[int, float] = field(default_factory=dict)
    invalid: int = 0
    count: int = 0
    _before: list[Step] = field(default_factory=list)  # the most of those that something came between

    def add(self, step: Step, in_flight: int, counts: bool, batch: int) -> None:
        """Another step.

        Args:
            in_flight: K.
            counts: whether it says something about emulated devices.
            batch: samples of a whole batch.
        """
        self.count += 1
        self.invalid += not counts
        if not counts or step.measures.get("samples") != batch:
            self._break()  # what follows it may have waited for it
            return
        if self.kept and (self.kept[-1].number + 1, self.kept[-1].epoch) != (step.number, step.epoch):
            self._break()
        self.kept = [*self.kept[-MOST_KEPT + 1 :], step]
        if len(self.kept) > 2 * in_flight:  # behind the filling of a pipeline
            self.periods_s[step.number] = (step.logged_s - self.kept[-1 - in_flight].logged_s) / in_flight

    @property
    def longest(self) -> list[Step]:
        """Most steps that counted one after another."""
        return max(self._before, self.kept, key=len)

    def _break(self) -> None:
        self._before, self.kept = self.longest, []


@dataclass(frozen=True)
class TrainingReport:
    """A training in numbers; times are those of the devices, not of an emulation that is slower.

    Attributes:
        predicted, typical: traces of a step, or of K in a pipeline, the latter of median time; None where none counts.
        predicted_s, measured_s: of a step; the median, NaN where none counts.
        spread_s: least and most of the measured ones.
        environment_s: what the environment says that a step takes, and in words why that may be something else.
        terms: term -> (predicted, measured) seconds of a step.
        count, invalid: steps, and those of them that do not count.
        runtime_s: the runtime's own time of a step in real seconds, which no scale hides.
    """

    predicted: Trace
    typical: Trace | None
    predicted_s: float
    measured_s: float
    spread_s: tuple[float, float]
    environment_s: float
    differs: str
    terms: Mapping[str, tuple[float, float]]
    count: int
    invalid: int
    runtime_s: float

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was measured."""
        return self.predicted_s / self.measured_s - 1.0

    def to_json(self) -> dict[str, Any]:
        """Everything but the traces, as plain data."""
        return {
            "predicted": {"step_s": self.predicted_s, "environment_step_s": self.environment_s},
            "measured": {
                "step_s": _finite(self.measured_s), "least_s": _finite(self.spread_s[0]),
                "most_s": _finite(self.spread_s[1]), "runtime_s": _finite(self.runtime_s),
            },
            "terms_s": {name: {"predicted": p, "measured": _finite(m)} for name, (p, m) in self.terms.items()},
            "terms": dict(MEANINGS),
            "counted": self.count - self.invalid,
            "not_counted": self.invalid,
        }  # fmt: skip


def make_report(task: Task, workers: Workers, steps: Steps) -> TrainingReport:
    """Compare what was measured with what the tables and the protocol say.

    Args:
        steps: under the same costs, at least one of them seen.
    """
    entry, in_flight = next(iter(task.entries([]))), task.job.in_flight
    kept = steps.longest
    if kept:
        entry = kept[-1].entry
    depth = in_flight if task.job.kind == "pipeline" else 1
    first, last = depth, 21 * depth
    expected = predicted(task.job, steps.costs, entry, last + 1)
    predicted_s = (expected.logged_s[last] - expected.logged_s[first]) / (last - first)
    found = shared(terms(expected, first, last), last - first)
    typical, real, scale = None, dict.fromkeys(found, math.nan), workers.scale
    numbers = {step.number: i for i, step in enumerate(kept)}
    periods = sorted((period_s, number) for number, period_s in steps.periods_s.items())
    near = [(s, n) for s, n in periods if numbers.get(n, 0) >= 2 * depth]
    if near:
        middle_s = median(s for s, _ in periods)
        _, number = min(near, key=lambda pair: abs(pair[0] - middle_s))
        at = numbers[number]
        links = steps.costs if workers.emulates else None
        clocks = {role: workers.controller.core.clocks[name] for role, name in workers.roles.items() if workers.remote}
        typical = measured(kept[at - 2 * depth : at + 1], links, scale, expected.barrier, clocks)
        ahead = 0 if expected.barrier else depth  # entries under way when the last one counts
        rounds = (len(kept) - 1 - ahead) // depth - 1
        if rounds:
            end = kept[-1 - ahead].number
            begin = end - rounds * depth
            real = shared(terms(measured(kept, links, scale, expected.barrier, clocks), begin, end), end - begin)
    both = {name: (found.get(name, 0.0), real.get(name, 0.0)) for name in ordered(found, real)}
    ends = (periods[0][0] / scale, periods[-1][0] / scale) if periods else (math.nan, math.nan)
    return TrainingReport(
        expected, typical, predicted_s, median(s for s, _ in periods) / scale if periods else math.nan, ends,
        task.step_s, task.differs, both, steps.count, steps.invalid, real.get("runtime", math.nan) * scale,
    )  # fmt: skip


def longest(found: Sequence[Steps]) -> Steps:
    """The steps under the costs that were paid most often."""
    return max(found, key=lambda steps: steps.count)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
