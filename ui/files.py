"""Reading users' text files, and writing files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """The lines of a UTF-8 text file without their ends.

    Raises:
        InputError: the file cannot be read or is not text.
    """
    return read_text(path).splitlines()


def read_text(path: str | os.PathLike[str]) -> str:
    """A UTF-8 text file.

    Raises:
        InputError: the file cannot be read or is not text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text file in UTF-8") from None


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """What a YAML file holds, plain data only.

    Raises:
        InputError: the file cannot be read, is not text, or is not YAML.
    """
    import yaml

    text = read_text(path)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, brackets without end
        raise InputError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name in the same folder that becomes ``path`` if all goes well."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
