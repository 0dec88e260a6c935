"""Figs. 4, 5, 11 to 13 in the paper's form, and who wins by what the paper does not print."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from ....ui.canvas import COLORS, INK, clean, footnote, new_figure, top_legend
from ...claims.statement import Asking, Job, Setting
from ...intervals import interval
from . import runs
from .bar_pictures import LOOKS
from .online import ONLINE_BAND, hours
from .partitions import COUNTS, ENVIRONMENTS, SPREAD_IN, alpha_jobs, images_per_s, spread_jobs
from .published import ALPHA, DECISIONS, DEVICES, NAMES, SHIFTS_S, VOLUMES
from .sensitivity import VARIANTS, scenarios, sweep_jobs
from .speedups import best_baseline, over
from .trained import by_setting, osds_jobs

MINUTE_S = 60.0
SMOOTH = 9  # images that a line is the mean of
YELLOW = "#d4a400"


def alphas(setting: Setting) -> Asking[Any]:
    """Fig. 4: images/s by alpha in four environments, the number of volumes on the bars."""
    searches = {scenario: alpha_jobs(scenario, setting) for scenario in ENVIRONMENTS}
    trainings = osds_jobs(ENVIRONMENTS, setting)
    jobs = [job for own in searches.values() for job in own]
    answers = yield [*jobs, *(job for own in trainings.values() for job in own)]
    results, trained = iter(answers[: len(jobs)]), by_setting(trainings, answers[len(jobs) :])
    figure = new_figure(7.5, 5.6)
    handles: dict[str, Any] = {}
    for axes, (scenario, own) in zip(figure.subplots(2, 2).ravel(), searches.items(), strict=True):
        found = list(islice(results, len(own)))
        values = [interval([1.0 / f["latency_s"][a] for f in found]) for a in range(len(found[0]["alphas"]))]
        labels = [f"{alpha:g}" for alpha in found[0]["alphas"]]
        bars = axes.bar(labels, [mean for mean, _, _ in values], 0.7, color=COLORS[10])
        handles["best splits found"] = bars
        for x, (_, low, high) in enumerate(values):
            axes.plot([x, x], [max(low, 0.0), high], color=INK, linewidth=1.1)
        axes.bar_label(bars, [str(n) for n in found[0]["volumes"]], label_type="center", fontsize=8)
        at = found[0]["alphas"].index(ALPHA)
        handles["published: the best alpha"] = axes.plot(at, 0, "^", color=YELLOW, markersize=10, clip_on=False)[0]
        if scenario in trained:
            mean, low, high = interval([1.0 / result["headline"] for result in trained[scenario]])
            axes.plot([at + 0.2] * 2, [max(low, 0.0), high], color=LOOKS["osds"], linewidth=1.1)
            handles["OSDS, trained"] = axes.plot(at + 0.2, mean, "D", color=LOOKS["osds"], markersize=5)[0]
        axes.set_title(ENVIRONMENTS[scenario], loc="left", fontsize=9)
        axes.set_xlabel("alpha: weight of transmission", fontsize=8.5)
        axes.set_ylabel("images per second", fontsize=8.5)
        axes.tick_params(labelsize=8)
        clean(axes)
    top_legend(figure, handles)
    told = ", ".join(f"{n} at alpha {alpha:g}" for alpha, n in VOLUMES.items())
    footnote(figure, f"On the bars: into how many volumes LC-PSS divides VGG-16 (published for one case: {told}). "
             "Bars: mean and 95 % interval over seeds of the search for splits.")  # fmt: skip
    return figure


def spreads(setting: Setting) -> Asking[Any]:
    """Fig. 5: the most, mean and least images/s of repeats by the number of random decisions."""
    results = yield spread_jobs(setting)
    figure = new_figure(7.5, 3.4)
    handles: dict[str, Any] = {}
    for axes, scenario, found in zip(figure.subplots(1, 2), SPREAD_IN, results, strict=True):
        values = [images_per_s(found, count) for count in COUNTS]
        at = range(len(COUNTS))
        for label, summary, marker in (("most", np.max, "^"), ("mean", np.mean, "o"), ("least", np.min, "v")):
            (handles[label],) = axes.plot(at, [summary(v) for v in values], marker=marker, color=COLORS[0],
                                          linewidth=1.6 if label == "mean" else 0.7)  # fmt: skip
        handles["between"] = axes.fill_between(at, [v.min() for v in values], [v.max() for v in values],
                                               color=COLORS[0], alpha=0.15, linewidth=0)  # fmt: skip
        handles["published: stable from here on"] = axes.axvline(
            COUNTS.index(DECISIONS), color=YELLOW, linestyle=(0, (5, 3)), linewidth=1.8
        )
        axes.set_xticks(at, [str(count) for count in COUNTS])
        axes.set_ylim(0.0, 1.15 * max(v.max() for v in values))
        axes.set_title({"DB-50": "(a) DB, 50 Mbit/s", "NA-nano": "(b) NA, Nanos"}[scenario], loc="left", fontsize=9)
        axes.set_xlabel("random split decisions in LC-PSS", fontsize=8.5)
        axes.set_ylabel("images per second", fontsize=8.5)
        axes.tick_params(labelsize=8)
        clean(axes)
    repeats = len(results[0]["which"][0])
    handles["between"].set_label("")
    top_legend(figure, {name: handle for name, handle in handles.items() if name != "between"})
    footnote(
        figure, f"{repeats} repeats, each with its own random decisions; every partition with the best splits found."
    )
    return figure


def traces(setting: Setting) -> Asking[Any]:
    """Fig. 11: what the links of the four devices carry over the hour."""
    found, *_ = yield hours("coedge", setting)
    figure = new_figure(7.5, 4.6)
    minutes, mbps = np.array(found["clock_s"]) / MINUTE_S, np.array(found["mbps"])
    handles: dict[str, Any] = {}
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    for d, axes in enumerate(grid.ravel()):
        (handles["rate at every image"],) = axes.plot(minutes, mbps[:, d], color=COLORS[0], linewidth=0.9)
        for shift in SHIFTS_S:
            handles["published: mean rates change here"] = axes.axvline(
                shift / MINUTE_S, color=YELLOW, linestyle=(0, (5, 3)), linewidth=1.6
            )
        axes.set_title(f"({'abcd'[d]}) device {d + 1}", loc="left", fontsize=9)
        axes.tick_params(labelsize=8)
        clean(axes)
    grid[0, 0].set_ylim(bottom=0.0)
    for axes in grid[:, 0]:
        axes.set_ylabel("Mbit/s")
    for axes in grid[1]:
        axes.set_xlabel("minutes")
    top_legend(figure, handles)
    footnote(figure, "A seeded trace (seed 0); the paper prints no numbers of its own.")
    return figure


def latencies(setting: Setting) -> Asking[Any]:
    """Fig. 12: latency of every image over the hour, with the published share of AOFL's."""
    agents = ("coedge", "aofl", "online")
    found = yield [hours(agent, setting)[0] for agent in agents]
    figure = new_figure(7.5, 4.2)
    axes = figure.add_subplot()
    handles: dict[str, Any] = {}
    for agent, run in zip(agents, found, strict=True):
        minutes, ms = np.array(run["clock_s"]) / MINUTE_S, 1e3 * np.array(run["latency_s"])
        color = LOOKS["osds" if agent == "online" else agent]
        axes.plot(minutes, ms, color=color, linewidth=0.5, alpha=0.3)
        label = {"online": "DistrEdge online (OSDS)"}.get(agent, NAMES.get(agent, agent))
        (handles[label],) = axes.plot(minutes, smooth(ms), color=color, linewidth=1.9)
    aofl = found[agents.index("aofl")]
    minutes, ms = np.array(aofl["clock_s"]) / MINUTE_S, smooth(1e3 * np.array(aofl["latency_s"]))
    best = smooth(1e3 * np.array(aofl["best_s"]))
    (handles["best plan known"],) = axes.plot(minutes, best, color=INK, linewidth=1.2, linestyle=(0, (2, 1.5)))
    low, high = ONLINE_BAND
    handles[f"published: {100 * low:.0f} to {100 * high:.0f} % of AOFL's"] = axes.fill_between(
        minutes, low * ms, high * ms, color=YELLOW, alpha=0.3, linewidth=0
    )
    for shift in SHIFTS_S:
        axes.axvline(shift / MINUTE_S, color="#999999", linewidth=0.9, linestyle=(0, (5, 3)))
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(0.0, float(minutes[-1]))
    axes.set_xlabel("minutes (dashed: the links' mean rates change)")
    axes.set_ylabel("latency of an image (ms)")
    clean(axes)
    top_legend(figure, handles)
    footnote(figure, f"One trace (seed 0). Bold: mean of {SMOOTH} images. While a new strategy is made the old serves: "
             "210 s for DistrEdge, 600 s for AOFL, as in the paper.")  # fmt: skip
    return figure


