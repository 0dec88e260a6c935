"""Waits that can be given up, since what they were for is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from .transport import Buffer, Dialer, PeerSlow

ASK_S = 0.05  # between two questions whether it is


def wait(until_s: float, given_up: Callable[[], bool] = lambda: False) -> None:
    """Sleep until a moment of the monotonic clock, or for nothing: ``given_up`` is asked now and then."""
    while (left_s := until_s - time.monotonic()) > 0 and not given_up():
        time.sleep(min(left_s, ASK_S))


def send_unless(
    dialer: Dialer, header: bytes, payload: Buffer | None, timeout_s: float, given_up: Callable[[], bool]
) -> bool:
    """Hand a message over, unless it is given up meanwhile; whether it was handed over.

    Args:
        given_up: asked now and then while the peer takes nothing.

    Raises:
        PeerGone: as :meth:`Dialer.send`.
    """
    due_s = time.monotonic() + timeout_s
    while not given_up():
        try:
            dialer.send(header, payload, min(ASK_S, timeout_s))
            return True
        except PeerSlow:
            if time.monotonic() >= due_s:
                raise
    return False
