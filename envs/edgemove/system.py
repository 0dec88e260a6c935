"""A scenario with its model, machines, city and walks, as arrays over the cuts."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import cached_property
from math import ceil

import numpy as np

from ...models.cuts import cut_points
from ...models.lookup import get_model
from ...models.model import Model
from ...models.plans import PipelinePlan
from ...profiling.training import TrainingProfile, load_profile, modelled_profile
from ...ui.errors import InputError
from .city import build_city
from .scenarios import Scenario
from .walks import Walks

FLOAT_BITS = 32
NOBODY = -1  # the worker of a client that trains alone


class System:
    """What does not change with time.

    Args:
        scenario: the setting.
        model: another network than the zoo's.

    Raises:
        InputError: a profile does not fit the model or lacks the batch size, or a file of places is wrong.

    Attributes:
        points: steps (``Model.steps``) in front of every cut 0..L.
        names: of the L layers: the last step of each.
        client_s: (L + 1,) seconds of a minibatch on the client with l layers: both passes and the update.
        server_s: (kinds, L + 1) the same of the layers behind the cut on every GPU, then on the cloud, unloaded,
            host floor included; 0 behind the last.
        link_bits: (L + 1,) of a minibatch, one way.
        weight_bits: (L + 1,) parameters of the first l layers.
        kind: (S + 1,) index into ``server_s`` of every site and of the cloud.
        iterations: minibatches until training is done.
        cycles: steps of an episode.
    """

    def __init__(self, scenario: Scenario, model: Model | None = None) -> None:
        self.scenario = scenario
        self.model = get_model(scenario.model) if model is None else model
        self.points = cut_points(self.model, stem=True)
        steps = self.model.steps
        self.names = tuple(steps[p - 1].name for p in self.points[1:])
        self.profiles = {device: self._profile(device) for device in (scenario.client, *scenario.gpus, scenario.cloud)}
        seconds = {device: self._summed(p.step_s(scenario.batch)) for device, p in self.profiles.items()}
        self.client_s = seconds[scenario.client]
        servers = np.stack([seconds[device] for device in (*scenario.gpus, scenario.cloud)])
        self.server_s = servers[:, -1:] - servers
        self.server_s[:, :-1] += scenario.host_floor_s
        client = self.profiles[scenario.client]
        behind = [client.activation_bytes[p - 1] if p else self.model.cut_bytes(0, 4) for p in self.points]
        self.link_bits = 8.0 * scenario.batch * np.array(behind, dtype=float)
        self.link_bits[-1] = 0.0
        self.weight_bits = FLOAT_BITS * self._summed(client.params.astype(float))
        self.city = build_city(scenario)
        self.walks = Walks(scenario, self.city)
        self.kind = np.append(self.city.gpu, len(scenario.gpus))
        self.iterations = max(1, round(scenario.on_device_s / self._task_iteration_s()))
        self.cycles = ceil(self.iterations / scenario.cycle)

    def _task_iteration_s(self) -> float:
        """Seconds of an iteration, on the client alone, of the network that the task's time is about."""
        scenario = self.scenario
        if scenario.task_model in ("", scenario.model):
            return self.on_device_iteration_s
        task = get_model(scenario.task_model)
        profile = modelled_profile(task, scenario.client, (scenario.batch,), scenario.optimizer, scenario.tiles)
        return float(profile.step_s(scenario.batch).sum())

    def _profile(self, device: str) -> TrainingProfile:
        scenario = self.scenario
        if device in scenario.profiles:
            return load_profile(scenario.profiles[device], self.model)
        return modelled_profile(self.model, device, (scenario.batch,), scenario.optimizer, scenario.tiles)

    def _summed(self, values: np.ndarray) -> np.ndarray:
        """(L + 1,) sums over all steps in front of every cut."""
        return np.concatenate([[0.0], np.cumsum(values)])[list(self.points)]

    @property
    def n_layers(self) -> int:
        """L: the cut L leaves everything on the client."""
        return len(self.points) - 1

    @property
    def n_sites(self) -> int:
        return self.city.n_sites

    @property
    def cloud(self) -> int:
        """The cloud's index among the servers."""
        return self.n_sites

    @property
    def on_device_iteration_s(self) -> float:
        return float(self.client_s[-1])

    @property
    def on_device_cycle_s(self) -> float:
        """A whole cycle on the client alone: the unit of rewards."""
        return self.on_device_iteration_s * self.scenario.cycle

    @property
    def on_device_s(self) -> float:
        """All of training on the client alone."""
        return self.on_device_iteration_s * self.iterations

    def worker_name(self, server: int) -> str:
        """A server's name in plans and pictures; none for -1."""
        return "none" if server < 0 else "cloud" if server == self.cloud else f"site-{server}"

    @cached_property
    def device_types(self) -> dict[str, str]:
        """Type of the client, of the cloud, and of every site's server."""
        setting = self.scenario
        sites = {self.worker_name(site): setting.gpus[gpu] for site, gpu in enumerate(self.city.gpu)}
        return {"client": setting.client, "cloud": setting.cloud, **sites}

    def plan(self, cut: int, server: int) -> PipelinePlan:
        """The client's first ``cut`` layers and the rest on a server, -1 for none."""
        worker = self.worker_name(server)
        types = {name: self.device_types[name] for name in ("client", worker) if name in self.device_types}
        return PipelinePlan(
            self.model.name, self.points[cut], worker, self.scenario.in_flight,
            types=types, fingerprint=self.model.fingerprint,
        )  # fmt: skip

    def placement_of(self, plan: PipelinePlan) -> tuple[int, int]:
        """(cut 1..L, server or -1) of a plan in this scenario.

        Raises:
            InputError: names the field that does not fit.
        """
        if plan.cut not in self.points[1:]:
            allowed = ", ".join(map(str, self.points[1:]))
            raise InputError(f"cut is {plan.cut}, {self.model.name} can be cut behind {allowed} steps")
        if plan.in_flight != self.scenario.in_flight:
            raise InputError(
                f"in_flight is {plan.in_flight}, that of {self.scenario.name} is {self.scenario.in_flight}"
            )
        names = [self.worker_name(server) for server in range(-1, self.cloud + 1)]
        if plan.worker not in names:
            raise InputError(f"worker is {plan.worker!r}, allowed: none, cloud, site-0 to site-{self.n_sites - 1}")
        cut, server = self.points.index(plan.cut), names.index(plan.worker) - 1
        if (server < 0) != (cut == self.n_layers):
            raise InputError(f"worker is {plan.worker!r} with cut {plan.cut}, allowed: none behind all layers only")
        return cut, server

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every input that a result depends on."""
        digest = hashlib.sha256(f"{self.model.fingerprint}{sorted(asdict(self.scenario).items())}".encode())
        city = self.city
        walks = np.concatenate(self.walks.points_m)
        tables = (self.client_s, self.server_s, self.link_bits, self.weight_bits)
        for array in (*tables, city.position_m, city.radius_m, city.gpu, walks):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]
