"""``splitgym-eval``: agents against each other over scenarios and seeds; a table, results.csv and charts."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any

from ..agents.hyperparam_files import read_hyperparams
from ..agents.registry import AgentSpec, agents_module, agents_of, get_spec
from ..agents.run_folder import RunFolder
from ..agents.saved import pretrained
from ..envs import Family
from ..ui.canvas import footnote, save_figure
from ..ui.console import Parser, called, entry, note, print_table, stdout, whole
from ..ui.errors import InputError
from ..ui.files import write_text
from ..ui.progress import Bar
from . import tables
from .claims.command import main as claims_command
from .eval_tasks import Setting, check_plan_files, make_settings, make_tasks, match_runs, share_hyperparams
from .executors.options import add_executor_options, executor_of
from .executors.work import Executor
from .figures import grouped_bars, has_error_bars, hook
from .jobs import check_planner_options
from .options import (
    add_env_options,
    add_hyperparams_file,
    env_options,
    family_help,
    family_of,
    parse_pairs,
    tell_networks,
)
from .out_folders import claimed_out, claimed_run, versions
from .results import Result, by_group, fill_regret, finite, write_csv
from .tracking import MODES, Tracker, new_track_id, tracking_mode
from .workers import Task, run_tasks

PROG = "splitgym-eval"
RESULTS, RUNS = "results.csv", "runs"
SHIPPED = "pretrained"  # among --agents: the trained agent that the suite ships


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    if _asks_for_papers(argv):
        return claims_command(PROG, argv)
    family = family_of(argv)
    args = _parser(family).parse_args(argv)
    options = env_options(args)
    shipped = _shipped(family, args)
    specs = _agents(family, args.agents)
    _check_options(specs, options)
    groups, asked = _scenarios(family, args.scenarios)
    with ExitStack() as claims:
        if args.out is not None:
            claims.enter_context(claimed_out(args.out, RESULTS))
        settings = make_settings(family, asked, options)
        tell_networks(args, [setting.settings for setting in settings])
        runs = match_runs(family, [*(args.runs or []), *shipped], settings, specs)
        table = {} if args.hyperparams_file is None else read_hyperparams(args.hyperparams_file, family.name)
        given = parse_pairs("--hyperparams", args.hyperparams)
        hyperparams = share_hyperparams(family, settings, specs, runs, given, table)
        check_plan_files(family, settings, specs, options)
        tasks = make_tasks(family, settings, specs, runs, options, hyperparams, args)
        out = args.out or claims.enter_context(claimed_run(f"{family.name}-eval"))
        _tell_options(specs, options)
        _tell_training(tasks, out)
        executor = executor_of(args)
        tracker = _tracker(args.track, out, tasks)
        results, stop = _evaluate(tasks, executor.alone() if any(s.exclusive for s in settings) else executor, out)
        if results:
            command = sys.argv if argv is None else [PROG, *argv]
            shown = {group: [s.name for s in settings if s.asked in names] for group, names in groups.items()}
            charts = _conclude(family, results, settings, shown, out, command)
            _track(tracker, family, results, charts)
        tracker.finish(exit_code=1)
        kept = [f"{len(results)} of {len(tasks)} evaluations are in the results"] if results else []
        if (out / RUNS).is_dir():
            words = sys.argv[1:] if argv is None else argv
            kept.append(f"what is trained is in {out / RUNS}, go on with: {_again(words, out)}")
        return _ended(stop, "; ".join(kept))


def _again(words: Sequence[str], out: Path) -> str:
    """The command that goes on with what an evaluation in ``out`` has trained, in a folder of its own."""
    free = next(path for n in count(2) if not (path := out.with_name(f"{out.name}-{n}")).exists())
    again = [f"--out={free}" if word.startswith("--out=") else word for word in words]
    if "--out" in again:
        again[again.index("--out") + 1] = str(free)
    return f"{called(PROG)} {shlex.join([*again, '--runs', str(out / RUNS)])}"


def _ended(stop: BaseException | None, kept: str) -> int:
    """The exit code of an evaluation that came to its end, or what has stopped it, with what is kept."""
    if stop is None:
        return 0
    if kept and isinstance(stop, KeyboardInterrupt):
        raise KeyboardInterrupt(f"interrupted: {kept}")
    if kept and isinstance(stop, InputError):
        raise InputError(f"{stop}; {kept}")
    raise stop


def _asks_for_papers(argv: Sequence[str] | None) -> bool:
    """Whether what follows are the options of papers' claims."""
    words = sys.argv[1:] if argv is None else argv
    return any(word.partition("=")[0] == "--paper" for word in words)


