"""Results on the screen: metrics in units that people read, tables with the best in bold."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..envs import Family
from .results import Result, best_of

_SOURCE = re.compile(r"(.*?): (modelled|measured|imported|inferred)\b")
SECONDS_FROM = 10.0  # times are shown in ms below, in s from here on
LONG_FROM = 100.0  # a column of a table that reaches this many seconds is in s whatever the others are in


def unit_of(metric: str, values: Sequence[float]) -> tuple[str, float]:
    """Unit on the screen for values of a metric, and the factor to it; empty where the name has none."""
    if metric.endswith("_s"):
        known = [abs(v) for v in values if math.isfinite(v)]
        return ("s", 1.0) if known and max(known) >= SECONDS_FROM else ("ms", 1e3)
    if metric.endswith("_bytes"):
        return "MB", 1e-6
    if metric.endswith("_mbps"):
        return "Mbps", 1.0
    return "", 1.0


def label_of(family: Family, metric: str, unit: str) -> str:
    """A metric's name for people, with its unit."""
    stem = metric
    for suffix in ("_s", "_bytes", "_mbps"):
        stem = stem.removesuffix(suffix)
    name = family.labels.get(metric, stem.replace("_", " "))
    return f"{name} ({unit})" if unit else name


def axis_of(family: Family, metric: str, values: Sequence[float]) -> tuple[str, float]:
    """(label, factor) of a metric on an axis."""
    unit, factor = unit_of(metric, values)
    return label_of(family, metric, unit), factor


def show_value(family: Family, metric: str, value: float) -> str:
    """One value with its unit."""
    unit, factor = unit_of(metric, [value])
    return f"{number(value * factor)} {unit or family.labels.get(metric, '')}".rstrip()


def digits_for(values: Sequence[float]) -> int:
    """Decimals that show values side by side in about four digits."""
    known = [abs(v) for v in values if math.isfinite(v)]
    if not known or all(v == round(v) for v in known):
        return 0
    most = max(known)
    return 0 if most >= 10_000 else 1 if most >= 20 else 2 if most >= 2 else 3 if most >= 0.2 else 4


