"""Deprune's scenarios: bytes and seconds by hand, names and files, and one clear line for every mistake."""

from __future__ import annotations

import json
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from splitgym.envs import FAMILIES
from splitgym.envs.deprune import system as system_module
from splitgym.envs.deprune.curves import load_curves
from splitgym.envs.deprune.learners import learning_model
from splitgym.envs.deprune.scenarios import DEFAULT_SCENARIO, GROUPS, SCENARIOS, SHARES, Scenario, get_scenario
from splitgym.envs.deprune.schedules import deprune, high_compression, no_compression
from splitgym.envs.deprune.system import System
from splitgym.models.chain import Unit
from splitgym.models.compression import encoder
from splitgym.models.layers import Conv, ConvTranspose
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.plans import CompressedPlan
from splitgym.profiling.training import modelled_profile
from splitgym.ui.errors import InputError

from ... import refused

ENV_ID = FAMILIES["deprune"].env_id
FULL = Scenario("full", "vgg11_32", 5)  # the paper's: 128 maps of 16 x 16
TINY: dict[str, Any] = {
    "model": "lenet5",
    "layer": 5,
    "shares": [0.125, 0.5, 1.0],
    "epochs": 2,
    "images": 8,
    "batch": 4,
}


def make(**kwargs: Any) -> Any:
    return gym.make(ENV_ID, disable_env_checker=True, **kwargs).unwrapped


def of(**changes: Any) -> System:
    return System(Scenario(**{**vars(FULL), **changes}))


# Bytes.


