"""The one check of fields: what it takes for what, and its one line for every mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Interval, Len

from splitgym.ui.errors import InputError
from splitgym.ui.validation import Count, Positive, allowed, read_json, validated


@dataclass(frozen=True)
class House:
    rooms: Annotated[int, Interval(ge=1, le=4)]
    height_m: Positive = 3.0
    doors: tuple[tuple[int, Positive], ...] = ()
    floors: Annotated[tuple[Count, ...], Len(1)] = (1,)
    colour: Literal["red", "blue"] = "red"
    owners: Mapping[Literal["old", "new"], str] | None = None
    lit: bool | None = None

    def __post_init__(self) -> None:
        if self.rooms > len(self.floors) + 2:
            raise InputError(f"rooms is {self.rooms}, allowed: one on a floor and 2 more")


def house(exact: bool = False, **data: Any) -> House:
    return validated(House, {"rooms": 2, **data}, "a.yaml", exact=exact)


def test_what_comes_from_files_and_programs_is_taken_for_what_it_means() -> None:
    found = house(rooms=np.int64(3), height_m=5, doors=[[1, "1e-4"], (2, np.float32(0.5))], floors=[1e3])
    assert found == House(3, 5.0, ((1, 1e-4), (2, 0.5)), (1000,))
    assert (type(found.rooms), type(found.height_m), type(found.floors[0])) == (int, float, int)
    assert house(exact=True, doors=[[1, 2]]).doors == ((1, 2.0),)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"rooms": 5}, "rooms is 5, allowed: 1..4"),
        ({"rooms": True}, "rooms is True, allowed: a whole number, 1..4"),
        ({"rooms": 2.5}, "rooms is 2.5, allowed: a whole number, 1..4"),
        ({"rooms": "2"}, "rooms is '2', allowed: a whole number, 1..4"),
        ({"rooms": 2.0, "exact": True}, "rooms is 2.0, allowed: a whole number, 1..4"),
        ({"height_m": 0}, "height_m is 0, allowed: a finite number above 0"),
        ({"height_m": float("inf")}, "height_m is inf, allowed: a finite number above 0"),
        ({"height_m": True}, "height_m is True, allowed: a finite number above 0"),
        ({"height_m": "1e1", "exact": True}, "height_m is '1e1', allowed: a finite number above 0"),
        ({"height_m": 10**400}, f"height_m is 1{59 * '0'}..., allowed: a finite number above 0"),
        ({"doors": [[1, 2], [2, -1]]}, "doors[1][1] is -1, allowed: a finite number above 0"),
        ({"doors": [[1]]}, "doors[0] is [1], allowed: a list of (whole number, finite number)"),
        ({"doors": 5}, "doors is 5, allowed: a list of lists of (whole number, finite number)"),
        ({"floors": []}, "floors is [], allowed: a list of whole numbers, 1 or more, at least 1 of them"),
        ({"colour": "green"}, "colour is 'green', allowed: red, blue"),
        ({"owners": {"next": "Ann"}}, "owners names 'next', allowed: old, new"),
        ({"owners": {"old": 7}}, "owners[old] is 7, allowed: text"),
        ({"owners": "Ann"}, "owners is 'Ann', allowed: null or a mapping"),
        ({"lit": 1}, "lit is 1, allowed: null or true or false"),
        ({"floors": [1], "rooms": 4}, "rooms is 4, allowed: one on a floor and 2 more"),
        (
            {"height": 3, "rooms": 9},
            "unknown field 'height'; known: rooms, height_m, doors, floors, colour, owners, lit",
        ),
    ],
)
def test_each_mistake_is_one_line(data: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        house(**data)
    assert str(caught.value) == f"a.yaml: {said}"


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match=r"^agent a: hyperparameter rooms is missing$"):
        validated(House, {}, "agent a", what="hyperparameter")
    with pytest.raises(InputError, match=r"^a: unknown field 1; known: rooms, "):  # what is misspelt goes first
        validated(House, {1: 2}, "a")


def test_fields_are_told_in_words() -> None:
    words = allowed(House)
    assert list(words) == ["rooms", "height_m", "doors", "floors", "colour", "owners", "lit"]
    assert (words["rooms"], words["colour"]) == ("a whole number, 1..4", "red, blue")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"kind": "plan", "kind": "plan"}', "field 'kind' is given twice"),
        ('{"kind": "link"}', "kind is 'link', allowed: plan"),
        ("{}", "kind is None, allowed: plan"),
        ("[]", "must hold a JSON object with kind"),
        ("{", "is not JSON (Expecting"),
        (f'{{"kind": "plan", "long": "{2**20 * "x"}"}}', "has more than 1 MB, the most for such a file"),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_file_of_its_kind_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_json(file, 2**20, kind="plan")
    assert str(caught.value).startswith(f"{file}: {said}")
    file.write_text('{"kind": "plan", "cut": 3}')
    assert read_json(file, 2**20, kind="plan") == {"cut": 3}
