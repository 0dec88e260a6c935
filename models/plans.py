"""Plans: what crosses from agents to simulation, drawing and execution. JSON on disk, one schema family.

``{"schema": 1, "kind": "spatial", "model": ..., "devices": [...], ...}``. Loading validates against the model and
names the field that is wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..ui.errors import InputError
from ..ui.files import write_text
from .compression import compressing_cut, layer_cut, widened
from .model import Model

SCHEMA = 1


@dataclass(frozen=True)
class SpatialPlan:
    """Layer-volumes, each split by height over the devices (DistrEdge).

    Args:
        model: model name.
        devices: device names, each once, in split order.
        cuts: for every volume the number of units up to its end: increasing, the last one is all units.
        splits: for every volume the D - 1 rows of its last output where the next device's part begins.
        notes: where the plan comes from (agent, scenario, latency and the like); never interpreted.
    """

    model: str
    devices: tuple[str, ...]
    cuts: tuple[int, ...]
    splits: tuple[tuple[int, ...], ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    kind = "spatial"

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The volumes as (start, stop) units."""
        return volume_ranges(self.cuts)

    def validate(self, model: Model, where: str = "plan") -> SpatialPlan:
        """Check ranges and order against the model and return the plan itself.

        Raises:
            InputError: names the field and what is allowed.
        """
        if self.model != model.name:
            raise InputError(f"{where}: model is {self.model!r}, expected {model.name!r}")
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
        return self

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able data."""
        splits = [list(s) for s in self.splits]
        return _json_of(self, devices=list(self.devices), cuts=list(self.cuts), splits=splits)

    @staticmethod
    def from_json(data: Mapping[str, Any], where: str) -> SpatialPlan:
        """Build from JSON data; types are checked here, values by :meth:`validate`."""
        notes = _check_fields(data, where, "a spatial plan", ("model", "devices", "cuts", "splits"))
        devices = _list_of(data["devices"], str, f"{where}: devices", "a list of names")
        cuts = _list_of(data["cuts"], int, f"{where}: cuts", "a list of integers")
        splits = _list_of(data["splits"], list, f"{where}: splits", "a list with one list of rows per volume")
        rows = [_list_of(s, int, f"{where}: splits[{i}]", "a list of integers") for i, s in enumerate(splits)]
        return SpatialPlan(data["model"], tuple(devices), tuple(cuts), tuple(tuple(r) for r in rows), notes)


@dataclass(frozen=True)
class CutPlan:
    """One cut between an end device and a server (L2S).

    Args:
        model: model name.
        devices: the end device's name, then the server's.
        cut: steps (``Model.steps``) in front of the cut, on the end device; 0 is all on the server.
        notes: where the plan comes from; never interpreted.
    """

    model: str
    devices: tuple[str, ...]
    cut: int
    notes: Mapping[str, Any] = field(default_factory=dict)

    kind = "cut"

    def validate(self, model: Model, where: str = "plan") -> CutPlan:
        """Check the cut against the model and return the plan itself.

        Raises:
            InputError: names the field and what is allowed.
        """
        if self.model != model.name:
            raise InputError(f"{where}: model is {self.model!r}, expected {model.name!r}")
        if len(self.devices) != 2:
            raise InputError(f"{where}: devices has {len(self.devices)} names, allowed: 2 (the end device, the server)")
        if not 0 <= self.cut <= len(model.steps):
            raise InputError(f"{where}: cut is {self.cut}, allowed: 0..{len(model.steps)}, the steps of {model.name}")
        return self

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able data."""
        return _json_of(self, devices=list(self.devices), cut=self.cut)

    @staticmethod
    def from_json(data: Mapping[str, Any], where: str) -> CutPlan:
        """Build from JSON data; types are checked here, values by :meth:`validate`."""
        notes = _check_fields(data, where, "a cut plan", ("model", "devices", "cut"))
        devices = _list_of(data["devices"], str, f"{where}: devices", "a list of names")
        _check_integer(data, "cut", where)
        return CutPlan(data["model"], tuple(devices), data["cut"], notes)


