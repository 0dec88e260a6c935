"""splitgym-profile: what it writes and prints, being stopped and going on, and one clear line for bad input."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from splitgym.models import lookup
from splitgym.models.layers import Conv, Pad, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model, Unit
from splitgym.models.runnable.units import build
from splitgym.profiling.measure.command import main
from splitgym.profiling.measure.machine import board_name, slug
from splitgym.profiling.tables import load_table
from splitgym.profiling.training import load_profile

Capture = pytest.CaptureFixture[str]
LENET = get_model("lenet5")
QUICK = ["--model", "lenet5", "--repeats", "2", "--warmup", "1", "--every", "9"]
VISITS = 2 * (4 + 3 + 2 + 2 + 3 + 1)  # passes over rows 1, 10, ... of four maps, three layers, the whole model


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def files() -> list[str]:
    return sorted(path.as_posix() for path in Path().rglob("*") if path.is_file())


def error_of(words: list[str], capsys: Capture) -> str:
    """The one line that bad input gives; nothing is written."""
    before = files()
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("splitgym-profile: ")
    assert files() == before
    return lines[0]


def test_a_latency_table_with_its_picture_and_a_summary(capsys: Capture) -> None:
    assert main(QUICK) == 0
    stem = f"profiles/lenet5-{slug(board_name())}-torch"
    assert files() == [f"{stem}.csv", f"{stem}.png"]
    table = load_table(f"{stem}.csv", LENET)
    assert table.provenance.source == "measured"
    assert (table.seconds[:, 1] > 0).all()
    assert Path(f"{stem}.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    for part in (table.label(), "sum over kernels", "whole model", "conv1", f"tables: {{TYPE: {stem}.csv}}"):
        assert part in out
    sum_ms = float(out.partition("sum over kernels ")[2].partition(" ms")[0])
    assert sum_ms == pytest.approx(table.total_s() * 1e3, abs=1e-3)


def test_a_training_profile(capsys: Capture) -> None:
    words = ["--model", "lenet5", "--training", "--batches", "4,1", "--optimizer", "adam", "--repeats", "2"]
    assert main([*words, "--device", "board", "--out", "mine/p.csv"]) == 0
    assert files() == ["mine/p.csv", "mine/p.png"]
    profile = load_profile("mine/p.csv", LENET)
    assert (profile.batches, profile.device) == ((1, 4), "board")
    assert "adam" in profile.provenance.note
    out = capsys.readouterr().out
    assert "ms at batch 1," in out
    assert "fc3" in out


def test_a_finished_table_is_replaced_on_demand_only(capsys: Capture) -> None:
    words = [*QUICK, "--out", "t.csv"]
    assert main(words) == 0
    first = Path("t.csv").read_bytes()
    capsys.readouterr()
    assert "t.csv: is there already; --overwrite replaces it" in error_of(words, capsys)
    assert Path("t.csv").read_bytes() == first
    assert main([*words, "--overwrite"]) == 0
    assert Path("t.csv").read_bytes() != first


def test_ones_own_network_with_its_input_size(capsys: Capture) -> None:
    Path("mynet.py").write_text(
        "from torch import nn\n\n\ndef make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 6, 2))\n"
    )
    words = ["--model", "mynet:make", "--input", "3x8x6", "--repeats", "1", "--warmup", "1", "--out", "t.csv"]
    try:
        assert main(words) == 0
        table = load_table("t.csv", get_model("mynet:make@3x8x6"))
    finally:
        sys.path.remove(str(Path.cwd()))
        sys.modules.pop("mynet", None)
    assert table.heights.tolist() == [8, 1]
    assert "1 units that can be split" in capsys.readouterr().err


def test_profiles_of_others_are_imported(capsys: Capture) -> None:
    entries = [f"{k.name},{r},{0.5 * r}" for k in LENET.kernels for r in range(1, k.out_shape.height + 1)]
    Path("theirs.csv").write_text("\n".join(["kernel,rows,ms", *entries]) + "\n")
    words = ["--model", "lenet5", "--from", "theirs.csv", "--device", "board", "--precision", "FP16", "--software", "X"]
    assert main(words) == 0
    table = load_table("profiles/lenet5-imported.csv", LENET)
    assert table.provenance.source == "imported"
    np.testing.assert_allclose(table.kernel_s("conv1", [1, 28]), [0.5e-3, 14e-3])
    assert "lenet5 on board: imported" in capsys.readouterr().out
    assert "is there already" in error_of(words, capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--repeats", "3"], "--model is missing"),
        (["--model", "vgg99"], "unknown model 'vgg99'; known models: alexnet"),
        (["--model", "lenet5", "--input", "3x4x5"], "lenet5 has an input of its own"),
        (["--model", "lenet5", "--input", "3x4"], "'3x4' is no size"),
        (["--model", "lenet5", "--threads", "4096"], "threads is 4096, allowed: 1 to"),
        (["--model", "lenet5", "--threads", "0"], "--threads: is '0', allowed: a whole number of at least 1"),
        (["--model", "lenet5", "--repeats", "many"], "--repeats: is 'many', allowed"),
        (["--model", "lenet5", "--every", "0"], "--every: is '0', allowed"),
        (["--model", "lenet5", "--warmup", "-1"], "--warmup: is '-1', allowed"),
        (["--model", "lenet5", "--device", "two\nlines"], "--device: is 'two\\nlines', allowed: a name in one line"),
        (["--model", "lenet5", "--device", ""], "--device: is '', allowed"),
        (["--model", "lenet5", "--backend", "tvm"], "--backend: invalid choice: 'tvm'"),
        (["--model", "lenet5", "--precision", "FP16"], "--precision is not for --backend torch"),
        (["--model", "lenet5", "--backend", "tensorrt", "--threads", "1"], "--threads is not for --backend tensorrt"),
        (["--model", "lenet5", "--batches", "1,2"], "--batches is not for a latency table"),
        (["--model", "lenet5", "--optimizer", "sgd"], "--optimizer is not for a latency table"),
        (["--model", "lenet5", "--training", "--every", "2"], "--every is not for --training"),
        (["--model", "lenet5", "--training", "--batches", "1,0"], "--batches: is '1,0', allowed"),
        (["--model", "lenet5", "--training", "--batches", "8,8"], "--batches: is '8,8', allowed: different"),
        (["--model", "lenet5", "--training", "--optimizer", "lion"], "--optimizer: invalid choice: 'lion'"),
        (["--model", "lenet5", "--training", "--backend", "tensorrt"], "TensorRT runs no training"),
        (["--model", "lenet5", "--out", "table.txt"], "--out table.txt: allowed: a file that ends in .csv"),
        (["--model", "lenet5", "--out", "/proc/no/t.csv"], "/proc/no/t.partial.csv: cannot be written"),
        (["--model", "lenet5", "--what"], "unrecognized arguments: --what (see splitgym-profile --help)"),
        (["--model", "lenet5", "--from", "none.json"], "none.json: cannot be read"),
        (["--from", "none.json"], "--model is missing"),
        (["--network", "nowhere"], "--network is 'nowhere', allowed: serve, or HOST:PORT"),
    ],
)
def test_bad_input_is_one_line(words: list[str], says: str, capsys: Capture) -> None:
    assert says in error_of(words, capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_one_line(capsys: Capture) -> None:
    assert "torch finds no CUDA device" in error_of(["--model", "lenet5", "--on", "cuda"], capsys)


def test_help_teaches_and_needs_no_torch() -> None:
    code = (
        "import sys; from splitgym.profiling.measure.command import main; code = main(['--help']);"
        "sys.exit(code or 10 * bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for part in ("examples:", "tables: {nano:", "profiles: {device:", "--from FILE", "--network", ".partial.csv"):
        assert part in done.stdout


@pytest.mark.parametrize("mode", [["--from", "x"], ["--network", "serve"]])
def test_every_mode_has_its_own_help(mode: list[str], capsys: Capture) -> None:
    assert main([*mode, "--help"]) == 0
    out = capsys.readouterr().out
    assert mode[0] in out
    assert "--repeats" not in out


# --- being stopped ---


def stop_after(monkeypatch: pytest.MonkeyPatch, visits: int) -> None:
    """Ctrl-C in the visit after so many."""
    from splitgym.profiling.measure.torch_profiler import TorchDevice

    measured, runs = TorchDevice.seconds, [0]

    def seconds(self: TorchDevice, body: object, inputs: object) -> float:
        runs[0] += 1
        if runs[0] > 2 * visits:  # one run to warm up, one sample
            signal.raise_signal(signal.SIGINT)
        return measured(self, body, inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(TorchDevice, "seconds", seconds)


def test_ctrl_c_keeps_what_is_measured_and_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    words = [*QUICK, "--out", "a table.csv"]
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        assert main([*words, "--fresh"]) == 130
    again = f"go on with: {shlex.join(['splitgym-profile', *words])}"
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"splitgym-profile: interrupted; 5 of {VISITS} measurements are kept in a table.partial.csv; {again}"
    )
    assert files() == ["a table.partial.csv"]
    kept = Path("a table.partial.csv").read_text().splitlines()[-5:]
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        assert main(words) == 130
    assert "goes on after 5 measurements" in capsys.readouterr().err
    assert Path("a table.partial.csv").read_text().splitlines()[-8:-3] == kept
    assert "was begun with repeats '2', now it is '3'" in error_of([*words, "--repeats", "3"], capsys)
    assert main(words) == 0
    assert files() == ["a table.csv", "a table.png"]


def test_fresh_begins_anew(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        assert main([*QUICK, "--out", "t.csv"]) == 130
    assert main([*QUICK, "--out", "t.csv", "--every", "4", "--fresh"]) == 0
    assert "goes on" not in capsys.readouterr().err


def test_stopping_before_anything_is_measured_leaves_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    stop_after(monkeypatch, 0)
    assert main([*QUICK, "--out", "t.csv"]) == 130
    assert files() == []
    assert capsys.readouterr().err == "splitgym-profile: interrupted, nothing was written\n"


def test_a_real_signal_stops_it_at_once() -> None:
    """From outside, wherever it happens to be; every line that was begun is whole."""
    words = ["--model", "lenet5", "--every", "9", "--repeats", "4000", "--out", "t.csv"]
    process = subprocess.Popen(
        [sys.executable, "-m", "splitgym.profiling", *words], stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where tests run in the background
    )  # fmt: skip
    partial, deadline = Path("t.partial.csv"), time.monotonic() + 60
    while time.monotonic() < deadline and not (partial.exists() and partial.read_text().count("\n") > 16):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"go on with: splitgym-profile {' '.join(words)}" in err
    assert files() == ["t.partial.csv"]
    assert partial.read_text().endswith("\n")


def test_memory_that_runs_out_keeps_the_journal(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    units = [Unit(f"conv{i}", (Conv(3, 1, 1, out_channels=2),)) for i in range(9)]
    huge = build(Model("huge", Shape(1, 4, 2), (*units, Unit("border", (Pad(left=2**50),)))))
    monkeypatch.setattr(lookup, "runnable", lambda name: huge)
    words = ["--model", "lenet5", "--repeats", "1", "--warmup", "1", "--out", "t.csv"]
    assert main(words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "border, " in line
    assert "out of memory" in line
    assert " of 41 measurements are kept in t.partial.csv" in line
    assert files() == ["t.partial.csv"]


def test_weights_that_do_not_fit_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def runnable(name: str) -> object:
        return build(Model("huge", Shape(1, 4, 2), (Unit("conv", (Conv(1, out_channels=2**50),)),)))

    monkeypatch.setattr(lookup, "runnable", runnable)
    assert "lenet5: its weights do not fit into memory" in error_of(QUICK, capsys)


def test_a_picture_that_cannot_be_written_is_one_line(capsys: Capture) -> None:
    Path("t.png").mkdir()
    assert main([*QUICK, "--out", "t.csv"]) == 2
    assert "t.png: cannot be written" in capsys.readouterr().err.splitlines()[-1]
    assert Path("t.partial.csv").exists()
    assert not Path("t.csv").exists()


def test_a_folder_is_no_table(capsys: Capture) -> None:
    Path("d.csv").mkdir()
    assert "--out d.csv: is a folder" in error_of([*QUICK, "--out", "d.csv", "--overwrite"], capsys)
