"""What all families' scenarios share: frozen dataclasses with a ``name``, YAML files, changes; and their dynamics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ..models.lookup import check_model
from ..models.own.names import from_folder
from ..ui.errors import InputError
from ..ui.files import read_yaml
from ..ui.validation import validated
from .core import Dynamics

T = TypeVar("T")
S = TypeVar("S", bound="BaseScenario")


@dataclass(frozen=True)
class BaseScenario:
    """What every family's scenario begins with.

    Args:
        name: scenario name.
        model: a zoo model, or your own: net.onnx, module:factory.

    Raises:
        InputError: fields that contradict each other or name nothing known; beginning with a field.
    """

    name: str
    model: str

    def __post_init__(self) -> None:
        check_model(self.model)


def is_file(name: Any) -> bool:
    """Whether a scenario is named by the path of a YAML file."""
    return isinstance(name, str) and name.endswith((".yaml", ".yml"))


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
            raise InputError(f"unknown option {name!r}; known: {', '.join((*options, *known))}")
    return validated(type(base), {**vars(base), **changes}, f"scenario {base.name}") if changes else base


def load(kind: type[S], path: str, file_fields: Sequence[str] = ()) -> S:
    """Read a scenario file.

    Args:
        kind: the family's scenario class.
        path: a YAML file with its fields; the name is the file's own unless it gives one.
        file_fields: fields that name files (one, a list of them, or a mapping to them), found from where the scenario
            lies.

    Raises:
        InputError: one line naming the file, the field and what is allowed.
    """
    known = fields(kind)
    required = [field.name for field in known[1:] if field.default is field.default_factory is MISSING]
    found = validated(kind, {"name": Path(path).stem, **_read(path, required)}, path)
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
