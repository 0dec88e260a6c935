"""What to say about a name that is none of those that are known."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

MOST_NAMED = 12
MOST_NEAR = 3


def nearest(name: str, known: Collection[str]) -> list[str]:
    """The names that are most like one, whatever their case; swapped letters count as nearest."""
    folded = {word.casefold(): word for word in known}
    asked = name.casefold()
    near = get_close_matches(asked, folded, n=3 * MOST_NEAR)
    near.sort(key=lambda word: sorted(word) != sorted(asked))
    return [folded[word] for word in near[:MOST_NEAR]]


def meant(name: str, known: Collection[str], listing: str = "", more: str = "") -> str:
    """The end of a complaint about an unknown name: all names where they are few, else the nearest first.

    Args:
        name: the unknown one.
        known: those that are.
        listing: the option or command that prints them all; empty for none, then all are told here.
        more: what is allowed beside the names, told where the names are or where none is near.
    """
    names = ", ".join(known)
    if len(known) <= MOST_NAMED:
        return f"known: {names}{more}"
    if near := nearest(name, known):
        return f"did you mean {', '.join(near)}? {f'All of them: {listing}' if listing else f'Known: {names}{more}'}"
    return f"known: {f'those of {listing}' if listing else names}{more}"
