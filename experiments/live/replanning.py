"""Plans for whoever of a cluster's workers is left, as the same planner makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...agents.registry import AgentSpec
from ...envs import get_family
from ...envs.distredge.live import Cluster
from ...envs.distredge.rest import rest_of
from ...envs.distredge.system import System
from ...models.plans import SpatialPlan
from ...runtime.service import proposal
from ...runtime.stream_core import Proposal
from ..play import assess


class Replanner:
    """A planner for a stream over a cluster.

    Args:
        cluster: the workers.
        plan: for all of them.
        spec: who plans for some of them, or for links that have changed.
        scenario, options: how the cluster's scenario was made.
        seed: of the planner.
        in_flight: images that may be under way at once.
        factors: tells by how much every worker's rate has changed.
    """

    def __init__(
        self,
        cluster: Cluster,
        plan: SpatialPlan,
        spec: AgentSpec,
        scenario: str,
        options: Mapping[str, Any],
        seed: int,
        in_flight: int,
        factors: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._cluster, self._plan, self._spec, self._scenario = cluster, plan, spec, scenario
        self._options, self._seed, self.in_flight, self.factors = options, seed, in_flight, factors

    def __call__(self, workers: frozenset[str]) -> Iterator[Proposal]:
        """Plans for some workers: everything on the best of them to go on with, then what the planner says."""
        whole, factors = self._cluster.system, self.factors()
        if workers == set(whole.names) and not factors:
            yield self._proposal(whole, self._plan, lasts=True)
            return
        changes = rest_of(whole.scenario, workers, factors)
        system = System(replace(whole.scenario, **changes))
        alone = system.everything_on(system.best_provider)
        yield self._proposal(system, alone, lasts=len(workers) == 1)
        if len(workers) > 1:
            found = assess(
                get_family("distredge"), self._spec, self._scenario, {**self._options, **changes}, self._seed
            )
            assert found.plan is not None
            plan = SpatialPlan.from_json(found.plan, self._spec.name).validate(system.model)
            yield self._proposal(system, plan, lasts=True)

    def _proposal(self, system: System, plan: SpatialPlan, lasts: bool) -> Proposal:
        scenario = self._cluster.system.scenario
        emulated = System(replace(scenario, **rest_of(scenario, system.names)))  # links as they are said to be
        deployment = self._cluster.deployment(plan, self.in_flight, system=emulated)
        expected_s = float(system.evaluate([plan])[0]) * self._cluster.scale
        return proposal(deployment, expected_s, lasts)