def number(value: float, digits: int | None = None) -> str:
    """A number with so many decimals, or about four digits in all."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits_for([value]) if digits is None else digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def ranking(results: Sequence[Result], family: Family, regret_mark: str = "") -> Table:
    """One line for every agent, best first, the trained or planned one marked.

    Args:
        results: of one scenario.
        family: says which metric ranks.
        regret_mark: behind the name of the regret column.
    """
    first = results[0].metrics
    time_unit = _time_unit(results, family)
    metrics = [family.headline, *(name for name in first if name != family.headline)]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("agent", no_wrap=True)
    columns = {}
    for name in metrics:
        values = [r.metrics[name] for r in results]
        unit, factor = unit_of(name, values)
        if name.endswith("_s") and not any(LONG_FROM <= abs(v) < math.inf for v in values):
            unit, factor = time_unit
        mark = regret_mark if name == family.regret else ""
        table.add_column(label_of(family, name, unit) + mark, justify="right")
        columns[name] = factor, digits_for([v * factor for v in values])
    digits = _seconds_digits([r.seconds for r in results])
    table.add_column("took (s)", justify="right")
    table.add_column("")
    best = best_of(family, [r.metrics[family.headline] for r in results])
    order = sorted(results, key=lambda r: r.metrics[family.headline], reverse=not family.lower_is_better)
    for result in order:
        mine = result.kind in ("trained", "planned", "online")
        cells = [number(result.metrics[name] * factor, digits) for name, (factor, digits) in columns.items()]
        if ties(result.metrics[family.headline], best):
            cells[0] = f"[bold]{cells[0]}[/bold]"
        name = f"[bold]{result.agent}[/bold]" if mine else result.agent
        table.add_row("▸" if mine else "", name, *cells, number(result.seconds, digits), f"[dim]{result.kind}[/dim]")
    return table


def comparison(results: Sequence[Result], family: Family, width: int) -> tuple[str, list[Table]]:
    """Scenarios by agents, the headline metric with its spread over seeds, best in bold.

    Returns:
        (title, one table; or several, the agents dealt out, where ``width`` characters cannot hold all).
    """
    headline = family.headline
    scenarios = list(dict.fromkeys(r.scenario for r in results))
    agents = list(dict.fromkeys(r.agent for r in results))
    cells: dict[tuple[str, str], list[float]] = {}
    for result in results:
        cells.setdefault((result.scenario, result.agent), []).append(result.metrics[headline])
    unit, factor = unit_of(headline, [v for values in cells.values() for v in values])
    least = min(1, digits_for([v * factor for values in cells.values() for v in values]))
    digits = {s: max(least, digits_for([v * factor for k in cells if k[0] == s for v in cells[k]])) for s in scenarios}
    texts = {key: _cell(np.array(values) * factor, digits[key[0]]) for key, values in cells.items()}
    for scenario in scenarios:
        means = {agent: float(np.mean(cells[scenario, agent])) for agent in agents if (scenario, agent) in cells}
        best = best_of(family, means.values())
        for agent, mean in means.items():
            if ties(mean, best):
                texts[scenario, agent] = f"[bold green]{texts[scenario, agent]}[/bold green]"
    spread = ", mean ± standard deviation over seeds" if any(len(v) > 1 for v in cells.values()) else ""
    tables = []
    for part in _parts(agents, texts, max(map(len, scenarios)), width):
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("scenario", no_wrap=True)
        for agent in part:
            table.add_column(agent, justify="right", no_wrap=True)
        for scenario in scenarios:
            table.add_row(escape(scenario), *(texts.get((scenario, agent), "–") for agent in part))
        tables.append(table)
    return f"{label_of(family, headline, unit)}{spread}", tables


def _time_unit(results: Sequence[Result], family: Family) -> tuple[str, float]:
    """The one unit of all times in a table: that of its headline, or of the longest where that is no time."""
    first = results[0].metrics
    names = [family.headline] if family.headline.endswith("_s") else [name for name in first if name.endswith("_s")]
    return unit_of("any_s", [result.metrics[name] for result in results for name in names])


def _seconds_digits(seconds: Sequence[float]) -> int:
    """Decimals of wall-clock times in seconds, of which some may be of milliseconds."""
    return 3 if max((s for s in seconds if math.isfinite(s)), default=0.0) < 100.0 else 1


def ties(value: float, best: float) -> bool:
    """Whether a value is as good as the best."""
    return math.isclose(value, best, rel_tol=1e-9)


def _cell(values: np.ndarray, digits: int) -> str:
    text = number(float(values.mean()), digits)
    return f"{text} ± {number(float(values.std()), digits)}" if len(values) > 1 else text


def _parts(agents: Sequence[str], texts: Mapping[tuple[str, str], str], first: int, width: int) -> list[list[str]]:
    """Agents in runs of columns that fit into ``width`` characters."""
    parts: list[list[str]] = [[]]
    used = max(first, len("scenario")) + 2
    for agent in agents:
        shown = [len(Text.from_markup(text)) for (_, name), text in texts.items() if name == agent]
        need = max(len(agent), *shown) + 2
        if parts[-1] and used + need > width:
            parts.append([])
            used = max(first, len("scenario")) + 2
        parts[-1].append(agent)
        used += need
    return parts


def sources(provenance: Sequence[str]) -> str:
    """Which numbers are modelled, measured or imported, the kind alone where all are of one; and inferred inputs."""
    found: dict[str, list[str]] = {}
    for line in provenance:
        if match := _SOURCE.match(line):  # what the rest says is about where that kind comes from
            what, kind = match.groups()
            found.setdefault(kind, []).append(re.sub("^training of .* on ", "training on ", what.split("; ")[-1]))
    inferred = ["inputs inferred from the paper"] if found.pop("inferred", None) else []
    if len(found) > 1:
        return ", ".join([*(f"{kind} ({', '.join(dict.fromkeys(what))})" for kind, what in found.items()), *inferred])
    return ", ".join([*found, *inferred])


def provenance_lines(provenance: Sequence[str]) -> list[str]:
    """Where the numbers come from, to be printed below every table; models on the same device share a line."""
    grouped: dict[str, list[str]] = {}
    for line in provenance:
        what, on, where = line.partition(" on ")
        grouped.setdefault(where if on else line, []).extend([what] if on else [])
    lines = [f"{', '.join(dict.fromkeys(what))} on {rest}" if what else rest for rest, what in grouped.items()]
    return [f"{'numbers:' if i == 0 else '':9}{line}" for i, line in enumerate(lines)]
