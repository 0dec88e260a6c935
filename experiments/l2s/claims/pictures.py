"""The figures of L2S's paper with what comes out here, and what the text prints drawn in.

Where the paper prints no numbers, none are drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....envs.l2s.scenarios import PAPER_MODELS, SWEEP_MBPS
from ....ui.canvas import COLORS, INK, footnote, new_figure
from ...claims.drawing import MARK, ORDER_ONLY, PUBLISHED, SEEDS, WIDTH_IN, bars, grouped, line
from ...claims.results import both
from ...claims.statement import Asking, Setting
from ...figures import logarithmic
from ...line_charts import finish, legend, rate_axis
from . import measures, recorded
from .runs import CONVERGED, LEARNED

MODEL_COLORS = dict(zip(PAPER_MODELS, COLORS, strict=False))


def fig_1(setting: Setting) -> Asking[Any]:
    found = yield from measures.alexnet_points(setting)
    device, edge, whole = (np.array(v) for v in (found["device_s"], found["edge_s"], found["delays_s"]["100"]))
    figure = new_figure(WIDTH_IN, 3.9)
    axes, at, base = figure.add_subplot(), np.arange(len(whole)), np.zeros(len(whole))
    parts = {"device": device, "messages": whole - device - edge, "edge server": edge}
    for (label, seconds), color in zip(parts.items(), (COLORS[0], COLORS[11], COLORS[2]), strict=True):
        axes.bar(at, seconds, 0.75, bottom=base, color=color, label=label)
        base = base + seconds
    best, pool = int(whole.argmin()), found["names"].index("pool5")
    axes.plot(best, whole[best] + 0.05, "*", color=COLORS[3], markersize=12, label="least here")
    axes.plot(pool, whole[pool] + 0.3, **MARK, label="published as the best: the third pool")
    names = {"pool5": "pool5\n(third pool)"}
    axes.set_xticks(at, [names.get(name, name) for name in found["names"]], rotation=60, ha="right", fontsize=8)
    axes.set_xlabel("partition point: behind this layer")
    axes.set_ylabel("delay of a round (s)")
    finish(axes, "AlexNet at 100 Mbit/s")
    legend(figure, "")
    return figure


def fig_4(setting: Setting) -> Asking[Any]:
    found = (yield from recorded.recorded_divergences(setting))[recorded.KL_NETWORK]
    figure = new_figure(WIDTH_IN, 3.6)
    axes, at = figure.add_subplot(), np.arange(len(found["points"]))
    kl = np.array(found["kl"])
    axes.bar(at, kl.mean(axis=0), 0.7, color=COLORS[10], label="mean over seeds")
    for number, seed in enumerate(kl):
        axes.plot(at, seed, ".", color=COLORS[0], markersize=6, label="" if number else "a seed")
    axes.axhline(float(np.mean(found["uniform"])), color="#777777", linewidth=1.0, label="an answer that knows nothing")
    logarithmic(axes)
    axes.set_ylim(0.5 * kl.min(), 1.5 * kl.max())
    axes.set_xticks(at, found["points"], rotation=60, ha="right", fontsize=8)
    axes.set_xlabel("partition point: behind this layer")
    axes.set_ylabel("KL divergence (nats)")
    finish(axes, "a quarter of AlexNet's maps, trained on CIFAR-10")
    legend(figure, "")
    footnote(figure, f"recorded trainings; {ORDER_ONLY}")
    return figure


def fig_7(setting: Setting) -> Asking[Any]:
    found = yield from recorded.recorded_trainings(setting)
    layers, shares = recorded.weight_changes(found)
    figure = new_figure(WIDTH_IN, 3.6)
    axes = figure.add_subplot()
    width = 0.8 / len(shares)
    for number, ((rounds, values), color) in enumerate(
        zip(shares.items(), (COLORS[10], COLORS[0], COLORS[4]), strict=False)
    ):
        at = np.arange(len(layers)) + width * (number - (len(shares) - 1) / 2)
        axes.bar(at, values, width, color=color, label=f"after {rounds} rounds")
    axes.axhline(0.05, **PUBLISHED, label="published: 100 rounds, about 0.05 %")
    logarithmic(axes, (1.0,))
    axes.set_ylim(0.02, 200.0)
    axes.set_xticks(range(len(layers)), layers)
    axes.set_xlabel("layer")
    axes.set_ylabel("mean change of a weight\n(% of that in the end)")
    finish(axes, f"{found['settings']['model']}, {found['settings']['rounds']} rounds, cut stays")
    legend(figure, "")
    footnote(figure, "recorded trainings")
    return figure


def fig_8(setting: Setting) -> Asking[Any]:
    jobs = yield from both(measures.by_period(setting), recorded.recorded_trainings(setting))
    found, runs = jobs[0], jobs[1]["runs"]
    figure = new_figure(WIDTH_IN, 3.8)
    left, right = figure.subplots(1, 2)
    names = {"change": "every\nchange", **{str(period): str(period) for period in measures.PERIODS}}
    shares = [100.0 * measures.over(found[name], "sync_s", found["change"]) for name in names]
    bars(left, range(len(names)), shares, 0.7, color=COLORS[0], label="synchronisation")
    left.axhline(30.0, **PUBLISHED, label="published: period 100 saves over 70 %")
    left.set_xticks(range(len(names)), list(names.values()))
    left.set_ylabel("time of synchronisation\n(% of that at every change)")
    left.set_xlabel("rounds between two syncs")
    finish(left, "ResNet-34 at 100 Mbit/s")
    syncs = ("1", "10", "100", "1000", "never")
    for (moves, label), color in zip(
        (("l2s", "cut as L2S moves it"), ("every", "another cut in every round")), COLORS[1:], strict=False
    ):
        line(
            right,
            range(len(syncs)),
            [runs[f"{moves} {sync}"]["lost"] for sync in syncs],
            color=color,
            marker="o",
            label=label,
        )
    right.axhline(0.0, color=INK, linewidth=0.8)
    right.set_xticks(range(len(syncs)), syncs)
    right.set_xlabel("rounds between two syncs")
    right.set_ylabel("training accuracy lost (points)")
    finish(right, "LeNet-5 on CIFAR-10, recorded")
    legend(figure, "")
    footnote(figure, SEEDS)
    return figure


def fig_10(setting: Setting) -> Asking[Any]:
    found = yield from measures.first_rounds(setting)
    figure = new_figure(WIDTH_IN, 4.6)
    panels = figure.subplots(len(measures.RATES), 1, sharex=True)
    for axes, (link, rate) in zip(panels, measures.RATES.items(), strict=True):
        for model in PAPER_MODELS:
            errors = [None if v is None else 100.0 * v for v in found[model, link]["error_by_round"]]
            rounds = np.arange(1, len(errors) + 1)
            axes.plot(
                rounds,
                np.array(errors, dtype=float),
                color=MODEL_COLORS[model],
                linewidth=1.4,
                label=measures.TITLES[model],
            )
        axes.axvline(LEARNED, **PUBLISHED, label="published: accurate from about here")
        axes.set_ylim(0.0, 50.0)
        axes.set_ylabel("error of predicted\nedge delay (%)")
        finish(axes, rate)
    panels[-1].set_xlabel("training round")
    legend(figure, "")
    footnote(
        figure,
        "LinUCB-E, mean over seeds; rounds on the device alone have no error, errors over 50 % leave the picture",
    )
    return figure


def fig_11(setting: Setting) -> Asking[Any]:
    found = yield from measures.first_rounds(setting, ("gpu-60",))
    figure = new_figure(WIDTH_IN, 6.0)
    panels = figure.subplots(len(found), 1, sharex=True)
    for axes, ((model, _), one) in zip(panels, found.items(), strict=True):
        delays = np.array(one["delay_by_round_s"])
        axes.plot(np.arange(1, len(delays) + 1), delays, color=COLORS[0], linewidth=1.4, label="L2S (LinUCB-E)")
        axes.axhline(one["optimum_s"], color=COLORS[2], linewidth=1.4, label="Oracle")
        axes.axvline(CONVERGED, **PUBLISHED, label="published: converged from about here")
        axes.set_ylim(0.0, 1.05 * max(delays.max(), one["optimum_s"]))
        axes.set_ylabel("delay of a round (s)")
        finish(axes, measures.TITLES[model])
    panels[-1].set_xlabel("training round")
    legend(figure, "")
    footnote(figure, "60 Mbit/s, mean over seeds; later peaks are rounds that are forced off the device")
    return figure


def fig_12(setting: Setting) -> Asking[Any]:
    found, fpt = yield from measures.sweep(setting)
    figure = new_figure(WIDTH_IN, 6.2)
    *panels, last = figure.subplots(2, 2).ravel()
    for axes, model in zip(panels, PAPER_MODELS, strict=True):
        keys = [(model, "gpu", mbps) for mbps in SWEEP_MBPS]
        pdt_s = found[keys[0]]["pdt_s"]
        axes.axhline(pdt_s, color="#777777", linewidth=1.4, label="PDT: device alone")
        axes.plot(SWEEP_MBPS, [fpt[key] for key in keys], "s-", color=COLORS[1], markersize=4, label="FPT: cut at P^c")
        line(axes, SWEEP_MBPS, [found[key]["delay_s"] for key in keys], color=COLORS[0], marker="o", label="L2S")
        rate_axis(axes, SWEEP_MBPS)
        axes.set_ylim(0.0, 2.0 * pdt_s)
        axes.set_ylabel("delay of a round (s)")
        axes.set_xlabel("speed (Mbit/s)")
        finish(axes, f"{measures.TITLES[model]}, edge with GPU")
    saved = {
        f"edge with {edge.upper()}": [measures.most_saved(found, model, edge) for model in PAPER_MODELS]
        for edge in ("gpu", "cpu")
    }
    grouped(last, [measures.TITLES[model] for model in PAPER_MODELS], saved, (COLORS[2], COLORS[12]))
    last.set_ylabel("delay saved by L2S (%)")
    finish(last, "(d) at the best speed")
    legend(figure, "")
    footnote(figure, f"{SEEDS}; FPT leaves the picture where the link is slow; {ORDER_ONLY}")
    return figure


def fig_13(setting: Setting) -> Asking[Any]:
    trained, found = yield from both(
        recorded.recorded_trainings(setting), measures.whole(setting, ("l2s", "l2s-fws"), tuple(measures.RATES))
    )
    figure = new_figure(WIDTH_IN, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 2.0))
    runs = {"PDT": "none never", "L2S-FWS": "l2s 1", "L2S": "l2s 100"}
    bars(left, range(3), [trained["runs"][kind]["train"] for kind in runs.values()], 0.7, color=COLORS[10])
    lost = float(np.mean(trained["runs"]["none never"]["train"])) - recorded.LOSS
    left.plot(2, lost, **MARK, label="published: 2.14 points below PDT")
    left.set_xticks(range(3), list(runs), fontsize=8)
    left.set_ylabel("training accuracy (%)")
    finish(left, "(a) LeNet-5, recorded")
    keys = [(model, link) for link in measures.RATES for model in PAPER_MODELS]
    names = [f"{measures.TITLES[model]}\n{link.removeprefix('gpu-')} Mbit/s" for model, link in keys]
    shares = {
        label: [100.0 * (1.0 - np.array(found[model, link, agent]["saved"])) for model, link in keys]
        for label, agent in (("L2S", "l2s"), ("L2S-FWS", "l2s-fws"))
    }
    grouped(right, names, shares, (COLORS[0], COLORS[1]))
    right.axhline(200.0 / 3, **PUBLISHED, label="published: L2S below two thirds")
    right.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    right.set_ylabel("total training time (% of PDT's)")
    finish(right, "(b)")
    legend(figure, "")
    footnote(figure, SEEDS)
    return figure


def fig_14(setting: Setting) -> Asking[Any]:
    found = yield from measures.by_privacy(setting)
    figure = new_figure(WIDTH_IN, 3.6)
    axes = figure.add_subplot()
    for (mbps, saved), color in zip(found.items(), COLORS, strict=False):
        line(axes, measures.PRIVACY_POINTS, list(saved), color=color, marker="o", label=f"L2S, {mbps} Mbit/s")
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), 100.0)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_xlabel("privacy constraint P^c (first partition point that is allowed)")
    axes.set_ylabel("delay saved against PDT (%)")
    finish(axes, "ResNet-34, edge with GPU")
    legend(figure, "")
    footnote(figure, f"{SEEDS}; {ORDER_ONLY}")
    return figure


def fig_15(setting: Setting) -> Asking[Any]:
    saved, network = yield from measures.against_ppt(setting)
    figure = new_figure(WIDTH_IN, 3.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1.0))
    names = [str(mbps) for mbps in saved]
    bars(left, range(len(names)), [100.0 - share for share in saved.values()], 0.7, color=COLORS[0], label="L2S")
    left.axhline(6.0, **PUBLISHED, label="published: 6 % at most on a poor link")
    left.set_xticks(range(len(names)), names)
    left.set_ylabel("total training time\n(% of PPT's)")
    left.set_xlabel("speed (Mbit/s)")
    finish(left, "VGG-16")
    cuts = {"PPT\nconv1_1": recorded.PPT_CUT, "L2S, P^c = 4\nconv2_1": recorded.L2S_CUT}
    bars(right, range(2), [recorded.kl_behind(network, cut) for cut in cuts.values()], 0.6, color=COLORS[10])
    right.set_xticks(range(2), list(cuts))
    right.set_ylim(bottom=0.0)
    right.set_ylabel("KL divergence (nats)")
    finish(right, "a quarter of VGG-11, recorded")
    legend(figure, "")
    footnote(figure, f"{SEEDS}; the paper names no speed, and prints no divergences")
    return figure


def fig_16(setting: Setting) -> Asking[Any]:
    found = yield from measures.forced_and_not(setting)
    figure = new_figure(WIDTH_IN, 3.6)
    axes = figure.add_subplot()
    minutes = {
        label: [np.array(found[model, agent]["total_s"]) / 60.0 for model in PAPER_MODELS]
        for label, agent in (("LinUCB-E", "linucb-e"), ("LinUCB", "linucb"))
    }
    grouped(axes, [measures.TITLES[model] for model in PAPER_MODELS], minutes, (COLORS[0], COLORS[1]))
    axes.set_ylabel("total training time (minutes)")
    finish(axes, "500 rounds at 100 Mbit/s")
    legend(figure, "")
    footnote(figure, f"{SEEDS}; {ORDER_ONLY}")
    return figure


def fig_17(setting: Setting) -> Asking[Any]:
    found = yield from measures.switching(setting)
    figure = new_figure(WIDTH_IN, 3.8)
    axes = figure.add_subplot()
    at = found["block"] * (np.arange(len(found["delay_s"])) + 0.5)
    axes.plot(at, found["delay_s"], color=COLORS[0], linewidth=1.2, label="delay of a round (seed 0)")
    top = 1.25 * max(found["delay_s"])
    adapting = np.array(found["adapting"])
    axes.fill_between(
        at, 0.0, top, where=adapting, step="mid", color=COLORS[11], alpha=0.5, linewidth=0, label="adaptation mode"
    )
    axes.set_ylim(0.0, top)
    for number, change in enumerate(found["changes"]):
        axes.axvline(change, **PUBLISHED, label="" if number else "published: the speed changes, L2S adapts")
    axes.set_xlabel("training round")
    axes.set_ylabel("delay (s)")
    finish(axes, "ResNet-34")
    speed = axes.twinx()
    speed.plot(at, found["mbps"], color=COLORS[3], linewidth=1.2, label="speed of the link")
    speed.set_ylim(0.0, 1.25 * max(found["mbps"]))
    speed.set_ylabel("speed (Mbit/s)")
    speed.spines["top"].set_visible(False)
    legend(figure, "")
    footnote(figure, f"means of {found['block']} rounds")
    return figure


def trap(setting: Setting) -> Asking[Any]:
    found = yield from measures.settled(setting)
    figure = new_figure(WIDTH_IN, 3.2)
    axes = figure.add_subplot()
    names = {"linucb": "LinUCB", "linucb-e": "LinUCB-E"}
    bars(axes, range(2), [100.0 * np.array(found[agent]["on_device"]) for agent in names], 0.5, color=COLORS[0])
    axes.set_xticks(range(2), list(names.values()))
    axes.set_ylim(0.0, 105.0)
    axes.set_ylabel("last rounds on the\ndevice alone (%)")
    finish(axes, "ResNet-34, 26 then 200 Mbit/s: a cut is best in the end")
    footnote(figure, f"{SEEDS}; {ORDER_ONLY}")
    return figure


def theorem_1(setting: Setting) -> Asking[Any]:
    found = yield from measures.regrets(setting)
    figure = new_figure(WIDTH_IN, 3.8)
    axes = figure.add_subplot()
    for (scenario, by_rounds), color in zip(found.items(), COLORS, strict=False):
        rounds = np.array(list(by_rounds))
        label = f"LinUCB-E, {scenario.rpartition('-')[2]} Mbit/s"
        line(axes, rounds, list(by_rounds.values()), color=color, marker="o", label=label)
        bound = rounds**0.75 * np.log(rounds)
        first = float(np.mean(by_rounds[int(rounds[0])]))
        axes.plot(rounds, first * bound / bound[0], **{**PUBLISHED, "color": color}, label="")
    axes.plot([], [], **PUBLISHED, label="published bound: T^0.75 log T")
    logarithmic(axes)
    rate_axis(axes, list(next(iter(found.values()))))
    axes.set_xlabel("rounds T")
    axes.set_ylabel("regret (s)")
    finish(axes, "ResNet-34")
    legend(figure, "")
    footnote(figure, SEEDS)
    return figure
