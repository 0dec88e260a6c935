"""What a controller knows of links that vary, and when it takes them to have changed (paper, Sec. V-F).

The paper updates a strategy "when averaged network throughput is detected to be changed significantly" and names no
test. Here it is Page's two-sided CUSUM (E. S. Page, "Continuous inspection schemes", Biometrika 1954) on the logarithm
of every link's monitored rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...envs.distredge.dynamics import DistrEdgeDynamics


@dataclass(frozen=True)
class Detection:
    """How links are monitored, and what counts as a change.

    Args:
        period_s: images within so many seconds count as one look at the links.
        slack: Page's k, a distance between the logarithms of a rate and of the rate that was planned for; what lasts
            and is nearer is no change.
        threshold: Page's h; distances beyond the slack are summed up, and a sum above it is a change. So a rate that
            jumps by a factor exp(d), d > slack, and stays is noticed within threshold / (d - slack) + 1 looks.
    """

    period_s: float
    slack: float
    threshold: float


class LinkMonitor:
    """The links of one lane as images find them.

    Every look tells the rates of the image that is about to be sent. What a link is taken to carry is the geometric
    mean of its looks since it changed last.

    Args:
        mbps: (D,) rates of the first look.
        detection: see :class:`Detection`.

    Attributes:
        changed: (D,) whether a link has changed from what it was taken to carry at the last :meth:`settle`.
    """

    def __init__(self, mbps: np.ndarray, detection: Detection) -> None:
        self.detection = detection
        self._looks = [np.asarray(mbps, dtype=float)]
        self._begun = np.zeros(len(mbps), dtype=np.intp)  # first look of a link's present level
        self._images: list[np.ndarray] = []  # since the last look
        self._looked_s = 0.0
        self._reset()

    def _reset(self) -> None:
        self._planned = self.mbps
        self._excess = np.zeros((2, len(self._planned)))  # upwards, downwards
        self._zero = np.full(self._excess.shape, len(self._looks))  # first look behind the last at which it was 0
        self.changed = np.zeros(len(self._planned), dtype=bool)

    @property
    def mbps(self) -> np.ndarray:
        """(D,) what every link is taken to carry."""
        looks = np.array(self._looks)
        return np.array([_geometric_mean(looks[begun:, d]) for d, begun in enumerate(self._begun)])

    def look(self, mbps: np.ndarray, now_s: float) -> None:
        """Take in the rates (D,) that an image meets, ``now_s`` after the first look."""
        self._images.append(np.asarray(mbps, dtype=float))
        if now_s - self._looked_s < self.detection.period_s:
            return
        self._looks.append(_geometric_mean(np.array(self._images)))
        self._images, self._looked_s = [], now_s
        distance = np.log(self._looks[-1] / self._planned)
        self._excess += np.stack([distance, -distance]) - self.detection.slack
        over = self._excess > 0
        self._excess *= over
        self._zero[~over] = len(self._looks)
        self.changed = (self._excess > self.detection.threshold).any(axis=0)

    def settle(self) -> np.ndarray:
        """Take what links carry now for what is planned for: those that have changed count from where they did.

        Returns:
            (D,) Mbit/s.
        """
        upwards, since = self._excess.argmax(axis=0), self._zero
        self._begun = np.where(self.changed, since[upwards, np.arange(len(upwards))], self._begun)
        self._reset()
        return self.mbps


def _geometric_mean(values: np.ndarray) -> np.ndarray:
    """Along the first axis; equal values give exactly themselves."""
    return values[0] * np.exp(np.mean(np.log(values / values[0]), axis=0))


class Watch:
    """One lane's clock and monitor, read off its full observations (1, k).

    The clock that is observed starts over with the trace; ``now_s`` goes on.

    Attributes:
        mbps: (D,) rates of the newest image.
    """

    def __init__(self, dynamics: DistrEdgeDynamics, observation: np.ndarray, detection: Detection) -> None:
        self.observer, self.period_s = dynamics.observer, dynamics.links.period_s
        self.now_s, self._seen_s = 0.0, self._clock_s(observation)
        self.mbps = self._mbps(observation)
        self.monitor = LinkMonitor(self.mbps, detection)

    def _clock_s(self, observation: np.ndarray) -> float:
        return float(self.observer.clock_share(observation)[0]) * self.period_s

    def _mbps(self, observation: np.ndarray) -> np.ndarray:
        return self.observer.rates_mbps(observation)[0].astype(float)

    def look(self, observation: np.ndarray) -> None:
        """Before every image but the first."""
        seen_s = self._clock_s(observation)
        self.now_s += (seen_s - self._seen_s) % self.period_s
        self._seen_s, self.mbps = seen_s, self._mbps(observation)
        self.monitor.look(self.mbps, self.now_s)
