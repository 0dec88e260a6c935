"""HierTrain's figures in the paper's own form, with what the paper prints drawn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....envs.hiertrain.scenarios import PAPER_MODELS, SCALING
from ....ui.canvas import COLORS, INK, clean, new_figure, top_legend
from ...claims.statement import Asking, Inquiry, Job, Setting
from ...figures import logarithmic, scale_to
from ...intervals import interval
from ..eight_bits_figure import lost_points, runs_by
from ..scaling_figure import PAPER_S
from . import runs
from .jobs import LOW_MBPS, NAMES, PUBLISHED, of_cores, of_measured, of_planning, of_sweep, of_sweeps

WIDTH_IN = 7.5
PUBLISHED_COLOR = "#8a8a8a"
LOOKS: Mapping[str, tuple[str, str, str]] = {  # name, color, marker
    "hiertrain": ("HierTrain (optimum)", INK, "o"),
    "all-edge": ("All-Edge", COLORS[1], "s"),
    "all-cloud": ("All-Cloud", COLORS[0], "^"),
    "jointdnn": ("JointDNN", COLORS[2], "D"),
    "jointdnn+": ("JointDNN+", COLORS[4], "v"),
    "jalad": ("JALAD", COLORS[3], "X"),
}
Found = Mapping[str, Any]


def _rates(axes: Any, found: Found) -> list[int]:
    """Rates as names along the bottom, evenly spaced as in the paper; returns their places."""
    at = list(range(len(found["mbps"])))
    axes.set_xticks(at, [f"{mbps:g}" for mbps in found["mbps"]])
    axes.set_xlabel("rate between edge and cloud (Mbit/s)")
    axes.set_ylabel("time of an iteration (s)")
    clean(axes)
    return at


def _legend(figure: Any, title: str = "") -> None:
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    top_legend(figure, handles, title, 1.8)


def _lines(axes: Any, found: Found, schemes: Sequence[str]) -> None:
    """A line for every scheme; broad ones lie below narrow ones, so that equal times can be seen."""
    at = _rates(axes, found)
    for number, scheme in enumerate(schemes):
        name, color, marker = LOOKS[scheme]
        width = 4.0 if scheme == "hiertrain" else 1.5
        style: Any = "-" if scheme == "hiertrain" else (0, (4, 1 + number % 2))
        axes.plot(at, found["seconds"][scheme], color=color, marker=marker, linewidth=width, linestyle=style,
                  markersize=5, label=name, alpha=0.55 if scheme == "hiertrain" else 1.0)  # fmt: skip
    axes.set_ylim(bottom=0.0)


def single_workers(model: str) -> Inquiry[Any]:
    """Figs. 7 and 8: HierTrain, All-Edge and All-Cloud by rate; where the published largest ratios would put it."""

    def draw(setting: Setting) -> Asking[Any]:
        (found,) = yield [of_sweep(model, setting)]
        figure = new_figure(WIDTH_IN, 3.6)
        axes = figure.add_subplot()
        _lines(axes, found, ("hiertrain", "all-edge", "all-cloud"))
        marks = zip(("all-edge", "all-cloud"), PUBLISHED[model], ("P", "*"), strict=True)
        for other, ratio, marker in marks:
            seconds = np.array(found["seconds"][other])
            at = int((seconds / found["seconds"]["hiertrain"]).argmax())
            label = f"published: {ratio:g} times below {LOOKS[other][0]}"
            axes.plot([at], [seconds[at] / ratio], marker, color=COLORS[3], markersize=10, label=label, zorder=5)
        _legend(figure, NAMES[model])
        return figure

    return draw


def layerwise(model: str) -> Inquiry[Any]:
    """Figs. 9 and 10: HierTrain, JointDNN, JointDNN+ and JALAD by rate."""

    def draw(setting: Setting) -> Asking[Any]:
        (found,) = yield [of_sweep(model, setting)]
        figure = new_figure(WIDTH_IN, 3.6)
        axes = figure.add_subplot()
        joint = ("jointdnn", "jointdnn+") if model == "alexnet" else ("jointdnn+",)
        _lines(axes, found, ("hiertrain", *joint, "jalad"))
        if model == "alexnet":
            last = found["mbps"].index(LOW_MBPS[-1])
            axes.axvspan(-0.3, last + 0.3, color=COLORS[3], alpha=0.12, label="published: JALAD is ahead here")
        _legend(figure, NAMES[model])
        return figure

    return draw


def parallelism(setting: Setting) -> Asking[Any]:
    """Fig. 2 as times: data, model and hybrid parallelism by rate, a panel a network."""
    found = yield of_sweeps(setting)
    figure = new_figure(WIDTH_IN, 3.6)
    kinds = {
        "data-parallel": ("data parallelism", COLORS[0], "s"),
        "jointdnn+": ("model parallelism", COLORS[4], "v"),
        "hiertrain": ("hybrid parallelism", INK, "o"),
    }
    for axes, model, one in zip(figure.subplots(1, 2), PAPER_MODELS, found, strict=True):
        at = _rates(axes, one)
        for kind, (name, color, marker) in kinds.items():
            axes.plot(at, one["seconds"][kind], color=color, marker=marker, markersize=5, linewidth=1.5, label=name)
        scale_to(axes, [v for kind in kinds for v in one["seconds"][kind]])
        if axes.get_yscale() == "linear":
            axes.set_ylim(bottom=0.0)
        axes.set_title(NAMES[model], loc="left", fontsize=10)
    _legend(figure)
    return figure


def planning(setting: Setting) -> Asking[Any]:
    """Table 2 as points: published, Algorithm 1 here, the exact planner."""
    found = yield of_planning()
    figure = new_figure(WIDTH_IN, 3.6)
    axes = figure.add_subplot()
    kinds: dict[str, tuple[list[float], str, str]] = {
        "published (CPLEX, i7-6700)": ([PAPER_S[model] for model in SCALING], COLORS[3], "P"),
        "Algorithm 1 here (HiGHS)": ([one["seconds"]["hiertrain"] for one in found], INK, "o"),
        "exact planner here": ([one["seconds"]["exact"] for one in found], COLORS[2], "s"),
    }
    for name, (seconds, color, marker) in kinds.items():
        axes.plot(range(len(SCALING)), seconds, marker, color=color, markersize=8, label=name)
    names = [f"{model}\n{one['layers']} layers" for model, one in zip(SCALING, found, strict=True)]
    axes.set_xticks(range(len(SCALING)), names)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("network")
    logarithmic(axes, (1.0,))
    axes.set_ylabel("time to plan once (s)")
    clean(axes)
    _legend(figure)
    return figure


def validity(setting: Setting) -> Asking[Any]:
    """Fig. 6: theoretical and real latency, with the interval over seeds."""
    found = yield of_measured(setting)
    figure = new_figure(WIDTH_IN, 3.4)
    axes = figure.add_subplot()
    at = np.array(_rates(axes, found[0]))
    kinds = {
        "model_s": ("theoretical (Eq. 12)", COLORS[0]),
        "timeline_s": ("theoretical, message by message", COLORS[10]),
        "measured_s": ("real (processes here)", COLORS[1]),
    }
    for place, (kind, (name, color)) in enumerate(kinds.items()):
        ends = [interval([one[kind][number] for one in found]) for number in at]
        means = np.array([end[0] for end in ends])
        spread = np.array([[mean - low, high - mean] for mean, low, high in ends]).T
        axes.bar(at + (place - 1) * 0.27, means, 0.27, color=color, label=name)
        if len(found) > 1:
            axes.errorbar(at + (place - 1) * 0.27, means, spread, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
    axes.set_xlim(-1.0, len(at))
    _legend(figure, "AlexNet")
    return figure


def edge_cores(setting: Setting) -> Asking[Any]:
    """Fig. 11: iterations by rate, a line for every number of cores."""
    (found,) = yield [of_cores(setting)]
    figure = new_figure(WIDTH_IN, 3.6)
    axes = figure.add_subplot()
    at = _rates(axes, found)
    seconds = np.array(found["seconds"])
    looks = zip(found["cores"], (COLORS[3], COLORS[1], COLORS[2], INK), ("o", "s", "^", "D"), strict=True)
    for column, (cores, color, marker) in enumerate(looks):
        axes.plot(at, seconds[:, column], color=color, marker=marker, markersize=5, linewidth=1.5,
                  label=f"{cores} CPU{'s' if cores > 1 else ''}")  # fmt: skip
    first = found["mbps"].index(3.0)
    axes.axvspan(-0.3, 0.3, color=COLORS[2], alpha=0.13, label="published: more CPUs help")
    axes.axvspan(first - 0.3, at[-1] + 0.3, color=PUBLISHED_COLOR, alpha=0.13, label="published: no influence")
    axes.set_ylim(bottom=0.0)
    _legend(figure, "AlexNet")
    return figure


def few_bits(setting: Setting) -> Asking[Any]:
    """Accuracy lost to floats by bits and cut, with the interval over seeds."""
    (found,) = yield [Job(runs.eight_bits)]
    groups = {key: group for key, group in runs_by(found, "cut", "activation_bits", "gradient_bits").items()
              if key[1] == key[2] < 32}  # fmt: skip
    ends = [interval(lost_points(found, group, "train_accuracy").tolist()) for group in groups.values()]
    figure = new_figure(WIDTH_IN, 3.4)
    axes = figure.add_subplot()
    at, means = range(len(groups)), [end[0] for end in ends]
    spread = np.array([[mean - low, high - mean] for mean, low, high in ends]).T
    axes.bar(at, means, 0.6, yerr=spread, color=COLORS[0], label="here, 95 % interval over seeds",
             error_kw={"elinewidth": 0.9, "capsize": 3})  # fmt: skip
    axes.axhline(0.0, color=COLORS[3], linestyle=(0, (5, 3)), linewidth=1.2, label="taken for granted by the paper: 0")
    axes.set_xticks(at, [f"{bits} bits\nbehind {found['steps'][cut - 1]}" for cut, bits, _ in groups])
    axes.set_xlabel("bits of a value that crosses, and the cut")
    axes.set_ylabel("accuracy lost to 32 bits (points)")
    clean(axes)
    _legend(figure, "LeNet-5 on CIFAR-10, training batches")
    return figure
