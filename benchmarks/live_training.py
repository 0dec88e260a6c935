"""Trainings on worker processes of this machine: the time of a step, predicted and measured, for ten plans a kind.

Devices are emulated by their tables, and slowly enough for a step to last 0.4 s; a step in which real work
took too long does not count.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from live import load
from measure import Figure
from rich.progress import track

from splitgym.envs.deprune import live as deprune
from splitgym.envs.edgemove import live as edgemove
from splitgym.envs.hiertrain import live as hiertrain
from splitgym.envs.l2s import live as l2s
from splitgym.envs.live_training import Learning, Task
from splitgym.envs.training_cluster import Workers, on_testbed
from splitgym.experiments.live.training_report import Steps, TrainingReport, make_report
from splitgym.models.plans import CompressedPlan, CutPlan, HybridPlan
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.training.data import load_images

PLANS = 10
STEPS = 12
STEP_S = 0.4  # real seconds of one, at least
MOST_S = 0.5  # of a step on the devices
TRIES = 3  # of a plan, each at twice the scale, until most of its steps count
MOST_ERROR = 0.05  # of the median plan
MODEL = "lenet5"
MBPS = (5.0, 100.0)  # of links, drawn between them


def rate(rng: np.random.Generator) -> float:
    """A link's, Mbit/s."""
    return float(np.exp(rng.uniform(*np.log(MBPS))))


def cut(rng: np.random.Generator) -> Task:
    """L2S: any point, a link of any rate, an edge server with or without a load."""
    load = float(rng.choice([1.0, 3.0]))
    fields = {"device": "pi3", "edge": "i7-8700k", "mbps": rate(rng), "edge_load": load, "batch": 16}
    system = l2s.make_system(l2s.get_scenario("lenet5-cpu-20-p0", inputs="devices", **fields))
    plan = CutPlan(MODEL, int(rng.choice(system.points)), types=system.device_types)
    return l2s.task(system, plan, learning(system))


def pipeline(rng: np.random.Generator) -> Task:
    """EdgeMove: any cut, any server that is not too far away, two to four minibatches in flight."""
    fields = {
        "model": MODEL, "client": "pi3", "cloud": "i7-8700k", "gpus": ["i3-7100u", "i7-8700k"], "n_sites": 8,
        "in_flight": int(rng.integers(2, 5)), "near_mbps": rate(rng), "cloud_mbps": rate(rng),
    }  # fmt: skip
    system = edgemove.make_system(edgemove.get_scenario("vgg16-cifar10", inputs="devices", **fields))
    while True:
        plan = system.plan(int(rng.integers(1, system.n_layers)), int(rng.integers(0, system.cloud + 1)))
        task = edgemove.task(system, plan, learning(system))
        if task.step_s < MOST_S:
            return task


def hybrid(rng: np.random.Generator) -> Task:
    """HierTrain: any roles, cuts and shares."""
    fields = {
        "model": MODEL, "device": "pi3", "edge": "i3-7100u", "cloud": "i7-8700k", "batch": 48,
        "device_edge_mbps": rate(rng), "edge_cloud_mbps": rate(rng),
    }  # fmt: skip
    system = hiertrain.make_system(hiertrain.get_scenario("lenet5-3", inputs="devices", **fields))
    m_s, m_l = sorted(rng.integers(1, len(system.model.steps), 2).tolist())
    b = rng.multinomial(system.batch, rng.dirichlet([1.0, 1.0, 1.0])).tolist()
    roles = tuple(str(name) for name in rng.permutation(hiertrain.WORKERS))
    return hiertrain.task(
        system, HybridPlan(MODEL, roles, m_s, m_l, tuple(b), types=system.device_types), learning(system)
    )


def compressed(rng: np.random.Generator) -> Task:
    """Prune-Deprune: any layer and budget."""
    layer = int(rng.choice([2, 3, 5, 6]))
    fields = {
        "model": MODEL, "curves": "", "layer": layer, "batch": 32, "epochs": 2, "client": "pi3", "server": "i7-8700k",
        "mbps": rate(rng), "images": 640,
    }  # fmt: skip
    system = deprune.make_system(deprune.get_scenario("vgg11-cifar10", inputs="devices", **fields))
    budget = int(rng.choice(system.budgets))
    plan = CompressedPlan(MODEL, layer, system.scenario.resolution, (budget,) * 2, types=system.device_types)
    return deprune.task(system, plan, learning(system))


def learning(system: Any) -> Learning:
    """What all are trained on."""
    return Learning(load_images(None, system.model.input))


KINDS: dict[str, Callable[[np.random.Generator], Task]] = {
    "cut": cut, "pipeline": pipeline, "hybrid": hybrid, "compressed": compressed,
}  # fmt: skip


def played(workers: Workers, task: Task) -> TrainingReport:
    """A plan's report, at a scale that this machine keeps to."""
    depth = task.job.in_flight if task.job.kind == "pipeline" else 1
    workers.scale = 1.0
    workers.scale = max(workers.fit_scale(task), STEP_S / task.step_s)
    costs = task.costs(next(iter(task.entries([]))))
    for _ in range(TRIES):
        steps = Steps(costs)
        with workers.training(task.job, costs) as training:
            for step in training.run(islice(task.entries([]), STEPS + 3 * depth)):
                steps.add(step, depth, workers.counts(step, task.step_s), task.job.setup.batch)
        report = make_report(task, workers, steps)
        if len(steps.periods_s) >= STEPS // 2:
            break
        workers.scale *= 2.0
    return report


def errors_of(kind: str) -> Iterator[Figure]:
    """How far the predicted time of a step is off on worker processes, ten plans of a kind of training."""
    rng = np.random.default_rng(0)
    tasks = [KINDS[kind](rng) for _ in range(PLANS)]
    with (
        tempfile.TemporaryDirectory() as folder,
        on_testbed(tasks[0].job.roles, BlobStore(Path(folder))) as workers,
    ):
        reports = [played(workers, task) for task in track(tasks, kind)]
    errors = np.abs([report.error for report in reports if np.isfinite(report.measured_s)])
    told, middle = f"{kind}: error of a step's time", float(np.median(errors))
    yield Figure(f"{kind}: plans whose steps count", float(len(errors)), f"of {PLANS}")
    yield Figure(f"{told}, median", 100 * middle, "%", middle / MOST_ERROR, f"the {MOST_ERROR:.0%} allowed")
    yield Figure(f"{told}, 90 %", 100 * float(np.quantile(errors, 0.9)), "%")
    yield Figure(f"{told}, largest", 100 * float(errors.max()), "%")
    yield Figure(f"{kind}: the runtime's own, median", 1e3 * float(np.nanmedian([r.runtime_s for r in reports])), "ms")


def trainings() -> Iterator[Figure]:
    """How far the predicted time of a step is off on worker processes, ten plans of every kind of training."""
    yield from load("before all of live-training")
    for kind in KINDS:
        yield from errors_of(kind)
        yield from load(f"behind live-training-{kind}")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {
    "live-training": trainings,
    **{f"live-training-{kind}": partial(errors_of, kind) for kind in KINDS},
}
