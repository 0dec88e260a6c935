"""Workers in processes of this machine, and what the tests of them need."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from splitgym.models.blocks import Block
from splitgym.models.chain import Join, Unit
from splitgym.models.layers import Conv, GlobalPool, Layer, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.programs import Constant, Operation, Program
from splitgym.models.remaps import Resize
from splitgym.models.runnable.units import TorchModel, build
from splitgym.runtime.blobs import BlobStore, put_model
from splitgym.runtime.controller import Controller
from splitgym.runtime.session import open_session
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.wire_types import IMAGE_SCALE

ENOUGH_S = 120.0  # for whatever must happen on a machine that is slow and busy
SMALL = {
    "vgg16": Shape(3, 48, 32),
    "resnet50": Shape(3, 97, 33),
    "yolov2": Shape(3, 128, 64),
    "openpose": Shape(3, 56, 32),
    "detector": Shape(3, 40, 24),
}
CHANNELS = {"vgg16": 64}  # at most, else OTHERS: in front of VGG-16's second unit lie several chunks
OTHERS = 16
_GATE = Block(((), (GlobalPool(), Conv(1, out_channels=6, activation="sigmoid"))), "mul")


def _detector() -> Model:
    """A gate that reads every row, saved maps put together, two side heads, and a program that reads all at the end."""
    units = (
        Unit("conv1", (Conv(3, 2, 1, out_channels=6),), save="conv1"),
        Unit("gate", (_GATE,)),
        Unit("conv2", (Conv(3, 2, 1, out_channels=8),),
             head=(Conv(1, out_channels=3), Conv(3, padding=1, out_channels=5))),
        Unit("conv3", (Conv(3, 1, 1, out_channels=6),), save="conv3"),
        Unit("conv4", (Conv(3, 2, 1, out_channels=4),), head=(Conv(1, out_channels=5, activation="none"),)),
        Unit(
            "join", (Conv(3, 1, 1, out_channels=5, activation="tanh"),),
            (Join("conv1"), Join("conv3", (Resize(20, 12, "linear", "half_pixel", (2.0, 2.0)),))), combine="add",
        ),
    )  # fmt: skip
    sizes = ((1, 5 * 20 * 12), (1, 5 * 10 * 6), (1, 5 * 5 * 3))
    whole = sum(size for _, size in sizes)
    operations = (
        Operation("Concat", (0, 1, 2), (("axis", 1),), ((1, whole),)),
        Operation("Mul", (4, 3), (), ((1, whole),)),
        Operation("Softmax", (5,), (("axis", 1),), ((1, whole),)),
    )
    program = Program(sizes, "vector", (Constant((1, whole)),), operations, (6,), Shape(whole, 1, 1))
    return Model("detector", SMALL["detector"], units, (program,))


@contextmanager
def workers(count: int, folder: Path, insecure: bool = False) -> Iterator[tuple[Testbed, Controller]]:
    """Processes w0, w1, ..., and a session with them."""
    with Testbed([f"w{i}" for i in range(count)], folder, insecure) as testbed, session(testbed, folder) as controller:
        yield testbed, controller


@contextmanager
def session(testbed: Testbed, folder: Path) -> Iterator[Controller]:
    with open_session(
        testbed.members, testbed.identity, testbed.roster, BlobStore(folder), testbed.insecure,
        lease_s=ENOUGH_S, join_s=ENOUGH_S,
    ) as controller:  # fmt: skip
        yield controller


def small(name: str) -> Model:
    """A network of the zoo on a small image, with few channels, without its tail where that is most of it; or the
    detector.
    """
    if name == "detector":
        return _detector()
    model = get_model(name)
    units, tail = narrow(model.units, CHANNELS.get(name, OTHERS)), model.tail if name == "resnet50" else ()
    return replace(model, input=SMALL[name], units=units, tail=tail)


def narrow(units: Sequence[Unit], most: int) -> tuple[Unit, ...]:
    """The same layers, none of which makes more channels than so many."""
    few = partial(_narrow, most=most)
    return tuple(
        replace(
            unit, layers=few(unit.layers), head=few(unit.head),
            joins=tuple(replace(join, layers=few(join.layers)) for join in unit.joins),
        )
        for unit in units
    )  # fmt: skip


def _narrow(layers: Sequence[Layer], most: int) -> tuple[Layer, ...]:
    found: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Block):
            branches = tuple(_narrow(branch, most) for branch in layer.branches)
            sizes = layer.split_channels and tuple(min(size, most) for size in layer.split_channels)
            layer = replace(layer, branches=branches, split_channels=sizes)
        elif isinstance(layer, Conv):
            layer = replace(layer, out_channels=min(layer.out_channels, most))
        found.append(layer)
    return tuple(found)


@cache
def small_network(name: str) -> TorchModel:
    return build(small(name))


def stored(name: str, folder: Path) -> tuple[str, ...]:
    """Digests of a small network's weights, in a store."""
    return put_model(BlobStore(folder), small_network(name))


def random_images(model: Model, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    shape = (model.input.folded_channels, model.input.height, model.input.width)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]


@torch.inference_mode()
def whole(network: TorchModel, image: np.ndarray) -> list[np.ndarray]:
    """The unsplit network's output and side heads."""
    main, heads = network(torch.from_numpy(image).float().mul(IMAGE_SCALE)[None])
    return [main.numpy(), *(head.numpy() for head in heads)]


def assert_same(outputs: tuple[np.ndarray, ...], expected: list[np.ndarray], tolerance: float = 1e-4) -> None:
    assert len(outputs) == len(expected)
    for found, due in zip(outputs, expected, strict=True):
        scale = max(1e-6, float(np.abs(due).max()))
        assert np.abs(found.reshape(due.shape) - due).max() <= tolerance * scale


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(there: Callable[[], bool]) -> None:
    """Wait for something that others bring about.

    Raises:
        AssertionError: it does not come.
    """
    due_s = time.monotonic() + ENOUGH_S
    while not there():
        assert time.monotonic() < due_s
        time.sleep(0.005)


def until_gone(pids: list[int]) -> None:
    """Wait for processes to end."""
    until(lambda: not any(map(is_alive, pids)))


def children() -> list[int]:
    """Processes that this one has started."""
    return [int(p) for p in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()]
