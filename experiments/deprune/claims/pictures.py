"""Prune-Deprune's figures in the paper's own form, with what the paper prints drawn in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ....envs.deprune.schedules import deprune
from ....ui.canvas import COLORS, INK, clean, new_figure, top_legend
from ...claims.statement import Asking, Inquiry, Job, Setting
from ...intervals import interval
from . import runs
from .jobs import FILTERS, LAYER_9, of_filter_recordings, of_filters, of_recordings, of_testbed
from .runs import TESTBEDS, by_seed

WIDTH_IN = 7.5
STEPS = 32 * 4  # of a benchmark: 32 batches in each of 4 epochs (Sec. 4.1)
PUBLISHED: Mapping[str, Any] = {"color": "#c8453b", "linestyle": (0, (5, 3)), "linewidth": 1.4}
WITHOUT = "without-module"
WITH, PLAIN = COLORS[3], COLORS[0]  # red is the module's line, as in the paper
LOOKS: Mapping[str, tuple[str, str, Any]] = {  # name, color, dashes
    "no-compression": ("no compression", INK, "-"),
    "high-compression": ("high compression", COLORS[0], (0, (4, 1.5))),
    "deprune": ("deprune", COLORS[1], "-"),
}
SCHEDULES = ("no-compression", "deprune", "high-compression")  # deprune begins as high compression: it lies below
Found = Mapping[str, Any]
Runs = Sequence[Mapping[str, Any]]


def _legend(figure: Any, title: str = "") -> None:
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    top_legend(figure, handles, title, 2.2)


# Figs. 4 to 7.


def traffic(number: int) -> Inquiry[Any]:
    """Figs. 4 and 6: bytes so far by time, of all data sources."""

    def draw(setting: Setting) -> Asking[Any]:
        (found,) = yield [of_testbed(number, setting)]
        sent = {name: STEPS * found["clients"] * b / 1e9 for name, b in found["bytes"].items()}
        figure = _progress(found, sent, f"traffic over {TESTBEDS[number].link} so far (GB)")
        (axes,) = figure.axes
        fewer = TESTBEDS[number].fewer_bytes
        axes.axhline(sent["without"] / fewer, label=f"published: {fewer:g} times less", **PUBLISHED)
        _legend(figure)
        return figure

    return draw


def samples(number: int) -> Inquiry[Any]:
    """Figs. 5 and 7: samples so far by time, of a data source."""

    def draw(setting: Setting) -> Asking[Any]:
        (found,) = yield [of_testbed(number, setting)]
        done = {name: float(STEPS * found["batch"]) for name in ("with", "without")}
        figure = _progress(found, done, "samples of a data source so far")
        (axes,) = figure.axes
        less = TESTBEDS[number].less_time
        end_s = STEPS * found["seconds"]["without"] / less
        axes.axvline(end_s, label=f"published: {less:g} times less time", **PUBLISHED)
        _legend(figure)
        return figure

    return draw


def _progress(found: Found, ends: Mapping[str, float], label: str) -> Any:
    """Straight lines from nothing to what a benchmark of ``STEPS`` steps comes to."""
    figure = new_figure(WIDTH_IN, 3.4)
    axes = figure.add_subplot()
    for name, color, told in (("with", WITH, "with the module, 4 of 128 maps"), ("without", PLAIN, "without module")):
        time_s = STEPS * found["seconds"][name]
        axes.plot([0.0, time_s], [0.0, ends[name]], color=color, linewidth=2.0, marker="o", markersize=4, label=told)
    axes.set_xlim(left=0.0)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(f"time (s), {STEPS} batches of {found['batch']} images")
    axes.set_ylabel(label)
    clean(axes)
    return figure


# Figs. 8 to 16: accuracy by epoch.


def _curve(axes: Any, found_runs: Iterable[Mapping[str, Any]], label: str, color: str, dashes: Any = "-") -> None:
    """Mean of runs and its 95 % interval over seeds, in per cent."""
    curves = np.array([run["accuracy"] for run in found_runs])
    ends = [interval((100.0 * column).tolist()) for column in curves.T]
    at = np.arange(1, len(ends) + 1)
    mean, low, high = (np.array(side) for side in zip(*ends, strict=True))
    axes.plot(at, mean, color=color, linestyle=dashes, linewidth=1.8, label=label)
    axes.fill_between(at, low, high, color=color, alpha=0.12, linewidth=0)


def _finish(axes: Any, title: str = "") -> None:
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(left=1)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title(title, loc="left", fontsize=9.5)
    clean(axes)


def _three(axes: Any, every: Runs, schedules: Sequence[str], **at: Any) -> None:
    for name in schedules:
        told, color, dashes = LOOKS[name]
        _curve(axes, by_seed(every, schedule=name, **at).values(), told, color, dashes)


def progress(setting: Setting) -> Asking[Any]:
    """Fig. 8: the three schedules by epoch; what 4 points over high compression would be."""
    (found,) = yield [of_recordings()]
    figure = new_figure(WIDTH_IN, 3.8)
    axes = figure.add_subplot()
    _three(axes, found["runs"], SCHEDULES)
    high = by_seed(found["runs"], schedule="high-compression").values()
    end = 100.0 * float(np.mean([run["accuracy"][-1] for run in high]))
    axes.axhline(end + 4.0, label="published: 4 points above high compression", **PUBLISHED)
    _finish(axes)
    _legend(figure, "CIFAR-10, 4000 images; shaded: 95 % intervals over seeds")
    return figure


def traffic_by_epoch(setting: Setting) -> Asking[Any]:
    """Fig. 9 as traffic: what deprune has sent by epoch, over what no compression has sent in the end."""
    (found,) = yield [Job(runs.traffic, {"low_epochs": 25, "full_epochs": 5})]
    sent = np.cumsum(deprune(25, 5).budgets) / 128
    epochs = np.arange(1, len(sent) + 1)
    figure = new_figure(WIDTH_IN, 3.4)
    axes = figure.add_subplot()
    axes.plot(epochs, 100.0 * epochs / len(epochs), color=INK, linewidth=1.8, label="no compression")
    label = f"deprune, in the end {found['times']:.2f} times less"
    axes.plot(epochs, 100.0 * sent / len(sent), color=COLORS[1], linewidth=1.8, label=label)
    axes.axhline(100.0 / 4.18, label="published: 4.18 times less in the end", **PUBLISHED)
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(left=1)
    axes.set_xlabel("epoch")
    axes.set_ylabel("maps and gradients sent so far\n(% of no compression's 30 epochs)")
    clean(axes)
    _legend(figure)
    return figure


def layer_9(setting: Setting) -> Asking[Any]:
    """Fig. 11, right: the three schedules with the cut behind layer 9."""
    (found,) = yield [of_recordings(LAYER_9)]
    figure = new_figure(WIDTH_IN, 3.6)
    axes = figure.add_subplot()
    _three(axes, found["runs"], SCHEDULES)
    _finish(axes, "cut behind layer 9")
    _legend(figure, "one seed each; published: deprune ends as no compression does")
    return figure


def module(setting: Setting) -> Asking[Any]:
    """Fig. 14: all maps through the module, and without it."""
    (found,) = yield [of_recordings()]
    figure = new_figure(WIDTH_IN, 3.6)
    axes = figure.add_subplot()
    _curve(axes, by_seed(found["runs"], schedule="no-compression").values(), "module behind layer 5", COLORS[0])
    _curve(axes, by_seed(found["runs"], schedule=WITHOUT).values(), "no module", INK, (0, (3, 1.5)))
    _finish(axes)
    _legend(figure, "published: both alike; shaded: 95 % intervals over seeds")
    return figure


def pruning(setting: Setting) -> Asking[Any]:
    """Fig. 12: prune and training from scratch; below, the epochs after the budget fell beside those from scratch."""
    (found,) = yield [of_recordings()]
    prunes = list(by_seed(found["runs"], schedule="prune").values())
    figure = new_figure(WIDTH_IN, 5.6)
    whole, *below = figure.subplot_mosaic([["all", "all"], ["32", "4"]]).values()
    all_maps = by_seed(found["runs"], schedule="no-compression").values()
    _curve(whole, all_maps, "all maps, from scratch", INK, (0, (3, 1.5)))
    _curve(whole, prunes, "prune: all, 32, then 4 of 128 maps", COLORS[1])
    for axes, maps, color in zip(below, (32, 4), (COLORS[2], COLORS[0]), strict=True):
        scratch = list(by_seed(found["runs"], schedule=f"scratch-{maps}").values())
        budget = scratch[0]["budgets"][-1]
        label = f"{maps} of 128 maps, from scratch"
        _curve(whole, scratch, label, color, (0, (3, 1.5)))
        _curve(axes, scratch, label, color, (0, (3, 1.5)))
        phases = [{"accuracy": runs.phase(run, budget)} for run in prunes]
        _curve(axes, phases, "prune: all, 32, then 4 of 128 maps", COLORS[1])
        goal = 100.0 * runs.NEAR * float(np.mean([run["accuracy"][-1] for run in scratch]))
        axes.axhline(goal, color="#8a8a8a", linewidth=0.9, linestyle=(0, (1, 1)), label="98 % of scratch's end")
        _finish(axes, f"from where {maps} of 128 maps are sent")
    _finish(whole, "all epochs")
    _legend(figure, "published: 6 times fewer epochs; shaded: 95 % intervals over seeds")
    return figure


# Sec. 3.


def filters(setting: Setting) -> Asking[Any]:
    """The share of the filter's sum in the kept maps by epoch of high compression, for both filters and rates."""
    found = yield of_filter_recordings()
    figure = new_figure(WIDTH_IN, 3.4)
    axes = figure.add_subplot()
    looks = zip(FILTERS, found, (COLORS[1], COLORS[3], COLORS[0], INK), strict=True)
    for name, one, color in looks:
        mask, falling = name.removeprefix("vgg11-cifar10-").partition("-")[::2]
        label = f"{mask} filter, {'falling' if falling else 'constant'} rate"
        shares = [{"accuracy": run["kept_share"]} for run in by_seed(one["runs"], schedule="high-compression").values()]
        _curve(axes, shares, label, color, "-" if mask == "hard" else (0, (4, 1.5)))
    axes.axhline(100.0, label="published: all others close to zero", **PUBLISHED)
    _finish(axes)
    axes.set_ylabel("share of the filter's sum\nin the maps that are sent (%)")
    _legend(figure, "1 of 32 maps sent; shaded: 95 % intervals over seeds")
    return figure


def by_maps(setting: Setting) -> Asking[Any]:
    """Accuracy in the end by how many of 32 maps are sent."""
    (found,) = yield [of_filters()]
    names = {1: "1 map", 2: "2 maps", 4: "4 maps", 8: "8 maps", 32: "all maps"}
    ends = []
    for name in names.values():
        trained = by_seed(found["runs"], schedule=name, mask="hard").values()
        ends.append(interval([100.0 * run["accuracy"][-1] for run in trained]))
    means = [end[0] for end in ends]
    spread = np.array([[mean - low, high - mean] for mean, low, high in ends]).T
    figure = new_figure(WIDTH_IN, 3.4)
    axes = figure.add_subplot()
    axes.bar(range(len(names)), means, 0.6, yerr=spread, color=COLORS[0], error_kw={"elinewidth": 0.9, "capsize": 3},
             label="here, 95 % interval over seeds; published: rising")  # fmt: skip
    axes.set_xticks(range(len(names)), [str(maps) for maps in names])
    axes.set_xlabel("maps of 32 that are sent, in every epoch")
    axes.set_ylabel("test accuracy at the end (%)")
    clean(axes)
    _legend(figure)
    return figure
