"""Tables that say 0 s for some kernels or steps, as for a layer that is fused into its neighbour, stop nobody."""

from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.agents.registry import agents_of
from splitgym.envs import get_family
from splitgym.experiments.play import build_agent, make_env, options_for, play
from splitgym.models.lookup import get_model
from splitgym.profiling.tables import load_table, modelled_table
from splitgym.profiling.training import TrainingProfile, load_profile, modelled_profile
from splitgym.ui.errors import InputError

MODELS = {"distredge": "lenet5", "l2s": "lenet5", "hiertrain": "lenet5", "edgemove": "vgg16_32"}
SCENARIOS = {"distredge": "DC-50", "l2s": "lenet5-gpu-60", "hiertrain": "lenet5-3.5", "edgemove": "vgg16-cifar10"}
FIELDS: dict[str, dict[str, Any]] = {
    "distredge": {"model": "lenet5"},
    "l2s": {"rounds": 120, "privacy_point": 1},
    "hiertrain": {"batch": 4},
    "edgemove": {"on_device_s": 200.0},
}
DEVICES = {
    "distredge": ("xavier", "tx2", "nano", "pi3"),
    "l2s": ("device", "edge"),
    "hiertrain": ("device", "edge", "cloud"),
    "edgemove": ("pixel6a", "rtx2080ti", "rtx3080ti", "v100-pytorch"),
}
PATTERNS: dict[str, Callable[[int], np.ndarray]] = {
    "the first": lambda n: np.arange(n) == 0,
    "every second": lambda n: np.arange(n) % 2 == 1,
    "all but the last": lambda n: np.arange(n) < n - 1,
}
AGENTS = [
    (family, name)
    for family in MODELS
    for name, spec in agents_of(family).items()
    if not spec.learns and name not in ("joint", "online")  # which search, or train, for long
]


def without(profile: TrainingProfile, zero: np.ndarray) -> TrainingProfile:
    """The profile with 0 s in some steps."""
    keep = ~zero
    return replace(profile, forward_s=profile.forward_s * keep, backward_s=profile.backward_s * keep)


def write_tables(family: str, pattern: str, folder: Path) -> dict[str, Any]:
    """Files for every device of the scenario, and the scenario's fields that name them."""
    model, files = get_model(MODELS[family]), {}
    for i, device in enumerate(DEVICES[family]):
        files[device] = str(folder / f"{device}.csv")
        kind = device if family in ("distredge", "edgemove") else "pi3"
        if family == "distredge":
            table = modelled_table(model, kind)
            zero = PATTERNS[pattern](len(table.kernels))
            replace(table, seconds=np.where(zero[:, None], table.seconds * 0.0, table.seconds)).save(files[device])
        else:
            profile = modelled_profile(model, kind)
            zero = PATTERNS[pattern](len(profile.steps)) if i % 2 == 0 else np.zeros(len(profile.steps), dtype=bool)
            without(profile, zero).save(files[device])
    return {"tables" if family == "distredge" else "profiles": files}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("family", "agent"), AGENTS)
def test_every_planner_plays_on_tables_with_zeros(family: str, agent: str, pattern: str, tmp_path: Path) -> None:
    options = {**FIELDS[family], **write_tables(family, pattern, tmp_path)}
    found, spec = get_family(family), agents_of(family)[agent]
    env = make_env(found, SCENARIOS[family], options_for(spec, options))
    played = play(build_agent(found, agent, env, 0, {}), env, episodes=1)
    assert isfinite(played.metrics[found.headline])
    assert played.metrics[found.headline] > 0
    env.close()


def test_a_table_of_zeros_alone_is_refused(tmp_path: Path) -> None:
    model = get_model("lenet5")
    table, profile = modelled_table(model, "pi3"), modelled_profile(model, "pi3")
    replace(table, seconds=table.seconds * 0.0).save(tmp_path / "table.csv")
    without(profile, np.ones(len(profile.steps), dtype=bool)).save(tmp_path / "profile.csv")
    for load, name in ((load_table, "table.csv"), (load_profile, "profile.csv")):
        with pytest.raises(InputError, match=rf"{name}: every .* takes 0 s .*; at least one must take longer"):
            load(tmp_path / name, model)
