"""A scenario's plans on real workers; emulated ones take the time that the same numbers give in the physics."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...models.plans import SpatialPlan
from ...runtime.blobs import BlobStore
from ...runtime.controller import Controller, Member
from ...runtime.deployment import Deployment
from ...runtime.keys import ROSTER_FILE, Identity, Roster, load_identity, load_roster, sole_use
from ...runtime.namespaces import Namespaces
from ...runtime.pacing import RequesterPace
from ...runtime.requester import Item
from ...runtime.session import open_session
from ...runtime.session_core import Clock
from ...runtime.testbed import Testbed
from ...runtime.wire import Pace
from ...runtime.wire_types import FLOAT16, FLOAT32, UINT8
from ...ui.errors import InputError
from .physics import Rates
from .scenarios import Scenario
from .system import System

LOOPBACK = ("127.", "[::1]", "localhost", "198.18.")  # and namespaces of this machine
JOIN_S = 10.0  # until a worker must have answered
LEASE_S = 10.0  # that a worker may be silent: nothing survives its loss, and whoever ends is noticed at once
SPARE = 2.0  # times what real work took when it was tried
DTYPES = {"uint8": UINT8, "float16": FLOAT16, "float32": FLOAT32}  # codes of what is on the wire


def paces(
    system: System,
    plan: SpatialPlan,
    scale: float,
    dilations: Sequence[float] | None = None,
    paces_links: bool = True,
) -> tuple[list[Pace], RequesterPace]:
    """What emulated devices take under a plan at nominal rates.

    Args:
        system: of the scenario.
        plan: for its devices.
        scale: by which everything is slower than the devices and links that are emulated.
        dilations: by device, to multiply the time of real work instead of waiting for the table's.
        paces_links: whether bytes take the links' time; without, only fixed costs and copies.

    Returns:
        Pace of every device, and the requester's.
    """
    physics, links = system.physics(plan.ranges), system.links
    rates = system.nominal if paces_links else Rates(links.eta, np.full((system.n_devices, 1), np.inf), np.inf)
    byte_s = system.byte_s(rates)
    tables = physics.volumes
    posts = [(0, *split, int(h)) for split, h in zip(plan.splits, tables.height, strict=True)]
    requester_message_s = np.maximum(links.message_s, links.requester_message_s) * scale
    message_s = np.maximum(links.message_s[:, None], links.message_s[None]) * scale
    found = []
    for d, kind in enumerate(system.types.tolist()):
        at = [(a * (int(h) + 1) + b) for (a, b), h in zip((p[d : d + 2] for p in posts), tables.height, strict=True)]
        volume_s = [float(tables.compute_s[kind, cell + i]) for cell, i in zip(tables.cell_at, at, strict=True)]
        found.append(
            Pace(
                compute="table" if dilations is None else "dilate",
                volume_s=tuple(s * scale for s in volume_s),
                tail_s=float(tables.tail_s[kind]) * scale,
                dilation=1.0 if dilations is None else dilations[d],
                message_s=(*message_s[d].tolist(), float(requester_message_s[d])),
                byte_s=tuple(float(s) * scale for s in (*byte_s.pair_s[d], byte_s.requester_s[d])),
                in_byte_s=float(rates.in_s[0, d]) * scale,
                scatter_byte_s=float(byte_s.requester_s[d]) * scale,
            )
        )
    requester = RequesterPace(
        tuple(requester_message_s.tolist()),
        tuple((byte_s.scatter_s * scale).tolist()),
        tuple((rates.requester_in_s[0] * scale).tolist()),
    )
    return found, requester


@dataclass(frozen=True)
class Emulation:
    """Whose time workers take.

    Attributes:
        kind: their own (none), the tables' (table), or their own dilated (dilate).
        scale: by which everything is slower than what is emulated.
        links: whether links are emulated too; without, the kernel shapes them.
    """

    kind: str = "none"
    scale: float = 1.0
    links: bool = True


class Cluster:
    """Workers that carry out a scenario's plans.

    Args:
        system: of the scenario; its devices are the workers.
        controller: in session with them.
        store: with the network's weights, whose ``digests`` are given.
        emulation: whose time they take.
        testbed: the workers, where they are processes of this machine.
    """

    def __init__(
        self,
        system: System,
        controller: Controller,
        store: BlobStore,
        digests: tuple[str, ...],
        emulation: Emulation = Emulation(),
        testbed: Testbed | None = None,
    ) -> None:
        self.system, self.controller, self.store, self.digests = system, controller, store, digests
        self.emulation, self.testbed = emulation, testbed
        self._dilations: list[float] | None = None

    @property
    def scale(self) -> float:
        """By which real time is longer than that of the devices."""
        return self.emulation.scale if self.emulation.kind != "none" else 1.0

    @property
    def dtype(self) -> int:
        """Code of activations on the wire."""
        return DTYPES[self.system.scenario.activation_type]

    @property
    def is_exact(self) -> bool:
        """Whether nothing loses precision on the wire."""
        return self.dtype == FLOAT32 and self.system.scenario.image_type != "float16"

    @property
    def clocks(self) -> Mapping[str, Clock]:
        """Of workers on other machines; those of this one have its clock."""
        members, clocks = self.controller.members, self.controller.core.clocks
        return {name: clocks[name] for name, member in members.items() if not member.address.startswith(LOOPBACK)}

    def deploy(
        self,
        plan: SpatialPlan,
        in_flight: int = 1,
        emulation: Emulation | None = None,
        volumes: int | None = None,
    ) -> None:
        """Have all workers ready for a plan.

        Args:
            in_flight: images that may be under way at once.
            emulation: instead of the cluster's own.
            volumes: how many of the plan's are run; all by default.

        Raises:
            ClusterFailure: one is not.
        """
        self.controller.deploy(self.deployment(plan, in_flight, emulation, volumes))

    def deployment(
        self,
        plan: SpatialPlan,
        in_flight: int = 1,
        emulation: Emulation | None = None,
        volumes: int | None = None,
        system: System | None = None,
    ) -> Deployment:
        """A plan with all that it takes to carry it out.

        Args:
            in_flight, emulation, volumes: as for :meth:`deploy`.
            system: of those devices that the plan is for, where it is not for all.
        """
        emulation, system = emulation or self.emulation, system or self.system
        pace: tuple[list[Pace] | None, RequesterPace | None] = (None, None)
        if emulation.kind != "none":
            dilations = self.dilations() if emulation.kind == "dilate" else None
            if dilations is not None:
                dilations = [dilations[self.system.names.index(name)] for name in system.names]
            pace = paces(system, plan, emulation.scale, dilations, emulation.links)
        return Deployment(
            system.model, self.digests, plan, system.names, self.dtype, in_flight, *pace, volumes=volumes,
            image_dtype=DTYPES[system.scenario.image_type],
        )  # fmt: skip

    def run(self, images: Iterable[np.ndarray], expected_s: float) -> Iterator[Item]:
        """Images through the deployed plan, in order.

        Args:
            images: uint8, (channels, rows, width) each; they go out as what the scenario says.
            expected_s: what one may take, not scaled; ten times as long and a minute are waited for.

        Raises:
            ClusterFailure: a worker was lost, or an image took too long.
        """
        yield from self.controller.run(iter(images), 60.0 + 10.0 * expected_s * self.emulation.scale)

    def fit_scale(self, plan: SpatialPlan, images: Sequence[np.ndarray]) -> float:
        """The least scale at which this machine does all that it emulates in time, with some to spare.

        Every part runs at full speed, as many at once as there are devices.
        """
        self.deploy(plan, emulation=Emulation())
        table, _ = paces(self.system, plan, 1.0)
        most = 0.0
        for item in self.controller.run(iter(images), 300.0):
            for d, name in enumerate(self.system.names):
                for span in (s for s in item.spans.get(name, ()) if s.kind == "compute"):
                    due_s = table[d].tail_s if span.label == "tail" else table[d].volume_s[int(span.label)]
                    if due_s > 0:  # what takes no time at any scale is late at any
                        most = max(most, (span.end_s - span.start_s) / due_s)
        return max(1.0, float(f"{SPARE * most:.1e}"))

    def dilations(self) -> list[float]:
        """By how much every device is slower than this machine, over the whole network."""
        if self._dilations is None:
            here_s = whole_s(self.system, self.store, self.digests)
            self._dilations = [float(s) / here_s for s in self.system.model_s]
        return [d * self.emulation.scale for d in self._dilations]


def whole_s(system: System, store: BlobStore, digests: tuple[str, ...]) -> float:
    """Seconds of this thread's own time that the unsplit network takes here."""
    import torch

    from ...runtime.weights import load_whole

    network, shape = load_whole(store, system.scenario.model, digests), system.model.input
    image = torch.zeros(1, shape.folded_channels, shape.height, shape.width)
    with torch.inference_mode():
        network(image)
        begun_s = time.thread_time()
        network(image)
    return time.thread_time() - begun_s


