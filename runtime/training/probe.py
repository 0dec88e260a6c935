"""Probing a server (EdgeMove, Sec. 3.1): how fast it trains, told by a test model and random data.

Neither the model nor the data of the user leave the client. The test model has the shape of the true one and costs as
much, but its layers have other widths, drawn at random; its weights are the server's own random ones. The images and
labels are noise. What comes back is a time, and nothing of it touches a training that runs beside it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...models.chain import MAIN
from ...models.layers import Conv, Conv3d, ConvTranspose, Linear
from ...models.model import Model
from ...models.serial import model_from, to_plain
from ..wire_training import Probe, Probed
from ..wire_types import WireError
from .half import LABELS, Half, Recipe, Scale, untrained
from .packets import Packet, expect

SPREAD = 1.5  # most by which a width is stretched or shrunk against the others
COST_ERROR = 0.05  # of the test model's operations
RATE = 0.01
CLASSES = 10  # that random labels are of


def obfuscated(model: Model, seed: int) -> Model:
    """A model of the same layers with other widths, and nearly as many operations.

    Equal widths stay equal, so that what is added up fits. The input and the outputs' number stay: they say what the
    user's images are, not what is learnt from them.
    """
    draw = random.Random(seed)
    last = model.kernels[-1].layer
    outputs = last.out_features if isinstance(last, Linear) else -1
    inputs = model.input.folded_channels
    factors = {
        width: draw.uniform(1 / SPREAD, SPREAD)
        for width in sorted(set(_widths(model)))
        if width not in (outputs, inputs)
    }
    low, high = 1 / (2 * SPREAD), 2 * SPREAD
    found = model
    for _ in range(30):
        scale = (low + high) / 2
        widths = {width: _rounded(width, factor * scale) for width, factor in factors.items()}
        found = replace(_rewidened(model, widths), name="test")
        error = found.macs / model.macs - 1.0
        if abs(error) <= COST_ERROR:
            break
        low, high = (low, scale) if error > 0 else (scale, high)
    return found


def probe_packet(model: Model, batch: int, iterations: int, seed: int, number: int = 0) -> Packet:
    """What a client sends: a test model, noise to train it on, and how often.

    Args:
        batch: samples.
        number: of the probe.
    """
    test = obfuscated(model, seed)
    images, labels = noise_batch(test, batch, seed)
    return Packet(Probe(0, number, to_plain(test), iterations), {MAIN: images, LABELS: labels})


def noise_batch(model: Model, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """(images, labels) of nothing, of a model's input."""
    noise, shape = torch.Generator().manual_seed(seed), model.input
    size = samples, shape.folded_channels, shape.height, shape.width
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=noise)
    return images, torch.randint(0, CLASSES, (samples,), generator=noise)


def answer(packet: Packet, clock: Callable[[], float], most_samples: int) -> Packet:
    """What a server answers: the mean time of a minibatch, both passes and the update, after one that is not timed.

    Args:
        clock: seconds.
        most_samples: of a batch.

    Raises:
        WireError: the probe's tensors do not fit its model.
        InputError: it describes no model.
    """
    header = packet.header
    assert isinstance(header, Probe)
    model = model_from(header.model)
    labels = packet.tensors.get(LABELS)
    if labels is None or not 1 < labels.numel() <= most_samples:
        raise WireError(f"probe {header.number} has no labels of 2 to {most_samples} samples")
    one = torch.ones(())
    half = Half(untrained(model), Recipe(), Scale(0.0 * one, one))
    tensors = dict(expect(packet, {**half.due(0, len(labels)), LABELS: ((len(labels),), torch.int64)}))
    begun_s = [_minibatch(half, number, tensors, clock) for number in range(header.iterations + 1)]
    return Packet(Probed(0, header.number, (clock() - begun_s[1]) / header.iterations))


def _minibatch(half: Half, number: int, tensors: Mapping[str, Tensor], clock: Callable[[], float]) -> float:
    """Train on the data once; when that began."""
    begun_s = clock()
    half.finish(number, 0, {MAIN: tensors[MAIN]}, tensors[LABELS] % half.classes)
    half.apply(number, RATE)
    return begun_s


def _rounded(width: int, factor: float) -> int:
    step = 8 if width >= 16 and width % 8 == 0 else 1
    return max(step, round(width * factor / step) * step)


def _widths(part: Any) -> Iterator[int]:
    if isinstance(part, Conv | Conv3d | ConvTranspose):
        yield part.out_channels
    elif isinstance(part, Linear):
        yield part.out_features
    for inner in _inside(part):
        yield from _widths(inner)


def _inside(part: Any) -> Iterator[Any]:
    if isinstance(part, tuple):
        yield from part
    elif is_dataclass(part):
        yield from (getattr(part, field.name) for field in fields(part))


def _rewidened(part: Any, widths: Mapping[int, int]) -> Any:
    """A model, or part of one, with other widths."""
    if isinstance(part, tuple):
        return tuple(_rewidened(inner, widths) for inner in part)
    if not is_dataclass(part) or isinstance(part, type):
        return part
    changed = {field.name: _rewidened(getattr(part, field.name), widths) for field in fields(part)}
    if isinstance(part, Conv | Conv3d | ConvTranspose):
        changed["out_channels"] = widths.get(part.out_channels, part.out_channels)
        if isinstance(part, Conv) and part.groups > 1:  # depthwise, or a divisor of all widths that it meets
            changed["groups"] = widths.get(part.groups, part.groups)
    elif isinstance(part, Linear):
        changed["out_features"] = widths.get(part.out_features, part.out_features)
    return replace(part, **changed)
