"""How trainings went (paper, Figs. 8-16): test accuracy by epoch, by bytes and by time, an agent a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...envs.deprune.viewer import BAND_COLORS, runs_of
from ...ui.canvas import COLORS, INK, new_figure, panel_grid
from ..figures import MARKERS
from ..line_charts import Seeds, finish, label_grid, legend, unit_for
from ..results import Result

COLUMNS = 2  # of panels side by side
LETTERS = 1.6  # epochs that one digit of a budget takes up, of a hundred
BYTES_UNITS = (("GB", 1e-9, 1e9), ("MB", 1e-6, 1e6), ("KB", 1e-3, 0.0))  # unit, factor, from so many bytes on
# Some schedules begin like others or are the same: broad lines lie below narrow ones, so that all can be seen.
WIDTHS = {"best-schedule": 3.4, "deprune": 2.2, "prune": 2.2}
ENDS = tuple(marker for marker in MARKERS if marker != "D")  # marks where lines end; diamonds are changes of budget
Colors = Mapping[str, str]


@dataclass(frozen=True)
class Progress:
    """The last trainings of an agent, one for every seed.

    Attributes:
        budgets: (T,) maps, of the first seed.
        accuracy: (seeds, T), %.
        sent_bytes, elapsed_s: (T,) so far, means over seeds.
    """

    budgets: np.ndarray
    accuracy: np.ndarray
    sent_bytes: np.ndarray
    elapsed_s: np.ndarray

    @property
    def changes(self) -> np.ndarray:
        """Indices of the first epochs at another budget than before."""
        return np.flatnonzero(np.diff(self.budgets)) + 1


def progress_of(results: Sequence[Result]) -> Progress | None:
    """What the results of one agent on one scenario show; None without traces."""
    traces = [result.trace for result in results if result.trace is not None]
    traces = [trace for trace in traces if len(trace["budget"]) == len(traces[0]["budget"])]
    if not traces or not len(traces[0]["budget"]):
        return None
    return Progress(
        np.asarray(traces[0]["budget"], dtype=int),
        100.0 * np.array([trace["accuracy"] for trace in traces], dtype=float),
        np.mean([np.cumsum(trace["sent_bytes"]) for trace in traces], axis=0),
        np.mean([np.cumsum(trace["epoch_s"]) for trace in traces], axis=0),
    )


def marker_of(agent: str, colors: Colors) -> str:
    """The mark of an agent, the same in every figure."""
    return ENDS[list(colors).index(agent) % len(ENDS)]


def look(agent: str) -> dict[str, float]:
    """Width and height (what is drawn over what) of an agent's line."""
    width = WIDTHS.get(agent, 1.4)
    return {"linewidth": width, "zorder": 3.0 - 0.1 * width}


