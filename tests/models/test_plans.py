"""Plan files: what is written is read back, and every mistake in one is a single clear line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache
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

from .. import refused
from .strategies import models, plans

# Units 10, 14 and 18 of VGG-16 have 28, 14 and 7 output rows.
DEVICES, CUTS, SPLITS = ("nano-1", "tx2-1", "pi3-1"), (10, 14, 18), ((10, 20), (0, 14), (7, 7))
ROLES = ("cloud", "device", "edge")


def types_of(*names: str) -> dict[str, str]:
    """Some type for everyone."""
    return dict.fromkeys(names, "tx2")


SIDES, ENDS = types_of("device", "edge"), types_of("client", "server")
PLAN = SpatialPlan(
    "vgg16", DEVICES, CUTS, SPLITS, {"agent": "aofl", "latency_s": 0.07},
    types={"nano-1": "nano", "tx2-1": "tx2", "pi3-1": "pi3"},
)  # fmt: skip
CUT = CutPlan("vgg16", 7, {"agent": "linucb_e", "delay_s": 0.7}, types=SIDES)
HYBRID = HybridPlan("vgg16", ROLES, 3, 10, (28, 40, 60), {"agent": "exact", "iteration_s": 9.5}, types=types_of(*ROLES))
PIPELINE = PipelinePlan(
    "vgg16", 9, "site-41", 2, {"agent": "edgemove", "cycle_s": 31.5}, types=types_of("client", "site-41")
)
# Behind its first 5 modules VGG-16 has 64 maps of 112 x 112.
COMPRESSED = CompressedPlan("vgg16", 5, 2, (2, 2, 16, 64), {"agent": "deprune", "score": 0.5}, types=ENDS)
PLANS = (PLAN, CUT, HYBRID, PIPELINE, COMPRESSED)


def kind_of(value: Any) -> str | None:
    """For the names of tests."""
    return getattr(value, "kind", None)


@cache
def vgg() -> Model:
    return get_model("vgg16")


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


@given(data=st.data(), model=models())
def test_any_valid_plan_with_one_number_off_is_refused(data: st.DataObject, model: Model) -> None:
    cuts, posts = data.draw(plans(model))
    names = tuple(f"d{i}" for i in range(len(posts[0]) - 1))
    splits = [list(p[1:-1]) for p in posts]
    at = data.draw(st.integers(0, len(cuts) - 1))
    height = posts[at][-1]
    wrong = data.draw(st.sampled_from([-1, height + 1, 10**9]))
    if len(names) > 1 and data.draw(st.booleans()):
        splits[at][data.draw(st.integers(0, len(names) - 2))] = wrong
        field = f"splits[{at}]"
    else:
        cuts[at] = data.draw(st.sampled_from([-1, 0, len(model.units) + 1, *cuts[:at]]))
        field = f"cuts[{at}]"
    plan = SpatialPlan(model.name, names, tuple(cuts), tuple(tuple(s) for s in splits), types=types_of(*names))
    with refused(start=f"there: {field}"):
        plan.validate(model, "there")


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "cuts decrease": ({"cuts": [14, 10, 18]}, ["cuts[1] is 10", "15..18"]),
    "a cut twice": ({"cuts": [10, 10, 18]}, ["cuts[1] is 10", "11..18"]),
    "a cut at 0": ({"cuts": [0, 14, 18]}, ["cuts[0] is 0", "1..18"]),
    "cuts beyond the model": ({"cuts": [10, 14, 19]}, ["cuts[2] is 19", "15..18"]),
    "cuts end early": ({"cuts": [10, 14, 17]}, ["cuts must end at 18", "17"]),
    "no cuts": ({"cuts": [], "splits": []}, ["cuts must end at 18"]),
    "cuts not integers": ({"cuts": [10, 14.0, 18]}, ["cuts[1] is 14.0", "a whole number"]),
    "cuts with a bool": ({"cuts": [True, 14, 18]}, ["cuts[0] is True", "a whole number"]),
    "cuts a number": ({"cuts": 18}, ["cuts is 18", "a list of whole numbers"]),
    "shares exceed the height": ({"splits": [[10, 20], [0, 15], [7, 7]]}, ["splits[1] is [0, 15]", "0..14"]),
    "a negative row": ({"splits": [[-1, 20], [0, 14], [7, 7]]}, ["splits[0] is [-1, 20]", "0..28"]),
    "rows decrease": ({"splits": [[10, 20], [20, 10], [7, 7]]}, ["splits[1] is [20, 10]", "not decrease"]),
    "too few rows": ({"splits": [[10, 20], [0, 14], [7]]}, ["splits[2] has 1 rows", "allowed: 2"]),
    "too many rows": ({"splits": [[10, 20, 30], [0, 14], [7, 7]]}, ["splits[0] has 3 rows", "allowed: 2"]),
    "too few splits": ({"splits": [[10, 20], [0, 14]]}, ["splits has 2 entries", "3", "one per volume"]),
    "rows not integers": ({"splits": [[10, "20"], [0, 14], [7, 7]]}, ["splits[0][1] is '20'", "a whole number"]),
    "splits not lists": ({"splits": [10, 14, 18]}, ["splits[0] is 10", "a list of whole numbers"]),
    "device twice": ({"devices": ["nano-1", "tx2-1", "nano-1"]}, ["'nano-1' is named twice"]),
    "no device": ({"devices": []}, ["devices is empty"]),
    "types of others": ({"types": {"nano-1": "nano"}}, ["types is of nano-1, expected nano-1, tx2-1, pi3-1"]),
    "devices not names": ({"devices": ["nano-1", 2, "pi3-1"]}, ["devices[1] is 2", "allowed: text"]),
    "wrong model": ({"model": "vgg19"}, ["model is 'vgg19'", "'vgg16'"]),
    "model not a name": ({"model": 16}, ["model is 16", "allowed: text"]),
    "unknown field": ({"colour": "red"}, ["unknown field 'colour'", "model, devices, cuts, splits, notes, types"]),
    "notes not an object": ({"notes": "good"}, ["notes is 'good'", "a mapping"]),
    "unknown field on two lines": ({"a\nb": 1}, ["unknown field 'a\\nb'"]),
    "another schema": ({"schema": 1}, ["schema is 1", "allowed: 2"]),
    "another kind": ({"kind": "temporal"}, ["kind is 'temporal'", "spatial"]),
    "kind not a name": ({"kind": ["spatial"]}, ["kind is ['spatial']", "spatial"]),
}


BAD_CUT: dict[str, tuple[dict[str, Any], list[str]]] = {
    "cut negative": ({"cut": -1}, ["cut is -1", "0..21"]),
    "cut beyond the model": ({"cut": 22}, ["cut is 22", "0..21", "vgg16"]),
    "cut not an integer": ({"cut": 7.0}, ["cut is 7.0", "a whole number"]),
    "cut in words": ({"cut": "7"}, ["cut is '7'", "a whole number"]),
    "cut a bool": ({"cut": True}, ["cut is True", "a whole number"]),
    "cut a list": ({"cut": [7]}, ["cut is [7]", "a whole number"]),
    "no cut": ({"cut": None}, ["cut is None", "a whole number"]),
    "one type": ({"types": {"device": "tx2"}}, ["types is of device, expected device, edge"]),
    "three types": ({"types": {**SIDES, "cloud": "v100"}}, ["types is of device, edge, cloud, expected device, edge"]),
    "no types": ({"types": {}}, ["types is of nobody, expected device, edge"]),
    "types a name": ({"types": "tx2"}, ["types is 'tx2'", "a mapping"]),
    "types not names": ({"types": {"device": "tx2", "edge": 1}}, ["types[edge] is 1", "allowed: text"]),
    "wrong model": ({"model": "resnet34"}, ["model is 'resnet34'", "'vgg16'"]),
    "model not a name": ({"model": None}, ["model is None", "allowed: text"]),
    "unknown field": ({"cuts": [7]}, ["unknown field 'cuts'", "model, cut, notes, types"]),
    "notes not an object": ({"notes": ["good"]}, ["notes is ['good']", "a mapping"]),
    "another schema": ({"schema": 0}, ["schema is 0", "allowed: 2"]),
    "another kind": ({"kind": "temporal"}, ["kind is 'temporal'", "cut"]),
}


BAD_HYBRID: dict[str, tuple[dict[str, Any], list[str]]] = {
    "m_s beyond m_l": ({"m_s": 11}, ["m_s is 11, m_l 10", "0 <= m_s <= m_l <= 21"]),
    "m_s negative": ({"m_s": -1}, ["m_s is -1", "0 <= m_s"]),
    "m_l beyond the model": ({"m_l": 22}, ["m_l 22", "21"]),
    "m_s not an integer": ({"m_s": 3.0}, ["m_s is 3.0", "a whole number"]),
    "m_l in words": ({"m_l": "10"}, ["m_l is '10'", "a whole number"]),
    "m_l a bool": ({"m_l": True}, ["m_l is True", "a whole number"]),
    "no m_s": ({"m_s": None}, ["m_s is None", "a whole number"]),
    "samples without layers": ({"m_s": 0}, ["b gives worker s 40 samples, but m_s is 0", "allowed: 0"]),
    "samples without any layers": ({"m_s": 0, "m_l": 0, "b": [28, 0, 60]}, ["worker l 60 samples, but m_l is 0"]),
    "two shares": ({"b": [64, 64]}, ["b is [64, 64]", "3 numbers"]),
    "four shares": ({"b": [32, 32, 32, 32]}, ["b is [32, 32, 32, 32]", "3 numbers"]),
    "a negative share": ({"b": [140, -12, 0]}, ["b is [140, -12, 0]", "sum to the batch"]),
    "no samples": ({"b": [0, 0, 0]}, ["b is [0, 0, 0]", "sum to the batch"]),
    "shares not whole": ({"b": [28.0, 40, 60]}, ["b[0] is 28.0", "a whole number"]),
    "shares a number": ({"b": 128}, ["b is 128", "a list of whole numbers"]),
    "two workers": ({"roles": ["cloud", "edge"]}, ["roles has 2 names", "3 (the workers o, s and l)"]),
    "worker twice": ({"roles": ["cloud", "edge", "cloud"]}, ["'cloud' is named twice"]),
    "roles not names": ({"roles": ["cloud", "edge", 0]}, ["roles[2] is 0", "allowed: text"]),
    "wrong model": ({"model": "vgg19"}, ["model is 'vgg19'", "'vgg16'"]),
    "unknown field": ({"devices": ["a"]}, ["unknown field 'devices'", "model, roles, m_s, m_l, b, notes, types"]),
    "notes not an object": ({"notes": 3}, ["notes is 3", "a mapping"]),
    "another schema": ({"schema": None}, ["schema is None", "allowed: 2"]),
    "another kind": ({"kind": "temporal"}, ["kind is 'temporal'", "hybrid"]),
}


BAD_PIPELINE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing on the client": ({"cut": 0}, ["cut is 0", "1..21", "vgg16"]),
    "cut negative": ({"cut": -1}, ["cut is -1", "1..21"]),
    "cut beyond the model": ({"cut": 22}, ["cut is 22", "1..21"]),
    "cut not an integer": ({"cut": 9.0}, ["cut is 9.0", "a whole number"]),
    "cut a bool": ({"cut": True}, ["cut is True", "a whole number"]),
    "no cut": ({"cut": None}, ["cut is None", "a whole number"]),
    "none in flight": ({"in_flight": 0}, ["in_flight is 0", "1 or more"]),
    "in_flight in words": ({"in_flight": "2"}, ["in_flight is '2'", "a whole number"]),
    "no worker's name": ({"worker": ""}, ["worker is empty", "none"]),
    "worker by number": ({"worker": 41}, ["worker is 41", "allowed: text"]),
    "no worker": ({"worker": None}, ["worker is None", "allowed: text"]),
    "wrong model": ({"model": "vgg19"}, ["model is 'vgg19'", "'vgg16'"]),
    "model not a name": ({"model": 16}, ["model is 16", "allowed: text"]),
    "unknown field": ({"devices": ["a"]}, ["unknown field 'devices'", "model, cut, worker, in_flight, notes, types"]),
    "notes not an object": ({"notes": "good"}, ["notes is 'good'", "a mapping"]),
    "another schema": ({"schema": 1}, ["schema is 1", "allowed: 2"]),
    "another kind": ({"kind": "temporal"}, ["kind is 'temporal'", "pipeline"]),
}


BAD_COMPRESSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "cut negative": ({"cut": -1}, ["layer is -1", "0 to 35", "vgg16"]),
    "cut beyond the model": ({"cut": 36}, ["layer is 36", "0 to 35"]),
    "cut not an integer": ({"cut": 5.0}, ["cut is 5.0", "a whole number"]),
    "cut a bool": ({"cut": True}, ["cut is True", "a whole number"]),
    "no cut": ({"cut": None}, ["cut is None", "a whole number"]),
    "maps shrink by nothing": ({"r": 0}, ["r is 0", "1 to 112"]),
    "r larger than the map": ({"r": 113}, ["r is 113", "112x112", "1 to 112"]),
    "r not an integer": ({"r": "2"}, ["r is '2'", "a whole number"]),
    "no maps": ({"budgets": [2, 0, 64]}, ["budgets[1]", "budget is 0", "1 to 64"]),
    "more maps than there are": ({"budgets": [2, 2, 65]}, ["budgets[2]", "budget is 65", "1 to 64"]),
    "a negative budget": ({"budgets": [-4]}, ["budgets[0]", "budget is -4", "1 to 64"]),
    "no epochs": ({"budgets": []}, ["budgets is empty", "one for every epoch"]),
    "budgets not whole": ({"budgets": [2, 2.0]}, ["budgets[1] is 2.0", "a whole number"]),
    "budgets with a bool": ({"budgets": [True, 2]}, ["budgets[0] is True", "a whole number"]),
    "budgets a number": ({"budgets": 64}, ["budgets is 64", "a list of whole numbers"]),
    "wrong model": ({"model": "vgg19"}, ["model is 'vgg19'", "'vgg16'"]),
    "model not a name": ({"model": 16}, ["model is 16", "allowed: text"]),
    "unknown field": ({"devices": ["a"]}, ["unknown field 'devices'", "model, cut, r, budgets, notes, types"]),
    "notes not an object": ({"notes": "good"}, ["notes is 'good'", "a mapping"]),
    "another schema": ({"schema": 1}, ["schema is 1", "allowed: 2"]),
    "another kind": ({"kind": "temporal"}, ["kind is 'temporal'", "compressed"]),
}


MISTAKES = [
    pytest.param(plan, *case, id=f"{plan.kind}-{name}")
    for plan, cases in zip(PLANS, (BAD, BAD_CUT, BAD_HYBRID, BAD_PIPELINE, BAD_COMPRESSED), strict=True)
    for name, case in cases.items()
]


@pytest.mark.parametrize(("plan", "change", "words"), MISTAKES)
def test_each_mistake_names_file_and_field(tmp_path: Path, plan: Any, change: dict[str, Any], words: list[str]) -> None:
    check_refused(tmp_path / "bad.json", json.dumps({**plan.to_json(), **change}), words, type(plan))


OTHERS = [(plan, type(other)) for plan in PLANS for other in PLANS if plan is not other]


@pytest.mark.parametrize(("plan", "asked"), OTHERS, ids=kind_of)
def test_a_plan_of_another_kind_than_asked_for(tmp_path: Path, plan: Any, asked: Any) -> None:
    words = [f"kind is {plan.kind!r}", f"allowed: {asked.kind}"]
    check_refused(tmp_path / "plan.json", json.dumps(plan.to_json()), words, asked)


NEEDED = [(plan, field) for plan in PLANS for field in plan.to_json() if field != "notes"]


@pytest.mark.parametrize(("plan", "field"), NEEDED, ids=kind_of)
def test_missing_field(tmp_path: Path, plan: Any, field: str) -> None:
    data = plan.to_json()
    del data[field]
    check_refused(tmp_path / "bad.json", json.dumps(data), [field], type(plan))


def test_notes_may_be_left_out(tmp_path: Path) -> None:
    data = PLAN.to_json()
    del data["notes"]
    (tmp_path / "plan.json").write_text(json.dumps(data))
    assert load_plan(tmp_path / "plan.json", vgg(), SpatialPlan).notes == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is not JSON"]),
        ("{'schema': 1}", ["is not JSON"]),
        (json.dumps(PLAN.to_json())[:-9], ["is not JSON"]),
        ("[1, 2]", ["JSON object"]),
        ("null", ["JSON object"]),
        (b"\xff\xfe\x00", ["is not JSON"]),
    ],
    ids=["empty", "quotes", "cut off", "list", "null", "binary"],
)
def test_not_a_plan_at_all(tmp_path: Path, text: str | bytes, words: list[str]) -> None:
    check_refused(tmp_path / "bad.json", text, words)


def check_refused(file: Path, text: str | bytes, words: list[str], kind: Any = SpatialPlan) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with refused(*words, start=f"{file}: "):
        load_plan(file, vgg(), kind)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.json", tmp_path):
        with refused("cannot be read", start=f"{path}: "):
            load_plan(path, vgg(), SpatialPlan)


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
