"""The tables of the studies that ship, as their commands print them with ``--recorded``."""

from __future__ import annotations

from importlib import import_module

from make_pages import table

from splitgym.experiments.study_command import Study, recorded, shipped


def study_table(name: str) -> str:
    """Tables, what is printed below them, and where the numbers come from.

    Args:
        name: of the study's module, as in ``l2s.staleness``.

    Raises:
        ModuleNotFoundError: there is none.
    """
    study: Study = import_module(f"splitgym.experiments.{name}").STUDY
    parts = []
    for summary in shipped(study).values():
        made, lines = study.table(summary)
        header = [str(column.header) for column in made.columns]
        rows = zip(*([str(cell) for cell in column.cells] for column in made.columns), strict=True)
        items = [*lines, recorded(summary)]
        parts += [table(header, rows), "\n".join(map(_item, items))]
    return "\n\n".join(parts)


def _item(line: str) -> str:
    """A line as one of a list, indented as it is."""
    text = line.lstrip()
    return f"{line[: len(line) - len(text)]}* {text}"
