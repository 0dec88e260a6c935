"""``splitgym-train``: train an agent, see it beside the baselines, keep everything in a run folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..agents.hyperparam_files import read_hyperparams
from ..agents.protocol import Learner
from ..agents.registry import AgentSpec, agents_module, agents_of, chosen, get_spec
from ..agents.run_folder import CONFIG, Progress, RunFolder
from ..envs import Family, get_family
from ..ui.claims import held
from ..ui.console import MOST_SEED, Parser, entry, note, seed_number, stderr, whole
from ..ui.errors import InputError
from ..ui.progress import planning
from . import seeds_command, tune_command
from .executors.options import add_executor_options, executor_of
from .jobs import new_job, reopened_job
from .options import (
    add_env_options,
    add_hyperparams_file,
    env_options,
    family_help,
    family_of,
    has_field,
    parse_pairs,
    tell_networks,
)
from .out_folders import claimed_out, claimed_run, run_name
from .play import make_env, options_for
from .run_tracker import tracker_of
from .seeds_command import SEEDS, Seeds
from .tracking import MODES, tracking_mode
from .train_session import PROG, RESULT, Session
from .tune_command import TUNE
from .tune_trial import Search


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    family = family_of(argv)
    args = _parser(family).parse_args(argv)
    if args.episodes is not None and args.steps is not None:
        raise InputError("--episodes and --steps both name the budget; give one")
    if args.seeds is not None and args.tune is not None:
        raise InputError("--seeds and --tune are two things; tune first, then train seeds with its best.yaml")
    last = (args.seed or 0) + (args.seeds or 1) - 1
    if last > MOST_SEED:
        raise InputError(f"--seed {args.seed} --seeds {args.seeds}: the last seed is {last}, allowed: 0 to {MOST_SEED}")
    several = args.seeds is not None or (args.resume is not None and (args.resume / SEEDS).is_file())
    tunes = args.tune is not None or (args.resume is not None and (args.resume / TUNE).is_file())
    if not several and not tunes:
        for name in ("workers", "executor", "ray"):
            if getattr(args, name) is not None:
                raise InputError(f"--{name}: one training is one process; it is for --seeds and --tune")
    command = sys.argv if argv is None else [PROG, *argv]
    if args.resume is not None:
        return _resume_tuning(args) if tunes else _resume_seeds(args) if several else _resume(args)
    if tunes:
        return _start_tuning(args, family)
    return _start_seeds(args, family, command) if several else _start(args, family, command)


def _parser(family: Family) -> Parser:
    module = agents_module(family.name)
    parser = Parser(
        PROG,
        "Train an agent (or let a planner plan), then see it beside the baselines. A run folder keeps everything.\n"
        f"With nothing but --env {family.name} it takes {module.DEFAULT_AGENT} on {family.default_scenario}.",
        lambda: family_help(family, _examples(family)),
    )
    group = add_env_options(parser, family)
    default = family.default_scenario
    group.add_argument("--scenario", metavar="NAME", help=f"the setting, by name or as a YAML file ({default})")
    group = parser.add_argument_group("agent")
    plan_file = ", or a plan file" if hasattr(module, "plan_spec") else ""
    group.add_argument("--agent", metavar="NAME", help=f"who decides{plan_file} ({module.DEFAULT_AGENT})")
    group.add_argument(
        "--hyperparams", metavar="K=V", nargs="+", action="extend", help="on top of the agent's own, values as in YAML"
    )
    add_hyperparams_file(group)
    group.add_argument("--seed", metavar="N", type=seed_number, help=f"of env and agent, 0 to {MOST_SEED} (0)")
    group.add_argument("--seeds", metavar="K", type=whole, help="train with K seeds from --seed on, each a run folder")
    text = "search hyperparameters of an agent that learns, N trials in all; writes best.yaml"
    group.add_argument("--tune", metavar="N", type=whole, help=text)
    group.add_argument("--episodes", metavar="N", type=whole, help="budget of training (the agent's own)")
    group.add_argument("--steps", metavar="N", type=whole, help="the same in env steps")
    group = parser.add_argument_group("run")
    group.add_argument(
        "--out", metavar="DIR", type=Path, help="run folder (runs/<env>-<scenario>[-<model>]-<agent>-s<seed>-<n>)"
    )
    group.add_argument(
        "--resume", metavar="DIR", type=Path, help="go on with a run that was interrupted, or with a larger budget"
    )
    add_executor_options(group)
    group.add_argument("--track", choices=MODES, help="Weights & Biases (offline; WANDB_MODE wins), or TensorBoard")
    return parser


def _examples(family: Family) -> list[str]:
    default, specs = agents_module(family.name).DEFAULT_AGENT, agents_of(family.name)
    learners = [name for name, spec in specs.items() if spec.learns]
    learner = default if default in learners else next(iter(learners), default)
    planner = next((name for name in specs if name not in learners), default)
    env = f"{PROG} --env {family.name}"
    return [
        env,
        f"{env} --scenario {family.scenarios[0]} --agent {learner} --seed 1 --out runs/mine",
        f"{env} --agent ppo --steps 200000 --hyperparams learning_rate=1e-3",
        f"{env} --agent {planner} --env-kwargs name=value other=[1,2]",
        *([f"{env} --trace measured.txt --trace-factor 40"] if has_field(family, "traces") else []),
        f"{env} --agent {learner} --seeds 5 --workers 2 --out runs/five",
        f"{env} --agent {learner} --tune 30 --out runs/tuned",
        f"{PROG} --resume runs/mine",
        f"{PROG} --resume runs/mine --steps 400000",
    ]


def _hyperparams(
    args: argparse.Namespace, family: Family, spec: AgentSpec, scenario: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Those of --hyperparams on top of those of --hyperparams-file."""
    given = parse_pairs("--hyperparams", args.hyperparams)
    if args.hyperparams_file is None:
        return given
    table = read_hyperparams(args.hyperparams_file, family.name)
    name = make_env(family, scenario, options_for(spec, options)).unwrapped.dynamics.scenario_name
    return {**chosen(table.get(spec.name, {}), name), **given}


