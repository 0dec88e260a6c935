"""What the benchmarks leave behind: every group's newest figures in one file, of which the pages of docs/ quote."""

from __future__ import annotations

import datetime
import inspect
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measure import Figure

from splitgym.experiments.out_folders import versions
from splitgym.profiling.measure.machine import board_name
from splitgym.ui.files import write_text
from splitgym.ui.validation import read_json

SCHEMA = 1
FILE = Path(__file__).resolve().parents[1] / "docs" / "results" / "benchmarks.json"


def record(path: Path, group: str, about: str, figures: Sequence[Figure]) -> None:
    """Put a group's figures into a file, in place of its older ones; other groups stay.

    Args:
        path: of the file, which may be new.
        group: its name.
        about: what its figures say, in a line.
        figures: all of them.

    Raises:
        InputError: the file cannot be read or written.
        ValueError: two figures have the same name.
    """
    twice = [name for name, count in Counter(figure.name for figure in figures).items() if count > 1]
    if twice:
        raise ValueError(f"{group}: several figures are called {twice[0]!r}")
    groups = read_json(path, schema=SCHEMA)["groups"] if path.exists() else {}
    groups.pop(group, None)
    groups[group] = {
        "about": about,
        "command": f"benchmarks/run.py --only {group}",
        "date": datetime.date.today().isoformat(),
        "machine": board_name(),
        "cpus": os.cpu_count(),
        "versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
        "figures": {figure.name: _values(figure) for figure in figures},
    }
    write_text(path, _lines(groups))


def about(group: Callable[..., Any]) -> str:
    """What a group's figures say: the first line of its docstring."""
    text = inspect.getdoc(getattr(group, "func", group))  # a partial function's own is of no use
    assert text, group
    return text.partition("\n")[0]


def _values(figure: Figure) -> dict[str, Any]:
    """What a figure has beside its name; what it lacks is left out."""
    values = {key: value for key, value in asdict(figure).items() if key != "name" and value not in (None, "")}
    return {key: value if isinstance(value, str) else float(f"{value:.6g}") for key, value in values.items()}


def _lines(groups: dict[str, Any]) -> str:
    """JSON with a line a figure."""
    parts = []
    for name, group in groups.items():
        head = json.dumps({key: value for key, value in group.items() if key != "figures"}, ensure_ascii=False)
        figures = (f"  {json.dumps(n)}: {json.dumps(f, ensure_ascii=False)}" for n, f in group["figures"].items())
        parts.append(f' {json.dumps(name)}: {head[:-1]}, "figures": {{\n' + ",\n".join(figures) + "\n }}")
    return f'{{"schema": {SCHEMA}, "groups": {{\n' + ",\n".join(parts) + "\n}}\n"
