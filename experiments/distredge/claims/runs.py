"""What is run for the claims of DistrEdge's paper: plans in a setting, devices, networks, planning times."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from .... import profiling
from ....agents.distredge.baselines import PLANNERS, aofl
from ....agents.distredge.joint import JointSearch
from ....agents.distredge.linear import fence_posts
from ....agents.registry import hyperparams_of
from ....envs import FAMILIES
from ....envs.distredge.best_known import BestKnown
from ....envs.distredge.planning import lc_pss, system_scores
from ....envs.distredge.scenarios import OTHER_MODELS, TABLE_1, get_scenario
from ....envs.distredge.system import System
from ....envs.scenarios import Inputs
from ....models.lookup import get_model
from ....models.plans import SpatialPlan
from ....profiling.tables import LatencyTable, load_table, modelled_table
from ....ui.errors import InputError
from .published import DEVICES

MEASURED = Path(profiling.__file__).parent / "examples" / "vgg16-amd-epyc-torch.csv"
SEARCH: dict[str, Any] = {
    "population": 512,
    "parents": 96,
    "patience": 30,
    "rounds": 1,
}  # of a sweep's plans, shorter than joint's own
STAIRS = "conv4_1"  # whose latency is shown by rows, 28 of them


def sources(system: System) -> list[str]:
    """Where the numbers of a setting come from."""
    return [*system.scenario.provenance, *(table.label() for table in system.tables)]


def plans(scenario: str, inputs: Inputs) -> dict[str, Any]:
    """Every baseline's plan and the best plan known (``best``).

    Returns:
        ``latency_s`` by agent; ``compute_s`` and ``transmit_s``, (devices,) by agent; ``rows``, (devices,) of all
        volumes' outputs, and ``volumes`` of the best plan known.

    Raises:
        InputError: no plan ships for the setting.
    """
    system = System(get_scenario(scenario, inputs=inputs))
    known = BestKnown(system).plans
    if not known:
        raise InputError(f"scenario {scenario} ({inputs}): no best-known plan ships; benchmarks/best_known.py finds it")
    found = {**{who: planner(system) for who, planner in PLANNERS.items()}, "best": known[0]}
    seconds = {who: float(s) for who, s in zip(found, system.evaluate(list(found.values())), strict=True)}
    busy = {who: busy_s(system, plan) for who, plan in found.items()}
    return {
        "latency_s": seconds,
        "compute_s": {who: computed for who, (computed, _) in busy.items()},
        "transmit_s": {who: sent for who, (_, sent) in busy.items()},
        "rows": rows_of(system, known[0]),
        "volumes": len(known[0].cuts),
        "provenance": sources(system),
    }


def busy_s(system: System, plan: SpatialPlan) -> tuple[list[float], list[float]]:
    """Seconds that every device computes, and that its link is busy."""
    _, totals, _ = system.replay(plan)
    return totals.compute_s[:, 0].tolist(), totals.transmit_s[:, 0].tolist()


def rows_of(system: System, plan: SpatialPlan) -> list[int]:
    """Rows of volumes' outputs that every device computes."""
    rows = np.zeros(system.n_devices, dtype=int)
    for stop, split in zip(plan.cuts, plan.splits, strict=True):
        rows += np.diff([0, *split, int(system.heights[stop - 1])])
    return rows.tolist()


def replayed(scenario: str, inputs: Inputs, plan: dict[str, Any]) -> tuple[float, float]:
    """Largest transmission and largest compute time (s) of a device under a plan (JSON data)."""
    system = System(get_scenario(scenario, inputs=inputs))
    computed, sent = busy_s(system, SpatialPlan.from_json(plan, "plan"))
    return max(sent), max(computed)


def swept(scenario: str, search: bool) -> dict[str, Any]:
    """Seconds of every baseline and of the best plan that ships for a variant, or that a short search finds.

    Args:
        scenario: with the paper's inputs but for what its variant changes.
        search: whether to search where a plan ships, too; what is better counts.
    """
    system = System(get_scenario(scenario, inputs="paper"))
    planned = {who: planner(system) for who, planner in PLANNERS.items()}
    seconds = {who: float(s) for who, s in zip(planned, system.evaluate(list(planned.values())), strict=True)}
    known = BestKnown(system).plans
    best = [float(s) for s in system.evaluate(known)] if known else []
    if search or not best:
        best.append(JointSearch(system, 0, **SEARCH).search()[1])
    return {"latency_s": {**seconds, "best": min(best)}, "provenance": sources(system)}