@pytest.mark.parametrize(
    ("layer", "maps", "height"), [(0, 128, 32), (5, 128, 16), (6, 128, 8), (7, 256, 8), (9, 256, 8)]
)
def test_bytes_of_an_epoch_by_hand_at_the_papers_cuts(layer: int, maps: int, height: int) -> None:
    images, batch = 1000, 64
    system = of(layer=layer, images=images, batch=batch)
    assert (system.interface.phi, system.interface.height, system.steps) == (maps, height, 16)
    assert system.budgets == tuple(maps * b // 128 for b in (4, 8, 16, 32, 64, 128))
    for budget, map_bytes, sent in zip(system.budgets, system.map_bytes, system.sent_bytes, strict=True):
        assert map_bytes == 2 * images * budget * height * height * 4
        assert sent == map_bytes + 16 * maps * 4 + images * 8
    assert system.full_bytes == system.map_bytes[-1]


def test_the_resolution_shrinks_maps_in_both_directions() -> None:
    plain, half, third = (of(resolution=r) for r in (1, 2, 3))
    assert (half.map_bytes * 4 == plain.map_bytes).all()
    assert (third.interface.height, third.interface.width) == (5, 5)
    assert half.full_bytes * 4 == plain.full_bytes


def test_traffic_of_the_papers_schedules() -> None:
    """15 epochs at 4 of 128 maps and 3 at 128: 19.27 % of no compression (Fig. 8); the same of 25 and 5 epochs."""
    system = of(images=50_000, epochs=18)

    def share(budgets: tuple[int, ...]) -> float:
        at = [system.budgets.index(b) for b in budgets]
        return float(system.map_bytes[at].sum() / (system.full_bytes * len(budgets)))

    assert share(deprune(15, 3).at(128)) == (15 * 4 + 3 * 128) / (18 * 128)
    assert f"{100 * share(deprune(15, 3).at(128)):.2f}" == "19.27"
    assert f"{1 / share(deprune(15, 3).at(128)):.2f}" == "5.19"
    assert share(deprune(25, 5).at(128)) == share(deprune(15, 3).at(128))
    assert share(no_compression(18).at(128)) == 1.0
    assert share(high_compression(18).at(128)) == 1 / 32


@given(images=st.integers(2, 3000), batch=st.integers(2, 300))
def test_steps_are_those_that_training_takes(images: int, batch: int) -> None:
    """A last image alone joins the step before: batch norm needs two."""
    parts = [batch] * (images // batch) + ([images % batch] if images % batch else [])
    if len(parts) > 1 and parts[-1] == 1:
        parts[-2:] = [parts[-2] + 1]
    assert of(images=images, batch=batch).steps == len(parts)


def test_how_many_images_an_epoch_has() -> None:
    recorded = load_curves()[SCENARIOS[DEFAULT_SCENARIO].curves].images
    scenario = get_scenario(DEFAULT_SCENARIO)
    assert System(scenario).images == recorded
    assert System(get_scenario(DEFAULT_SCENARIO, images=77)).images == 77
    assert System(FULL).images == 50_000
    assert System(FULL, available=1437).images == 1437
    assert System(FULL, available=100_000).images == 100_000
    assert System(scenario, available=10).images == 10
    assert System(get_scenario(DEFAULT_SCENARIO, images=20), available=30).images == 20


def test_without_the_module_all_maps_cross_and_no_filter() -> None:
    system = of(module=False, images=640)
    assert system.budgets == (128,)
    assert system.shares == (1.0,)
    assert system.map_bytes.tolist() == [2 * 640 * 128 * 256 * 4]
    assert system.sent_bytes.tolist() == [system.map_bytes[0] + 640 * 8]


@pytest.mark.parametrize("shares", [(0.001, 1.0), (0.02, 0.5), (1 / 3,)])
def test_shares_are_whole_maps_one_at_least(shares: tuple[float, ...]) -> None:
    assert of(shares=shares).budgets == tuple(max(1, round(128 * s)) for s in shares)


# Seconds.


@pytest.mark.parametrize(
    ("layer", "client_steps"),
    [
        (0, []), (1, ["conv1_1"]), (2, ["conv1_1"]), (5, ["conv1_1", "pool1", "conv2_1"]),
        (6, ["conv1_1", "pool1", "conv2_1", "pool2"]), (7, ["conv1_1", "pool1", "conv2_1", "pool2", "conv3_1"]),
    ],
    ids=str,
)  # fmt: skip
def test_seconds_of_an_epoch_are_those_of_the_profiles(layer: int, client_steps: list[str]) -> None:
    system = of(layer=layer, images=1000, batch=32, client="pi3", server="rtx3080ti", module=False)
    model, expected = get_model("vgg11_32"), 0.0
    for device, mine in (("pi3", True), ("rtx3080ti", False)):
        profile = modelled_profile(model, device, (32,))
        forward_s, backward_s = profile.at(32)
        for i, name in enumerate(profile.steps):
            if (name in client_steps) == mine:
                expected += forward_s[i] + backward_s[i] + profile.update_s[i]
    assert system.compute_s == pytest.approx([ceil(1000 / 32) * expected], rel=1e-12)


def by_hand(system: System, device: str, kind: str, maps: int) -> float:
    """Seconds of a step in a convolution that a network of its own would have behind another one."""
    interface, batch = system.interface, system.scenario.batch
    channels, window = interface.shape.channels, (interface.kernel, interface.resolution, interface.padding)
    before = Unit("before", (Conv(1, 1, 0, out_channels=channels if kind == "encoder" else maps),))
    if kind == "encoder":
        shape, layer = interface.shape, Conv(*window, out_channels=maps, bias=False, norm=True, activation="none")
    else:
        shape = replace(interface.shape, channels=maps, height=interface.height, width=interface.width)
        layer = ConvTranspose(*window, out_channels=channels, activation="none")
    model = Model("made", shape, (before, Unit(kind, (layer,))), ())
    return float(modelled_profile(model, device, (batch,)).step_s(batch)[1])


@pytest.mark.parametrize(("layer", "resolution"), [(5, 1), (9, 1), (5, 3)])
def test_encoder_and_decoder_take_time_by_the_maps_that_they_compute(layer: int, resolution: int) -> None:
    """Of the kept maps behind a hard mask, of all where asked for and behind a soft one; of full budget alike."""
    changes = dict(layer=layer, resolution=resolution, client="pi3", server="gtx1080ti", images=640)
    hard, soft, bare = of(**changes), of(**changes, mask="soft"), of(**{**changes, "resolution": 1}, module=False)
    for at, budget in enumerate(hard.budgets):
        expected = by_hand(hard, "pi3", "encoder", budget) + by_hand(hard, "gtx1080ti", "decoder", budget)
        assert hard.module_s[at] == pytest.approx(expected, rel=1e-12)
        assert hard.compute_s[at] == pytest.approx(bare.compute_s[0] + hard.steps * expected, rel=1e-12)
    assert (np.diff(hard.module_s) > 0).all()
    assert (soft.module_s == hard.module_s[-1]).all()
    assert (of(**changes, dense=True).module_s == soft.module_s).all()
    assert (soft.sent_bytes == hard.sent_bytes).all()


def test_an_encoder_in_front_of_everything_needs_no_gradient_of_the_image() -> None:
    assert of(layer=0).module_s[0] < of(layer=0).module_s[-1]
    encode = encoder(of(layer=0).interface, 128)
    needed, spared = (
        modelled_profile(encode, "pi3", (64,), trains_input=behind).step_s(64)[0] for behind in (True, False)
    )
    assert spared < needed


def test_nodes_are_neither_encoded_nor_decoded() -> None:
    system = System(Scenario("nodes", "lenet5", 8, shares=(0.5, 1.0)))
    assert system.interface.nodes
    assert (system.module_s == 0.0).all()


def test_a_share_of_a_device_takes_longer_and_software_adds_to_every_step() -> None:
    whole, part = of(images=640), of(images=640, client_share=0.25)
    bare, bare_part = (of(images=640, module=False, client_share=share) for share in (1.0, 0.25))
    client_s = (bare_part.compute_s - bare.compute_s)[0] / 3
    assert 0 < client_s < bare.compute_s[0]
    encode_s = np.array([by_hand(whole, whole.scenario.client, "encoder", budget) for budget in whole.budgets])
    assert part.compute_s - whole.compute_s == pytest.approx(3 * (client_s + 10 * encode_s), rel=1e-9)
    late = of(images=640, overhead_s=0.5, overhead_bytes=1000)
    assert late.compute_s == pytest.approx(whole.compute_s + 10 * 0.5)
    assert (late.sent_bytes == whole.sent_bytes + 10 * 1000).all()
    assert (late.map_bytes == whole.map_bytes).all()


def test_seconds_on_the_link() -> None:
    system = of(images=640, batch=64, mbps=80.0, rtt_s=0.5)
    bytes_s = 80e6 / 8
    for at, sent in enumerate(system.sent_bytes):
        assert system.transfer_s(np.array(at), np.array(80.0)) == pytest.approx(sent / bytes_s + 10 * 0.5)
    shared = of(images=640, batch=64, mbps=80.0, rtt_s=0.5, clients=8)
    every, rates = np.arange(6), np.array([10.0, 20.0, 40.0, 80.0, 160.0, 1.0])
    found = shared.transfer_s(every, rates)
    assert found == pytest.approx(8 * 8 * system.sent_bytes / (1e6 * rates) + 5.0)
    assert (shared.compute_s == system.compute_s).all()


def test_what_changes_a_result_changes_the_fingerprint() -> None:
    changes: list[dict[str, Any]] = [
        {}, {"batch": 32}, {"layer": 7}, {"resolution": 2}, {"client": "pi3"}, {"images": 100}, {"mbps": 5.0},
        {"mask": "soft"}, {"decay": 1.0}, {"gamma": 2.0}, {"overhead_s": 0.1}, {"client_share": 0.5},
        {"overhead_bytes": 5}, {"dense": True},
    ]  # fmt: skip
    assert len({of(**change).fingerprint for change in changes}) == len(changes)
    assert of().fingerprint == of().fingerprint
    assert System(FULL, available=100).fingerprint == of().fingerprint  # where it trains is not what it is


# Names and files.


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_builds(name: str) -> None:
    scenario = get_scenario(name)
    system = System(scenario)
    assert scenario.name == name
    assert len(system.budgets) == len(SHARES)
    assert system.curves is not None
    assert learning_model(system, system.curves) == system.curves.model  # recorded for this very cut
    env = make(scenario=name)
    assert json.loads(json.dumps(env.dynamics.settings))["name"] == name
    assert scenario.model in env.dynamics.summary
    assert ("changing" in scenario.summary) == scenario.dynamic
    assert ("shared by 8" in scenario.summary) == (scenario.clients == 8)


def test_names_and_groups() -> None:
    family = FAMILIES["deprune"]
    assert tuple(family.scenarios) == tuple(SCENARIOS)
    assert family.default_scenario == DEFAULT_SCENARIO == "vgg11-cifar10"
    assert {name for members in GROUPS.values() for name in members} == set(SCENARIOS)
    assert set(load_curves()) <= set(SCENARIOS)
    assert get_scenario("vgg11-cifar10-wifi8").clients == 8
    assert get_scenario("vgg11-cifar10-dynamic").dynamic
    assert get_scenario(DEFAULT_SCENARIO).layer == 5


def test_a_scenario_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: vgg16_32\nlayer: 7\nshares: [0.1, 1]\ndata: images\nepochs: 3\n")
    scenario = get_scenario(str(file), epochs=4)
    assert (scenario.name, scenario.model, scenario.layer, scenario.epochs) == ("mine", "vgg16_32", 7, 4)
    assert scenario.shares == (0.1, 1.0)
    assert scenario.data == str(tmp_path / "images")  # from where the file lies
    assert scenario.curves == ""


# Mistakes.


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"scenario": "vgg11-moon"}, ["unknown scenario 'vgg11-moon'", "vgg11-cifar10", ".yaml"]),
        ({"scenario": 3}, ["scenario is 3"]),
        ({"colour": "red"}, ["unknown option 'colour'", "backend", "checkpoints", "bytes_weight"]),
        ({"curves": "moon"}, ["unknown curves 'moon'", "vgg11-cifar10"]),
        ({"model": "vgg12"}, ["unknown model 'vgg12'", "did you mean", "vgg11"]),
        ({"client": "toaster"}, ["unknown device 'toaster'", "--list devices"]),
        ({"server": "abacus"}, ["unknown device 'abacus'"]),
        ({"shares": []}, ["shares is []", "rising numbers above 0, up to 1"]),
        ({"shares": [0.5, 0.25]}, ["shares is [0.5, 0.25]", "rising"]),
        ({"shares": [0.5, 0.5]}, ["shares is [0.5, 0.5]", "rising"]),
        ({"shares": [0.0, 1.0]}, ["shares[0] is 0.0", "above 0"]),
        ({"shares": [0.5, 2.0]}, ["shares[1] is 2.0", "at most 1"]),
        ({"shares": [0.5, float("nan")]}, ["shares[1] is nan"]),
        ({"shares": [0.5, "all"]}, ["shares[1] is 'all'"]),
        ({"shares": [0.5, 0.501]}, ["shares [0.5, 0.501]", "name a budget twice"]),
        ({"resolution": 17}, ["r is 17", "16x16", "1 to 16"]),
        ({"resolution": 0}, ["r is 0", "1 to 16"]),
        ({"layer": 99}, ["layer is 99", "0 to"]),
        ({"layer": -1}, ["layer is -1", "0 to"]),
        ({"layer": "five"}, ["layer", "'five'"]),
        ({"epochs": 0}, ["epochs is 0", "1..10000"]),
        ({"batch": 1}, ["batch is 1", "2..65536"]),
        ({"clients": 0}, ["clients is 0", "1..10000"]),
        ({"images": 1}, ["images is 1", "0 or 2"]),
        ({"images": -5}, ["images is -5"]),
        ({"mbps": 0.0}, ["mbps is 0.0"]),
        ({"mbps": float("inf")}, ["mbps is inf", "finite"]),
        ({"rtt_s": -1.0}, ["rtt_s is -1.0"]),
        ({"sigma": float("nan")}, ["sigma is nan"]),
        ({"bytes_weight": -0.1}, ["bytes_weight is -0.1"]),
        ({"accuracy_weight": float("nan")}, ["accuracy_weight is nan"]),
        ({"backend": "guess"}, ["backend='guess'", "curves, train"]),
        ({"checkpoints": "folder"}, ["checkpoints", "train"]),
        ({"curves": ""}, ["no training of vgg11_32_half was recorded", 'backend="train"']),
        ({"layer": 7}, ["layer is 7", "recorded with 5", 'backend="train"']),
        ({"model": "vgg16_32"}, ["model is vgg16_32", "recorded with vgg11_32"]),
        ({"resolution": 2}, ["resolution is 2", "recorded with 1"]),
        ({"mask": "soft"}, ["mask is soft", "recorded with hard", 'backend="train"']),
        ({"decay": 0.5}, ["decay is 0.5", "recorded with 0.92"]),
        ({"gamma": 7.0}, ["gamma is 7.0", "recorded with"]),
        ({"gamma": 0.5}, ["gamma is 0.5", "1..1000"]),
        ({"mask": "fuzzy"}, ["mask is 'fuzzy'", "hard, soft"]),
        ({"decay": 0.0}, ["decay is 0.0", "0.001..1"]),
        ({"inputs": "mine"}, ["inputs is 'mine'", "paper, devices"]),
        ({"client_share": 0.0}, ["client_share is 0.0"]),
        ({"overhead_s": -1.0}, ["overhead_s is -1.0"]),
        ({"overhead_bytes": -1}, ["overhead_bytes is -1"]),
        ({"backend": "train", "data": "/nowhere"}, ["/nowhere", "is not a folder"]),
        ({"backend": "train", "learning_rate": 1e6}, ["learning_rate is 1000000.0"]),
        ({"backend": "train", "model": "yolov2", "layer": 200}, ["layer is 200", "yolov2"]),
    ],
    ids=lambda v: str(v)[:45] if isinstance(v, dict) else "",
)
def test_each_mistake_is_one_clear_line(kwargs: dict[str, Any], words: list[str]) -> None:
    with refused(*words):
        make(**kwargs)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer: 5\n", ["field model is missing"]),
        ("model: vgg11_32\n", ["field layer is missing"]),
        ("model: vgg11_32\nlayer: 5\nphi: 3\n", ["unknown field 'phi'", "shares"]),
        ("model: vgg11_32\nlayer: 5\nshares: [1, 0.5]\n", ["shares is [1.0, 0.5]", "rising"]),
        ("model: vgg11_32\nlayer: 5\nepochs: 0\n", ["epochs is 0"]),
        ("[1, 2]\n", ["must hold fields"]),
        ("model: [\n", ["is not YAML"]),
    ],
    ids=lambda v: v[:20] if isinstance(v, str) else "",
)
def test_each_mistake_in_a_file_names_the_file(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with refused(*words, start=f"{file}: "):
        make(scenario=str(file), backend="train")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cut": 6}, ["cut is 6", "allowed: 5"]),
        ({"r": 2}, ["r is 2", "allowed: 1"]),
        ({"budgets": (8, 16)}, ["budgets has 2 epochs", "allowed: 3"]),
        ({"budgets": (8, 16, 1000)}, ["budgets[2] is 1000", "8, 16, 32"]),
        ({"budgets": (0, 16, 16)}, ["budgets[0] is 0"]),
        ({"budgets": (16, 9, 16)}, ["budgets[1] is 9"]),
    ],
    ids=str,
)
def test_a_plan_that_does_not_fit_is_refused(change: dict[str, Any], words: list[str]) -> None:
    dynamics = make(epochs=3).dynamics
    name, budgets = dynamics.system.model.name, dynamics.system.budgets
    fields: dict[str, Any] = {"types": {}, "cut": 5, "r": 1, "budgets": (budgets[0], budgets[0], budgets[5])}
    assert dynamics.plan_actions(CompressedPlan(name, **fields)).tolist() == [0, 0, 5]
    with refused(*words):
        dynamics.plan_actions(CompressedPlan(name, **{**fields, **change}))


