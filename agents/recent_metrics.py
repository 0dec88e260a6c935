"""What the newest episodes of a training were like, in all of their metrics."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

PREFIX = "episode/"  # of the curves that tell them


class RecentMetrics:
    """The newest values of every metric that episodes end with.

    Args:
        most: values kept of each.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[str, deque[float]] = {}

    def extend(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Take in episodes: metric -> (K,) values; names with an underscore in front are not metrics."""
        for name, values in metrics.items():
            if not name.startswith("_"):
                self._of(name).extend(values.tolist())

    def __getitem__(self, name: str) -> list[float]:
        """The newest values of a metric, oldest first."""
        return list(self._values.get(name, ()))

    def mean(self, name: str | None) -> float:
        """Of a metric's newest values; NaN without any."""
        values = self._values.get(name or "")
        return float(np.mean(values)) if values else float("nan")

    def curves(self, without: Iterable[str | None]) -> dict[str, float]:
        """Means of all metrics but some, by the names of their curves."""
        left_out = set(without)
        return {PREFIX + name: self.mean(name) for name in self._values if name not in left_out}

    def to_json(self) -> dict[str, list[float]]:
        return {name: list(values) for name, values in self._values.items()}

    def restore(self, values: Mapping[str, Sequence[float]]) -> None:
        """Take in what :meth:`to_json` gave."""
        for name, kept in values.items():
            self._of(name).extend(kept)

    def _of(self, name: str) -> deque[float]:
        return self._values.setdefault(name, deque(maxlen=self._most))
