"""The figures that the project promises, one line each: name, value, unit, ratio to its reference in the same run.

    python benchmarks/run.py [--only NAME ...] [--json] [--record [FILE]]

NAME is a group: env, import, planners, joint, osds, learned (DistrEdge); l2s-speed, l2s-constant, l2s-change;
edgemove-speed, edgemove-table1, edgemove-rates, edgemove-learned; hiertrain-speed, hiertrain-gap, hiertrain-sharing,
hiertrain-sweeps, hiertrain-learned; deprune-speed, deprune-recordings, deprune-learned; profiler (VGG-16 measured
twice on this machine, minutes); live (plans on worker processes, an hour), or its parts live-outputs,
live-predictions, live-measured, live-rankings, live-wire, live-start; live-training (ten plans of every kind that
trains, on worker processes, ten minutes), or its parts; hostile (a worker and a controller among peers that mean ill,
minutes); chaos (200 faults over 1000 images, minutes); suspicion (who is taken for lost on slow links and busy cores,
ten minutes); executors (two processes beside one at the same jobs, a minute); growth (set-up, steps, planners
and memory against sizes, with exponents, a quarter of an hour), or its parts. What papers claim
is splitgym-eval's: --paper all.
--record keeps every group's figures, once it is done, for the pages that quote them (docs/results/benchmarks.json).
Timings are single-threaded; run on an idle machine.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import chaos
import deprune
import distredge
import edgemove
import executors
import growth
import hiertrain
import hostile
import l2s
import live
import live_training
import profiler
import suspicion
from measure import Figure
from record import FILE, about, record

import splitgym.envs

MODULES = (
    distredge,
    l2s,
    edgemove,
    hiertrain,
    deprune,
    profiler,
    live,
    live_training,
    hostile,
    chaos,
    suspicion,
    executors,
    growth,
)
GROUPS = {name: figures for module in MODULES for name, figures in module.GROUPS.items()}
PARTS = {"growth": tuple(growth.GROUPS)}  # by the name of all of them


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=(*GROUPS, *PARTS),
        default=[n for n in GROUPS if not n.startswith("live-")],
        metavar="NAME",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--record",
        nargs="?",
        type=Path,
        const=FILE,
        metavar="FILE",
        help="keep the figures (docs/results/benchmarks.json)",
    )
    args = parser.parse_args(argv)
    assert splitgym.envs.FAMILIES
    for group in (part for name in args.only for part in PARTS.get(name, (name,))):
        figures: list[Figure] = []
        for figure in GROUPS[group]():
            print(json.dumps(asdict(figure)) if args.json else figure.line(), flush=True)
            figures.append(figure)
        if args.record is not None:
            record(args.record, group, about(GROUPS[group]), figures)


if __name__ == "__main__":
    main()
