"""What few bits cost: training with quantised activations and gradients at the cut (JALAD, HierTrain Sec. VI-C).

``python -m splitgym.experiments.hiertrain.eight_bits`` trains a network cut in two. What crosses is quantised as JALAD
does it: every tensor's values become one of 2^c levels between its least and its largest (c = 8 in the paper), with the
two ends beside them. The other side goes on with what comes out again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ...models.lookup import get_model
from ..studies import OnShare, Record, Result, Settings, Trial
from ..study_command import Study, Summary, new_table, spread
from .eight_bits_figure import FLOAT, figure, groups_of, lost_points

if TYPE_CHECKING:
    from ...runtime.training.data import Dataset

MODEL, BATCH, RATE, ROUNDS = "lenet5", 16, 0.005, 2400
PLANS = (  # steps in front of the cut, bits of activations, bits of gradients
    (4, 32, 32), (2, 8, 8), (4, 8, 8), (5, 8, 8), (4, 8, 32), (4, 32, 8), (4, 4, 4), (4, 2, 2),
)  # fmt: skip
ENDS_BYTES = 8  # of a tensor's least and largest value
SEEDS = 5
POINTS = 10  # of a training's accuracy


def trials(seeds: int, quick: bool) -> list[Trial]:
    """Seed by seed; unquantised, where the cut lies has no say."""
    return [
        Trial(
            f"cut{cut}-activations{up}-gradients{down}-seed{seed}",
            {
                "model": MODEL, "cut": cut, "activation_bits": up, "gradient_bits": down, "batch": BATCH, "rate": RATE,
                "rounds": 40 if quick else ROUNDS, "seed": seed,
            },
        )
        for seed in range(seeds)
        for cut, up, down in (PLANS[:1] + PLANS[2:3] if quick else PLANS)
    ]  # fmt: skip


def train(settings: Settings, data: Dataset, on_share: OnShare) -> Result:
    """One training: accuracies on its way, and bytes that crossed in a round."""
    from ..cut_training import CutTraining
    from .squeezing import SqueezingDevice, SqueezingEdge, squeezed

    model, rounds, cut = get_model(settings["model"]), settings["rounds"], settings["cut"]
    up, down = settings["activation_bits"], settings["gradient_bits"]
    training = CutTraining(
        model, data, settings["seed"], settings["batch"],
        device=partial(SqueezingDevice, up), edge=partial(SqueezingEdge, down),
    )  # fmt: skip
    right, curve = [], []
    crossing = None if up == FLOAT else partial(squeezed, bits=up)
    for number in range(rounds):
        right.append(training.round(number, cut, settings["rate"]))
        if (number + 1) * POINTS // rounds > number * POINTS // rounds:
            curve.append(training.accuracy(cut, crossing))
            on_share((number + 1) / rounds)
    last = right[-max(1, rounds // 10) :]
    values = settings["batch"] * model.cut_bytes(cut, 1)
    return {
        "curve": [round(value, 4) for value in curve],
        "accuracy": curve[-1],
        "float_accuracy": training.accuracy(cut),
        "train_accuracy": sum(last) / len(last),
        "up_bytes": sent_bytes(values, up),
        "down_bytes": sent_bytes(values, down),
    }


def sent_bytes(values: int, bits: int) -> int:
    """Bytes of so many values on the wire."""
    return values * 4 if bits == FLOAT else -(-values * bits // 8) + ENDS_BYTES


def summarise(records: Sequence[Record]) -> Summary:
    """What ships: every training in short."""
    first = records[0]["settings"]
    asked = ("cut", "activation_bits", "gradient_bits", "seed")
    told = ("accuracy", "float_accuracy", "train_accuracy", "up_bytes", "down_bytes", "curve")
    runs = [{n: _short(r["settings" if n in asked else "result"][n]) for n in (*asked, *told)} for r in records]
    steps = [step.name for step in get_model(first["model"]).steps]
    settings = {name: first[name] for name in ("model", "rounds", "batch", "rate")}
    return {"settings": settings, "steps": steps, "runs": runs}


def _short(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value


def table(summary: Summary) -> tuple[Table, list[str]]:
    """Accuracies by bits and cut, and what they lose to floats of the same seed."""
    names = (
        "cut behind",
        "activations (bits)",
        "gradients (bits)",
        "training (%)",
        "lost",
        "test (%)",
        "lost",
        "KB a round",
    )
    made = new_table(*names, left=1)
    for (cut, up, down), group in groups_of(summary).items():
        cells = []
        for name in ("train_accuracy", "accuracy"):
            cells += [spread([100.0 * run[name] for run in group]), spread(lost_points(summary, group, name))]
        sent = f"{(group[0]['up_bytes'] + group[0]['down_bytes']) / 1e3:.1f}"
        made.add_row(summary["steps"][cut - 1], str(up), str(down), *cells, sent)
    seeds = len({run["seed"] for run in summary["runs"]})
    return made, [
        f"mean ± spread over {seeds} seeds; lost: points to floats (32 bits) of the same seed, for which the cut has "
        "no say; training: share of the last tenth's batches that was right; tests are through the quantised cut"
    ]


STUDY = Study(
    prog="python -m splitgym.experiments.hiertrain.eight_bits",
    about=(
        "What few bits cost in accuracy. JALAD, which HierTrain is compared with, sends 8-bit values between edge and\n"
        "cloud. A small network is trained through a cut at which every tensor is quantised to 2^c levels between its\n"
        "least and its largest value, activations on their way up, gradients on their way down, or one of them alone."
    ),
    shipped=Path(__file__).with_name("eight_bits.json"),
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
