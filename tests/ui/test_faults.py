"""Many faults in one line."""

from __future__ import annotations

import pytest

from splitgym.ui.errors import InputError
from splitgym.ui.faults import Faults, few


def test_names_are_told_up_to_a_number() -> None:
    assert few([]) == ""
    assert few(["a", "b"], 2) == "a, b"
    assert few(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_faults_are_told_by_kind_with_what_is_allowed_once() -> None:
    faults = Faults("a.csv")
    faults.check()
    for line in range(2, 7):
        faults.add(f"line {line}: x is 'q'", ", allowed: a number")
    faults.add("line 4: unknown kernel 'z'", "; the model has y")
    faults.add("nothing for w")
    with pytest.raises(InputError) as caught:
        faults.check()
    assert str(caught.value) == (
        "a.csv: line 2: x is 'q', line 3: x is 'q', line 4: x is 'q' and 2 more, allowed: a number; "
        "line 4: unknown kernel 'z'; the model has y; nothing for w"
    )
    assert faults
    assert not Faults("b.csv")
