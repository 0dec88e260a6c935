"""Plan files: what is written is read back, and a write that fails leaves what was there."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.distredge.scenarios import SCENARIOS
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.plans import (
    CompressedPlan,
    CutPlan,
    HybridPlan,
    PipelinePlan,
    SpatialPlan,
    load_plan,
    save_plan,
    write_text,
)
from splitgym.ui.errors import InputError

from .plan_cases import ENDS, PLAN, PLANS, SIDES, kind_of, types_of, vgg
from .strategies import models, plans


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# By kind: what stands in the file, and which of it is a tuple again when it is read.
WRITTEN: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "spatial": ({"types": {"nano-1": "nano", "tx2-1": "tx2", "pi3-1": "pi3"}}, ("devices", "cuts", "splits")),
    "cut": ({"cut": 7, "types": SIDES}, ()),
    "hybrid": ({"m_s": 3, "m_l": 10, "roles": ["cloud", "device", "edge"], "b": [28, 40, 60]}, ("roles", "b")),
    "pipeline": ({"model": "vgg16", "cut": 9, "worker": "site-41", "in_flight": 2}, ()),
    "compressed": ({"model": "vgg16", "cut": 5, "r": 2, "budgets": [2, 2, 16, 64]}, ("budgets",)),
}


@pytest.mark.parametrize("plan", PLANS, ids=kind_of)
def test_file_round_trip(plan: Any, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    save_plan(plan, file)
    again = load_plan(file, vgg(), type(plan))
    assert again == plan
    assert dict(again.notes) == dict(plan.notes) != {}
    fields, tuples = WRITTEN[plan.kind]
    data = json.loads(file.read_text())
    assert {**data, "schema": 2, "kind": plan.kind, **fields} == data
    assert all(type(getattr(again, name)) is tuple for name in tuples)
    assert plan is not PLAN or type(again.splits[0]) is tuple
    assert names_in(tmp_path) == ["plan.json"]


@given(
    place=st.sampled_from([(0, 128, 224), (4, 64, 224), (5, 64, 112), (6, 128, 112), (28, 512, 14), (31, 512, 7)]),
    r=st.integers(-1, 230),
    budgets=st.lists(st.integers(-2, 600), min_size=1, max_size=5),
)
def test_budgets_of_what_a_cut_has_are_a_compressed_plan(
    place: tuple[int, int, int], r: int, budgets: list[int]
) -> None:
    """(cut, maps there, their height): in front of everything the encoder makes 128 of the image's 3."""
    cut, maps, height = place
    plan = CompressedPlan("vgg16", cut, r, tuple(budgets), types=ENDS)
    again = CompressedPlan.from_json(json.loads(json.dumps(plan.to_json())), "plan")
    assert again == plan
    wrong = [i for i, budget in enumerate(budgets) if not 1 <= budget <= maps]
    if not 1 <= r <= height:
        with pytest.raises(
            InputError, match=rf"^there: r is {r}, allowed for maps of {height}x{height}: 1 to {height}"
        ):
            plan.validate(vgg(), "there")
    elif wrong:
        text = rf"^there: budgets\[{wrong[0]}\]: budget is {budgets[wrong[0]]}, allowed: 1 to {maps}$"
        with pytest.raises(InputError, match=text):
            plan.validate(vgg(), "there")
    else:
        assert again.validate(vgg()) == plan


@given(cut=st.integers(-3, 25), in_flight=st.integers(-2, 70), worker=st.sampled_from(["none", "cloud", "site-3"]))
def test_any_cut_of_the_model_is_a_pipeline_plan(cut: int, in_flight: int, worker: str) -> None:
    """The client trains one step at least; one minibatch at least is on its way."""
    types = types_of(*({"client", worker} - {"none"}))
    plan = PipelinePlan("vgg16", cut, worker, in_flight, types=types)
    data = json.loads(json.dumps(plan.to_json()))
    if in_flight < 1:
        with pytest.raises(InputError, match=rf"^there: in_flight is {in_flight}, allowed: 1 or more"):
            PipelinePlan.from_json(data, "there")
        return
    again = PipelinePlan.from_json(data, "plan")
    assert again == plan
    if not 1 <= cut <= 21:
        with pytest.raises(InputError, match=rf"^there: cut is {cut}, allowed: 1\.\.21"):
            plan.validate(vgg(), "there")
    else:
        assert again.validate(vgg()) == plan


