"""Numbers in prose that come from committed results: ``<!--= KEY -->text<!--/-->``, where text is written by a script.

KEY is FAMILY:CLAIM for a claim of one quantity, FAMILY:CLAIM:QUANTITY for another's, FAMILY:CLAIM:verdict; bench:FIGURE
for a figure of a benchmark, bench:FIGURE:ratio for its ratio; where `` .1f`` or the like follows, the number alone in
so many digits, without its unit. Whole tables stand between ``<!-- table: NAME -->`` and ``<!-- /table -->``, each on a
line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from splitgym.ui.errors import InputError

MARK = re.compile(r"<!--= (?P<key>[^>]+?) -->(?P<text>.*?)<!--/-->", re.DOTALL)
TABLE = re.compile(
    r"^(?P<begin><!-- table: (?P<key>[^>\n]+?) -->\n)(?:.*?\n)??(?P<end><!-- /table -->)$", re.DOTALL | re.MULTILINE
)


def filled(text: str, look_up: Callable[[str], str]) -> str:
    """A text with every quoted number as it is now.

    Raises:
        InputError: keys that nothing has.
    """
    found: dict[str, str] = {}
    unknown = []
    for key in keys(text):
        try:
            found[key] = look_up(key)
        except KeyError:
            unknown.append(key)
    if unknown:
        raise InputError(f"quotes what no committed result has: {', '.join(unknown)}")
    return MARK.sub(lambda match: f"<!--= {match['key']} -->{found[match['key']]}<!--/-->", text)


def with_tables(text: str, make: Callable[[str], str]) -> str:
    """A text with every table as it is now.

    Raises:
        InputError: nothing makes a table of such a name.
    """
    return TABLE.sub(lambda match: f"{match['begin']}{make(match['key'])}\n{match['end']}", text)


def keys(text: str) -> list[str]:
    """What a text quotes, in order, once each."""
    return list(dict.fromkeys(match["key"] for match in MARK.finditer(text)))
