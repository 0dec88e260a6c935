"""One HTML page with all claims, quantities, pictures and leaderboards; it opens without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...ui.files import write_text
from .board import board
from .findings import Entry, Paper, entries
from .leaderboard import Place
from .ledger import JobFailed, Ledger
from .statement import TOLERANCE, Exhibit, Setting, answer
from .verdict import VERDICTS
from .words import number, summary, told, wanted

PAGE = "report.html"
TEMPLATE = Path(__file__).parent / "report.html.j2"
INPUTS = {"paper": "the paper's inputs", "devices": "devices' inputs"}
BASES = {
    "arithmetic": "by the paper's definitions", "modelled": "modelled latencies", "trained": "trained here",
    "executed": "executed",
}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """An exhibit as the page shows it: its entries, and a picture (SVG) or why there is none."""

    exhibit: Exhibit
    entries: list[Entry]
    picture: str
    missing: str


@dataclass(frozen=True)
class Section:
    """A paper as the page shows it."""

    paper: Paper
    shown: list[Shown]
    places: list[Place]


def section(paper: Paper, settings: Sequence[Setting], ledger: Ledger, leaderboard: bool, draw: bool = True) -> Section:
    """Judge a paper's claims, and draw its figures, by the results in a ledger."""
    found: dict[str, list[Entry]] = {}
    for entry in entries(paper, settings, ledger):
        found.setdefault(entry.exhibit, []).append(entry)
    shown = [
        Shown(e, found.get(e.key, []), *(_picture(e, settings[0], ledger) if draw else ("", "")))
        for e in paper.exhibits
    ]
    return Section(paper, shown, _places(paper, settings[0], ledger) if leaderboard else [])


def _places(paper: Paper, setting: Setting, ledger: Ledger) -> list[Place]:
    """The leaderboard; empty where a score is missing, which the failed job tells."""
    try:
        return answer(paper.leaderboard.scores, setting, ledger.result)
    except JobFailed:
        return []


def _picture(exhibit: Exhibit, setting: Setting, ledger: Ledger) -> tuple[str, str]:
    """(SVG, what is in the way of it) of an exhibit."""
    if exhibit.draw is None:
        return "", ""
    try:
        return svg(answer(exhibit.draw, setting, ledger.result)), ""
    except JobFailed as error:
        return "", str(error)


def svg(figure: Any) -> str:
    """A figure as SVG, the same for the same figure."""
    import matplotlib

    target = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "splitgym", "svg.fonttype": "path"}):
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()


def data_uri(picture: str) -> str:
    """An SVG as an address that a page can hold."""
    return "data:image/svg+xml;base64," + base64.b64encode(picture.encode()).decode()


def write_report(sections: Sequence[Section], about: Mapping[str, str], path: Path) -> None:
    """Write the page.

    Args:
        about: what was run, how long it took, versions; name -> text.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"uri": data_uri, "told": told, "wanted": wanted, "number": number, "summary": summary}
    judged = {name: text for name, text in INPUTS.items() if name in _judged(sections)}
    heads = [f"{what}, {text}" for text in judged.values() for what in ("here", "verdict")]
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    page = template.render(
        sections=sections, about=about, verdicts=VERDICTS, inputs=judged, bases=BASES, tolerance=TOLERANCE,
        columns=("paper", "where", "the paper says", "published", *heads, "from"),
        counts=counts([e for s in sections for shown in s.shown for e in shown.entries]),
        boards={s.paper.family.name: svg(board(s.paper, s.places)) for s in sections if s.places},
    )  # fmt: skip
    write_text(path, page)


def _judged(sections: Sequence[Section]) -> set[str]:
    """Under which inputs claims were judged."""
    return {f.inputs for s in sections for shown in s.shown for entry in shown.entries for f in entry.findings}


def counts(found: Sequence[Entry]) -> dict[str, int]:
    """How many claims have which verdict, under the first inputs they were judged with."""
    return {verdict: sum(e.findings[0].verdict == verdict for e in found) for verdict in VERDICTS}
