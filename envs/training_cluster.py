"""Workers that train what scenarios say, on this machine or on others, as fast as they are or as the tables say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any

from .live_training import Costs, Task

if TYPE_CHECKING:
    from ..runtime.blobs import BlobStore
    from ..runtime.controller import Controller
    from ..runtime.testbed import Testbed
    from ..runtime.training.job import TrainingJob
    from ..runtime.training.live import Training
    from ..runtime.training.log import TrainingLog
    from ..runtime.training.steps import Step
    from ..runtime.wire_training import AnyEntry

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
        with self.training(replace(task.job, every=None), None) as training:
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
        Testbed([*roles, *spare], store.folder, insecure) as testbed,
        open_session(
            testbed.members, testbed.identity, testbed.roster, store, insecure, join_s=JOIN_S, returns=True, **session
        ) as controller,
    ):
        yield Workers(controller, {role: role for role in roles}, testbed)