def _parser(family: Family) -> Parser:
    parser = Parser(
        PROG,
        "Compare agents over scenarios and seeds: a table, results.csv and a chart for every group of scenarios.\n"
        "Agents that learn come from run folders (--runs) or are trained. With --paper: what the papers claim, beside\n"
        "what comes out here, as one page; --paper all --help says more.",
        lambda: family_help(family, _examples(family)),
    )
    group = add_env_options(parser, family)
    default = family.default_scenario
    group.add_argument("--scenarios", metavar="A,B", nargs="+", help=f"scenarios, groups of them, or all ({default})")
    group = parser.add_argument_group("agents")
    module = agents_module(family.name)
    plan_files = " plan files," if hasattr(module, "plan_spec") else ""
    everyone = ", ".join(getattr(module, "EVAL_AGENTS", agents_of(family.name)))
    text = f"agents,{plan_files} {SHIPPED} for the trained one that comes along, or all (all: {everyone})"
    group.add_argument("--agents", metavar="A,B", nargs="+", help=text)
    group.add_argument(
        "--hyperparams", metavar="K=V", nargs="+", action="extend", help="for every agent here that has them"
    )
    add_hyperparams_file(group)
    group.add_argument(
        "--runs", metavar="DIR", nargs="+", action="extend", help="run folders with trained agents, or folders of such"
    )
    group.add_argument("--train-episodes", metavar="N", type=whole, help="budget of those that are trained (their own)")
    group = parser.add_argument_group("evaluation")
    group.add_argument("--seeds", metavar="K", type=whole, help="seeds 0..K-1 (1, or those of the runs)")
    group.add_argument("--episodes", metavar="N", type=whole, help="episodes of each evaluation (as the env says)")
    add_executor_options(group)
    group.add_argument("--track", choices=MODES, help="Weights & Biases or TensorBoard for the table and charts (off)")
    group.add_argument("--out", metavar="DIR", type=Path, help="new folder for the results (runs/<env>-eval-<n>)")
    return parser


def _examples(family: Family) -> list[str]:
    agents = list(agents_of(family.name))
    group = next(iter(family.groups), "all")
    env = f"{PROG} --env {family.name}"
    return [
        f"{env} --scenarios {','.join(family.scenarios[:2])} --agents {','.join(agents[-3:])}",
        f"{env} --scenarios {group} --agents {','.join(agents[:3])} --seeds 3 --out results/{group}",
        f"{env} --scenarios all --agents all --runs runs --workers 8",
    ]


def _words(lists: Sequence[str] | None) -> list[str]:
    """Comma-separated words, each once."""
    words = [word.strip() for text in lists or () for word in text.split(",")]
    return list(dict.fromkeys(word for word in words if word))


def _shipped(family: Family, args: argparse.Namespace) -> list[str]:
    """Put the agent that the suite ships in the place of the word for it; gives its run folder, if it is asked for.

    Raises:
        InputError: there is none, or other scenarios are asked for than that which it was trained on.
    """
    names = _words(args.agents)
    if SHIPPED not in names:
        return []
    folder = pretrained(family.name)
    config = RunFolder(folder).read_config()
    asked = _scenarios(family, args.scenarios)[1]
    if asked != [config.scenario]:
        where = (
            f"{config.agent} was trained on {config.scenario}; evaluate it there, with --scenarios {config.scenario}"
        )
        raise InputError(f"--agents {SHIPPED}: {where}")
    args.agents = [config.agent if name == SHIPPED else name for name in names]
    return [str(folder)]


