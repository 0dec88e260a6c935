"""What Prune-Deprune's claims are judged by: bytes and seconds of the testbeds, and trainings that ship recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....envs.deprune.curves import get_curves
from ....envs.deprune.scenarios import DEFAULT_SCENARIO, get_scenario
from ....envs.deprune.schedules import deprune
from ....envs.deprune.system import System
from ....envs.scenarios import Inputs

FULL: Mapping[str, Any] = {"model": "vgg11_32", "curves": "", "images": 50_000}
Found = dict[str, Any]
Run = Mapping[str, Any]
NEAR = 0.98  # of what training from scratch reaches (Fig. 12)
FAST_MBPS, SLOWER_MBPS = 10_000.0, (1000.0, 100.0)  # of Ethernet


@dataclass(frozen=True)
class Testbed:
    """One of the paper's: VGG-11 in full width, cut behind layer 5, 4 of 128 maps or all without the module.

    Attributes:
        scenario: its name.
        link: for people.
        bytes_figure, time_figure: of the paper.
        batch: images of a step (Sec. 4.1).
        fewer_bytes, less_time: published, times.
    """

    __test__ = False  # no tests, whatever pytest makes of the name

    scenario: str
    link: str
    bytes_figure: int
    time_figure: int
    batch: int
    fewer_bytes: float
    less_time: float

    def systems(self, **fields: object) -> tuple[System, System]:
        """(with the module at 4 of 128 maps, which come first among its budgets; without it)."""
        fields = {**FULL, "batch": self.batch, **fields}
        compressed, plain = (System(get_scenario(self.scenario, **fields, module=on)) for on in (True, False))
        return compressed, plain

    def bytes_gain(self, **fields: object) -> float:
        """How many times fewer bytes cross with the module."""
        compressed, plain = self.systems(**fields)
        return step_bytes(plain) / step_bytes(compressed)

    def time_gain(self, **fields: object) -> float:
        """How many times less time a step takes with the module."""
        compressed, plain = self.systems(**fields)
        return step_s(plain) / step_s(compressed)


WIFI = Testbed("vgg11-cifar10-wifi8", "Wi-Fi", 4, 5, 16, 25.0, 2.5)
ETHERNET = Testbed("vgg11-cifar10", "Ethernet", 6, 7, 64, 30.0, 1.7)
TESTBEDS = (WIFI, ETHERNET)


def step_bytes(system: System) -> float:
    """Bytes of a step at the first budget, both directions."""
    return float(system.sent_bytes[0]) / system.steps


def step_s(system: System) -> float:
    """Seconds of a step at the first budget and the nominal rate."""
    transfer_s = system.transfer_s(np.array(0), np.array(system.scenario.mbps))
    return float(system.compute_s[0] + transfer_s) / system.steps


def testbed(number: int, inputs: Inputs) -> Found:
    """A step over Wi-Fi (0) or Ethernet (1), with the module and without: bytes and seconds."""
    bed = TESTBEDS[number]
    compressed, plain = bed.systems(inputs=inputs)
    scenario = compressed.scenario
    pair = {"with": compressed, "without": plain}
    return {
        "bytes": {name: step_bytes(system) for name, system in pair.items()},
        "seconds": {name: step_s(system) for name, system in pair.items()},
        "batch": scenario.batch, "clients": scenario.clients, "provenance": list(compressed.provenance),
    }  # fmt: skip


def slower_links(inputs: Inputs) -> Found:
    """How many times less time the module takes over Ethernet of 10 Gbit/s and of less."""
    gains = {f"{mbps:g}": ETHERNET.time_gain(inputs=inputs, mbps=mbps) for mbps in SLOWER_MBPS}
    compressed, _ = ETHERNET.systems(inputs=inputs)
    fast = ETHERNET.time_gain(inputs=inputs, mbps=FAST_MBPS)
    return {"fast": fast, "gains": gains, "provenance": list(compressed.provenance)}


def traffic(low_epochs: int, full_epochs: int) -> Found:
    """Maps and gradients of no compression over those of deprune, VGG-11 in full width."""
    system = System(get_scenario(DEFAULT_SCENARIO, **FULL))
    budgets = deprune(low_epochs, full_epochs).at(system.interface.phi)
    sent = sum(system.map_bytes[system.budgets.index(budget)] for budget in budgets)
    return {"times": float(system.full_bytes * len(budgets) / sent), "provenance": ["bytes: counted from the cut"]}


def recordings(name: str) -> Found:
    """Trainings that the fitted curves of a name ship with: accuracies by epoch, of every schedule and seed."""
    curves = get_curves(name, "claims")
    told = curves.provenance
    settings = ", ".join(f"{key} {told['settings'][key]}" for key in ("mask", "decay", "gamma", "learning_rate"))
    line = (
        f"recorded: {len(curves.runs) + len(curves.beside)} trainings of {curves.network} cut behind layer "
        f"{curves.layer} on {told['data']}, {curves.images} an epoch ({settings}; {told['machine']}, {told['date']})"
    )
    kept = ("schedule", "seed", "budgets", "phi", "accuracy", "kept_share", "gamma", "entered_maps")
    runs = [{key: run[key] for key in kept if key in run} for run in (*curves.runs, *curves.beside)]
    return {"runs": runs, "steps": curves.steps, "batch": told["settings"]["batch"], "provenance": [line]}


def filters() -> Found:
    """The study of filters, as it ships."""
    from ...study_command import recorded, shipped
    from ..filters import STUDY

    (summary,) = shipped(STUDY).values()
    return {**summary, "provenance": [recorded(summary)]}


# What recorded runs say.


def by_seed(runs: Iterable[Run], **asked: Any) -> dict[int, Run]:
    """Runs with these settings, by seed; a run whose γ is not the usual one has it, and has to be asked for."""
    wanted = {"gamma": None, **asked}
    return {run["seed"]: run for run in runs if all(run.get(key) == value for key, value in wanted.items())}


def points(one: Mapping[int, Run], other: Mapping[int, Run]) -> list[float]:
    """Differences of final accuracies in points, a common seed each."""
    return [100.0 * (one[seed]["accuracy"][-1] - other[seed]["accuracy"][-1]) for seed in sorted(one.keys() & other)]


def phase(run: Run, budget: int) -> list[float]:
    """Accuracies of the epochs at a budget, which follow one another."""
    return [a for a, b in zip(run["accuracy"], run["budgets"], strict=True) if b == budget]


def epochs_to_reach(scratch: Run, prune: Run) -> tuple[float, float]:
    """Epochs until 98 % of what training at a budget from scratch reaches: from scratch, and at that budget pruned."""
    goal = NEAR * scratch["accuracy"][-1]
    return _reached(scratch["accuracy"], goal), _reached(phase(prune, scratch["budgets"][-1]), goal)


def _reached(accuracy: Sequence[float], goal: float) -> float:
    """Epochs until a goal; inf if never."""
    return next((float(i) for i, a in enumerate(accuracy, start=1) if a >= goal), float("inf"))
