"""YAML files that are none are one line."""

from pathlib import Path

import pytest

from splitgym.ui.errors import InputError
from splitgym.ui.files import read_yaml


@pytest.mark.parametrize("text", ["a: [", "a: 2026-13-45", "[" * 5000, "!!python/object:os.system {}", "a: \0"])
def test_what_is_not_yaml(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: is not YAML (")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_not_said_to_be_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.yaml: cannot be read \(No such file or directory\)$"):
        read_yaml(tmp_path / "a.yaml")
