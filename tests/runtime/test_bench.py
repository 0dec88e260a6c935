"""What a worker measures on request: nothing that it is asked for ends it, and nothing goes on for nobody."""

from __future__ import annotations

import pytest
import torch

from splitgym.models.lookup import get_model
from splitgym.models.serial import to_plain
from splitgym.profiling.measure.torch_profiler import TorchBackend
from splitgym.runtime import wire_requests
from splitgym.runtime.bench import Bench

LENET = get_model("lenet5")
SESSION = "ab" * 16


def test_what_cannot_be_measured_is_told_and_the_worker_lives_on() -> None:
    bench = Bench()
    missing = bench.do(wire_requests.TimeKernel(SESSION, 1, "conv1", 1, 0, 1))
    assert missing == wire_requests.Unable(SESSION, 1, "no network is ready to be timed")
    for model in ({"is": "Nothing"}, {}, {"is": "Conv", "name": "x"}):
        assert isinstance(bench.do(wire_requests.PrepareKernels(SESSION, 2, model)), wire_requests.Unable)
    ready = bench.do(wire_requests.PrepareKernels(SESSION, 3, to_plain(LENET)))
    assert isinstance(ready, wire_requests.KernelsPrepared)
    assert ready.note.startswith(f"eager on {torch.get_num_threads()} thread")
    for name, rows in (("conv9", 1), ("conv1", 0), ("conv1", 29)):
        found = bench.do(wire_requests.TimeKernel(SESSION, 4, name, rows, 0, 1))
        assert isinstance(found, wire_requests.Unable)
        assert "nothing that the network has" in found.reason
    found = bench.do(wire_requests.TimeKernel(SESSION, 5, "conv1", 28, 1, 3))
    assert isinstance(found, wire_requests.Timed)
    assert len(found.values) == 3
    assert isinstance(
        bench.do(wire_requests.TimeKernel("cd" * 16, 5, "conv1", 28, 1, 3)), wire_requests.Unable
    )  # another session's


def test_what_nobody_waits_for_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, runs = Bench(), list[int]()

    def run() -> float:
        runs.append(1)
        if len(runs) == 3:
            bench.forget()
        return 1.0

    bench.do(wire_requests.PrepareKernels(SESSION, 1, to_plain(LENET)))
    monkeypatch.setattr(TorchBackend, "prepare", lambda *_: run)
    bench.put(wire_requests.TimeKernel(SESSION, 2, "conv1", 1, 500, 500))
    request = bench.take()
    assert request is not None
    assert isinstance(bench.do(request), wire_requests.Unable)
    assert len(runs) == 3
    assert bench.take() is None
