"""Images through a cluster: one after another, checked against the unsplit network, with a bar."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...envs.distredge.live import Cluster
from ...models.plans import SpatialPlan
from ...runtime.requester import Item
from ...runtime.service import Event, Service
from ...runtime.wire_types import IMAGE_SCALE
from ...ui.progress import Bar
from .replanning import Replanner

if TYPE_CHECKING:
    from ...models.runnable.units import TorchModel

TOLERANCE = {
    True: 1e-4,
    False: 1e-2,
}  # of the largest output, where nothing is float16 on the wire and where something is

PATIENCE_S = 60.0  # without any result, and ten times what one takes

MOST_MADE = 500  # images, which are kept in memory


@dataclass
class Streamed:
    """Images that went through under one plan.

    Attributes:
        items: in order, without their outputs.
        all: those too that were redone or went through under another plan, in order.
        events: what happened meanwhile.
        errors: of the checked ones, the largest difference to the unsplit network over its largest output.
        seconds: from the first row sent to the last one back, without those of the checks between, not scaled.
    """

    items: list[Item] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    seconds: float = 0.0
    all: list[Item] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Images that went through, under whatever plan."""
        return max(len(self.all), len(self.items))

    @property
    def valid(self) -> list[Item]:
        """Those in which nothing took longer than what it stands for."""
        return [item for item in self.items if item.overrun_s <= 0.0]


def random_images(cluster: Cluster, count: int, seed: int) -> list[np.ndarray]:
    """Images as a camera gives them: uint8, (channels, rows, width) each; after many they come again."""
    shape = cluster.system.model.input
    rng = np.random.default_rng(seed)
    size = shape.folded_channels, shape.height, shape.width
    made = [rng.integers(0, 256, size, np.uint8) for _ in range(min(count, MOST_MADE))]
    return [made[i % MOST_MADE] for i in range(count)]


def stream(
    cluster: Cluster,
    plan: SpatialPlan,
    images: Sequence[np.ndarray],
    found: Streamed,
    what: str,
    in_flight: int = 1,
    network: TorchModel | None = None,
) -> None:
    """Deploy a plan and send images through.

    Args:
        found: gets what is measured, image by image.
        what: in front of the bar.
        in_flight: images that may be under way at once.
        network: the unsplit one, to check outputs against.

    Raises:
        ClusterFailure: a worker cannot go on.
    """
    expected_s = float(cluster.system.evaluate([plan])[0])
    cluster.deploy(plan, in_flight)
    outputs: list[tuple[int, tuple[np.ndarray, ...]]] = []
    with Bar(what) as bar:
        begun_s = checked_s = 0.0
        for item in cluster.run(images, expected_s):
            begun_s = begun_s or item.begun_s
            found.seconds = item.begun_s + item.latency_s - begun_s - checked_s
            found.items.append(replace(item, outputs=()))
            rate = len(found.items) / found.seconds
            bar.show(len(found.items) / len(images), f"{len(found.items)} of {len(images)} images  {rate:.3g}/s")
            if network is not None:
                outputs.append((item.index, item.outputs))
            if in_flight == 1:
                checking_s = time.monotonic()
                _check(outputs, images, network, found, IMAGE_SCALE)
                checked_s += time.monotonic() - checking_s
        _check(outputs, images, network, found, IMAGE_SCALE)


def survive(
    cluster: Cluster,
    plan: SpatialPlan,
    replanner: Replanner,
    images: Sequence[np.ndarray],
    found: Streamed,
    on_item: Callable[[Item], None],
    network: TorchModel | None = None,
    first: int = 0,
    lease_s: float | None = None,
) -> None:
    """Send images through whoever of a cluster's workers is there.

    Args:
        plan: of the items that are measured; those that went through under another one count in ``found.all`` alone.
        replanner: for whoever is left.
        found: gets what is measured, image by image.
        on_item: told of every one, with its outputs.
        network: the unsplit one, to check outputs against.
        first: the first image; those before went through earlier.
        lease_s: how long workers may be silent; the session's own by default.

    Raises:
        ClusterFailure: there has been no result for too long.
    """
    expected_s = float(cluster.system.evaluate([plan])[0]) * cluster.scale
    patience_s = PATIENCE_S + 10.0 * expected_s
    controller, in_flight = cluster.controller, replanner.in_flight
    service = Service(controller, replanner.at_once, replanner.plan, in_flight, first, lease_s, patience_s=patience_s)
    found.events = service.events
    with service, Bar("images") as bar:
        begun_s = checked_s = 0.0
        for item in service.run(images[first:]):
            begun_s = begun_s or item.begun_s
            found.seconds = item.begun_s + item.latency_s - begun_s - checked_s
            light = replace(item, outputs=())
            found.all.append(light)
            if item.attempts == 1 and service.deployments[item.epoch].plan == plan:
                found.items.append(light)
            on_item(item)
            rate = len(found.all) / found.seconds
            done = first + len(found.all)
            bar.show(done / len(images), f"{done} of {len(images)} images  {rate:.3g}/s")
            checking_s = time.monotonic()
            if network is not None:
                _check([(item.index, item.outputs)], images, network, found, IMAGE_SCALE)
            checked_s += time.monotonic() - checking_s


def _check(
    outputs: list[tuple[int, tuple[np.ndarray, ...]]],
    images: Sequence[np.ndarray],
    network: Any,
    found: Streamed,
    scale: float,
) -> None:
    """Compare what has come, while nothing is under way."""
    import torch

    while outputs:
        index, own = outputs.pop(0)
        with torch.inference_mode():
            main, heads = network(torch.from_numpy(images[index]).float().mul(scale)[None])
        worst = 0.0
        for mine, due in zip(own, (main, *heads), strict=True):
            due = due.numpy()
            worst = max(worst, float(np.abs(mine.reshape(due.shape) - due).max() / max(np.abs(due).max(), 1e-30)))
        found.errors.append(worst if math.isfinite(worst) else math.inf)
