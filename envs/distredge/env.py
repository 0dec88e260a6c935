"""The DistrEdge environment, scalar and vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gymnasium.vector import AutoresetMode

from ..core import BatchEnv, ScalarEnv, lane_count
from .dynamics import DistrEdgeDynamics
from .live_dynamics import dynamics_of
from .scenarios import DEFAULT_SCENARIO


class DistrEdgeEnv(ScalarEnv):
    """Split a CNN by height over unequal devices, one layer-volume at a time.

    ## Description
    A requester sends an image to D devices that run a network together. The network is cut into *layer-volumes*;
    every volume is split by height, device i computing the rows between cut i-1 and cut i of its last layer with
    exactly the input rows (halo) it needs. One episode is one image and one step one layer-volume. Latencies come
    from tables by (kernel, rows), modelled or measured; links and messages from the scenario. Every link is its own,
    or all share the air of one access point (``medium``). What the paper does not print is what its figures imply
    (``inputs="paper"``, the default of named scenarios: float32 images) or what devices and networks of that kind do
    (``inputs="devices"``: images of bytes).

    ## Action Space
    ``Box(-1, 1, (D-1,), float32)``: sorted and mapped to rows 0..H of the volume's last output (Eq. 9). With
    ``partition="learned"`` a step is one unit and a last coordinate above 0 ends the volume there; the split
    counts only then.

    ## Observation Space
    ``Box(0, 100, (k,), float32)``. ``observation="paper"`` is Eq. 7, scaled; ``"full"``, the default, adds the rest.

    | entries | observation | scaled by |
    | --- | --- | --- |
    | D | accumulated latency of every device | T_ref |
    | 4 | height, channels (log2), filter, stride of the last layer to be split | 224, 11, 7, 2 |
    | D-1 | full: the previous volume's split | its height |
    | D | full: backlog of every send thread | T_ref |
    | D | full: rates now | 300 Mbps |
    | 3 | full: MACs share and entering bytes of the stage, share of stages done | all MACs, 8 images, stages |
    | 1 | full: clock as a share of the trace (0 for constant links) | trace length |
    | 3 | full and learned: units and MACs in the open volume, whether it reads the image | all units, all MACs |

    ## Rewards
    0, then T_ref / T at the last step, T_ref being the latency of offloading everything to the best provider at the
    image's rates (``reward="paper"``: 1 / T in 1/s, Eq. 8).

    ## Starting State
    An image waits at the requester. Where links vary, ``reset()`` goes on with the trace at the time the last image
    ended (plus ``gap_s``), and ``reset(seed=...)`` draws new traces and restarts the clock.

    ## Episode End
    Terminated after the last volume. Then ``info`` holds ``latency_s``, ``ips``, ``speedup`` (T_ref / T), ``regret_s``
    (against the best-known plan; NaN without one), ``volumes``, ``throughput_ips`` (images/s where many are in flight:
    what the slowest of all computing, sending, incoming links and a shared air allows; ``ips`` is 1 / latency),
    ``compute_s`` and ``transmit_s`` per device (the scatter message a device gets and all it sends), ``plan``, and the
    flat figures again under ``metrics``. Where links vary also ``series``: the trace's time at the image's start
    (``clock_s``) and the devices' rates then (``mbps``).

    ## Arguments
    * ``scenario``: a name such as ``"DB-50"``, ``"DB-50-resnet50"``, ``"DB-50-shared"``, or the path of a YAML file.
    * ``observation``: ``"full"`` or ``"paper"``.
    * ``reward``: ``"speedup"`` or ``"paper"``.
    * ``partition``: ``"lc-pss"`` (the scenario's alpha), ``"auto"`` (the alpha that physics likes best),
      ``"learned"``, or a list of cut units.
    * ``optimum``: whether regret is computed where links vary.
    * ``backend``: ``"tables"``, or ``"live"``: images go through real workers, and latencies are measured. A scenario
      with ``addresses`` names them (``splitgym-worker``); without, processes of this machine stand for its devices
      (see ``emulate`` and ``time_scale`` of ``Scenario``). The regret is still against what the tables say is best.
    * any field of ``Scenario``: ``gym.make("splitgym/DistrEdge-v0", scenario="DB-50", eta=0.9, tiles=False)``.

    ## Vectorized environment
    ``gym.make_vec("splitgym/DistrEdge-v0", num_envs=1024)`` steps all lanes at once with the same physics.

    ## Version History
    * v0: first version.

    ## References
    X. Hou, Y. Guan, T. Han, N. Zhang, "DistrEdge: Speeding up Convolutional Neural Network Inference on
    Distributed Edge Devices", IPDPS 2022.
    """

    dynamics: DistrEdgeDynamics

    def __init__(
        self,
        scenario: str = DEFAULT_SCENARIO,
        observation: str = "full",
        reward: str = "speedup",
        partition: str | Sequence[int] = "lc-pss",
        optimum: bool = True,
        backend: str = "tables",
        render_mode: str | None = None,
        **fields: Any,
    ) -> None:
        options = dict(
            scenario=scenario, observation=observation, reward=reward, partition=partition, optimum=optimum,
            fields=fields,
        )  # fmt: skip
        super().__init__(dynamics_of(backend, 1, options), render_mode)


class DistrEdgeVectorEnv(BatchEnv):
    """:class:`DistrEdgeEnv` over ``num_envs`` lanes; see there."""

    dynamics: DistrEdgeDynamics

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str = DEFAULT_SCENARIO,
        observation: str = "full",
        reward: str = "speedup",
        partition: str | Sequence[int] = "lc-pss",
        optimum: bool = False,
        backend: str = "tables",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **fields: Any,
    ) -> None:
        options = dict(
            scenario=scenario, observation=observation, reward=reward, partition=partition, optimum=optimum,
            fields=fields,
        )  # fmt: skip
        super().__init__(
            dynamics_of(backend, lane_count(num_envs), options), autoreset_mode, render_mode, max_episode_steps
        )
