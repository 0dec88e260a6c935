"""Inputs of the paper and of devices: what a scenario asks for, in Python and in files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest

from splitgym.envs import FAMILIES, Family
from splitgym.envs.distredge import scenarios as distredge
from splitgym.envs.distredge.best_known import BestKnown
from splitgym.envs.distredge.system import System as DistrEdgeSystem
from splitgym.envs.distredge.viewer import timeline_figure
from splitgym.envs.l2s import scenarios as l2s
from splitgym.envs.l2s.system import System as L2SSystem
from splitgym.envs.l2s.viewer import points_figure
from splitgym.envs.scenarios import INPUTS, BaseScenario, Inferred, Inputs, chosen, filled, load
from splitgym.ui.validation import Mbps, validated

from .. import refused
from .scenario_files import write

PAPER = {"mbps": 100.0, "depth": 6}
INFERRED = Inferred(PAPER, "Table 1's first column", "the others", {"alexnet": "alexnet_2012"})
UNLIKE = {"near_mbps": 300.0, "mask": "soft", "decay": 1.0}  # other values where devices have the paper's
LABEL = "inputs: inferred from the paper (fitted to: Table 1's first column; checked on: the others)"


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
    assert (paper.inputs, paper.mbps, paper.depth) == ("paper", 100.0, 6)
    assert (devices.inputs, devices.mbps, devices.depth) == ("devices", 5.0, 0)
    assert get("a", inputs="paper", mbps=3.0) == get("a", mbps=3.0)
    assert get("a", mbps=3.0).depth == paper.depth
    assert paper.provenance == (LABEL,)
    assert devices.provenance == ()


def test_provenance_names_what_was_given_instead_of_inferred() -> None:
    assert get("a", mbps=3.0).provenance == (f"{LABEL}, but mbps as given",)
    assert get("a", mbps=100.0).provenance == (LABEL,)
    assert get("a", mbps=3.0, depth=2).provenance == ()
    assert get("a", model="alexnet_2012").provenance == (LABEL,)
    assert get("a", model="alexnet").provenance == (f"{LABEL}, but model as given",)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_families_infer_what_their_papers_imply_until_told_otherwise(family: Family) -> None:
    """Every inferred field, one at a time and all at once."""
    get_scenario = import_module(f"splitgym.envs.{family.name}.scenarios").get_scenario
    paper, devices = (get_scenario(family.default_scenario, inputs=inputs) for inputs in INPUTS)
    (label,) = paper.provenance
    assert label.startswith("inputs: inferred from the paper (fitted to: ")
    assert " as given" not in label
    assert devices.provenance == ()
    usual = {name: getattr(devices, name) for name, value in paper.implied.items() if getattr(devices, name) != value}
    for name, value in usual.items():
        told = get_scenario(family.default_scenario, **{name: value}).provenance
        assert told == (() if len(paper.implied) == 1 else (f"{label}, but {name} as given",))
    unlike = {**usual, **{name: value for name, value in UNLIKE.items() if name in paper.implied}}
    assert set(unlike) == set(paper.implied)
    assert get_scenario(family.default_scenario, **unlike).provenance == ()
    assert get_scenario(family.default_scenario, inputs="devices", **paper.implied).provenance == ()


@pytest.mark.parametrize(
    ("family", "name", "changes", "given"),
    [
        ("distredge", "DB-50-uint8", {}, None),
        ("distredge", "DB-50", {"image_type": "uint8"}, None),
        ("distredge", "DB-50-shared", {}, ""),
        ("edgemove", "vgg16-cifar10", {"cloud_mbps": 300}, "cloud_mbps"),
        ("edgemove", "vgg16-cifar10-50mbps", {}, "near_mbps"),
        ("edgemove", "resnet50-cinic10", {"model": "resnet50_32"}, "model"),
        ("l2s", "vgg16-gpu-60", {"device": "nano"}, "device"),
        ("l2s", "alexnet-gpu-60", {"model": "alexnet"}, "model"),
        ("deprune", "vgg11-cifar10-wifi8", {}, ""),
        ("deprune", "vgg11-cifar10-soft", {}, "mask, decay"),
    ],
)  # fmt: skip
def test_what_is_said_of_what_names_and_options_give(
    family: str, name: str, changes: dict[str, Any], given: str | None
) -> None:
    told = import_module(f"splitgym.envs.{family}.scenarios").get_scenario(name, **changes).provenance
    assert len(told) == (given is not None)
    if given is not None:
        assert told[0].endswith(f"), but {given} as given" if given else ")")


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


def test_titles_of_pictures_say_that_inputs_are_inferred() -> None:
    for inputs, said in (("paper", True), ("devices", False)):
        system = DistrEdgeSystem(distredge.get_scenario("DB-50", inputs=inputs))
        chain = timeline_figure(system, BestKnown(system).plans[0])
        bars = points_figure(L2SSystem(l2s.get_scenario("alexnet-gpu-60", inputs=inputs)))
        for figure in (chain, bars):
            told = figure.axes[0].get_title(loc="left")
            assert "modelled" in told
            assert (", inferred inputs)" in told) == said


def test_papers_that_imply_nothing_have_no_inputs_of_their_own() -> None:
    with refused("inputs is 'paper'", "allowed here: devices"):
        Other("a", "lenet5", inputs="paper")