def _check_links(scenario: Scenario, emulation: Emulation) -> None:
    """Links that cannot be emulated are refused."""
    emulated = emulation.kind != "none" or not emulation.links
    if scenario.medium == "shared" and emulated:
        raise InputError(
            f"scenario {scenario.name}: medium is 'shared', allowed where links are emulated: switched (senders in "
            f"processes of their own cannot take turns on one air)"
        )
    if scenario.requester_mbps == "same" and not emulation.links:
        raise InputError(
            f"scenario {scenario.name}: requester_mbps is 'same', allowed with --namespaces: a rate, since the kernel "
            f"shapes the requester's link for all devices alike"
        )


@contextmanager
def on_testbed(
    system: System, store: BlobStore, emulation: Emulation, insecure: bool = False, **session: Any
) -> Iterator[Cluster]:
    """Workers in processes of this machine; they end with the context. Where the emulation leaves out the links, each
    has a network namespace of its own whose link the kernel shapes.

    Args:
        session: options of the :class:`~splitgym.runtime.controller.Controller`.

    Raises:
        InputError: they do not start, or the network cannot be read in.
    """
    from ...runtime.weights import store_weights

    _check_links(system.scenario, emulation)
    digests = store_weights(store, system.scenario.model)
    mbps = {name: float(rate) / emulation.scale for name, rate in zip(system.names, system.mbps, strict=True)}
    requester_mbps = float(np.max(system.requester_mbps(system.mbps)))
    session = {"join_s": 60.0, "lease_s": LEASE_S, **session}
    with (
        nullcontext() if emulation.links else Namespaces(mbps, requester_mbps / emulation.scale) as own,
        Testbed(system.names, store.folder, insecure, namespaces=own) as testbed,
        open_session(testbed.members, testbed.identity, testbed.roster, store, insecure, **session) as controller,
    ):
        yield Cluster(system, controller, store, digests, emulation, testbed)


