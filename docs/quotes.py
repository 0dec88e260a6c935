"""Numbers in prose that come from committed results: ``<!--= KEY -->text<!--/-->``, where text is written by a script.

KEY is FAMILY:CLAIM for a claim of one quantity, FAMILY:CLAIM:QUANTITY for another's, FAMILY:CLAIM:verdict; where
`` .1f`` or the like follows, the mean alone in so many digits, without its unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MARK = re.compile(r"<!--= (?P<key>[^>]+?) -->(?P<text>.*?)<!--/-->", re.DOTALL)


def filled(text: str, look_up: Callable[[str], str]) -> str:
    """A text with every quoted number as it is now.

    Raises:
        KeyError: nothing has such a key.
    """
    return MARK.sub(lambda found: f"<!--= {found['key']} -->{look_up(found['key'])}<!--/-->", text)


def keys(text: str) -> list[str]:
    """What a text quotes, in order."""
    return [found["key"] for found in MARK.finditer(text)]
