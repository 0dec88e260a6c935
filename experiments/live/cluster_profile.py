"""Measuring a cluster: kernels on every machine at once, workers of one machine and links one after another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...models.model import Model
from ...profiling.link_file import LinkMeasurement
from ...profiling.measure.journal import Journal
from ...profiling.measure.measuring import COLUMNS, DeviceFailure, Effort, OutOfMemory, journal_header, measure_table
from ...runtime.controller import Controller
from ...runtime.measuring import RemoteKernels, measure_link
from ...ui.errors import InputError

Show = Callable[[float, str], None]


@dataclass(frozen=True)
class Asked:
    """How kernels are measured.

    Attributes:
        repeats, warmup, every: as for ``splitgym-profile``.
        fresh: do not go on with what was begun.
    """

    repeats: int
    warmup: int
    every: int
    fresh: bool


class Shares:
    """How far all are together, from the work that was left when each began."""

    def __init__(self, names: Sequence[str], show: Show) -> None:
        self._begun: dict[str, float] = dict.fromkeys(names, 0.0)
        self._now: dict[str, float] = {}
        self._show, self._lock = show, threading.Lock()

    def show(self, name: str, share: float, text: str) -> None:
        """One of them has got on; called from several threads."""
        with self._lock:
            if name not in self._now:
                self._begun[name] = share
            self._now[name] = share
            left = sum(1.0 - self._now.get(n, begun) for n, begun in self._begun.items())
            whole = sum(1.0 - begun for begun in self._begun.values())
            self._show(1.0 - left / whole if whole > 0 else 1.0, f"{name}: {text}")


def by_machine(controller: Controller, names: Sequence[str]) -> list[list[str]]:
    """Workers that share a machine, in order."""
    found: dict[str, list[str]] = {}
    for name in names:
        machine = controller.welcomes[name].boot or controller.members[name].address.rpartition(":")[0]
        found.setdefault(machine, []).append(name)
    return list(found.values())


def measure_kernels(controller: Controller, model: Model, paths: Mapping[str, Path], asked: Asked, show: Show) -> None:
    """Measure a latency table of every worker, and write it.

    Args:
        controller: in session with the workers.
        model: the network.
        paths: where tables go, by worker; what is measured of one that is not whole lies beside it.
        asked: how.
        show: gets the share of all work and what was just done.

    Raises:
        InputError: a worker cannot, is lost, or a file cannot be written; the others are given up.
        KeyboardInterrupt: with a text that says what is kept.
    """
    groups, shares = by_machine(controller, list(paths)), Shares(list(paths), show)

    def measure_group(names: Sequence[str]) -> None:
        for name in names:
            _measure_table(controller, name, model, paths[name], asked, partial(shares.show, name))

    with ThreadPoolExecutor(len(groups)) as pool:
        futures = [pool.submit(measure_group, names) for names in groups]
        try:
            _until_done(futures)
        except BaseException as error:
            controller.give_up(error)
            _, late = wait(futures, 60.0)
            if isinstance(error, KeyboardInterrupt) and not late:
                texts = [str(e) for future in futures if isinstance(e := future.exception(), KeyboardInterrupt)]
                kept = [text.removeprefix("interrupted; ") for text in texts if "nothing else" not in text]
                raise KeyboardInterrupt("; ".join(["interrupted", *kept])) from None
            raise


def _until_done(futures: Sequence[Future[None]]) -> None:
    """Wait for all, or for the first that fails."""
    while True:
        done, waiting = wait(futures, 0.5, FIRST_EXCEPTION)  # Ctrl-C waits no longer than that
        for future in done:
            future.result()
        if not waiting:
            return


def _measure_table(controller: Controller, name: str, model: Model, path: Path, asked: Asked, progress: Show) -> None:
    try:
        kernels = RemoteKernels(controller, name, model)
    except (OutOfMemory, DeviceFailure) as error:
        raise InputError(str(error)) from None
    effort = Effort(asked.repeats, asked.warmup, kernels.passes)
    header = journal_header(model, kernels, effort)
    partial_path = path.with_suffix(".partial.csv")
    with Journal(partial_path, header, COLUMNS, asked.fresh) as journal:
        found = measure_table(
            model, kernels, effort, journal, progress, asked.every, kernels.extras, kernels.whole, kernels.visit
        )
    try:
        found.table.save(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    partial_path.unlink(missing_ok=True)
    kernels.close()


def measure_links(
    controller: Controller, peer: str, paths: Mapping[str, Path], seconds: float, show: Show
) -> dict[str, LinkMeasurement]:
    """Measure the link of one worker after the other to this machine, and write each.

    Args:
        controller: in session with the workers.
        peer: this machine's name.
        paths: where link files go, by worker.
        seconds: about how long for each.
        show: gets the share of all work and what is done now.

    Raises:
        InputError: a worker is lost or silent, or a file cannot be written.
        KeyboardInterrupt: with a text that says what is kept.
    """
    found: dict[str, LinkMeasurement] = {}
    try:
        for i, (name, path) in enumerate(paths.items()):

            def tell(share: float, text: str, i: int = i, name: str = name) -> None:
                show((i + share) / len(paths), f"{name}: {text}")

            link = measure_link(controller, name, peer, seconds, tell)
            path.parent.mkdir(parents=True, exist_ok=True)
            link.save(path)
            found[name] = link
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {len(found)} of {len(paths)} links are measured") from None
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written ({error.strerror})") from None
    return found