def smooth(values: np.ndarray) -> np.ndarray:
    """Means of the values around each, of fewer at the ends."""
    kernel = np.ones(SMOOTH)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def staircases(setting: Setting) -> Asking[Any]:
    """Fig. 13: a layer's computing latency by its output rows, beside a line."""
    modelled, measured = yield [Job(runs.devices, {"inputs": setting.inputs}), Job(runs.measured)]
    lines: Mapping[str, Any] = {
        **{f"{DEVICES[kind]} (modelled)": rows for kind, rows in reversed(modelled["rows_s"].items())},
        "a CPU under PyTorch (measured)": measured["rows_s"],
    }
    figure = new_figure(7.5, 6.0)
    handles: dict[str, Any] = {}
    panels = list(figure.subplots(3, 2).ravel())
    panels.pop().remove()
    for axes, (title, seconds) in zip(panels, lines.items(), strict=True):
        ms, rows = 1e3 * np.array(seconds), np.arange(1, len(seconds) + 1)
        (handles["latency"],) = axes.plot(rows, ms, marker="o", markersize=2.5, color=COLORS[0], linewidth=1.0)
        (handles["linear ratio, as AOFL and CoEdge assume"],) = axes.plot(
            [0, rows[-1]], [0, ms[-1]], color=INK, linestyle=(0, (5, 3)), linewidth=1.0
        )
        axes.set_ylim(bottom=0.0)
        axes.set_xlim(0, rows[-1])
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_xlabel("output rows", fontsize=8.5)
        axes.set_ylabel("ms", fontsize=8.5)
        axes.tick_params(labelsize=8)
        clean(axes)
    top_legend(figure, handles)
    footnote(figure, f"Layer {runs.STAIRS} of VGG-16. That modelled latencies have stairs is assumed; "
             "the paper prints no values.")  # fmt: skip
    return figure


