"""Output on terminals that cannot show everything: nearest characters instead of an error."""

import io
import sys

import pytest

from splitgym.ui.console import entry, stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_encoding_shows_something(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))

    def body(argv: object) -> int:
        stdout().print("▸ α ≤ 3 … 漢")
        return 0

    assert entry("test", body, None) == 0
    sys.stdout.flush()
    shown = raw.getvalue().decode(encoding).strip()
    assert shown == {"utf-8": "▸ α ≤ 3 … 漢", "cp1252": "> a <= 3 … ?"}.get(encoding, "> a <= 3 ... ?")
