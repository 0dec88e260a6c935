"""What an iteration takes at every cut under four network conditions (paper, Fig. 10)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...envs.edgemove.city import rate_table
from ...envs.edgemove.planning import cut_periods
from ...envs.edgemove.system import System
from ...ui.canvas import COLORS, INK, clean, panel_grid, top_legend
from ..figures import LOG_FROM, logarithmic
from ..line_charts import label_grid, unit_for

Conditions = dict[str, tuple[float, float]]  # name -> (bit/s, round trip in s)
# What the period can be bound by (see envs.edgemove.pipeline): its words in the legend, its color and its marker.
LIMITS = (
    ("the client's computing", COLORS[0], "o"),
    ("the server's computing", COLORS[1], "s"),
    ("the link", COLORS[2], "^"),
    ("waiting, as only {in_flight} minibatches may be under way", COLORS[7], "D"),
)
STAR = COLORS[3]
NAMED_CUTS = 26  # up to so many, every cut is named
MOST_NAMES = 13


def network_conditions(system: System) -> Conditions:
    """Close to a site and at the end of its coverage, if that differs, with the lowest and the highest latency."""
    rates = rate_table(system.scenario)
    places = {"close to the site": float(rates[0]), "at the end of coverage": float(rates[-1])}
    if rates[0] == rates[-1]:
        places = {"anywhere": float(rates[0])}
    latencies = dict(zip(("low", "high"), system.scenario.edge_rtt_s, strict=True))
    return {
        f"{place}, {rate / 1e6:.3g} Mbps; {name} latency, {1e3 * rtt_s:.3g} ms": (rate, rtt_s)
        for name, rtt_s in latencies.items()
        for place, rate in places.items()
    }


def cut_times_s(system: System, rate_bits: float, rtt_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Every cut 1..L-1 with the first GPU of the scenario, unloaded.

    Args:
        system: the scenario.
        rate_bits, rtt_s: of the link.

    Returns:
        (seconds of an iteration (L - 1,), index into ``LIMITS`` of what it is bound by (L - 1,)).
    """
    setting, server_s = system.scenario, system.server_s[0, 1:-1]
    period_s = cut_periods(system, server_s[:, None], rate_bits, rtt_s)[:, 0]
    link_s = (2.0 if setting.half_duplex else 1.0) * system.link_bits[1:-1] / rate_bits
    occupied = np.stack([system.client_s[1:-1], server_s, link_s])
    bound = np.where(occupied.max(axis=0) >= period_s * (1.0 - 1e-12), occupied.argmax(axis=0), len(occupied))
    return period_s, bound


def landscape_figure(system: System, title: str) -> Any:
    """A mark for every cut, a panel for every network condition, the fastest with a star; None without a cut.

    Times differ by orders of magnitude, so the axis may be logarithmic: there are no bars, which would need a zero.

    Args:
        system: the scenario.
        title: above the panels.
    """
    if system.n_layers < 2:
        return None
    found = {name: cut_times_s(system, *link) for name, link in network_conditions(system).items()}
    alone_s = system.on_device_iteration_s
    everything = np.concatenate([[alone_s], *(period_s for period_s, _ in found.values())])
    unit, factor = unit_for(everything)
    figure, panels = panel_grid(len(found), 2)
    figure.set_size_inches(10.5, 6.6)
    for axes, (name, (period_s, bound)) in zip(panels, found.items(), strict=True):
        _draw_times(axes, factor * period_s, bound, system.scenario.in_flight)
        axes.axhline(factor * alone_s, color=INK, linewidth=0.9, linestyle=(0, (5, 3)), label="client alone")
        axes.set_title(name, loc="left", fontsize=9.5)
        _name_cuts(axes, system)
        clean(axes)
    _share_scale(panels, factor * everything)
    label_grid(panels, "cut behind layer: it and those before run on the client", f"time of an iteration ({unit})")
    _add_legend(figure, panels, title)
    return figure


def _draw_times(axes: Any, times: np.ndarray, bound: np.ndarray, in_flight: int) -> None:
    cuts = np.arange(1, len(times) + 1)
    axes.plot(cuts, times, color="#bbbbbb", linewidth=1.0, zorder=1.5)
    for limit, (words, color, marker) in enumerate(LIMITS):
        chosen = bound == limit
        if chosen.any():
            look = {"color": color, "marker": marker, "markersize": 5.5, "linestyle": ""}
            axes.plot(cuts[chosen], times[chosen], label=f"limited by {words.format(in_flight=in_flight)}", **look)
    best = int(times.argmin())
    axes.plot(
        cuts[best], times[best], marker="*", markersize=14, color=STAR, markeredgecolor="white", linestyle="",
        label="fastest cut", clip_on=False, zorder=4,
    )  # fmt: skip


def _name_cuts(axes: Any, system: System) -> None:
    cuts = np.arange(1, system.n_layers)
    if len(cuts) > NAMED_CUTS:
        cuts = np.unique(np.linspace(1, system.n_layers - 1, MOST_NAMES).round().astype(int))
    names = [f"{cut} {system.names[cut - 1]}" for cut in cuts]
    axes.set_xticks(cuts, [name if len(name) <= 16 else f"{name[:15]}…" for name in names], rotation=90, fontsize=7)
    axes.set_xlim(0.3, system.n_layers - 0.3)
    axes.tick_params(axis="x", length=2)


def _share_scale(panels: list[Any], times: np.ndarray) -> None:
    """The same limits in all panels, so that times compare."""
    low, high = float(times.min()), float(times.max())
    for axes in panels:
        if high / low > LOG_FROM:
            logarithmic(axes)
            axes.set_ylim(low / 1.3, high * 1.3)
        else:
            axes.set_ylim(0.0, 1.1 * high)


def _add_legend(figure: Any, panels: list[Any], title: str) -> None:
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    top_legend(figure, handles, title)
