"""What every family can do and cannot, from its own ``cases`` module."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from splitgym.envs import FAMILIES

CASES = {name: import_module(f".{name}.cases", __package__) for name in FAMILIES}


def own(table: str) -> list[tuple[Any, ...]]:
    """(name, *case) of every family that has such a table."""
    return [(name, *case) for name, cases in CASES.items() for case in getattr(cases, table, ())]
