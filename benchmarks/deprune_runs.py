"""Recorded runs of split training over budgets, one compact JSON file each.

    python benchmarks/deprune_runs.py --data cifar10 --out runs [--width half] [--mask soft] [--seeds 0 1 2] ...

A finished run is skipped and an unfinished one goes on, so the command may be stopped and called again, also with
another mask, decay or gamma. Runs that begin alike share their first epochs: they are trained once, and their
checkpoints lie in OUT/checkpoints.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import hashlib
import json
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch

from splitgym.envs.deprune.schedules import (
    Schedule,
    deprune,
    from_scratch,
    high_compression,
    no_compression,
    parse,
    prune,
    without_module,
)
from splitgym.models.compression import widened
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.runtime.training.data import Dataset, load_images
from splitgym.runtime.training.settings import EpochRecord, Settings
from splitgym.runtime.training.trainer import Training, pick_device, train
from splitgym.ui.claims import claimed
from splitgym.ui.console import entry, note
from splitgym.ui.errors import InputError
from splitgym.ui.files import write_text
from splitgym.ui.progress import Bar
from splitgym.ui.validation import validated

SCHEMA = 1
MODELS = {"full": "vgg11_32", "half": "vgg11_32_half", "quarter": "vgg11_32_quarter"}
SCHEDULES: dict[str, Schedule] = {
    "no-compression": no_compression(18),
    "high-compression": high_compression(18),
    "deprune": deprune(15, 3),
    "deprune-25-5": deprune(25, 5),
    "prune": prune(18, 6),
    "scratch-32": from_scratch(32, 18),
    "scratch-4": from_scratch(4, 18),
    "without-module": without_module(18),
}
RECORDED = [name for name in SCHEDULES if name != "deprune-25-5"]


@dataclass(frozen=True)
class Run:
    """One run to record."""

    name: str
    schedule: Schedule
    settings: Settings
    budgets: tuple[int, ...]

    def file(self, folder: Path, model: Model) -> Path:
        """Where its record lies."""
        s = self.settings
        trained = f"{s.mask}-decay{s.decay:g}-gamma{s.gamma:g}"
        return folder / f"{model.name}-layer{s.layer}-{self.name}-{trained}-seed{s.seed}.json"

    def prefix(self, epochs: int, identity: str, phi: int) -> str:
        """A name for its first epochs that every run with the same ones shares."""
        budgets = self.budgets[:epochs]
        text = repr((identity, self.settings.decisive(budgets, phi), budgets))
        return f"{hashlib.sha256(text.encode()).hexdigest()[:20]}-{epochs}.pt"


def main(argv: Sequence[str] | None = None) -> int:
    """Make the runs.

    Returns:
        0, 2 for bad input, 130 when it was interrupted.
    """
    return entry("deprune_runs.py", _body, argv)


def _body(argv: Sequence[str] | None) -> int:
    args = _arguments(argv)
    with claimed(args.out, f"--out {args.out}"):
        _make(args)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    own = Settings(flips=True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with train/<class>/ and test/<class>/; default: the digits")
    parser.add_argument("--out", type=Path, required=True, help="folder of the records")
    parser.add_argument("--width", choices=MODELS, default="full", help="of VGG-11 (default full)")
    parser.add_argument("--cut", type=int, nargs="+", default=[5], help="modules in front of it (default 5)")
    parser.add_argument("--schedules", nargs="+", default=RECORDED, metavar="NAME", help="names, or as in 4x15+128x3")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, help="training images an epoch (default all)")
    parser.add_argument("--test-images", type=int, help="images to test on (default all)")
    parser.add_argument("--optimizer", default=own.optimizer, help="sgd or adam (default %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=own.learning_rate, help="default %(default)s")
    parser.add_argument("--decay", type=float, default=own.decay, help="of it, by epoch (default %(default)s)")
    parser.add_argument("--gamma", type=float, default=own.gamma, help="selectLr's factor (default %(default)s)")
    parser.add_argument("--boosted-epochs", type=int, default=own.boosted_epochs, help="its l_k (default %(default)s)")
    parser.add_argument("--mask", default=own.mask, help="hard or soft (default %(default)s)")
    parser.add_argument("--resolution", type=int, default=1, help="r (default 1)")
    parser.add_argument("--phi", type=int, help="maps that may be sent (default: those at the cut)")
    parser.add_argument("--padding", default="sound", help="sound or paper (default sound)")
    parser.add_argument("--no-flips", action="store_true", help="do not mirror training images")
    parser.add_argument("--threads", type=int, default=1, help="of torch on a CPU (default 1)")
    return parser.parse_args(argv)


def _make(args: argparse.Namespace) -> None:
    model = get_model(MODELS[args.width])
    data = load_images(args.data, model.input, test_limit=args.test_images)
    runs = list(_runs(args, model))
    (args.out / "checkpoints").mkdir(exist_ok=True)
    store = Store(args.out / "checkpoints", model, data, runs, args.threads)
    total = sum(len(run.budgets) for run in runs)
    done = 0
    with Bar("runs", sum(store.known(run) for run in runs) / total) as bar:
        for number, run in enumerate(runs, start=1):
            file = run.file(args.out, model)
            if not _finished(file, run):
                before = done

                def show(epoch: int, share: float, run: Run = run, number: int = number, before: int = before) -> None:
                    text = f"run {number} of {len(runs)}: {run.name} seed {run.settings.seed}, epoch {epoch + 1}"
                    bar.show((before + epoch + share) / total, text)

                training = store.train(run, show)
                write_text(file, json.dumps(_record(run, training, args.data), separators=(",", ":")) + "\n")
                note(f"{file}: test accuracy {training.records[-1].test_accuracy:.4f}")
            done += len(run.budgets)


def _runs(args: argparse.Namespace, model: Model) -> Iterator[Run]:
    """Cut by cut, seed by seed, so that early seeds of everything come first."""
    for cut in args.cut:
        for seed in args.seeds:
            for name in args.schedules:
                schedule = SCHEDULES[name] if name in SCHEDULES else parse(name)
                fields = dict(
                    layer=cut, module=schedule.module, images=args.images, optimizer=args.optimizer,
                    learning_rate=args.learning_rate, decay=args.decay, gamma=args.gamma,
                    boosted_epochs=args.boosted_epochs, mask=args.mask, flips=not args.no_flips, seed=seed,
                )  # fmt: skip
                if schedule.module:
                    phi = widened(cut) if args.phi is None else args.phi
                    fields |= dict(resolution=args.resolution, phi=phi, padding=args.padding)
                settings = validated(Settings, fields, "arguments")
                yield Run(name, schedule, settings, schedule.at(settings.interface(model).phi))


class Store:
    """Checkpoints by what was trained so far, so that schedules that begin alike are trained once.

    Kept are the ends of all schedules and the epochs where two of them part; of others only the last one.
    """

    def __init__(self, folder: Path, model: Model, data: Dataset, runs: Sequence[Run], threads: int) -> None:
        self.folder, self.model, self.data, self.threads = folder, model, data, threads
        self._identity = f"{model.fingerprint} {data.fingerprint}"
        paths = [[self._path(run, epochs) for epochs in range(1, len(run.budgets) + 1)] for run in runs]
        self._kept = {mine[-1] for mine in paths}
        for mine in paths:
            for other in paths:
                if common := list(takewhile(lambda pair: pair[0] == pair[1], zip(mine, other, strict=False))):
                    self._kept.add(common[-1][0])

    def known(self, run: Run) -> int:
        """How many of a run's epochs were trained already."""
        lengths = range(len(run.budgets), 0, -1)
        return next((epochs for epochs in lengths if self._path(run, epochs).exists()), 0)

    def train(self, run: Run, show: Any) -> Training:
        """Train what is missing of a run; ``show(epoch, share of it)``."""
        training = Training(self.model, self.data, run.settings, threads=self.threads)
        if known := self.known(run):
            training.load(self._path(run, known))

        def save(record: EpochRecord) -> None:
            training.save(self._path(run, record.epoch + 1))
            if (before := self._path(run, record.epoch)) not in self._kept:
                before.unlink(missing_ok=True)

        def step(share: float) -> None:
            show(int(share * len(run.budgets) - 1e-9), share * len(run.budgets) % 1.0)

        train(training, run.budgets, on_epoch=save, on_step=step)
        return training

    def _path(self, run: Run, epochs: int) -> Path:
        phi = run.settings.interface(self.model).phi
        return self.folder / run.prefix(epochs, self._identity, phi)


