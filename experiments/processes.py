"""Work in processes. What comes out does not depend on how many there are."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..envs import FAMILIES, Family, register_family
from .jobs import single_thread

REPORT_S = 0.5  # between looks at what has been told

T = TypeVar("T")
OnShare = Callable[[float], None]
_outbox: Any = None  # in a worker: where its progress goes


@dataclass(frozen=True)
class Work(Generic[T]):
    """A call that one process makes.

    Attributes:
        name: unique among those that are carried out together.
        function: importable by name; called with the arguments and with what takes the share that is done, 0..1.
        weight: how long it takes, beside the others.
    """

    name: str
    function: Callable[..., T]
    arguments: tuple[Any, ...]
    weight: float = 1.0


OnProgress = Callable[[Work[T], float], None]


def carry_out(
    works: Sequence[Work[T]], workers: int, on_progress: OnProgress[T]
) -> Generator[tuple[Work[T], T], None, None]:
    """Do all of it, beginning in the order given.

    Args:
        works: what to do.
        workers: processes; 1 works in this one.
        on_progress: called with a piece and how much of it is done, 0..1.

    Yields:
        Every piece with what came of it, as they are done.

    Raises:
        Exception: of a piece that failed, as it raised it; those that are done come first, the others are stopped.
    """
    if workers == 1 or len(works) < 2:
        single_thread()
        for work in works:
            yield work, work.function(*work.arguments, lambda share, work=work: on_progress(work, share))
    else:
        yield from _in_processes(works, min(workers, len(works)), on_progress)


def _in_processes(works: Sequence[Work[T]], workers: int, on_progress: OnProgress[T]) -> Iterator[tuple[Work[T], T]]:
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


def _begin(families: Sequence[Family], outbox: Any) -> None:
    """In a new worker: Ctrl-C is the parent's business, and families from elsewhere must be known here too."""
    global _outbox
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    single_thread()
    for family in families:
        register_family(family)
    _outbox = outbox


def _call(work: Work[T]) -> T:
    return work.function(*work.arguments, lambda share: _outbox.put((work.name, share)))
