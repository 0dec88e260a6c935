"""Training profiles: the factors behind a modelled one, batch sizes, files, and every kind of bad file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from splitgym.models.chain import Unit
from splitgym.models.layers import Conv, Linear, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.zoo.catalogue import MODELS
from splitgym.profiling.devices import Device, get_device
from splitgym.profiling.latency import kernel_seconds
from splitgym.profiling.tables import Provenance
from splitgym.profiling.training import (
    COLUMNS,
    OPTIMIZER_BYTES,
    TrainingProfile,
    load_profile,
    modelled_profile,
)
from splitgym.ui.errors import InputError

from .. import refused
from .edits import Edit, swap, without

ARRAYS = COLUMNS[2:]
DEVICES = ("tx2-pytorch", "gtx1080ti", "i7-8700k")  # eager, eager, fused
MEASURED = Provenance("measured", "my-board", "FP32", "PyTorch 2.9", "2026-01-31", "median of 100 steps, fan on")
TINY = Model(
    "tiny",
    Shape(3, 16, 16),
    (
        Unit("stem", (Conv(3, 1, 1, out_channels=8, norm=True),)),
        Unit("block", (Conv(3, 1, 1, out_channels=32, norm=True), Pool(2, 2))),
        Unit("plain", (Conv(1, out_channels=16),)),
        Unit("pool", (Pool(2, 2),)),
    ),
    tail=(Linear(20), Linear(10)),
)


def measured_tiny() -> TrainingProfile:
    """A profile with awkward numbers, as a measurement gives them; gradients are smaller than activations."""
    profile = modelled_profile(TINY, "gtx1080ti", batches=(1, 4, 16))
    noise = np.random.default_rng(0)
    timed = {
        name: getattr(profile, name) * noise.uniform(0.5, 1.5, getattr(profile, name).shape) for name in ARRAYS[:3]
    }
    return replace(profile, **timed, gradient_bytes=profile.gradient_bytes // 2, provenance=MEASURED)


def assert_same(one: TrainingProfile, other: TrainingProfile) -> None:
    for name in ("model", "fingerprint", "steps", "batches", "provenance"):
        assert getattr(one, name) == getattr(other, name)
    for name in ARRAYS:
        assert getattr(one, name).dtype == getattr(other, name).dtype
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def whole_kernels(device: Device, batch: int, tiles: bool = True) -> list[float]:
    """Seconds of every kernel of the tiny model at its full height."""
    return [float(kernel_seconds(device, k, k.out_shape.height, batch, tiles)) for k in TINY.kernels]


# --- the modelled numbers ---


@pytest.mark.parametrize("tiles", [True, False])
def test_a_fused_device_costs_twice_a_convolution_and_its_factor_elsewhere(tiles: bool) -> None:
    device = get_device("i7-8700k")
    assert not device.unfused
    profile = modelled_profile(TINY, device, batches=(1, 8), tiles=tiles)
    assert profile.steps == ("stem", "block", "plain", "pool", "fc1", "fc2")
    for b, batch in enumerate((1, 8)):
        stem, conv, inner_pool, plain, pool, fc1, fc2 = whole_kernels(device, batch, tiles)
        forward = [stem, conv + inner_pool, plain, pool, fc1, fc2]
        backward = [1.0 * stem, 2.0 * conv + 1.0 * inner_pool, 2.0 * plain, 1.0 * pool, 1.6 * fc1, 1.6 * fc2]
        np.testing.assert_allclose(profile.forward_s[b], forward, rtol=1e-13)
        np.testing.assert_allclose(profile.backward_s[b], backward, rtol=1e-13)


@pytest.mark.parametrize("name", ["tx2-pytorch", "gtx1080ti"])
def test_an_eager_devices_norm_and_activation_kernels_cost_the_same_backward(name: str) -> None:
    device = get_device(name)
    assert device.unfused
    batch = 8
    profile = modelled_profile(TINY, device, batches=(batch,))
    c = device.coefficients(True)

    def elementwise(kernels: int, values: int) -> float:
        moved = 2 * batch * values * device.value_bytes
        return kernels * (c.t0_s + moved / (c.e_m * device.memory_bytes_per_s))

    stem, conv, inner_pool, plain, pool, fc1, fc2 = whole_kernels(device, batch)
    around_conv = elementwise(2, 32 * 16 * 16)  # norm and activation
    around_plain = elementwise(1, 16 * 8 * 8)  # no norm
    np.testing.assert_allclose(profile.forward_s[0], [stem, conv + inner_pool, plain, pool, fc1, fc2], rtol=1e-13)
    backward = [
        stem,
        2.0 * (conv - around_conv) + around_conv + inner_pool,
        2.0 * (plain - around_plain) + around_plain,
        pool,
        1.6 * fc1,
        1.6 * fc2,
    ]
    np.testing.assert_allclose(profile.backward_s[0], backward, rtol=1e-12)


@pytest.mark.parametrize("tiles", [True, False])
def test_an_update_moves_every_parameter_once_through_memory(tiles: bool) -> None:
    device = get_device("xavier")  # with and without tiles it reaches different bandwidths
    assert device.tiled.e_m != device.smooth.e_m
    params = [
        3 * 9 * 8 + 8 + 2 * 8,  # weights, bias, norm
        8 * 9 * 32 + 32 + 2 * 32,
        32 * 16 + 16,
        0,
        16 * 4 * 4 * 20 + 20,
        20 * 10 + 10,
    ]
    rate = device.coefficients(tiles).e_m * device.memory_bytes_per_s
    for optimizer, moved in (("sgd", 12), ("momentum", 20), ("adam", 28)):
        profile = modelled_profile(TINY, device, optimizer=optimizer, tiles=tiles)
        assert profile.params.tolist() == params
        np.testing.assert_allclose(profile.update_s, [n * moved / rate for n in params], rtol=1e-13)
        assert profile.update_s[3] == 0  # a pool has nothing to update


def test_bytes_behind_a_step_are_float32_whatever_the_device_computes_in() -> None:
    for name in ("i7-8700k", "nano"):  # float32 and float16
        profile = modelled_profile(TINY, name)
        values = [8 * 16 * 16, 32 * 8 * 8, 16 * 8 * 8, 16 * 4 * 4, 20, 10]
        assert profile.activation_bytes.tolist() == [4 * n for n in values]
        assert profile.gradient_bytes.tolist() == [4 * n for n in values]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["lenet5", "vgg16_32", "resnet34", "inception_v3", "yolov2"])
def test_steps_add_up_to_the_whole_network(name: str, device: str) -> None:
    model, batch = get_model(name), 4
    profile = modelled_profile(model, device, batches=(batch,))
    kernels = [float(kernel_seconds(get_device(device), k, k.out_shape.height, batch)) for k in model.kernels]
    assert profile.steps == tuple(step.name for step in model.steps)
    assert profile.forward_s.shape == profile.backward_s.shape == (1, len(profile.steps))
    assert profile.forward_s.sum() == pytest.approx(sum(kernels), rel=1e-12)
    assert sum(kernels) < profile.backward_s.sum() < 2 * sum(kernels)
    assert profile.params.sum() == model.params
    for i in range(len(profile.steps)):
        assert profile.activation_bytes[i] == profile.gradient_bytes[i] == model.cut_bytes(i + 1, 4)


@pytest.mark.parametrize("name", MODELS)
def test_step_names_of_the_zoo_identify_their_entries(name: str) -> None:
    steps = [step.name for step in get_model(name).steps]
    assert len(set(steps)) == len(steps)


@pytest.mark.parametrize("tiles", [True, False])
@pytest.mark.parametrize("device", DEVICES)
def test_a_larger_batch_never_takes_less_time(device: str, tiles: bool) -> None:
    profile = modelled_profile(get_model("resnet34_32"), device, batches=(1, 2, 3, 5, 8, 13, 21, 32), tiles=tiles)
    assert (np.diff(profile.forward_s, axis=0) >= 0).all()
    assert (np.diff(profile.backward_s, axis=0) >= 0).all()
    per_sample = profile.forward_s.sum(axis=1) / np.array(profile.batches)
    assert per_sample[-1] < per_sample[0]  # launches and weights are shared


def test_the_update_does_not_depend_on_the_batch_size() -> None:
    model = get_model("alexnet")
    small, large = (
        modelled_profile(model, "gtx1080ti", batches=(1,)),
        modelled_profile(model, "gtx1080ti", batches=(64,)),
    )
    np.testing.assert_array_equal(small.update_s, large.update_s)
    assert (small.forward_s < large.forward_s).all()


def test_optimizers_differ_in_the_update_alone() -> None:
    model = get_model("vgg16")
    sgd, momentum, adam = (modelled_profile(model, "gtx1080ti", optimizer=name) for name in OPTIMIZER_BYTES)
    np.testing.assert_allclose(momentum.update_s, sgd.update_s * 20 / 12, rtol=1e-13)
    np.testing.assert_allclose(adam.update_s, sgd.update_s * 28 / 12, rtol=1e-13)
    for other in (momentum, adam):
        np.testing.assert_array_equal(other.forward_s, sgd.forward_s)
        np.testing.assert_array_equal(other.backward_s, sgd.backward_s)


def test_a_profile_is_computed_once_and_cannot_be_changed() -> None:
    profile = modelled_profile(TINY, "i7-8700k")
    assert modelled_profile(TINY, get_device("i7-8700k"), [128, 64, 32, 16, 8, 4, 2, 1, 1]) is profile
    assert modelled_profile(TINY, "i7-8700k", optimizer="adam") is not profile
    for name in ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(profile, name)[..., 0] = 0
    for seconds in (*profile.at(4), *profile.at(5)):
        with pytest.raises(ValueError, match="read-only"):
            seconds[0] = 0.0


def test_a_profile_keeps_its_own_numbers() -> None:
    seconds = np.ones((3, 6))
    profile = replace(measured_tiny(), forward_s=seconds)
    seconds[:] = 2.0
    assert (profile.forward_s == 1.0).all()


def test_a_modelled_profile_says_what_it_rests_on() -> None:
    for optimizer in OPTIMIZER_BYTES:
        label = modelled_profile(TINY, "gtx1080ti", optimizer=optimizer, tiles=False).label()
        assert "\n" not in label
        device = get_device("gtx1080ti")
        for part in ("tiny", "gtx1080ti", "modelled", device.quality(False), f"{optimizer} update", "published"):
            assert part in label


def test_arguments_that_mean_nothing_are_input_errors() -> None:
    with pytest.raises(InputError, match="optimizer is 'lion', allowed: sgd, momentum, adam"):
        modelled_profile(TINY, "nano", optimizer="lion")
    for batches in ((), (0, 1), (4, -1)):
        with pytest.raises(InputError, match=r"batches is .* each 1 or more"):
            modelled_profile(TINY, "nano", batches=batches)
    with pytest.raises(InputError, match=r"unknown device 'toaster'; known: those of splitgym-train --list devices$"):
        modelled_profile(TINY, "toaster")


# --- batch sizes between the profiled ones ---


def test_a_profiled_batch_size_is_taken_as_it_is() -> None:
    profile = measured_tiny()
    for b, batch in enumerate(profile.batches):
        np.testing.assert_array_equal(profile.at(batch), [profile.forward_s[b], profile.backward_s[b]])


def test_between_two_profiled_batch_sizes_time_is_linear() -> None:
    profile = measured_tiny()  # batches 1, 4, 16
    forward, backward = profile.at(7)
    np.testing.assert_allclose(forward, 0.75 * profile.forward_s[1] + 0.25 * profile.forward_s[2], rtol=1e-14)
    np.testing.assert_allclose(backward, 0.75 * profile.backward_s[1] + 0.25 * profile.backward_s[2], rtol=1e-14)
    np.testing.assert_allclose(profile.at(2)[0], (2 * profile.forward_s[0] + profile.forward_s[1]) / 3, rtol=1e-14)


@pytest.mark.parametrize("batch", [0, 17, 1000, -1])
def test_a_batch_size_outside_the_profiled_ones_is_refused(batch: int) -> None:
    with refused(f"batch is {batch},", "tiny", "my-board", "1, 4, 16"):
        measured_tiny().at(batch)


# --- files ---


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["lenet5", "resnet34", "googlenet", "yolov2"])
def test_a_modelled_profile_survives_a_round_trip_to_the_bit(tmp_path: Path, name: str, device: str) -> None:
    model = get_model(name)
    profile = modelled_profile(model, device, optimizer="momentum")
    profile.save(tmp_path / "profile.csv")
    assert_same(load_profile(tmp_path / "profile.csv", model), profile)
    assert [p.name for p in tmp_path.iterdir()] == ["profile.csv"]  # no temporary file is left


_SECONDS = st.floats(0.0, allow_infinity=False, allow_nan=False)
_COUNTS = st.integers(0, 2**63 - 1)


@given(st.data(), st.lists(st.integers(1, 10**6), min_size=1, max_size=4, unique=True))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_profile_survives_a_round_trip_to_the_bit(tmp_path: Path, data: st.DataObject, sizes: list[int]) -> None:
    steps = len(TINY.steps)
    drawn = {
        name: data.draw(
            arrays(np.float64, (len(sizes), steps) if name != "update_s" else steps, elements=_SECONDS)
            if name.endswith("_s")
            else arrays(np.int64, steps, elements=_COUNTS)
        )
        for name in ARRAYS
    }
    assume((drawn["forward_s"].any(axis=1) | drawn["backward_s"].any(axis=1)).all())  # no time at all is refused
    profile = replace(measured_tiny(), batches=tuple(sorted(sizes)), **drawn)
    profile.save(tmp_path / "profile.csv")
    loaded = load_profile(tmp_path / "profile.csv", TINY)
    assert_same(loaded, profile)
    loaded.save(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "profile.csv").read_bytes()


def test_the_order_of_entries_and_empty_lines_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "profile.csv"
    measured_tiny().save(path)
    lines = path.read_text().splitlines()
    head = lines.index(",".join(COLUMNS)) + 1
    path.write_text("\n".join([*lines[:head], "", *reversed(lines[head:])]) + "\n\n")
    assert_same(load_profile(path, TINY), measured_tiny())


def _cell(column: str, value: str) -> Edit:
    """Replace one field of step plain at batch 4, which is line 18."""

    def edit(text: str) -> str:
        lines = text.splitlines()
        cells = lines[17].split(",")
        assert cells[:2] == ["plain", "4"]
        cells[COLUMNS.index(column)] = value
        lines[17] = ",".join(cells)
        return "\n".join(lines)

    return edit


def _again(line: int) -> Edit:
    return lambda text: "\n".join([*text.splitlines(), text.splitlines()[line - 1]])


NUMBERS = ("forward_s", "backward_s", "update_s")
WHOLES = ("activation_bytes", "gradient_bytes", "params")
CONSTANT = ("update_s", *WHOLES)
ALL_COLUMNS = ",".join(COLUMNS)
BAD_FILES: dict[str, tuple[Edit, tuple[str, ...]]] = {
    "missing step": (without("pool,"), ("profile has 5 steps, the model tiny has 6", "missing: pool")),
    "missing steps": (without("pool,", "fc1,"), ("profile has 4 steps, the model tiny has 6", "pool, fc1")),
    "missing batch": (without("plain,4,"), ("step plain", "batch = 4", "1, 4, 16")),
    "missing batches": (
        without("plain,4,", "block,4,", "block,16,"),
        ("step block has no entry for batch = 4, 16", "step plain has no entry for batch = 4", "1, 4, 16"),
    ),
    "missing step and batch": (without("pool,", "plain,4,"), ("missing: pool", "step plain", "batch = 4")),
    "several lines": (
        lambda text: _cell("forward_s", "x")(text).replace("stem,1,", "stem,one,").replace("fc1,4,", "fc3,4,"),
        ("line 18: forward_s is 'x'", "batch is 'one'", "unknown step 'fc3'"),
    ),
    "unknown step": (_cell("step", "plane"), ("line 18", "'plane'", "stem, block, plain, pool, fc1, fc2")),
    "step too many": (lambda text: text + "fc3,1,1,1,1,1,1,1\n", ("line 29", "'fc3'", "stem, block")),
    "duplicate": (_again(18), ("line 29", "second entry", "step plain", "batch = 4")),
    "batch zero": (_cell("batch", "0"), ("line 18", "batch is '0'", "1 or more")),
    "batch not an integer": (_cell("batch", "4.0"), ("line 18", "batch is '4.0'", "an integer")),
    **{f"{c} negative": (_cell(c, "-1e-9"), ("line 18", f"{c} is -1e-9", "0 or more")) for c in NUMBERS},
    **{f"{c} nan": (_cell(c, "nan"), ("line 18", f"{c} is nan", "finite number")) for c in NUMBERS},
    **{f"{c} infinite": (_cell(c, "inf"), ("line 18", f"{c} is inf", "finite number")) for c in NUMBERS},
    **{f"{c} no number": (_cell(c, "fast"), ("line 18", f"{c} is 'fast'", "a number")) for c in NUMBERS},
    **{f"{c} empty": (_cell(c, ""), ("line 18", f"{c} is ''")) for c in (*NUMBERS, *WHOLES)},
    **{f"{c} negative": (_cell(c, "-1"), ("line 18", f"{c} is '-1'", "0 or more")) for c in WHOLES},
    **{f"{c} no integer": (_cell(c, "1.5"), ("line 18", f"{c} is '1.5'", "an integer")) for c in WHOLES},
    **{f"{c} huge": (_cell(c, "9" * 30), ("line 18", f"{c} is '999", "an integer")) for c in WHOLES},
    **{
        f"{c} differs": (_cell(c, "7"), ("line 18", f"{c} of step plain is 7", "the same"))
        for c in ("update_s", *WHOLES)
    },
    "too many fields": (_cell("params", "528,1"), ("line 18", "9 fields", "allowed: 8", ALL_COLUMNS)),
    "too few fields": (swap(",528\n", "\n"), ("line 17", "7 fields", "allowed: 8")),
    "unclosed quote": (lambda text: text + '"' + "x" * 200_000, ("line 29", "is not CSV")),
    "other model": (
        swap("# model: tiny", "# model: resnet34"),
        ("model is 'resnet34'", "'tiny'", "profile has 6 steps, the model tiny has 6"),
    ),
    "other structure": (swap("# fingerprint: ", "# fingerprint: 0"), ("fingerprint is '0", "the model tiny")),
    "other schema": (swap("# schema: 1", "# schema: 2"), ("schema is '2'", "'1'")),
    "unknown source": (swap("source: measured", "source: guessed"), ("'guessed'", "modelled, measured, imported")),
    "unknown header": (swap("# precision:", "# accuracy:"), ("line 6", "precision")),
    "header incomplete": (without("# device"), ("no device",)),
    "no header": (without("#"), ("header has no schema",)),
    "no columns": (without("step,"), ("line 10", ALL_COLUMNS)),
    "a latency table's columns": (swap(ALL_COLUMNS, "kernel,rows,seconds"), ("line 10", ALL_COLUMNS)),
    "no entries": (
        lambda text: text[: text.index("stem,")],
        ("profile has 0 steps, the model tiny has 6", "missing: stem, block"),
    ),
    "empty": (lambda text: "", ("is empty; a training profile", ALL_COLUMNS)),
    "only blank": (lambda text: "\n \n", ("is empty",)),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, case: str) -> None:
    path = tmp_path / "profile.csv"
    measured_tiny().save(path)
    edit, parts = BAD_FILES[case]
    path.write_text(edit(path.read_text()))
    with refused(str(path), *parts):
        load_profile(path, TINY)


def test_a_profile_of_another_model_tells_how_many_steps_each_has(tmp_path: Path) -> None:
    path = tmp_path / "profile.csv"
    modelled_profile(get_model("resnet34_32"), "gtx1080ti").save(path)
    with pytest.raises(InputError, match=r"model is 'resnet34_32'.* profile has 19 steps, the model resnet34 has 20$"):
        load_profile(path, get_model("resnet34"))
    other = replace(TINY, units=TINY.units[:-1])  # the same name, one step less
    modelled_profile(other, "gtx1080ti").save(path)
    with pytest.raises(InputError, match=r"fingerprint is .* profile has 5 steps, the model tiny has 6$"):
        load_profile(path, TINY)


def test_a_missing_file_a_folder_and_a_binary_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read \(No such file"):
        load_profile(tmp_path / "none.csv", TINY)
    with pytest.raises(InputError, match="cannot be read"):
        load_profile(tmp_path, TINY)
    (tmp_path / "engine.plan").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"engine\.plan: is not a text file"):
        load_profile(tmp_path / "engine.plan", TINY)


def test_backward_and_update_may_be_given_by_what_was_measured_of_them() -> None:
    model = get_model("alexnet")
    usual = modelled_profile(model, "gtx1080ti", (4,))
    other = modelled_profile(model, "gtx1080ti", (4,), backward=1.5, update_bytes=24)
    assert (other.forward_s == usual.forward_s).all()
    assert other.backward_s == pytest.approx(1.5 * usual.backward_s)
    assert other.update_s == pytest.approx(2.0 * usual.update_s)
    assert "backward 1.5 times, 24 bytes a parameter" in other.label()
    assert "times" not in usual.label()
