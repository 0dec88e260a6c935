"""Latency tables: what they hold, their files, and every kind of bad file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splitgym.models.lookup import get_model
from splitgym.models.zoo.catalogue import MODELS
from splitgym.profiling.devices import get_device
from splitgym.profiling.latency import kernel_seconds
from splitgym.profiling.tables import LatencyTable, Provenance, load_table, modelled_table
from splitgym.ui.errors import InputError

from .. import refused
from .edits import Edit, swap, without

MEASURED = Provenance("measured", "my-board", "FP16", "TensorRT 10.3", "2026-01-31", "median of 100 runs, fan on")


def measured_lenet() -> LatencyTable:
    """A table with awkward numbers, as a measurement gives them."""
    table = modelled_table(get_model("lenet5"), "nano")
    noise = np.random.default_rng(0).uniform(0.5, 1.5, table.seconds.shape)
    return LatencyTable(table.model, table.fingerprint, table.kernels, table.seconds * noise, MEASURED)


def test_a_modelled_table_holds_every_kernel_at_every_row_count() -> None:
    model, device = get_model("vgg16"), get_device("tx2")
    table = modelled_table(model, device)
    assert table.kernels == tuple(k.name for k in model.kernels)
    assert table.seconds.shape == (len(model.kernels), 224 + 1)
    assert table.seconds.dtype == np.float64
    assert (table.seconds[:, 0] == 0).all()
    for i, kernel in enumerate(model.kernels):
        height = kernel.out_shape.height
        assert table.heights[i] == height
        assert np.isnan(table.seconds[i, height + 1 :]).all()
        expected = kernel_seconds(device, kernel, np.arange(height + 1))
        np.testing.assert_array_equal(table.kernel_s(i, np.arange(height + 1)), expected)
    assert table.heights[-1] == 1  # fully connected


@pytest.mark.parametrize("name", MODELS)
def test_kernel_names_of_the_zoo_identify_their_entries(name: str) -> None:
    kernels = modelled_table(get_model(name), "xavier").kernels
    assert len(set(kernels)) == len(kernels)


def test_the_total_is_the_sum_over_whole_kernels() -> None:
    table = modelled_table(get_model("vgg16"), "nano")
    whole = [table.kernel_s(name, height) for name, height in zip(table.kernels, table.heights, strict=True)]
    assert table.total_s() == pytest.approx(sum(whole))
    assert table.total_s() == pytest.approx(84.03e-3, rel=0.073)  # the published latency, within the stated error


def test_a_table_is_computed_once_and_cannot_be_changed() -> None:
    model = get_model("alexnet")
    table = modelled_table(model, "nano")
    assert modelled_table(model, get_device("nano")) is table
    assert modelled_table(model, "nano", tiles=False) is not table
    with pytest.raises(ValueError, match="read-only"):
        table.seconds[0, 1] = 0.0


def test_tiles_change_the_numbers_and_the_label() -> None:
    model = get_model("vgg16")
    on, off = modelled_table(model, "xavier"), modelled_table(model, "xavier", tiles=False)
    assert not np.allclose(on.seconds, off.seconds, equal_nan=True)
    assert "tiles on" in on.label()
    assert "tiles off" in off.label()


@pytest.mark.parametrize("device", ["xavier", "orin-agx", "pi3"])
def test_a_modelled_table_says_so_in_one_line(device: str) -> None:
    label = modelled_table(get_model("vgg16"), device).label()
    assert "\n" not in label
    for part in ("vgg16", device, "modelled", get_device(device).precision, get_device(device).framework):
        assert part in label
    assert "measured" not in label


def test_an_unknown_device_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"unknown device 'toaster'; known: those of splitgym-train --list devices$"):
        modelled_table(get_model("vgg16"), "toaster")


def test_provenance_is_checked() -> None:
    with pytest.raises(InputError, match="source is 'guessed', allowed: modelled, measured, imported"):
        Provenance("guessed", "nano", "FP16", "", "")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="note must be one line"):
        Provenance("measured", "nano", "FP16", "", "", "two\nlines")


# --- files ---


@pytest.mark.parametrize("name", ["lenet5", "resnet50", "yolov2"])
def test_a_modelled_table_survives_a_round_trip_to_the_bit(tmp_path: Path, name: str) -> None:
    model = get_model(name)
    table = modelled_table(model, "xavier-nx")
    table.save(tmp_path / "table.csv")
    loaded = load_table(tmp_path / "table.csv", model)
    np.testing.assert_array_equal(loaded.seconds, table.seconds)
    assert (loaded.model, loaded.fingerprint, loaded.kernels) == (table.model, table.fingerprint, table.kernels)
    assert loaded.provenance == table.provenance


def test_a_measured_table_survives_a_round_trip_to_the_bit(tmp_path: Path) -> None:
    table = measured_lenet()
    table.save(tmp_path / "table.csv")
    loaded = load_table(tmp_path / "table.csv", get_model("lenet5"))
    np.testing.assert_array_equal(loaded.seconds, table.seconds)
    assert loaded.provenance == MEASURED
    assert (
        loaded.label() == "lenet5 on my-board: measured (FP16, TensorRT 10.3, 2026-01-31); median of 100 runs, fan on"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]  # no temporary file is left


def test_the_order_of_entries_and_empty_lines_do_not_matter(tmp_path: Path) -> None:
    table = measured_lenet()
    path = tmp_path / "table.csv"
    table.save(path)
    lines = path.read_text().splitlines()
    head = lines.index("kernel,rows,seconds") + 1
    path.write_text("\n".join([*lines[:head], "", *reversed(lines[head:])]) + "\n\n")
    np.testing.assert_array_equal(load_table(path, get_model("lenet5")).seconds, table.seconds)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match=r"table\.csv: cannot be written \(disk full\)$"):
        measured_lenet().save(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def _seconds(value: str) -> Edit:
    """Replace the time of kernel conv1 at 5 rows."""

    def edit(text: str) -> str:
        lines = text.splitlines()
        i = next(i for i, line in enumerate(lines) if line.startswith("conv1,5,"))
        lines[i] = f"conv1,5,{value}"
        return "\n".join(lines)

    return edit


BAD_FILES: dict[str, tuple[Edit, tuple[str, ...]]] = {
    "missing row": (without("conv1,7,"), ("conv1", "rows = 7", "1 to 28")),
    "missing kernel": (without("pool2,"), ("pool2", "rows = 1", "1 to 5")),
    "duplicate row": (swap("conv1,6,", "conv1,5,"), ("line 16", "second entry", "conv1", "rows = 5")),
    "several rows": (without("conv1,7,", "conv1,9,", "conv1,10,", "conv1,28,"), ("rows = 7, 9 to 10, 28",)),
    "several kernels": (without("conv1,7,", "pool2,"), ("conv1 has no entry for rows = 7", "pool2 has no entry")),
    "several lines": (
        lambda text: _seconds("x")(text).replace("conv1,6,", "conv9,6,").replace("conv1,8,", "conv1,80,"),
        ("line 15: seconds is 'x'", "line 16: unknown kernel 'conv9'", "line 18: rows is '80'"),
    ),
    "negative time": (_seconds("-1e-9"), ("line 15", "-1e-9", "0 or more")),
    "nan time": (_seconds("nan"), ("line 15", "nan", "finite number")),
    "infinite time": (_seconds("inf"), ("line 15", "inf", "finite number")),
    "not a number": (_seconds("fast"), ("line 15", "'fast'", "a number")),
    "no number": (_seconds(""), ("line 15", "seconds is ''", "a number")),
    "unknown kernel": (swap("conv1,5,", "conv9,5,"), ("line 15", "'conv9'", "conv1")),
    "rows not an integer": (swap("conv1,5,", "conv1,5.5,"), ("line 15", "'5.5'", "an integer from 1 to 28")),
    "rows too many": (swap("conv1,5,", "conv1,29,"), ("line 15", "'29'", "1 to 28")),
    "rows zero": (swap("conv1,5,", "conv1,0,"), ("line 15", "'0'", "1 to 28")),
    "too many fields": (_seconds("1.0,2.0"), ("line 15", "4 fields", "kernel,rows,seconds")),
    "other model": (swap("# model: lenet5", "# model: vgg16"), ("model is 'vgg16'", "'lenet5'")),
    "other structure": (swap("# fingerprint: ", "# fingerprint: 0"), ("fingerprint", "lenet5")),
    "other schema": (swap("# schema: 1", "# schema: 2"), ("schema is '2'", "'1'")),
    "unknown source": (swap("source: measured", "source: guessed"), ("'guessed'", "modelled, measured, imported")),
    "unknown header": (swap("# precision:", "# accuracy:"), ("line 6", "precision")),
    "header without colon": (swap("# schema: 1", "# schema 1"), ("line 1", "# key: value")),
    "header given twice": (swap("# schema: 1", "# schema: 1\n# schema: 1"), ("line 2", "schema", "twice")),
    "header incomplete": (without("# device"), ("no device", "precision")),
    "no header": (without("#"), ("header has no schema",)),
    "no columns": (without("kernel,"), ("line 10", "kernel,rows,seconds")),
    "header only": (lambda text: text[: text.index("kernel,")], ("line 10", "kernel,rows,seconds")),
    "empty": (lambda text: "", ("is empty", "kernel,rows,seconds")),
    "only blank": (lambda text: "\n \n", ("is empty",)),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, case: str) -> None:
    path = tmp_path / "table.csv"
    measured_lenet().save(path)
    edit, parts = BAD_FILES[case]
    path.write_text(edit(path.read_text()))
    with refused(str(path), *parts):
        load_table(path, get_model("lenet5"))


def test_a_missing_file_a_folder_and_a_binary_file_are_named(tmp_path: Path) -> None:
    model = get_model("lenet5")
    with pytest.raises(InputError, match=r"none\.csv: cannot be read \(No such file"):
        load_table(tmp_path / "none.csv", model)
    with pytest.raises(InputError, match="cannot be read"):
        load_table(tmp_path, model)
    (tmp_path / "engine.plan").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"engine\.plan: is not a text file"):
        load_table(tmp_path / "engine.plan", model)
