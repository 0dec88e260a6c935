"""What a pipeline's old weights cost: accuracy over time with K minibatches in flight (EdgeMove, Fig. 6).

``python -m splitgym.experiments.edgemove.staleness`` trains a network in EdgeMove's pipeline. Every minibatch runs both
passes on the weights that the client had at its forward pass, up to K - 1 updates old; the server is never stale. One
in flight is plain SGD. Time is not measured: a minibatch takes what the environment's model says of VGG-16.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from ...envs.edgemove.pipeline import period_s
from ...envs.edgemove.scenarios import get_scenario
from ...envs.edgemove.system import System
from ...models.lookup import get_model
from ..studies import OnShare, Record, Result, Settings, Trial
from ..study_command import Study, Summary, new_table, spread
from .staleness_figure import figure, groups_of, lost_points

if TYPE_CHECKING:
    from ...runtime.training.data import Dataset

MODEL, BATCH, CUT, MINIBATCHES = "lenet5", 16, 4, 2400  # cut behind pool2: the convolutions are the client's
RATES = (0.005, 0.02)
IN_FLIGHT = (1, 2, 4, 8)
CYCLE = 100  # minibatches between two moves of one layer
SEEDS = 5
POINTS = 12  # of a training's accuracy
TASK = "vgg16-cifar10"  # the scenario whose minibatches set the time


def trials(seeds: int, quick: bool) -> list[Trial]:
    """Seed by seed: K in flight at either rate, and two in flight with a cut that moves."""
    found = []
    for seed in range(seeds):
        for rate in RATES[: 1 if quick else 2]:
            for in_flight, moving in (*((k, False) for k in IN_FLIGHT[: 2 if quick else None]), (2, True)):
                settings = {
                    "model": MODEL, "cut": CUT, "in_flight": in_flight, "moving": moving, "rate": rate, "batch": BATCH,
                    "minibatches": 48 if quick else MINIBATCHES, "cycle": 10 if quick else CYCLE, "seed": seed,
                }  # fmt: skip
                found.append(Trial(f"{in_flight}-in-flight{'-moving' * moving}-rate{rate:g}-seed{seed}", settings))
    return found


def train(settings: Settings, data: Dataset, on_share: OnShare) -> Result:
    """One training: accuracies on its way, loss and share that was right while it learned."""
    from ...runtime.training.back import Back
    from ...runtime.training.half import Half, Recipe, Scale, untrained
    from ...runtime.training.local import LocalTraining
    from ...runtime.training.order import Batches
    from ...runtime.training.pipeline import CLIENT, SERVER, Client, PipelineRules
    from ...runtime.wire_training import Minibatch, Move
    from ..cut_training import accuracy, network_of

    model, most, seed = get_model(settings["model"]), settings["in_flight"], settings["seed"]
    batches, scale, steps = Batches(data, settings["batch"], seed), Scale.of(data), len(model.steps)

    def half() -> Half:
        return Half(untrained(model, seed), Recipe(), scale, stashes=most > 1)

    cut = settings["cut"]
    make = {
        CLIENT: lambda: Client(half(), batches, cut, most, recovers=False),
        SERVER: lambda: Back(SERVER, half(), batches.largest, cut, at_once=True, recovers=False),
    }
    local = LocalTraining(PipelineRules((CLIENT, SERVER), steps, most), make, every=None)
    count, cycle = settings["minibatches"], settings["cycle"]
    marks = [count * point // POINTS for point in range(1, POINTS + 1)]
    curve, drains, done = [], 0, 0
    rng = np.random.default_rng([seed, 2])
    for mark in marks:
        while done < mark:
            stop = min(mark, (done // cycle + 1) * cycle)
            local.submit(*(Minibatch(number, cut, settings["rate"]) for number in range(done, stop)))
            done = stop
            if settings["moving"] and done % cycle == 0:
                after = _moved(cut, steps, rng)
                local.submit(Move(cut, after))
                cut, drains = after, drains + 1
            local.deliver()
        if mark == count:
            local.submit(Move(cut, cut))  # the last minibatches leave the pipeline
            local.deliver()
        parts = [(network_of(local, CLIENT), 0, cut), (network_of(local, SERVER), cut, steps)]
        curve.append(accuracy(parts, data, scale))
        on_share(done / count)
    last = [told.measures for told in local.done[-max(1, count // 10) :] if "samples" in told.measures]
    return {
        "minibatches": marks,
        "curve": [round(value, 4) for value in curve],
        "accuracy": curve[-1],
        "train_accuracy": sum(one["right"] for one in last) / sum(one["samples"] for one in last),
        "drains": drains,
    }


def _moved(cut: int, steps: int, rng: np.random.Generator) -> int:
    """One layer to either side (Sec. 4.2), and back where there is none."""
    after = cut + int(rng.choice((-1, 1)))
    return after if 1 <= after < steps else 2 * cut - after


def minibatch_s() -> dict[str, float]:
    """Seconds of a minibatch by who trains: on the client alone ("0"), and with so many in flight, at the best cut.

    As the environment models the task, close to a server with its slower GPU, without load.
    """
    scenario = get_scenario(TASK)
    system, link = System(scenario), 1e6 * scenario.near_mbps
    rtt_s = float(np.mean(scenario.edge_rtt_s))
    cuts = slice(1, -1)
    one_way_s = system.link_bits[cuts] / link
    found = {"0": float(system.client_s[-1])}
    for most in IN_FLIGHT:
        periods = period_s(system.client_s[cuts], system.server_s[0][cuts], one_way_s, one_way_s, rtt_s, most)
        found[str(most)] = float(periods.min())
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def summarise(records: Sequence[Record]) -> Summary:
    """What ships: every training in short, and the time of a minibatch."""
    first = records[0]["settings"]
    runs = [
        {
            **{name: record["settings"][name] for name in ("in_flight", "moving", "rate", "seed")},
            **{name: record["result"][name] for name in ("accuracy", "drains", "curve")},
            "train_accuracy": round(record["result"]["train_accuracy"], 5),
        }
        for record in records
    ]
    return {
        "settings": {name: first[name] for name in ("model", "cut", "batch", "cycle")},
        "minibatches": records[0]["result"]["minibatches"],
        "minibatch_s": minibatch_s(),
        "task": TASK,
        "runs": runs,
    }


def table(summary: Summary) -> tuple[Table, list[str]]:
    """Accuracies by rate and K, and what they lose to plain SGD of the same seed."""
    made = new_table("rate", "in flight", "training (%)", "lost", "test (%)", "lost", "ms a minibatch")
    for (rate, in_flight, moving), group in groups_of(summary).items():
        cells = []
        for name in ("train_accuracy", "accuracy"):
            cells.append(spread([100.0 * run[name] for run in group]))
            cells.append(spread(lost_points(summary, group, name)))
        time_ms = f"{1e3 * summary['minibatch_s'][str(in_flight)]:.0f}"
        made.add_row(f"{rate:g}", f"{in_flight}{', cut moves' * moving}", *cells, time_ms)
    seeds = len({run["seed"] for run in summary["runs"]})
    return made, [
        f"mean ± spread over {seeds} seeds; lost: points to one in flight, which is plain SGD; training: share of the "
        "last tenth's batches that was right; time as modelled for "
        f"{summary['task']}, whose device alone takes {1e3 * summary['minibatch_s']['0']:.0f} ms"
    ]


STUDY = Study(
    prog="python -m splitgym.experiments.edgemove.staleness",
    about=(
        "What a pipeline's old weights cost in accuracy. With K minibatches in flight the client's gradients are of\n"
        "weights up to K - 1 updates old; more in flight train faster. A small network is trained with K = 1 (plain\n"
        "SGD), 2, 4 and 8 at two learning rates, and with a cut that moves every cycle, which drains the pipeline."
    ),
    shipped=Path(__file__).with_name("staleness.json"),
    shape=get_model(MODEL).input,
    seeds=SEEDS,
    trials=trials,
    train=train,
    summarise=summarise,
    table=table,
    draw=figure,
)


main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
