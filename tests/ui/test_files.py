"""YAML files that people write: what is none, or gives a key twice, is refused in one line."""

from pathlib import Path

import pytest
import yaml

from splitgym.ui.errors import InputError
from splitgym.ui.files import read_lines, read_yaml
from splitgym.ui.validation import read_json

from .. import refused


@pytest.mark.parametrize("text", ["a: [", "a: 2026-13-45", "[" * 5000, "!!python/object:os.system {}", "a: \0"])
def test_what_is_not_yaml(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with refused(start=f"{path}: is not YAML ("):
        read_yaml(path)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text('\ufeff{"a": 1}\n', encoding="utf-8")
    assert read_yaml(path) == read_json(path) == {"a": 1}
    assert read_lines(path) == ['{"a": 1}']


def test_a_file_that_is_missing_is_not_said_to_be_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.yaml: cannot be read \(No such file or directory\)$"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a is given twice"),
        ("links:\n  x: 1\n  x: 2\n", "line 3: x is given twice"),
        ("- {n: 1, n: 1}\n", "line 1: n is given twice"),
    ],
)
def test_a_key_given_twice_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with refused(start=f"{path}: {said}"):
        read_yaml(path)


@pytest.mark.parametrize("text", ["a: [1, 2]\nb: {c: 1, d: {c: 2}}\n", "[]", "", "3"])
def test_other_files_are_read_as_they_are(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert read_yaml(tmp_path / "mine.yaml") == yaml.safe_load(text)
