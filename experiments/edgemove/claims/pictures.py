"""The figures of EdgeMove's paper with what comes out here, and what the text prints drawn in."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, TASKS
from ....ui.canvas import COLORS, INK, footnote, new_figure
from ...claims.drawing import GAP, MARK, ORDER_ONLY, PUBLISHED, SEEDS, WIDTH_IN, bars, grouped, line, place
from ...claims.results import both
from ...claims.statement import Asking, Setting
from ...line_charts import finish, legend
from . import measures
from .runs import WARM_S, WARM_UP_S

SCHEME_COLORS = dict(zip(measures.SCHEMES, ("#7a7a7a", COLORS[3], COLORS[1], COLORS[0]), strict=True))
OURS = "EdgeMove made to settle (ours)"
SHORT = {  # of the tasks, below bars
    "vgg16-cifar10": "VGG-16\nCIFAR-10", "resnet50-cinic10": "ResNet-50\nCINIC-10",
    "vgg16-agnews": "VGG-16\nAG News", "resnet50-speech": "ResNet-50\nSpeech",
}  # fmt: skip
ON_DEVICE_S = {name: task.on_device_s for name, task in TASKS.items()}  # Table 1


def table_1(setting: Setting) -> Asking[Any]:
    found = yield from measures.table_1(setting)
    figure = new_figure(WIDTH_IN, 4.2)
    axes = figure.add_subplot()
    agents = (*measures.COLUMN, measures.OURS)
    samples = {
        measures.SCHEMES.get(agent, OURS): [measures.over(found, "on-device", agent, task) for task in TASKS]
        for agent in agents
    }
    grouped(axes, [SHORT[task] for task in TASKS], samples, (*list(SCHEME_COLORS.values())[1:], COLORS[10]))
    for column in measures.COLUMN.values():
        at = place(np.arange(len(TASKS)), column, len(agents))
        published = [PUBLISHED_SPEEDUPS[task][column] for task in TASKS]
        axes.plot(at, published, **MARK, label="" if column else "published")
    axes.axhline(1.0, color="#777777", linewidth=1.2, label="On-Device")
    axes.set_ylabel("speed-up over On-Device (times)")
    finish(axes, "ten walks a seed")
    legend(figure, "")
    footnote(figure, f"{SEEDS}; the cloud's rate was fitted to the column of Device-Cloud, nothing to the others")
    return figure


def fig_2(setting: Setting) -> Asking[Any]:
    found = yield from measures.minibatches(setting)
    figure = new_figure(WIDTH_IN, 6.4)
    panels = figure.subplots(2, 2).ravel()
    names = {"device": "On-\nDevice", "cloud": "Device-\nCloud", "edge": "Device-\nEdge"}
    parts = {"client_s": "client", "communication_s": "communication", "server_s": "server"}
    for axes, (task, one) in zip(panels, found.items(), strict=True):
        alone = {"client_s": one["device_s"], "communication_s": 0.0, "server_s": 0.0}
        rows = [alone, one["first"]["cloud"], one["first"]["edge"]]
        base = np.zeros(len(rows))
        for (part, label), color in zip(parts.items(), (COLORS[0], COLORS[11], COLORS[2]), strict=True):
            milliseconds = np.array([1e3 * row[part] for row in rows])
            axes.bar(range(len(rows)), milliseconds, 0.65, bottom=base, color=color, label=label)
            base = base + milliseconds
        published = 1e3 * rows[1]["client_s"] + measures.PUBLISHED_COMMUNICATION / 100.0 * base[1]
        axes.plot(1, published, **MARK, label="published: sending ends here (42.29 %)")
        share = f"{measures.communication(rows[1]):.0f} %"
        axes.annotate(share, (1, base[1]), (0, 2), textcoords="offset points", ha="center", fontsize=8)
        axes.set_ylim(top=1.1 * base.max())
        axes.set_xticks(range(len(rows)), list(names.values()))
        axes.set_ylabel("a minibatch's way (ms)")
        finish(axes, measures.TITLES[task])
    legend(figure, "")
    footnote(
        figure,
        "cut behind the first layer, one minibatch at a time; over the bars: share of communication; the published "
        "share is a mean of the four tasks",
    )
    return figure


def fig_5(setting: Setting) -> Asking[Any]:
    found = yield from measures.cycle_times(setting)
    figure = new_figure(WIDTH_IN, 3.4)
    axes = figure.add_subplot()
    ratios = np.array(found["over_mean"])
    axes.plot(
        np.arange(1, len(ratios) + 1), ratios, "o-", color=COLORS[0], markersize=3, linewidth=1.2, label="a cycle here"
    )
    for sign in (-1, 1):
        label = "published: a standard deviation of 2.9 %" if sign > 0 else ""
        axes.axhline(1.0 + sign * 0.029, **PUBLISHED, label=label)
    axes.set_ylim(0.85, 1.15)
    axes.set_xlabel(f"training cycle ({found['cycle']} iterations each)")
    axes.set_ylabel("time of an iteration\nover the mean (times)")
    finish(axes, "VGG-16 on CIFAR-10, seed 0")
    legend(figure, "")
    return figure


def fig_6(setting: Setting) -> Asking[Any]:
    found, trained = yield from both(measures.convergence(setting), measures.recorded(setting))
    figure = new_figure(WIDTH_IN, 9.0)
    grid = figure.add_gridspec(3, 2)
    for number, task in enumerate(TASKS):
        axes = figure.add_subplot(grid[number // 2, number % 2])
        for agent, name in measures.SCHEMES.items():
            one, color = found[agent, task], SCHEME_COLORS[agent]
            axes.plot(np.array(one["at_s"]) / 60.0, one["percent"], color=color, linewidth=1.6, label=name)
            published = PUBLISHED_SPEEDUPS[task][measures.COLUMN[agent]] if agent in measures.COLUMN else 1.0
            label = "published: training is done (Table 1)" if agent == "edgemove-literal" else ""
            axes.plot(
                ON_DEVICE_S[task] / published / 60.0, 100.0, **{**MARK, "color": color}, label=label, clip_on=False
            )
        axes.axvspan(WARM_UP_S / 60.0, WARM_S / 60.0, color=COLORS[11], linewidth=0, label="published: warm-up ends")
        axes.set_ylim(0.0, 104.0)
        axes.set_xlim(left=0.0)
        axes.set_xlabel("time (minutes)")
        axes.set_ylabel("iterations done (%)")
        finish(axes, measures.TITLES[task])
    axes = figure.add_subplot(grid[2, :])
    for key, label, color in (("0", "On-Device", "#7a7a7a"), ("2", "EdgeMove: two in flight", COLORS[0])):
        at = np.array(trained["at_s"][key]) / 60.0
        line(axes, at, np.array(trained["curve"][key]).T, color=color, marker=".")
        axes.plot([], [], color=color, label=label if key == "2" else "")
    axes.set_xlabel("modelled time (minutes)")
    axes.set_ylabel("test accuracy (%)")
    finish(axes, "accuracy itself: LeNet-5 on CIFAR-10, recorded")
    legend(figure, "")
    footnote(figure, "mean over seeds, a walk each; every scheme needs the same number of iterations")
    return figure


def fig_8(setting: Setting) -> Asking[Any]:
    found = yield from measures.both_speeds(setting)
    figure = new_figure(WIDTH_IN, 6.0)
    names = [name.replace("-", "-\n") for name in measures.SCHEMES.values()]
    for axes, task in zip(figure.subplots(2, 2).ravel(), TASKS, strict=True):
        minutes = {
            label: [measures.figures(found, agent, f"{task}{suffix}") / 60.0 for agent in measures.SCHEMES]
            for label, suffix in (("walking, 1.4 m/s", ""), ("twice as fast", "-x2"))
        }
        grouped(axes, names, minutes, (COLORS[10], COLORS[0]))
        for number, agent in enumerate(measures.SCHEMES):
            factor = 1.0 + measures.PUBLISHED_LONGER / 100.0 * (agent == "pipedream-e")
            height = factor * float(np.mean(measures.figures(found, agent, task))) / 60.0
            label = "" if number else "published, at twice the speed"
            axes.plot(place(number, 1, 2), height, **MARK, label=label)
        axes.tick_params(axis="x", labelsize=7)
        axes.set_ylabel("training time (minutes)")
        finish(axes, measures.TITLES[task])
    legend(figure, "")
    footnote(
        figure, f"{SEEDS}; published: 44.2 % longer for PipeDream-E as a mean of the tasks, as long for the others"
    )
    return figure


def fig_9(setting: Setting) -> Asking[Any]:
    found = yield from measures.table_1(setting)
    figure = new_figure(WIDTH_IN, 7.2)
    panels = figure.subplots(3, 1)
    names = [SHORT[task] for task in TASKS]
    agents = ("pipedream-e", "edgemove-literal")
    colors = [SCHEME_COLORS[agent] for agent in agents]
    counts = {"worker_switches": "changes of worker", "cut_moves": "changes of the cut"}
    for axes, (metric, label) in zip(panels, counts.items(), strict=False):
        samples = {measures.SCHEMES[a]: [measures.figures(found, a, task, metric) for task in TASKS] for a in agents}
        grouped(axes, names, samples, colors)
        axes.set_ylabel(label)
        finish(axes, "")
    for number, (agent, color) in enumerate(zip(agents, colors, strict=True)):
        at = place(np.arange(len(TASKS)), number, len(agents))
        training, adapting = (
            [measures.figures(found, agent, task, metric) / 60.0 for task in TASKS]
            for metric in ("training_s", "adaptation_s")
        )
        width = (1.0 - GAP) / len(agents)
        bars(panels[2], at, training, width, color=color, label=measures.SCHEMES[agent])
        base = [float(np.mean(one)) for one in training]
        tops = [float(np.mean(one)) for one in adapting]
        panels[2].bar(at, tops, width, bottom=base, color=INK, label="adaptation" if number else "")
        for x, low, high in zip(at, base, tops, strict=True):
            panels[2].annotate(
                f"{high:.2g}", (x, low + high), (0, 9), textcoords="offset points", ha="center", fontsize=8
            )
    panels[2].set_ylim(top=1.15 * panels[2].get_ylim()[1])
    panels[2].set_xticks(range(len(TASKS)), names)
    panels[2].set_ylabel("time (minutes)")
    finish(panels[2], "training, and adaptation on top of it: its minutes over the bars")
    legend(figure, "")
    footnote(figure, f"per training; {SEEDS}; {ORDER_ONLY}")
    return figure


def fig_10(setting: Setting) -> Asking[Any]:
    found = yield from measures.cuts_by_network(setting)
    figure = new_figure(WIDTH_IN, 6.0)
    panels = figure.subplots(2, 2, sharex=True).ravel()
    cuts = np.arange(1, len(found["names"]) + 1)
    milliseconds = {name: 1e3 * np.array(periods) for name, periods in found["period_s"].items()}
    for number, (axes, (name, each)) in enumerate(zip(panels, milliseconds.items(), strict=True)):
        best = int(each.argmin())
        axes.bar(cuts, each, 0.8, color=COLORS[10], label="an iteration, cut behind this layer")
        axes.axhline(1e3 * found["device_s"], color="#777777", linewidth=1.2, label="client alone")
        axes.plot(cuts[best], each[best], "*", color=COLORS[3], markersize=12, label="fastest cut")
        axes.set_ylabel("time of an iteration (ms)")
        if number >= 2:
            axes.set_xticks(cuts[::2], found["names"][::2], rotation=90)
            axes.set_xlabel("cut behind layer")
        finish(axes, name)
    legend(figure, "")
    footnote(figure, f"VGG-16 on CIFAR-10; {ORDER_ONLY}")
    return figure
