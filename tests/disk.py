"""A disk without room, for the process of the test."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

REFUSAL = "cannot be written (File too large)"


@contextmanager
def no_room(most_bytes: int = 100) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
