"""Parts of a network as TensorRT engines, in place of torch's units. The tail stays torch's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from ..models.runnable.units import PartOutput, RowSlice, TorchModel
from ..trt_kernels.engines import Engines
from ..trt_kernels.execute import Runner
from ..trt_kernels.gpu import Gpu
from ..trt_kernels.versions import load_tensorrt
from ..trt_kernels.weights import torch_weights
from .geometry import Part

Key = tuple[int, int, int, int]


class EngineParts:
    """A device's parts, each an engine that is ready to run.

    Args:
        torch_model: with the weights of the parts' units.
        parts: which ones; engines that are not on the disk yet are built, which takes seconds to minutes.
        precision: of the engines.
        folder: where engines are kept, by default the user's cache.

    Raises:
        InputError: no TensorRT, no PyCUDA or no GPU here, or an engine that cannot be built.
        MemoryError: the GPU has not enough memory.
    """

    def __init__(
        self, torch_model: TorchModel, parts: Iterable[Part], precision: str = "FP16", folder: Path | None = None
    ) -> None:
        trt, gpu = load_tensorrt(), Gpu()
        self._model, self._runners = torch_model.model, dict[Key, Runner]()
        with gpu.current():
            about = f"{gpu.name} {gpu.capability}"
            engines = Engines(trt, torch_model.model, torch_weights(torch_model), about, precision, folder)
            built = {key: engines.part(*key) for key in dict.fromkeys((p.start, p.stop, p.a, p.b) for p in parts)}
        for key, engine in built.items():
            self._runners[key] = Runner(trt, gpu, engine)

    def run_part(self, start: int, stop: int, inputs: Mapping[str, RowSlice], a: int, b: int) -> PartOutput:
        """As :meth:`TorchModel.run_part`, in the engines' precision, for the parts that were asked for."""
        runner = self._runners[start, stop, a, b]
        given = {p.name: inputs[str(p.tensor)].crop(p.lo, p.hi).tensor.numpy() for p in runner.ports.inputs}
        found = runner.run(given)
        rows = {p.tensor: RowSlice(torch.from_numpy(found[p.name]).float(), p.lo) for p in runner.ports.outputs}
        volume = self._model.volume(start, stop)
        tensors = {
            name: rows[name] if name in rows else self._no_rows(name, stop, int(post[a]))
            for name, post in zip(volume.holds, volume.hold_post, strict=True)
        }
        return PartOutput(tensors, {unit: rows[unit] for unit in volume.heads if unit in rows})

    def _no_rows(self, name: str, boundary: int, at: int) -> RowSlice:
        shape = self._model.tensor_shape(name, boundary)
        return RowSlice(torch.empty(1, shape.folded_channels, 0, shape.width), at)
