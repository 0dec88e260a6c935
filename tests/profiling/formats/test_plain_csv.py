"""Plain CSV as tables and profiles: units, delimiters, order, and every kind of bad file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.models.lookup import get_model
from splitgym.profiling.formats.read import detect, latency_table, training_profile
from splitgym.profiling.tables import LatencyTable, modelled_table
from splitgym.profiling.training import TrainingProfile, modelled_profile
from splitgym.ui.errors import InputError

from ... import refused
from .foreign_profiles import (
    ABOUT,
    LENET,
    WHOLE_CSV,
    written,
)

# --- CSV tables ---


def csv_of(table: LatencyTable, head: str, per_second: float = 1.0, delimiter: str = ",") -> list[str]:
    lines = [head.replace(",", delimiter)]
    for name, height in zip(table.kernels, table.heights, strict=True):
        for r in range(1, height + 1):
            lines.append(delimiter.join([name, str(r), repr(float(table.kernel_s(name, r)) * per_second)]))
    return lines


@given(st.randoms(use_true_random=False), st.sampled_from([",", ";", "\t"]))
def test_the_order_of_lines_comments_and_delimiters_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, random: Random, delimiter: str
) -> None:
    original = modelled_table(LENET, "tx2")
    head, *lines = csv_of(original, "kernel,rows,seconds", delimiter=delimiter)
    random.shuffle(lines)
    lines.insert(random.randrange(len(lines)), "# by hand")
    lines.insert(random.randrange(len(lines)), "")
    path = written(tmp_path_factory.getbasetemp(), "\n".join(["# a comment", head, *lines]), "any.csv")
    assert detect(path) == "csv"
    table = latency_table(path, LENET, *ABOUT)
    np.testing.assert_array_equal(table.seconds, original.seconds)
    assert table.provenance.source == "imported"
    assert "interpolated" not in table.label()


@pytest.mark.parametrize(
    ("head", "per_second"),
    [
        ("Layer,Rows,s", 1), ("name,height,latency_ms", 1e3), ("layer,output rows,Avg. Time (ms)", 1e3),
        ("kernel,rows,medianMs", 1e3), ("kernel,rows,time [us]", 1e6), ("kernel,rows,µs", 1e6),
        ("kernel,rows,mean_μs", 1e6), ("kernel,rows,duration_ns", 1e9),
        ("Layer Name,Output Rows,Average Time (msec)", 1e3), ("Layer,Rows,Time (ms)", 1e3), ("Layer,height,msec", 1e3),
        ("Kernel Name,rows,Elapsed [µsec]", 1e6), ("Operator,rows,ms (median)", 1e3), ("node_name,rows,Seconds", 1),
        ("Module,Out Height,Latency in milliseconds", 1e3), ("LayerName,rows,avgMs", 1e3),
    ],
)  # fmt: skip
def test_units_come_from_the_columns_name(tmp_path: Path, head: str, per_second: float) -> None:
    original = modelled_table(LENET, "tx2")
    path = written(tmp_path, "\n".join(csv_of(original, head, per_second)))
    np.testing.assert_allclose(latency_table(path, LENET, *ABOUT).seconds, original.seconds, rtol=1e-14)


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
@pytest.mark.parametrize("thousands", ["", ".", " ", "'"])
def test_decimal_commas_and_thousands_marks_are_read(tmp_path: Path, delimiter: str, thousands: str) -> None:
    original = modelled_table(LENET, "tx2")
    lines = [f"Layer Name{delimiter}Rows{delimiter}Time (ns)"]
    for name, height in zip(original.kernels, original.heights, strict=True):
        for r in range(1, height + 1):
            time = f"{original.kernel_s(name, r) * 1e9:,.1f}".translate({ord(","): thousands, ord("."): ","})
            lines.append(delimiter.join([name, str(r), f'"{time}"' if delimiter == "," else time]))
    table = latency_table(written(tmp_path, "\n".join(lines)), LENET, *ABOUT)
    np.testing.assert_allclose(table.seconds, original.seconds, atol=1e-10)


def test_thousands_marks_beside_decimal_points_are_read(tmp_path: Path) -> None:
    times = dict.fromkeys((k.name for k in LENET.kernels), '"1,234.5"') | {"tail.0": "2.25", "tail.1": '"12,345"'}
    text = "\n".join(["kernel,us", *(f"{name},{time}" for name, time in times.items())])
    table = latency_table(written(tmp_path, text), LENET, *ABOUT, shape_from="nano")
    assert [table.kernel_s(name, 1) for name in ("tail.0", "tail.1", "tail.2")] == [2.25e-6, 12345e-6, 1234.5e-6]


def test_the_median_is_read_before_the_mean_and_before_the_total(tmp_path: Path) -> None:
    names = [k.name for k in LENET.kernels]
    for head, seconds in (
        ("min_ms,mean_ms,median_ms,p99_ms,note", 3e-3),
        ("timeMs,averageMs,percentage,forward_ms,note", 2e-3),
        ("ms,min_ms,p50,p90,note", 1e-3),
    ):
        text = "\n".join([f"kernel,{head}", *(f'{name},1,2,3,4,"a, b"' for name in names)])
        table = latency_table(written(tmp_path, text), LENET, *ABOUT, shape_from="nano")
        assert [table.kernel_s(k, h) for k, h in enumerate(table.heights)] == [seconds] * 7


def test_a_saved_table_is_plain_csv_too_and_keeps_what_it_says(tmp_path: Path) -> None:
    original = modelled_table(LENET, "tx2")
    original.save(tmp_path / "own.csv")
    table = latency_table(tmp_path / "own.csv", LENET)
    np.testing.assert_array_equal(table.seconds, original.seconds)
    for field in ("device", "precision", "software", "date"):
        assert getattr(table.provenance, field) == getattr(original.provenance, field)
    assert table.provenance.source == "imported"
    assert "source: modelled" in table.provenance.note
    assert latency_table(tmp_path / "own.csv", LENET, "board").provenance.device == "board"
    with pytest.raises(InputError, match=r"own\.csv: model is 'lenet5', expected 'vgg16'"):
        latency_table(tmp_path / "own.csv", get_model("vgg16"))


def test_csv_files_at_several_heights(tmp_path: Path) -> None:
    files = {
        rows: written(tmp_path, "\n".join(["layer,ms", *(f"{k.name},{rows}" for k in LENET.kernels)]), f"{rows}.csv")
        for rows in (16, 32)
    }
    table = latency_table(files, LENET, *ABOUT)
    np.testing.assert_allclose(table.kernel_s("conv1", [1, 12, 20, 28]), np.array([16, 16, 24, 32]) / 1e3)
    with_rows = written(tmp_path, "layer,rows,ms\nconv1,3,1", "rows.csv")
    with pytest.raises(InputError, match=r"rows\.csv: has rows of its own"):
        latency_table({16: with_rows, 32: files[32]}, LENET, *ABOUT)


def numbered(time: str, delimiter: str = ";") -> Callable[[str], str]:
    """The file with another delimiter and one other time."""
    return lambda text: text.replace(",", delimiter).replace(f"conv1{delimiter}28{delimiter}1.5", time)


BAD_CSV: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "unknown kernel": (lambda text: text.replace("conv2,", "conv9,"), ("line 4", "'conv9'", "conv1")),
    "too many rows": (lambda text: text.replace("conv1,28", "conv1,29"), ("line 2", "rows of conv1", "1 to 28")),
    "no rows": (lambda text: text.replace("conv1,28", "conv1,0"), ("line 2", "'0'", "1 to 28")),
    "rows as text": (lambda text: text.replace("conv1,28", "conv1,all"), ("line 2", "'all'")),
    "second line": (lambda text: text + "\nconv1,28,2", ("line 9", "second time", "conv1", "28 rows")),
    "negative": (lambda text: text.replace("28,1.5", "28,-1.5"), ("line 2", "ms is '-1.5'", "0 or more")),
    "nan": (lambda text: text.replace("28,1.5", "28,nan"), ("line 2", "ms is 'nan'", "finite")),
    "decimal comma": (lambda text: text.replace("28,1.5", "28,1,5"), ("line 2", "4 fields", "3", "needs quotes")),
    "decimal commas": (
        lambda text: text.replace("1.5", "1,5"),
        ("line 2: has 4 fields, line 3: has 4 fields, line 4: has 4 fields and 4 more, allowed: 3", "; between fields"),
    ),
    "decimal comma and point": (numbered("conv1;28;1,5"), ("writes '1.5' and '1,5'", "one decimal mark")),
    "open comma": (
        lambda text: text.replace(",", ";").replace("1.5", "1,234"),
        ("line 2: ms is '1,234', line 3: ms is '1,234', line 4: ms is '1,234' and 4 more", "write 1.234 or 1234"),
    ),
    "all lines at once": (
        lambda text: (
            text.replace("conv1,28,1.5", "conv1,28,x")
            .replace("conv2,", "conv9,")
            .replace("tail.0,1,1.5", "tail.0,7,1")
            .replace("pool1,14,1.5", "pool1,14,-1")
        ),
        (
            "line 2: ms is 'x', line 3: ms is '-1', allowed: a finite number, 0 or more",
            "line 4: unknown kernel 'conv9'",
            "line 6: rows of tail.0 is '7', allowed: an integer from 1 to 1",
        ),
    ),
    "all missing kernels": (
        lambda text: text.replace("pool1,14,1.5\n", "").replace("tail.1,1,1.5\n", ""),
        ("2 kernels of lenet5 have no time: pool1, tail.1",),
    ),
    "all kernels without full height": (
        lambda text: text.replace("conv1,28", "conv1,27").replace("conv2,10", "conv2,9"),
        (
            "kernel conv1 has no time at its full height, 28 rows",
            "kernel conv2 has no time at its full height, 10 rows",
        ),
    ),
    "empty time": (lambda text: text.replace("28,1.5", "28,"), ("line 2", "ms is ''")),
    "missing kernel": (lambda text: text.replace("tail.1,1,1.5\n", ""), ("1 kernels", "tail.1")),
    "full height missing": (lambda text: text.replace("conv1,28", "conv1,27"), ("conv1", "full height, 28 rows")),
    "no time column": (lambda text: text.replace("ms", "runs"), ("no column for the time", "kernel, rows, runs")),
    "no unit": (lambda text: text.replace("ms", "latency"), ("no column for the time",)),
    "two times": (lambda text: text.replace("rows,ms", "ms,time_ms"), ("ms and time_ms", "one")),
    "a column twice": (lambda text: text.replace("rows,ms", "ms,MS"), ("line 1", "'ms'")),
    "header only": (lambda text: text.splitlines()[0], ("no lines",)),
    "other model": (lambda text: "# model: vgg16\n" + text, ("model is 'vgg16'", "'lenet5'")),
    "open quote": (lambda text: text + '\n"' + "x" * 200_000, ("is not CSV",)),
    "batch": (lambda text: text.replace("rows,", "batch,").replace(",28,", ",8,"), ("line 2", "batch is '8'", "1")),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_bad_csv_table_is_one_clear_line(tmp_path: Path, case: str) -> None:
    edit, parts = BAD_CSV[case]
    path = written(tmp_path, edit(WHOLE_CSV))
    with refused(str(path), *parts):
        latency_table(path, LENET, *ABOUT, shape_from="nano")


def test_all_columns_that_lack_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE_CSV.replace("kernel,rows,ms", "what,rows,runs"))
    with refused("no column for the kernel", "nor for the time", "its columns: what, rows, runs"):
        latency_table(path, LENET, *ABOUT, shape_from="nano", format="csv")


# --- CSV profiles ---


def csv_profile(profile: TrainingProfile, head: str, per_second: float = 1.0, batch: bool = True) -> list[str]:
    lines = [head]
    for b, size in enumerate(profile.batches):
        for s, name in enumerate(profile.steps):
            times = (profile.forward_s[b, s], profile.backward_s[b, s], profile.update_s[s])
            cells = [repr(float(time) * per_second) for time in times]
            lines.append(",".join([name, *([str(size)] if batch else []), *cells]))
    return lines


@given(st.randoms(use_true_random=False))
def test_a_profile_survives_csv_in_any_order(tmp_path_factory: pytest.TempPathFactory, random: Random) -> None:
    original = modelled_profile(LENET, "gtx1080ti", (1, 8, 32))
    head, *lines = csv_profile(original, "step,batch,forward_s,backward_s,update_s")
    random.shuffle(lines)
    path = written(tmp_path_factory.getbasetemp(), "\n".join([head, *lines]), "any-profile.csv")
    profile = training_profile(path, LENET, *ABOUT)
    assert profile.batches == (1, 8, 32)
    for name in ("forward_s", "backward_s", "update_s", "activation_bytes", "gradient_bytes", "params"):
        np.testing.assert_array_equal(getattr(profile, name), getattr(original, name))
    assert profile.provenance.source == "imported"


def test_units_names_and_a_batch_from_outside(tmp_path: Path) -> None:
    original = modelled_profile(LENET, "gtx1080ti", (8,))
    lines = csv_profile(original, "Layer,fwd_us,Backward time (us),update_us", 1e6, batch=False)
    profile = training_profile(written(tmp_path, "\n".join(lines)), LENET, *ABOUT, batch=8)
    assert profile.batches == (8,)
    np.testing.assert_allclose(profile.forward_s, original.forward_s, rtol=1e-14)
    np.testing.assert_allclose(profile.backward_s, original.backward_s, rtol=1e-14)
    np.testing.assert_allclose(profile.update_s, original.update_s, rtol=1e-14)


def test_updates_that_differ_by_batch_size_give_their_median(tmp_path: Path) -> None:
    lines = [f"{s.name},{b},1,1,{u}" for s in LENET.steps for b, u in ((1, 9), (2, 1), (4, 3))]
    text = "\n".join(["step,batch,forward_ms,backward_ms,update_us", *lines])
    np.testing.assert_array_equal(training_profile(written(tmp_path, text), LENET, *ABOUT).update_s, [3e-6] * 7)


def test_kernels_are_added_up_to_steps(tmp_path: Path) -> None:
    model = get_model("resnet34_32")
    lines = ["kernel,batch,forward_ms,backward_ms", *(f"{k.name},4,1,3" for k in model.kernels)]
    profile = training_profile(written(tmp_path, "\n".join(lines)), model, *ABOUT)
    counts = np.array([len(step.kernels) for step in model.steps])
    assert counts.max() == 3
    np.testing.assert_allclose(profile.forward_s[0], counts * 1e-3)
    np.testing.assert_allclose(profile.backward_s[0], counts * 3e-3)
    both = "\n".join([*lines, "conv3_1,4,1,3"])
    with pytest.raises(InputError, match=r"both conv3_1 and its kernel conv3_1\.0"):
        training_profile(written(tmp_path, both), model, *ABOUT)
    less = "\n".join(line for line in lines if not line.startswith("conv3_1.0.b1"))
    with pytest.raises(InputError, match=r"step conv3_1 of resnet34_32 has no line"):
        training_profile(written(tmp_path, less), model, *ABOUT)


PROFILE_CSV = "\n".join(["step,batch,forward_ms,backward_ms", *(f"{s.name},2,1,3" for s in LENET.steps)])
BAD_PROFILES: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "no backward": (lambda text: text.replace("backward_ms", "other_ms"), ("no column for the backward time",)),
    "unknown step": (lambda text: text.replace("fc2,", "fc9,"), ("line 7", "'fc9'", "fc1")),
    "missing step": (lambda text: text.replace("\nfc2,2,1,3", ""), ("batch 2", "fc2")),
    "missing at one batch": (lambda text: text + "\nfc2,4,1,3", ("batch 4", "conv1")),
    "second line": (lambda text: text + "\nfc2,2,1,3", ("line 9", "second line for fc2 at batch 2")),
    "batch of none": (lambda text: text.replace("fc2,2", "fc2,0"), ("line 7", "batch is '0'", "1 or more")),
    "negative": (lambda text: text.replace("fc2,2,1", "fc2,2,-1"), ("line 7", "forward_ms is '-1'")),
    "no batch": (lambda text: text.replace("batch", "note"), ("no column batch",)),
    "neither time": (
        lambda text: text.replace("backward_ms", "other_ms").replace("forward_ms", "one_ms"),
        ("no column for the forward time", "nor for the backward time"),
    ),
    "all missing steps": (
        lambda text: text.replace("\nfc2,2,1,3", "").replace("\npool1,2,1,3", "").replace("\nconv2,2,1,3", ""),
        ("step pool1 of lenet5 has no line", "step conv2 of lenet5 has no line", "step fc2 of lenet5 has no line"),
    ),
    "all lines at once": (
        lambda text: text.replace("fc1,2,1", "fc1,2,x").replace("conv2,2,1,3", "conv2,2,1").replace("fc2,2", "fc9,2"),
        ("forward_ms is 'x'", "has 3 fields", "unknown step 'fc9'"),
    ),
}


def test_a_profile_with_decimal_commas_and_batches_of_a_thousand(tmp_path: Path) -> None:
    lines = [f"{s.name};1.024;1,5;3,25" for s in LENET.steps]
    text = "\n".join(["Layer Name;Batch Size;Forward (ms);Backward time (msec)", *lines])
    profile = training_profile(written(tmp_path, text), LENET, *ABOUT)
    assert profile.batches == (1024,)
    np.testing.assert_array_equal(profile.forward_s, [[1.5e-3] * 7])
    np.testing.assert_array_equal(profile.backward_s, [[3.25e-3] * 7])


@pytest.mark.parametrize("case", BAD_PROFILES)
def test_a_bad_csv_profile_is_one_clear_line(tmp_path: Path, case: str) -> None:
    edit, parts = BAD_PROFILES[case]
    path = written(tmp_path, edit(PROFILE_CSV))
    with refused(str(path), *parts):
        training_profile(path, LENET, *ABOUT)


SUMS = {"conv1": 2.0, "pool1": 2.5, "conv2": 6.0, "pool2": 5.75, "fc1": 8.0, "fc2": 8.5, "fc3": 9.0}


@pytest.mark.parametrize("column", ["cumulative_ms", "Front-end delay (ms)", "accumulated time [ms]"])
@pytest.mark.parametrize("numbered", [False, True])
def test_sums_up_to_a_layer_are_read_as_differences(tmp_path: Path, column: str, numbered: bool) -> None:
    """Where measured sums fall, the largest so far counts and the layer takes no time."""
    lines = [f"{k if numbered else name},{ms}" for k, (name, ms) in enumerate(SUMS.items(), start=1)]
    path = written(tmp_path, "\n".join([f"layer,{column}", *lines]))
    table = latency_table(path, LENET, *ABOUT, shape_from="nano")
    whole = [float(table.kernel_s(k, h)) * 1e3 for k, h in enumerate(table.heights)]
    np.testing.assert_allclose(whole, [2.0, 0.5, 3.5, 0.0, 2.0, 0.5, 0.5], atol=1e-12)
    assert "differences of sums, 1 sums below the one before read as no time" in table.label()


def test_sums_of_some_layers_are_shared_by_macs(tmp_path: Path) -> None:
    path = written(tmp_path, "cut,front_end_delay_ms\n0,0\npool2,6\nfc3,9\n")
    table = latency_table(path, LENET, *ABOUT, shape_from="nano")
    macs = np.array([kernel.layer.macs(kernel.in_shape) for kernel in LENET.kernels], dtype=float)
    whole = np.array([float(table.kernel_s(k, h)) for k, h in enumerate(table.heights)])
    np.testing.assert_allclose(whole[:4], 6e-3 * macs[:4] / macs[:4].sum())
    np.testing.assert_allclose(whole[4:], 3e-3 * macs[4:] / macs[4:].sum())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "layer,cumulative_ms\nconv1,2\npool1,3\n",
            "the sums end in front of conv2; allowed: up to the last step, fc3",
        ),
        ("layer,cumulative_ms\nconv9,2\nfc3,3\n", "line 2: unknown layer 'conv9'"),
        ("layer,cumulative_ms\nfc3,2\nfc3,3\n", "line 3: a second sum up to fc3"),
        ("layer,cumulative_ms\nfc3,much\n", "cumulative_ms is 'much'"),
    ],
)
def test_sums_that_do_not_fit_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with refused(str(path), words):
        latency_table(path, LENET, *ABOUT, shape_from="nano")
