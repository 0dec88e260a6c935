"""The tests, folder by folder as the source."""

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def slow(*cases: Any) -> list[Any]:
    """Parameters of a test that only slow runs use; a tuple holds several arguments."""
    return [pytest.param(*(c if isinstance(c, tuple) else (c,)), marks=pytest.mark.slow) for c in cases]
