"""Plans: what crosses from agents to simulation, drawing and execution. JSON on disk, one schema family.

``{"schema": 2, "kind": "spatial", "model": ..., "types": {...}, "devices": [...], ...}``. Loading validates against the
model and names the field that is wrong.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from ..ui.errors import InputError
from ..ui.faults import few
from ..ui.files import write_text
from ..ui.validation import Count, read_json, validated
from .compression import compressing_cut, layer_cut, widened
from .model import Model

SCHEMA = 2

P = TypeVar("P", bound="Plan")


@dataclass(frozen=True)
class Plan(ABC):
    """What all kinds share.

    Attributes:
        kind: its name in files.
        model: model name.
        types: type of every device that takes part, by its name or role.
        fingerprint: of the model, to tell networks of one name apart; empty in plans that were written by hand.
    """

    kind: ClassVar[str]
    model: str
    types: Mapping[str, str] = field(kw_only=True)
    fingerprint: str = field(default="", kw_only=True, compare=False)

    def validate(self: P, model: Model, where: str = "plan") -> P:
        """Check the plan against the model and return the plan itself.

        Raises:
            InputError: names the field and what is allowed.
        """
        if self.model != model.name:
            raise InputError(
                f"{where}: model is {self.model!r}, expected {model.name!r}; a network of your own is named by --model"
            )
        if self.fingerprint not in ("", model.fingerprint):
            raise InputError(
                f"{where}: fingerprint is {self.fingerprint!r}, expected {model.fingerprint!r}; "
                f"the plan is for another network that is called {model.name}, too"
            )
        self._check(model, where)
        names = ", ".join(self.names)
        if set(self.types) != set(self.names):
            raise InputError(f"{where}: types is of {', '.join(self.types) or 'nobody'}, expected {names}")
        return self

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names or roles of the devices that take part."""

    @abstractmethod
    def _check(self, model: Model, where: str) -> None:
        """What depends on the model beside its name."""

    def check_types(self, known: Mapping[str, str], scenario: str) -> None:
        """A plan is for the devices that it was made for.

        Args:
            known: types of the devices of a scenario, by name or role.
            scenario: its name.

        Raises:
            InputError: names the device, its type in the plan and that in the scenario.
        """
        for name in self.names:
            if name not in known:
                theirs = few([f"{other} ({kind})" for other, kind in known.items()])
                raise InputError(
                    f"types: {name} ({self.types[name]}) is not in scenario {scenario}, which has {theirs}"
                )
            if self.types[name] != known[name]:
                raise InputError(f"types: {name} is {self.types[name]!r}, in scenario {scenario} it is {known[name]!r}")

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able data."""
        names = [part.name for part in fields(self) if self.fingerprint or part.name != "fingerprint"]
        values = {name: _listed(getattr(self, name)) for name in names}
        return {"schema": SCHEMA, "kind": self.kind, **values}

    @classmethod
    def from_json(cls: type[P], data: Mapping[str, Any], where: str) -> P:
        """Build from JSON data; :meth:`validate` checks it against the model."""
        return validated(cls, {k: v for k, v in data.items() if k not in ("schema", "kind")}, where, exact=True)


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [_listed(part) for part in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class SpatialPlan(Plan):
    """Layer-volumes, each split by height over the devices (DistrEdge).

    Args:
        model: model name.
        devices: device names, each once, in split order.
        cuts: for every volume the number of units up to its end: increasing, the last one is all units.
        splits: for every volume the D - 1 rows of its last output where the next device's part begins.
        notes: where the plan comes from (agent, scenario, latency and the like); never interpreted or compared.
    """

    devices: tuple[str, ...]
    cuts: tuple[int, ...]
    splits: tuple[tuple[int, ...], ...]
    notes: Mapping[str, Any] = field(default_factory=dict, compare=False)

    kind = "spatial"

    @property
    def names(self) -> tuple[str, ...]:
        return self.devices

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The volumes as (start, stop) units."""
        return volume_ranges(self.cuts)

    def _check(self, model: Model, where: str) -> None:
        check_device_names(self.devices, where)
        units = len(model.units)
        previous = 0
        for i, cut in enumerate(self.cuts):
            if not previous < cut <= units:
                raise InputError(
                    f"{where}: cuts[{i}] is {cut}, cuts must increase strictly within {previous + 1}..{units}"
                )
            previous = cut
        if previous != units:
            raise InputError(f"{where}: cuts must end at {units}, the number of units of {model.name}, not {previous}")
        if len(self.splits) != len(self.cuts):
            raise InputError(
                f"{where}: splits has {len(self.splits)} entries, cuts has {len(self.cuts)}; one per volume"
            )
        for i, (cut, split) in enumerate(zip(self.cuts, self.splits, strict=True)):
            height = model.out_shape(cut - 1).height
            if len(split) != len(self.devices) - 1:
                raise InputError(
                    f"{where}: splits[{i}] has {len(split)} rows, allowed: {len(self.devices) - 1} (devices - 1)"
                )
            if list(split) != sorted(split) or (split and not 0 <= split[0] <= split[-1] <= height):
                raise InputError(
                    f"{where}: splits[{i}] is {list(split)}, rows must not decrease and lie within 0..{height}"
                )


