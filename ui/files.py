"""Reading users' text files, and writing files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """A UTF-8 text file, without the byte order mark that some editors and spreadsheets write.

    Raises:
        InputError: the file cannot be read or is not text.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text file in UTF-8") from None


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """What a YAML file holds, plain data only.

    Raises:
        InputError: the file cannot be read, is not text, is not YAML, or gives a key twice.
    """
    import yaml

    text = read_text(path)
    try:
        data = yaml.safe_load(text)
        _check_keys(yaml.compose(text, yaml.SafeLoader), str(path))
        return data
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, brackets without end
        raise InputError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None


def _check_keys(node: Any, path: str) -> None:
    """YAML lets the last of two equal keys win in silence; here they are refused."""
    children = node.value if node is not None and isinstance(node.value, list) else []
    if children and isinstance(children[0], tuple):
        keys = [key.value for key, _ in children if isinstance(key.value, str)]
        for key in keys:
            if keys.count(key) > 1:
                line = [k.start_mark.line + 1 for k, _ in children if k.value == key][1]
                raise InputError(f"{path}: line {line}: {key} is given twice")
        children = [value for _, value in children]
    for child in children:
        _check_keys(child, path)


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Around whatever writes a file or a folder.

    Raises:
        InputError: the system refuses; one line with the path and the reason.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = _refusal(error)
        if reason is None:
            raise
        raise InputError(f"{path}: cannot be written ({reason})") from error


def _refusal(error: BaseException | None) -> str | None:
    """What the system said, also where a library has failed once more while it cleaned up."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error and (error.strerror or str(error))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name in the same folder that becomes ``path`` if all goes well.

    Raises:
        InputError: it cannot be written; what was there stays.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}.tmp")
    with writing(path):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # a name that is too long is none to take away
                temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        InputError: as :func:`replacing`.
    """
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
