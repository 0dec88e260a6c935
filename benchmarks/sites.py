"""EdgeMove's cities with more sites, as many of them in reach as by default."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import KDTree

from splitgym.envs.edgemove.city import build_city
from splitgym.envs.edgemove.scenarios import DEFAULT_SCENARIO, Scenario, get_scenario
from splitgym.envs.edgemove.walks import Walks

EVERY = 50  # places of a walk, of which one counts


def sites_apart(count: int) -> dict[str, Any]:
    """The default scenario's fields with so many sites, of which as many cover a place of the walks as by default."""
    usual = get_scenario(DEFAULT_SCENARIO)
    fields, wanted = {"n_sites": count, "coverage_m": usual.coverage_m}, in_reach(usual)
    for _ in range(3):
        share = (wanted / in_reach(get_scenario(DEFAULT_SCENARIO, **fields))) ** 0.5
        fields["coverage_m"] = [metres * share for metres in fields["coverage_m"]]
    return fields


def in_reach(scenario: Scenario) -> float:
    """How many sites cover a place of the walks, on average."""
    city = build_city(scenario)
    walks = Walks(scenario, city)
    places = np.concatenate([walks.places_m[:, walk, :last:EVERY].T for walk, last in enumerate(walks.last)])
    covered = KDTree(places).query_ball_point(city.position_m, city.radius_m, return_length=True)
    return float(covered.sum() / len(places))