@dataclass(frozen=True)
class Access:
    """What it takes to give a cluster's workers orders.

    Attributes:
        scenario: with the workers' addresses.
        key_file: of this machine, whose ``identity`` it holds.
        roster: who takes part, from ``roster_file``.
    """

    scenario: Scenario
    key_file: Path
    identity: Identity
    roster_file: Path
    roster: Roster

    def member(self, name: str) -> Member:
        """A worker by its name.

        Raises:
            InputError: it is none on the roster.
        """
        found = self.roster.members.get(name)
        if found is None or found.role != "worker":
            raise InputError(f"{self.roster_file}: {name} of scenario {self.scenario.name} is no worker on it")
        return Member(name, (self.scenario.addresses or {})[name])


def access_to(scenario: Scenario) -> Access:
    """Access to a scenario's workers.

    Raises:
        InputError: the scenario is no cluster, or there is no key to it.
    """
    if not scenario.addresses:
        raise InputError(f"scenario {scenario.name}: is no cluster, addresses is missing")
    folder = Path(scenario.keys or "keys")
    roster = load_roster(folder / ROSTER_FILE)
    key_file = _controller_of(folder, {m.name for m in roster.members.values() if m.role == "controller"})
    return Access(scenario, key_file, load_identity(key_file), folder / ROSTER_FILE, roster)


@contextmanager
def on_machines(system: System, store: BlobStore, insecure: bool = False, **session: Any) -> Iterator[Cluster]:
    """The workers that a scenario has addresses of; they are free again at the end.

    Args:
        session: options of the :class:`~splitgym.runtime.controller.Controller`.

    Raises:
        InputError: the scenario is no cluster, there is no key to it or another command uses that, or the network
            cannot be read in.
        ClusterFailure: a worker refuses, or does not answer in time.
    """
    from ...runtime.weights import store_weights

    scenario = system.scenario
    emulation = Emulation(scenario.emulate, scenario.time_scale)
    _check_links(scenario, emulation)
    access = access_to(scenario)
    members = [access.member(name) for name in system.names]
    digests = store_weights(store, scenario.model)
    session = {"join_s": JOIN_S, "lease_s": LEASE_S, **session}
    with (
        sole_use(access.key_file),
        open_session(members, access.identity, access.roster, store, insecure, **session) as controller,
    ):
        yield Cluster(system, controller, store, digests, emulation)


def _controller_of(folder: Path, names: set[str]) -> Path:
    """The key file of a machine that gives orders; the first by name where a folder holds several."""
    for path in sorted(folder.glob("*.key")):
        if path.stem in names:
            return path
    wanted = ", ".join(f"{name}.key" for name in sorted(names)) or "any"
    raise InputError(f"{folder}: holds no key of a machine that gives orders, {wanted} (splitgym-keys make)")
