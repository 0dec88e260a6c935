"""The Deprune environment, scalar and vector."""

from __future__ import annotations

from typing import Any

from gymnasium.vector import AutoresetMode

from ..core import BatchEnv, ScalarEnv, lane_count
from .dynamics import DepruneDynamics
from .scenarios import DEFAULT_SCENARIO


class DepruneEnv(ScalarEnv):
    """Choose, epoch by epoch, how many feature maps a split network may send through its cut.

    ## Description
    A network is cut in two; the client's half ends in an encoder and a learnt filter, which sends the top B of phi
    maps, the server's half begins with a decoder. Only what crosses the cut costs traffic: B of phi maps forward, their
    gradients back, the filter, the labels. One step is an epoch at one budget; it takes what both halves, encoder and
    decoder compute, and what the link takes. With ``backend="curves"`` accuracies come from a compact learning model
    fitted to recorded real trainings, with ``backend="train"`` torch trains both halves, on an image folder or
    scikit-learn's digits. With ``mask="soft"`` all maps reach the server, weighted by the filter, and B of them count:
    a simulation, which no wire carries out.

    ## Action Space
    ``Discrete(6)``: budgets of 1/32, 1/16, 1/8, 1/4, 1/2 and all of the phi maps (the scenario's ``shares``).

    ## Observation Space
    ``Box(0, 100, (17,), float32)``.

    | entries | observation | scaled by |
    | --- | --- | --- |
    | 1 | share of the epochs that is over | 1 |
    | 2 | test accuracy; test loss | 1, loss of guessing |
    | 1 | feature-map and gradient bytes so far | all epochs without compression |
    | 1 | rate of the link now | its nominal rate |
    | 6 | epochs at every budget so far | epochs |
    | 6 | last budget, one-hot; 0 before the first epoch | 1 |

    ## Rewards
    accuracy_weight x gain of test accuracy - bytes_weight x bytes - time_weight x time, bytes and time as shares of a
    whole training without compression; each of them in ``info["rewards"]``.

    ## Starting State
    Random weights; accuracy is that of guessing. With ``backend="train"`` seed i trains the net of seed i.

    ## Episode End
    Terminated after the last epoch. ``info`` tells of every step ``rewards``, ``budget`` and ``epoch`` (accuracy, loss,
    sent_bytes, epoch_s). At the end it holds ``score`` (accuracy_weight x final accuracy less all costs), ``accuracy``,
    ``bytes_share`` (feature maps and gradients over those without compression), ``sent_bytes``, ``elapsed_s``,
    ``regret`` (the best schedule's score less this one's, both without noise), the ``trace`` of all epochs, the
    ``plan`` (budgets), and the flat figures again under ``metrics``.

    ## Arguments
    * ``scenario``: ``"vgg11-cifar10"``, another recorded training, or a YAML file.
    * ``inputs``: ``"paper"`` (rate, machines and bytes as the paper's text and figures imply them; the default of named
      scenarios) or ``"devices"`` (a phone and a card on 100 Mbit/s, and the training with a falling rate).
    * ``backend``: ``"curves"`` or ``"train"``.
    * ``checkpoints``: folder for ``backend="train"``; trainings that begin alike share their first epochs, and one that
      was stopped goes on.
    * any field of ``Scenario``: ``gym.make("splitgym/Deprune-v0", bytes_weight=0.2)``.

    ## Vectorized environment
    ``gym.make_vec("splitgym/Deprune-v0", num_envs=1024)`` steps all lanes at once with the same physics.

    ## Version History
    * v0: first version.

    ## References
    A. Mudvari, A. Vainio, I. Ofeidis, S. Tarkoma, L. Tassiulas, "Adaptive Compression-Aware Split Learning and
    Inference for Enhanced Network Efficiency", 2023.
    """

    dynamics: DepruneDynamics
    renders_steps = True

    def __init__(
        self,
        scenario: str = DEFAULT_SCENARIO,
        backend: str = "curves",
        checkpoints: str | None = None,
        render_mode: str | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(DepruneDynamics(1, scenario, backend, checkpoints, fields), render_mode)


class DepruneVectorEnv(BatchEnv):
    """:class:`DepruneEnv` over ``num_envs`` lanes; see there."""

    dynamics: DepruneDynamics

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str = DEFAULT_SCENARIO,
        backend: str = "curves",
        checkpoints: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(
            DepruneDynamics(lane_count(num_envs), scenario, backend, checkpoints, fields),
            autoreset_mode,
            render_mode,
            max_episode_steps,
        )
