"""The command of every study: train what is missing, print a table, draw a picture, show what ships."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from ..ui.canvas import save_figure
from ..ui.claims import claimed
from ..ui.console import Parser, duration, entry, print_table, stdout, whole
from ..ui.errors import InputError
from ..ui.files import write_text
from ..ui.progress import Bar
from ..ui.validation import read_json
from .studies import SCHEMA, Images, Place, Record, Train, Trial, carry_out, described, provenance

if TYPE_CHECKING:
    from ..models.layers import Shape

Summary = dict[str, Any]  # what ships of a study on some images
SUMMARY, PICTURE = "summary.json", "picture.png"


@dataclass(frozen=True)
class Study:
    """What a study is.

    Attributes:
        prog: how it is called.
        about: what it asks and how; printed by ``--help``.
        shipped: the data file with the summaries that ship, by name of the images.
        shape: of the networks' input.
        seeds: by default.
        trials: trainings for so many seeds, the quick ones or the real ones.
        train: does one.
        summarise: what ships of its records.
        table: title and rows of a summary, as printed.
        draw: a figure of summaries by name of the images.
    """

    prog: str
    about: str
    shipped: Path
    shape: Shape
    seeds: int
    trials: Callable[[int, bool], list[Trial]]
    train: Train
    summarise: Callable[[Sequence[Record]], Summary]
    table: Callable[[Summary], tuple[Table, list[str]]]
    draw: Callable[[Mapping[str, Summary]], Any]

    @property
    def name(self) -> str:
        """Of its default folder: family and study."""
        return "-".join(self.prog.split(".")[-2:])

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Do what the command line says; returns the exit code: 2 for bad input, 130 when interrupted."""
        return entry(self.prog, lambda words: _main(self, words), argv)


def shipped(study: Study) -> dict[str, Summary]:
    """The summaries that ship, by name of the images."""
    return read_json(study.shipped, schema=SCHEMA)["data"]


def recorded(summary: Summary) -> str:
    """Where the numbers of a summary that ships come from, in a line."""
    told = summary["provenance"]
    how = ", ".join(told[name] for name in ("machine", "date", "command"))
    return f"recorded: {told['trainings']} trainings on {told['data']} ({how})"


def new_table(*columns: str, left: int = 0) -> Table:
    """An empty table, its first ``left`` columns of words and the others of numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        made.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    return made


def spread(values: Sequence[float] | np.ndarray, digits: int = 1) -> str:
    """Mean and standard deviation over seeds, as a cell of a table; nothing for nothing."""
    mean = round(float(np.mean(values)), digits) + 0.0 if len(values) else 0.0  # no -0.0
    return f"{mean:.{digits}f} ± {np.std(values):.{digits}f}" if len(values) else ""


def _main(study: Study, argv: Sequence[str] | None) -> int:
    args = _parse(study, argv)
    if args.recorded:
        _show(study, shipped(study))
        if args.out is not None:
            with claimed(args.out, f"--out {args.out}"):
                _draw(study, shipped(study), args.out)
        return 0
    images = Images(args.data, study.shape)
    data = described(images.load())
    out = args.out or Path("runs") / f"{study.name}-{data['name']}{'-quick' * args.quick}"
    with claimed(out, f"--out {out}"):
        summary = _train(study, args, images, Place(out, data))
        summaries = {data["name"]: summary}
        write_text(out / SUMMARY, _dense({"schema": SCHEMA, "data": summaries}) + "\n")
        _show(study, summaries)
        _draw(study, summaries, out)
        if args.ship:
            known = shipped(study) if study.shipped.exists() else {}
            write_text(study.shipped, _dense({"schema": SCHEMA, "data": {**known, **summaries}}) + "\n")
    return 0


def _train(study: Study, args: Namespace, images: Images, place: Place) -> Summary:
    seeds = args.seeds or (1 if args.quick else study.seeds)
    trials = study.trials(seeds, args.quick)
    work = sum(trial.work for trial in trials)
    known = sum(trial.work for trial in trials if place.find(trial) is not None)
    with Bar(study.name, known / work) as bar:
        records = carry_out(trials, study.train, images, place, args.workers, bar.show)
    images_of = f" --data {place.data['name']}" if args.data else ""
    return {**study.summarise(records), "provenance": provenance(f"{study.prog}{images_of} --seeds {seeds}", records)}


def _show(study: Study, summaries: Mapping[str, Summary]) -> None:
    console = stdout()
    for number, summary in enumerate(summaries.values()):
        if number:
            console.print()
        told = summary["provenance"]
        console.print(
            f"{told['data']}: {told['trainings']} trainings, {duration(told['cpu_s'])} of CPU time "
            f"({told['machine']}, {told['date']})"
        )
        table, lines = study.table(summary)
        print_table(console, table)
        for line in lines:
            console.print(line, soft_wrap=True)


def _draw(study: Study, summaries: Mapping[str, Summary], out: Path) -> None:
    save_figure(study.draw(summaries), out / PICTURE)
    stdout().print(f"written to {out}: {PICTURE}", soft_wrap=True)


def _dense(value: Any, indent: str = "") -> str:
    """JSON with one line for whatever holds no mappings."""
    if isinstance(value, dict) and any(isinstance(inner, dict | list) for inner in value.values()):
        lines = [f"{indent} {json.dumps(name)}: {_dense(inner, indent + ' ')}" for name, inner in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        return "[\n" + ",\n".join(f"{indent} {json.dumps(inner)}" for inner in value) + f"\n{indent}]"
    return json.dumps(value)


def _parse(study: Study, argv: Sequence[str] | None) -> Namespace:
    where = f"runs/{study.name}-digits"
    parser = Parser(
        study.prog,
        study.about,
        lambda: (
            f"examples:\n  {study.prog} --quick\n  {study.prog} --data cifar10 --workers 2\n"
            f"  {study.prog} --recorded --out pictures\n\n"
            "A folder of images holds train/<class>/*.jpg and test/<class>/*.jpg. Every training is kept as soon as\n"
            "it is done: after Ctrl-C the same command goes on, and with more --seeds it adds to what is there."
        ),
    )
    parser.add_argument("--data", metavar="DIR", help="folder of images (scikit-learn's digits)")
    parser.add_argument("--seeds", metavar="N", type=whole, help=f"seeds 0 to N-1 of everything ({study.seeds})")
    parser.add_argument("--workers", metavar="N", type=whole, default=1, help="processes; results are the same (1)")
    parser.add_argument("--quick", action="store_true", help="a few steps of a few trainings, to see that it runs")
    parser.add_argument("--recorded", action="store_true", help="train nothing: show the results that ship")
    parser.add_argument("--out", metavar="DIR", type=_folder, help=f"where trainings are kept ({where})")
    parser.add_argument(
        "--ship", action="store_true", help="put the summary into the package, to be shown from then on"
    )
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    if args.recorded and (args.data or args.seeds or args.quick or args.ship):
        raise InputError("--recorded: shows what ships; leave --data, --seeds, --quick and --ship out")
    if args.quick and args.ship:
        raise InputError("--ship: a quick study says nothing; leave --quick out")
    return args


def _folder(text: str) -> Path:
    path = Path(text)
    if not text or (path.exists() and not path.is_dir()):
        raise ArgumentTypeError(f"is {text!r}, allowed: a folder, which may be new")
    return path
