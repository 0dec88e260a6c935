"""Iterations by the paper's model beside measured ones (Fig. 6): what the command writes and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitgym.experiments.hiertrain import measured

from ...command_line import PNG, Command, files, rows, sketch

MEASURED = Command(measured.PROG, measured.main)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_every_rate_has_a_row_and_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "save_figure", sketch)
    words = "--mbps 10 20 --steps 3 --time-scale 3 --env-kwargs batch=8 inputs=devices cloud=pi3 edge=pi3 --out out"
    called = MEASURED(*words.split())
    assert files("out") == {"measured.csv", "measured.png"}
    assert Path("out/measured.png").read_bytes() == PNG
    found = rows("out/measured.csv")
    assert [float(row["mbps"]) for row in found] == [10.0, 20.0]
    assert all(float(row["model_s"]) > 0 and float(row["timeline_s"]) > 0 and row["steps"] == "3" for row in found)
    assert "model is off by" in called.out


def test_it_is_drawn() -> None:
    made = [measured.Row(mbps, 1.0, 0.9, 0.95, 4, 0) for mbps in (1.5, 3.0)]
    (axes,) = measured.figure(made, "lenet5").axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1.5", "3"]
    assert len(axes.patches) == 6


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--model nobody", "unknown"),
        ("--mbps 0", "--mbps"),
        ("--env-kwargs batch=none", "batch is 'none'"),
        ("--env-kwargs share_links=true --mbps 2", "share_links is true, allowed live"),
    ],
)
def test_bad_command_lines_are_one_line(words: str, named: str) -> None:
    MEASURED.refuses(words, named)
