"""The L2S environment, scalar and vector."""

from __future__ import annotations

from typing import Any

from gymnasium.vector import AutoresetMode

from ..core import BatchEnv, ScalarEnv, lane_count
from .dynamics import L2SDynamics
from .live_dynamics import dynamics_of
from .scenarios import DEFAULT_SCENARIO


class L2SEnv(ScalarEnv):
    """Choose where to cut a network in every round of its training, between an end device and an edge server.

    ## Description
    An end device owns the data and may not show it; an edge server is fast. In every round one batch is trained: the
    device runs the layers in front of the partition point, sends their output (and the labels), the server runs the
    rest forward and backward and sends the gradient back, the device finishes. The device knows its own times but of
    the rest only the sum for the point it chose: the link's rate and the server's speed are hidden and may change.
    The round's delay is d = d^m + d^e + noise (Sec. III-B), d^e = two messages plus the server's training.

    On a link that follows a trace, bits flow at its rate as it changes: the first message from when the device has run
    its part forward, the second from when the server is done, each behind its fixed and copy costs. A round that meets
    an outage goes on once the link is back. Weights that an action asks for flow in front of the round, all others
    behind it. (The paper leaves these moments open: they are assumptions.) The delays of all points, the optimum,
    regret and the clock are of these times. Rates that change at given rounds (``mbps_changes``) hold through each.

    ## Action Space
    ``Discrete(K)``: 0..K-1 stand for the partition points P^c..P, P being all on the device. With ``sync="ask"``
    there are twice as many: K..2K-1 stand for the same points after a synchronisation of the weights.

    ## Observation Space
    ``Dict`` of float32 boxes. Delays are in units of the delay on the device alone (PDT).

    | key | shape | range | what |
    | --- | --- | --- | --- |
    | contexts | (K, 8) | 0..1 | x_p of Sec. IV-A: MACs by kind, bytes both ways, weights by kind of the back part, each divided by its maximum; 0 for P |
    | device_delay | (K,) | 0..1 | d^m of every point |
    | last_edge_delay | (1,) | -1e6..1e6 | observed d^e of the last round; 0 when nothing was observed (first round, P) |
    | last_point | (K,) | 0, 1 | one-hot choice of the last round; all 0 in the first |
    | round | (1,) | 0..1 | share of the episode that is over |
    | stale_layers | (P,) | 0, 1 | layers that have changed sides since the last synchronisation |

    ## Rewards
    Minus the round's delay over PDT's. ``reward="total"`` charges the time of synchronisation too. A round that trains
    layers on old copies costs ``accuracy_worth`` times the accuracy that it loses, nothing by default. No published
    figure says what a single one loses: it is ``stale_cost``, or, where ``stale_curve`` names recorded trainings, what
    a curve says that was fitted to this suite's own recordings (:mod:`splitgym.envs.l2s.staleness`): the longer ago the
    last synchronisation, the more. With it and ``reward="total"`` ``sync_period`` has an optimum.

    ## Starting State
    Both sides hold the same weights and nothing is known of the edge. Where the link follows a trace, ``reset()``
    goes on with it and ``reset(seed=...)`` restarts it (and draws a new one if it is drawn by seed).

    ## Episode End
    Terminated after T rounds. ``info["round"]`` tells of every round: ``point``, ``delay_s``, ``edge_delay_s`` as
    observed, ``oracle_delay_s`` (least expected delay of all points), ``sync_s``, ``stale`` (1 where layers were trained
    on copies that the other side has changed since), ``accuracy_cost`` (the accuracy which that loses), ``regret_s`` so
    far. At the end ``info`` holds ``delay_s``, ``edge_delay_s`` and ``oracle_delay_s`` a round, ``sync_s``, ``total_s`` (rounds and
    synchronisation), ``saved`` (share of PDT's time), ``regret_s`` (expected delay beyond the optimum's, summed),
    ``stale_rounds`` and ``accuracy_cost`` (the share of accuracy that they lose),
    the ``trace`` of all rounds (``mbps``: the rate that they begin with), ``plan``, and the flat figures again under
    ``metrics``.

    ## Arguments
    * ``scenario``: ``"resnet34-gpu-60"``, any ``<model>-<edge>-<Mbps>``, ``"resnet34-switch"``, or a YAML file.
    * ``reward``: ``"delay"`` or ``"total"``.
    * ``sync``: ``"period"`` (every ``sync_period`` rounds), ``"change"`` (whenever the point changes, L2S-FWS),
      ``"ask"`` (periodically, and whenever an action asks for it).
    * ``record``: whether episodes keep the trace of their rounds.
    * ``backend``: ``"tables"``, or ``"live"``: rounds are really trained by processes of this machine that take the
      times of the device, the edge server and the link; delays are measured, and ``info["learnt"]`` tells loss and
      accuracy. Regret stays the expected delay beyond the optimum's, by the tables.
    * ``time_scale``, ``data``, ``learning_rate``: of ``backend="live"``: by how much all is slower (as this machine
      needs), a folder of images (scikit-learn's digits), 0.01.
    * any field of ``Scenario``: ``gym.make("splitgym/L2S-v0", scenario="vgg16-gpu-100", privacy_point=8)``.

    ## Vectorized environment
    ``gym.make_vec("splitgym/L2S-v0", num_envs=1024)`` steps all lanes at once with the same physics.

    ## Version History
    * v0: first version.

    ## References
    L. Zhang, J. Xu, "Learning the Optimal Partition for Collaborative DNN Training with Privacy Requirements",
    IEEE Internet of Things Journal, 2022.
    """  # noqa: E501

    dynamics: L2SDynamics
    renders_steps = True

    def __init__(
        self,
        scenario: str = DEFAULT_SCENARIO,
        reward: str = "delay",
        sync: str = "period",
        record: bool = True,
        backend: str = "tables",
        time_scale: float | None = None,
        data: str | None = None,
        learning_rate: float | None = None,
        render_mode: str | None = None,
        **fields: Any,
    ) -> None:
        live = dict(time_scale=time_scale, data=data, learning_rate=learning_rate)
        options = dict(scenario=scenario, reward=reward, sync=sync, record=record, fields=fields)
        super().__init__(dynamics_of(backend, 1, options, live), render_mode)


class L2SVectorEnv(BatchEnv):
    """:class:`L2SEnv` over ``num_envs`` lanes; see there."""

    dynamics: L2SDynamics

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str = DEFAULT_SCENARIO,
        reward: str = "delay",
        sync: str = "period",
        record: bool = False,
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
        options = dict(scenario=scenario, reward=reward, sync=sync, record=record, fields=fields)
        dynamics = dynamics_of(backend, lane_count(num_envs), options, live)
        super().__init__(dynamics, autoreset_mode, render_mode, max_episode_steps)
