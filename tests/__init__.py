"""The tests, folder by folder as the source."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from splitgym.ui.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def slow(*cases: Any) -> list[Any]:
    """Parameters of a test that only slow runs use; a tuple holds several arguments."""
    return [pytest.param(*(c if isinstance(c, tuple) else (c,)), marks=pytest.mark.slow) for c in cases]


def script(path: str) -> ModuleType:
    """A script that is in no package, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def refused(*words: str, start: str = "") -> Iterator[pytest.ExceptionInfo[InputError]]:
    """Expects an InputError of one line that begins so and holds all of these words."""
    with pytest.raises(InputError) as caught:
        yield caught
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(start), message
    for word in words:
        assert word in message
