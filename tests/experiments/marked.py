"""Processes that came of a command, Ray's among them, found by a mark in their environment."""

from __future__ import annotations

import os
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDING_S = 20.0  # in which Ray's agents see that their node has ended
MARK = "SPLITGYM_TEST_MARK"


@contextmanager
def marked_environment() -> Iterator[dict[str, str]]:
    """An environment by which all processes that came of a command are found; they end with it."""
    # A short path, as sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        env = {**os.environ, "RAY_TMPDIR": folder, MARK: uuid.uuid4().hex, "OMP_NUM_THREADS": "1"}
        try:
            yield env
        finally:
            for process in alive(env):
                os.kill(process, signal.SIGKILL)


def alive(env: dict[str, str]) -> list[int]:
    """Processes that have the mark, or files of Ray's folder open: some of Ray's hide their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            files = [str(link.readlink()) for link in (folder / "fd").iterdir()]
            if env[MARK].encode() in (folder / "environ").read_bytes() or any(
                file.startswith(env["RAY_TMPDIR"]) for file in files
            ):
                found.append(int(folder.name))
        except OSError:  # it ended, or is another user's
            continue
    return found


def wait_until_none_is_left(env: dict[str, str]) -> None:
    until = time.monotonic() + ENDING_S
    while alive(env):
        assert time.monotonic() < until
        time.sleep(0.2)
