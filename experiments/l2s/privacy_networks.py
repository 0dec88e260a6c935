"""The KL divergence by cut of trained VGG and AlexNet variants, and the P^c that follows (L2S, Sec. III-C, Fig. 4).

``python -m splitgym.experiments.l2s.privacy_networks`` trains both on 32x32 images; :mod:`.divergence` says what is
measured then. What :mod:`.privacy` does for one small network on digits, with several seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from ...models.chain import Unit
from ...models.cuts import cut_points
from ...models.layers import Shape
from ...models.lookup import get_model
from ...models.model import Model
from ...models.zoo.classifiers import classifier, conv, max_pool
from ..studies import OnShare, Record, Result, Settings, Trial
from ..study_command import Study, Summary, new_table, spread
from .privacy_figure import figure, groups_of, mean_kl
from .private_point import private_point

if TYPE_CHECKING:
    from ...runtime.training.data import Dataset

NETWORKS = ("vgg11_32_quarter", "alexnet_32_quarter")
BATCH, RATE, ROUNDS, JUDGED = 32, 0.01, 2500, 60  # JUDGED: test images whose intermediate results are judged
TRAINING_SHARE = 0.5  # of the time of a trial
SEEDS = 3
TARGETS = (0.1, 0.5, 1.0)  # of what an answer has that knows nothing


def alexnet_32_quarter() -> Model:
    """AlexNet's layers for 32x32 images, with a quarter of its maps: 3x3 windows in front, pools that halve."""
    units = (
        Unit("conv1", (conv(16),)),
        max_pool("pool1"),
        Unit("conv2", (conv(48, 5),)),
        max_pool("pool2"),
        Unit("conv3", (conv(96),)),
        Unit("conv4", (conv(64),)),
        Unit("conv5", (conv(64),)),
        max_pool("pool5"),
    )
    return Model("alexnet_32_quarter", Shape(3, 32, 32), units, classifier(256, 256, 10))


def network(name: str) -> Model:
    """One of the networks by name."""
    return alexnet_32_quarter() if name == "alexnet_32_quarter" else get_model(name)


def trials(seeds: int, quick: bool) -> list[Trial]:
    """Seed by seed."""
    rounds, judged = (6, 2) if quick else (ROUNDS, JUDGED)
    settings = {"rounds": rounds, "batch": BATCH, "rate": RATE, "judged": judged, "reduce": "min"}
    return [
        Trial(f"{name}-seed{seed}", {"network": name, **settings, "seed": seed})
        for seed in range(seeds)
        for name in NETWORKS
    ]


def train(settings: Settings, data: Dataset, on_share: OnShare) -> Result:
    """Train one network, all of it on the device, and measure its cuts."""
    from ...runtime.training.half import Scale
    from ..cut_training import CutTraining
    from .divergence import first_conv_point, kl_by_cut, kl_of_uniform

    model, rounds = network(settings["network"]), settings["rounds"]
    training = CutTraining(model, data, settings["seed"], settings["batch"], flips=data.name != "digits")
    for number in range(rounds):
        training.round(number, training.steps, settings["rate"])
        on_share(TRAINING_SHARE * (number + 1) / rounds)
    trained = training.copy("device")
    images = Scale.of(data)(data.test_images[: settings["judged"]])
    kl = kl_by_cut(
        trained, None, images, reduce=settings["reduce"],
        on_progress=lambda share: on_share(TRAINING_SHARE + (1.0 - TRAINING_SHARE) * share),
    )  # fmt: skip
    return {
        "accuracy": training.accuracy(training.steps),
        "kl": [float(f"{value:.5g}") for value in kl],
        "uniform": float(f"{kl_of_uniform(trained, images):.5g}"),
        "ppt": first_conv_point(model),
    }


def summarise(records: Sequence[Record]) -> Summary:
    """What ships: every network's divergences by partition point."""
    first = records[0]["settings"]
    runs = []
    for record in records:
        model, result = network(record["settings"]["network"]), record["result"]
        by_point = [result["kl"][cut - 1] for cut in cut_points(model)[1:]]
        runs.append({"network": model.name, "seed": record["settings"]["seed"], **result, "kl": by_point})
    models = {name: network(name) for name in dict.fromkeys(run["network"] for run in runs)}
    points = {n: [model.steps[cut - 1].name for cut in cut_points(model)[1:]] for n, model in models.items()}
    return {
        "settings": {n: first[n] for n in ("rounds", "batch", "rate", "judged", "reduce")},
        "points": points,
        "runs": runs,
    }


def private_points(summary: Summary, name: str) -> dict[str, int | None]:
    """P^c of a network by target, for divergences that are means over seeds; None where the last cut has less."""
    runs = groups_of(summary)[name]
    kl, uniform = mean_kl(runs), float(np.mean([run["uniform"] for run in runs]))
    targets = {"PPT's cut": float(kl[runs[0]["ppt"] - 1]), **{f"{share:g} of it": share * uniform for share in TARGETS}}
    return {target: private_point(kl, nats) for target, nats in targets.items()}


def table(summary: Summary) -> tuple[Table, list[str]]:
    """KL by cut of every network, mean and spread over seeds."""
    from scipy.stats import spearmanr

    groups = groups_of(summary)
    made = new_table("point", *(column for name in groups for column in ("after", f"{name}: KL (nats)")))
    for point in range(max(len(names) for names in summary["points"].values())):
        cells: list[str] = []
        for name, runs in groups.items():
            inside = point < len(summary["points"][name])
            values = [run["kl"][point] for run in runs] if inside else []
            cells += [summary["points"][name][point] if inside else "", spread(values, 3)]
        made.add_row(str(point + 1), *cells)
    lines = []
    for name, runs in groups.items():
        kl = mean_kl(runs)
        rank: Any = spearmanr(np.arange(len(kl)), kl)
        falls = [n for n, rise in zip(summary["points"][name][1:], np.diff(kl), strict=True) if rise < 0]
        uniform, right = ([run[n] for run in runs] for n in ("uniform", "accuracy"))
        found = ", ".join(f"{target}: {point or 'none'}" for target, point in private_points(summary, name).items())
        lines += [
            f"{name}: {spread([100.0 * value for value in right])} % of test images right, {len(runs)} seeds; KL "
            f"{'grows with every cut' if not falls else 'falls at ' + ', '.join(falls)}; Spearman correlation with the "
            f"cut {rank.statistic:+.2f}; an answer that knows nothing: {spread(uniform, 2)} nats",
            f"  P^c by target (shares are of that answer's): {found}",
        ]
    return made, lines


STUDY = Study(
    prog="python -m splitgym.experiments.l2s.privacy_networks",
    about=(
        "How private the cuts of trained networks are. A VGG-11 and an AlexNet variant, each with a quarter of their\n"
        "maps, are trained on 32x32 images; what leaves every cut is shown to the network as an image, map by map,\n"
        "and the KL divergence of its judgement from that of the input is measured. From it follows P^c, the first\n"
        "partition point from which on all cuts are as private as is asked for."
    ),
    shipped=Path(__file__).with_name("privacy_networks.json"),
    shape=Shape(3, 32, 32),
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