def devices(inputs: Inputs) -> dict[str, Any]:
    """VGG-16 on the paper's types of devices: seconds of the whole network, one layer's by rows, how nonlinear all are.

    Returns:
        ``model_s`` by type; ``rows_s``, (rows,) of :data:`STAIRS` by type; ``bend``, (layers,) by type, the largest
        distance of a layer's latency from a line through nothing and all rows, of the whole layer's; ``unbalance``,
        (layers,) by group of Table I, the slowest part's time under shares by capability over the least possible.
    """
    model = get_model("vgg16")
    tables = {kind: modelled_table(model, kind, True) for kind in DEVICES}
    rows = {kind: _stairs(table) for kind, table in tables.items()}
    groups = {group: System(get_scenario(f"{group}-50", inputs=inputs)) for group in TABLE_1}
    return {
        "model_s": {kind: table.total_s() for kind, table in tables.items()},
        "rows_s": rows,
        "bend": {kind: _bends(table) for kind, table in tables.items()},
        "unbalance": {
            group: [_unbalance(system, u) for u in range(system.n_units)] for group, system in groups.items()
        },
        "provenance": [table.label() for table in tables.values()],
    }


def measured() -> dict[str, Any]:
    """The same of a table that was measured, which ships: ``rows_s``, ``bend``."""
    table = load_table(MEASURED, get_model("vgg16"))
    return {"rows_s": _stairs(table), "bend": _bends(table), "provenance": [table.label()]}


def _stairs(table: LatencyTable) -> list[float]:
    kernel = table.kernels.index(STAIRS)
    return table.seconds[kernel, 1 : table.heights[kernel] + 1].tolist()


def _bends(table: LatencyTable) -> list[float]:
    """Of all kernels with rows to split."""
    found = []
    for seconds, height in zip(table.seconds, table.heights, strict=True):
        if height > 1:
            line = seconds[height] * np.arange(1, height + 1) / height
            found.append(float(np.max(np.abs(seconds[1 : height + 1] - line)) / seconds[height]))
    return found


def _unbalance(system: System, unit: int) -> float:
    """A layer's slowest part under shares by capability, over that under the best shares."""
    height, kernels = int(system.heights[unit]), list(system.model.unit_kernels[unit])
    by_rows = np.stack([table.seconds[kernels, : height + 1].sum(axis=0) for table in system.tables])[system.types]
    parts = np.diff(fence_posts(system.capability, height))
    slowest = float(by_rows[np.arange(system.n_devices), parts].max())
    by_rows = np.maximum.accumulate(by_rows, axis=1)
    limits = np.unique(by_rows)
    most = np.stack([np.searchsorted(seconds, limits, "right") - 1 for seconds in by_rows]).sum(axis=0)
    return slowest / float(limits[np.argmax(most >= height)])


def networks() -> dict[str, Any]:
    """The paper's networks: splittable layers, their least and most output rows, and memory, by name.

    ``memory_bytes`` is that of all parameters and of all layers' outputs as float32, none of them freed.
    """
    found = {}
    for name in ("vgg16", *OTHER_MODELS):
        model = get_model(name)
        heights = [kernel.out_shape.height for kernel in model.kernels if kernel.out_shape.height > 1]
        outputs = sum(kernel.out_shape.elements for kernel in model.kernels)
        found[name] = {
            "layers": len(heights), "least_rows": min(heights), "most_rows": max(heights),
            "memory_bytes": 4 * (model.params + outputs),
        }  # fmt: skip
    return found


def planning_times(inputs: Inputs, episodes: int) -> dict[str, Any]:
    """Seconds that LC-PSS, AOFL's search and an episode of OSDS's training take on this machine, on Nanos.

    Args:
        episodes: of the training, after as many to warm up.
    """
    from ....agents.distredge.osds import Osds

    system = System(get_scenario("dynamic-nano", inputs=inputs))
    env = gym.make(FAMILIES["distredge"].env_id, scenario="NA-nano", inputs=inputs, observation="paper")
    learner = Osds(env, 0, **{**hyperparams_of("distredge", "osds", "NA-nano"), "episodes": episodes})
    return {
        "lc_pss_s": _seconds(lambda: lc_pss(system.model, system_scores(system), system.scenario.alpha)),
        "aofl_s": _seconds(partial(aofl, system)),
        "episode_s": _seconds(lambda: learner.learn(None, None, lambda report: None)) / episodes,
        "provenance": ["times: measured on this machine, one process at a time"],
    }


def _seconds(call: Any) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
