"""``splitgym-train``: train an agent, see it beside the baselines, keep everything in a run folder."""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ..envs import Family, get_family
from ..models.errors import InputError
from . import tables
from .console import (
    Interrupts,
    Parser,
    add_env_options,
    entry,
    env_options,
    family_help,
    family_of,
    note,
    parse_pairs,
    seed_number,
    stderr,
    stdout,
    whole,
)
from .core import AgentSpec, Learner, Report, agents_module, agents_of, get_spec
from .evaluate import assess, play
from .figures import footnote, learning_curve, save_figure
from .progress import TrainingBar
from .results import Result, better, fill_regret, finite
from .runs import CONFIG, SCHEMA, Progress, RunFolder, check_free, free_folder
from .tracking import MODES, Tracker, tracking_mode
from .training import Job, Training, new_job, reopened_job

PROG = "splitgym-train"
RESULT = "result.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    family = family_of(argv)
    args = _parser(family).parse_args(argv)
    if args.episodes is not None and args.steps is not None:
        raise InputError("--episodes and --steps both name the budget; give one")
    if args.resume is not None:
        return _resume(args)
    return _start(args, family, sys.argv if argv is None else [PROG, *argv])


def _parser(family: Family) -> Parser:
    module = agents_module(family.name)
    parser = Parser(
        PROG,
        "Train an agent (or let a planner plan), then see it beside the baselines. A run folder keeps everything.\n"
        f"Bare, it trains {module.DEFAULT_AGENT} on {family.default_scenario}.",
        lambda: family_help(family, _examples(family)),
    )
    group = add_env_options(parser, family)
    default = family.default_scenario
    group.add_argument("--scenario", metavar="NAME", help=f"the setting, by name or as a YAML file ({default})")
    group = parser.add_argument_group("agent")
    group.add_argument("--agent", metavar="NAME", help=f"who decides, or a plan file ({module.DEFAULT_AGENT})")
    group.add_argument(
        "--hyperparams", metavar="K=V", nargs="+", action="extend", help="on top of the agent's own, values as in YAML"
    )
    group.add_argument("--seed", metavar="N", type=seed_number, help="of env and agent (0)")
    group.add_argument("--episodes", metavar="N", type=whole, help="budget of training (the agent's own)")
    group.add_argument("--steps", metavar="N", type=whole, help="the same in env steps")
    group = parser.add_argument_group("run")
    group.add_argument("--out", metavar="DIR", type=Path, help="run folder (runs/<env>-<scenario>-<agent>-s<seed>-<n>)")
    group.add_argument(
        "--resume", metavar="DIR", type=Path, help="go on with a run that was interrupted, or with a larger budget"
    )
    group.add_argument("--track", choices=MODES, help="Weights & Biases (offline); WANDB_MODE wins")
    return parser


def _examples(family: Family) -> list[str]:
    learner, scenario = agents_module(family.name).DEFAULT_AGENT, family.scenarios[0]
    planner = next((spec.name for spec in agents_of(family.name).values() if not spec.learns), learner)
    env = f"{PROG} --env {family.name}"
    return [
        PROG,
        f"{env} --scenario {scenario} --agent {learner} --seed 1 --out runs/mine",
        f"{env} --agent ppo --episodes 20000 --hyperparams learning_rate=1e-3",
        f"{env} --agent {planner} --env-kwargs name=value other=[1,2]",
        f"{env} --trace measured.txt --trace-factor 40",
        f"{PROG} --resume runs/mine",
        f"{PROG} --resume runs/mine --episodes 100000",
    ]


