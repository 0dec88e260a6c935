"""``splitgym-train --tune N``: look for a learner's hyperparameters, and write those that did best as a file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.table import Table

from ..agents.hyperparam_files import write_hyperparams
from ..agents.hyperparam_types import search_space
from ..agents.registry import get_spec, hyperparams_of
from ..agents.run_folder import RunConfig
from ..envs import Family, get_family
from ..ui.claims import held
from ..ui.console import called, note, print_table, stdout
from ..ui.errors import InputError
from ..ui.files import write_text
from ..ui.programs import needs
from ..ui.progress import Bar
from ..ui.validation import read_json, validated
from . import tables
from .executors.processes import carry_out
from .executors.work import Executor, Work
from .jobs import new_job
from .tune_trial import OWN, PIECE, STUDY, Search, run_trial, storage_of

TUNE, BEST = "tune.json", "best.yaml"
SCHEMA = 1
PROG = "splitgym-train"
SHOWN = 5  # trials in the table


def check(search: Search, executor: Executor) -> RunConfig:
    """What is searched can be; gives the config of a trial that tries nothing else.

    Raises:
        InputError: Optuna is not installed, the agent declares nothing to search, or what it is made with is not
            allowed.
    """
    if find_spec("optuna") is None:
        raise InputError(f"--tune {needs('optuna')}")
    if executor.kind == "ray":
        raise InputError("--tune: its trials share a file of this machine; leave --executor ray and --ray out")
    spec = get_spec(search.env, search.agent)
    if not spec.learns:
        raise InputError(f"--tune: agent {spec.name} is not trained beforehand; name one that learns")
    space = {} if spec.hyperparams is None else search_space(spec.hyperparams)
    if not set(space) - set(search.hyperparams):
        raise InputError(f"--tune: agent {spec.name} declares no hyperparameter to search beside those that are given")
    job = new_job(
        get_family(search.env), spec, search.scenario, search.options, search.seed, search.hyperparams,
        search.episodes, search.steps,
    )  # fmt: skip
    return job.config


def begin(search: Search, scenario_name: str, out: Path) -> None:
    """A new study in a folder, which first tries what the agent has by itself."""
    import optuna

    family, spec = get_family(search.env), get_spec(search.env, search.agent)
    write_text(out / TUNE, json.dumps({"schema": SCHEMA, **asdict(search)}, indent=1) + "\n")
    direction = "minimize" if family.lower_is_better else "maximize"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    assert spec.hyperparams is not None
    space = search_space(spec.hyperparams)
    own = hyperparams_of(family.name, spec.name, scenario_name)
    known = {name: value for name, value in own.items() if name in space and name not in search.hyperparams}
    with storage_of(out) as storage:
        study = optuna.create_study(storage=storage, study_name=STUDY, direction=direction)
        study.set_user_attr(OWN, {n: v for n, v in known.items() if space[n][0].low <= v <= space[n][0].high})


def resume(path: Path, trials: int | None, executor: Executor) -> int:
    """Go on with a study: the trials that are left, or so many in all; returns the exit code."""
    with held(path, f"--resume {path}"):
        data = read_json(path / TUNE, schema=SCHEMA)
        search = validated(Search, data, str(path / TUNE), exact=True)
        config = check(search, executor)
        return tune(search, config.scenario_name, path, trials, executor)


def tune(search: Search, scenario_name: str, out: Path, trials: int | None, executor: Executor) -> int:
    """Do trials until so many have ended, then print and write the best; returns the exit code.

    Args:
        search: what is searched.
        scenario_name: what the scenario calls itself.
        out: the study's folder.
        trials: in all; None for those of the last call.
        executor: processes that do trials at the same time.

    Raises:
        KeyboardInterrupt: stopped; the message says how to go on.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storage_of(out) as storage:
        study = optuna.load_study(study_name=STUDY, storage=storage)
        asked = trials or study.user_attrs["trials"]
        study.set_user_attr("trials", asked)
        for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):  # their processes were killed
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        done = {t.user_attrs[PIECE] for t in study.trials if t.state.is_finished() and t.state.name != "FAIL"}
        left = [number for number in range(asked) if number not in done]
        works = [Work(f"trial {number}", run_trial, (search, str(out), number)) for number in left]
        try:
            _carry_out(works, executor, asked - len(left), asked)
        except KeyboardInterrupt:
            again = f"{called(PROG)} --resume {shlex.quote(str(out))}"
            raise KeyboardInterrupt(f"interrupted; trials that have ended are kept, go on with: {again}") from None
        _conclude(search, scenario_name, study, out)
    return 0


def _carry_out(works: Sequence[Work[float]], executor: Executor, before: int, asked: int) -> None:
    share = {work.name: 0.0 for work in works}
    ended = before
    with Bar("tuning", before / asked) as bar:

        def show(work: Work[float], done: float) -> None:
            share[work.name] = done
            bar.show((before + sum(share.values())) / asked, f"{ended} of {asked} trials")

        with closing(carry_out(works, executor, show)) as results:
            for work, _ in results:
                ended += 1
                show(work, 1.0)


def _conclude(search: Search, scenario_name: str, study: Any, out: Path) -> None:
    family = get_family(search.env)
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    ranked = sorted(complete, key=lambda trial: trial.value if family.lower_is_better else -trial.value)
    pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
    console = stdout()
    ended = "1 trial to its end" if len(complete) == 1 else f"{len(complete)} trials to their end"
    head = f"\n{scenario_name}: {search.agent}, {ended}, {pruned} pruned"
    console.print(head, style="bold", soft_wrap=True)
    if not ranked:
        note("no trial came to its end; --resume with more of them goes on")
        return
    print_table(console, _table(family, ranked[:SHOWN]))
    best = ranked[0]
    told = tables.show_value(family, family.headline, best.value)
    which = f"trial {best.user_attrs[PIECE]} of {len(complete) + pruned}"
    comment = f"{which} on {scenario_name}, seed {search.seed}: {told}"
    text = write_hyperparams(search.agent, "default", {**search.hyperparams, **best.params}, comment)
    write_text(out / BEST, text)
    use = f"--hyperparams-file {shlex.quote(str(out / BEST))}"
    console.print(f"written to {out}: {BEST}; splitgym-train and splitgym-eval take it with {use}", soft_wrap=True)


def _table(family: Family, trials: Sequence[Any]) -> Table:
    unit, factor = tables.unit_of(family.headline, [trial.value for trial in trials])
    digits = tables.digits_for([trial.value * factor for trial in trials])
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("trial", tables.label_of(family, family.headline, unit), *names):
        table.add_column(name, justify="right")
    for trial in trials:
        params: Mapping[str, Any] = trial.params
        cells = [f"{params[name]:.3g}" if name in params else "–" for name in names]
        table.add_row(str(trial.user_attrs[PIECE]), tables.number(trial.value * factor, digits), *cells)
    return table
