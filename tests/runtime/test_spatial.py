"""Images through worker processes: outputs equal the unsplit model, whatever the plan, the network and the volumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from splitgym.models.model import Model
from splitgym.models.plans import SpatialPlan
from splitgym.runtime import wire, wire_types
from splitgym.runtime.controller import Controller
from splitgym.runtime.deployment import Deployment

from .live import ENOUGH_S, SMALL, assert_same, random_images, small, small_network, stored, whole, workers
from .plans import random_plan

NAMES = ("w0", "w1", "w2")


@pytest.fixture(scope="module")
def controller(folder: Path) -> Iterator[Controller]:
    with workers(3, folder) as (_, found):
        yield found


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("name", SMALL)
def test_outputs_equal_the_unsplit_models(name: str, in_flight: int, controller: Controller, folder: Path) -> None:
    rng = np.random.default_rng(in_flight)
    model, digests = small(name), stored(name, folder)
    for _ in range(2):
        plan = random_plan(model, 3, rng)
        controller.deploy(Deployment(model, digests, plan, NAMES, in_flight=in_flight), ENOUGH_S)
        images = random_images(model, 4, rng)
        items = list(controller.run(iter(images), ENOUGH_S))
        assert [item.index for item in items] == list(range(4))
        for item, image in zip(items, images, strict=True):
            assert_same(item.outputs, whole(small_network(name), image))
            assert item.latency_s > 0


@pytest.mark.parametrize(
    ("dtype", "image_dtype", "tolerance"),
    [
        (wire_types.FLOAT16, wire_types.UINT8, 2e-2),
        (wire_types.FLOAT32, wire_types.FLOAT16, 2e-2),
        (wire_types.FLOAT32, wire_types.FLOAT32, 1e-4),
    ],
)
def test_what_is_on_the_wire_is_as_near_as_its_type(
    dtype: int, image_dtype: int, tolerance: float, controller: Controller, folder: Path
) -> None:
    rng = np.random.default_rng(0)
    model, digests = small("vgg16"), stored("vgg16", folder)
    plan = random_plan(model, 3, rng)
    controller.deploy(Deployment(model, digests, plan, NAMES, dtype=dtype, image_dtype=image_dtype), ENOUGH_S)
    images = random_images(model, 1, rng)
    (item,) = controller.run(iter(images), ENOUGH_S)
    assert_same(item.outputs, whole(small_network("vgg16"), images[0]), tolerance)
    sent = {int(s.label): s.size_bytes for s in item.spans[""] if s.kind == "scatter"}
    values = {d: rows[1] - rows[0] for d in range(3) if (rows := rows_of_image(model, plan, d))}
    row_values = model.input.folded_channels * model.input.width
    assert sent == {d: rows * row_values * wire_types.VALUE_BYTES[image_dtype] for d, rows in values.items()}


def rows_of_image(model: Model, plan: SpatialPlan, device: int) -> tuple[int, int] | None:
    """What a device's part of the first volume reads; None where it has none."""
    posts = (0, *plan.splits[0], model.out_shape(plan.cuts[0] - 1).height)
    a, b = posts[device : device + 2]
    rows = model.volume(0, plan.cuts[0])
    return (int(rows.need_lo[0, a]), int(rows.need_hi[0, b])) if a < b else None


def test_every_part_is_told_once_and_inside_its_image(controller: Controller, folder: Path) -> None:
    rng = np.random.default_rng(5)
    model, digests = small("vgg16"), stored("vgg16", folder)
    plan = random_plan(model, 3, rng)
    controller.deploy(Deployment(model, digests, plan, NAMES), ENOUGH_S)
    (item,) = controller.run(iter(random_images(model, 1, rng)), ENOUGH_S)
    end_s = item.begun_s + item.latency_s
    posts = [(0, *split, model.out_shape(cut - 1).height) for split, cut in zip(plan.splits, plan.cuts, strict=True)]
    for d, name in enumerate(NAMES):
        spans = item.spans.get(name, ())
        assert all(item.begun_s <= span.start_s <= span.end_s <= end_s for span in spans if span.kind != "send")
        due = [str(v) for v, post in enumerate(posts) if post[d] < post[d + 1]]
        assert [span.label for span in spans if span.kind == "compute"] == due


def test_the_first_volumes_alone_bring_nothing_back(controller: Controller, folder: Path) -> None:
    rng = np.random.default_rng(3)
    model, digests = small("resnet50"), stored("resnet50", folder)
    plan = next(p for p in (random_plan(model, 3, rng) for _ in range(100)) if len(p.cuts) > 2)
    controller.deploy(Deployment(model, digests, plan, NAMES, volumes=2), ENOUGH_S)
    (item,) = controller.run(iter(random_images(model, 1, rng)), ENOUGH_S)
    assert item.outputs == ()
    labels = {span.label for spans in item.spans.values() for span in spans if span.kind == "compute"}
    assert labels <= {"0", "1"}


def test_emulated_devices_take_their_time(controller: Controller, folder: Path) -> None:
    rng = np.random.default_rng(1)
    model, digests = small("vgg16"), stored("vgg16", folder)
    plan = random_plan(model, 3, rng)
    volume_s = tuple(2.0 for _ in plan.cuts)  # far more than the work takes
    pace = wire.Pace("table", volume_s, 0.0, 1.0, (0.0,) * 4, (0.0,) * 4, 0.0, 0.0)
    controller.deploy(Deployment(model, digests, plan, NAMES, paces=[pace] * 3), ENOUGH_S)
    images = random_images(model, 1, rng)
    (item,) = controller.run(iter(images), ENOUGH_S)
    assert_same(item.outputs, whole(small_network("vgg16"), images[0]))
    spans = [span for name in NAMES for span in item.spans.get(name, ()) if span.kind == "compute"]
    assert all(span.end_s - span.start_s >= 2.0 for span in spans)
    assert item.latency_s >= 2.0 * len(plan.cuts)


def test_work_that_takes_longer_than_what_it_stands_for_is_told(controller: Controller, folder: Path) -> None:
    rng = np.random.default_rng(1)
    model, digests = small("vgg16"), stored("vgg16", folder)
    plan = random_plan(model, 3, rng)
    pace = wire.Pace("table", (1e-9,) * len(plan.cuts), 0.0, 1.0, (0.0,) * 4, (0.0,) * 4, 0.0, 0.0)
    controller.deploy(Deployment(model, digests, plan, NAMES, paces=[pace] * 3), ENOUGH_S)
    (item,) = controller.run(iter(random_images(model, 1, rng)), ENOUGH_S)
    assert item.overrun_s > 0
