"""What a HierTrain scenario amounts to: seconds of every layer on every worker, bits of every tensor.

Workers are numbered device 0, edge 1, cloud 2. Layers are counted in front of a cut: index m of an array over
0..N stands for the first m layers.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...models.cuts import cut_points
from ...models.lookup import get_model
from ...models.model import VALUE_BYTES, Model
from ...models.plans import HybridPlan
from ...profiling.training import TrainingProfile, load_profile, modelled_profile
from ...ui.errors import InputError
from .scenarios import WORKERS, Scenario, Worker
from .schedule import Schedules, schedules

DEVICE, EDGE, CLOUD = range(3)
FLOAT_BITS = 32


class Tables(NamedTuple):
    """What kernels take of a :class:`System` and of its scenario."""

    forward_s: np.ndarray
    backward_s: np.ndarray
    update_s: np.ndarray
    weight_bits: np.ndarray
    output_bits: np.ndarray
    sample_bits: float
    stream: bool  # relayed at the slower link's rate
    shared: bool  # links, by flows
    always: bool  # weights are exchanged


class System:
    """A scenario with its model and profiles, as arrays over the number of layers 0..N in front of a cut.

    Args:
        scenario: the setting.
        model: another network than the zoo's.

    Raises:
        InputError: a profile does not fit the model or lacks the batch size.

    Attributes:
        points: steps (``Model.steps``) in front of every cut 0..N.
        names: of the N layers: the last step of each.
        forward_s, backward_s: (3, N + 1) seconds of one sample on every worker, summed (Eq. 1-2).
        update_s: (3, N + 1) seconds of the weight update, summed (Eq. 3).
        weight_bits: (N + 1,) parameters, summed.
        output_bits: (N + 1,) float32 output of one sample behind m layers; 0 in front of all.
        sample_bits: Q, one sample as the device sends it.
    """

    def __init__(self, scenario: Scenario, model: Model | None = None) -> None:
        self.scenario = scenario
        self.model = get_model(scenario.model) if model is None else model
        self.points = cut_points(self.model, stem=True)
        steps = self.model.steps
        self.names = tuple(steps[p - 1].name for p in self.points[1:])
        kinds = (scenario.device, scenario.edge_profile, scenario.cloud)
        self.profiles = [self._profile(*pair) for pair in zip(WORKERS, kinds, strict=True)]
        passes = [profile.at(scenario.batch) for profile in self.profiles]
        slower, overhead_s = self._framework[:, :1], self._framework[:, 1:] * self._summed([self._operators])
        self.forward_s = slower * self._summed([forward / scenario.batch for forward, _ in passes]) + overhead_s
        self.backward_s = slower * self._summed([backward / scenario.batch for _, backward in passes]) + overhead_s
        self.update_s = slower * self._summed([profile.update_s for profile in self.profiles])
        device = self.profiles[DEVICE]
        self.weight_bits = FLOAT_BITS * self._summed([device.params])[0]
        outputs = 8.0 * np.concatenate([[0], device.activation_bytes])
        self.output_bits = outputs[list(self.points)]
        values = self.model.cut_bytes(0, 1)
        self.sample_bits = 8.0 * (scenario.sample_bytes or values * VALUE_BYTES[scenario.sample_type])

    @cached_property
    def _framework(self) -> np.ndarray:
        """(3, 2) by how much slower workers are than their profiles, and what an operator takes them beside."""
        scenario = self.scenario
        modelled = np.array([worker not in scenario.profiles for worker in WORKERS])
        slower = np.where(modelled, scenario.slowdown, 1.0)
        slower[EDGE] /= scenario.edge_speedup
        return np.stack([slower, np.where(modelled, scenario.overhead_s, 0.0)], axis=1)

    def step_costs(self, worker: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(steps,) each: seconds of every step's passes over a whole batch, and of its update, on a worker."""
        slower, overhead_s = self._framework[worker]
        profile, beside_s = self.profiles[worker], overhead_s * self.batch * self._operators
        forward_s, backward_s = profile.at(self.batch)
        return slower * forward_s + beside_s, slower * backward_s + beside_s, slower * profile.update_s

    @property
    def _operators(self) -> np.ndarray:
        """(steps,) of one pass."""
        return np.array([len(step.kernels) for step in self.model.steps], dtype=float)

    def _profile(self, worker: Worker, device: str) -> TrainingProfile:
        scenario = self.scenario
        if worker in scenario.profiles:
            return load_profile(scenario.profiles[worker], self.model)
        return modelled_profile(self.model, device, (scenario.batch,), scenario.optimizer, scenario.tiles)

    def _summed(self, values: list[np.ndarray]) -> np.ndarray:
        """(len(values), N + 1) sums over all steps in front of every cut."""
        sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
        return sums[:, list(self.points)]

    def schedule_of(self, plan: HybridPlan) -> Schedules:
        """A plan as a schedule of this scenario.

        Raises:
            InputError: names the field that does not fit.
        """
        workers = [WORKERS.index(name) if name in WORKERS else -1 for name in plan.roles]
        if -1 in workers:
            raise InputError(f"roles is {list(plan.roles)}, allowed: {', '.join(WORKERS)} in some order")
        allowed = ", ".join(map(str, self.points))
        for name, steps in (("m_s", plan.m_s), ("m_l", plan.m_l)):
            if steps not in self.points:
                raise InputError(f"{name} is {steps}, {self.model.name} can be cut behind {allowed} steps")
        if sum(plan.b) != self.batch:
            raise InputError(f"b sums to {sum(plan.b)}, the batch of {self.scenario.name} is {self.batch}")
        m_s, m_l = (np.array(self.points.index(m)) for m in (plan.m_s, plan.m_l))
        return schedules(np.array(workers), m_s, m_l, np.array(plan.b))

    def plan_of(self, schedules: Schedules, number: int = 0) -> HybridPlan:
        """One of some schedules as a plan."""
        return HybridPlan(
            self.model.name,
            tuple(WORKERS[w] for w in schedules.worker[:, number]),
            self.points[int(schedules.m_s[number])],
            self.points[int(schedules.m_l[number])],
            tuple(int(b) for b in schedules.b[:, number]),
            types=self.device_types,
            fingerprint=self.model.fingerprint,
        )

    @property
    def device_types(self) -> dict[str, str]:
        """Type of every worker."""
        return {worker: getattr(self.scenario, worker) for worker in WORKERS}

    @property
    def provenance(self) -> tuple[str, ...]:
        """Where the workers' seconds come from, a line each."""
        profiles = (f"training of {p.model} on {p.provenance.label()}" for p in self.profiles)
        return (*self.scenario.provenance, *profiles)

    @property
    def n_layers(self) -> int:
        return len(self.points) - 1

    @property
    def batch(self) -> int:
        return self.scenario.batch

    @property
    def nominal(self) -> tuple[float, float]:
        """(device-edge, edge-cloud) rates in bit/s."""
        return 1e6 * self.scenario.device_edge_mbps, 1e6 * self.scenario.edge_cloud_mbps

    @cached_property
    def tables(self) -> Tables:
        """What kernels take of it."""
        return tables_of(self)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every input that a result depends on."""
        digest = hashlib.sha256(f"{self.model.fingerprint}{sorted(asdict(self.scenario).items())}".encode())
        for array in (self.forward_s, self.backward_s, self.update_s, self.weight_bits, self.output_bits):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def tables_of(system: System) -> Tables:
    """The arrays of a system as kernels take them."""
    scenario = system.scenario
    return Tables(
        forward_s=np.ascontiguousarray(system.forward_s),
        backward_s=np.ascontiguousarray(system.backward_s),
        update_s=np.ascontiguousarray(system.update_s),
        weight_bits=np.ascontiguousarray(system.weight_bits),
        output_bits=np.ascontiguousarray(system.output_bits),
        sample_bits=float(system.sample_bits),
        stream=scenario.relay == "stream",
        shared=bool(scenario.share_links),
        always=scenario.exchange == "always",
    )
