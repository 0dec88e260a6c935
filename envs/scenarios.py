"""What all families' scenarios share: frozen dataclasses with a ``name``, YAML files, changes; and their dynamics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ..models.own.names import from_folder
from ..ui.errors import InputError
from .core import Dynamics

T = TypeVar("T")


def is_file(name: Any) -> bool:
    """Whether a scenario is named by the path of a YAML file."""
    return isinstance(name, str) and name.endswith((".yaml", ".yml"))


def change(base: T, changes: Mapping[str, Any], options: Sequence[str]) -> T:
    """A scenario with some fields changed and checked again.

    Args:
        base: a frozen dataclass with a field ``name``.
        changes: new values by field.
        options: of the env itself, named in the message beside the fields.

    Raises:
        InputError: unknown field, or a value out of range.
    """
    known = _fields(type(base))
    for name in changes:
        if name not in known or name == "name":
            raise InputError(f"unknown option {name!r}; known: {', '.join((*options, *known[1:]))}")
    if not changes:
        return base
    data = {**asdict(base), **changes}  # type: ignore[call-overload]
    return checked(type(base), data, f"scenario {data['name']}")


def load(kind: type[T], path: str, required: Sequence[str] = (), file_fields: Sequence[str] = ()) -> T:
    """Read a scenario file.

    Args:
        kind: the family's scenario class.
        path: a YAML file with its fields; the name is the file's own unless it gives one.
        required: fields that it must hold.
        file_fields: fields that name files (one, a list of them, or a mapping to them), found from where the scenario
            lies.

    Raises:
        InputError: one line naming the file, the field and what is allowed.
    """
    data = _read(path, required)
    known = _fields(kind)
    for name in data:
        if name not in known:
            raise InputError(f"{path}: unknown field {name!r}; known: {', '.join(known)}")
    for name in required:
        if name not in data:
            raise InputError(f"{path}: field {name} is missing")
    found = checked(kind, {"name": Path(path).stem, **data}, path)
    folder = Path(path).resolve().parent
    files = {name: _from(folder, getattr(found, name)) for name in file_fields}
    if "model" in known:
        files["model"] = from_folder(getattr(found, "model"), folder)  # noqa: B009
    return replace(found, **files)  # type: ignore[type-var]


def _read(path: str, required: Sequence[str]) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text file in UTF-8") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: must hold fields such as {', '.join(required)}")
    return data


def _from(folder: Path, files: Any) -> Any:
    if isinstance(files, str):
        return files and str(folder / files)
    if isinstance(files, Mapping):
        return {key: str(folder / file) for key, file in files.items()}
    return files and tuple(str(folder / file) for file in files)


def _fields(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def checked(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """Build a scenario with its types checked (by pydantic).

    Raises:
        InputError: one line beginning with ``where``.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InputError):  # it names the scenario; the user knows the file
            raise InputError(str(cause).replace(f"scenario {data['name']}", where, 1)) from None
        place = ".".join(str(p) for p in first["loc"])
        raise InputError(f"{where}: {place}: {first['msg']}, not {first['input']!r}") from None


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
