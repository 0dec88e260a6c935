"""Work in the processes of Ray: of a cluster, or of one on this machine that ends with the work.

Access takes a token (RAY_AUTH_MODE=token) unless the environment says otherwise: whoever may submit work to a Ray
cluster may run any code on it.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ...envs import FAMILIES, Family
from ...ui.console import Interrupts
from ...ui.errors import InputError
from .work import REPORT_S, Deaths, Executor, OnProgress, Results, Work, begin

LIVE = "live"  # the custom resource of the node whose boards a live evaluation plays on
TOKEN = "RAY_AUTH_TOKEN"

T = TypeVar("T")


def in_ray(works: Sequence[Work[T]], executor: Executor, on_progress: OnProgress[T]) -> Results[T]:
    """:func:`.processes.carry_out` on Ray; progress is told of whole pieces only.

    Raises:
        InputError: the cluster cannot be reached, has no resource ``live`` where one is needed, or a process died
            twice.
    """
    with _connected(executor):
        import ray

        if any(work.live for work in works) and not ray.cluster_resources().get(LIVE):
            raise InputError(
                f"--ray {executor.address}: no node has the resource {LIVE}; begin the boards' controller with "
                f"ray start --address ... --resources '{{\"{LIVE}\": 1}}'"
            )
        deaths, families = Deaths(), tuple(FAMILIES.values())
        running: dict[Any, Work[T]] = {}
        waiting = list(reversed(works))
        try:
            while waiting or running:
                while waiting and len(running) < executor.workers:
                    work = waiting.pop()
                    needs = {LIVE: 1.0} if work.live else {}
                    task = ray.remote(_call).options(num_cpus=1, max_retries=0, resources=needs, name=work.name)
                    running[task.remote(work, families)] = work
                    on_progress(work, 0.0)
                ray.wait(list(running), num_returns=1, timeout=REPORT_S)
                done, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
                killed: list[Work[T]] = []
                yield from _collect(done, running, killed)
                for work in killed:
                    deaths.tell(work.name)
                    waiting.append(work)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _collect(done: Sequence[Any], running: dict[Any, Work[T]], killed: list[Work[T]]) -> Iterator[tuple[Work[T], T]]:
    """Take results of what is done out of what is running, and note what a process was killed over.

    Raises:
        Exception: of a piece that failed, as it raised it, when the others are there.
    """
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

    failed: Exception | None = None
    for reference in done:
        work = running.pop(reference)
        try:
            result: Any = ray.get(reference)
        except (WorkerCrashedError, NodeDiedError, OutOfMemoryError):
            killed.append(work)
        except RayTaskError as error:  # its own text is a traceback
            cause: Exception = error.cause
            cause.__cause__ = error
            failed = cause
        else:
            yield work, result
    if failed is not None:
        raise failed


@contextmanager
def _connected(executor: Executor) -> Iterator[None]:
    """Connected to a cluster, or to one of this machine that is begun here, with a token of its own."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # read when Ray is imported, in its other processes too
    if executor.address is None and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault(TOKEN, secrets.token_hex(32))
    import ray
    from ray.exceptions import AuthenticationError

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if executor.address is None:
            own = {"num_cpus": executor.workers, "resources": {LIVE: 1.0}, "include_dashboard": False}
            with Interrupts("") as interrupts:  # half a cluster would stay behind
                ray.init(address="local", **own, **quiet)
        else:
            with Interrupts("") as interrupts:
                ray.init(address=executor.address, **quiet)
    except (AuthenticationError, ConnectionError, ValueError, RuntimeError) as error:
        hint = f" (is it running, and its token in {TOKEN}?)" if executor.address else ""
        raise InputError(f"--ray {executor.address or 'local'}: {str(error).splitlines()[0]}{hint}") from None
    try:
        interrupts.check()
        yield
    finally:
        with Interrupts(""):
            ray.shutdown()


def _call(work: Work[T], families: Sequence[Family]) -> T:
    """In a worker of Ray."""
    begin(families)
    return work.function(*work.arguments, lambda share: None)
