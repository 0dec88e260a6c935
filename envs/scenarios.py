"""What all families' scenarios share: frozen dataclasses with a ``name``, YAML files, changes; and their dynamics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar, get_args

from ..models.lookup import check_model
from ..models.own.names import from_folder
from ..ui.errors import InputError
from ..ui.files import read_yaml
from ..ui.names import meant
from ..ui.validation import shown, validated
from .core import Dynamics
from .family import FAMILIES

T = TypeVar("T")
S = TypeVar("S", bound="BaseScenario")

Inputs = Literal["paper", "devices"]
INPUTS: tuple[Inputs, ...] = get_args(Inputs)


@dataclass(frozen=True)
class Inferred:
    """What the inputs of a family were inferred from that its paper does not print but its figures imply.

    Args:
        fields: of a scenario that are, and their values.
        fitted: the figures that parameters were fitted to.
        checked: those that were not, and are the test.
        models: usual network -> the one that the paper trains.
    """

    fields: Mapping[str, Any]
    fitted: str
    checked: str
    models: Mapping[str, str] = field(default_factory=dict)

    def label(self, given: Sequence[str] = ()) -> str:
        """One line, to stand wherever numbers are printed; it names the fields that were given instead."""
        but = f", but {', '.join(given)} as given" if given else ""
        return f"inputs: inferred from the paper (fitted to: {self.fitted}; checked on: {self.checked}){but}"


@dataclass(frozen=True)
class BaseScenario:
    """What every family's scenario begins with.

    Args:
        name: scenario name.
        model: a zoo model, or your own: net.onnx, module:factory.
        inputs: paper (what the paper does not print is what its figures imply, the default of named scenarios) or
            devices (it is what devices and networks of that kind do).

    Raises:
        InputError: fields that contradict each other or name nothing known; beginning with a field.
    """

    inferred: ClassVar[Inferred | None] = None  # what a family's inputs="paper" rest on; None where it has none

    name: str
    model: str
    inputs: Inputs = field(default="devices", kw_only=True)

    def __post_init__(self) -> None:
        check_model(self.model)
        if self.inputs == "paper" and self.inferred is None:
            raise InputError("inputs is 'paper', allowed here: devices")

    @property
    def implied(self) -> Mapping[str, Any]:
        """The fields that the paper's figures imply here, and their values."""
        if self.inferred is None:
            return {}
        meant = [own for usual, own in self.inferred.models.items() if self.model in (usual, own)]
        return {**self.inferred.fields, **({"model": meant[0]} if meant else {})}

    @property
    def provenance(self) -> tuple[str, ...]:
        """Where inputs come from that no device's profile tells; nothing where none is the paper's."""
        given = [name for name, value in self.implied.items() if getattr(self, name) != value]
        if self.inputs != "paper" or self.inferred is None or len(given) == len(self.implied):
            return ()
        return (self.inferred.label(given),)


def is_file(name: Any) -> bool:
    """Whether a scenario is named by the path of a YAML file."""
    return isinstance(name, str) and name.endswith((".yaml", ".yml"))


def filled(given: Mapping[str, Any], paper: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a scenario, with those that its paper implies where it asks for them and does not give them.

    Args:
        given: fields, ``model`` and perhaps ``inputs`` among them.
        paper: what the family's paper implies, field -> value.
    """
    return {**paper, **given} if given.get("inputs") == "paper" else dict(given)


def chosen(
    named: Callable[[Any, Inputs | None], S], name: Any, changes: Mapping[str, Any], options: Sequence[str]
) -> S:
    """A scenario by name or from a file, with the inputs that are asked for and some fields changed.

    Args:
        named: the scenario of a name with the inputs that are asked for, None for its own.
        name: of a scenario, or a file.
        changes: new values by field, ``inputs`` perhaps among them.
        options: see :func:`change`.

    Raises:
        InputError: unknown name, inputs or field, or a value out of range.
    """
    changes = dict(changes)
    inputs = changes.pop("inputs", None)
    if inputs is not None and inputs not in INPUTS:
        raise InputError(f"inputs is {shown(inputs)}, allowed: {', '.join(INPUTS)}")
    return change(named(name, inputs), changes, options)


def unknown_scenario(name: object, known: Collection[str], forms: str = "") -> InputError:
    """The error about a name that no scenario of a family has.

    Args:
        name: what was given as one.
        known: the family's scenarios.
        forms: how further ones are named, behind a list of names.
    """
    if not isinstance(name, str):
        return InputError(f"scenario is {name!r}, it must be a name or a path; {meant('', known, '--list')}")
    for family in FAMILIES.values():
        if name in family.scenarios and name not in known:
            return InputError(f"unknown scenario {name!r}; {name} is one of {family.name}: --env {family.name}")
    return InputError(f"unknown scenario {name!r}; {meant(name, known, '--list', forms)}")


def change(base: S, changes: Mapping[str, Any], options: Sequence[str]) -> S:
    """A scenario with some fields changed and checked again.

    Args:
        base: the scenario.
        changes: new values by field.
        options: of the env itself, named in the message beside the fields.

    Raises:
        InputError: unknown field, or a value out of range.
    """
    known = [field.name for field in fields(base)[1:]]
    for name in changes:
        if name not in known:
            raise InputError(f"unknown option {name!r}; {meant(name, (*options, *known))}")
    return validated(type(base), {**vars(base), **changes}, f"scenario {base.name}") if changes else base


def load(
    kind: type[S],
    path: str,
    file_fields: Sequence[str] = (),
    paper: Mapping[str, Any] = MappingProxyType({}),
    inputs: Inputs | None = None,
) -> S:
    """Read a scenario file.

    Args:
        kind: the family's scenario class.
        path: a YAML file with its fields; the name is the file's own unless it gives one.
        file_fields: fields that name files (one, a list of them, or a mapping to them), found from where the scenario
            lies.
        paper: see :func:`filled`.
        inputs: instead of the file's.

    Raises:
        InputError: one line naming the file, the field and what is allowed.
    """
    known = fields(kind)
    required = [field.name for field in known[1:] if field.default is field.default_factory is MISSING]
    given = {"name": Path(path).stem, **_read(path, required), **({"inputs": inputs} if inputs else {})}
    found = validated(kind, filled(given, paper), path)
    folder = Path(path).resolve().parent
    files = {name: _from(folder, getattr(found, name)) for name in file_fields}
    files["model"] = from_folder(found.model, folder)
    return replace(found, **files)


def _read(path: str, required: Sequence[str]) -> dict[str, Any]:
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: must hold fields such as {', '.join(required)}")
    return data


def _from(folder: Path, files: Any) -> Any:
    if isinstance(files, str):
        return files and str(folder / files)
    if isinstance(files, Mapping):
        return {key: str(folder / file) for key, file in files.items()}
    return files and tuple(str(folder / file) for file in files)


def by_name(get: Callable[[str], T], name: str) -> T | None:
    """The scenario of a name; None for one from a file, which has a name of its own."""
    try:
        return get(name)
    except InputError:
        return None


class ScenarioDynamics(Dynamics):
    """Dynamics of a scenario.

    Attributes:
        system: has the ``scenario`` (a frozen dataclass with a ``summary``) and a ``fingerprint`` of all inputs.
    """

    system: Any

    @property
    def summary(self) -> str:
        return self.system.scenario.summary

    @property
    def fingerprint(self) -> str:
        return self.system.fingerprint

    @property
    def settings(self) -> Mapping[str, Any]:
        return asdict(self.system.scenario)
