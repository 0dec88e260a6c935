"""Pictures of one episode: its rounds one below the other, and the bars of the point that it settled on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...envs.l2s.dynamics import L2SDynamics
from ...envs.l2s.system import System
from ...envs.l2s.viewer import points_figure
from ...ui.canvas import COLORS, clean, new_figure
from ..figures import LOG_FROM, logarithmic, scale_to
from ..tables import unit_of
from .lines import LEAST_ERROR
from .rounds import Trace, late_point, latest_errors, prediction_errors, regrets, running_mean, spans

THIN, BOLD, BEST, FORCED, RATE = COLORS[10], COLORS[0], COLORS[2], COLORS[3], COLORS[3]
SHADE = "#f3ead9"
MOST_NAMES = 8  # partition points that are named on an axis
LAST_SEEN = 50  # rounds for which an error is shown after it was seen
WILD = 99  # percentile of delays that fit; rounds beyond may leave the picture


def draw_trace(env: Any, trace: Trace, title: str) -> dict[str, Any]:
    """Draw the rounds of an episode.

    Args:
        env: the L2S env that was played.
        trace: its rounds.
        title: in front of the scenario's name.

    Returns:
        Matplotlib figures by name: ``rounds`` (delay, partition point, prediction error where the agent predicts,
        regret; paper, Figs. 10 and 17) and ``points`` (every point's delay at the last rate, the usual one marked).
    """
    dynamics: L2SDynamics = env.unwrapped.dynamics
    return {
        "rounds": _rounds_figure(dynamics.system, trace, title),
        "points": _last_points(dynamics.system, trace, title),
    }


def _last_points(system: System, trace: Trace, title: str) -> Any:
    """Bars of every point at the load and the rate that the last round began with."""
    setting, rounds = system.scenario, len(trace["delay_s"])
    load = next((load for at, load in reversed(setting.load_changes) if at < rounds), setting.edge_load)
    choice = late_point(trace) - system.first
    return points_figure(system, float(trace["mbps"][-1]), load, choice, title, "last rounds")


def _rounds_figure(system: System, trace: Trace, title: str) -> Any:
    errors = prediction_errors(trace)
    changes = np.ptp(trace["mbps"]) > 0
    heights = {"rate": 0.8 * changes, "delay": 2.5, "point": 1.9, "error": 1.7 * (errors is not None), "regret": 1.7}
    shown = [name for name, height in heights.items() if height]
    ratios = [heights[name] for name in shown]
    figure = new_figure(9.5, 0.9 + sum(ratios))
    panels = figure.subplots(len(shown), sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
    axes = dict(zip(shown, panels, strict=True))
    if changes:
        _draw_rate(axes["rate"], trace)
    _draw_delay(axes["delay"], system, trace)
    _draw_points(axes["point"], system, trace)
    if errors is not None:
        _draw_errors(axes["error"], errors)
    _draw_regret(axes["regret"], trace)
    for panel in panels:
        _shade(panel, trace)
        clean(panel)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.03), markerscale=2.0)
    figure.align_ylabels(panels)
    panels[0].set_title(f"{title} on {system.scenario.name}".strip(), loc="left", fontsize=11)
    panels[-1].set_xlabel("training round")
    panels[-1].set_xlim(1, max(2, len(trace["delay_s"])))
    return figure


def _numbers(trace: Trace) -> np.ndarray:
    """(T,) the rounds, counted from 1."""
    return np.arange(1, len(trace["delay_s"]) + 1)


def _draw_rate(axes: Any, trace: Trace) -> None:
    axes.step(_numbers(trace), trace["mbps"], where="mid", color=RATE, linewidth=0.9)
    axes.set_ylabel("Mbps")
    axes.set_ylim(bottom=0.0, top=1.15 * float(np.nanmax(trace["mbps"])))


def _draw_delay(axes: Any, system: System, trace: Trace) -> None:
    delay_s, rounds = np.asarray(trace["delay_s"], dtype=float), _numbers(trace)
    unit, factor = unit_of("delay_s", delay_s.tolist())
    mean_s, oracle_s = running_mean(delay_s), np.asarray(trace["oracle_delay_s"], dtype=float)
    axes.plot(rounds, delay_s * factor, color=THIN, linewidth=0.6, label="a round")
    axes.plot(rounds, mean_s * factor, color=BOLD, linewidth=1.4, label="mean of the last 10", zorder=2.2)
    axes.axhline(
        system.pdt_s * factor, color="#777777", linewidth=1.0, linestyle=(0, (5, 3)), label="device alone, expected"
    )
    axes.plot(rounds, oracle_s * factor, color=BEST, linewidth=1.0, label="best point, expected", zorder=2.1)
    known = delay_s[np.isfinite(delay_s)] * factor
    if known.size:
        high = max(float(np.percentile(known, WILD)), system.pdt_s * factor, float(np.nanmax(oracle_s)) * factor)
        low = min(float(known.min()), system.pdt_s * factor, float(np.nanmin(oracle_s)) * factor)
        scale_to(axes, [low, high])
        axes.set_ylim(low / 1.05, high * 1.08)
    axes.set_ylabel(f"delay ({unit})")


def _draw_points(axes: Any, system: System, trace: Trace) -> None:
    points, rounds = np.asarray(trace["point"]), _numbers(trace)
    axes.plot(rounds, points, color=THIN, linewidth=0.5, drawstyle="steps-mid", zorder=1)
    axes.plot(rounds, points, ".", color=BOLD, markersize=2.5, zorder=2)
    forced = np.asarray(trace.get("forced", np.zeros(len(points))), dtype=bool) & (points < system.last)
    if forced.any():
        axes.plot(rounds[forced], points[forced], "x", color=FORCED, markersize=3.5, label="forced", zorder=3)
    first, last = system.first, system.last
    named = _named(points, first, last)
    axes.set_yticks(named, [f"{p} {_short(system.names[p])}" for p in named], fontsize=8)
    axes.set_ylim(first - 0.6, last + 0.6)
    axes.set_ylabel("partition point\n(last layer on device)")


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"


def _named(points: np.ndarray, first: int, last: int) -> list[int]:
    """A few points for the ticks: the ends, then the most frequent ones that keep some distance to each other."""
    apart = max(1, round((last - first) / MOST_NAMES))
    counts = np.bincount(points, minlength=last + 1)
    named = [last, first] if first < last else [last]
    for point in np.argsort(-counts, kind="stable").tolist():
        if counts[point] and all(abs(point - other) >= apart for other in named):
            named.append(point)
    return sorted(named)


def _draw_errors(axes: Any, errors: np.ndarray) -> None:
    rounds, seen = np.arange(1, len(errors) + 1), np.isfinite(errors)
    percent = 100.0 * errors
    axes.plot(rounds[seen], percent[seen], ".", color=THIN, markersize=2.5, label="a round")
    recent = np.convolve(seen, np.ones(LAST_SEEN))[: len(seen)] > 0.5
    latest = np.where(recent, 100.0 * latest_errors(errors), np.nan)
    axes.plot(rounds, latest, color=BOLD, linewidth=1.4, label="median of the last 10")
    if percent[seen].max() > LOG_FROM * LEAST_ERROR:
        logarithmic(axes, (1.0,))
        axes.set_ylim(LEAST_ERROR, 1.5 * float(percent[seen].max()))
    axes.set_ylabel("prediction\noff by (%)")


def _draw_regret(axes: Any, trace: Trace) -> None:
    regret_s = regrets([trace])[0]
    a_round_s = float(np.nanmax(trace["oracle_delay_s"]))  # the least that is shown: beside it no loss is a flat line
    low, high = min(0.0, float(np.nanmin(regret_s))), max(a_round_s, float(np.nanmax(regret_s)))
    unit, factor = unit_of("regret_s", [high])
    axes.plot(_numbers(trace), regret_s * factor, color=BOLD, linewidth=1.4)
    axes.set_ylabel(f"regret\nso far ({unit})")
    axes.set_ylim(low * factor, 1.05 * high * factor)


def _shade(axes: Any, trace: Trace) -> None:
    """Mark adaptations, where the agent has them."""
    adapting: Sequence[bool] | np.ndarray = trace.get("adapting", ())
    for number, (begin, end) in enumerate(spans(np.asarray(adapting, dtype=bool))):
        label = "adaptation" if number == 0 and axes.get_ylabel().startswith("delay") else None
        axes.axvspan(begin + 0.5, end + 0.5, color=SHADE, linewidth=0, zorder=0, label=label)
