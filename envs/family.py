"""The registry of families: what scripts and tests that cover all of them need to know of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import gymnasium as gym

from ..ui.errors import InputError


@dataclass(frozen=True)
class Family:
    """One system of the suite: everything the scripts and the registry-wide tests need to know.

    Args:
        name: the name on the command line (``--env``).
        title: for people.
        env_id: Gymnasium id.
        entry_point, vector_entry_point: import paths (strings, so that specs stay JSON-able).
        scenarios: all scenario names.
        scenario_forms: how further scenarios are named, for --help.
        default_scenario: trained when none is named.
        groups: named groups of scenarios (the paper's tables).
        headline: the metric that ranks agents.
        lower_is_better: whether less of it is better.
        regret: the metric that is the distance of ``headline`` to the best known; NaN where none is known. None where
            the optimum is exact and in the metrics.
        regret_note: a line below tables that says what regret is against, where that is not the best-known plan.
        exact: whether regret is against an exact optimum.
        paired: the metric by which episodes of different luck compare: the distance to the optimum of the same episode,
            in expectation where it can be; ``regret`` by default.
        terms: metrics that the reward is made of, beside ``headline``; dashboards chart them.
        labels: metric names for people, where the name and its unit do not say enough.
        summaries: one line for a scenario's name.
        agents: module with the family's agents, imported only when agents are used. It holds ``AGENTS``
            (``AgentSpec``s) and ``DEFAULT_AGENT``, and may hold ``EVAL_AGENTS`` (names that eval compares by default)
            and ``plan_spec(path)``.
        experiments: module with the family's pictures, empty for none of its own. It may hold
            ``draw_plan(env, plan, title)``, ``eval_figures(results, groups)`` and, where episodes have a trace,
            ``draw_trace(env, trace, title)`` (name -> figure) and ``curve_rows(env, trace)``.
        live: module that makes trainings of the family's plans (:class:`.live_training.TrainingFamily`), empty where
            plans are no trainings.
    """

    name: str
    title: str
    env_id: str
    entry_point: str
    vector_entry_point: str
    scenarios: tuple[str, ...]
    default_scenario: str
    headline: str
    agents: str
    experiments: str = ""
    live: str = ""
    lower_is_better: bool = True
    regret: str | None = None
    regret_note: str = ""
    exact: bool = False
    paired: str | None = None
    scenario_forms: str = ""
    terms: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    summaries: Mapping[str, str] = field(default_factory=dict)

    @property
    def paired_regret(self) -> str | None:
        """The metric that says how far an episode was from its own optimum, whatever its luck."""
        return self.paired or self.regret


FAMILIES: dict[str, Family] = {}


def register_family(family: Family) -> None:
    """Add a family and register its env with Gymnasium; doing it twice changes nothing."""
    FAMILIES[family.name] = family
    if family.env_id not in gym.registry:
        gym.register(id=family.env_id, entry_point=family.entry_point, vector_entry_point=family.vector_entry_point)


def get_family(name: str) -> Family:
    """Family by name.

    Raises:
        InputError: unknown name; the message lists the known ones.
    """
    if name not in FAMILIES:
        raise InputError(f"--env: unknown environment {name!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]