@given(
    m=st.lists(st.integers(0, 21), min_size=2, max_size=2),
    b=st.lists(st.integers(0, 300), min_size=3, max_size=3).filter(any),
    roles=st.permutations(["device", "edge", "cloud"]),
)
@settings(max_examples=150)
def test_any_cuts_and_samples_are_a_hybrid_plan(m: list[int], b: list[int], roles: list[str]) -> None:
    """As long as who has no layers has no samples, and there is one sample."""
    plan = HybridPlan("vgg16", tuple(roles), min(m), max(m), tuple(b), types=types_of(*roles))
    again = HybridPlan.from_json(json.loads(json.dumps(plan.to_json())), "plan")
    assert again == plan
    if (b[1] and min(m) == 0) or (b[2] and max(m) == 0):
        with pytest.raises(InputError, match=r"^there: b gives worker [sl] \d+ samples, but m_[sl] is 0"):
            plan.validate(vgg(), "there")
    else:
        assert again.validate(vgg()) == plan
    if m[0] != m[1]:
        with pytest.raises(InputError, match=rf"^there: m_s is {max(m)}, m_l {min(m)}, allowed: 0 <= m_s <= m_l <= 21"):
            replace(plan, m_s=max(m), m_l=min(m)).validate(vgg(), "there")


def test_every_cut_of_every_model_is_a_plan() -> None:
    """From all on the server to all on the device; layers of the tail count."""
    for name, steps in (("vgg16", 21), ("alexnet", 11), ("resnet34", 20)):
        model = get_model(name)
        assert len(model.steps) == steps
        for cut in range(steps + 1):
            plan = CutPlan(name, cut, types=SIDES)
            assert CutPlan.from_json(json.loads(json.dumps(plan.to_json())), "plan").validate(model) == plan
        for cut in (-1, steps + 1):
            with pytest.raises(InputError, match=rf"^there: cut is {cut}, allowed: 0\.\.{steps}"):
                CutPlan(name, cut, types=SIDES).validate(model, "there")


@given(data=st.data(), model=models())
@settings(max_examples=60)
def test_any_valid_plan_round_trips(data: st.DataObject, model: Model) -> None:
    cuts, posts = data.draw(plans(model))
    names = tuple(f"device {i}" for i in range(len(posts[0]) - 1))
    splits = tuple(tuple(p[1:-1]) for p in posts)
    plan = SpatialPlan(model.name, names, tuple(cuts), splits, {"seed": 3}, types=types_of(*names))
    assert plan.validate(model) is plan
    text = json.dumps(plan.to_json())
    assert SpatialPlan.from_json(json.loads(text), "plan").validate(model) == plan


def test_notes_and_fingerprint_may_be_left_out(tmp_path: Path) -> None:
    data = PLAN.to_json()
    del data["notes"]
    assert "fingerprint" not in data
    (tmp_path / "plan.json").write_text(json.dumps(data))
    assert load_plan(tmp_path / "plan.json", vgg(), SpatialPlan).notes == {}


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "plan.json"
    save_plan(PLAN, file)
    before = file.read_bytes()

    def full_disk(self: Path, text: str, *args: Any, **kwargs: Any) -> int:
        with self.open("w") as half:
            half.write(text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(InputError, match=r"plan\.json: cannot be written \(No space left on device\)$"):
        write_text(file, "x" * 1000)
    assert file.read_bytes() == before
    assert names_in(tmp_path) == ["plan.json"]


def test_failed_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "plan.json"
    save_plan(PLAN, file)
    before = file.read_bytes()

    def refused(*args: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(InputError, match=r"plan\.json: cannot be written \(Operation not permitted\)$"):
        save_plan(replace(PLAN, notes={}), file)
    assert file.read_bytes() == before
    assert names_in(tmp_path) == ["plan.json"]


def test_notes_that_are_not_json_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_plan(
            SpatialPlan("vgg16", ("a",), (18,), ((),), {"rows": np.zeros(2)}, types=types_of("a")),
            tmp_path / "plan.json",
        )
    assert names_in(tmp_path) == []


def test_write_replaces_the_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "text"
    write_text(file, "a long old text\n")
    write_text(str(file), "new\n")
    assert file.read_text() == "new\n"


def test_one_device_has_no_rows_to_give() -> None:
    plan = SpatialPlan("vgg16", ("alone",), (3, 18), ((), ()), types=types_of("alone"))
    assert SpatialPlan.from_json(plan.to_json(), "plan").validate(vgg()) == plan


def test_devices_of_every_scenario_can_be_named_in_a_plan() -> None:
    for scenario in SCENARIOS.values():
        names, rows = scenario.device_names, (3,) * (len(scenario.devices) - 1)
        units = len(vgg().units)
        types = dict(zip(names, scenario.devices, strict=True))
        SpatialPlan("vgg16", names, (units,), (rows,), types=types).validate(vgg())
        assert len(set(names)) == len(scenario.devices)
