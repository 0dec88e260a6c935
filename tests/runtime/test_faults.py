"""The benchmarks that hurt real workers say when an image is lost, doubled or wrong, and load the cores as asked."""

from __future__ import annotations

import random
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from .. import ROOT, script
from .live import small


@pytest.fixture(scope="module", autouse=True)
def _beside() -> Any:
    """Benchmarks import each other by their names alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield


def test_chaos_sends_images_of_the_models_shape() -> None:
    chaos: Any = script("benchmarks/chaos.py")
    one, other = chaos.Chaos.images(SimpleNamespace(rng=random.Random(0), model=small("vgg16")), 2)
    assert one.shape == other.shape == (3, 48, 32)
    assert (one != other).any()


@pytest.mark.slow
def test_chaos_without_faults_is_good(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["chaos.py", "--images", "5", "--faults", "0"])
    assert script("benchmarks/chaos.py").main() == 0
    assert "chaos: lost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("results", "wrong", "code"),
    [([0, 1, 2], [], 0), ([0, 2], [], 1), ([0, 1, 1, 2], [], 1), ([0, 2, 1], [], 1), ([0, 1, 2], [1], 1)],
)
def test_chaos_fails_where_an_image_is_lost_doubled_or_wrong(
    results: list[int], wrong: list[int], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chaos: Any = script("benchmarks/chaos.py")
    monkeypatch.setattr(sys, "argv", ["chaos.py"])
    monkeypatch.setattr(chaos, "run", lambda *_: chaos.History(3, results, wrong, [], 1, 0, 1.0))
    assert chaos.main() == code


@pytest.mark.parametrize("busy", [0, 3])
def test_suspicion_has_as_many_busy_processes_as_asked(busy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    suspicion: Any = script("benchmarks/suspicion.py")
    started: list[Any] = []
    process = SimpleNamespace(wait=lambda: 0, kill=lambda: None)
    monkeypatch.setattr(suspicion, "subprocess", SimpleNamespace(Popen=lambda words: started.append(words) or process))
    service = SimpleNamespace(run=lambda images: iter(()), events=[])
    quiet = SimpleNamespace(service=service, images=lambda count: [], close=lambda: None)
    monkeypatch.setattr(suspicion, "Chaos", lambda *_, **__: quiet)
    told = suspicion.run(0.0, busy=busy)
    assert f"{busy} busy processes" in next(told).line()
    told.close()
    assert len(started) == busy
