"""The HierTrain environment, scalar and vector."""

from __future__ import annotations

from typing import Any

from gymnasium.vector import AutoresetMode

from ..core import BatchEnv, ScalarEnv, lane_count
from .dynamics import HierTrainDynamics
from .live_dynamics import dynamics_of
from .scenarios import DEFAULT_SCENARIO


class HierTrainEnv(ScalarEnv):
    """Plan the training of a network over a device, an edge server and a cloud: who trains what, on how many samples.

    ## Description
    The device owns the data. Of the three workers *o* holds the whole network, *l* trains the first m_l layers on b_l
    samples and *s* the first m_s <= m_l layers on b_s samples; both hand their outputs over to o, which also trains
    b_o samples of its own, and get gradients back; at the end weights are averaged among those that trained a layer.
    An iteration takes T_total of Eq. 12, from training profiles and the rates of the two links (device-edge, edge-
    cloud; device and cloud are relayed). One step is a block of iterations under one schedule. Where links drift, their
    rates walk over a grid from block to block, and a new schedule first hands out the weights that workers lack.

    ## Action Space
    ``Box(-1, 1, (8,), float32)``: scores of device, edge and cloud (the highest is o, then s, then l), two cuts (the
    lower is m_s), shares of o, s and l (softmax, rounded by largest remainders; a worker without layers gets none).
    With ``plans="layers"`` ``MultiDiscrete([3] * N)``: the worker of every layer, all samples through all of them.

    ## Observation Space
    ``Box(0, 1000, (21,), float32)`` (``10 + 3 N`` for layers).

    | entries | observation | scaled by |
    | --- | --- | --- |
    | 2 | rates of device-edge and edge-cloud now | their nominal rates |
    | 3 | the whole batch on device, edge, cloud | T_ref |
    | 3 | the batch's samples, all weights, the smallest cut's outputs over the nominal device-edge link | T_ref |
    | 11 | last schedule: mapping (one-hot of 6), m_s, m_l, shares (layers: owner of each, one-hot) | N, batch |
    | 2 | last iteration, share of the episode that is over | T_ref, 1 |

    ## Rewards
    -(T + replanning / iterations of a block) / T_ref, T_ref being an iteration on the edge server alone at nominal
    rates.

    ## Starting State
    All workers hold the same weights. Where links drift, ``reset()`` goes on with the walk and ``reset(seed=...)``
    begins another.

    ## Episode End
    Terminated after the last block. ``info["block"]`` tells of every block: ``iteration_s``, ``replan_s``,
    ``optimal_s`` (the exact optimum at its rates) and ``gap``, these two where the optimum is computed. At the end
    ``info`` holds ``iteration_s`` (mean, replanning included), ``optimal_s``, ``gap`` (mean of T / optimum - 1, without
    replanning), ``replan_s`` (sum), ``speedup`` (T_ref / iteration_s), ``regret_s``, the ``trace`` of all blocks, the
    last block's ``plan``, and the flat figures again under ``metrics``.

    ## Arguments
    * ``scenario``: ``"alexnet-3.5"``, any ``<model>-<Mbps>[-c<cores>]``, ``"alexnet-drift"``, or a YAML file.
    * ``plans``: ``"hybrid"`` or ``"layers"``.
    * ``activation_bits``: of what workers send each other under ``plans="layers"`` (JALAD: 8).
    * ``cost``: ``"paper"`` (Eq. 5-12) or ``"event"`` (the same work without the paper's barriers).
    * ``optimum``: whether the exact optimum is computed (for the paper's cost; NaN otherwise).
    * ``backend``: ``"tables"``, or ``"live"`` (hybrid plans): an iteration of every block is really trained by
      processes of this machine that take the times of device, edge, cloud and links, and weights are really handed
      out; both are measured, and ``info["learnt"]`` tells loss and accuracy.
    * ``time_scale``, ``data``, ``learning_rate``: of ``backend="live"``: by how much all is slower (as this machine
      needs), a folder of images (scikit-learn's digits), 0.01.
    * any field of ``Scenario``: ``gym.make("splitgym/HierTrain-v0", scenario="lenet5-2", edge_cores=2)``.

    ## Vectorized environment
    ``gym.make_vec("splitgym/HierTrain-v0", num_envs=1024)`` steps all lanes at once with the same physics.

    ## Version History
    * v0: first version.

    ## References
    D. Liu, X. Chen, Z. Zhou, Q. Ling, "HierTrain: Fast Hierarchical Edge AI Learning With Hybrid Parallelism in
    Mobile-Edge-Cloud Computing", IEEE Open Journal of the Communications Society, 2020.
    """

    dynamics: HierTrainDynamics

    def __init__(
        self,
        scenario: str = DEFAULT_SCENARIO,
        plans: str = "hybrid",
        activation_bits: int = 32,
        cost: str = "paper",
        optimum: bool = True,
        backend: str = "tables",
        time_scale: float | None = None,
        data: str | None = None,
        learning_rate: float | None = None,
        render_mode: str | None = None,
        **fields: Any,
    ) -> None:
        live = dict(time_scale=time_scale, data=data, learning_rate=learning_rate)
        options = dict(
            scenario=scenario, plans=plans, activation_bits=activation_bits, cost=cost, optimum=optimum, fields=fields
        )
        super().__init__(dynamics_of(backend, 1, options, live), render_mode)


class HierTrainVectorEnv(BatchEnv):
    """:class:`HierTrainEnv` over ``num_envs`` lanes; see there."""

    dynamics: HierTrainDynamics

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str = DEFAULT_SCENARIO,
        plans: str = "hybrid",
        activation_bits: int = 32,
        cost: str = "paper",
        optimum: bool = False,
        backend: str = "tables",
        time_scale: float | None = None,
        data: str | None = None,
        learning_rate: float | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **fields: Any,
    ) -> None:
        live = dict(time_scale=time_scale, data=data, learning_rate=learning_rate)
        options = dict(
            scenario=scenario, plans=plans, activation_bits=activation_bits, cost=cost, optimum=optimum, fields=fields
        )
        dynamics = dynamics_of(backend, lane_count(num_envs), options, live)
        super().__init__(dynamics, autoreset_mode, render_mode, max_episode_steps)
