"""How EdgeMove's inputs under inputs="paper" were inferred: python benchmarks/fit_edgemove.py (minutes).

Two are fitted: the cloud's rate, on Table 1's four speed-ups of Device-Cloud, and the stem of ResNet-50, which the
paper does not tell, on the epochs that On-Device's seconds leave to reach the target accuracy. The router's goodput is
not fitted: what it would be by PipeDream-E's four speed-ups, and what EdgeMove does then, is printed beside.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from edgemove import mean_metrics

from splitgym.agents.registry import agents_of
from splitgym.envs.edgemove.paper import PAPER
from splitgym.envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, TASKS, get_scenario
from splitgym.envs.edgemove.system import System
from splitgym.experiments.edgemove.claims.measures import COLUMN
from splitgym.models.layers import GlobalPool, Shape
from splitgym.models.model import Model
from splitgym.models.zoo.classifiers import bottleneck, classifier, resnet_stem, resnet_units, small_resnet

IMAGES = {"vgg16-cifar10": 50_000, "resnet50-cinic10": 90_000, "vgg16-agnews": 30_000, "resnet50-speech": 64_727}
SEEDS = range(3)
CLOUD_MBPS = (60.0, 80.0, 100.0, 120.0, 140.0, 150.0, 160.0, 180.0, 220.0)
NEAR_MBPS = (400.0, 450.0, 500.0, 550.0, 600.0, 650.0)


def stems() -> dict[str, Model]:
    """ResNet-50 with the stems in use for 32x32 maps."""
    strided = (*resnet_stem(), *resnet_units(bottleneck))
    return {
        "3x3, no pool": small_resnet("plain", bottleneck),
        "3x3 and a pool": small_resnet("pooled", bottleneck, pool=True),
        "7x7/2 and a pool": Model("strided", Shape(3, 32, 32), strided, (GlobalPool(), *classifier(10))),
    }


def epochs(system: System, task: str) -> float:
    """That On-Device's published seconds hold."""
    return TASKS[task].on_device_s / system.on_device_iteration_s * system.scenario.batch / IMAGES[task]


def misfit(agent: str, field: str, mbps: float) -> tuple[np.ndarray, np.ndarray]:
    """(speed-ups on the four tasks, logarithms of them over the published ones)."""
    options, seeds = {field: mbps}, SEEDS if agents_of("edgemove")[agent].seeded else SEEDS[:1]
    found = np.array(
        [np.mean([mean_metrics(agent, task, seed, options)["speedup"] for seed in seeds]) for task in TASKS]
    )
    return found, np.log(found / np.array([PUBLISHED_SPEEDUPS[task][COLUMN[agent]] for task in TASKS]))


def print_sweep(agent: str, field: str, rates: tuple[float, ...]) -> None:
    published = [PUBLISHED_SPEEDUPS[task][COLUMN[agent]] for task in TASKS]
    print(f"{agent} by {field}; published {published}")
    for mbps in rates:
        found, residual = misfit(agent, field, mbps)
        words = " ".join(f"{s:5.2f} ({100 * r:+3.0f} %)" for s, r in zip(found, residual, strict=True))
        chosen = "  <- chosen" if mbps == PAPER[field] else ""
        print(f"{mbps:8g} Mbps {words}  rms {100 * np.sqrt((residual**2).mean()):5.1f} %{chosen}", flush=True)


def main() -> None:
    print("ResNet-50's stem: milliseconds of a minibatch on the client, epochs of CINIC-10 to 85 %, of Speech Commands")
    for name, model in stems().items():
        system = System(get_scenario("resnet50-cinic10"), model)
        counts = [f"{epochs(system, task):5.1f}" for task in ("resnet50-cinic10", "resnet50-speech")]
        print(f"{name:18s} {1e3 * system.on_device_iteration_s:6.0f} ms {' '.join(counts)} epochs")
    vgg = System(get_scenario("vgg16-cifar10"))
    vgg_ms, vgg_epochs = 1e3 * vgg.on_device_iteration_s, epochs(vgg, "vgg16-cifar10")
    print(f"{'beside it VGG-16':18s} {vgg_ms:6.0f} ms {vgg_epochs:5.1f} epochs of CIFAR-10 to 82.8 %")
    print_sweep("device-cloud", "cloud_mbps", CLOUD_MBPS)
    print_sweep("pipedream-e", "near_mbps", NEAR_MBPS)
    print_sweep("edgemove-literal", "near_mbps", NEAR_MBPS)


if __name__ == "__main__":
    main()
