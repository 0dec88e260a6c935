"""The EdgeMove environment, scalar and vector."""

from __future__ import annotations

from typing import Any

from gymnasium.vector import AutoresetMode

from ..core import BatchEnv, ScalarEnv, lane_count
from .dynamics import EdgeMoveDynamics
from .live_dynamics import dynamics_of
from .scenarios import DEFAULT_SCENARIO


class EdgeMoveEnv(ScalarEnv):
    """Train a network on a phone that walks through a city, in a pipeline with one of the edge servers around it.

    ## Description
    The client trains the first layers, a worker (an edge server in reach, or the cloud) the others; at most K
    minibatches are on their way under strict 1F1B. An iteration takes the pipeline's steady-state period: the largest
    of what a minibatch occupies of client, link and server, and of its whole way (round trip included) over K. The rate
    falls with the distance to the site, servers have loads that drift and burst, round trips wander. One step is a
    cycle of R iterations; conditions are followed through it. Moving layers, a new worker and falling back on the
    client send weights, and the pipeline fills again. A probe asks all servers in reach, and the cloud, how long a test
    model takes. A cycle is not torn: a site that was left behind serves at the end of its coverage until it is over.

    ## Action Space
    ``MultiDiscrete([L, 18, 2])``: cut 1..L less 1 (L leaves all to the client); stay, one of the 16 listed servers, or
    the cloud; probe or not. ``action="flat"``: the same as one ``Discrete``. ``action="paper"``:
    ``MultiDiscrete([3, 17, 2])``, the cut a layer down, as it is, or up; a new server begins with Alg. 1's cut; no
    cloud. ``action="oracle"``: ``Discrete(1)``, the fastest server and cut of every cycle, switched for nothing.
    An empty place of the list means staying; a worker out of reach cannot be kept, the client falls back on itself.

    ## Observation Space
    ``Dict`` of float32 boxes from 0 to 100: ``state`` (24,), ``servers`` (16, 8) and ``cuts`` (L, 2).

    | entries | observation | scaled by |
    | --- | --- | --- |
    | state, 4 | cut; worker is an edge server; is the cloud; is in reach | L, 1, 1, 1 |
    | state, 4 | the worker's rate, round trip, probed time, its age | near rate, 0.1 s, T, 600 s |
    | state, 4 | last cycle, worst with this worker, last adaptation, share of iterations left | cycle alone, 1 |
    | state, 4 | the cloud's rate, round trip, probed time, its age | near rate, 0.1 s, T, 600 s |
    | state, 8 | cuts, then times, of the last 4 cycles, newest first | L, cycle alone |
    | servers, 8 | in reach; the worker; distance; rate; round trip; probed time; its age; notified | 500 m, as above |
    | cuts, 2 | of every cut: the client's time, both ways over the link near a site | T |

    T is an iteration on the client alone. Servers are listed by their last probed time, then by distance. Probed times
    are 0, their age 10, for servers that were never probed.

    ## Rewards
    -(cycle + adaptation + blocking probe) / a whole cycle on the client alone; the return is minus the training time in
    that unit.

    ## Starting State
    The client holds the network and has just probed the servers around it. Seed i walks trajectory i (of ten);
    ``reset()`` goes on with the next one and with the servers' loads, ``reset(seed=...)`` begins anew.

    ## Episode End
    Terminated when all iterations are done. ``info["cycle"]`` tells of every step ``cycle_s``, ``adaptation_s``,
    ``probe_s``, ``elapsed_s``, ``cut_moves``, ``worker_switches``, ``worker``, ``cut`` and, where the optimum is
    computed, ``oracle_cycle_s``, the fastest cycle from there with free switches. At the end ``info`` holds
    ``elapsed_s``, ``speedup`` (over the client alone), ``training_s``, ``adaptation_s``, ``oracle_s`` (sum of
    ``oracle_cycle_s``), ``regret_s``, the counts, the ``trace`` of all cycles, the last cycle's ``plan``, and the flat
    figures again under ``metrics``.

    ## Arguments
    * ``scenario``: ``"vgg16-cifar10"``, any ``<task>[-city][-x<speed factor>][-<Mbps>mbps]``, or a YAML file.
    * ``action``: ``"absolute"``, ``"flat"``, ``"paper"`` or ``"oracle"``.
    * ``probe``: ``"background"`` (beside the next cycle, free) or ``"blocking"`` (the client waits for it).
    * ``optimum``: whether the fastest cycle is computed in every step.
    * ``backend``: ``"tables"``, or ``"live"``: a client and servers really train, as processes of this machine that
      take the times of the scenario's; a dozen minibatches of every cycle, whose time stands for the others'. Layers
      really move, workers are really switched, and a test model is really trained on every kind of server.
      ``info["learnt"]`` tells loss and accuracy.
    * ``time_scale``, ``data``, ``learning_rate``: of ``backend="live"``: by how much all is slower (as this machine
      needs), a folder of images (scikit-learn's digits), 0.01.
    * any field of ``Scenario``: ``gym.make("splitgym/EdgeMove-v0", scenario="vgg16-agnews", near_mbps=200.0)``.

    ## Vectorized environment
    ``gym.make_vec("splitgym/EdgeMove-v0", num_envs=1024)`` steps all lanes at once with the same physics.

    ## Version History
    * v0: first version.

    ## References
    Z. Dong, Q. He, F. Chen, H. Jin, T. Gu, Y. Yang, "EdgeMove: Pipelining Device-Edge Model Training for Mobile
    Intelligence", WWW 2023.
    """

    dynamics: EdgeMoveDynamics
    renders_steps = True

    def __init__(
        self,
        scenario: str = DEFAULT_SCENARIO,
        action: str = "absolute",
        probe: str = "background",
        optimum: bool = True,
        backend: str = "tables",
        time_scale: float | None = None,
        data: str | None = None,
        learning_rate: float | None = None,
        render_mode: str | None = None,
        **fields: Any,
    ) -> None:
        live = dict(time_scale=time_scale, data=data, learning_rate=learning_rate)
        options = dict(scenario=scenario, action=action, probe=probe, optimum=optimum, fields=fields)
        super().__init__(dynamics_of(backend, 1, options, live), render_mode)


class EdgeMoveVectorEnv(BatchEnv):
    """:class:`EdgeMoveEnv` over ``num_envs`` lanes; see there."""

    dynamics: EdgeMoveDynamics

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str = DEFAULT_SCENARIO,
        action: str = "absolute",
        probe: str = "background",
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
        options = dict(scenario=scenario, action=action, probe=probe, optimum=optimum, fields=fields)
        dynamics = dynamics_of(backend, lane_count(num_envs), options, live)
        super().__init__(dynamics, autoreset_mode, render_mode, max_episode_steps)
