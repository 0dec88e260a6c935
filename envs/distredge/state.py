"""Where images stand: the arrays that the physics steps, a row for every lane."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class State(NamedTuple):
    """Where an image stands in n lanes; (n, D + 1) each but for the last two, with the requester's in the last column.

    Attributes:
        done_s: when each device finished its last part.
        free_s: when its send thread is free.
        link_s: when the incoming link is free; on a shared medium the last is the air's.
        head_bytes: side-head output waiting to go to the requester, or to the tail.
        scatter_s: of the scatter message that a device gets.
        compute_s: of computing.
        send_s, receive_s: of what occupies the send thread and the incoming link.
        posts: fence posts of the last volume that was run, 0 before the first.
        air_s: (n,) of the air that all share.
        volume: (n,) number of the last volume that was run.
    """

    done_s: np.ndarray
    free_s: np.ndarray
    link_s: np.ndarray
    head_bytes: np.ndarray
    scatter_s: np.ndarray
    compute_s: np.ndarray
    send_s: np.ndarray
    receive_s: np.ndarray
    posts: np.ndarray
    air_s: np.ndarray
    volume: np.ndarray


class Progress:
    """A :class:`State` as others read it, with the lanes last.

    Args:
        devices: their number D.
        n: lanes, with all images at the requester.

    Attributes:
        state: in memory of its own.
    """

    def __init__(self, devices: int, n: int) -> None:
        self._seconds = np.zeros((8, n, devices + 1))
        posts, volume = np.zeros((n, devices + 1), dtype=np.int64), np.zeros(n, dtype=np.int64)
        self.state = State(*self._seconds, posts=posts, air_s=np.zeros(n), volume=volume)

    def clear(self, lanes: np.ndarray | slice) -> None:
        """Begin a new image in some lanes."""
        self._seconds[:, lanes] = 0.0
        self.state.air_s[lanes] = 0.0
        self.state.posts[lanes] = 0

    @property
    def done_s(self) -> np.ndarray:
        """(D, n) when each device finished its last part."""
        return self.state.done_s[:, :-1].T

    @property
    def free_s(self) -> np.ndarray:
        """(D, n) when its send thread is free."""
        return self.state.free_s[:, :-1].T

    @property
    def compute_s(self) -> np.ndarray:
        """(D, n) of computing."""
        return self.state.compute_s[:, :-1].T

    @property
    def scatter_s(self) -> np.ndarray:
        """(D, n) of the scatter message that a device gets."""
        return self.state.scatter_s[:, :-1].T

    @property
    def send_s(self) -> np.ndarray:
        """(D + 1, n) of what occupies the send thread, the requester's last."""
        return self.state.send_s.T

    @property
    def receive_s(self) -> np.ndarray:
        """(D + 1, n) of what occupies the incoming link, the requester's last."""
        return self.state.receive_s.T

    @property
    def air_s(self) -> np.ndarray:
        """(n,) of the air that all share."""
        return self.state.air_s

    @property
    def transmit_s(self) -> np.ndarray:
        """(D, n) the scatter message that a device gets and all it sends."""
        return self.scatter_s + self.send_s[:-1]
