"""Inputs of the paper and of devices: what a scenario asks for, in Python and in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from splitgym.envs.scenarios import BaseScenario, Inferred, Inputs, chosen, filled, load
from splitgym.ui.validation import Mbps, validated

from .. import refused
from .scenario_files import write

PAPER = {"mbps": 100.0, "depth": lambda model: len(model)}
INFERRED = Inferred("Table 1's first column", "the others")


@dataclass(frozen=True)
class Setting(BaseScenario):
    inferred: ClassVar[Inferred | None] = INFERRED
    mbps: Mbps = 5.0
    depth: int = 0


@dataclass(frozen=True)
class Other(BaseScenario):
    """Of a family whose paper implies nothing."""


def named(name: str, inputs: Inputs | None) -> Setting:
    if name.endswith(".yaml"):
        return load(Setting, name, (), PAPER, inputs)
    return validated(Setting, filled({"name": name, "model": "lenet5", "inputs": inputs or "paper"}, PAPER), name)


def get(name: str, **changes: Any) -> Setting:
    return chosen(named, name, changes, ())


def test_named_scenarios_are_the_papers_unless_asked_otherwise() -> None:
    paper, devices = get("a"), get("a", inputs="devices")
    assert (paper.inputs, paper.mbps, paper.depth) == ("paper", 100.0, len("lenet5"))
    assert (devices.inputs, devices.mbps, devices.depth) == ("devices", 5.0, 0)
    assert get("a", inputs="paper", mbps=3.0) == get("a", mbps=3.0)
    assert get("a", mbps=3.0).depth == paper.depth
    assert paper.provenance == (
        "inputs: inferred from the paper (fitted to: Table 1's first column; checked on: the others)",
    )
    assert devices.provenance == ()


def test_files_are_of_devices_unless_they_or_the_caller_say_so(tmp_path: Path) -> None:
    path = write(tmp_path, {"model": "lenet5", "mbps": 7.0})
    assert get(path) == Setting("mine", "lenet5", mbps=7.0)
    expected = Setting("mine", "lenet5", inputs="paper", mbps=7.0, depth=6)
    assert get(path, inputs="paper") == expected
    path = write(tmp_path, {"model": "lenet5", "mbps": 7.0, "inputs": "paper"})
    assert get(path) == expected
    assert get(path, inputs="devices") == Setting("mine", "lenet5", mbps=7.0)


@pytest.mark.parametrize("inputs", ["Paper", 3, ""])
def test_other_inputs_are_refused(tmp_path: Path, inputs: Any) -> None:
    with refused(f"inputs is {inputs!r}", "allowed: paper, devices"):
        get("a", inputs=inputs)
    with refused("inputs is", "paper, devices"):
        get(write(tmp_path, {"model": "lenet5", "inputs": inputs}))


def test_papers_that_imply_nothing_have_no_inputs_of_their_own() -> None:
    with refused("inputs is 'paper'", "allowed here: devices"):
        Other("a", "lenet5", inputs="paper")
