"""splitgym-profile: what it writes and prints, being stopped and going on, and one clear line for bad input."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splitgym.models import lookup
from splitgym.models.chain import Unit
from splitgym.models.layers import Conv, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.remaps import Pad
from splitgym.models.runnable.units import build
from splitgym.profiling.measure.command import main
from splitgym.profiling.measure.journal import Journal
from splitgym.profiling.measure.machine import board_name, slug
from splitgym.profiling.tables import load_table
from splitgym.profiling.training import load_profile
from splitgym.ui import canvas
from splitgym.ui.programs import program

from ...command_line import PNG, Command, files, interrupted, sketch
from ...disk import no_room

profile = Command("splitgym-profile", main)
LENET = get_model("lenet5")
QUICK = ["--model", "lenet5", "--repeats", "2", "--warmup", "1", "--every", "9"]
VISITS = 2 * (4 + 3 + 2 + 2 + 3 + 1)  # passes over rows 1, 10, ... of four maps, three layers, the whole model


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "save_figure", sketch)


def test_a_latency_table_with_its_picture_and_a_summary() -> None:
    out = profile(*QUICK).out
    stem = f"profiles/lenet5-{slug(board_name())}-torch"
    assert files() == {f"{stem}.csv", f"{stem}.png"}
    table = load_table(f"{stem}.csv", LENET)
    assert table.provenance.source == "measured"
    assert (table.seconds[:, 1] > 0).all()
    assert Path(f"{stem}.png").read_bytes().startswith(PNG)
    for part in (table.label(), "sum over kernels", "whole model", "conv1", f"tables: {{TYPE: {stem}.csv}}"):
        assert part in out
    sum_ms = float(out.partition("sum over kernels ")[2].partition(" ms")[0])
    assert sum_ms == pytest.approx(table.total_s() * 1e3, abs=1e-3)


def test_a_training_profile() -> None:
    words = ["--model", "lenet5", "--training", "--batches", "4,1", "--optimizer", "adam", "--repeats", "2"]
    out = profile(*words, "--device", "board", "--out", "mine/p.csv").out
    assert files() == {"mine/p.csv", "mine/p.png"}
    found = load_profile("mine/p.csv", LENET)
    assert (found.batches, found.device) == ((1, 4), "board")
    assert "adam" in found.provenance.note
    assert "ms at batch 1," in out
    assert "fc3" in out


@pytest.mark.usefixtures("undrawn")
def test_a_finished_table_is_replaced_on_demand_only() -> None:
    words = [*QUICK, "--out", "t.csv"]
    profile(*words)
    first = Path("t.csv").read_bytes()
    profile.refuses(words, "t.csv: is there already; --overwrite replaces it")
    profile(*words, "--overwrite")
    assert Path("t.csv").read_bytes() != first


@pytest.mark.usefixtures("undrawn")
def test_ones_own_network_with_its_input_size() -> None:
    Path("mynet.py").write_text(
        "from torch import nn\n\n\ndef make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 6, 2))\n"
    )
    words = ["--model", "mynet:make", "--input", "3x8x6", "--repeats", "1", "--warmup", "1", "--out", "t.csv"]
    try:
        err = profile(*words).err
        table = load_table("t.csv", get_model("mynet:make@3x8x6"))
    finally:
        sys.path.remove(str(Path.cwd()))
        sys.modules.pop("mynet", None)
    assert table.heights.tolist() == [8, 1]
    assert "1 unit that can be split" in err


@pytest.mark.usefixtures("undrawn")
def test_profiles_of_others_are_imported() -> None:
    entries = [f"{k.name},{r},{0.5 * r}" for k in LENET.kernels for r in range(1, k.out_shape.height + 1)]
    Path("theirs.csv").write_text("\n".join(["kernel,rows,ms", *entries]) + "\n")
    words = ["--model", "lenet5", "--from", "theirs.csv", "--device", "board", "--precision", "FP16", "--software", "X"]
    assert "lenet5 on board: imported" in profile(*words).out
    table = load_table("profiles/lenet5-imported.csv", LENET)
    assert table.provenance.source == "imported"
    np.testing.assert_allclose(table.kernel_s("conv1", [1, 28]), [0.5e-3, 14e-3])
    profile.refuses(words, "is there already")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--repeats 3", "--model is missing"),
        ("--model vgg99", "unknown model 'vgg99'; did you mean vgg19"),
        ("--model lenet5 --input 3x4x5", "lenet5 has an input of its own"),
        ("--model lenet5 --input 3x4", "'3x4' is no size"),
        ("--model lenet5 --threads 4096", "threads is 4096, allowed: 1 to"),
        ("--model lenet5 --threads 0", "--threads: is '0', allowed: a whole number of at least 1"),
        ("--model lenet5 --repeats many", "--repeats: is 'many', allowed"),
        ("--model lenet5 --every 0", "--every: is '0', allowed"),
        ("--model lenet5 --warmup -1", "--warmup: is '-1', allowed"),
        ("--model lenet5 --device 'two\nlines'", "--device: is 'two\\nlines', allowed: a name in one line"),
        ("--model lenet5 --device ''", "--device: is '', allowed"),
        ("--model lenet5 --backend tvm", "--backend: invalid choice: 'tvm'"),
        ("--model lenet5 --precision FP16", "--precision is not for --backend torch"),
        ("--model lenet5 --backend tensorrt --threads 1", "--threads is not for --backend tensorrt"),
        ("--model lenet5 --batches 1,2", "--batches is not for a latency table"),
        ("--model lenet5 --optimizer sgd", "--optimizer is not for a latency table"),
        ("--model lenet5 --training --every 2", "--every is not for --training"),
        ("--model lenet5 --training --batches 1,0", "--batches: is '1,0', allowed"),
        ("--model lenet5 --training --batches 8,8", "--batches: is '8,8', allowed: different"),
        ("--model lenet5 --training --optimizer lion", "--optimizer: invalid choice: 'lion'"),
        ("--model lenet5 --training --backend tensorrt", "TensorRT runs no training"),
        ("--model lenet5 --out table.txt", "--out table.txt: allowed: a file that ends in .csv"),
        ("--model lenet5 --out /proc/no/t.csv", "/proc/no/t.partial.csv: cannot be written"),
        ("--model lenet5 --what", "unrecognized arguments: --what (see splitgym-profile --help)"),
        ("--model lenet5 --from none.json --out t.csv", "none.json: cannot be read"),
        ("--from none.json", "--model is missing"),
        ("--model lenet5 --network serve", "unrecognized arguments: --network serve"),
    ],
)
def test_bad_input_is_one_line(words: str, named: str) -> None:
    profile.refuses(words, named)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_one_line() -> None:
    profile.refuses("--model lenet5 --on cuda", "torch finds no CUDA device")


def test_help_teaches_and_needs_no_torch() -> None:
    code = (
        "import sys; from splitgym.profiling.measure.command import main; code = main(['--help']);"
        "sys.exit(code or 10 * bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for part in (
        "examples:",
        "tables: {nano:",
        "profiles: {device:",
        "--from FILE",
        "splitgym-cluster",
        ".partial.csv",
    ):
        assert part in done.stdout


@pytest.mark.parametrize("words", [(), ("--from", "a.csv")])
def test_devices_and_models_are_listed(words: tuple[str, ...]) -> None:
    every = profile(*words, "--list").out
    for what, line in (("devices", "  nano  "), ("models", "  vgg16  ")):
        one = profile(*words, "--list", what).out
        assert line in one
        assert f"{what}:\n{one}" in every


def test_importing_has_a_help_of_its_own() -> None:
    out = profile("--from", "x", "--help").out
    assert "--from" in out
    assert "--repeats" not in out


# --- being stopped ---


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Ctrl-C in the visit after so many from now."""
    from splitgym.profiling.measure.torch_profiler import TorchDevice

    measured = TorchDevice.seconds

    def stop(visits: int) -> None:
        runs = [0]

        def seconds(self: TorchDevice, body: Any, inputs: Any) -> float:
            runs[0] += 1
            if runs[0] > 2 * visits:  # one run to warm up, one sample
                monkeypatch.setattr(TorchDevice, "seconds", measured)
                signal.raise_signal(signal.SIGINT)
            return measured(self, body, inputs)

        monkeypatch.setattr(TorchDevice, "seconds", seconds)

    return stop


