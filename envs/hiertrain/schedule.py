"""Hybrid-parallel schedules: who is worker o, s and l, two cuts, and how many samples each takes (paper, Sec. IV-A)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROLES = np.array([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]).T  # workers of o, s, l: (3, 6)


@dataclass(frozen=True)
class Schedules:
    """n schedules as arrays.

    Attributes:
        worker: (3, n) worker (0 device, 1 edge, 2 cloud) that plays o, s and l.
        m_s, m_l: (n,) layers that s and l train, 0 <= m_s <= m_l <= N; the first m.
        b: (3, n) samples of o, s and l; they sum to the batch.
    """

    worker: np.ndarray
    m_s: np.ndarray
    m_l: np.ndarray
    b: np.ndarray

    def __len__(self) -> int:
        return len(self.m_s)

    def take(self, index: np.ndarray) -> Schedules:
        """Some of them."""
        return Schedules(self.worker[:, index], self.m_s[index], self.m_l[index], self.b[:, index])

    def canonical(self) -> Schedules:
        """The same schedules as they are scored: a worker without samples takes no part.

        If only s helps o, it becomes l; a worker that trains no layer (m = 0) has no samples; one that has none has
        no layers.
        """
        from .kernels import make_canonical

        worker, m_s = np.array(self.worker, np.intp, order="C"), np.array(self.m_s, np.intp, order="C")
        b, m_l = np.array(self.b, np.intp, order="C"), np.array(self.m_l, np.intp, order="C")
        make_canonical(worker, m_s, m_l, b)
        return Schedules(worker, m_s, m_l, b)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Worker, m_s, m_l and b as kernels take them."""
        worker, m_s = np.ascontiguousarray(self.worker, np.intp), np.ascontiguousarray(self.m_s, np.intp)
        b, m_l = np.ascontiguousarray(self.b, np.intp), np.ascontiguousarray(self.m_l, np.intp)
        return worker, m_s, m_l, b


def schedules(worker: np.ndarray, m_s: np.ndarray, m_l: np.ndarray, b: np.ndarray) -> Schedules:
    """Schedules from anything that broadcasts to (3, n) and (n,)."""
    m_s, m_l = np.atleast_1d(m_s), np.atleast_1d(m_l)
    n = max(m_s.size, m_l.size, np.atleast_2d(np.asarray(b).T).shape[0])
    columns = np.broadcast_to(np.asarray(worker).reshape(3, -1), (3, n))
    return Schedules(
        columns, np.broadcast_to(m_s, n), np.broadcast_to(m_l, n), np.broadcast_to(np.asarray(b).reshape(3, -1), (3, n))
    )


def alone(worker: int, batch: int) -> Schedules:
    """All samples through all layers on one worker (All-Device, All-Edge, All-Cloud)."""
    others = [w for w in range(3) if w != worker]
    return schedules(np.array([worker, *others]), np.array(0), np.array(0), np.array([batch, 0, 0]))