@dataclass(frozen=True)
class HybridPlan:
    """A batch shared among three workers that train a different number of layers (HierTrain).

    Args:
        model: model name.
        roles: names of the workers that play o (all layers), s (the first m_s) and l (the first m_l).
        m_s, m_l: steps (``Model.steps``) that s and l train, m_s <= m_l.
        b: samples of o, s and l; a worker that trains nothing has none.
        notes: where the plan comes from; never interpreted.
    """

    model: str
    roles: tuple[str, ...]
    m_s: int
    m_l: int
    b: tuple[int, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    kind = "hybrid"

    def validate(self, model: Model, where: str = "plan") -> HybridPlan:
        """Check cuts and shares against the model and return the plan itself.

        Raises:
            InputError: names the field and what is allowed.
        """
        if self.model != model.name:
            raise InputError(f"{where}: model is {self.model!r}, expected {model.name!r}")
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
        return self

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able data."""
        return _json_of(self, roles=list(self.roles), m_s=self.m_s, m_l=self.m_l, b=list(self.b))

    @staticmethod
    def from_json(data: Mapping[str, Any], where: str) -> HybridPlan:
        """Build from JSON data; types are checked here, values by :meth:`validate`."""
        notes = _check_fields(data, where, "a hybrid plan", ("model", "roles", "m_s", "m_l", "b"))
        roles = _list_of(data["roles"], str, f"{where}: roles", "a list of names")
        b = _list_of(data["b"], int, f"{where}: b", "a list of integers")
        for name in ("m_s", "m_l"):
            _check_integer(data, name, where)
        return HybridPlan(data["model"], tuple(roles), data["m_s"], data["m_l"], tuple(b), notes)


@dataclass(frozen=True)
class PipelinePlan:
    """Training in a pipeline of a client and one server (EdgeMove).

    Args:
        model: model name.
        cut: steps (``Model.steps``) that the client trains; all of them leave nothing to a worker.
        worker: the server's name, ``none`` where there is none.
        in_flight: most minibatches in the pipeline at once, K.
        notes: where the plan comes from; never interpreted.
    """

    model: str
    cut: int
    worker: str
    in_flight: int
    notes: Mapping[str, Any] = field(default_factory=dict)

    kind = "pipeline"

    def validate(self, model: Model, where: str = "plan") -> PipelinePlan:
        """Check the cut against the model and return the plan itself.

        Raises:
            InputError: names the field and what is allowed.
        """
        if self.model != model.name:
            raise InputError(f"{where}: model is {self.model!r}, expected {model.name!r}")
        steps = len(model.steps)
        if not 1 <= self.cut <= steps:
            raise InputError(f"{where}: cut is {self.cut}, allowed: 1..{steps}, the steps of {model.name}")
        if not self.worker:
            raise InputError(f"{where}: worker is empty, allowed: a server's name, or none")
        if self.in_flight < 1:
            raise InputError(f"{where}: in_flight is {self.in_flight}, allowed: 1 or more")
        return self

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able data."""
        return _json_of(self, cut=self.cut, worker=self.worker, in_flight=self.in_flight)

    @staticmethod
    def from_json(data: Mapping[str, Any], where: str) -> PipelinePlan:
        """Build from JSON data; types are checked here, values by :meth:`validate`."""
        notes = _check_fields(data, where, "a pipeline plan", ("model", "cut", "worker", "in_flight"))
        for name in ("cut", "in_flight"):
            _check_integer(data, name, where)
        if not isinstance(data["worker"], str):
            raise InputError(f"{where}: worker must be a string")
        return PipelinePlan(data["model"], data["cut"], data["worker"], data["in_flight"], notes)


@dataclass(frozen=True)
class CompressedPlan:
    """Split training through a compressing cut, a budget for every epoch (Prune-Deprune).

    Args:
        model: model name.
        cut: modules of the usual ``features`` list in front of the cut.
        r: by how much the encoder shrinks maps in height and width.
        budgets: maps that cross in every epoch.
        notes: where the plan comes from; never interpreted.
    """

    model: str
    cut: int
    r: int
    budgets: tuple[int, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    kind = "compressed"

    def validate(self, model: Model, where: str = "plan") -> CompressedPlan:
        """Check cut and budgets against the model and return the plan itself.

        Raises:
            InputError: names the field and what is allowed.
        """
        if self.model != model.name:
            raise InputError(f"{where}: model is {self.model!r}, expected {model.name!r}")
        phi = widened(self.cut)
        interface = compressing_cut(model, layer_cut(model, self.cut, where), resolution=self.r, phi=phi, where=where)
        if not self.budgets:
            raise InputError(f"{where}: budgets is empty, allowed: one for every epoch")
        for i, budget in enumerate(self.budgets):
            interface.check_budget(budget, f"{where}: budgets[{i}]")
        return self

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able data."""
        return _json_of(self, cut=self.cut, r=self.r, budgets=list(self.budgets))

    @staticmethod
    def from_json(data: Mapping[str, Any], where: str) -> CompressedPlan:
        """Build from JSON data; types are checked here, values by :meth:`validate`."""
        notes = _check_fields(data, where, "a compressed plan", ("model", "cut", "r", "budgets"))
        for name in ("cut", "r"):
            _check_integer(data, name, where)
        budgets = _list_of(data["budgets"], int, f"{where}: budgets", "a list of integers")
        return CompressedPlan(data["model"], data["cut"], data["r"], tuple(budgets), notes)


Plan = SpatialPlan | CutPlan | HybridPlan | PipelinePlan | CompressedPlan


def _json_of(plan: Plan, **own: Any) -> dict[str, Any]:
    """What every kind has, around the fields of its own."""
    return {"schema": SCHEMA, "kind": plan.kind, "model": plan.model, **own, "notes": dict(plan.notes)}


P = TypeVar("P", SpatialPlan, CutPlan, HybridPlan, PipelinePlan, CompressedPlan)


def volume_ranges(cuts: Sequence[int]) -> list[tuple[int, int]]:
    """(start, stop) of every volume, from where they end."""
    return list(zip((0, *cuts[:-1]), cuts, strict=True))


KINDS: dict[str, Callable[[Mapping[str, Any], str], Plan]] = {
    SpatialPlan.kind: SpatialPlan.from_json,
    CutPlan.kind: CutPlan.from_json,
    HybridPlan.kind: HybridPlan.from_json,
    PipelinePlan.kind: PipelinePlan.from_json,
    CompressedPlan.kind: CompressedPlan.from_json,
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
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: must hold a JSON object with schema, kind, model, devices")
    if data.get("schema") != SCHEMA:
        raise InputError(f"{path}: schema is {data.get('schema')!r}, allowed: {SCHEMA}")
    if data.get("kind") != kind.kind:
        raise InputError(f"{path}: kind is {data.get('kind')!r}, allowed here: {kind.kind}")
    plan = kind.from_json(data, str(path)).validate(model, str(path))
    assert isinstance(plan, kind)
    return plan


def _check_fields(data: Mapping[str, Any], where: str, what: str, fields: Sequence[str]) -> Mapping[str, Any]:
    """Check that a plan has its fields and no others, and return its notes."""
    for name in fields:
        if name not in data:
            raise InputError(f"{where}: field {name} is missing; {what} has {', '.join(fields)}")
    unknown = set(data) - {"schema", "kind", "notes", *fields}
    if unknown:
        raise InputError(f"{where}: unknown field {min(unknown)!r}; allowed: {', '.join(fields)}, notes")
    if not isinstance(data["model"], str):
        raise InputError(f"{where}: model must be a string")
    notes = data.get("notes", {})
    if not isinstance(notes, dict):
        raise InputError(f"{where}: notes must be an object")
    return notes


def _check_integer(data: Mapping[str, Any], name: str, where: str) -> None:
    if not isinstance(data[name], int) or isinstance(data[name], bool):
        raise InputError(f"{where}: {name} must be an integer")


def _list_of(value: Any, kind: type, where: str, allowed: str) -> list[Any]:
    good = isinstance(value, list) and all(isinstance(v, kind) and not isinstance(v, bool) for v in value)
    if not good:
        raise InputError(f"{where} must be {allowed}")
    return value
