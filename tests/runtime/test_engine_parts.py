"""Parts as TensorRT engines, on a stand-in for TensorRT and PyCUDA: a device computes what torch computes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from splitgym.models.model import ValueBytes
from splitgym.models.plans import SpatialPlan
from splitgym.models.runnable.units import TorchModel, build
from splitgym.runtime import wire, wire_types
from splitgym.runtime.blobs import BlobStore, put_model
from splitgym.runtime.compute import Executor, Network, to_bytes
from splitgym.runtime.engine_parts import EngineParts
from splitgym.runtime.geometry import Geometry, Piece
from splitgym.runtime.spatial import Spatial
from splitgym.runtime.worker_command import main
from splitgym.trt_kernels.weights import torch_weights

from ..trt_kernels.tensorrt_fake_runtime import World
from ..trt_kernels.test_tensorrt_engines import install, small_model, whole_maps


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, World("11"))


def plan_of(posts: list[list[int]], cuts: tuple[int, ...]) -> SpatialPlan:
    splits, types = tuple(tuple(p) for p in posts), {"a": "nano", "b": "tx2"}
    return SpatialPlan("small", ("a", "b"), cuts, splits, types=types).validate(small_model())


def geometry() -> Geometry:
    return Geometry(small_model(), plan_of([[7], [0]], (1, 3)), ValueBytes(4))


def test_parts_equal_torchs(tmp_path: Path) -> None:
    network, geo = build(small_model(), seed=5), geometry()
    for device in range(2):
        parts = geo.parts(device)
        engines = EngineParts(network, parts, folder=tmp_path)
        for part in parts:
            inputs = whole_maps(network.model, part.start, 0)
            with torch.inference_mode():
                due = network.run_part(part.start, part.stop, inputs, part.a, part.b)
            found = engines.run_part(part.start, part.stop, inputs, part.a, part.b)
            assert found.tensors.keys() == due.tensors.keys()
            for name, rows in due.tensors.items():
                assert found.tensors[name].lo == rows.lo
                assert found.tensors[name].tensor.dtype == torch.float32
                torch.testing.assert_close(found.tensors[name].tensor, rows.tensor, rtol=2e-2, atol=2e-2)
            for unit, rows in due.heads.items():
                if rows.tensor.shape[2]:
                    torch.testing.assert_close(found.heads[unit].tensor, rows.tensor, rtol=2e-2, atol=2e-2)


def test_a_device_with_engines_takes_part_in_an_image(tmp_path: Path) -> None:
    model, store = small_model(), BlobStore(tmp_path / "weights")
    digests, geo = put_model(store, build(model, seed=5)), geometry()
    executors = []
    for device in range(2):
        steps = geo.steps(device)
        network = Network(model, store, digests).with_steps(steps)
        parts = EngineParts(network, geo.parts(device), folder=tmp_path)
        executors.append(Executor(geo, device, network, wire_types.FLOAT32, parts=parts))
    image = np.random.default_rng(0).integers(0, 256, (3, 12, 6), np.uint8)
    found = _through(geo, executors, image)
    x = torch.from_numpy(image).float().mul(1 / 255.0)[None]
    with torch.inference_mode():
        due = build(model, seed=5)(x)[0]
    torch.testing.assert_close(found, due, rtol=5e-2, atol=5e-2)


def _through(geo: Geometry, executors: list[Executor], image: np.ndarray) -> torch.Tensor:
    """An image through devices in this process; returns the rows of the last map."""
    cores = [Spatial(geo, device, 1) for device in range(2)]
    results: dict[int, torch.Tensor] = {}

    def deliver(piece: Piece, data: bytes) -> None:
        chunk = wire.Chunk(
            "ab" * 16, 1, 1, 0, piece.boundary, piece.tensor, piece.lo, piece.hi, 0, "11" * 32, 0, len(data),
            len(data), 0.0,
        )  # fmt: skip
        cores[piece.receiver].add(piece.sender, chunk, data)

    for (piece,) in geo.scatter():
        deliver(piece, image[:, piece.lo : piece.hi].tobytes())
    while any(jobs := [core.next_job() for core in cores]):
        for core, executor, job in zip(cores, executors, jobs, strict=True):
            if job is None:
                continue
            executor.run(job)
            sends, _ = core.computed(job)
            for piece in (p for send in sends for p in send.pieces):
                rows = executor.rows(0, piece)
                if piece.receiver >= 0:
                    deliver(piece, bytes(to_bytes(rows, wire_types.FLOAT32)))
                elif piece.tensor == "result":
                    results[piece.lo] = rows.clone()
    return torch.cat([results[lo] for lo in sorted(results)], dim=2)


def test_weights_that_are_not_there_take_no_memory() -> None:
    with torch.device("meta"):
        network = TorchModel(small_model())
    for arrays in torch_weights(network):
        assert all(array.strides == (0,) * array.ndim for name, array in arrays.items() if name != "norm.eps")


def test_a_worker_without_tensorrt_says_so_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert main(["--key", str(tmp_path / "no.key"), "--backend", "tensorrt"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("splitgym-worker: TensorRT is not available")
