"""What pictures are made of, and what is drawn in them: agents of a family that played, panels, lines, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs import get_family
from splitgym.experiments.play import assess, make_env, options_for, play
from splitgym.experiments.results import Result

Trace = Mapping[str, np.ndarray]


class Seen(NamedTuple):
    """Episodes as :class:`splitgym.experiments.play.Played`, with a trace."""

    trace: Trace
    metrics: Mapping[str, float]
    plan: Any


class Cast:
    """Agents of a family; each plays once for all tests of the same setting.

    Args:
        family: its name.
        options: of the env, unless a test has others.
        episodes: that they play, as many as the env says when None.
    """

    def __init__(self, family: str, options: Mapping[str, Any], episodes: int | None = None) -> None:
        self.family, self.options, self.episodes = get_family(family), options, episodes
        self._played: dict[Any, tuple[Any, Seen]] = {}
        self._results: dict[Any, Result] = {}

    def played(self, agent: str, scenario: str, **options: Any) -> tuple[Any, Seen]:
        """The env, and what the agent did in it."""
        key = (agent, scenario, *options.items())
        if key not in self._played:
            spec = get_spec(self.family.name, agent)
            env = make_env(self.family, scenario, options_for(spec, {**self.options, **options}))
            found = play(make_agent(self.family.name, agent, env), env, self.episodes)
            assert found.trace is not None
            self._played[key] = env, Seen(found.trace, found.metrics, found.plan)
        return self._played[key]

    def traced(self, agent: str, scenario: str, **options: Any) -> tuple[Any, Trace]:
        """The env, and the trace of its last episode."""
        env, found = self.played(agent, scenario, **options)
        return env, found.trace

    def result(self, agent: str, scenario: str, seed: int = 0, **options: Any) -> Result:
        """Of an evaluation."""
        key = (agent, scenario, seed, *options.items())
        if key not in self._results:
            spec = get_spec(self.family.name, agent)
            self._results[key] = assess(self.family, spec, scenario, {**self.options, **options}, seed, self.episodes)
        return self._results[key]

    def results(self, agents: Sequence[str], scenarios: Sequence[str], seeds: int = 1, **options: Any) -> list[Result]:
        """Scenario by scenario, agent by agent, seed by seed."""
        return [self.result(a, s, seed, **options) for s in scenarios for a in agents for seed in range(seeds)]


def trace_of(result: Result) -> Trace:
    assert result.trace is not None
    return result.trace


def panel(figure: Any, ylabel: str) -> Any:
    """The panel whose vertical axis begins with this label."""
    (found,) = [axes for axes in figure.axes if axes.get_ylabel().startswith(ylabel)]
    return found


def titled(figure: Any, title: str) -> Any:
    """The panel of this title."""
    (found,) = [axes for axes in figure.axes if axes.get_title(loc="left") == title]
    return found


def line(axes: Any, label: str) -> Any:
    """The line of this label, with or without error bars."""
    lines = [drawn for drawn in axes.get_lines() if drawn.get_label() == label]
    lines += [drawn[0] for drawn in axes.containers if drawn.get_label() == label and not hasattr(drawn, "patches")]
    (found,) = lines
    return found


def heights(drawn: Any) -> np.ndarray:
    """Of a line; one with error bars keeps them as objects."""
    return np.asarray(drawn.get_ydata(), dtype=float)


def bars(axes: Any, label: str) -> list[Any]:
    """The bars of this label."""
    (found,) = [drawn for drawn in axes.containers if drawn.get_label() == label and hasattr(drawn, "patches")]
    return list(found.patches)


def unit(label: str) -> float:
    """From seconds to the unit of an axis with this label."""
    return 1e3 if "(ms)" in label else 1.0


def legend_names(figure: Any) -> list[str]:
    """What the only legend lists."""
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]
