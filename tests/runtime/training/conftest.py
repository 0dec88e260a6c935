"""What tests of trainings share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from splitgym.runtime.testbed import Testbed

from .live import NAMES


@pytest.fixture(scope="package")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """Workers; whoever kills one restarts it."""
    with Testbed(NAMES, tmp_path_factory.mktemp("workers"), trains=True) as found:
        yield found
        found.check()