@dataclass(frozen=True)
class CutPlan(Plan):
    """One cut between an end device and a server (L2S).

    Args:
        model: model name.
        cut: steps (``Model.steps``) in front of the cut, on the end device; 0 is all on the edge server.
        notes: where the plan comes from; never interpreted.
    """

    cut: int
    notes: Mapping[str, Any] = field(default_factory=dict)

    kind = "cut"

    @property
    def names(self) -> tuple[str, ...]:
        return ("device", "edge")

    def _check(self, model: Model, where: str) -> None:
        if not 0 <= self.cut <= len(model.steps):
            raise InputError(f"{where}: cut is {self.cut}, allowed: 0..{len(model.steps)}, the steps of {model.name}")


@dataclass(frozen=True)
class HybridPlan(Plan):
    """A batch shared among three workers that train a different number of layers (HierTrain).

    Args:
        model: model name.
        roles: names of the workers that play o (all layers), s (the first m_s) and l (the first m_l).
        m_s, m_l: steps (``Model.steps``) that s and l train, m_s <= m_l.
        b: samples of o, s and l; a worker that trains nothing has none.
        notes: where the plan comes from; never interpreted.
    """

    roles: tuple[str, ...]
    m_s: int
    m_l: int
    b: tuple[int, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    kind = "hybrid"

    @property
    def names(self) -> tuple[str, ...]:
        return self.roles

    def _check(self, model: Model, where: str) -> None:
        if len(self.roles) != 3:
            raise InputError(f"{where}: roles has {len(self.roles)} names, allowed: 3 (the workers o, s and l)")
        check_device_names(self.roles, where)
        steps = len(model.steps)
        if not 0 <= self.m_s <= self.m_l <= steps:
            raise InputError(f"{where}: m_s is {self.m_s}, m_l {self.m_l}, allowed: 0 <= m_s <= m_l <= {steps} (steps)")
        if len(self.b) != 3 or min(self.b) < 0 or sum(self.b) < 1:
            raise InputError(f"{where}: b is {list(self.b)}, allowed: 3 numbers of samples that sum to the batch")
        for role, m, samples in (("s", self.m_s, self.b[1]), ("l", self.m_l, self.b[2])):
            if m == 0 and samples:
                raise InputError(f"{where}: b gives worker {role} {samples} samples, but m_{role} is 0; allowed: 0")


@dataclass(frozen=True)
class PipelinePlan(Plan):
    """Training in a pipeline of a client and one server (EdgeMove).

    Args:
        model: model name.
        cut: steps (``Model.steps``) that the client trains; all of them leave nothing to a worker.
        worker: the server's name, ``none`` where there is none.
        in_flight: most minibatches in the pipeline at once, K.
        notes: where the plan comes from; never interpreted.
    """

    cut: int
    worker: str
    in_flight: Count
    notes: Mapping[str, Any] = field(default_factory=dict)

    kind = "pipeline"

    @property
    def names(self) -> tuple[str, ...]:
        return ("client",) if self.worker == "none" else ("client", self.worker)

    def _check(self, model: Model, where: str) -> None:
        steps = len(model.steps)
        if not 1 <= self.cut <= steps:
            raise InputError(f"{where}: cut is {self.cut}, allowed: 1..{steps}, the steps of {model.name}")
        if not self.worker:
            raise InputError(f"{where}: worker is empty, allowed: a server's name, or none")


@dataclass(frozen=True)
class CompressedPlan(Plan):
    """Split training through a compressing cut, a budget for every epoch (Prune-Deprune).

    Args:
        model: model name.
        cut: modules of the usual ``features`` list in front of the cut.
        r: by how much the encoder shrinks maps in height and width.
        budgets: maps that cross in every epoch.
        notes: where the plan comes from; never interpreted.
    """

    cut: int
    r: int
    budgets: tuple[int, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    kind = "compressed"

    @property
    def names(self) -> tuple[str, ...]:
        return ("client", "server")

    def _check(self, model: Model, where: str) -> None:
        phi = widened(self.cut)
        interface = compressing_cut(model, layer_cut(model, self.cut, where), resolution=self.r, phi=phi, where=where)
        if not self.budgets:
            raise InputError(f"{where}: budgets is empty, allowed: one for every epoch")
        for i, budget in enumerate(self.budgets):
            interface.check_budget(budget, f"{where}: budgets[{i}]")


def volume_ranges(cuts: Sequence[int]) -> list[tuple[int, int]]:
    """(start, stop) of every volume, from where they end."""
    return list(zip((0, *cuts[:-1]), cuts, strict=True))


KINDS: dict[str, Callable[[Mapping[str, Any], str], Plan]] = {
    plan.kind: plan.from_json for plan in (SpatialPlan, CutPlan, HybridPlan, PipelinePlan, CompressedPlan)
}


def check_device_names(devices: tuple[str, ...], where: str) -> None:
    """Every device needs a name of its own.

    Raises:
        InputError: a name is used twice, or there is none.
    """
    if not devices:
        raise InputError(f"{where}: devices is empty; name at least one")
    for name in devices:
        if devices.count(name) > 1:
            raise InputError(f"{where}: device {name!r} is named twice; every device needs a name of its own")


def save_plan(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write a plan as JSON."""
    write_text(path, json.dumps(plan.to_json(), indent=1) + "\n")


def load_plan(path: str | os.PathLike[str], model: Model, kind: type[P]) -> P:
    """Read and validate a plan of one kind.

    Raises:
        InputError: one line naming the file, the field and what is allowed.
    """
    data = read_json(path, schema=SCHEMA, kind=kind.kind)
    return kind.from_json(data, str(path)).validate(model, str(path))
