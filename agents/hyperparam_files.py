"""Hyperparameters in files of their own, in the form of ``hyperparams/<family>.yaml``: agent -> default or scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..ui.errors import InputError
from ..ui.files import read_yaml
from ..ui.names import meant
from ..ui.validation import shown
from .registry import agents_of

Table = Mapping[str, Mapping[str, Mapping[str, Any]]]  # agent -> default or scenario -> hyperparameters


def read_hyperparams(path: Path, family: str) -> Table:
    """The table of a file; its values are checked where an agent is made.

    Raises:
        InputError: it cannot be read, has another form, or names an agent that the family has not.
    """
    data = read_yaml(path)
    form = "agent: {default: {name: value}, <scenario>: {name: value}}"
    for agent, entry in _mapping(data, str(path), form).items():
        if agent not in agents_of(family):
            raise InputError(
                f"{path}: unknown agent {shown(agent)} for {family}; "
                f"{meant(str(agent), agents_of(family), f'splitgym-train --env {family} --list agents')}"
            )
        for key, values in _mapping(entry, f"{path}: {agent}", form).items():
            _mapping(values, f"{path}: {agent}: {key}", form)
    return data


def _mapping(data: Any, where: str, form: str) -> Mapping[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise InputError(f"{where}: is {shown(data)}, allowed: {form}")
    return data


def write_hyperparams(agent: str, scenario: str, values: Mapping[str, Any], comment: str) -> str:
    """The text of a file that says them of one agent and scenario, below a comment."""
    import yaml

    return f"# {comment}\n{yaml.safe_dump({agent: {scenario: dict(values)}}, sort_keys=False)}"
