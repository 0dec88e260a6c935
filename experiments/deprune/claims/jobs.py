"""What Prune-Deprune's claims and their pictures share: the jobs that both need."""

from __future__ import annotations

from ....envs.deprune.scenarios import DEFAULT_SCENARIO, GROUPS
from ...claims.statement import Job, Setting
from . import runs
from .runs import TESTBEDS

SEVERAL_SEEDS = f"{DEFAULT_SCENARIO}-4k"  # the recordings with three seeds of every schedule
LAYER_9 = f"{DEFAULT_SCENARIO}-layer9"
FILTERS = GROUPS["filters"]


def of_testbed(number: int, setting: Setting) -> Job:
    """A step with and without the module; 0 over Wi-Fi, 1 over Ethernet."""
    return Job(runs.testbed, {"number": number, "inputs": setting.inputs})


def of_testbeds(setting: Setting) -> list[Job]:
    """Of both."""
    return [of_testbed(number, setting) for number in range(len(TESTBEDS))]


def of_recordings(name: str = SEVERAL_SEEDS) -> Job:
    """Trainings on CIFAR-10."""
    return Job(runs.recordings, {"name": name}, 0.1)


def of_filter_recordings() -> list[Job]:
    """Trainings behind hard and soft filters, at rates that fall and stay."""
    return [of_recordings(name) for name in FILTERS]


def of_filters() -> Job:
    """The study of filters by how many maps cross."""
    return Job(runs.filters, {}, 0.1)