def _start(args: argparse.Namespace, family: Family, command: Sequence[str]) -> int:
    spec = get_spec(family.name, args.agent or agents_module(family.name).DEFAULT_AGENT)
    scenario = args.scenario or family.default_scenario
    mode, told = tracking_mode(args.track)
    seed = args.seed or 0
    options = env_options(args)
    hyperparams = _hyperparams(args, family, spec, scenario, options)
    with ExitStack() as claims:
        if args.out is not None:
            claims.enter_context(claimed_out(args.out))
        with planning(f"{spec.name}: {'setting up' if spec.learns else 'planning'}"):
            job = new_job(
                family, spec, scenario, options, seed, hyperparams, args.episodes, args.steps, mode, command
            )  # fmt: skip
        config = job.config
        tell_networks(args, [config.settings])
        stem = f"{config.env}-{run_name(config.scenario_name, options)}-{config.agent}-s{config.seed}"
        folder = RunFolder.create(args.out or claims.enter_context(claimed_run(stem)), config)
        try:
            session = Session(job, folder, tracker_of(mode, folder, job), options)
        except BaseException:  # Ctrl-C too: there is nothing in it yet
            folder.clear()
            raise
        if told:
            note(told)
        try:
            return session.run(Progress(), [])
        except Exception:
            if not (folder.has_model or (folder.path / RESULT).is_file()):
                session.tracker.finish(exit_code=1)
                folder.clear()
            raise


def _start_seeds(args: argparse.Namespace, family: Family, command: Sequence[str]) -> int:
    spec = get_spec(family.name, args.agent or agents_module(family.name).DEFAULT_AGENT)
    if not spec.learns:
        raise InputError(f"--seeds: agent {spec.name} is not trained beforehand; splitgym-eval --seeds compares it")
    scenario, first = args.scenario or family.default_scenario, args.seed or 0
    mode, told = tracking_mode(args.track)
    executor = executor_of(args)
    options = env_options(args)
    hyperparams = _hyperparams(args, family, spec, scenario, options)
    with ExitStack() as claims:
        if args.out is not None:
            claims.enter_context(claimed_out(args.out, SEEDS))
        with stderr().status(f"{spec.name}: setting up …"):
            jobs = [
                new_job(family, spec, scenario, options, seed, hyperparams, args.episodes, args.steps, mode, command)
                for seed in range(first, first + args.seeds)
            ]
        config = jobs[0].config
        tell_networks(args, [config.settings])
        name, last = run_name(config.scenario_name, options), first + args.seeds - 1
        stem = f"{config.env}-{name}-{config.agent}-s{first}to{last}"
        seeds = Seeds.create(args.out or claims.enter_context(claimed_run(stem)), jobs)
        if told:
            note(told)
        return seeds_command.train(seeds, mode, executor)


