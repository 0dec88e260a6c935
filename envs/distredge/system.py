"""A scenario made concrete: model, tables, links and the physics over them. Envs and planners read it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...models.lookup import get_model
from ...models.model import Model
from ...models.plans import SpatialPlan
from ...profiling.devices import device_names, get_device
from ...profiling.link_file import LinkMeasurement, load_link
from ...profiling.tables import LatencyTable, load_table, modelled_table
from ...ui.errors import InputError
from ..links import load_traces
from .physics import ByteSeconds, Events, Links, Physics, Rates
from .scenarios import Scenario
from .state import Progress
from .throughput import Throughput, stage_names, stage_s
from .volumes import Range, VolumeTables

CHUNK = 512  # plans evaluated together; keeps the working set in cache
PHYSICS = 2  # rises when the same inputs give other latencies


@dataclass(frozen=True)
class PlanBatch:
    """P plans as arrays.

    Attributes:
        stops: (V, P) end of each volume in units, padded with the number of units.
        count: (P,) number of volumes.
        splits: (V, D - 1, P) sorted rows of each volume's last output.
    """

    stops: np.ndarray
    count: np.ndarray
    splits: np.ndarray

    @staticmethod
    def of(plans: Sequence[SpatialPlan], units: int) -> PlanBatch:
        count = np.array([len(p.cuts) for p in plans])
        volumes, devices = int(count.max()), len(plans[0].devices)
        stops = np.full((volumes, len(plans)), units)
        splits = np.zeros((volumes, devices - 1, len(plans)), dtype=int)
        for p, plan in enumerate(plans):
            stops[: count[p], p] = plan.cuts
            splits[: count[p], :, p] = np.array(plan.splits).reshape(len(plan.cuts), devices - 1)
        return PlanBatch(stops, count, splits)


class System:
    """Model, devices and links of one scenario.

    Attributes:
        scenario, model, names: the setting; device names in split order.
        tables: one latency table per distinct device type, ``types`` says which device uses which.
        traces: the devices' traces where the scenario names files.
        measured: every device's measured link, None where it has no file.
        mbps: (D,) nominal rates: the scenario's, the measured links', or the traces' means.
        links: fixed message costs.
        reference_s: T_ref, the latency of offloading to the best provider at nominal rates.
    """

    def __init__(self, scenario: Scenario, model: Model | None = None) -> None:
        self.scenario = scenario
        self.model = get_model(scenario.model) if model is None else model
        self.names = scenario.device_names
        files = scenario.table_files
        sources = list(dict.fromkeys(zip(scenario.devices, files, strict=True)))
        self.types = np.array([sources.index(source) for source in zip(scenario.devices, files, strict=True)])
        self.tables: list[LatencyTable] = [
            modelled_table(self.model, kind, scenario.tiles) if file is None else _own_table(file, self.model, kind)
            for kind, file in sources
        ]
        self.traces = load_traces(scenario.traces, scenario.trace_factor, len(scenario.devices))
        self.measured = _own_links(scenario)
        # A goodput is payload; the physics takes eta of a rate.
        links = list(zip(self.measured, scenario.mbps, strict=True))
        rates = [link.goodput_mbps / scenario.eta if link else mbps for link, mbps in links]
        costs = [
            _message_costs(link, kind, scenario) for link, kind in zip(self.measured, scenario.devices, strict=True)
        ]
        self.mbps = np.array([t.mean_mbps for t in self.traces] or rates)
        self.links = Links(
            np.array([message_s for message_s, _ in costs]),
            np.array([copy_s for _, copy_s in costs]),
            scenario.requester_message_s * scenario.message_factor,
            scenario.copy_factor / scenario.requester_copy_bytes_per_s,
            scenario.eta,
        )
        self.nominal = self.rates(self.mbps[:, None])

    @property
    def n_devices(self) -> int:
        return len(self.names)

    @property
    def device_types(self) -> dict[str, str]:
        """Type of every device by its name, in split order."""
        return dict(zip(self.names, self.scenario.devices, strict=True))

    @property
    def n_units(self) -> int:
        return len(self.model.units)

    @cached_property
    def heights(self) -> np.ndarray:
        """(units,) output rows of every unit."""
        return np.array([self.model.out_shape(u).height for u in range(self.n_units)])

    def rates(self, mbps: np.ndarray) -> Rates:
        """Transfer costs under device rates (D, n)."""
        return Rates(self.links.eta, mbps, self.requester_mbps(mbps))

    def byte_s(self, rates: Rates | None = None) -> ByteSeconds:
        """What a byte of a message takes at rates that all lanes share, nominal ones when None."""
        return ByteSeconds.of(self.links, rates or self.nominal, self.scenario.medium == "shared")

    def requester_mbps(self, mbps: np.ndarray) -> float | np.ndarray:
        """Rate of the requester to every device under device rates, which is what is returned where it is the same."""
        rate = self.scenario.requester_mbps
        return mbps if rate == "same" else rate

    @cached_property
    def result_bytes(self) -> int:
        """Bytes of the tail's output on the wire; 0 when devices return their own rows."""
        if not self.model.tail:
            return 0
        return self.model.kernels[-1].out_shape.elements * self.scenario.value_bytes.activation

    def physics(self, ranges: Sequence[Range]) -> Physics:
        """Physics over some layer-volumes."""
        tables = VolumeTables(self.model, self.tables, ranges, self.scenario.value_bytes)
        return Physics(tables, self.types.tolist(), self.links, self.result_bytes, self.scenario.medium == "shared")

    @cached_property
    def every_volume(self) -> Physics:
        """Physics over every possible layer-volume."""
        return self.physics([(i, j) for j in range(1, self.n_units + 1) for i in range(j)])

    @cached_property
    def model_s(self) -> np.ndarray:
        """(D,) seconds of the whole model on each device alone."""
        return np.array([t.total_s() for t in self.tables])[self.types]

    @cached_property
    def capability(self) -> np.ndarray:
        """(D,) MACs per second: model operations over model time, what the linear baselines assume."""
        return max(self.model.macs, 1) / self.model_s

    @cached_property
    def best_provider(self) -> int:
        """Device with the best hardware; among equals the one with the fastest link, then the first."""
        return int(np.lexsort((np.arange(self.n_devices), -self.mbps, self.model_s))[0])

    def everything_on(self, device: int) -> SpatialPlan:
        """The whole model as one volume on one device."""
        height = int(self.heights[-1])
        return self.plan((self.n_units,), (tuple(0 if d <= device else height for d in range(1, self.n_devices)),))

    def plan(self, cuts: Iterable[int], splits: Iterable[Any]) -> SpatialPlan:
        """Volumes that end behind so many units, split at these rows, for the scenario's devices."""
        rows = tuple(tuple(int(row) for row in split) for split in splits)
        return SpatialPlan(
            self.model.name, self.names, tuple(map(int, cuts)), rows,
            types=self.device_types, fingerprint=self.model.fingerprint,
        )  # fmt: skip

    @cached_property
    def reference_s(self) -> float:
        return float(self.offload_s(self.mbps[:, None])[0])

    def evaluate(
        self, plans: Sequence[SpatialPlan] | PlanBatch, physics: Physics | None = None, mbps: np.ndarray | None = None
    ) -> np.ndarray:
        """Latency of plans.

        Args:
            plans: P plans.
            physics: over at least their volumes; made when None.
            mbps: (D, 1) or (D, P) rates, nominal when None.

        Returns:
            (P,) seconds.
        """
        plans, physics = self._batched(plans, physics)
        latency = np.empty(len(plans.count))
        for some, latency_s, _ in self._played(plans, physics, mbps):
            latency[some] = latency_s
        return latency

    def throughput(
        self, plans: Sequence[SpatialPlan] | PlanBatch, physics: Physics | None = None, mbps: np.ndarray | None = None
    ) -> Throughput:
        """Steady-state images/s of plans with many images in flight, and what limits them; see :mod:`.throughput`.

        Takes the arguments of :meth:`evaluate`.
        """
        plans, physics = self._batched(plans, physics)
        slowest_s, stage = np.empty(len(plans.count)), np.empty(len(plans.count), dtype=np.intp)
        for some, _, progress in self._played(plans, physics, mbps):
            busy_s = stage_s(progress)
            slowest_s[some], stage[some] = busy_s.max(axis=0), busy_s.argmax(axis=0)
        names = stage_names(self.names)
        return Throughput(1.0 / slowest_s, tuple(names[i] for i in stage))

    def _batched(self, plans: Sequence[SpatialPlan] | PlanBatch, physics: Physics | None) -> tuple[PlanBatch, Physics]:
        if isinstance(plans, PlanBatch):
            return plans, physics or self.every_volume
        for plan in plans:
            self._check(plan)
        physics = physics or self.physics(sorted({r for p in plans for r in p.ranges}))
        return PlanBatch.of(plans, self.n_units), physics

    def _played(
        self, plans: PlanBatch, physics: Physics, mbps: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, Progress]]:
        """One image under every plan: (which plans, their latency, their state at the end), some at a time."""
        order = np.argsort(-plans.count, kind="stable")
        rates = self.nominal if mbps is None else self.rates(mbps)
        for at in range(0, len(order), CHUNK):
            some = order[at : at + CHUNK]
            yield some, *self._played_together(plans, some, physics, rates.take(some))

    def _played_together(
        self, plans: PlanBatch, some: np.ndarray, physics: Physics, rates: Rates
    ) -> tuple[np.ndarray, Progress]:
        """Latency and state at the end of the plans ``some``, which come with the most volumes first."""
        count, stops = plans.count[some], plans.stops[:, some]
        posts = np.zeros((some.size, self.n_devices + 1), dtype=np.int64)
        starts = np.zeros(some.size, dtype=np.int64)
        progress = Progress(self.n_devices, some.size)
        for v in range(int(count[0])):
            lanes = np.arange(np.searchsorted(-count, -v))  # those with more than v volumes
            volume = physics.volumes.index[starts[lanes], stops[v, lanes]]
            posts[lanes, 1:-1] = plans.splits[v][:, some[lanes]].T
            posts[lanes, -1] = physics.volumes.height[volume]
            physics.volume(progress, volume, posts[lanes], rates, lanes)
            starts = stops[v]
        return physics.finish(progress, rates, np.arange(some.size)), progress

    def replay(self, plan: SpatialPlan, mbps: np.ndarray | None = None) -> tuple[float, Progress, Events]:
        """One image under a plan with everything that happened: (latency_s, totals, events)."""
        self._check(plan)
        return self.replay_volumes(plan.ranges, plan.splits, mbps)

    def replay_volumes(
        self, ranges: Sequence[Range], splits: Sequence[Sequence[int]], mbps: np.ndarray | None = None
    ) -> tuple[float, Progress, Events]:
        """:meth:`replay` of the first layer-volumes alone; the latency is NaN where they end before the network."""
        events = Events()
        if not ranges:
            return float("nan"), Progress(self.n_devices, 1), events
        physics = self.physics(ranges)
        rates = self.nominal if mbps is None else self.rates(mbps[:, None])
        progress, lane = Progress(self.n_devices, 1), np.zeros(1, dtype=np.int64)
        for v, split in enumerate(splits):
            posts = np.array([[0, *split, physics.volumes.height[v]]])
            physics.volume(progress, v, posts, rates, lane, events)
        if ranges[-1][1] < self.n_units:
            return float("nan"), progress, events
        latency = physics.finish(progress, rates, lane, events)
        return float(latency[0]), progress, events

    def offload_s(self, mbps: np.ndarray) -> np.ndarray:
        """(n,) latency of offloading to the best provider under rates (D, n)."""
        lanes = np.arange(mbps.shape[1])
        progress, rates = Progress(self.n_devices, lanes.size), self.rates(mbps)
        posts = np.zeros((lanes.size, self.n_devices + 1), dtype=np.int64)
        posts[:, self.best_provider + 1 :] = self.heights[-1]
        self._whole.volume(progress, 0, posts, rates, lanes)
        return self._whole.finish(progress, rates, lanes)

    @cached_property
    def _whole(self) -> Physics:
        return self.physics([(0, self.n_units)])

    def _check(self, plan: SpatialPlan) -> None:
        plan.validate(self.model)
        if len(plan.devices) != self.n_devices:
            raise InputError(f"plan: devices has {len(plan.devices)} names, the scenario has {self.n_devices}")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything a latency depends on; a shipped best-known value holds only where it matches."""
        facts = {
            "physics": PHYSICS,
            "model": self.model.fingerprint,
            "types": self.types.tolist(),
            "mbps": self.mbps.tolist(),
            "requester_mbps": self.scenario.requester_mbps,
            "links": [self.links.message_s.tolist(), self.links.copy_s_per_byte.tolist()],
            "requester": [self.links.requester_message_s, self.links.requester_copy_s_per_byte],
            "eta": self.links.eta,
            "medium": self.scenario.medium,
            "value_bytes": self.scenario.value_bytes,
            "dynamic": [self.scenario.dynamic, [], self.scenario.trace_factor],
        }
        digest = hashlib.sha256(json.dumps(facts).encode())
        for trace in self.traces:
            digest.update(trace.times_s.tobytes() + trace.mbps.tobytes())
        for table in self.tables:
            digest.update(np.rint(np.nan_to_num(table.seconds) * 1e9).astype(np.int64).tobytes())
        return digest.hexdigest()[:16]


def _own_links(scenario: Scenario) -> tuple[LinkMeasurement | None, ...]:
    """Every device's measured link; one that was measured at another type of the catalogue is a mix-up."""
    links = tuple(None if path is None else load_link(path) for path in scenario.link_files)
    for link, path, kind in zip(links, scenario.link_files, scenario.devices, strict=True):
        if link and link.device != kind and link.device in device_names():
            raise InputError(f"{path}: device is {link.device!r}, the scenario uses it for {kind!r}")
    return links


def _message_costs(link: LinkMeasurement | None, kind: str, scenario: Scenario) -> tuple[float, float]:
    """(seconds of a message, seconds a byte of copies) at a device: measured, or what the catalogue and the scenario
    assume."""
    if link is not None:
        return link.t_msg_s, link.copy_s_per_byte
    device = get_device(kind)
    return device.t_msg_s * scenario.message_factor, scenario.copy_factor / device.copy_bytes_per_s


def _own_table(path: str, model: Model, kind: str) -> LatencyTable:
    """A user's table for a device type; one made for another type of the catalogue is a mix-up."""
    table = load_table(path, model)
    if table.device != kind and table.device in device_names():
        raise InputError(f"{path}: device is {table.device!r}, the scenario uses it for {kind!r}")
    return table
