"""Work in processes, of this machine or of a Ray cluster. What comes out depends on neither kind nor number."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from ..envs import FAMILIES, Family, register_family
from ..ui.console import note
from ..ui.errors import InputError
from .jobs import single_thread

REPORT_S = 0.5  # between looks at what has been told
TRIES = 2  # of a piece of work whose process dies

T = TypeVar("T")
Kind = Literal["processes", "ray"]
OnShare = Callable[[float], None]
_outbox: Any = None  # in a worker: where its progress goes


@dataclass(frozen=True)
class Executor:
    """Where work is done.

    Attributes:
        workers: processes; 1 of them on this machine is this process itself.
        kind: processes of this machine, or those of Ray.
        address: of a Ray cluster; None begins one on this machine, which ends with the work.
    """

    workers: int = 1
    kind: Kind = "processes"
    address: str | None = None

    def alone(self) -> Executor:
        """The same, one piece of work after another."""
        return replace(self, workers=1)


@dataclass(frozen=True)
class Work(Generic[T]):
    """A call that one process makes.

    Attributes:
        name: unique among those that are carried out together.
        function: importable by name; called with the arguments and with what takes the share that is done, 0..1.
        weight: how long it takes, beside the others.
        live: whether it needs the boards of a live cluster, which is Ray's resource ``live``.
    """

    name: str
    function: Callable[..., T]
    arguments: tuple[Any, ...]
    weight: float = 1.0
    live: bool = False


OnProgress = Callable[[Work[T], float], None]
Results = Generator[tuple[Work[T], T], None, None]


def carry_out(works: Sequence[Work[T]], executor: Executor, on_progress: OnProgress[T]) -> Results[T]:
    """Do all of it, beginning in the order given.

    Args:
        works: what to do.
        executor: where.
        on_progress: called with a piece and how much of it is done, 0..1.

    Yields:
        Every piece with what came of it, as they are done.

    Raises:
        InputError: a piece whose process died, again when it was tried once more.
        Exception: of a piece that failed, as it raised it; those that are done come first, the others are stopped.
    """
    if executor.kind == "ray":
        from .ray_processes import in_ray

        yield from in_ray(works, executor, on_progress)
    elif executor.workers == 1 or len(works) < 2:
        single_thread()
        for work in works:
            yield work, work.function(*work.arguments, lambda share, work=work: on_progress(work, share))
    else:
        yield from _in_processes(works, min(executor.workers, len(works)), on_progress)


class Deaths:
    """How often the process of a piece of work has died."""

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter()

    def tell(self, name: str) -> None:
        """One more time.

        Raises:
            InputError: once too often.
        """
        self._tries[name] += 1
        why = "its process was killed; is there memory enough?"
        if self._tries[name] >= TRIES:
            raise InputError(f"{name}: {why} (tried {TRIES} times)")
        note(f"{name}: {why} Trying again")


def _in_processes(works: Sequence[Work[T]], workers: int, on_progress: OnProgress[T]) -> Results[T]:
    left, deaths = {work.name: work for work in works}, Deaths()
    while left:
        begun: set[str] = set()
        try:
            for work, result in _in_pool(list(left.values()), workers, on_progress, begun):
                del left[work.name]
                yield work, result
        except BrokenProcessPool:
            for name in [name for name in left if name in begun]:
                deaths.tell(name)


def _in_pool(works: Sequence[Work[T]], workers: int, on_progress: OnProgress[T], begun: set[str]) -> Results[T]:
    """Notes in ``begun`` what a process has begun."""
    context = multiprocessing.get_context("spawn")
    not_ours = set(multiprocessing.active_children())
    outbox = context.Queue()
    pool = ProcessPoolExecutor(workers, context, _begin, (tuple(FAMILIES.values()), outbox))
    waiting: dict[Future[T], Work[T]] = {}
    try:
        waiting |= {pool.submit(_call, work): work for work in works}
        while waiting:
            done, _ = wait(waiting, REPORT_S, FIRST_COMPLETED)
            told = _drain(outbox)
            begun.update(told)
            for work in [work for future, work in waiting.items() if future not in done and work.name in told]:
                on_progress(work, told[work.name])
            yield from _collect(done, waiting)
    finally:
        if waiting:  # an error, or the caller has stopped
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - not_ours:
                process.terminate()
        pool.shutdown()
        outbox.close()
        outbox.join_thread()


def _collect(done: set[Future[T]], waiting: dict[Future[T], Work[T]]) -> Iterator[tuple[Work[T], T]]:
    for future in sorted(done, key=lambda future: future.exception() is not None):  # what is done is kept
        result = future.result()
        yield waiting.pop(future), result


def _drain(outbox: Any) -> dict[str, float]:
    """The newest share of everything that reported, by name."""
    newest: dict[str, float] = {}
    while True:
        try:
            name, share = outbox.get_nowait()
        except queue.Empty:
            return newest
        newest[name] = share


def begin(families: Sequence[Family]) -> None:
    """In a new worker: Ctrl-C is the parent's business, and families from elsewhere must be known here too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    single_thread()
    for family in families:
        register_family(family)


def _begin(families: Sequence[Family], outbox: Any) -> None:
    global _outbox
    begin(families)
    _outbox = outbox


def _call(work: Work[T]) -> T:
    _outbox.put((work.name, 0.0))
    return work.function(*work.arguments, lambda share: _outbox.put((work.name, share)))
