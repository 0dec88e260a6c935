"""Frames of an episode lie on top of each other: the same size, axes and limits from the first on, nothing cut off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from splitgym.envs import FAMILIES
from splitgym.envs.figures import steady

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "distredge": ("distredge", {}),
    "l2s": ("l2s", {"rounds": 6}),
    "l2s, rates that change": ("l2s", {"rounds": 6, "mbps_changes": [[3, 10.0]], "load_changes": [[2, 5.0]]}),
    "edgemove": ("edgemove", {"on_device_s": 400.0, "cycle": 300}),
    "hiertrain": ("hiertrain", {"blocks": 8}),
    "hiertrain, by layer": ("hiertrain", {"blocks": 8, "plans": "layers"}),
    "deprune": ("deprune", {}),
    "deprune, many budgets": ("deprune", {"epochs": 5, "shares": [k / 64 for k in range(1, 65)]}),
}


@dataclass(frozen=True)
class Film:
    """The frames of an episode and the figures that they show."""

    frames: list[np.ndarray]
    figures: list[Any]


def filmed(family: str, options: dict[str, Any]) -> Film:
    """An episode at random, drawn before it begins and after every step."""
    film, draw = Film([], []), FigureCanvasAgg.draw

    def kept(canvas: Any) -> None:
        film.figures.append(canvas.figure)
        draw(canvas)

    env = gym.make(FAMILIES[family].env_id, render_mode="rgb_array", disable_env_checker=True, **options)
    env.reset(seed=0)
    env.action_space.seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureCanvasAgg, "draw", kept)
        film.frames.append(env.render())  # type: ignore[arg-type]
        over = False
        while not over:
            over = env.step(env.action_space.sample())[2]
            film.frames.append(env.render())  # type: ignore[arg-type]
    return film


def axes_of(figure: Any) -> list[Any]:
    """Where every axes is, what it goes over and what its ticks say."""
    return [
        (axes.get_position().bounds, axes.get_xlim(), axes.get_ylim(), axes.get_xlabel(), axes.get_ylabel(),
         [[tick.get_text() for tick in ticks] for ticks in (axes.get_xticklabels(), axes.get_yticklabels())])
        for axes in figure.axes
    ]  # fmt: skip


def assert_nothing_is_cut_off(pixels: np.ndarray) -> None:
    """What leaves a picture leaves ink on its edge."""
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (edges[:, :3] > 0.99 * pixels.max()).all()


@pytest.mark.parametrize("setting", SETTINGS)
def test_frames_of_an_episode_lie_on_top_of_each_other(setting: str) -> None:
    film = filmed(*SETTINGS[setting])
    assert len(film.frames) == len(film.figures) > 3
    assert {frame.shape for frame in film.frames} == {film.frames[0].shape}
    first = axes_of(film.figures[0])
    for frame, figure in zip(film.frames, film.figures, strict=True):
        assert_nothing_is_cut_off(frame)
        assert_all_is_within_the_limits(figure)
        assert axes_of(figure) == first
    assert_axes_are_no_placeholders(film.figures[0])
    assert not np.array_equal(film.frames[0], film.frames[-1])


def assert_axes_are_no_placeholders(figure: Any) -> None:
    """They have names and ticks, and do not go from 0 to 1 as empty ones do."""
    assert figure.axes[0].get_title(loc="left")
    assert any(axes.get_xlabel() for axes in figure.axes)
    for axes in figure.axes:
        assert (*axes.get_xlim(), *axes.get_ylim()) != (0.0, 1.0, 0.0, 1.0)
        assert axes.get_ylabel() or axes.get_yticklabels()
        assert "" not in {tick.get_text() for tick in axes.get_yticklabels()}


def assert_all_is_within_the_limits(figure: Any) -> None:
    """No bar and no line ends beyond its axes."""
    for axes in figure.axes:
        right, (low, high) = axes.get_xlim()[1], sorted(axes.get_ylim())
        for bar in (bar for bars in axes.containers for bar in getattr(bars, "patches", ())):
            assert bar.get_x() + bar.get_width() <= right
            assert low <= bar.get_y()
            assert bar.get_y() + bar.get_height() <= high
        for line in (line for line in axes.get_lines() if line.get_transform() == axes.transData):
            assert np.nanmax(line.get_ydata(), initial=low) <= high


@pytest.mark.parametrize("options", [{"scenario": "DC-50"}, {"scenario": "DA-300", "partition": "learned"}], ids=str)
def test_an_axis_that_is_too_short_is_doubled(options: dict[str, Any]) -> None:
    film = filmed("distredge", options)
    ends = [figure.axes[0].get_xlim()[1] for figure in film.figures]
    assert ends == sorted(ends)
    assert ends[-1] > ends[0]
    assert {float(np.log2(end / ends[0])).is_integer() for end in ends} == {True}
    for figure in film.figures:
        places = {axes.get_position().bounds for axes in figure.axes}
        assert places == {axes.get_position().bounds for axes in film.figures[0].axes}


@given(st.floats(1e-6, 1e6), st.floats(0.0, 1e6))
def test_an_axis_ends_where_it_usually_does_or_at_the_next_doubling(usual: float, highest: float) -> None:
    end = steady(usual, highest)
    assert end >= highest * (1 - 1e-9)
    assert end == usual or end < 2.000001 * highest
    assert float(np.log2(end / usual)) == pytest.approx(round(float(np.log2(end / usual))), abs=1e-9)


def test_long_names_leave_room_for_the_axes(tmp_path: Path) -> None:
    path = tmp_path / f"{'a-scenario-of-many-words-' * 4}.yaml"
    boards = "names: [the-left-board-in-the-kitchen-behind-the-fridge, gate]\nmbps: [200, 40]"
    path.write_text(f"model: yolov2\ndevices: [orin-nano, pi3]\n{boards}\n")
    partition = list(range(1, 28))  # more layer-volumes than a legend can list
    film = filmed("distredge", {"scenario": str(path), "partition": partition})
    for frame, figure in zip(film.frames, film.figures, strict=True):
        assert_nothing_is_cut_off(frame)
        assert figure.axes[0].get_position().width > 0.4
    assert any(text.get_text().endswith(" more") for text in film.figures[-1].axes[0].get_legend().get_texts())