def winners(setting: Setting) -> Asking[Any]:
    """By variant and scenario: the gain over the best baseline, and which that is."""
    names = scenarios(setting)
    results = yield sweep_jobs(setting)
    table = np.array([over(found, "") for found in results]).reshape(len(names), len(VARIANTS)).T
    who = np.array([best_baseline(found) for found in results]).reshape(len(names), len(VARIANTS)).T
    figure = new_figure(7.5, 1.2 + 0.42 * len(VARIANTS))
    axes = figure.add_subplot()
    image = axes.imshow(table, cmap="YlGnBu", vmin=1.0, vmax=max(1.6, float(table.max())), aspect="auto")
    dark = 1.0 + 0.55 * (image.norm.vmax - 1.0)
    for (row, column), gain in np.ndenumerate(table):
        axes.text(column, row, f"{gain:.2f}\n{NAMES[who[row, column]]}", ha="center", va="center", fontsize=7.5,
                  color="white" if gain > dark else "black", linespacing=1.0)  # fmt: skip
    axes.set_xticks(range(len(names)), names, fontsize=8.5)
    axes.set_yticks(range(len(VARIANTS)), list(VARIANTS.values()), fontsize=8)
    axes.set_xlabel("setting")
    axes.set_ylabel("what is assumed")
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02)
    bar.set_label("best plan known over the best baseline", fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    footnote(figure, "In each cell: the best plan known over the best baseline, and which that is. "
             "Published: 1.1 to 3 times. 1.00: the baseline's plan is the best known.")  # fmt: skip
    return figure
