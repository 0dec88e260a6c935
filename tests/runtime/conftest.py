"""What tests of the runtime share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For weights."""
    return tmp_path_factory.mktemp("weights")
