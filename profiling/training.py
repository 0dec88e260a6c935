"""Training profiles: seconds and bytes of one training step, by step of the network and batch size.

A modelled profile starts from the latency model's forward time of every kernel. The backward pass takes as many
times that as published per-layer profiles of training measure: a convolution computes the gradients of its weights
and of its input, each at about the cost of the forward pass; the first kernel needs no gradient of its input. The
weight update moves the parameters, gradients and optimizer state through memory, whatever the batch size.

On disk a profile is a CSV file behind the header of :mod:`.tables`, one line for every step and batch size:

    step,batch,forward_s,backward_s,update_s,activation_bytes,gradient_bytes,params
    conv1_1,1,0.0012,0.0012,1e-06,12845056,12845056,1792
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import index
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..models.chain import Kernel
from ..models.layers import Conv, Conv3d, ConvTranspose, Linear
from ..models.model import Model
from ..ui.errors import InputError
from ..ui.faults import Faults, few
from .devices import Device, calibration_date, get_device
from .latency import kernel_seconds
from .tables import Provenance, check_header, parse_seconds, read_entries, write_entries

VALUE_BYTES = 4  # training is in float32
Optimizer = Literal["sgd", "momentum", "adam"]
OPTIMIZER_BYTES: Mapping[str, int] = {"sgd": 12, "momentum": 20, "adam": 28}  # moved per parameter at an update

CONV_BACKWARD = 2.0  # backward over forward time
LINEAR_BACKWARD = 1.6
ELEMENTWISE_BACKWARD = 1.0  # norm, activation and pools
FIRST_BACKWARD = 1.0  # no gradient of the image

COLUMNS = ("step", "batch", "forward_s", "backward_s", "update_s", "activation_bytes", "gradient_bytes", "params")
_CONSTANT = COLUMNS[4:]  # the same for every batch size

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrainingProfile:
    """Seconds and bytes of one training step of a model on a device; arrays are copied and read-only.

    Attributes:
        model: model name.
        fingerprint: the model's structure (``Model.fingerprint``).
        steps: names of ``Model.steps``: the units, then the layers of the tail.
        batches: profiled batch sizes, increasing.
        forward_s, backward_s: float64, (len(batches), len(steps)), seconds of a whole batch.
        update_s: float64, (len(steps),), seconds of the weight update.
        activation_bytes, gradient_bytes: int64, (len(steps),), bytes per sample that cross a cut behind the step,
            forward and backward.
        params: int64, (len(steps),).
        provenance: where the numbers come from.
    """

    model: str
    fingerprint: str
    steps: tuple[str, ...]
    batches: tuple[int, ...]
    forward_s: _Floats
    backward_s: _Floats
    update_s: _Floats
    activation_bytes: _Ints
    gradient_bytes: _Ints
    params: _Ints
    provenance: Provenance

    def __post_init__(self) -> None:
        for name in COLUMNS[2:]:
            value = np.array(getattr(self, name), dtype=np.float64 if name.endswith("_s") else np.int64)
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    @property
    def device(self) -> str:
        """Device name."""
        return self.provenance.device

    def label(self) -> str:
        """One line: the model and where the numbers come from."""
        return f"{self.model} on {self.provenance.label()}"

    def at(self, batch: int) -> tuple[_Floats, _Floats]:
        """Forward and backward seconds of every step at a batch size, linear between two profiled ones.

        Returns:
            (forward_s, backward_s), each (len(steps),) and read-only.

        Raises:
            InputError: the batch size is below or above the profiled ones.
        """
        if not self.batches[0] <= batch <= self.batches[-1]:
            profiled = ", ".join(map(str, self.batches))
            raise InputError(
                f"batch is {batch}, but the training profile of {self.model} on {self.device} covers "
                f"{self.batches[0]} to {self.batches[-1]} (profiled sizes: {profiled})"
            )
        i = bisect_left(self.batches, batch)
        if self.batches[i] == batch:
            return self.forward_s[i], self.backward_s[i]
        share = (batch - self.batches[i - 1]) / (self.batches[i] - self.batches[i - 1])
        forward_s, backward_s = (
            (1 - share) * seconds[i - 1] + share * seconds[i] for seconds in (self.forward_s, self.backward_s)
        )
        forward_s.flags.writeable = backward_s.flags.writeable = False
        return forward_s, backward_s

    def step_s(self, batch: int) -> _Floats:
        """Seconds of every step's forward, backward and update at a batch size, (len(steps),); see :meth:`at`."""
        forward_s, backward_s = self.at(batch)
        return forward_s + backward_s + self.update_s

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profile as CSV with a metadata header; :func:`load_profile` gets the very same numbers back."""
        timed = np.stack([self.forward_s, self.backward_s])
        constant = [getattr(self, name).tolist() for name in _CONSTANT]
        rows = (
            (step, batch, *map(repr, timed[:, b, s].tolist()), *(repr(values[s]) for values in constant))
            for s, step in enumerate(self.steps)
            for b, batch in enumerate(self.batches)
        )
        write_entries(path, self.model, self.fingerprint, self.provenance, COLUMNS, rows)


def modelled_profile(
    model: Model,
    device: str | Device,
    batches: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128),
    optimizer: str = "sgd",
    tiles: bool = True,
    backward: float = 1.0,
    update_bytes: int | None = None,
    trains_input: bool = False,
) -> TrainingProfile:
    """The profile that the calibrated latency model gives; the same object for the same arguments.

    Times are those of the device at its own precision; only the bytes that cross a cut are float32 everywhere.

    Args:
        model: the network.
        device: a device or the name of one in the catalogue.
        batches: batch sizes.
        optimizer: a key of ``OPTIMIZER_BYTES``.
        tiles: whether latency steps with whole tiles (see :mod:`.devices`).
        backward: how many times the published factors the backward pass takes.
        update_bytes: bytes that an update moves through memory for a parameter; the optimizer's by default.
        trains_input: whether the first kernel needs a gradient of its input, as a part behind other layers does.

    Raises:
        InputError: no such device or optimizer, no batch size or one below 1.
    """
    if optimizer not in OPTIMIZER_BYTES:
        raise InputError(f"optimizer is {optimizer!r}, allowed: {', '.join(OPTIMIZER_BYTES)}")
    sizes = tuple(sorted({index(batch) for batch in batches}))
    if not sizes or sizes[0] < 1:
        raise InputError(f"batches is {list(batches)}, allowed: one or more integers, each 1 or more")
    on = get_device(device) if isinstance(device, str) else device
    return _modelled_profile(model, on, sizes, optimizer, tiles, backward, update_bytes, trains_input)


@lru_cache(maxsize=512)
def _modelled_profile(
    model: Model,
    device: Device,
    batches: tuple[int, ...],
    optimizer: str,
    tiles: bool,
    backward: float,
    update_bytes: int | None,
    trains_input: bool,
) -> TrainingProfile:
    first = None if trains_input else 0
    timed = [
        [_kernel_training_s(device, kernel, batch, tiles, first=k == first) for k, kernel in enumerate(model.kernels)]
        for batch in batches
    ]
    by_kernel = np.array(timed)  # (batch, kernel, forward or backward)
    by_step = np.stack([by_kernel[:, list(step.kernels)].sum(axis=1) for step in model.steps], axis=1)
    kernel_params = [kernel.layer.params(kernel.in_shape) for kernel in model.kernels]
    params = np.array([sum(kernel_params[k] for k in step.kernels) for step in model.steps])
    memory_bytes_per_s = device.coefficients(tiles).e_m * device.memory_bytes_per_s
    crossing = np.array([model.cut_bytes(i + 1, VALUE_BYTES) for i in range(len(model.steps))])
    moved = OPTIMIZER_BYTES[optimizer] if update_bytes is None else update_bytes
    note = f"{device.quality(tiles)}; backward and {optimizer} update by published training factors"
    if backward != 1.0:
        note += f", backward {backward:g} times"
    if update_bytes is not None:
        note += f", {update_bytes} bytes a parameter"
    return TrainingProfile(
        model=model.name,
        fingerprint=model.fingerprint,
        steps=tuple(step.name for step in model.steps),
        batches=batches,
        forward_s=by_step[..., 0],
        backward_s=backward * by_step[..., 1],
        update_s=params * moved / memory_bytes_per_s,
        activation_bytes=crossing,
        gradient_bytes=crossing,
        params=params,
        provenance=Provenance("modelled", device.name, device.precision, device.framework, calibration_date(), note),
    )


def _kernel_training_s(device: Device, kernel: Kernel, batch: int, tiles: bool, first: bool) -> tuple[float, float]:
    """Forward and backward seconds of a kernel."""

    def seconds(on: Device) -> float:
        return float(kernel_seconds(on, kernel, kernel.out_shape.height, batch, tiles))

    forward_s = seconds(device)
    if first:
        return forward_s, FIRST_BACKWARD * forward_s
    if isinstance(kernel.layer, Linear):
        return forward_s, LINEAR_BACKWARD * forward_s
    if isinstance(kernel.layer, Conv | Conv3d | ConvTranspose):
        conv_s = seconds(replace(device, unfused=False)) if device.unfused else forward_s
        return forward_s, CONV_BACKWARD * conv_s + ELEMENTWISE_BACKWARD * (forward_s - conv_s)
    return forward_s, ELEMENTWISE_BACKWARD * forward_s


def load_profile(path: str | os.PathLike[str], model: Model) -> TrainingProfile:
    """Read a training profile of ``model`` from a file.

    Raises:
        InputError: one line that names the file, the line or field, and what is allowed.
    """
    header, entries, torn, faults = read_entries(path, COLUMNS, "training profile")
    names = tuple(step.name for step in model.steps)
    found = {cells[0] for _, cells in entries}
    counts = f"profile has {len(found)} steps, the model {model.name} has {len(names)}"
    provenance = check_header(path, header, model, f"; {counts}")
    timed: dict[str, dict[int, tuple[float, float]]] = {name: {} for name in names}
    constant: dict[str, Mapping[str, float | None]] = {}
    for line, cells in entries:
        _parse_entry(faults, line, dict(zip(COLUMNS, cells, strict=True)), timed, constant)
    if lost := [name for name in names if name not in found | torn]:
        faults.add(f"{counts}; missing: {few(lost)}")
    batches = tuple(sorted(set().union(*timed.values())))
    allowed = f"; every step needs the batch sizes {few(list(map(str, batches)))}"
    for name, by_batch in timed.items():
        if name in found - torn and (lacking := [str(batch) for batch in batches if batch not in by_batch]):
            faults.add(f"step {name} has no entry for batch = {few(lacking)}", allowed)
    faults.check()
    both = np.array([[timed[name][batch] for name in names] for batch in batches])
    if not both.any(axis=(1, 2)).all():
        raise InputError(f"{path}: every step takes 0 s at a batch size; at least one must take longer")
    fields = {column: np.array([constant[name][column] for name in names]) for column in _CONSTANT}
    return TrainingProfile(
        model.name, model.fingerprint, names, batches, both[..., 0], both[..., 1], **fields, provenance=provenance
    )


def _parse_entry(
    faults: Faults,
    line: int,
    cells: Mapping[str, str],
    timed: Mapping[str, dict[int, tuple[float, float]]],
    constant: dict[str, Mapping[str, float | None]],
) -> None:
    name = cells["step"]
    if name not in timed:
        faults.add(f"line {line}: unknown step {name!r}", f"; the model has {few(list(timed))}")
        return
    batch = _whole(faults, line, "batch", cells["batch"], least=1)
    forward_s, backward_s = (parse_seconds(faults, line, name, cells[name]) for name in ("forward_s", "backward_s"))
    if batch in timed[name]:
        faults.add(f"line {line}: a second entry for step {name}, batch = {batch}", "; one is allowed")
    elif batch is not None:
        timed[name][batch] = forward_s or 0.0, backward_s or 0.0
    update_s = parse_seconds(faults, line, "update_s", cells["update_s"])
    values = {"update_s": update_s, **{name: _whole(faults, line, name, cells[name]) for name in _CONSTANT[1:]}}
    if None in values.values():
        return
    before = constant.setdefault(name, values)
    for column in _CONSTANT:
        if values[column] != before[column]:
            faults.add(
                f"line {line}: {column} of step {name} is {values[column]}, but {before[column]} at another batch size",
                "; allowed: the same at all of them",
            )


def _whole(faults: Faults, line: int, column: str, text: str, least: int = 0) -> int | None:
    """A whole number, ``least`` or more; None, and a fault, where it is none."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if least <= value <= np.iinfo(np.int64).max:
        return value
    faults.add(f"line {line}: {column} is {text!r}", f", allowed: an integer, {least} or more")
    return None
