"""YAML files that people write: a key given twice is refused, wherever it stands."""

from pathlib import Path

import pytest

from splitgym.ui.errors import InputError
from splitgym.ui.files import read_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a is given twice"),
        ("links:\n  x: 1\n  x: 2\n", "line 3: x is given twice"),
        ("- {n: 1, n: 1}\n", "line 1: n is given twice"),
    ],
)
def test_a_key_given_twice_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_yaml(tmp_path / "mine.yaml")
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["a: [1, 2]\nb: {c: 1, d: {c: 2}}\n", "[]", "", "3"])
def test_other_files_are_read_as_they_are(text: str, tmp_path: Path) -> None:
    import yaml

    (tmp_path / "mine.yaml").write_text(text)
    assert read_yaml(tmp_path / "mine.yaml") == yaml.safe_load(text)