def _resume_seeds(args: argparse.Namespace) -> int:
    _check_resumed(args, "scenario", "agent", "seed", "seeds")
    mode, told = tracking_mode(args.track or Seeds.open(args.resume).runs[0].read_config().track)
    if told:
        note(told)
    return seeds_command.resume(args.resume, args.episodes, args.steps, mode, executor_of(args))


def _start_tuning(args: argparse.Namespace, family: Family) -> int:
    spec = get_spec(family.name, args.agent or agents_module(family.name).DEFAULT_AGENT)
    scenario = args.scenario or family.default_scenario
    if Path(scenario).is_file():
        scenario = str(Path(scenario).resolve())
    executor, options = executor_of(args), env_options(args)
    given = _hyperparams(args, family, spec, scenario, options)
    search = Search(family.name, scenario, spec.name, args.seed or 0, options, given, args.episodes, args.steps)
    with ExitStack() as claims:
        if args.out is not None:
            claims.enter_context(claimed_out(args.out, TUNE))
        config = tune_command.check(search, executor)
        tell_networks(args, [config.settings])
        name = config.scenario_name
        stem = f"{family.name}-{run_name(name, options)}-{spec.name}-tuned"
        out = args.out or claims.enter_context(claimed_run(stem))
        tune_command.begin(search, name, out)
        return tune_command.tune(search, name, out, args.tune, executor)


def _resume_tuning(args: argparse.Namespace) -> int:
    _check_resumed(args, "scenario", "agent", "seed", "episodes", "steps")
    return tune_command.resume(args.resume, args.tune, executor_of(args))


def _check_resumed(args: argparse.Namespace, *names: str) -> None:
    """A run that goes on is as it was.

    Raises:
        InputError: an option that says otherwise.
    """
    own = ("out", "hyperparams", "hyperparams_file", "env_kwargs", "backend", "model", "input", "trace", "trace_factor")
    for name in (*own, *names):
        if getattr(args, name) is not None:
            option = name.replace("_", "-")
            raise InputError(f"--resume takes everything but the budget from the run; leave out --{option}")


def _resume(args: argparse.Namespace) -> int:
    _check_resumed(args)
    folder = RunFolder.open(args.resume)
    config = folder.read_config()
    for name, given, known in (
        ("env", args.env, (config.env,)),
        ("scenario", args.scenario, (config.scenario, config.scenario_name)),
        ("agent", args.agent, (config.agent,)),
        ("seed", args.seed, (config.seed,)),
    ):
        if given is not None and given not in known:
            raise InputError(f"--resume {args.resume}: is a run with {name} {known[-1]}, not {given}")
    try:
        family = get_family(config.env)
        spec = get_spec(family.name, config.agent, "agent")
    except InputError as error:
        raise InputError(f"{folder.path / CONFIG}: {error}") from None
    if not spec.learns:
        raise InputError(f"--resume {args.resume}: agent {spec.name} is not trained beforehand; nothing to go on with")
    mode, told = tracking_mode(args.track or config.track)
    if args.episodes is not None or args.steps is not None:
        config = replace(config, episodes=args.episodes, steps=args.steps)
    with held(folder.path, f"--resume {args.resume}"):
        with stderr().status(f"{spec.name}: loading {args.resume} …"):
            job = reopened_job(family, spec, folder, config)
            assert isinstance(job.agent, Learner)
            progress = folder.load_model(job.agent)
        larger = _check_budget(args, progress)
        folder.recover()
        if larger:
            folder.write_config(config)
        if told:
            note(told)
        tracker = tracker_of(mode, folder, job)
        options = {k: v for k, v in config.env_kwargs.items() if k not in spec.env_kwargs}
        return Session(job, folder, tracker, options).run(progress, folder.read_curve(progress.episodes))


def _check_budget(args: argparse.Namespace, progress: Progress) -> bool:
    """Whether a new budget is named; it must leave something to do."""
    for name, done in (("episodes", progress.episodes), ("steps", progress.steps)):
        budget = getattr(args, name)
        if budget is not None and budget <= done:
            raise InputError(f"--{name} {budget}: the run in {args.resume} has done {done}; name more, in all")
        if budget is not None:
            return True
    if progress.share >= 1.0:
        raise InputError(
            f"--resume {args.resume}: the run has spent its budget ({progress.episodes} episodes); "
            "name a larger one with --episodes"
        )
    return False
