"""``splitgym-eval --paper``: what papers claim beside what comes out here, as one page."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ...envs.scenarios import Inputs
from ...ui.claims import claimed
from ...ui.console import Parser, duration, note, print_table, stdout
from ...ui.errors import InputError
from ...ui.files import write_text
from ...ui.progress import Bar
from ..executors.options import add_executor_options, executor_of
from ..out_folders import versions
from .findings import Paper, needed, papers, select
from .ledger import Ledger, run, share_done
from .report import PAGE, Section, section, write_report
from .statement import Setting
from .verdict import VERDICTS
from .words import summary

FINDINGS = "findings.json"
SCHEMA = 1
INPUTS: dict[str, tuple[Inputs, ...]] = {"paper": ("paper",), "devices": ("devices",), "both": ("paper", "devices")}


def main(prog: str, argv: Sequence[str] | None) -> int:
    """Run what is missing, judge, and write the page; returns the exit code: 1 where a job failed."""
    args = _parser(prog).parse_args(sys.argv[1:] if argv is None else argv)
    names = [name for text in args.paper for name in text.split(",") if name]
    asked = _selected(papers(names), args.only or ())
    settings = [Setting(inputs, args.quick) for inputs in INPUTS[args.inputs]]
    executor = executor_of(args)
    out = args.out or Path("runs") / f"paper-{'-'.join(names)}{'-quick' * args.quick}"
    with claimed(out, f"--out {out}"):
        begun = time.perf_counter()
        ledger = Ledger(out / "jobs")
        jobs = [job for paper in asked for job in needed(paper, settings, not args.only)]
        with Bar("claims", share_done(jobs, ledger)) as bar:
            try:
                failed = run(jobs, ledger, executor, bar.show)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"interrupted: what is done is kept in {out}, the same command goes on"
                ) from None
        about = _about(prog, args, ledger, time.perf_counter() - begun)
        sections = [section(paper, settings, ledger, not args.only) for paper in asked]
        _write(sections, about, out)
        _print(sections, out)
        for line in failed:
            note(f"failed: {line}")
    return 1 if failed else 0


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog,
        "What papers claim, figure by figure, beside what comes out here: a page (HTML) that opens without a network,\n"
        "with verdicts, intervals over seeds, pictures in the papers' form, and the command behind every row.",
        lambda: (
            f"examples:\n  {prog} --paper distredge --quick\n  {prog} --paper all --workers 8\n"
            f"  {prog} --paper l2s --only fig12 --inputs paper\n\n"
            "Every job is kept as soon as it is done: after Ctrl-C the same command goes on. Jobs run again where the\n"
            "code that decides their results has changed."
        ),
    )
    parser.add_argument("--paper", metavar="NAME", nargs="+", required=True, help="whose claims, by --env; or all")
    parser.add_argument("--quick", action="store_true", help="fewer seeds, smaller budgets: minutes, not hours")
    parser.add_argument(
        "--inputs", choices=INPUTS, default="both", help="the paper's own inputs, catalogued devices', or both (both)"
    )
    parser.add_argument("--only", metavar="KEY", nargs="+", help="figures or claims, by their keys in the page")
    add_executor_options(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, help="where jobs and the page go (runs/paper-<name>)")
    return parser


def _selected(asked: Sequence[Paper], only: Sequence[str]) -> list[Paper]:
    """Of the papers, what ``--only`` names.

    Raises:
        InputError: a key that none of them has.
    """
    known = {key for paper in asked for e in paper.exhibits for key in (e.key, *(c.key for c in e.claims))}
    for key in only:
        if key not in known:
            names = ", ".join(paper.family.name for paper in asked)
            raise InputError(f"--only: {names} has no {key!r}; known: {', '.join(sorted(known))}")
    return [paper for paper in (select(paper, only) for paper in asked) if paper.exhibits]


def _about(prog: str, args: Any, ledger: Ledger, seconds: float) -> dict[str, str]:
    words = [prog, "--paper", *args.paper, *["--quick"] * args.quick, "--inputs", args.inputs]
    words += ["--only", *args.only] if args.only else []
    computed = sum(record["seconds"] for record in ledger.records.values())
    return {
        "command": " ".join(words),
        "took": f"{duration(seconds)} now; {duration(computed)} of {len(ledger.records)} jobs in all",
        "versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
    }


def _write(sections: Sequence[Section], about: dict[str, str], out: Path) -> None:
    found = [entry.to_json() for s in sections for shown in s.shown for entry in shown.entries]
    write_text(out / FINDINGS, json.dumps({"schema": SCHEMA, "about": about, "findings": found}, indent=1) + "\n")
    write_report(sections, about, out / PAGE)


def _print(sections: Sequence[Section], out: Path) -> None:
    console = stdout()
    for s in sections:
        console.print(f"\n{s.paper.family.title}", style="bold")
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for name in ("where", "the paper", "here", "verdict"):
            table.add_column(name)
        for shown in s.shown:
            for entry in shown.entries:
                first = entry.findings[0]
                table.add_row(entry.where, entry.says, summary(first), first.verdict)
        print_table(console, table)
        every = [entry.findings[0].verdict for shown in s.shown for entry in shown.entries]
        told = ", ".join(f"{every.count(verdict)} {verdict}" for verdict in VERDICTS if verdict in every)
        console.print(f"{told}", style="dim")
    console.print(f"written to {out}: {PAGE}, {FINDINGS}", soft_wrap=True)
