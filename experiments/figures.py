"""Pictures that every family has: the learning curve and grouped bars."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from ..agents.registry import family_module
from ..envs import Family
from ..ui.canvas import COLORS, INK, clean, new_figure, top_legend
from .tables import number

LOG_FROM = 4.0  # ratio of the highest to the lowest value that makes an axis logarithmic
FEW_EPISODES = 20  # with fewer, a learning curve is drawn over steps
FEW_POINTS = 40  # up to so many, each point of a learning curve is marked
REFERENCES = 4  # other agents beside a learning curve
NEWEST = "mean of the newest episodes"
BARS_UP_TO = 20.0  # ratio of the highest to the lowest value that bars from 0 can show
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
BARS_IN_A_ROW = 75  # of a bar chart; more begin another row


def hook(family: Family, name: str) -> Any:
    """What a family draws or tells by itself (see :class:`splitgym.envs.Family`), None where it leaves that to all."""
    return getattr(family_module(family.name, family.experiments), name, None) if family.experiments else None


def add_figure(figures: dict[str, Any], name: str, figure: Any) -> None:
    """Add a figure, if there is one, under a name that is safe for a file and not yet taken."""
    if figure is None:
        return
    safe = re.sub(r"[^\w+-]+", "_", name).strip("_") or "figure"
    number = 2
    unique = safe
    while unique in figures:
        unique, number = f"{safe}-{number}", number + 1
    figures[unique] = figure


def learning_curve(
    curve: Sequence[Mapping[str, float]],
    metric: str,
    label: str,
    factor: float = 1.0,
    references: Mapping[str, float] | None = None,
    lower_is_better: bool = True,
    title: str = "",
) -> Any:
    """Draw how the headline metric came along where episodes are alike: the newest ones, and the best so far.

    Args:
        curve: reports with ``episodes``, ``steps``, ``recent_<metric>`` and, where there is one, ``best_<metric>``.
        metric: the headline metric.
        label: its name on the axis, with the unit.
        factor: from the metric to that unit.
        references: other agents' values; the four best are drawn as lines.
        lower_is_better: which ones are best.
        title: above the axes.
    """
    best, recent = (_series(curve, f"{name}_{metric}") * factor for name in ("best", "recent"))
    lines = {NEWEST: (recent, {"color": COLORS[0], "linewidth": 1.1})}
    if np.isfinite(best).any():
        text = f"best episode so far: {number(best[np.isfinite(best)][-1])}"
        lines[text] = (best, {"color": COLORS[3], "linewidth": 2.0, "drawstyle": "steps-post"})
    ranked = sorted((references or {}).items(), key=lambda item: item[1] if lower_is_better else -item[1])
    return _curve_figure(curve, lines, label, factor, dict(ranked), lower_is_better, title)


def regret_curve(
    curve: Sequence[Mapping[str, float]],
    label: str,
    factor: float = 1.0,
    references: Mapping[str, float] | None = None,
    title: str = "",
    against: str = "optimum",
) -> Any:
    """Draw how regret came along where episodes have luck of their own: the newest ones, each against its own optimum.

    Args:
        curve: reports with ``episodes``, ``steps``, ``recent_regret``.
        label: the name of regret on the axis, with the unit.
        factor: from regret to that unit.
        references: other agents' regrets; the four least above 0, which is the optimum itself, are drawn as lines.
        title: above the axes.
        against: what a regret of 0 is, in words.
    """
    regret = _series(curve, "recent_regret") * factor
    lines = {NEWEST: (regret, {"color": COLORS[0], "linewidth": 1.6})}
    ranked = {name: value for name, value in sorted((references or {}).items(), key=itemgetter(1)) if value > 0}
    figure = _curve_figure(
        curve, lines, f"{label}: loss against the\n{against} of the same episode", factor, ranked, True, title
    )
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    if axes.get_yscale() == "linear":
        axes.set_ylim(min(low, 0.0), max(high, 0.0))
        axes.axhline(0.0, color=INK, linewidth=0.9)
    return figure


def _curve_figure(
    curve: Sequence[Mapping[str, float]],
    lines: Mapping[str, tuple[np.ndarray, Mapping[str, Any]]],
    label: str,
    factor: float,
    ranked: Mapping[str, float],
    lower_is_better: bool,
    title: str,
) -> Any:
    """Lines by label (values, look), the first four of the ranked references beside them."""
    figure = new_figure(8.0, 4.6)
    axes = figure.add_subplot()
    unit = "episodes" if curve and curve[-1]["episodes"] >= FEW_EPISODES else "steps"
    done = np.array([row[unit] for row in curve], dtype=float)
    points = max((int(np.isfinite(values).sum()) for values, _ in lines.values()), default=0)
    marker = {"marker": "o", "markersize": 4} if points <= FEW_POINTS else {}
    handles = {name: axes.plot(done, values, label=name, **look, **marker)[0] for name, (values, look) in lines.items()}
    known = {name: value * factor for name, value in ranked.items() if math.isfinite(value)}
    shown = dict(list(known.items())[:REFERENCES])
    newest = next(iter(lines.values()))[0]
    limit_to(axes, [*np.concatenate([v for v, _ in lines.values()]), *shown.values()], newest, lower_is_better)
    for value in shown.values():
        dashed = axes.axhline(value, color="#777777", linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
        handles["others, of whole evaluations"] = dashed
    _label_lines(axes, shown)
    if len(done):
        axes.set_xlim(min(0.0, float(done[0])), max(1.02 * float(done[-1]), 1.0))
    count_axis(axes, f"{unit} of training")
    axes.set_ylabel(label)
    top_legend(figure, handles, title, 2.0)
    clean(axes)
    return figure


def _series(curve: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    return np.array([row.get(name, math.nan) for row in curve], dtype=float)


def count_axis(axes: Any, label: str) -> None:
    """A horizontal axis of counts: thousands as k, millions as M."""
    from matplotlib.ticker import EngFormatter

    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(label)


def limit_to(axes: Any, values: Sequence[float], recent: np.ndarray, lower_is_better: bool) -> None:
    """Room for all that matters: wild first episodes may leave the picture, which says how far they go."""
    shown = np.array([v for v in values if math.isfinite(v)])
    if not shown.size:
        return
    low, high = float(shown.min()), float(shown.max())
    settled = recent[np.isfinite(recent)]
    if settled.size >= 20:
        bound = np.percentile(settled, 95 if lower_is_better else 5)
        rest = [v for v in shown if v not in settled]
        if lower_is_better:
            high = max(bound, *rest) if rest else bound
        else:
            low = min(bound, *rest) if rest else bound
    if low > 0 and high / low > LOG_FROM:
        logarithmic(axes)
        axes.set_ylim(low / 1.15, high * 1.15)
    else:
        margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_ylim(low - margin, high + margin)
    bottom, top = axes.get_ylim()
    if shown.max() > top:
        note_beyond(axes, f"above: up to {number(float(shown.max()))}")
    if shown.min() < bottom:
        note_beyond(axes, f"below: down to {number(float(shown.min()))}", below=True)


def note_beyond(axes: Any, words: str, below: bool = False) -> None:
    """What leaves a picture, said at the edge where it does."""
    height, edge = (0.02, "bottom") if below else (0.98, "top")
    axes.text(0.99, height, words, transform=axes.transAxes, ha="right", va=edge, fontsize=7.5, color="#777777")


def logarithmic(axes: Any, ticks: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Make the vertical axis logarithmic, with plain numbers at these ticks of every decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _label_lines(axes: Any, lines: Mapping[str, float]) -> None:
    """Names of horizontal lines at the right edge, pushed apart where they would overlap."""
    to_axes = axes.transData + axes.transAxes.inverted()
    at = -math.inf
    for name, value in sorted(lines.items(), key=lambda item: item[1]):
        height = float(to_axes.transform((0.0, value))[1])
        at = max(height, at + 0.055)
        axes.annotate(
            f"{name} {number(value)}",
            (1.02, at),
            xycoords="axes fraction",
            fontsize=9,
            color=INK,
            va="center",
            annotation_clip=False,
        )


def grouped_bars(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    label: str,
    title: str = "",
    factor: float = 1.0,
    colors: Mapping[str, str] | None = None,
    least: float | None = None,
) -> Any:
    """Bars of every agent for every scenario, error bars over seeds (standard deviation).

    Args:
        values: scenario -> agent -> one value a seed; an agent may be missing somewhere.
        label: the vertical axis, with the unit.
        title: above the axes.
        factor: from the values to that unit.
        colors: agent -> color; by the order of the agents where it says nothing.
        least: what is drawn of smaller values, in the unit of the axis. Where it is given and the largest value is
            more than BARS_UP_TO times the smallest, marks on a logarithmic axis take the place of bars, whose length
            would mean nothing there.
    """
    scenarios = list(values)
    agents = list(dict.fromkeys(agent for row in values.values() for agent in row))
    looks = {agent: {"color": COLORS[a % len(COLORS)], "hatch": "///" if a >= len(COLORS) else None}
             for a, agent in enumerate(agents)}  # fmt: skip
    looks |= {agent: {"color": color, "hatch": None} for agent, color in (colors or {}).items()}
    panels = _panels(scenarios, len(agents))
    width_in = min(max(6.5, 1.4 + 0.16 * len(panels[0]) * (len(agents) + 1.2)), 13.0)
    figure = new_figure(width_in, 1.2 + (3.4 if len(panels) == 1 else 2.5) * len(panels))
    axes = figure.subplots(len(panels), squeeze=False)[:, 0]
    marks = least is not None and _many_sizes(values, factor, least)
    for panel, names in zip(axes, panels, strict=True):
        shown = {name: values[name] for name in names}
        if marks:
            _marks(panel, shown, agents, factor, {agent: looks[agent]["color"] for agent in agents}, least or 0.0)
        else:
            _bars(panel, shown, agents, factor, looks)
        _name_scenarios(panel, names)
        panel.set_xlim(-0.6, len(panels[0]) - 0.4)
        panel.set_ylabel(label)
        clean(panel)
    handles, names = axes[0].get_legend_handles_labels()
    top_legend(figure, dict(zip(names, handles, strict=True)), title)
    return figure


def _many_sizes(values: Mapping[str, Mapping[str, Sequence[float]]], factor: float, least: float) -> bool:
    means = [factor * float(np.mean(seeds)) for row in values.values() for seeds in row.values()]
    means = [max(mean, least) for mean in means if math.isfinite(mean)]
    return min(means, default=0.0) > 0 and max(means) > BARS_UP_TO * min(means)


def _panels(scenarios: Sequence[str], agents: int) -> list[list[str]]:
    """Scenarios in rows of about equal length, so that bars and names stay legible."""
    rows = max(1, math.ceil(len(scenarios) * (agents + 1.2) / BARS_IN_A_ROW))
    most = math.ceil(len(scenarios) / rows)
    return [list(scenarios[i : i + most]) for i in range(0, len(scenarios), most)]


def _placed(
    values: Mapping[str, Mapping[str, Sequence[float]]], agents: Sequence[str], factor: float
) -> list[tuple[str, np.ndarray, list[np.ndarray]]]:
    """(agent, where it stands, its values there), side by side within a scenario."""
    width, found = 0.86 / len(agents), []
    for a, agent in enumerate(agents):
        rows = [(i, row[agent]) for i, row in enumerate(values.values()) if agent in row]
        at = np.array([i + (a - (len(agents) - 1) / 2) * width for i, _ in rows])
        found.append((agent, at, [np.asarray(seeds, dtype=float) * factor for _, seeds in rows]))
    return found


def _bars(
    axes: Any,
    values: Mapping[str, Mapping[str, Sequence[float]]],
    agents: Sequence[str],
    factor: float,
    looks: Mapping[str, Mapping[str, Any]],
) -> None:
    for agent, at, seeds in _placed(values, agents, factor):
        axes.bar(
            at, [s.mean() for s in seeds], 0.86 / len(agents), edgecolor="white", linewidth=0.4, label=agent,
            **looks[agent],
        )  # fmt: skip
        _spread(axes, at, seeds)


def _marks(
    axes: Any,
    values: Mapping[str, Mapping[str, Sequence[float]]],
    agents: Sequence[str],
    factor: float,
    colors: Mapping[str, str],
    least: float,
) -> None:
    logarithmic(axes)
    for a, (agent, at, seeds) in enumerate(_placed(values, agents, factor)):
        means = np.maximum([s.mean() for s in seeds], least)
        look = {"color": colors[agent], "marker": MARKERS[a % len(MARKERS)], "markersize": 5.5, "linestyle": ""}
        axes.plot(at, means, label=agent, markeredgecolor="white", markeredgewidth=0.5, zorder=3, **look)
        _spread(axes, at, seeds)
    for between in range(1, len(values)):
        axes.axvline(between - 0.5, color="#dddddd", linewidth=0.8, zorder=0)


def _spread(axes: Any, at: np.ndarray, seeds: Sequence[np.ndarray]) -> None:
    several = [i for i, values in enumerate(seeds) if len(values) > 1]
    axes.errorbar(
        at[several], [seeds[i].mean() for i in several], [seeds[i].std() for i in several],
        fmt="none", ecolor=INK, elinewidth=0.9, capsize=1.6, capthick=0.9,
    )  # fmt: skip


def _name_scenarios(axes: Any, names: Sequence[str]) -> None:
    room = (axes.figure.get_size_inches()[0] - 1.2) / len(names)
    slanted = max(map(len, names)) * 0.09 > room
    slant = {"rotation": 20, "ha": "right"} if slanted else {}
    axes.set_xticks(range(len(names)), list(names), **slant)
    axes.tick_params(axis="x", length=0)


def has_error_bars(figure: Any) -> bool:
    """Whether a figure shows error bars of any length."""
    from matplotlib.container import ErrorbarContainer

    found = [c for axes in figure.axes for c in axes.containers if isinstance(c, ErrorbarContainer)]
    return any(np.ptp(bar[:, 1]) > 0 for c in found for bars in c.lines[2] for bar in bars.get_segments() if len(bar))


def scale_to(axes: Any, values: Sequence[float] | np.ndarray) -> None:
    """Make the vertical axis logarithmic where positive values differ by more than LOG_FROM."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if known.size and known.min() > 0 and known.max() / known.min() > LOG_FROM:
        logarithmic(axes)