def progress_figure(scenarios: Mapping[str, Seeds], colors: Colors) -> Any:
    """Test accuracy by epoch, below it the budgets of every agent as bands; a column for every scenario.

    Returns:
        A figure, or None without traces.
    """
    shown = _with_progress(scenarios)
    if not shown:
        return None
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    strip_in = 0.35 + 0.2 * max(map(len, shown.values()))
    figure = new_figure(8.5 if columns == 1 else 6.0 * columns, 0.8 + rows * (3.3 + strip_in))
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=(3.3, strip_in) * rows)
    places = [
        (grid[2 * (i // columns), i % columns], grid[2 * (i // columns) + 1, i % columns])
        for i in range(rows * columns)
    ]
    for spare in places[len(shown) :]:
        for axes in spare:
            axes.remove()
    for (axes, strip), (name, agents) in zip(places, shown.items(), strict=False):
        for agent, found in agents.items():
            _line(
                axes, np.arange(1, found.accuracy.shape[1] + 1), found, agent, colors[agent], marker_of(agent, colors)
            )
        _draw_budgets(strip, agents, colors)
        axes.set_xlim(strip.get_xlim())
        axes.tick_params(labelbottom=False)
        axes.set_ylabel("test accuracy (%)")
        finish(axes, name)
    legend(figure, _title("Test accuracy by epoch (Figs. 8-16)", shown))
    return figure


def by_bytes_figure(scenarios: Mapping[str, Seeds], colors: Colors) -> Any:
    """Test accuracy by the bytes that were sent so far, a panel for every scenario; None without traces."""
    shown = _with_progress(scenarios)
    if not shown:
        return None
    most = max(float(p.sent_bytes[-1]) for agents in shown.values() for p in agents.values())
    unit, factor = next((unit, factor) for unit, factor, least in BYTES_UNITS if most >= least)
    figure = _by_cost(shown, colors, lambda progress: factor * progress.sent_bytes, f"bytes sent so far ({unit})")
    legend(figure, _title("Test accuracy by bytes sent so far over the cut", shown))
    return figure


def by_time_figure(scenarios: Mapping[str, Seeds], colors: Colors) -> Any:
    """Test accuracy by training time, a panel for every link; None without traces."""
    shown = _with_progress(scenarios)
    if not shown:
        return None
    unit, factor = unit_for(p.elapsed_s[-1] for agents in shown.values() for p in agents.values())
    figure = _by_cost(shown, colors, lambda progress: factor * progress.elapsed_s, f"training time ({unit})")
    legend(figure, _title("Test accuracy by training time", shown))
    return figure


def cuts_figure(scenarios: Mapping[str, Seeds]) -> Any:
    """Test accuracy by epoch, a panel for every agent, a line for every cut (Fig. 14); None for a single one."""
    shown = _with_progress(scenarios)
    agents = list(dict.fromkeys(agent for found in shown.values() for agent in found))
    agents = [agent for agent in agents if sum(agent in found for found in shown.values()) > 1]
    if not agents:
        return None
    figure, panels = panel_grid(len(agents))
    for axes, agent in zip(panels, agents, strict=True):
        for i, (name, found) in enumerate(shown.items()):
            if agent in found:
                progress = found[agent]
                epochs = np.arange(1, progress.accuracy.shape[1] + 1)
                _line(axes, epochs, progress, name, COLORS[i % len(COLORS)], ENDS[i % len(ENDS)])
        axes.xaxis.get_major_locator().set_params(integer=True)
        finish(axes, agent)
    label_grid(panels, "epoch", "test accuracy (%)")
    legend(figure, _title("Test accuracy by epoch and cut (Figs. 11, 14)", shown))
    return figure


def _title(text: str, shown: Mapping[str, Mapping[str, Progress]]) -> str:
    """With what marks and shades mean, where there are any."""
    every = [progress for agents in shown.values() for progress in agents.values()]
    marks = "; diamonds: other number of maps" if any(len(p.changes) for p in every) else ""
    shades = "; shades: seeds" if any(len(p.accuracy) > 1 for p in every) else ""
    return f"{text}, last episode{marks}{shades}"


def _with_progress(scenarios: Mapping[str, Seeds]) -> dict[str, dict[str, Progress]]:
    """Scenario -> agent -> its trainings, where there are any."""
    found = {name: {agent: progress_of(rs) for agent, rs in seeds.items()} for name, seeds in scenarios.items()}
    known = {name: {agent: p for agent, p in agents.items() if p is not None} for name, agents in found.items()}
    return {name: agents for name, agents in known.items() if agents}


def _by_cost(
    shown: Mapping[str, Mapping[str, Progress]], colors: Colors, cost: Callable[[Progress], np.ndarray], below: str
) -> Any:
    """Panels of accuracies against what they cost so far, on one logarithmic axis: costs differ by powers of two."""
    figure, panels = panel_grid(len(shown), COLUMNS)
    for axes, (name, agents) in zip(panels, shown.items(), strict=True):
        for agent, found in agents.items():
            _line(axes, cost(found), found, agent, colors[agent], marker_of(agent, colors))
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        finish(axes, name)
    for get, put in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
        lows, highs = zip(*(getattr(axes, get)() for axes in panels), strict=True)
        for axes in panels:
            getattr(axes, put)(min(lows), max(highs))
    label_grid(panels, below, "test accuracy (%)")
    return figure


def _line(axes: Any, at: np.ndarray, progress: Progress, label: str, color: str, marker: str) -> None:
    """Mean over seeds, its spread where there are several, diamonds where the budget changes, its mark at the end."""
    mean, spread = progress.accuracy.mean(axis=0), progress.accuracy.std(axis=0)
    if len(progress.accuracy) > 1:
        axes.fill_between(at, mean - spread, mean + spread, color=color, alpha=0.15, linewidth=0)
    mark = {"markersize": 6, "markeredgecolor": "white", "color": color}
    axes.plot(at, mean, label=label, marker=marker, markevery=[len(at) - 1], **mark, **look(label))
    axes.plot(at, mean, linestyle="", marker="D", markevery=progress.changes.tolist(), **mark)


def _band(place: int, count: int) -> int:
    """Index of the color of the ``place``th of so many budgets; a single one has the last."""
    return len(BAND_COLORS) - 1 if count == 1 else round(place * (len(BAND_COLORS) - 1) / (count - 1))


def _draw_budgets(axes: Any, agents: Mapping[str, Progress], colors: Colors) -> None:
    """A row for every agent: its budgets over the epochs, the number of maps where there is room."""
    epochs = max(len(progress.budgets) for progress in agents.values())
    budgets = sorted({budget for progress in agents.values() for budget in progress.budgets.tolist()})
    for row, progress in enumerate(agents.values()):
        for first, last, budget in runs_of(progress.budgets):
            color = BAND_COLORS[_band(budgets.index(budget), len(budgets))]
            axes.barh(row, last - first, 0.86, first + 0.5, color=color, edgecolor="white", linewidth=0.8)
            if last - first >= LETTERS * len(str(budget)) * epochs / 100:
                middle = (first + last + 1) / 2
                axes.text(middle, row, str(budget), ha="center", va="center_baseline", fontsize=7, color=INK)
    axes.set_yticks(range(len(agents)), list(agents), fontsize=8)
    for tick, agent in zip(axes.get_yticklabels(), agents, strict=True):
        tick.set_color(colors[agent])
    axes.set_ylim(len(agents) - 0.5, -0.5)
    axes.set_xlim(0.5, epochs + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("epoch (on the bars: feature maps sent of each image)")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
