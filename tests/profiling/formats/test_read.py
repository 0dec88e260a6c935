"""What every import shares: rows filled in, files that are no profile, provenance, the command."""

from __future__ import annotations

import argparse
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.models.chain import Unit
from splitgym.models.layers import Conv, Shape
from splitgym.models.model import Model
from splitgym.profiling.devices import get_device
from splitgym.profiling.formats import common
from splitgym.profiling.formats.read import add_options, command, detect, fill_rows, latency_table, training_profile
from splitgym.profiling.latency import kernel_seconds
from splitgym.profiling.tables import load_table
from splitgym.profiling.training import load_profile
from splitgym.ui.errors import InputError

from ... import refused
from .foreign_profiles import (
    ABOUT,
    DATA,
    LENET,
    WHOLE_CSV,
    one_line,
    trtexec_json,
    whole_kernels,
    written,
)

# --- rows between ---


@st.composite
def known_rows(draw: st.DrawFn) -> tuple[int, dict[int, float]]:
    height = draw(st.integers(2, 60))
    rows = draw(st.sets(st.integers(1, height - 1), min_size=1, max_size=8)) | {height}
    return height, {r: draw(st.floats(0, 1e3)) for r in rows}


def kernel_of(height: int):
    return Model("m", Shape(3, height, 8), (Unit("c", (Conv(3, 1, 1, out_channels=4),)),)).kernels[0]


@given(known_rows(), st.sampled_from([None, "nano", "xavier"]))
def test_given_rows_are_kept_to_the_bit(known: tuple[int, dict[int, float]], device: str | None) -> None:
    height, points = known
    seconds = fill_rows(kernel_of(height), points, get_device(device) if device else None)
    assert len(seconds) == height
    assert np.isfinite(seconds).all()
    assert (seconds >= 0).all()
    assert {rows: seconds[rows - 1] for rows in points} == points


@given(known_rows())
def test_rows_between_lie_on_the_line_and_fewer_cost_the_same(known: tuple[int, dict[int, float]]) -> None:
    height, points = known
    seconds = fill_rows(kernel_of(height), points, None)
    rows = sorted(points)
    np.testing.assert_array_equal(seconds[: rows[0]], points[rows[0]])
    for low, high in pairwise(rows):
        for r in range(low, high + 1):
            share = (r - low) / (high - low)
            line = (1 - share) * points[low] + share * points[high]
            assert seconds[r - 1] == pytest.approx(line, rel=1e-9, abs=1e-12)


@given(known_rows())
def test_times_that_rise_with_the_rows_give_a_table_that_rises(known: tuple[int, dict[int, float]]) -> None:
    height, points = known
    rising = dict(zip(sorted(points), sorted(points.values()), strict=True))
    seconds = fill_rows(kernel_of(height), rising, None)
    assert (np.diff(seconds) >= -1e-12 * seconds[1:]).all()


def test_a_shape_is_scaled_to_every_given_time() -> None:
    device, kernel, rows = get_device("nano"), kernel_of(60), np.arange(1, 61)
    modelled = kernel_seconds(device, kernel, rows)
    seconds = fill_rows(kernel, {20: 3 * float(modelled[19]), 60: 5 * float(modelled[59])}, device)
    ratio = seconds / modelled
    np.testing.assert_allclose(ratio[:20], 3, rtol=1e-12)
    np.testing.assert_allclose(ratio[39], 4, rtol=1e-12)
    np.testing.assert_allclose(ratio[59], 5, rtol=1e-12)


# --- any file ---


def test_files_that_are_no_profile_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "MOST_BYTES", 1000)
    cases = {
        "empty": (b"", "is empty"),
        "blank": (b"\xef\xbb\xbf \n\n", "is empty"),
        "binary": (b"\x7fELF\xff\xfe\x00", "not a text file"),
        "prose": (b"Dear all,\nthe layers are fast.\n", "none of the known profiles"),
        "huge": (b"kernel,ms\n" * 200, "has more than"),
        "edges": (b"\tnode1 -- node2\n", "none of the known profiles"),
    }
    for name, (data, part) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        for call in (detect, lambda p: latency_table(p, LENET, *ABOUT), lambda p: training_profile(p, LENET, *ABOUT)):
            with refused(str(path), part):
                call(path)
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            detect(path)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff" + WHOLE_CSV)
    assert latency_table(path, LENET, *ABOUT, shape_from="nano").kernel_s("conv1", 28) == 1.5e-3