def _agents(family: Family, lists: Sequence[str] | None) -> list[AgentSpec]:
    known = agents_of(family.name)
    names = _words(lists)
    if lists is not None and not names:
        raise InputError(f"--agents: names nobody; known: {', '.join(known)}, or all")
    if not names or "all" in names:
        names = [*getattr(agents_module(family.name), "EVAL_AGENTS", known), *(n for n in names if n != "all")]
        names = list(dict.fromkeys(names))
    return [get_spec(family.name, name, "--agents") for name in names]


def _scenarios(family: Family, lists: Sequence[str] | None) -> tuple[dict[str, list[str]], list[str]]:
    """(group of the charts -> scenarios, all scenarios), from names of scenarios and groups."""
    names = _words(lists)
    if lists is not None and not names:
        raise InputError(f"--scenarios: names nothing; known: {', '.join(family.scenarios)}")
    names = names or [family.default_scenario]
    groups: dict[str, list[str]] = {}
    for name in names:
        if name == "all":
            for group, members in family.groups.items():
                groups[group] = list(members)
            grouped = {s for members in family.groups.values() for s in members}
            rest = [s for s in family.scenarios if s not in grouped]
            if rest:
                groups.setdefault("scenarios", []).extend(rest)
        elif name in family.groups and name not in family.scenarios:
            groups[name] = list(family.groups[name])
        else:
            groups.setdefault("scenarios", []).append(name)
    return groups, list(dict.fromkeys(s for members in groups.values() for s in members))


def _check_options(specs: Sequence[AgentSpec], options: Mapping[str, Any]) -> None:
    """An agent alone needs the options as they are; beside others, it keeps those that define it.

    Raises:
        InputError: names the agent and the option.
    """
    if len(specs) == 1 and not specs[0].learns:
        check_planner_options(specs[0], options)


def _tell_options(specs: Sequence[AgentSpec], options: Mapping[str, Any]) -> None:
    for spec in specs:
        own = {k: v for k, v in spec.env_kwargs.items() if not spec.learns and options.get(k, v) != v}
        if own:
            note(f"{spec.name} has its own {', '.join(f'{name}={value}' for name, value in own.items())}")


def _tell_training(tasks: Sequence[Task], out: Path) -> None:
    names = list(dict.fromkeys(t.agent for t in tasks if t.trains))
    if names:
        number = sum(t.trains for t in tasks)
        first = f"{number} training{'s' * (number > 1)} first, kept in {out / RUNS} once done (reuse: --runs)"
        note(f"no run is given for {', '.join(names)}: {first}")


def _evaluate(tasks: Sequence[Task], executor: Executor, out: Path) -> tuple[list[Result], BaseException | None]:
    """Results in the order of the tasks, and what has left some out: Ctrl-C, or a task that failed."""
    keep = out / RUNS if any(task.trains for task in tasks) else None
    weight = sum(task.weight for task in tasks)
    share = {task.index: 0.0 for task in tasks}
    found: dict[int, Result] = {}
    stop: BaseException | None = None
    with Bar("evaluating") as bar:

        def on_progress(task: Task, done: float) -> None:
            share[task.index] = done
            total = sum(share[t.index] * t.weight for t in tasks) / weight
            bar.show(total, f"{len(found)} of {len(tasks)}  {task.agent} on {task.scenario_name}")

        try:
            with closing(run_tasks(tasks, executor, keep, on_progress)) as done:
                for task, result in done:
                    found[task.index] = result
                    on_progress(task, 1.0)
        except (KeyboardInterrupt, Exception) as error:
            stop = error
    return [found[i] for i in sorted(found)], stop


