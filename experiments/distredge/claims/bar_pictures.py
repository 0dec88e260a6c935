"""Bars of everybody in the form of the paper's Figs. 6 to 10 and 14, and gains by setting, with published ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ....ui.canvas import COLORS, INK, clean, footnote, new_figure, top_legend
from ...claims.statement import Asking, Inquiry, Job, Setting
from ...intervals import interval
from . import runs
from .inside import BUSIEST, busiest, largest
from .published import DEVICES, NAMES, Band
from .speedups import best_baseline, over, plans_jobs
from .trained import by_setting, osds_jobs

BARS = tuple(NAMES)
LOOKS = {who: COLORS[i] for i, who in enumerate(BARS)} | {"best": INK, "osds": COLORS[9], "modnn": COLORS[10]}
WIDTH = 0.88 / len(BARS)
PUBLISHED = {"color": "#d4a400", "linewidth": 2.2}


def images_per_s(
    panels: Mapping[str, Sequence[str]], what: str, reference: str, band: Callable[[str], Band]
) -> Inquiry[Any]:
    """Images/s of everybody, a panel for some settings.

    Args:
        panels: title -> settings.
        what: settings are, along the axis.
        reference: the baseline that published ranges are of; the best one when empty.
        band: of a setting.
    """
    names = [name for own in panels.values() for name in own]

    def draw(setting: Setting) -> Asking[Any]:
        trainings = osds_jobs(names, setting)
        answers = yield [*plans_jobs(names, setting), *(job for jobs in trainings.values() for job in jobs)]
        found = dict(zip(names, answers, strict=False))
        trained = by_setting(trainings, answers[len(names) :])
        figure = new_figure(7.5, 0.9 + 2.5 * len(panels))
        bars = [who for who in BARS if who != "osds" or trained]
        handles: dict[str, Any] = {}
        for axes, (title, own) in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels.items(), strict=True):
            for at, name in enumerate(own):
                seconds = {who: [s] for who, s in found[name]["latency_s"].items()}
                seconds["osds"] = [result["headline"] for result in trained.get(name, ())]
                handles |= _bars(axes, at, {who: [1.0 / s for s in values] for who, values in seconds.items()}, bars)
                base = 1.0 / found[name]["latency_s"][reference or best_baseline(found[name])]
                handles["published range"] = _range(axes, at + _place("best", bars), [base * end for end in band(name)])
            axes.set_xticks(range(len(own)), [_short(name, own) for name in own], fontsize=8)
            axes.set_xlabel(what, fontsize=8.5)
            axes.set_ylabel("images per second", fontsize=8.5)
            axes.set_title(title, loc="left", fontsize=9)
            axes.tick_params(axis="x", length=0)
            clean(axes)
        ordered = [NAMES[who] for who in bars] + ["published range"]
        top_legend(figure, {name: handles[name] for name in ordered})
        note = f"Published are ranges over {NAMES.get(reference, 'the best baseline')}, drawn over its value here."
        if trained:
            note += f" OSDS, where it is trained: mean and 95 % interval over {len(setting.seeds(3))} seed(s)."
        footnote(figure, note)
        return figure

    return draw


def _short(name: str, own: Sequence[str]) -> str:
    """What tells a setting from its neighbours."""
    heads = {other.partition("-")[0] for other in own}
    if len(heads) == len(own):
        return name.partition("-")[0]
    return name.rpartition("-")[2].replace("_", "\n")


def _place(who: str, bars: Sequence[str]) -> float:
    """Of a bar, beside the middle of its setting."""
    return (bars.index(who) - (len(bars) - 1) / 2) * WIDTH


def _bars(axes: Any, at: int, values: Mapping[str, Sequence[float]], bars: Sequence[str]) -> dict[str, Any]:
    handles = {}
    for who in bars:
        if values.get(who):
            mean, low, high = interval(values[who])
            x = at + _place(who, bars)
            handles[NAMES[who]] = axes.bar(x, mean, WIDTH, color=LOOKS[who], edgecolor="white", linewidth=0.3)
            if high > low:
                axes.plot([x, x], [max(low, 0.0), high], color="black", linewidth=1.0)
    return handles


def _range(axes: Any, x: float, ends: Sequence[float]) -> Any:
    """A published range beside the bar of the best plan known."""
    (line,) = axes.plot([x, x], ends, marker="_", markersize=7, markeredgewidth=2.0, zorder=4, **PUBLISHED)
    return line


def gains_by_setting(names: Sequence[str], band: Band) -> Inquiry[Any]:
    """The best plan known over the best baseline, and over AOFL, in every setting."""

    def draw(setting: Setting) -> Asking[Any]:
        found = yield plans_jobs(names, setting)
        figure = new_figure(7.5, 1.5 + 0.24 * len(names))
        axes = figure.add_subplot()
        span = axes.axvspan(*band, color="#d4a400", alpha=0.22, linewidth=0)
        axes.axvline(1.0, color=INK, linewidth=0.9)
        rows = range(len(names))
        (best,) = axes.plot([over(f, "") for f in found], rows, "o", color=INK, markersize=6)
        (aofl,) = axes.plot([over(f, "aofl") for f in found], rows, "D", color=LOOKS["aofl"], markersize=5, mfc="none")
        second = [NAMES[best_baseline(f)] for f in found]
        axes.set_yticks(rows, [f"{n}  ({who})" for n, who in zip(names, second, strict=True)], fontsize=8)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(left=0.0)
        axes.set_xlabel("best plan known: how many times as many images per second")
        axes.set_ylabel("setting (its best baseline)")
        clean(axes)
        axes.grid(axis="x", color="#e6e6e6")
        top_legend(figure, {"over the best baseline": best, "over AOFL": aofl,
                            f"published: {band[0]:g} to {band[1]:g} over the best baseline": span})  # fmt: skip
        return figure

    return draw


def speeds(setting: Setting) -> Asking[Any]:
    """Images/s of VGG-16 on every type of device alone."""
    (found,) = yield [Job(runs.devices, {"inputs": setting.inputs})]
    figure = new_figure(7.5, 2.4)
    axes = figure.add_subplot()
    values = {DEVICES[kind]: 1.0 / seconds for kind, seconds in found["model_s"].items()}
    bars = axes.barh(list(values), list(values.values()), color=COLORS[0])
    axes.bar_label(bars, [f"{value:.3g}" for value in values.values()], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("images per second, VGG-16 alone on a device (modelled)")
    axes.set_ylabel("device")
    axes.margins(x=0.1)
    clean(axes)
    footnote(figure, "Published: the order only, Pi 3 far behind the Nano, then TX2, then Xavier.")
    return figure


def busiest_devices(setting: Setting) -> Asking[Any]:
    """Fig. 14: the largest transmission and the largest compute time of a device."""
    trainings = osds_jobs([BUSIEST], setting)
    found, *answers = yield [*busiest(setting), *trainings[BUSIEST]]
    results = by_setting(trainings, answers)[BUSIEST]
    plans = [runs.replayed(BUSIEST, setting.inputs, result["plan"]) for result in results]
    figure = new_figure(7.5, 4.4)
    rows = [who for who in BARS if who in found["latency_s"] or who == "osds"]
    kinds = (("transmit_s", "largest transmission time", 0), ("compute_s", "largest computing time", 1))
    axes = figure.add_subplot()
    handles = {}
    for kind, label, k in kinds:
        samples = {who: [s] for who, s in largest(found, kind).items()} | {"osds": [plan[k] for plan in plans]}
        spans = [interval([1e3 * s for s in samples[who]]) for who in rows]
        at = [row + (k - 0.5) * 0.4 for row in range(len(rows))]
        bars = axes.barh(at, [mean for mean, _, _ in spans], 0.4, color=COLORS[k])
        axes.bar_label(bars, [f"{mean:.0f}" for mean, _, _ in spans], padding=3, fontsize=8)
        handles[label] = bars
    axes.set_yticks(range(len(rows)), [NAMES[who] for who in rows])
    axes.invert_yaxis()
    axes.set_xlabel("ms of the device that takes longest (DB, 50 Mbit/s)")
    axes.set_ylabel("method")
    axes.margins(x=0.08)
    clean(axes)
    axes.grid(axis="x", color="#e6e6e6")
    top_legend(figure, handles)
    footnote(figure, "The paper's text prints no values of this figure, only which methods have the largest and that "
             "DistrEdge has the least of both together.")  # fmt: skip
    return figure
