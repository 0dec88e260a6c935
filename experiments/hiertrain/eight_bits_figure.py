"""What few bits cost, as a picture: accuracy on the way, and what is lost in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ui.canvas import COLORS, INK
from ..line_charts import finish
from ..study_figure import Run, Summary, measured, panels, runs_by

FLOAT = 32  # bits of what is not quantised


def groups_of(summary: Summary) -> dict[tuple[Any, ...], list[Run]]:
    """Trainings of all seeds by cut, bits of activations and bits of gradients."""
    return runs_by(summary, "cut", "activation_bits", "gradient_bits")


def lost_points(summary: Summary, group: Sequence[Run], name: str) -> np.ndarray:
    """(seeds,) points that trainings lose to floats of their seed, of an accuracy by name."""
    floats = {r["seed"]: r[name] for r in summary["runs"] if r["activation_bits"] == r["gradient_bits"] == FLOAT}
    return 100.0 * np.array([floats[run["seed"]] - run[name] for run in group])


def figure(summaries: Mapping[str, Summary]) -> Any:
    """A row of two panels for every set of images.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    model = next(iter(summaries.values()))["settings"]["model"]
    return panels(
        summaries, (_draw_curves, _draw_losses), (12.0, 1.0, 3.6),
        f"JALAD's few bits at the cut: what they cost {model} in accuracy",
        f"bands and bars: spread over seeds; {measured(summaries)}",
    )  # fmt: skip


def _draw_curves(axes: Any, name: str, summary: Summary) -> None:
    """Both ways quantised alike, at the cut that all of these have."""
    groups = {key: group for key, group in groups_of(summary).items() if key[1] == key[2]}
    cut = next(cut for cut, up, _ in groups if up == FLOAT)
    shown = sorted((key for key in groups if key[0] == cut), reverse=True)
    for key, color in zip(shown, (INK, COLORS[0], COLORS[1], COLORS[3]), strict=False):
        values = 100.0 * np.array([run["curve"] for run in groups[key]])
        at = summary["settings"]["rounds"] * np.arange(1, values.shape[1] + 1) / values.shape[1]
        mean, off = values.mean(axis=0), values.std(axis=0)
        label = "floats" if key[1] == FLOAT else f"{key[1]} bits"
        axes.plot(at, mean, color=color, linewidth=1.6, label=label)
        axes.fill_between(at, mean - off, mean + off, color=color, alpha=0.12, linewidth=0)
    axes.set_xlabel("training rounds")
    axes.set_ylabel("test accuracy (%)")
    finish(axes, f"{name}: both directions quantised behind {summary['steps'][cut - 1]}")


def _draw_losses(axes: Any, name: str, summary: Summary) -> None:
    groups = {key: group for key, group in groups_of(summary).items() if min(key[1:]) < FLOAT}
    kinds = (("train_accuracy", "of training batches", COLORS[7]), ("accuracy", "of test images", COLORS[0]))
    for (kind, label, color), shift in zip(kinds, (-0.2, 0.2), strict=True):
        losses = [lost_points(summary, group, kind) for group in groups.values()]
        axes.bar(
            np.arange(len(groups)) + shift, [v.mean() for v in losses], 0.38, yerr=[v.std() for v in losses],
            color=color, error_kw={"elinewidth": 0.9, "capsize": 2}, label=label,
        )  # fmt: skip
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_xticks(range(len(groups)), [f"{summary['steps'][cut - 1]}\n{_bits(up, down)}" for cut, up, down in groups])
    axes.set_xlabel("cut behind, bits up (activations) and down (gradients)")
    axes.set_ylabel("accuracy lost (points)")
    finish(axes, f"{name}: lost to floats of the same seed, in the end")


def _bits(up: int, down: int) -> str:
    return "/".join("float" if bits == FLOAT else str(bits) for bits in (up, down))
