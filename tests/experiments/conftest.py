"""What tests of experiments run in: an empty folder, a family of their own, no pictures, no competitors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from splitgym.envs import Family

from ..envs.toy_family import registered
from . import brief


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def toy() -> Iterator[Family]:
    """The toy family, for as long as the test lasts."""
    with registered() as family:
        yield family


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    brief.undraw(monkeypatch)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    brief.hurry(monkeypatch)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    brief.isolate(monkeypatch)
