"""Plans for whoever of a cluster's workers is left, as the same planner makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...agents.registry import AgentSpec
from ...envs.distredge.live import Cluster
from ...envs.distredge.rest import rest_of
from ...envs.distredge.system import System
from ...models.plans import SpatialPlan
from ...runtime.service import proposal
from ...runtime.stream_core import Proposal
from .planning import Planning


class Replanner:
    """Plans for a stream over a cluster.

    Args:
        cluster: the workers.
        plan: for all of them.
        spec: who plans for some of them, or for links that have changed.
        scenario, options: how the cluster's scenario was made.
        seed: of the planner.
        in_flight: images that may be under way at once.
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
    ) -> None:
        self._cluster, self._plan, self._spec, self._scenario = cluster, plan, spec, scenario
        self._options, self._seed, self.in_flight = options, seed, in_flight
        self._planning: Planning | None = None

    def close(self) -> None:
        """Whatever is being planned is not wanted any more."""
        if self._planning is not None:
            self._planning.end()

    def at_once(self, workers: frozenset[str], factors: Mapping[str, float]) -> Proposal:
        """The plan for all of them where nothing has changed, else everything on the best of some workers.

        Args:
            factors: by how much rates have changed, by worker.
        """
        self.close()  # for workers that are not all there, or links that are not as they were
        whole = self._cluster.system
        if workers == set(whole.names) and not factors:
            return self._proposal(whole, self._plan, lasts=True)
        system = System(replace(whole.scenario, **rest_of(whole.scenario, workers, factors)))
        return self._proposal(system, system.everything_on(system.best_provider), lasts=len(workers) == 1)

    def plan(self, workers: frozenset[str], factors: Mapping[str, float]) -> Proposal:
        """What the planner says for some workers, with links as they are now.

        Raises:
            InputError: it has no plan for them.
        """
        scenario = self._cluster.system.scenario
        changes = rest_of(scenario, workers, factors)
        self._planning = Planning(self._spec.name, self._scenario, {**self._options, **changes}, self._seed)
        found = self._planning.result()
        system = System(replace(scenario, **changes))
        plan = SpatialPlan.from_json(found, self._spec.name).validate(system.model)
        return self._proposal(system, plan, lasts=True)

    def _proposal(self, system: System, plan: SpatialPlan, lasts: bool) -> Proposal:
        scenario = self._cluster.system.scenario
        emulated = System(replace(scenario, **rest_of(scenario, system.names)))  # links as they are said to be
        deployment = self._cluster.deployment(plan, self.in_flight, system=emulated)
        expected_s = float(system.evaluate([plan])[0]) * self._cluster.scale
        return proposal(deployment, expected_s, lasts)
