"""One call of ``splitgym-train`` behind its command line: training, the agent's own episode, the comparison."""

from __future__ import annotations

import math
import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ..agents.protocol import Learner, Report
from ..agents.registry import AgentSpec, agents_of
from ..agents.run_folder import SCHEMA, Progress, RunFolder
from ..ui.canvas import footnote, save_figure
from ..ui.console import Interrupts, called, note, print_table, stderr, stdout
from ..ui.errors import InputError
from ..ui.programs import program
from ..ui.progress import Bar
from . import tables
from .figures import hook, learning_curve, regret_curve
from .jobs import Job, Training
from .play import Played, assess, play
from .progress import TrainingBar
from .results import Result, best_of, better, fill_regret, finite
from .tracking import Tracker

PROG = "splitgym-train"
RESULT = "result.json"
LONG_STEPS = 1000  # an episode from here on takes seconds to play, and shows a bar


class Session:
    """One call of the script: training, then the comparison."""

    def __init__(self, job: Job, folder: RunFolder, tracker: Tracker, options: Mapping[str, Any]) -> None:
        self.job, self.folder, self.tracker, self.options = job, folder, tracker, options
        self.family, self.config = job.family, job.config
        self.dynamics = job.env.unwrapped.dynamics
        self.curve: list[dict[str, float]] = []
        self.progress = Progress()
        self.trained = False
        self.results: list[Result] = []  # the agent's own, once it is there
        self.pictures: dict[str, Path] = {}
        self.stopped = int(signal.SIGINT) if job.interrupted else None  # number of the signal that ended it

    def run(self, progress: Progress, curve: list[dict[str, float]]) -> int:
        """Do it all; returns the exit code.

        Raises:
            KeyboardInterrupt: stopped at once; the message says what is kept and where.
            InputError: a file cannot be written; where there is a checkpoint, the message says how to go on from it.
        """
        self.progress = progress
        try:
            self._run(curve)
        except KeyboardInterrupt:
            if not (self.job.spec.learns or self.results):  # there is nothing in the folder yet
                self.tracker.finish(exit_code=1)
                self.folder.clear()
                raise
            self.stopped = self.stopped or signal.SIGINT
            self._write_result(self.results, {})
            raise KeyboardInterrupt(self._hint()) from None
        except InputError as error:
            if self.trained or not self.folder.has_model:
                raise
            raise InputError(f"{error}; the last checkpoint goes on with: {self._resume()}") from None
        if self.stopped is None:
            return 0
        note(self._hint())
        return 128 + self.stopped

    def _run(self, curve: list[dict[str, float]]) -> None:
        if self.job.spec.learns:
            with Interrupts("stopping; what was learned is kept (again to stop at once)") as interrupts:
                self._train(curve, interrupts)
                self.trained = True
                self.stopped = interrupts.signal
                mine = self._own()
                self.stopped = interrupts.signal
            self._conclude(mine, self._others())
            return
        interrupts = Interrupts("stopping after this episode, which is kept (again to stop at once)")
        with nullcontext() if self.dynamics.slow_steps else interrupts:  # nobody waits for hours after Ctrl-C
            mine = self._own(lambda: interrupts.signal is not None)
            self.stopped = self.stopped or interrupts.signal
        self._conclude(mine, [] if self.stopped else self._others())

    def _hint(self) -> str:
        """After an interruption: what there is and how to go on."""
        path, done = self.folder.path, self.progress.episodes
        if not self.job.spec.learns:
            return f"interrupted; what is done is in {path}"
        if self.progress.share >= 1.0:
            return f"interrupted after the training, which is complete; what is done is in {path}"
        if not self.folder.has_model:
            return f"interrupted before the first checkpoint; {path} has the config only"
        return f"interrupted after {done} episodes; go on with: {self._resume()}"

    def _resume(self) -> str:
        return f"{called(PROG)} --resume {shlex.quote(str(self.folder.path))}"

    def _train(self, curve: list[dict[str, float]], interrupts: Interrupts) -> None:
        training = Training(self.job, self.folder, self.progress, curve)
        self._tell_budget(training.learner)
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

    def _tell_budget(self, learner: Learner) -> None:
        """Say beforehand what a budget is rounded to, and what going on cannot restore."""
        name, asked, lanes = self.config.agent, self.config.episodes, learner.lanes
        if asked is not None and asked % lanes:
            note(f"{name} plays {lanes} episodes at once: {asked} become {lanes * math.ceil(asked / lanes)}")
        if self.progress.steps and learner.not_restored:
            lost = learner.not_restored
            note(
                f"{name} goes on from what it has learned; not restored are {lost}, so it ends elsewhere than unstopped"
            )

    def _describe(self, report: Report) -> str:
        """How good it is: the best episode where all are alike, else how far the newest are from their own optima."""
        family = self.family
        if math.isfinite(report.best):
            return f"best {tables.show_value(family, family.headline, report.best)}"
        if family.paired_regret is not None and math.isfinite(report.regret):
            return f"regret {tables.show_value(family, family.paired_regret, report.regret)}"
        if math.isfinite(report.recent):
            return f"mean {tables.show_value(family, family.headline, report.recent)}"
        return ""

    def _own(self, stopping: Callable[[], bool] | None = None) -> Result:
        """Play the agent and write what it does, before the comparison takes its time."""
        config, spec, progress = self.config, self.job.spec, self.progress
        begun = time.perf_counter()
        played = self._play(stopping)
        seconds = progress.seconds if spec.learns else self.job.seconds
        kind = "trained" if spec.learns else "planned"
        if not spec.learns:
            seconds = getattr(self.job.agent, "planning_s", seconds + time.perf_counter() - begun)
            kind = "planned" if self.dynamics.plan_decides else "online"
        mine = Result(config.scenario_name, spec.name, config.seed, played.metrics, kind, played.plan, seconds)
        self.results = [mine]
        if played.plan is not None:
            self._write_plan("plan.json", played.plan, mine.metrics[self.family.headline])
            self._draw_plan(played.plan)
        if played.trace is not None:
            self._keep_trace(played.trace)
        self._write_best_plan(mine, progress)
        self._write_result([mine], {})
        return mine

    def _play(self, stopping: Callable[[], bool] | None) -> Played:
        agent, env, seed = self.job.agent, self.job.env, self.config.seed
        steps = self.dynamics.eval_episodes * self.dynamics.episode_steps
        if steps < LONG_STEPS and not self.dynamics.slow_steps:
            with stderr().status(f"{self.config.agent}: playing …"):
                return play(agent, env, None, seed, None, stopping)
        with Bar("playing") as bar:
            return play(agent, env, None, seed, lambda share: bar.show(share, self.config.agent), stopping)

    def _keep_trace(self, trace: Mapping[str, np.ndarray]) -> None:
        """Pictures of the episode; it is the learning curve of an agent that learns while it plays."""
        rows = hook(self.family, "curve_rows")
        if rows is not None and not self.job.spec.learns:
            curve = rows(self.job.env, trace)
            self.folder.write_curve(curve)
            for row in curve:
                self.tracker.log(row)
        draw = hook(self.family, "draw_trace")
        if draw is not None:
            for name, figure in draw(self.job.env, trace, self._who()).items():
                self._save_picture(name, figure)

    def _who(self) -> str:
        """The agent in the title of a picture of one episode, whose figures differ from the table's means."""
        episodes = self.dynamics.eval_episodes
        return self.config.agent if episodes == 1 else f"{self.config.agent}, last of {episodes} episodes,"

    def _save_picture(self, name: str, figure: Any) -> None:
        footnote(figure, f"numbers: {tables.sources(self.dynamics.provenance)}")
        path = self.pictures[name] = self.folder.path / f"{name}.png"
        save_figure(figure, path)

    def _write_plan(self, name: str, plan: Mapping[str, Any], value: float) -> None:
        about = {"env": self.config.env, "scenario": self.config.scenario_name, "agent": self.config.agent}
        notes = {**about, "seed": self.config.seed, "numbers": list(self.dynamics.provenance)}
        if self.dynamics.plan_decides:  # else the value is the mean over episodes, each with its own plan
            notes[self.family.headline] = finite(value)
        self.folder.write_json(name, {**plan, "notes": notes})

    def _draw_plan(self, plan: Mapping[str, Any]) -> None:
        draw = hook(self.family, "draw_plan")
        if draw is not None:
            self._save_picture("timeline", draw(self.job.env, plan, self._who()))

    def _write_best_plan(self, mine: Result, progress: Progress) -> None:
        """Where training has seen a better plan than the one that the agent plays, keep that too."""
        plan = getattr(self.job.agent, "best_plan", None)
        best, value = progress.best, mine.metrics[self.family.headline]
        if plan is None or best is None or not self.dynamics.plan_decides:
            return
        if better(self.family, best, value) and not math.isclose(best, value, rel_tol=1e-9):
            self._write_plan("best_plan.json", plan.to_json(), best)
            shown = tables.show_value(self.family, self.family.headline, best)
            note(f"an episode of training was better than what the agent plays now: {shown}, kept in best_plan.json")

    def _draw_curve(self, results: Sequence[Result]) -> None:
        """The headline metric where episodes are alike; where they have luck of their own, their regret."""
        family, others = self.family, [r for r in results if r.agent != self.config.agent]
        title = f"{self.config.agent} on {self.config.scenario_name}, seed {self.config.seed}"
        regret = family.paired_regret
        if not self.dynamics.alike and regret is not None and any("recent_regret" in row for row in self.curve):
            values = [row["recent_regret"] for row in self.curve if "recent_regret" in row]
            label, factor = tables.axis_of(family, regret, values)
            references = {r.agent: r.metrics[regret] for r in others}
            against = "optimum" if family.exact else "best-known plan"
            figure = regret_curve(self.curve, label, factor, references, title, against)
        else:
            headline = family.headline
            names = (f"best_{headline}", f"recent_{headline}")
            label, factor = tables.axis_of(family, headline, [row[n] for row in self.curve for n in names if n in row])
            references = {r.agent: r.metrics[headline] for r in others}
            figure = learning_curve(self.curve, headline, label, factor, references, family.lower_is_better, title)
        self._save_picture("learning_curve", figure)

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
        out = stdout()
        out.print(self._headline(), style="bold", soft_wrap=True)
        print_table(out, tables.ranking(results, self.family, "*" if used else ""))
        for line in self._whole_lines(results):
            out.print(line, soft_wrap=True)
        for line in [*self._regret_lines(results[0], used), *tables.provenance_lines(self.dynamics.provenance)]:
            out.print(line, style="dim", soft_wrap=True)
        if self.curve:
            self._draw_curve(results)
        self._write_result(results, used)
        self._track_results(results)
        out.print(f"written to {self.folder.path}", soft_wrap=True)
        if (self.folder.path / "wandb").is_dir():
            folder = shlex.quote(str(self.folder.path / "wandb"))
            out.print(f"look at the curves with: {program('wandb')} leet {folder}", soft_wrap=True)

    def _headline(self) -> str:
        spec, name = self.job.spec, self.config.scenario_name
        summary = self.dynamics.summary
        what = f"{name} ({summary})" if summary else name
        if not spec.learns:
            return f"\n{what}: {spec.name} against the baselines"
        done = self.progress
        budget = f"{done.episodes} episodes" if done.episodes else f"{done.steps} steps"
        trained = f"{spec.name} after {budget}, seed {self.config.seed}"
        return f"\n{what}: {trained}, against the baselines"

    def _whole_lines(self, results: Sequence[Result]) -> list[str]:
        """A word where neither a reference nor a known plan is better than the whole network on one machine."""
        specs, headline, regret = agents_of(self.family.name), self.family.headline, self.family.regret
        known = [r for r in results if r.agent in specs]
        best = best_of(self.family, [r.metrics[headline] for r in results])
        whole = [
            r.agent
            for r in known
            if specs[r.agent].whole
            and tables.ties(r.metrics[headline], best)
            and (regret is None or abs(r.metrics[regret]) <= 1e-9 * abs(best))
        ]
        if not whole or not any(specs[r.agent].reference for r in known):
            return []
        return [f"splitting does not pay here: nothing is better than {whole[0]}, the whole network on one machine"]

    def _regret_lines(self, mine: Result, used: Mapping[str, float]) -> list[str]:
        family = self.family
        if used:
            why = (
                "the optimum is not computed with these options"
                if family.exact
                else "no best-known plan fits this scenario and its tables"
            )
            return [f"* {why}: regret is against the best of this table"]
        if family.regret_note or family.regret is None:
            return [family.regret_note] if family.regret_note else []
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
            "regret_against": self._regret_against(used),
            "provenance": list(self.dynamics.provenance),
            "results": [result.to_json() for result in results],
        }
        self.folder.write_json(RESULT, data)

    def _regret_against(self, used: Mapping[str, float]) -> str:
        return "best of this table" if used else "optimum" if self.family.exact else "best known"

    def _track_results(self, results: Sequence[Result]) -> None:
        metrics = list(results[0].metrics)
        rows = [[r.agent, r.kind, *(finite(r.metrics[m]) for m in metrics), finite(r.seconds)] for r in results]
        self.tracker.finish(
            ["agent", "kind", *metrics, "seconds"],
            rows,
            self.pictures,
            {name: value for name, value in results[0].metrics.items() if math.isfinite(value)},
        )


def _is_yardstick(spec: AgentSpec) -> bool:
    return (spec.baseline or spec.reference) and not spec.learns
