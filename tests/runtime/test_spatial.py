"""Images through workers: outputs equal the unsplit model, whatever the plan, the network and the volumes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from splitgym.models.layers import Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import MAIN, Model
from splitgym.models.plans import SpatialPlan
from splitgym.models.runnable.units import TorchModel, build
from splitgym.runtime.blobs import BlobStore, put_model
from splitgym.runtime.controller import Controller, Member
from splitgym.runtime.worker import Worker
from splitgym.runtime.worker_core import WorkerCore

from .local_network import LocalNetwork


@contextmanager
def workers(network: LocalNetwork, names: list[str], folder: Path) -> Iterator[list[Member]]:
    """Workers in threads of this process."""
    found, threads = [], []
    for name in names:
        control, data = network.listen(name), network.listen(name)
        store = BlobStore(folder / name)
        core = WorkerCore(name, 7, "test", "here", int(data.address.split(":")[1]), store.has, lease_s=60.0)
        roles = {"me": "controller", **dict.fromkeys(names, "worker")}
        found.append(Worker(core, control, data, network.seen_by(name), store, roles))
        threads.append(threading.Thread(target=found[-1].run))
        threads[-1].start()
    try:
        yield [Member(w.core.name, w.control.address) for w in found]
    finally:
        for worker in found:
            worker.stop()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)


@contextmanager
def cluster(count: int, folder: Path) -> Iterator[tuple[Controller, list[str], BlobStore]]:
    network, names = LocalNetwork(), [f"w{i}" for i in range(count)]
    with workers(network, names, folder) as members:
        store = BlobStore(folder / "me")
        with Controller(
            members, network.seen_by("me"), network.listen("me"), store, lease_s=60.0, join_s=60.0
        ) as found:
            yield found, names, store


def random_plan(model: Model, devices: int, rng: np.random.Generator) -> SpatialPlan:
    units = len(model.units)
    inside = rng.choice(np.arange(1, units), size=min(units - 1, int(rng.integers(0, 4))), replace=False)
    cuts = (*sorted(int(c) for c in inside), units)
    splits = tuple(
        tuple(sorted(int(r) for r in rng.integers(0, model.out_shape(c - 1).height + 1, devices - 1))) for c in cuts
    )
    names = tuple(f"w{i}" for i in range(devices))
    return SpatialPlan(model.name, names, cuts, splits, types=dict.fromkeys(names, "cpu")).validate(model)


def random_images(model: Model, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    shape = (model.input.folded_channels, model.input.height, model.input.width)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]


@torch.inference_mode()
def whole(torch_model: TorchModel, image: np.ndarray) -> list[np.ndarray]:
    x = torch.from_numpy(image).float().mul(1.0 / 255.0)[None]
    main, heads = torch_model(x)
    return [main.numpy(), *(head.numpy() for head in heads)]


def assert_same(outputs: tuple[np.ndarray, ...], expected: list[np.ndarray]) -> None:
    assert len(outputs) == len(expected)
    for found, due in zip(outputs, expected, strict=True):
        scale = max(1e-6, float(np.abs(due).max()))
        assert np.abs(found.reshape(due.shape) - due).max() <= 1e-4 * scale


SMALL = {
    "vgg16": Shape(3, 48, 32),
    "resnet50": Shape(3, 97, 33),
    "yolov2": Shape(3, 128, 64),
    "openpose": Shape(3, 56, 32),
}


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("name", SMALL)
def test_outputs_equal_the_unsplit_models(name: str, in_flight: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(in_flight)
    model = get_model(name)
    model = replace(model, input=SMALL[name], tail=model.tail if name == "resnet50" else ())
    torch_model = build(model)
    with cluster(3, tmp_path) as (controller, names, store):
        weights = put_model(store, torch_model)
        for _ in range(2):
            plan = random_plan(model, 3, rng)
            controller.deploy(model, weights, plan, names, in_flight=in_flight)
            images = random_images(model, 4, rng)
            items = list(controller.run(iter(images)))
            assert [item.index for item in items] == list(range(4))
            for item, image in zip(items, images, strict=True):
                assert_same(item.outputs, whole(torch_model, image))
                assert item.latency_s > 0
                assert MAIN not in item.spans or item.spans[MAIN]