@pytest.mark.usefixtures("undrawn")
def test_ctrl_c_keeps_what_is_measured_and_the_same_command_goes_on(stop_after: Callable[[int], None]) -> None:
    words = [*QUICK, "--out", "a table.csv"]
    stop_after(5)
    called = profile(*words, "--fresh", code=130)
    again = f"go on with: {program('splitgym-profile')} {shlex.join(words)}"
    assert called.told[-1] == (
        f"splitgym-profile: interrupted; 5 of {VISITS} measurements are kept in a table.partial.csv; {again}"
    )
    assert files() == {"a table.partial.csv"}
    kept = Path("a table.partial.csv").read_text().splitlines()[-5:]
    stop_after(3)
    assert "goes on after 5 measurements" in profile(*words, code=130).err
    assert Path("a table.partial.csv").read_text().splitlines()[-8:-3] == kept
    profile.refuses([*words, "--repeats", "3"], "was begun with repeats '2', now it is '3'")
    profile(*words)
    assert files() == {"a table.csv", "a table.png"}


def test_ctrl_c_that_comes_twice_says_what_is_kept(
    stop_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(5)
    monkeypatch.setattr(Journal, "kept", interrupted)
    called = profile(*QUICK, "--out", "t.csv", code=130)
    kept = "splitgym-profile: interrupted; 5 measurements are kept in t.partial.csv; go on with: "
    assert called.told[-1].startswith(kept)
    assert files() == {"t.partial.csv"}


@pytest.mark.usefixtures("undrawn")
def test_fresh_begins_anew(stop_after: Callable[[int], None]) -> None:
    stop_after(5)
    profile(*QUICK, "--out", "t.csv", code=130)
    assert "goes on" not in profile(*QUICK, "--out", "t.csv", "--every", "4", "--fresh").err


def test_stopping_before_anything_is_measured_leaves_nothing(stop_after: Callable[[int], None]) -> None:
    stop_after(0)
    called = profile(*QUICK, "--out", "t.csv", code=130)
    assert files() == set()
    assert called.err == "splitgym-profile: interrupted, nothing was written\n"


@pytest.mark.slow
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
    assert re.search(rf"; go on with: (\S*/)?splitgym-profile {re.escape(' '.join(words))}\n", err)
    assert files() == {"t.partial.csv"}
    assert partial.read_text().endswith("\n")


def test_memory_that_runs_out_keeps_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    units = [Unit(f"conv{i}", (Conv(3, 1, 1, out_channels=2),)) for i in range(9)]
    huge = build(Model("huge", Shape(1, 4, 2), (*units, Unit("border", (Pad(left=2**50),)))))
    monkeypatch.setattr(lookup, "runnable", lambda name: huge)
    words = ["--model", "lenet5", "--repeats", "1", "--warmup", "1", "--out", "t.csv"]
    line = profile(*words, code=2).told[-1]
    assert "border, " in line
    assert "out of memory" in line
    assert " of 41 measurements are kept in t.partial.csv" in line
    assert files() == {"t.partial.csv"}


def test_weights_that_do_not_fit_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def runnable(name: str) -> object:
        return build(Model("huge", Shape(1, 4, 2), (Unit("conv", (Conv(1, out_channels=2**50),)),)))

    monkeypatch.setattr(lookup, "runnable", runnable)
    profile.refuses(QUICK, "lenet5: its weights do not fit into memory")


def test_a_picture_that_cannot_be_written_is_one_line() -> None:
    Path("t.png").mkdir()
    called = profile(*QUICK, "--out", "t.csv", code=2)
    assert "t.png: cannot be written" in called.told[-1]
    assert Path("t.partial.csv").exists()
    assert not Path("t.csv").exists()


@pytest.mark.parametrize("most_bytes", [100, 2000])
def test_a_table_without_room_is_one_line(most_bytes: int) -> None:
    """What was measured stays, where there was room for it."""
    with no_room(most_bytes):
        called = profile(*QUICK, "--out", "new/t.csv", code=2)
    assert re.fullmatch(r"splitgym-profile: new/t\.(partial\.csv|png): cannot be written \(.*\)", called.told[-1])
    assert files() <= {"new/t.partial.csv"}


def test_a_name_of_300_characters_is_one_line() -> None:
    profile.refuses([*QUICK, "--out", f"{'x' * 300}.csv"], f"{'x' * 300}.csv: File name too long")


def test_a_folder_is_no_table() -> None:
    Path("d.csv").mkdir()
    profile.refuses([*QUICK, "--out", "d.csv", "--overwrite"], "--out d.csv: is a folder")
