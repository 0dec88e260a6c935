"""How much faster two processes are than one at the same jobs, on this machine's and on Ray's."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec

from measure import Figure

from splitgym.envs import get_family
from splitgym.experiments.executors.work import Executor, Kind
from splitgym.experiments.workers import Task, run_tasks

JOBS = 8
ROUNDS = 60_000  # some seconds a job


def jobs() -> list[Task]:
    """Alike but for their seeds."""
    family, scenario = get_family("l2s"), "vgg16-cpu-60"
    return [
        Task(seed, family, "linucb-e", False, scenario, scenario, seed, {"rounds": ROUNDS}, 1, None, None, {})
        for seed in range(JOBS)
    ]


def seconds(workers: int, kind: Kind) -> float:
    """Wall-clock time of all jobs, processes begun and ended included.

    Those import the program that they belong to: of a process of its own, as it is with the commands.
    """
    run = subprocess.run([sys.executable, __file__, str(workers), kind], capture_output=True, text=True, check=True)
    return float(run.stdout.splitlines()[-1])


def main() -> None:
    workers, kind = sys.argv[1:]
    begin = time.perf_counter()
    executor = Executor(int(workers), "ray" if kind == "ray" else "processes")
    assert len(list(run_tasks(jobs(), executor, None, lambda task, share: None))) == JOBS
    print(time.perf_counter() - begin)


def figures() -> Iterator[Figure]:
    """How long the same jobs take with one process and with two."""
    one = seconds(1, "processes")
    yield Figure(f"executors: {JOBS} jobs, one process", one, "s")
    kinds: list[Kind] = ["processes", *(["ray"] if find_spec("ray") else [])]
    for kind in kinds:
        two = seconds(2, kind)
        yield Figure(f"executors: {JOBS} jobs, two of {kind}", two, "s", one / two, "as fast as one process")


GROUPS = {"executors": figures}

if __name__ == "__main__":
    main()
