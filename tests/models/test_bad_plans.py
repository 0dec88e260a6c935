"""Every mistake in a plan file is a single clear line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.models.model import Model
from splitgym.models.plans import SpatialPlan, load_plan, save_plan

from .. import refused
from .plan_cases import PLAN, PLANS, SIDES, kind_of, types_of, vgg
from .strategies import models, plans


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


@pytest.mark.parametrize("plan", PLANS, ids=kind_of)
def test_a_plan_is_for_the_network_it_was_made_for_and_not_for_its_namesake(tmp_path: Path, plan: Any) -> None:
    model, file = vgg(), tmp_path / "plan.json"
    save_plan(replace(plan, fingerprint=model.fingerprint), file)
    assert load_plan(file, model, type(plan)).fingerprint == model.fingerprint
    last = model.units[-1]
    namesake = replace(model, units=(*model.units[:-1], replace(last, name=f"{last.name}-2")))
    with refused("fingerprint is", model.fingerprint, namesake.fingerprint, "another network", start=f"{file}: "):
        load_plan(file, namesake, type(plan))


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
