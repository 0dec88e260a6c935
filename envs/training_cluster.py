"""Workers that train what scenarios say, on this machine or on others, as fast as they are or as the tables say."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval

from ..ui.errors import InputError
from ..ui.programs import needs
from ..ui.validation import validated
from .live_training import Costs, Task

if TYPE_CHECKING:
    from ..models.model import Model
    from ..runtime.blobs import BlobStore
    from ..runtime.controller import Controller
    from ..runtime.testbed import Testbed
    from ..runtime.training.data import Dataset
    from ..runtime.training.job import TrainingJob
    from ..runtime.training.live import Training
    from ..runtime.training.log import TrainingLog
    from ..runtime.training.steps import Step
    from ..runtime.wire_training import AnyEntry

BACKENDS = ("tables", "live")
OVERRUN = 0.005  # of a step that real work may take longer than what it stands for, and the step still counts
SPARE = 2.0  # times what real work took when it was tried
LEAST_STEP_S = 0.2  # real time of a step; shorter ones would be the runtime's own
TRIED = 4  # steps at full speed, to see which scale this machine can keep to
JOIN_S = 60.0


@dataclass
class Workers:
    """Workers in session.

    Attributes:
        controller: of the session.
        roles: who plays what.
        testbed: where they are processes of this machine.
        emulates: whether they take the time of a scenario's devices, and its links'.
        scale: by which real time is longer than that.
    """

    controller: Controller
    roles: Mapping[str, str]
    testbed: Testbed | None = None
    emulates: bool = True
    scale: float = 1.0

    @property
    def remote(self) -> bool:
        """Whether workers' clocks are not this machine's."""
        return self.testbed is None

    def training(self, job: TrainingJob, costs: Costs | None, log: TrainingLog | None = None) -> Training:
        """A training over them, to be closed as a context.

        Args:
            costs: that its members keep to at first; None for their own time.
        """
        from ..runtime.training.live import Training

        paced = job if costs is None or not self.emulates else replace(job, paces=costs.paces(self.scale))
        return Training(self.controller, paced, self.roles, log)

    def fit_scale(self, task: Task) -> float:
        """The least scale at which this machine does all of a step in time, with some to spare, and none is too short
        to be told from the runtime's own time."""
        first = next(task.entries([]))
        with self.training(task.job, None) as training:
            steps = list(training.run(islice(task.entries([]), TRIED + task.job.in_flight), drains=True))
        tried = [step for step in steps[1:] if type(step.entry) is type(first)]
        found = [least_scale(step, task.costs(step.entry), task.step_s) for step in tried]
        return max(*found, float(f"{LEAST_STEP_S / task.step_s:.1e}"))

    def counts(self, step: Step, step_s: float) -> bool:
        """Whether a step says something about emulated devices, on which one takes ``step_s``."""
        return not self.emulates or step.overrun_s <= OVERRUN * step_s * self.scale


def least_scale(step: Step, costs: Costs, step_s: float) -> float:
    """The least scale at which all work of a step, with some to spare, would have been in time but for :data:`OVERRUN`.

    Args:
        step: as it went at full speed.
        step_s: what it takes on the devices.
    """
    pairs = [
        (SPARE * (span.end_s - span.start_s), costs.work_s(role, span.kind, span.label, step.measures["samples"]))
        for role, spans in step.spans.items()
        for span in spans
        if span.kind not in ("send", "receive")
    ]
    scale = 1.0
    while sum(max(0.0, real_s - scale * due_s) for real_s, due_s in pairs) > OVERRUN * scale * step_s:
        scale *= 1.1
    return float(f"{scale:.1e}")


def by_costs(
    entries: Iterable[AnyEntry], costs: Callable[[AnyEntry], Costs]
) -> Iterator[tuple[Costs, Iterator[AnyEntry]]]:
    """Entries in runs of those that cost the same."""
    for _, run in groupby(((costs(entry), entry) for entry in entries), key=lambda pair: id(pair[0])):
        found, first = next(run)
        rest = (entry for _, entry in run)  # noqa: B031, goes on behind its first
        yield found, chain([first], rest)