def test_a_format_can_be_forced_and_must_fit_what_is_asked(tmp_path: Path) -> None:
    graph, trtexec = DATA / "lenet5_graph.txt", DATA / "lenet5_trtexec.json"
    assert detect(trtexec) == "trtexec"
    with pytest.raises(InputError, match="PipeDream profiles training"):
        latency_table(graph, LENET, *ABOUT)
    with pytest.raises(InputError, match="trtexec profiles inference"):
        training_profile(trtexec, LENET, *ABOUT)
    with pytest.raises(InputError, match="is not JSON"):
        latency_table(graph, LENET, *ABOUT, format="trtexec")
    with pytest.raises(InputError, match="format is 'onnx', allowed: trtexec, pipedream, csv"):
        latency_table(graph, LENET, *ABOUT, format="onnx")


def test_what_nobody_says_is_asked_for_and_the_date_is_the_files(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE_CSV)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert latency_table(path, LENET, "b", "FP16", "t", shape_from="nano").provenance.date == "2023-11-14"
    for missing, given_ in (("device", ("", "FP16", "t")), ("precision", ("b", "", "t")), ("software", ("b", "FP16"))):
        with pytest.raises(InputError, match=f"does not say the {missing}.*--{missing}"):
            latency_table(path, LENET, *given_, shape_from="nano")
    with pytest.raises(
        InputError, match=r"the device and the precision and the software.*--device, --precision, --soft"
    ):
        latency_table(path, LENET, shape_from="nano")
    with pytest.raises(InputError, match="device must be one line"):
        latency_table(path, LENET, "a\nb", "FP16", "t", shape_from="nano")
    with pytest.raises(InputError, match=r"unknown device 'toaster'; known: those of splitgym-train --list devices$"):
        latency_table(path, LENET, *ABOUT, shape_from="toaster")


# --- the command ---


def run(*options: str) -> int:
    parser = argparse.ArgumentParser()
    add_options(parser)
    for name in ("device", "precision", "software", "out"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--training", action="store_true")
    return command(parser.parse_args(options), LENET)


def test_the_command_writes_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.csv")
    files = [written(tmp_path, whole_kernels(LENET, [r * 1e-3] * 7), f"{r}=x.json") for r in (16, 32)]
    about = ["--device", "board", "--precision", "FP16", "--date", "2026-01-02", "--out", out]
    assert run("--from", f"16={files[0]}", str(files[1]), *about) == 0
    table = load_table(out, LENET)
    assert table.provenance.software == "TensorRT (trtexec)"
    np.testing.assert_allclose(table.kernel_s("conv1", [12, 20, 28]), [0.016, 0.024, 0.032], rtol=1e-12)
    printed = capsys.readouterr().out
    one_line(printed.rstrip("\n"), out, table.label())
    with pytest.raises(InputError, match="second profile at 32 input rows"):
        run("--from", str(files[0]), str(files[1]), *about)
    with pytest.raises(InputError, match="--batch"):
        run("--from", str(files[0]), "--batch", "3", *about)


def test_the_command_reads_a_map_of_layers(tmp_path: Path) -> None:
    path = written(tmp_path, trtexec_json([("a + b, c", 1.0), ("d", 2.0), ("prob", 4.0)]))
    whose = 'layer,kernel\n"a + b, c",conv1 + pool1 + conv2\nd,pool2 + fc1 + fc2 + fc3\nprob,-\n'
    out = str(tmp_path / "out.csv")
    about = ["--from", str(path), "--device", "b", "--precision", "FP16", "--shape-from", "nano", "--out", out]
    assert run(*about, "--map", str(written(tmp_path, whose, "map.csv"))) == 0
    assert load_table(out, LENET).total_s() == pytest.approx(3e-3)
    for bad, parts in (
        (whose.replace("fc3", "fc4"), ("map.csv: line 3", "'fc4'")),
        (whose.replace("prob", "d"), ("map.csv: line 4", "second", "'d'")),
        (whose.replace("kernel", "owner"), ("map.csv", "columns layer and kernel")),
        (whose.replace("fc3", "fc4").replace("prob", "d"), ("line 3: unknown kernel 'fc4'", "line 4: a second kernel")),
    ):
        with refused(*parts):
            run(*about, "--map", str(written(tmp_path, bad, "map.csv")))


def test_the_command_writes_a_profile_and_nothing_where_it_fails(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    about = ["--training", "--from", str(DATA / "lenet5_graph.txt"), "--device", "titan-x"]
    assert run(*about, "--out", str(out), "--shape-from", "gtx1080ti") == 0
    profile = load_profile(out, LENET)
    assert profile.batches == (32,)
    assert (profile.update_s > 0).tolist() == (profile.params > 0).tolist()
    out.unlink()
    for options, message in (
        (["--batch", "16", "--out", str(out)], "node2"),
        (["--batch", "0", "--out", str(out)], "batch is 0"),
        (["--map", "m.csv", "--out", str(out)], "--map"),
        (["--out", "/proc/no/out.csv"], "cannot be written"),
    ):
        with pytest.raises(InputError, match=message):
            run(*about, *options)
    assert list(tmp_path.iterdir()) == []
