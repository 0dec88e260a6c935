"""Letters that the default font lacks are drawn from another one, or said to be missing; never as boxes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager

from splitgym.ui import fonts
from splitgym.ui.canvas import new_figure, save_figure

LETTERS = "\U0010f8f1\U0010f8f2"  # of the last private use area: fonts of icons do not reach so far
FAMILY = "Letters Of A Test Sans"


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """What was found out about fonts does not outlive a test."""
    before = list(fontManager.ttflist)
    fonts._family_with.cache_clear()
    fonts._TOLD.clear()
    yield
    fontManager.ttflist[:] = before
    fonts._family_with.cache_clear()


def with_square(path: Path) -> None:
    """A font whose letters are filled squares."""
    builder = FontBuilder(1000)
    names = {ord(letter): f"square{i}" for i, letter in enumerate(LETTERS)}
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 700), (900, 700), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    glyphs = {".notdef": TTGlyphPen(None).glyph(), **dict.fromkeys(names.values(), pen.glyph())}
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(names)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    fontManager.addfont(path)


def saved(text: str, path: Path, ticks: bool = False) -> tuple[Any, np.ndarray]:
    """(the text as it is drawn, the pixels of a picture with nothing else in it); no warning is let through."""
    figure = new_figure(3.0, 1.0, layout=None)
    drawn = figure.text(0.1, 0.3, "" if ticks else text, fontsize=20)
    if ticks:
        axes = figure.add_subplot()
        axes.set_xticks([0.5], [text], rotation=20)
        (drawn,) = axes.get_xticklabels()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(figure, path)
    return drawn, matplotlib.image.imread(path)


def test_letters_come_from_a_font_that_has_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_square(tmp_path / "squares.ttf")
    drawn, pixels = saved(f"a{LETTERS}", tmp_path / "picture.png")
    assert drawn.get_text() == f"a{LETTERS}"
    assert drawn.get_fontfamily()[-1] == FAMILY
    filled = (pixels[..., :3] < 0.1).all(axis=2).sum()
    assert filled > 2 * 0.8 * 0.7 * 0.9 * (20 / 72 * 150) ** 2  # two squares of 0.8 x 0.7 em
    assert capsys.readouterr().err == ""


def test_letters_that_no_font_has_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, letters in enumerate((LETTERS, LETTERS[::-1], LETTERS)):
        drawn, _ = saved(f"a{letters}", tmp_path / f"{number}.png", ticks=number > 1)
        assert drawn.get_text() == "a??"
    assert drawn.get_rotation() == 20.0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"no font of this machine has letters such as {LETTERS[0]}: pictures show ? instead")


@pytest.mark.parametrize("text", ["plain", "device–edge … × γ"])
def test_letters_of_the_default_font_stay(text: str, tmp_path: Path) -> None:
    drawn, _ = saved(text, tmp_path / "picture.png")
    assert drawn.get_text() == text
    assert fonts.families_for(text) == fonts.families_for("")