class Bench:
    """Workers that all envs of a process share: they train for one at a time.

    Args:
        roles: that they play.
        spare: names of further ones.
    """

    def __init__(self, roles: Sequence[str], spare: Sequence[str] = ()) -> None:
        from ..runtime.blobs import BlobStore, default_folder

        self._stack, self._playing = ExitStack(), ExitStack()
        self._owner: object = None
        self.workers = self._stack.enter_context(on_testbed(roles, BlobStore(default_folder()), spare))
        atexit.register(self.close)

    def begin(self, owner: object, job: TrainingJob, costs: Costs, scale: float) -> Training:
        """A new training for somebody; that of whoever trained before is over."""
        self._playing.close()
        self._owner, self.workers.scale = owner, scale
        return self._playing.enter_context(self.workers.training(job, costs))

    def check(self, owner: object) -> None:
        """See that nobody else trains on them.

        Raises:
            InputError: somebody does.
        """
        if owner is not self._owner:
            raise InputError("backend=live: another env of this process trains on its workers now; reset this one")

    def fit_scale(self, tasks: Iterable[Task]) -> float:
        """The least scale at which this machine keeps to all of some trainings; whoever trained before is done."""
        self._playing.close()
        self._owner = None
        return max(self.workers.fit_scale(task) for task in tasks)

    def close(self) -> None:
        """End the training, and the workers."""
        self._playing.close()
        self._stack.close()


_benches: dict[tuple[str, ...], Bench] = {}


def bench_of(family: str, roles: Sequence[str], spare: Sequence[str] = ()) -> Bench:
    """The workers of a process that play some roles.

    Raises:
        InputError: they do not start, or a package lacks.
    """
    key = (*roles, *spare)
    if key not in _benches:
        try:
            _benches[key] = Bench(roles, spare)
        except ModuleNotFoundError as error:
            raise InputError(f"{family}: backend=live {needs(error)}") from None
    return _benches[key]


def close_benches() -> None:
    """End all workers that envs share."""
    for bench in _benches.values():
        bench.close()
    _benches.clear()


@dataclass(frozen=True)
class LiveOptions:
    """How an env is played live.

    Args:
        time_scale: by which everything is slower than the devices; None: the least that this machine keeps to.
        data: folder with images; None for scikit-learn's digits.
        learning_rate: of all steps.
    """

    time_scale: Annotated[float, Interval(ge=1e-3, le=1e6)] | None = None
    data: str | None = None
    learning_rate: Annotated[float, Interval(ge=1e-12, le=100)] = 0.01


def live_options(family: str, backend: str, given: Mapping[str, Any]) -> LiveOptions:
    """Options of an env that are for playing live.

    Args:
        given: by name, None where they are not given.

    Raises:
        InputError: there is no such backend, an option is not allowed, or nothing is played live.
    """
    if backend not in BACKENDS:
        raise InputError(f"{family}: backend={backend!r} is not one of {', '.join(BACKENDS)}")
    found = {name: value for name, value in given.items() if value is not None}
    if backend != "live" and found:
        raise InputError(f"{family}: {next(iter(found))} is for backend=live")
    return validated(LiveOptions, found, f"{family}, backend=live")


def live_data(family: str, options: LiveOptions, model: Model) -> Dataset:
    """The images that are trained on.

    Raises:
        InputError: torch is not installed, or they cannot be read.
    """
    try:
        from ..runtime.training.data import load_images
    except ModuleNotFoundError as error:
        raise InputError(f"{family}: backend=live {needs(error)}") from None
    return load_images(options.data, model.input)


@contextmanager
def on_testbed(
    roles: Sequence[str], store: BlobStore, spare: Sequence[str] = (), insecure: bool = False, **session: Any
) -> Iterator[Workers]:
    """Workers in processes of this machine, called as the roles that they play; they end with the context.

    Args:
        spare: names of further ones.
        session: options of the :class:`~splitgym.runtime.controller.Controller`.

    Raises:
        InputError: they do not start.
    """
    from ..runtime.session import open_session
    from ..runtime.testbed import Testbed

    with (
        Testbed([*roles, *spare], store.folder, insecure, trains=True) as testbed,
        open_session(
            testbed.members, testbed.identity, testbed.roster, store, insecure, join_s=JOIN_S, returns=True, **session
        ) as controller,
    ):
        yield Workers(controller, {role: role for role in roles}, testbed)
