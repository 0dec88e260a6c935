"""Hard and soft filters: accuracy against the bytes of the wire (Prune-Deprune, Sec. 3.1, Fig. 8).

``python -m splitgym.experiments.deprune.filters`` trains a network through a compressing cut. Behind the hard filter
only the top B maps cross, in packets encoded as on a wire, whose bytes are counted. The soft filter multiplies all maps
by their f: more cross than its budget says, so it is trained within one process, and tested behind a hard one, too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from ...envs.deprune.schedules import Schedule, deprune, from_scratch, no_compression
from ...models.lookup import get_model
from ..studies import OnShare, Record, Result, Settings, Trial
from ..study_command import Study, Summary, new_table, spread
from .filters_figure import bytes_of, figure, groups_of

if TYPE_CHECKING:
    from ...runtime.training.data import Dataset
    from ...runtime.training.trainer import Training

MODEL, LAYER, EPOCHS, LOW_EPOCHS, IMAGES, BATCH, RATE = "vgg11_32_quarter", 5, 12, 9, 1500, 64, 0.01
SEEDS = 3
MASKS = ("hard", "soft")


def schedules(quick: bool) -> dict[str, Schedule]:
    """By name; budgets are counted of 128 and are as many of the cut's 32 maps as the names say."""
    if quick:
        return {"1 map": from_scratch(4, 2), "all maps": no_compression(2), "1, then all": deprune(1, 1)}
    few = {f"{maps} map{'s' * (maps > 1)}": from_scratch(4 * maps, EPOCHS) for maps in (1, 2, 4, 8)}
    return {**few, "all maps": no_compression(EPOCHS), "1, then all": deprune(LOW_EPOCHS, EPOCHS - LOW_EPOCHS)}


def trials(seeds: int, quick: bool) -> list[Trial]:
    """Seed by seed; where all maps cross both filters are the same."""
    found = []
    for seed in range(seeds):
        for name, schedule in schedules(quick).items():
            for mask in MASKS[: 1 if name == "all maps" else 2]:
                settings = {
                    "model": MODEL, "layer": LAYER, "schedule": name, "budgets": list(schedule.budgets), "mask": mask,
                    "images": 64 if quick else IMAGES, "batch": BATCH, "rate": RATE, "seed": seed,
                }  # fmt: skip
                found.append(Trial(f"{mask}-{name.replace(', ', '-').replace(' ', '-')}-seed{seed}", settings))
    return found


def train(settings: Settings, data: Dataset, on_share: OnShare) -> Result:
    """One training: accuracies and bytes by epoch, counted and, behind a hard filter, on the wire."""
    from ...runtime.training.settings import Settings as TrainingSettings
    from ...runtime.training.trainer import Training

    hard = settings["mask"] == "hard"
    asked = TrainingSettings(
        layer=settings["layer"], images=settings["images"], batch=settings["batch"], learning_rate=settings["rate"],
        decay=1.0, mask=settings["mask"], flips=data.name != "digits", seed=settings["seed"],
    )  # fmt: skip
    training = Training(get_model(settings["model"]), data, asked, device="cpu", encoded=hard)
    budgets = Schedule("", tuple(settings["budgets"])).at(training.interface.phi)
    wire, before = [], 0
    for number, budget in enumerate(budgets):
        training.epoch(budget)
        on_share((number + 1) / len(budgets))
        wire.append(_wire_bytes(training) - before)
        before += wire[-1]
    records = training.records
    return {
        "budgets": list(budgets),
        "accuracy": [round(record.test_accuracy, 4) for record in records],
        "wire_accuracy": [round(record.wire_accuracy, 4) for record in records],
        "counted_bytes": [record.total_bytes for record in records],
        "wire_bytes": wire if hard else None,
        "entered_maps": sum(record.entered_maps for record in records[1:]),
    }


def _wire_bytes(training: Training) -> int:
    """Between client and server so far, both directions, with envelopes."""
    sent = training.members.wire_bytes
    return sent["client", "server"] + sent["server", "client"]


def summarise(records: Sequence[Record]) -> Summary:
    """What ships: every training in short."""
    first = records[0]["settings"]
    asked = ("schedule", "mask", "seed")
    told = ("budgets", "accuracy", "wire_accuracy", "counted_bytes", "wire_bytes", "entered_maps")
    return {
        "settings": {name: first[name] for name in ("model", "layer", "images", "batch", "rate")},
        "runs": [
            {**{n: record["settings"][n] for n in asked}, **{n: record["result"][n] for n in told}}
            for record in records
        ],
    }


def table(summary: Summary) -> tuple[Table, list[str]]:
    """Accuracy in the end and bytes of a whole training, by schedule and filter."""
    made = new_table("maps that cross", "filter", "test (%)", "by hard filter (%)", "MB", "envelopes (%)", left=2)
    for (schedule, mask), group in groups_of(summary).items():
        counted = sum(group[0]["counted_bytes"])
        envelopes = f"{100.0 * (sum(group[0]['wire_bytes']) / counted - 1.0):.2f}" if mask == "hard" else ""
        ends = (spread([100.0 * run[name][-1] for run in group]) for name in ("accuracy", "wire_accuracy"))
        made.add_row(schedule, mask, *ends, f"{bytes_of(group[0])[-1] / 1e6:.2f}", envelopes)
    entered = {mask: sum(r["entered_maps"] for r in summary["runs"] if r["mask"] == mask) for mask in MASKS}
    seeds = len({run["seed"] for run in summary["runs"]})
    return made, [
        f"mean ± spread over {seeds} seeds, after the last epoch; MB: both directions, with envelopes as on the wire; "
        "a soft filter's: of the maps that count",
        f"maps that entered the kept ones: {entered['hard']} behind hard filters, {entered['soft']} behind soft ones",
    ]


STUDY = Study(
    prog="python -m splitgym.experiments.deprune.filters",
    about=(
        "Accuracy against bytes of split training through a compressing cut, by how many maps cross and by filter.\n"
        "Behind a hard filter only the top B maps cross: packets are encoded as on a wire and their bytes counted. A\n"
        "soft filter weighs all maps by their f, so more cross than its budget says: it is trained within one\n"
        "process, and what it learnt is tested behind a hard filter, too."
    ),
    shipped=Path(__file__).with_name("filters.json"),
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
