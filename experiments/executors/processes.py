"""Work in processes, of this machine or of a Ray cluster. What comes out depends on neither kind nor number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..jobs import single_thread
from .local import in_processes
from .ray_cluster import in_ray
from .work import Executor, OnProgress, Results, Work

T = TypeVar("T")


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
        yield from in_ray(works, executor, on_progress)
    elif executor.workers == 1 or len(works) < 2:
        single_thread()
        for work in works:
            yield work, work.function(*work.arguments, lambda share, work=work: on_progress(work, share))
    else:
        yield from in_processes(works, min(executor.workers, len(works)), on_progress)
