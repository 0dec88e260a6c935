"""Plans for whoever is left, and for links that have changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from splitgym.agents.registry import get_spec
from splitgym.envs import get_family
from splitgym.envs.distredge.live import Cluster, Emulation, paces
from splitgym.envs.distredge.rest import rest_of
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.experiments.live.replanning import Replanner
from splitgym.experiments.play import assess
from splitgym.runtime.stream_core import Proposal

SCENARIO, SCALE = "LB-lenet5", 5.0
NOTHING: Any = None
CLUSTER = Cluster(System(get_scenario(SCENARIO)), NOTHING, NOTHING, ("11" * 32,), Emulation("table", SCALE))
ALL = frozenset(CLUSTER.system.names)


def proposals(workers: frozenset[str], factors: Mapping[str, float]) -> list[Proposal]:
    """All that is proposed for some workers."""
    plan = CLUSTER.system.everything_on(0)
    replanner = Replanner(CLUSTER, plan, get_spec("distredge", "coedge"), SCENARIO, {}, 0, 1)
    found = replanner.at_once(workers, factors)
    return [found] if found.lasts else [found, replanner.plan(workers, factors)]


@pytest.mark.parametrize("workers", [ALL, ALL - {CLUSTER.system.names[0]}])
def test_links_that_have_changed_are_for_the_planner_and_not_for_the_emulation(workers: frozenset[str]) -> None:
    slow = max(workers)
    found = proposals(workers, {slow: 0.05})
    assert len(found) == 2
    scenario = CLUSTER.system.scenario
    left = System(get_scenario(SCENARIO, **rest_of(scenario, workers)))
    for one in found:
        assert set(one.workers) == workers
        assert (one.content.paces, one.content.requester) == paces(left, one.content.plan, SCALE)
    told = proposals(workers, {})
    assert found[-1].content.plan.splits != told[-1].content.plan.splits  # the planner was told
    assert found[0].expected_s >= told[0].expected_s or len(told) == 1


@pytest.mark.parametrize("agent", ["coedge", "aofl", "offload"])
def test_the_plan_for_who_is_left_is_the_planners_for_such_a_cluster(agent: str) -> None:
    """As if whoever was lost had never been there, under the names that they have."""
    scenario, family, spec = CLUSTER.system.scenario, get_family("distredge"), get_spec("distredge", agent)
    left = [i for i in range(CLUSTER.system.n_devices) if i != 1]
    replanner = Replanner(CLUSTER, CLUSTER.system.everything_on(0), spec, SCENARIO, {}, 0, 1)
    found = replanner.plan(frozenset(CLUSTER.system.names[i] for i in left), {}).content.plan
    fields = {"devices": scenario.devices, "mbps": scenario.mbps, "names": CLUSTER.system.names}
    own = assess(family, spec, SCENARIO, {name: [values[i] for i in left] for name, values in fields.items()}, 0)
    assert own.plan is not None
    assert (found.devices, found.cuts, found.splits) == (
        tuple(own.plan["devices"]),
        tuple(own.plan["cuts"]),
        tuple(map(tuple, own.plan["splits"])),
    )
