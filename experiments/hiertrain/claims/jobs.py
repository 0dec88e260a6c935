"""What HierTrain's claims and their pictures share: published values, and the jobs that both need."""

from __future__ import annotations

from collections.abc import Mapping

from ....envs.hiertrain.scenarios import PAPER_MODELS, SCALING
from ...claims.statement import Job, Setting
from ..measured import iterations
from . import runs

NAMES: Mapping[str, str] = {"alexnet": "AlexNet", "lenet5": "LeNet-5"}
PUBLISHED: Mapping[str, tuple[float, float]] = {"alexnet": (2.3, 4.5), "lenet5": (1.7, 6.9)}  # All-Edge, All-Cloud
LOW_MBPS = (1.5, 2.0)  # where JALAD is ahead, and JointDNN+ of JointDNN
MEASURED_SEEDS = 3


def of_sweep(model: str, setting: Setting) -> Job:
    """Iterations of a network by rate."""
    return Job(runs.sweep, {"model": model, "inputs": setting.inputs})


def of_sweeps(setting: Setting) -> list[Job]:
    """Of both networks."""
    return [of_sweep(model, setting) for model in PAPER_MODELS]


def of_cores(setting: Setting) -> Job:
    """Iterations by cores of the edge."""
    return Job(runs.cores, {"inputs": setting.inputs})


def of_planning() -> list[Job]:
    """Planning times, network by network."""
    return [Job(runs.planning, {"scenario": f"{model}-3.5"}, 4.0, exclusive=True) for model in SCALING]


def of_measured(setting: Setting) -> list[Job]:
    """Iterations of AlexNet that are carried out."""
    rates = (3.0,) if setting.quick else (1.5, 3.0, 5.0)
    common = {"model": "alexnet", "mbps": rates, "steps": 2}
    seeds = setting.seeds(MEASURED_SEEDS)
    return [Job(iterations, {**common, "seed": seed}, 40.0 * len(rates), exclusive=True) for seed in seeds]