def _start(args: argparse.Namespace, family: Family, command: Sequence[str]) -> int:
    spec = get_spec(family.name, args.agent or agents_module(family.name).DEFAULT_AGENT)
    scenario = args.scenario or family.default_scenario
    mode, told = tracking_mode(args.track)
    seed = args.seed or 0
    options, hyperparams = env_options(args), parse_pairs("--hyperparams", args.hyperparams)
    if args.out is not None:
        check_free(args.out)
    with stderr().status(f"{spec.name}: {'setting up' if spec.learns else 'planning'} …"):
        job = new_job(
            family, spec, scenario, options, seed, hyperparams, args.episodes, args.steps, mode, command
        )  # fmt: skip
    config = job.config
    path = args.out or free_folder(f"{config.env}-{config.scenario_name}-{config.agent}-s{config.seed}")
    folder = RunFolder.create(path, config)
    try:
        session = _Session(job, folder, _tracker(mode, folder, job), options)
    except BaseException:  # Ctrl-C too: there is nothing in it yet
        shutil.rmtree(folder.path)
        raise
    if told:
        note(told)
    try:
        return session.run(Progress(), [])
    except Exception:
        if not (folder.has_model or (folder.path / RESULT).is_file()):
            session.tracker.finish(exit_code=1)
            shutil.rmtree(folder.path)
        raise


def _resume(args: argparse.Namespace) -> int:
    for name in ("out", "hyperparams", "env_kwargs", "trace", "trace_factor"):
        if getattr(args, name) is not None:
            option = name.replace("_", "-")
            raise InputError(f"--resume takes everything but the budget from the run; leave out --{option}")
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
        raise InputError(f"--resume {args.resume}: agent {spec.name} plans and is not trained; nothing to go on with")
    mode, told = tracking_mode(args.track or config.track)
    if args.episodes is not None or args.steps is not None:
        config = replace(config, episodes=args.episodes, steps=args.steps)
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
    tracker = _tracker(mode, folder, job)
    options = {k: v for k, v in config.env_kwargs.items() if k not in spec.env_kwargs}
    return _Session(job, folder, tracker, options).run(progress, folder.read_curve(progress.episodes))


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


def _tracker(mode: str, folder: RunFolder, job: Job) -> Tracker:
    config = job.config
    shown = {
        **{k: getattr(config, k) for k in ("env", "agent", "seed", "episodes", "steps", "env_kwargs", "hyperparams")},
        "scenario": config.scenario_name,
        "settings": config.settings,
        "versions": config.versions,
        "numbers": list(job.env.unwrapped.dynamics.provenance),
    }
    return Tracker(mode, folder.path, folder.path.name, config.track_id, shown)