def _finished(file: Path, run: Run) -> bool:
    """Whether a file holds the record of a run.

    Raises:
        InputError: it holds something else.
    """
    if not file.exists():
        return False
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        same = (
            data["settings"] == json.loads(json.dumps(asdict(run.settings))) and tuple(data["budgets"]) == run.budgets
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{file}: is not the record of a run; remove it or choose another --out") from None
    if not same:
        raise InputError(f"{file}: is a run with other settings; choose another --out")
    return True


def _record(run: Run, training: Training, folder: Path | None) -> dict[str, Any]:
    """What is kept of a run: settings, provenance, and a column for everything on record of its epochs."""
    interface, records = training.interface, training.records
    columns = {name: [getattr(record, name) for record in records] for name in EpochRecord.__dataclass_fields__}
    del columns["sent_bytes"]
    sent = {kind: [record.sent_bytes[kind] for record in records] for kind in records[0].sent_bytes}
    return {
        "schema": SCHEMA,
        "schedule": run.name,
        "model": training.model.name,
        "settings": asdict(run.settings),
        "budgets": run.budgets,
        "phi": interface.phi,
        "map": [interface.height, interface.width],
        "data": {
            "name": folder.name if folder is not None else training.data.name,
            "fingerprint": training.data.fingerprint,
            "classes": len(training.data.classes),
            "train_images": len(training.data.train_labels),
            "test_images": len(training.data.test_labels),
        },
        "machine": {
            "device": pick_device().type,
            "processor": platform.processor() or platform.machine(),
            "threads": training.threads,
            "torch": torch.__version__,
        },
        "epochs": {name: [_short(value) for value in values] for name, values in columns.items()},
        "sent_bytes": sent,
    }


def _short(value: float) -> float:
    return round(value, 6) if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
