"""A plan that takes long to make says how far it is, and only then."""

import pytest

from splitgym.ui import progress
from splitgym.ui.progress import planning, tell


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(("patience_s", "told"), [(0.0, True), (60.0, False)])
def test_only_what_takes_long_is_told(
    patience_s: float, told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_S", patience_s)
    with planning("joint: planning"):
        for share in (0.0, 0.5, 0.9):
            tell(share, "best 70.1 ms")
    said = lines(capsys)
    assert [line.startswith("joint: planning") for line in said] == [True] * 2 * told
    assert all("best 70.1 ms" in line for line in said)


def test_nobody_is_told_outside(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    with pytest.raises(KeyboardInterrupt), planning("joint: planning"):
        raise KeyboardInterrupt
    tell(0.1, "")
    tell(0.9, "")
    assert lines(capsys) == []