class _Session:
    """One call of the script: training, then the comparison."""

    def __init__(self, job: Job, folder: RunFolder, tracker: Tracker, options: Mapping[str, Any]) -> None:
        self.job, self.folder, self.tracker, self.options = job, folder, tracker, options
        self.family, self.config = job.family, job.config
        self.hooks: ModuleType = agents_module(self.family.name)
        self.dynamics = job.env.unwrapped.dynamics
        self.curve: list[dict[str, float]] = []
        self.progress = Progress()
        self.results: list[Result] = []  # the agent's own, once it is there
        self.stopped: int | None = None  # number of the signal that ended it

    def run(self, progress: Progress, curve: list[dict[str, float]]) -> int:
        """Do it all; returns the exit code.

        Raises:
            KeyboardInterrupt: stopped at once; the message says what is kept and where.
        """
        self.progress = progress
        try:
            self._run(curve)
        except KeyboardInterrupt:
            self.stopped = self.stopped or signal.SIGINT
            self._write_result(self.results, {})
            raise KeyboardInterrupt(self._hint()) from None
        if self.stopped is None:
            return 0
        note(self._hint())
        return 128 + self.stopped

    def _run(self, curve: list[dict[str, float]]) -> None:
        if self.job.spec.learns:
            with Interrupts("stopping; what was learned is kept (again to stop at once)") as interrupts:
                self._train(curve, interrupts)
                self.stopped = interrupts.signal
                mine = self._own()
                self.stopped = interrupts.signal
        else:
            mine = self._own()
        self._conclude(mine, self._others())

    def _hint(self) -> str:
        """After an interruption: what there is and how to go on."""
        path, done = self.folder.path, self.progress.episodes
        if not self.job.spec.learns:
            return f"interrupted; what is done is in {path}"
        if self.progress.share >= 1.0:
            return f"interrupted after the training, which is complete; what is done is in {path}"
        if not self.folder.has_model:
            return f"interrupted before the first checkpoint; {path} has the config only"
        return f"interrupted after {done} episodes; go on with: {_command()} --resume {path}"

    def _train(self, curve: list[dict[str, float]], interrupts: Interrupts) -> None:
        training = Training(self.job, self.folder, self.progress, curve)
        self.curve = training.curve
        with TrainingBar(self._describe, self.progress) as bar:

            def on_point(report: Report, row: Mapping[str, float] | None) -> None:
                if row is not None:
                    self.tracker.log(row)
                self.progress = training.progress
                bar.update(report)
                interrupts.check()

            try:
                training.learn(on_point)
            except KeyboardInterrupt:
                interrupts.signal = interrupts.signal or signal.SIGINT
        self.progress = training.progress

    def _describe(self, best: float) -> str:
        return f"best {tables.show_value(self.family, self.family.headline, best)}" if math.isfinite(best) else ""

    def _own(self) -> Result:
        """Play the agent and write what it does, before the comparison takes its time."""
        config, spec, progress = self.config, self.job.spec, self.progress
        played = play(self.job.agent, self.job.env, None, config.seed)
        seconds = progress.seconds if spec.learns else self.job.seconds
        kind = "trained" if spec.learns else "planned"
        mine = Result(config.scenario_name, spec.name, config.seed, played.metrics, kind, played.plan, seconds)
        self.results = [mine]
        if played.plan is not None:
            self._write_plan("plan.json", played.plan, mine.metrics[self.family.headline])
            self._draw_plan(played.plan)
        self._write_best_plan(mine, progress)
        self._write_result([mine], {})
        return mine

    def _write_plan(self, name: str, plan: Mapping[str, Any], value: float) -> None:
        about = {"env": self.config.env, "scenario": self.config.scenario_name, "agent": self.config.agent}
        notes = {**about, "seed": self.config.seed, "numbers": list(self.dynamics.provenance)}
        if self.dynamics.eval_episodes == 1:  # else the value is the mean over episodes, each with its own plan
            notes[self.family.headline] = finite(value)
        self.folder.write_json(name, {**plan, "notes": notes})

    def _draw_plan(self, plan: Mapping[str, Any]) -> None:
        draw = getattr(self.hooks, "draw_plan", None)
        if draw is not None:
            save_figure(draw(self.job.env, plan, self.config.agent), self.folder.path / "timeline.png")

    def _write_best_plan(self, mine: Result, progress: Progress) -> None:
        """Where training has seen a better plan than the one that the agent plays, keep that too."""
        plan = getattr(self.job.agent, "best_plan", None)
        best, value = progress.best, mine.metrics[self.family.headline]
        if plan is None or best is None or self.dynamics.eval_episodes > 1:
            return
        if better(self.family, best, value) and not math.isclose(best, value, rel_tol=1e-9):
            self._write_plan("best_plan.json", plan.to_json(), best)
            shown = tables.show_value(self.family, self.family.headline, best)
            note(f"an episode of training was better than what the agent plays now: {shown}, kept in best_plan.json")

    def _draw_curve(self, others: Sequence[Result]) -> None:
        headline = self.family.headline
        values = [row[f"best_{headline}"] for row in self.curve if f"best_{headline}" in row]
        label, factor = tables.axis_of(self.family, headline, values)
        figure = learning_curve(
            self.curve,
            headline,
            label,
            factor,
            {r.agent: r.metrics[headline] for r in others},
            self.family.lower_is_better,
            f"{self.config.agent} on {self.config.scenario_name}, seed {self.config.seed}",
        )
        footnote(figure, f"numbers: {tables.sources(self.dynamics.provenance)}")
        save_figure(figure, self.folder.path / "learning_curve.png")

    def _others(self) -> list[Result]:
        """The baselines and references, each on the scenario as it was asked for; Ctrl-C leaves the rest out."""
        found: list[Result] = []
        specs = [s for s in agents_of(self.family.name).values() if _is_yardstick(s) and s.name != self.config.agent]
        try:
            with stderr().status("") as status:
                for number, spec in enumerate(specs, start=1):
                    status.update(f"comparing with {spec.name} ({number} of {len(specs)}) …")
                    try:
                        result = assess(self.family, spec, self.config.scenario, self.options, self.config.seed)
                    except InputError as error:
                        note(f"{spec.name} is left out: {error}")
                        continue
                    found.append(result)
        except KeyboardInterrupt:
            self.stopped = self.stopped or signal.SIGINT
            note(f"the comparison stops here; left out: {', '.join(s.name for s in specs[len(found) :])}")
        return found

    def _conclude(self, mine: Result, others: Sequence[Result]) -> None:
        results, used = fill_regret([mine, *others], self.family)
        if self.curve:
            self._draw_curve(others)
        self._write_result(results, used)
        self._track_results(results)
        out = stdout()
        out.print(self._headline(), style="bold", soft_wrap=True)
        tables.print_table(out, tables.ranking(results, self.family, "*" if used else ""))
        for line in [*self._regret_lines(results[0], used), *tables.provenance_lines(self.dynamics.provenance)]:
            out.print(line, style="dim", soft_wrap=True)
        out.print(f"written to {self.folder.path}", soft_wrap=True)
        if (self.folder.path / "wandb").is_dir():
            out.print(f"look at the curves with: wandb leet {self.folder.path / 'wandb'}", soft_wrap=True)

    def _headline(self) -> str:
        spec, name = self.job.spec, self.config.scenario_name
        summary = self.dynamics.summary
        what = f"{name} ({summary})" if summary else name
        if not spec.learns:
            return f"\n{what}: {spec.name} against the baselines"
        trained = f"{spec.name} after {self.progress.episodes} episodes, seed {self.config.seed}"
        return f"\n{what}: {trained}, against the baselines"

    def _regret_lines(self, mine: Result, used: Mapping[str, float]) -> list[str]:
        family = self.family
        if family.regret is None:
            return []
        if used:
            return ["* no best-known plan fits this scenario and its tables: regret is against the best of this table"]
        if self.dynamics.eval_episodes > 1:
            return ["regret is against the best of a bank of known plans at each episode"]
        sign = 1.0 if family.lower_is_better else -1.0
        known = mine.metrics[family.headline] - sign * mine.metrics[family.regret]
        return [f"regret is against the best-known plan, {tables.show_value(family, family.headline, known)}"]

    def _write_result(self, results: Sequence[Result], used: Mapping[str, float]) -> None:
        progress = self.progress
        data = {
            "schema": SCHEMA,
            "env": self.config.env,
            "scenario": self.config.scenario_name,
            "agent": self.config.agent,
            "headline": self.family.headline,
            "episodes": progress.episodes,
            "steps": progress.steps,
            "train_seconds": round(progress.seconds, 3),
            "finished": not self.job.spec.learns or progress.share >= 1.0,
            "interrupted": self.stopped is not None,
            "regret_against": "best of this table" if used else "best known",
            "provenance": list(self.dynamics.provenance),
            "results": [result.to_json() for result in results],
        }
        self.folder.write_json(RESULT, data)

    def _track_results(self, results: Sequence[Result]) -> None:
        metrics = list(results[0].metrics)
        rows = [[r.agent, r.kind, *(finite(r.metrics[m]) for m in metrics), finite(r.seconds)] for r in results]
        pictures = {name: self.folder.path / f"{name}.png" for name in ("timeline", "learning_curve")}
        self.tracker.finish(
            ["agent", "kind", *metrics, "seconds"],
            rows,
            {name: path for name, path in pictures.items() if path.is_file()},
            {name: value for name, value in results[0].metrics.items() if math.isfinite(value)},
        )


def _is_yardstick(spec: AgentSpec) -> bool:
    return (spec.baseline or spec.reference) and not spec.learns


def _command() -> str:
    """How the script was called, for a hint that can be copied."""
    name = Path(sys.argv[0]).name
    return f"python {name}" if name.endswith(".py") else PROG
