"""Five workers on this machine that stay, for trainings of any kind, and files of small scenarios on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from splitgym.envs.deprune.scenarios import get_scenario
from splitgym.envs.deprune.system import System
from splitgym.experiments.live.testbed_command import write_cluster
from splitgym.models.plans import CompressedPlan, CutPlan, HybridPlan, Plan, save_plan
from splitgym.runtime.blobs import default_folder
from splitgym.runtime.testbed import Testbed

ROLES = {
    "cut": ("device", "edge"), "pipeline": ("client", "server"), "hybrid": ("device", "edge", "cloud"),
    "compressed": ("client", "server"),
}  # fmt: skip
SCALE = 3.0
SCENARIOS: dict[str, dict[str, Any]] = {
    "cut": {"model": "lenet5", "device": "pi3", "edge": "pi3", "mbps": 50.0, "batch": 8, "rounds": 40},
    "pipeline": {
        "model": "lenet5", "cycle": 4, "on_device_s": 1.0, "client": "pi3", "cloud": "pi3", "gpus": ["pi3"], "batch": 8,
        "n_sites": 5, "cloud_rtt_s": [0.002, 0.004], "cloud_mbps": 100.0,
    },
    "hybrid": {
        "model": "lenet5", "device": "pi3", "edge": "pi3", "cloud": "pi3", "batch": 16, "device_edge_mbps": 50.0,
        "edge_cloud_mbps": 50.0,
    },
    "compressed": {
        "model": "lenet5", "layer": 3, "batch": 8, "images": 24, "epochs": 3, "client": "pi3", "server": "pi3",
    },
}  # fmt: skip


def plans() -> dict[str, Plan]:
    """One of every kind, for the scenarios."""
    setting = SCENARIOS["compressed"]
    compressed = System(get_scenario("vgg11-cifar10", curves="", **setting))
    budgets = compressed.budgets[-1], compressed.budgets[0], compressed.budgets[0]
    three = dict.fromkeys(ROLES["hybrid"], "pi3")
    return {
        "cut": CutPlan("lenet5", 4, types={"device": "pi3", "edge": "pi3"}),
        "hybrid": HybridPlan("lenet5", ("edge", "device", "cloud"), 2, 4, (6, 5, 5), types=three),
        "compressed": CompressedPlan("lenet5", 3, 1, budgets, types={"client": "pi3", "server": "pi3"}),
    }


@contextmanager
def trainers(folder: Path) -> Iterator[Testbed]:
    """Workers; in a folder ``<kind>.yaml`` with a scenario, ``<kind>-cluster.yaml`` with addresses, ``<kind>.json``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        names = list(dict.fromkeys(role for roles in ROLES.values() for role in roles))
        with Testbed(names, default_folder(), trains=True) as testbed:
            write_cluster(folder, {}, testbed)
            addresses = yaml.safe_load((folder / "cluster.yaml").read_text())["addresses"]
            for kind, fields in SCENARIOS.items():
                (folder / f"{kind}.yaml").write_text(yaml.safe_dump(fields))
                cluster = {
                    "scenario": f"{kind}.yaml", "addresses": {role: addresses[role] for role in ROLES[kind]},
                    "emulate": "table", "time_scale": SCALE,
                }  # fmt: skip
                (folder / f"{kind}-cluster.yaml").write_text(yaml.safe_dump(cluster))
            for kind, plan in plans().items():
                save_plan(plan, folder / f"{kind}.json")
            yield testbed
