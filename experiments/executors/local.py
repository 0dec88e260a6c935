"""Work in processes of this machine, each of which may be killed without harm to the others."""

from __future__ import annotations

import multiprocessing
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from ...envs import FAMILIES, Family
from .work import Deaths, OnProgress, Results, Work, begin

T = TypeVar("T")
SAVING_S = 60.0  # in which a process that is asked to end may save what it has
SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of torch and BLAS
Told = tuple[str, Any]  # share, result or error, with its value


class Failure(Exception):
    """Where in another process an error came from: its traceback."""


class _Worker(Generic[T]):
    """A process that does one piece of work after another.

    Attributes:
        work: what it does, None while it waits.
        error: with what that has failed.
    """

    def __init__(self) -> None:
        self.work: Work[T] | None = None
        self.error: Exception | None = None
        self._here, there = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(there, tuple(FAMILIES.values())))
        self._process.start()
        there.close()

    @property
    def signs(self) -> tuple[Any, Any]:
        """What becomes ready when it tells something, or ends."""
        return self._here, self._process.sentinel

    def give(self, work: Work[T]) -> None:
        """The next piece."""
        self.work = work
        with suppress(OSError):  # it has ended, which is seen when it is asked
            self._here.send(work)

    def told(self) -> Iterator[Told]:
        """What it has told since it was last asked.

        Raises:
            EOFError: it has ended, whatever came before.
        """
        ended = not self._process.is_alive()  # looked at first, so that nothing told before is missed
        try:
            while self._here.poll():
                yield self._here.recv()
        except OSError:  # in the middle of a message
            raise EOFError from None
        if ended:
            raise EOFError

    def leave(self) -> None:
        """Ask the process to end; work under way may save what it has."""
        if self.work is None:
            self._here.close()
        else:
            self._process.terminate()

    def join(self) -> None:
        """Wait until a process that was asked to has ended, and end it in the end."""
        if self.work is not None:
            self._process.join(SAVING_S)
        self._here.close()
        self._process.join(SAVING_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def in_processes(works: Sequence[Work[T]], workers: int, on_progress: OnProgress[T]) -> Results[T]:
    """:func:`.processes.carry_out` on so many processes of this machine.

    Raises:
        InputError: the process of a piece was killed twice.
    """
    waiting, deaths = deque(works), Deaths()
    pool: list[_Worker[T]] = []
    try:
        pool += [_Worker() for _ in range(workers)]
        while waiting or any(worker.work for worker in pool):
            for worker in pool:
                if worker.work is None and waiting:
                    worker.give(waiting.popleft())
            busy = [worker for worker in pool if worker.work is not None]
            ready = set(wait([sign for worker in busy for sign in worker.signs]))
            for worker in [worker for worker in busy if ready.intersection(worker.signs)]:
                work = worker.work
                assert work is not None
                try:
                    yield from _listen(worker, work, on_progress)
                except EOFError:
                    pool.remove(worker)
                    worker.leave()
                    worker.join()
                    deaths.tell(work.name)
                    waiting.appendleft(work)
                    pool.append(_Worker())
            for error in [worker.error for worker in busy if worker.error is not None]:
                raise error
    finally:
        for worker in pool:  # all of them at once
            worker.leave()
        for worker in pool:
            worker.join()


def _listen(worker: _Worker[T], work: Work[T], on_progress: OnProgress[T]) -> Iterator[tuple[Work[T], T]]:
    """Take what a worker tells of its piece: the result if it is there, or its error."""
    for kind, value in worker.told():
        if kind == "share":
            on_progress(work, value)
            continue
        worker.work = None
        if kind == "result":
            yield work, value
        else:
            error, where = value
            error.__cause__ = Failure(where)
            worker.error = error


def _serve(pipe: Connection, families: Sequence[Family]) -> None:
    """In the process: until the other end is closed, or a piece of work that was asked to stop has stopped."""
    begin(families)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while True:
            work = pipe.recv()
            pipe.send(_done(work, pipe))


def _done(work: Work[Any], pipe: Connection) -> Told:
    pipe.send(("share", 0.0))
    try:
        return "result", work.function(*work.arguments, lambda share: pipe.send(("share", share)))
    except Exception as error:
        return "error", (error, f"\n{traceback.format_exc()}")
