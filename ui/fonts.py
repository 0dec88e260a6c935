"""Letters that matplotlib's own font lacks, as in users' names: from another font here, or said to be missing."""

from __future__ import annotations

from functools import cache
from typing import Any

from .console import note

INSTEAD = "?"  # of letters that no font here has
ADVICE = "install one that has them, such as Noto Sans CJK"
_TOLD: list[str] = []  # the first letter that was missing, once it was told
BOXES = ("Last Resort", ".LastResort")  # families that have a box for everything


def families_for(text: str) -> list[str]:
    """Font families that have the letters of a text between them, matplotlib's first."""
    import matplotlib

    return [*matplotlib.rcParams["font.family"], *dict.fromkeys(f for c in _lacking(text) if (f := _family_with(c)))]


def with_letters(text: str) -> str:
    """A text whose letters some font here has; others become ``?``, which is told once."""
    missing = [letter for letter in _lacking(text) if _family_with(letter) is None]
    if missing and not _TOLD:
        _TOLD.append(missing[0])
        note(f"no font of this machine has letters such as {missing[0]}: pictures show {INSTEAD} instead ({ADVICE})")
    return text.translate(dict.fromkeys(map(ord, missing), INSTEAD))


def give_fonts(figure: Any) -> None:
    """Give every text of a figure the fonts that it needs."""
    from matplotlib.text import Text

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _keep_ticks(axis)
    for drawn in figure.findobj(Text):
        text = drawn.get_text()
        if text.isascii() or not _lacking(text):
            continue
        drawn.set_text(with_letters(text))
        drawn.set_fontfamily(families_for(text))


def _keep_ticks(axis: Any) -> None:
    """Ticks write their labels anew whenever they are drawn."""
    labels = [label.get_text() for label in axis.get_ticklabels()]
    shown = [with_letters(label) for label in labels]
    if shown != labels:
        axis.set_ticks(axis.get_ticklocs(), shown)


def _lacking(text: str) -> list[str]:
    """The letters of a text that the default font does not have."""
    if text.isascii():
        return []
    from matplotlib.font_manager import FontProperties, findfont

    known = _letters_of(findfont(FontProperties()))
    return [letter for letter in dict.fromkeys(text) if not letter.isspace() and ord(letter) not in known]


@cache
def _letters_of(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


@cache
def _family_with(letter: str) -> str | None:
    """A font family of this machine that has a letter, sans serif before others."""
    from matplotlib.font_manager import fontManager

    for font in sorted(fontManager.ttflist, key=lambda font: ("Sans" not in font.name, font.weight != 400, font.name)):
        if not font.name.startswith(BOXES) and ord(letter) in _letters_of(font.fname):
            return font.name
    return None
