"""L2S with training profiles from files, and the fingerprint of everything that a result depends on."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.envs.l2s.scenarios import SCENARIOS, Scenario, get_scenario
from splitgym.envs.l2s.system import System
from splitgym.profiling.tables import Provenance
from splitgym.profiling.training import TrainingProfile
from splitgym.ui.errors import InputError

from ... import refused
from .reference import make, modelled, plain_totals_s, play

TIMED = ("forward_s", "backward_s", "update_s")


def measured(scenario: Scenario, seed: int) -> tuple[TrainingProfile, TrainingProfile]:
    """Awkward numbers as a measurement gives them, gradients of another size than activations."""
    rng, provenance = (
        np.random.default_rng(seed),
        Provenance("measured", "my-board", "FP32", "PyTorch 2.9", "2026-01-31"),
    )
    made = []
    for profile in modelled(scenario):
        noise = {name: rng.uniform(0.3, 3.0, getattr(profile, name).shape) for name in TIMED}
        timed = {name: getattr(profile, name) * noise[name] for name in TIMED}
        sizes = {"gradient_bytes": profile.gradient_bytes // 3 + 1, "activation_bytes": profile.activation_bytes + 100}
        made.append(replace(profile, **timed, **sizes, provenance=provenance))
    return made[0], made[1]


@pytest.mark.parametrize("sides", [("device",), ("edge",), ("device", "edge")], ids="+".join)
def test_profile_files_take_the_place_of_the_model(tmp_path: Path, sides: tuple[str, ...]) -> None:
    scenario = get_scenario("alexnet-gpu-60")
    used = dict(zip(("device", "edge"), modelled(scenario), strict=True))
    for side, profile in zip(("device", "edge"), measured(scenario, 1), strict=True):
        if side in sides:
            profile.save(tmp_path / f"{side}.csv")
            used[side] = profile
    paths = {side: str(tmp_path / f"{side}.csv") for side in sides}
    env = make("alexnet-gpu-60", profiles=paths, rounds=3, noise=0.0)
    expected = plain_totals_s(scenario, 60.0, profiles=tuple(used.values()))
    for choice, delay_s in enumerate(expected):
        rounds, _, _ = play(env, [choice] * 3)
        assert rounds[0]["delay_s"] == pytest.approx(delay_s, rel=1e-12)
    lines = [line for line in env.dynamics.provenance if "measured" in line and "my-board" in line]
    assert len(lines) == len(sides)


@pytest.mark.parametrize(
    ("profiled", "options", "words"),
    [
        ("vgg16-gpu-60", {}, ["vgg16", "alexnet"]),
        ("alexnet-gpu-60", {"batch": 64}, ["batch is 64", "16"]),
    ],
    ids=["another model", "another batch size"],
)
def test_a_profile_that_does_not_fit_is_one_line(
    tmp_path: Path, profiled: str, options: dict[str, Any], words: list[str]
) -> None:
    modelled(get_scenario(profiled))[0].save(tmp_path / "mine.csv")
    with refused(*words):
        make("alexnet-gpu-60", profiles={"device": str(tmp_path / "mine.csv")}, **options)


def test_a_profile_with_another_step_count_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    modelled(get_scenario("alexnet-gpu-60"))[0].save(file)
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if not line.startswith("pool2,")) + "\n")
    with pytest.raises(InputError) as caught:
        make("alexnet-gpu-60", profiles={"edge": str(file)})
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    assert all(word in message for word in ("10 steps", "11", "pool2"))


OTHER: dict[str, Any] = {
    "name": "mine", "model": "vgg11", "edge": "cpu", "mbps": 61.0, "device": "tx2", "mbps_changes": [[3, 50.0]],
    "edge_load": 1.5, "load_changes": [[3, 2.0]], "dynamic": True, "traces": ["TRACE"], "trace_factor": 2.0,
    "rounds": 400, "batch": 8, "optimizer": "adam", "privacy_point": 3, "noise": 0.03, "sync_period": 50,
    "label_bytes": 4, "eta": 0.9, "tiles": False, "inputs": "devices", "image_bytes": 1,
    "backward": 1.5, "update_bytes": 60, "stale_cost": 1e-4, "stale_curve": "cifar10",
    "accuracy_worth": 100.0, "profiles": {"device": "PROFILE"},
}  # fmt: skip


def test_every_input_is_in_the_fingerprint(tmp_path: Path) -> None:
    assert set(OTHER) == {field.name for field in fields(Scenario)}
    base = get_scenario("alexnet-gpu-60")
    trace, profile = tmp_path / "a.csv", tmp_path / "p.csv"
    trace.write_text("0 10\n10 20\n")
    modelled(base)[0].save(profile)
    paths = {"traces": (str(trace),), "profiles": {"device": str(profile)}}
    beside = {"trace_factor": {"traces": paths["traces"]}}
    others = ({name: paths.get(name, value), **beside.get(name, {})} for name, value in OTHER.items())
    scenarios = [base, *(replace(base, **other) for other in others)]
    prints = [System(scenario).fingerprint for scenario in scenarios]
    assert prints[0] == System(base).fingerprint
    trace.write_text("0 10\n10 21\n")
    prints.append(System(replace(base, traces=paths["traces"])).fingerprint)
    measured(base, 2)[0].save(profile)
    prints.append(System(replace(base, profiles=paths["profiles"])).fingerprint)
    assert len(set(prints)) == len(OTHER) + 3
    assert len({System(scenario).fingerprint for scenario in SCENARIOS.values()}) == len(SCENARIOS)
