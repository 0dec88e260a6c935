"""Running parts of a network on this machine, as torch computes them or as slowly as an emulated device would."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..models.chain import HEAD, MAIN, head_name
from ..models.model import Model
from ..models.runnable.units import PartOutput, RowSlice, TorchModel
from ..ui.errors import InputError
from .blobs import BlobStore
from .geometry import RESULT, Geometry, Part, Piece
from .patience import wait
from .spatial import Job
from .wire import Pace
from .wire_types import FLOAT16, FLOAT32, IMAGE_SCALE, UINT8

DTYPES = {FLOAT32: torch.float32, UINT8: torch.uint8, FLOAT16: torch.float16}


class Network:
    """A model that holds the weights of some steps, more of them as they are asked for.

    Args:
        store: where they are, by ``digests``.
    """

    def __init__(self, model: Model, store: BlobStore, digests: tuple[str, ...]) -> None:
        self.model, self.digests, self._store = model, digests, store
        with torch.device("meta"):
            self._torch_model = TorchModel(model).eval()
        self._held: set[int] = set()

    def is_of(self, model: Model, digests: tuple[str, ...]) -> bool:
        """Whether this is that model with those weights."""
        return (self.model, self.digests) == (model, digests)

    @torch.no_grad()
    def with_steps(self, steps: set[int]) -> TorchModel:
        """The model with at least these steps' weights, all of them touched: the first use of mapped ones would
        otherwise cost seconds.

        Raises:
            InputError: weights are missing or do not fit.
        """
        for step in sorted(steps - self._held):
            module = self._torch_model.steps[step]
            try:
                module.load_state_dict(self._store.load(self.digests[step]), assign=True)
            except RuntimeError as error:
                raise InputError(f"weights of step {step} of {self.model.name} do not fit: {error}") from None
            self._held.add(step)
            for value in module.state_dict().values():
                if value.is_floating_point():
                    value.sum()
        return self._torch_model


class RunsParts(Protocol):
    """What computes output rows of some units: a :class:`TorchModel`, or engines."""

    def run_part(self, start: int, stop: int, inputs: Mapping[str, RowSlice], a: int, b: int) -> PartOutput:
        """As :meth:`TorchModel.run_part`."""
        ...


@dataclass
class _Kept:
    """What a device keeps of an item between its parts."""

    volume: int = -1  # that the tensors lie behind
    tensors: dict[str, RowSlice] = field(default_factory=dict)
    heads: dict[int, list[RowSlice]] = field(default_factory=dict)
    result: Tensor | None = None


class Executor:
    """The parts of one device under one plan.

    Args:
        geometry: of the plan.
        device: which of its devices this is.
        torch_model: with the weights of its steps.
        dtype: code of what activations are on the wire.
        pace: where the device is emulated.
        parts: what runs parts, the torch model's units by default.
        image_dtype: code of what the image is on the wire.
    """

    def __init__(
        self,
        geometry: Geometry,
        device: int,
        torch_model: TorchModel,
        dtype: int,
        pace: Pace | None = None,
        parts: RunsParts | None = None,
        image_dtype: int = UINT8,
    ) -> None:
        self.geometry, self.device, self.torch_model = geometry, device, torch_model
        self._parts: RunsParts = torch_model if parts is None else parts
        self.dtype, self.image_dtype, self.pace = dtype, image_dtype, pace
        self._items: dict[int, _Kept] = {}

    @torch.inference_mode()
    def run(self, job: Job, given_up: Callable[[], bool] = lambda: False) -> tuple[float, float, float]:
        """Do a job: (begin, end, seconds by which real work took longer than what it stands for).

        Args:
            given_up: asked while an emulated device's time is waited for.
        """
        begin_s, thread_s = time.monotonic(), time.thread_time()
        kept = self._items.setdefault(job.item, _Kept())
        if job.part is None:
            kept.result = self._tail(kept, job.came)
        else:
            self._part(kept, job.part, job.came)
        end_s = time.monotonic()
        if self.pace is None:
            return begin_s, end_s, 0.0
        if self.pace.compute == "dilate":
            due_s = begin_s + self.pace.dilation * (time.thread_time() - thread_s)
        else:
            due_s = begin_s + (self.pace.tail_s if job.part is None else self.pace.volume_s[job.part.volume])
        if due_s > end_s:
            wait(due_s, given_up)
            return begin_s, time.monotonic(), 0.0
        return begin_s, end_s, end_s - due_s

    def _part(self, kept: _Kept, part: Part, came: Mapping[Piece, bytearray]) -> None:
        needs = self.geometry.needs(part.volume, self.device)
        own = kept.tensors if part.start and kept.volume == part.volume - 1 else {}
        inputs = {
            name: self._rows(name, part.start, rows, [own[name]] if name in own else [], came)
            for name, rows in needs.items()
        }
        output = self._parts.run_part(part.start, part.stop, inputs, part.a, part.b)
        kept.tensors, kept.volume = output.tensors, part.volume
        for unit, rows in output.heads.items():
            kept.heads.setdefault(unit, []).append(rows)

    def _tail(self, kept: _Kept, came: Mapping[Piece, bytearray]) -> Tensor:
        height = self.geometry.model.in_shapes[-1].height
        last, model = self.geometry.last, self.geometry.model
        tensors = {MAIN: self._rows(MAIN, last, (0, height), [kept.tensors[MAIN]], came).tensor}
        for unit in model.heads:
            rows = (0, model.head_shape(unit).height)
            tensors[head_name(unit)] = self._rows(head_name(unit), last, rows, kept.heads.get(unit, []), came).tensor
        tensors, _ = self.torch_model[last:](tensors)
        return tensors[MAIN]

    def _rows(
        self,
        name: str,
        boundary: int,
        rows: tuple[int, int],
        own: Sequence[RowSlice],
        came: Mapping[Piece, bytearray],
    ) -> RowSlice:
        """Rows of a tensor put together from what this device has and what came in."""
        lo, hi = rows
        whole = torch.empty(self.geometry.shape(name, boundary, hi - lo))
        for rows_here in own:
            mine = rows_here.crop(max(lo, rows_here.lo), min(hi, rows_here.hi))
            whole[:, :, mine.lo - lo : mine.lo - lo + mine.tensor.shape[2]] = mine.tensor
        for piece, data in came.items():
            if piece.tensor == name:
                shape = self.geometry.shape(name, boundary, piece.hi - piece.lo)
                values = torch.frombuffer(data, dtype=DTYPES[self.dtype if boundary else self.image_dtype]).view(shape)
                target = whole[:, :, piece.lo - lo : piece.hi - lo]
                if boundary or self.image_dtype != UINT8:
                    target.copy_(values)
                else:
                    torch.mul(values, IMAGE_SCALE, out=target)
        return RowSlice(whole, lo)

    def rows(self, item: int, piece: Piece) -> Tensor:
        """Rows that leave this device, as they are now: a view that later parts do not change."""
        kept = self._items[item]
        if piece.tensor == RESULT and kept.result is not None:
            return kept.result.reshape(1, 1, 1, -1)
        if piece.tensor.startswith(HEAD):
            parts = kept.heads[int(piece.tensor[len(HEAD) :])]
            return next(p for p in parts if p.lo <= piece.lo and piece.hi <= p.hi).crop(piece.lo, piece.hi).tensor
        return kept.tensors[MAIN if piece.tensor == RESULT else piece.tensor].crop(piece.lo, piece.hi).tensor

    def over(self, item: int) -> None:
        """An item is finished here."""
        self._items.pop(item, None)


def to_bytes(rows: Tensor, dtype: int) -> memoryview:
    """Rows as they go over the wire."""
    return memoryview(rows.to(DTYPES[dtype]).contiguous().numpy()).cast("B")  # type: ignore[arg-type]