def test_without_curves_of_trainings_without_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = replace(load_curves()[SCENARIOS[DEFAULT_SCENARIO].curves], bare=None)
    monkeypatch.setattr(system_module, "get_curves", lambda name, where: lacking)
    with pytest.raises(InputError, match="nothing was recorded without the module"):
        make(module=False)


# Image folders.


def write_images(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 6) -> Path:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in classes:
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, 255, (6, 5, 3), dtype=np.uint8)).save(folder / part / name / f"{i}.png")
    return folder


def test_an_image_folder_is_trained_on(tmp_path: Path) -> None:
    env = make(**TINY, backend="train", data=str(write_images(tmp_path)))
    env.reset(seed=0)
    assert env.dynamics.learner.chance == 0.5
    info: dict[str, Any] = {}
    for action in (0, 2):
        *_, info = env.step(action)
    assert 0.0 <= info["accuracy"] <= 1.0
    assert (12 * info["accuracy"]) % 1 == pytest.approx(0.0, abs=1e-9)  # of the 12 test images
    assert any(str(tmp_path) in line for line in env.dynamics.provenance)


@pytest.mark.parametrize("kind", ["empty", "one class", "unreadable", "no test"])
def test_a_bad_image_folder_is_one_line_that_names_it(tmp_path: Path, kind: str) -> None:
    classes = ("cat",) if kind == "one class" else ("cat", "dog")
    folder = tmp_path / "images"
    folder.mkdir()
    named = folder / "train"
    if kind != "empty":
        write_images(folder, classes)
    if kind == "unreadable":
        named = folder / "train" / "dog" / "3.png"
        named.write_bytes(b"not an image")
    if kind == "no test":
        (folder / "test").rename(folder / "other")
        named = folder / "test"
    with refused(str(named)):
        make(**TINY, backend="train", data=str(folder))


def test_more_classes_than_the_network_tells_apart(tmp_path: Path) -> None:
    folder = write_images(tmp_path, tuple(f"class{i}" for i in range(11)), count=1)
    with refused("11 classes", "lenet5 gives 10 values", "allowed: a classifier"):
        make(**TINY, backend="train", data=str(folder))
