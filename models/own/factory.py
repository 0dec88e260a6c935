"""Networks from ``module:factory``: a Python function, or class, that returns a torch module."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType
from typing import Any

from ...ui.errors import InputError

Stamp = tuple[str, int, int]  # of a source file: path, time of change, size

# The folder that modules were last read from, and the source files of those below it as they were then.
_folder = ""
_read: dict[str, Stamp] = {}


def made_by(place: str) -> tuple[Any, Any]:
    """(torch module, input size or None) from ``module:factory``, by the source as it is now.

    Raises:
        InputError: no such module or factory, it fails, or returns something else.
    """
    path, _, attribute = place.rpartition(":")
    if not path or not attribute.isidentifier():
        raise InputError(f"model {place!r}: allowed are a zoo model, a file that ends in .onnx, or module:factory")
    try:
        module = _current(path)
    except ModuleNotFoundError as error:
        name = error.name or path
        raise InputError(f"{place}: no module {name!r} from {Path.cwd()} or among installed packages") from None
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        raise InputError(f"{place}: module {path} cannot be imported ({_cause(error)})") from None
    if not hasattr(module, attribute):
        raise InputError(f"{place}: module {path} has no {attribute}")
    return _called(place, getattr(module, attribute))


def _current(path: str) -> ModuleType:
    """A module of the current folder, as with ``python -m``; what has changed below it since is read again."""
    global _folder
    here = str(Path.cwd())
    if here != _folder:
        if _folder in sys.path:
            sys.path.remove(_folder)
        sys.path.insert(0, here)
    if here != _folder or any(_stamp(stamp[0]) != stamp for stamp in _read.values()):
        for name, (file, *_) in _read.items():
            sys.modules.pop(name, None)
            Path(cache_from_source(file)).unlink(missing_ok=True)  # it tells changes by the second only
        _read.clear()
    _folder = here
    importlib.invalidate_caches()
    before = set(sys.modules)
    try:
        return importlib.import_module(path)
    finally:
        files = {name: getattr(sys.modules[name], "__file__", None) or "" for name in set(sys.modules) - before}
        _read.update({name: _stamp(file) for name, file in files.items() if file.startswith(here + os.sep)})


def _stamp(file: str) -> Stamp:
    try:
        status = Path(file).stat()
    except OSError:
        return file, 0, 0
    return file, status.st_mtime_ns, status.st_size


def _called(place: str, factory: Any) -> tuple[Any, Any]:
    try:
        made = factory()
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        raise InputError(f"{place}: the factory fails ({_cause(error)})") from None
    module, size = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    from torch import nn

    if not isinstance(module, nn.Module):
        raise InputError(
            f"{place}: returns {type(module).__name__}, allowed: a torch module, or one and its input size"
        )
    return module, size


def _cause(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
