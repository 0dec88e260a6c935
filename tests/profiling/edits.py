"""Edits that spoil a file."""

from __future__ import annotations

from collections.abc import Callable

Edit = Callable[[str], str]


def swap(old: str, new: str) -> Edit:
    """Another text in the first place where there is this one."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


def without(*starts: str) -> Edit:
    """No lines that begin so."""

    def edit(text: str) -> str:
        kept = [line for line in text.splitlines() if not line.startswith(starts)]
        assert len(kept) < len(text.splitlines())
        return "\n".join(kept)

    return edit
