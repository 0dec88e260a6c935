"""``splitgym-train --seeds K``: one agent trained with several seeds, a folder of run folders, and what they show."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from ..agents.registry import get_spec
from ..agents.run_folder import Progress, RunFolder, Tracked
from ..envs import Family, get_family
from ..ui.canvas import footnote, save_figure
from ..ui.claims import held
from ..ui.console import called, print_table, stdout
from ..ui.errors import InputError
from ..ui.files import write_text
from ..ui.progress import Bar
from ..ui.validation import read_json
from . import tables
from .executors.processes import carry_out
from .executors.work import Executor, Work
from .intervals import interval
from .jobs import Job
from .play import make_env
from .results import Result, finite, write_csv
from .seed_figures import seed_curves
from .seed_training import train_seed

SEEDS = "seeds.json"
SUMMARY, RESULTS, CURVES = "summary.json", "results.csv", "learning_curves.png"
SCHEMA = 1
FEW_SEEDS = 3  # with so few, the interval of a mean is told to say little
PROG = "splitgym-train"


@dataclass(frozen=True)
class Seeds:
    """A folder with a run folder for every seed.

    Attributes:
        path: the folder; its name is that of the group where the runs are tracked.
        runs: the run folders, in the order of the seeds.
    """

    path: Path
    runs: Sequence[RunFolder]

    @classmethod
    def create(cls, path: Path, jobs: Sequence[Job]) -> Seeds:
        """Folders for trainings that have yet to begin.

        Raises:
            InputError: they cannot be written.
        """
        runs = [RunFolder.create(path / f"s{job.config.seed}", job.config) for job in jobs]
        write_text(path / SEEDS, json.dumps({"schema": SCHEMA, "seeds": [job.config.seed for job in jobs]}) + "\n")
        return cls(path, runs)

    @classmethod
    def open(cls, path: Path) -> Seeds:
        """The folder of an earlier call.

        Raises:
            InputError: a file in it is damaged.
        """
        seeds = read_json(path / SEEDS, schema=SCHEMA).get("seeds")
        if not (isinstance(seeds, list) and seeds and all(isinstance(seed, int) for seed in seeds)):
            raise InputError(f"{path / SEEDS}: seeds is {seeds!r}, allowed: a list of whole numbers")
        return cls(path, [RunFolder.open(path / f"s{seed}") for seed in seeds])

    def progress(self) -> list[Progress]:
        """How far every seed has come."""
        return [run.read_progress() if run.has_model else Progress() for run in self.runs]

    def enlarge(self, episodes: int | None, steps: int | None) -> None:
        """Give every seed a larger budget.

        Raises:
            InputError: one has done as much.
        """
        for run, done in zip(self.runs, self.progress(), strict=True):
            for name, budget, spent in (("episodes", episodes, done.episodes), ("steps", steps, done.steps)):
                if budget is not None and budget <= spent:
                    raise InputError(f"--{name} {budget}: the run in {run.path} has done {spent}; name more, in all")
        for run in self.runs:
            run.write_config(replace(run.read_config(), episodes=episodes, steps=steps))


def resume(path: Path, episodes: int | None, steps: int | None, mode: Tracked, executor: Executor) -> int:
    """Go on with seeds that were interrupted, or all of them with a larger budget; returns the exit code."""
    with held(path, f"--resume {path}"):
        seeds = Seeds.open(path)
        more = episodes is not None or steps is not None
        if more:
            seeds.enlarge(episodes, steps)
        return train(seeds, mode, executor, more)


def train(seeds: Seeds, mode: Tracked, executor: Executor, more: bool = False) -> int:
    """Train all of them, then print and write what they show; returns the exit code.

    Args:
        seeds: where.
        mode: how they are tracked.
        executor: the processes; results do not depend on it.
        more: whether their budget is larger than when it was spent.

    Raises:
        KeyboardInterrupt: stopped; the message says how to go on.
    """
    first = seeds.runs[0].read_config()
    family = get_family(first.env)
    dynamics = make_env(family, first.scenario, first.env_kwargs).unwrapped.dynamics
    works = [
        Work(f"seed {run.read_config().seed}", train_seed, (str(run.path), mode, seeds.path.name, more))
        for run in seeds.runs
    ]
    try:
        results = _carry_out(works, executor.alone() if dynamics.exclusive else executor)
    except KeyboardInterrupt:
        again = f"{called(PROG)} --resume {shlex.quote(str(seeds.path))}"
        raise KeyboardInterrupt(f"interrupted; {_kept(seeds)}, go on with: {again}") from None
    _conclude(seeds, family, dynamics, results)
    return 0


def _kept(seeds: Seeds) -> str:
    """Which seeds have a checkpoint, in words."""
    kept = [str(run.read_config().seed) for run in seeds.runs if run.has_model]
    if not kept:
        return "no seed had come to its first checkpoint"
    rest = "" if len(kept) == len(seeds.runs) else f" of seed{'s' * (len(kept) > 1)} {', '.join(kept)}"
    return f"what was learned{rest} is kept"


def _carry_out(works: Sequence[Work[Result]], executor: Executor) -> list[Result]:
    share = {work.name: 0.0 for work in works}
    found: dict[str, Result] = {}
    with Bar("training") as bar:

        def show(work: Work[Result], done: float) -> None:
            share[work.name] = done
            bar.show(sum(share.values()) / len(works), f"{len(found)} of {len(works)} seeds")

        with closing(carry_out(works, executor, show)) as results:
            for work, result in results:
                found[work.name] = result
                show(work, 1.0)
    return [found[work.name] for work in works]


def _conclude(seeds: Seeds, family: Family, dynamics: Any, results: Sequence[Result]) -> None:
    config = seeds.runs[0].read_config()
    spec = get_spec(family.name, config.agent)
    out = stdout()
    out.print(f"\n{config.scenario_name}: {spec.name} with {len(results)} seeds", style="bold", soft_wrap=True)
    print_table(out, _table(family, results))
    if len(results) <= FEW_SEEDS:
        seeds_say = "1 seed says" if len(results) == 1 else f"{len(results)} seeds say"
        few = f"{seeds_say} little: the interval is wide, it may reach beyond what a metric can be"
        out.print(few, style="dim", soft_wrap=True)
    for line in tables.provenance_lines(dynamics.provenance):
        out.print(line, style="dim", soft_wrap=True)
    write_csv(seeds.path / RESULTS, results, family)
    write_text(seeds.path / SUMMARY, json.dumps(_summary(family, results), indent=1, allow_nan=False) + "\n")
    curves = {
        result.seed: run.read_curve(run.read_progress().episodes)
        for result, run in zip(results, seeds.runs, strict=True)
    }
    title = f"{spec.name} on {config.scenario_name}, {len(results)} seeds"
    figure = seed_curves(curves, family, dynamics.alike, title)
    footnote(figure, f"numbers: {tables.sources(dynamics.provenance)}")
    save_figure(figure, seeds.path / CURVES)
    out.print(f"written to {seeds.path}: {RESULTS}, {SUMMARY}, {CURVES}, a run folder a seed", soft_wrap=True)


def _intervals(results: Sequence[Result]) -> dict[str, tuple[float, float, float]]:
    """Metric -> (mean, lower, upper) over seeds; metrics that a seed lacks are left out."""
    names = [name for name in results[0].metrics if all(finite(r.metrics[name]) is not None for r in results)]
    return {name: interval([r.metrics[name] for r in results]) for name in names}


def _summary(family: Family, results: Sequence[Result]) -> dict[str, Any]:
    found = {
        name: dict(zip(("mean", "lower", "upper"), values, strict=True)) for name, values in _intervals(results).items()
    }
    return {
        "schema": SCHEMA,
        "env": family.name,
        "scenario": results[0].scenario,
        "agent": results[0].agent,
        "headline": family.headline,
        "interval": "95 %, of the mean over seeds, Student's t",
        "metrics": found,
        "results": [result.to_json() for result in results],
    }


def _table(family: Family, results: Sequence[Result]) -> Table:
    """A line for every seed, then the mean and its interval, headline first."""
    intervals = _intervals(results)
    names = [family.headline, *(name for name in intervals if name != family.headline)]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("seed", no_wrap=True)
    columns: dict[str, tuple[float, int]] = {}
    for name in names:
        values = [result.metrics[name] for result in results]
        unit, factor = tables.unit_of(name, values)
        columns[name] = factor, tables.digits_for([value * factor for value in values])
        table.add_column(tables.label_of(family, name, unit), justify="right")
    for result in results:
        table.add_row(str(result.seed), *_cells(columns, result.metrics))
    told: Mapping[str, Mapping[str, float]] = {
        word: {name: values[i] for name, values in intervals.items()}
        for i, word in enumerate(("mean", "95 % from", "to"))
    }
    for word, values in told.items():
        table.add_row(f"[bold]{word}[/bold]", *_cells(columns, values))
    return table


def _cells(columns: Mapping[str, tuple[float, int]], values: Mapping[str, float]) -> list[str]:
    return [
        tables.number(values[name] * factor, digits) if name in values else "–"
        for name, (factor, digits) in columns.items()
    ]