def _conclude(
    family: Family,
    results: Sequence[Result],
    settings: Sequence[Setting],
    groups: Mapping[str, Sequence[str]],
    out: Path,
    command: Sequence[str],
) -> dict[str, Path]:
    """Print the table, then write results.csv, eval.json and the charts: a full disk loses none of the table.

    Returns:
        The charts' files, by name.
    """
    results, used = fill_regret(results, family, {s.name for s in settings if s.is_random})
    provenance = list(dict.fromkeys(line for s in settings for line in s.provenance))
    figures = _figures(family, results, groups)
    console = stdout()
    title, parts = tables.comparison(results, family, console.width)
    console.print(f"\n{title}", style="bold", soft_wrap=True)
    for number, table in enumerate(parts):
        if number:
            console.print()
        print_table(console, table)
    lines = tables.provenance_lines(provenance)
    if used and family.regret is not None:
        which = "these scenarios" if len(used) > 1 else next(iter(used))
        lines.insert(0, f"no best-known plan fits {which}: {family.regret} there is against the best of these results")
    for line in lines:
        console.print(line, style="dim", soft_wrap=True)
    write_csv(out / RESULTS, results, family)
    about = {
        "command": list(command),
        "versions": versions(),
        "provenance": provenance,
        "regret_against_best_of_results": {name: finite(value) for name, value in used.items()},
        "results": [{"scenario": r.scenario, **r.to_json()} for r in results],
    }
    write_text(out / "eval.json", json.dumps(about, indent=1, allow_nan=False) + "\n")
    for name, figure in figures.items():
        spread = "; error bars: standard deviation over seeds" if has_error_bars(figure) else ""
        footnote(figure, f"numbers: {tables.sources(provenance)}{spread}")
        save_figure(figure, out / f"{name}.png")
    written = ", ".join([RESULTS, "eval.json", *(f"{name}.png" for name in figures)])
    console.print(f"written to {out}: {written}", soft_wrap=True)
    return {name: out / f"{name}.png" for name in figures}


def _tracker(asked: str | None, out: Path, tasks: Sequence[Task]) -> Tracker:
    """Of an evaluation, which is tracked only where that is asked for."""
    mode, told = tracking_mode(asked) if asked is not None else ("off", "")
    if told:
        note(told)
    config = {
        "env": tasks[0].family.name,
        "scenarios": list(dict.fromkeys(task.scenario_name for task in tasks)),
        "agents": list(dict.fromkeys(task.agent for task in tasks)),
        "seeds": sorted({task.seed for task in tasks}),
        "versions": versions(),
    }
    tags = (config["env"], "evaluation")
    return Tracker(mode, out, out.name, new_track_id(), config, kind="evaluation", tags=tags)


def _track(tracker: Tracker, family: Family, results: Sequence[Result], charts: Mapping[str, Path]) -> None:
    """All results as one table, the mean headline of every agent on every scenario, and the charts."""
    names = list(dict.fromkeys(name for result in results for name in result.metrics))
    rows = [
        [r.scenario, r.agent, r.seed, *(finite(r.metrics[n]) if n in r.metrics else None for n in names)]
        for r in results
    ]
    found: dict[str, list[float]] = {}
    for result in results:
        key = f"{result.scenario}/{result.agent}/{family.headline}"
        found.setdefault(key, []).append(result.metrics[family.headline])
    means = {key: sum(values) / len(values) for key, values in found.items()}
    summary = {key: mean for key, mean in means.items() if finite(mean) is not None}
    tracker.finish(["scenario", "agent", "seed", *names], rows, charts, summary)


def _figures(family: Family, results: Sequence[Result], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The family's own charts, or bars of the headline metric for every group."""
    own = hook(family, "eval_figures")
    if own is not None:
        return own(results, groups)
    figures = {}
    for group, values in by_group(results, groups, family.headline).items():
        flat = [v for agents in values.values() for seeds in agents.values() for v in seeds]
        label, factor = tables.axis_of(family, family.headline, flat)
        figures[group] = grouped_bars(values, label, f"{family.title}: {group}", factor)
    return figures
