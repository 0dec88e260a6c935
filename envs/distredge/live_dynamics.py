"""DistrEdge's split process on real workers: the same MDP, its latencies measured."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.plans import SpatialPlan
from ...ui.errors import InputError
from ...ui.programs import needs
from .dynamics import DistrEdgeDynamics
from .scenarios import Scenario
from .system import System

if TYPE_CHECKING:
    from ...runtime.requester import Item
    from .live import Cluster

OFFLOADED = 3  # images that T_ref is the median of
TRIES = 3  # of an image in which real work took longer than what it stands for
EXPECTED_S = 60.0


class LiveDynamics(DistrEdgeDynamics):
    """One lane whose images go through workers.

    A step's latencies are those of an image that goes through all volumes decided so far without a pause, so that the
    time in which the agent thinks lies outside; the last step's are those of the whole image.
    """

    slow_steps = True
    exclusive = True

    def __init__(self, num_lanes: int, *args: Any, **options: Any) -> None:
        if num_lanes != 1:
            raise InputError("DistrEdge: backend=live plays one image at a time; num_envs must be 1")
        super().__init__(num_lanes, *args, **options)
        self.overrun_s = 0.0
        self._rng = np.random.default_rng(0)
        self._image: np.ndarray | None = None
        self._offload_s: float | None = None
        self.cluster: Cluster = cluster_of(self.system)

    def reset_lanes(self, lanes: np.ndarray) -> None:
        super().reset_lanes(lanes)
        shape = self.system.model.input
        self._image = self._rng.integers(0, 256, (shape.folded_channels, shape.height, shape.width), np.uint8)

    def seed_lanes(self, lanes: np.ndarray, rngs: Any) -> None:
        super().seed_lanes(lanes, rngs)
        self._rng = rngs[0]

    @property
    def provenance(self) -> tuple[str, ...]:
        emulation = self.cluster.emulation
        how = "live workers"
        if emulation.kind != "none":
            rates = "; links at one rate each" if self.system.scenario.varies else ""
            how = f"live workers that emulate ({emulation.kind}, time scale {emulation.scale:g}{rates})"
        return (f"latency: measured ({how})", *(f"beside it: {line}" for line in super().provenance))

    def _run(self, lanes: np.ndarray, volume: np.ndarray, posts: np.ndarray) -> None:
        super()._run(lanes, volume, posts)  # who holds which rows
        stop = int(self.physics.volumes.stop[volume[0]])
        if volume[0] >= 0 and stop < self.system.n_units:
            self._measured(self._play(self._plan_so_far(stop)))

    def _end(self, lanes: np.ndarray) -> np.ndarray:
        super()._end(lanes)
        item = self._play(self.plan(0), whole=True)
        self._measured(item)
        self._latency[:] = item.latency_s / self._scale
        self._reference_s[:] = self._offload()
        return self._latency[lanes]

    def _plan_so_far(self, stop: int) -> SpatialPlan:
        """The volumes that are decided, and one for the rest of the network that is not run."""
        decided = np.flatnonzero(self._closed[0, : self._stops_index(stop)])
        cuts = [int(self._stop_at[s]) for s in decided]
        splits = [tuple(int(x) for x in self._splits[0, s]) for s in decided]
        rest = (int(self.system.heights[-1]),) * (self.system.n_devices - 1)
        template = self.system.everything_on(0)
        return replace(template, cuts=(*cuts, self.system.n_units), splits=(*splits, rest))

    def _stops_index(self, stop: int) -> int:
        return self.stops.index(stop) + 1

    def _play(self, plan: SpatialPlan, whole: bool = False) -> Item:
        """The image through a plan, or all but its last volume; tried again where real work took too long."""
        assert self._image is not None
        cluster = self.cluster
        cluster.deploy(plan, volumes=None if whole else len(plan.cuts) - 1)
        item = None
        for _ in range(TRIES):
            (item,) = cluster.run([self._image], EXPECTED_S)
            if item.overrun_s <= 0:
                break
        assert item is not None
        self.overrun_s = item.overrun_s / self._scale
        return item

    @property
    def _scale(self) -> float:
        return self.cluster.scale

    def _measured(self, item: Item) -> None:
        """Accumulated latencies, as the workers tell them."""
        progress, scale = self.progress, self._scale
        clocks = self.cluster.clocks
        progress.compute_s[:] = progress.scatter_s[:] = progress.send_s[:] = 0.0
        for span in (s for s in item.spans[""] if s.kind == "scatter"):
            progress.scatter_s[int(span.label)] += (span.end_s - span.start_s) / scale
        for d, name in enumerate(self.system.names):
            zero_s = item.begun_s + (clocks[name].ahead_s if name in clocks else 0.0)
            done_s = free_s = 0.0
            for span in item.spans.get(name, ()):
                end_s = (span.end_s - zero_s) / scale
                if span.kind == "compute":
                    done_s = max(done_s, end_s)
                    progress.compute_s[d] += (span.end_s - span.start_s) / scale
                elif span.kind == "send":
                    free_s = max(free_s, end_s)
                    progress.send_s[d] += (span.end_s - span.start_s) / scale
            progress.done_s[d], progress.free_s[d] = done_s, free_s

    def _offload(self) -> float:
        """T_ref as measured: a few images on the best provider."""
        if self._offload_s is None:
            assert self._image is not None
            self.cluster.deploy(self.system.everything_on(self.system.best_provider))
            items = list(self.cluster.run([self._image] * OFFLOADED, EXPECTED_S))
            self._offload_s = median(item.latency_s for item in items) / self._scale
        return self._offload_s

    def step_info(self, lane: int) -> dict[str, Any]:
        return {"overrun_s": self.overrun_s}


_stack = ExitStack()  # of clusters, until the process ends
_open: dict[str, Cluster] = {}
atexit.register(_stack.close)


def cluster_of(system: System) -> Cluster:
    """The workers of a scenario: its cluster's, or processes of this machine. All envs of a process share them, since a
    worker serves one controller at a time.

    Raises:
        InputError: they cannot be had.
    """
    key = repr(system.scenario)
    if key not in _open:
        try:
            from ...runtime.blobs import BlobStore, default_folder
            from .live import on_machines, on_testbed
        except ModuleNotFoundError as error:
            raise InputError(f"DistrEdge: backend=live {needs(error)}") from None
        store = BlobStore(default_folder())
        if system.scenario.addresses:
            _check_free(system.scenario)
            _open[key] = _stack.enter_context(on_machines(system, store))
        else:
            _open[key] = _stack.enter_context(on_testbed(system, store, _emulation(system.scenario)))
    return _open[key]


def _check_free(scenario: Scenario) -> None:
    """Workers serve one scenario at a time."""
    wanted = set((scenario.addresses or {}).values())
    for cluster in _open.values():
        other = cluster.system.scenario
        if wanted & set((other.addresses or {}).values()):
            raise InputError(
                f"scenario {scenario.name}: its workers serve scenario {other.name} in this very process; with "
                f"backend=live take them one after another"
            )


def close_clusters() -> None:
    """End all sessions with workers, and those that are processes of this machine."""
    _open.clear()
    _stack.close()


def _emulation(scenario: Scenario) -> Any:
    from .live import Emulation

    return Emulation("table" if scenario.emulate == "none" else scenario.emulate, scenario.time_scale)


def dynamics_of(backend: str, num_lanes: int, options: Mapping[str, Any]) -> DistrEdgeDynamics:
    """The dynamics of a backend.

    Raises:
        InputError: there is no such backend.
    """
    kinds = {"tables": DistrEdgeDynamics, "live": LiveDynamics}
    if backend not in kinds:
        raise InputError(f"DistrEdge: backend={backend!r} is not one of {', '.join(kinds)}")
    return kinds[backend](num_lanes, **options)
