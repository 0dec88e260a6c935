"""What a pipeline's old weights cost, as a picture: accuracy over modelled time, and the final loss by K."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...ui.canvas import COLORS, INK
from ..line_charts import finish
from ..study_figure import Run, Summary, measured, panels, runs_by

COLOR = {1: INK, 2: COLORS[0], 4: COLORS[2], 8: COLORS[3]}


def groups_of(summary: Summary) -> dict[tuple[Any, ...], list[Run]]:
    """Trainings of all seeds by rate, K, and whether the cut moves."""
    return runs_by(summary, "rate", "in_flight", "moving")


def lost_points(summary: Summary, group: Sequence[Run], name: str) -> np.ndarray:
    """(seeds,) points that trainings lose to plain SGD of their seed and rate, of an accuracy by name."""
    plain = {(r["rate"], r["seed"]): r[name] for r in summary["runs"] if r["in_flight"] == 1 and not r["moving"]}
    return 100.0 * np.array([plain[run["rate"], run["seed"]] - run[name] for run in group])


def figure(summaries: Mapping[str, Summary]) -> Any:
    """A row for every set of images: accuracy over time at both rates, and what is lost in the end.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    rates = sorted({run["rate"] for summary in summaries.values() for run in summary["runs"]})
    first = next(iter(summaries.values()))
    draws = [*(partial(_draw_curves, rate=rate) for rate in rates), partial(_draw_losses, rates=rates)]
    return panels(
        summaries, draws, (4.4 * len(draws), 0.9, 3.4),
        f"EdgeMove: accuracy of {first['settings']['model']} over time, by minibatches in the pipeline",
        f"bands and bars: spread over seeds; accuracies {measured(summaries)}; time modelled: a minibatch takes what "
        f"one of {first['task']} takes in the environment, at its best cut beside an idle server",
    )  # fmt: skip


def _draw_curves(axes: Any, name: str, summary: Summary, rate: float) -> None:
    for (of_rate, in_flight, moving), group in groups_of(summary).items():
        if of_rate != rate:
            continue
        values = 100.0 * np.array([run["curve"] for run in group])
        at = np.array(summary["minibatches"]) * summary["minibatch_s"][str(in_flight)] / 60.0
        label = f"{in_flight} in flight{', which is plain SGD' * (in_flight == 1)}{', the cut moves' * moving}"
        color, style = COLOR.get(in_flight, COLORS[5]), (0, (3, 2)) if moving else "-"
        mean, spread = values.mean(axis=0), values.std(axis=0)
        axes.plot(at, mean, color=color, linestyle=style, linewidth=1.6, label=label)
        axes.fill_between(at, mean - spread, mean + spread, color=color, alpha=0.12, linewidth=0)
    axes.set_xlabel("modelled time (minutes)")
    axes.set_ylabel("test accuracy (%)")
    finish(axes, f"{name}, learning rate {rate:g}")


def _draw_losses(axes: Any, name: str, summary: Summary, rates: list[float]) -> None:
    groups = {key: group for key, group in groups_of(summary).items() if key[1] > 1 or key[2]}
    kinds = sorted({(in_flight, moving) for _, in_flight, moving in groups}, key=lambda kind: (kind[1], kind[0]))
    width = 0.8 / len(rates)
    for number, rate in enumerate(rates):
        for at, (in_flight, moving) in enumerate(kinds):
            if (rate, in_flight, moving) not in groups:
                continue
            losses = lost_points(summary, groups[rate, in_flight, moving], "train_accuracy")
            x = at + width * (number - (len(rates) - 1) / 2)
            axes.bar(
                x, losses.mean(), 0.94 * width, yerr=losses.std(), color=COLORS[7] if number else COLORS[17],
                error_kw={"elinewidth": 0.9, "capsize": 2}, label=f"rate {rate:g}" if at == 0 else "",
            )  # fmt: skip
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_xticks(range(len(kinds)), [f"{k}, cut moves" if moving else str(k) for k, moving in kinds])
    axes.set_xlabel("minibatches in flight")
    axes.set_ylabel("training accuracy lost (points)")
    finish(axes, f"{name}: lost to plain SGD of the same seed")
