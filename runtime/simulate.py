"""``python -m splitgym.runtime.simulate``: the runtime's cores under thousands of simulated faults."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext

from ..ui.console import Parser, entry, listed, note, stdout, whole, wrapped
from ..ui.errors import InputError
from ..ui.progress import Bar
from .simulation import stream_world, training_world
from .simulation.checks import STREAM, TRAINING
from .simulation.world import Outcome

PROG = "python -m splitgym.runtime.simulate"
SEEDS, BATCH = 1000, 25
SHOWN = 20  # seeds that fail


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate as the command line says; 1 if anything went wrong that must never."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    if args.log and args.seed is None:
        raise InputError("--log is for one seed: name it with --seed")
    seeds = range(args.first, args.first + args.seeds) if args.seed is None else range(args.seed, args.seed + 1)
    if args.log:
        outcome = simulate(args.training, seeds[0], keeps_log=True)
        print("\n".join(outcome.log))
        return _told([outcome], 0.0, args.training)
    begun_s = time.monotonic()
    found: list[Outcome] = []
    with Bar("seeds") as bar, _outcomes(args.training, seeds, args.workers, args.seconds) as outcomes:
        for outcome in outcomes:
            found.append(outcome)
            bar.show(_share(len(found), seeds, begun_s, args.seconds), f"{len(found)} of {len(seeds)} seeds")
    if args.seconds and len(found) < len(seeds):
        note(f"{len(found)} of {len(seeds)} seeds within {args.seconds:g} s")
    return _told(found, time.monotonic() - begun_s, args.training)


def _share(done: int, seeds: Sequence[int], begun_s: float, seconds: float | None) -> float:
    share = done / len(seeds)
    return share if seconds is None else max(share, min(1.0, (time.monotonic() - begun_s) / seconds))


def _parser() -> Parser:
    parser = Parser(
        PROG,
        "Run the runtime's own decisions (membership, epochs, redoing, delivery, journal) on a virtual network with a\n"
        "virtual clock, under faults drawn from seeds, and look for anything lost, doubled or wrong.",
        _help,
    )
    parser.add_argument("--training", action="store_true", help="trainings instead of streams of images")
    parser.add_argument("--seeds", metavar="N", type=whole, default=SEEDS, help=f"how many ({SEEDS})")
    parser.add_argument("--first", metavar="K", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seconds", metavar="S", type=float, help="stop after so long")
    parser.add_argument("--workers", metavar="N", type=whole, default=os.cpu_count() or 1, help="processes (all cores)")
    parser.add_argument("--seed", metavar="K", type=int, help="one seed alone")
    parser.add_argument("--log", action="store_true", help="with --seed: print all that happens")
    return parser


def _help() -> str:
    return "\n".join(
        [
            "what happens in a seed:",
            *wrapped(
                "  ",
                "Two to four workers and a controller, a stream of images, and faults: crashes, quick restarts, hangs, "
                "cut, stalled, slow and changed links, full and slow disks, stuck computations, the controller's own "
                "end and standstill; messages come late and twice. Every row says which it is.",
            ),
            *wrapped(
                "  ",
                "With --training a training that is cut, pipelined or hybrid, with up to two spare workers, instead of "
                "the stream; connections lose messages too. Every weight says what it was trained on.",
            ),
            "",
            "exit code:",
            *listed({"0": "nothing was violated", "1": "something was: its seed repeats it exactly"}),
            "",
            "examples:",
            f"  {PROG} --seeds 2000",
            f"  {PROG} --training --seeds 2000",
            f"  {PROG} --seed 1234 --log",
        ]
    )


@contextmanager
def _outcomes(training: bool, seeds: Sequence[int], workers: int, seconds: float | None) -> Iterator[Iterator[Outcome]]:
    """Outcomes in the order of seeds, whatever the number of processes."""
    due_s = None if seconds is None else time.monotonic() + seconds
    batches = [seeds[i : i + BATCH] for i in range(0, len(seeds), BATCH)]
    pool = ProcessPoolExecutor(workers) if workers > 1 and len(batches) > 1 else None
    with nullcontext() if pool is None else pool:
        try:
            yield _in_order(training, batches, pool, workers, due_s)
        finally:
            if pool is not None:
                pool.shutdown(cancel_futures=True)


def _in_order(
    training: bool,
    batches: Sequence[Sequence[int]],
    pool: ProcessPoolExecutor | None,
    workers: int,
    due_s: float | None,
) -> Iterator[Outcome]:
    if pool is None:
        for seed in (s for batch in batches for s in batch):
            if due_s is not None and time.monotonic() > due_s:
                return
            yield simulate(training, seed)
        return
    waiting = [pool.submit(_simulate_all, training, batch) for batch in batches[: 2 * workers]]
    for following in [*batches[2 * workers :], *([None] * len(waiting))]:
        yield from waiting.pop(0).result()
        if due_s is not None and time.monotonic() > due_s:
            return
        if following is not None:
            waiting.append(pool.submit(_simulate_all, training, following))


def simulate(training: bool, seed: int, keeps_log: bool = False) -> Outcome:
    """All that happens under a seed, in a training or a stream."""
    return (training_world if training else stream_world).simulate(seed, keeps_log)


def _simulate_all(training: bool, seeds: Sequence[int]) -> list[Outcome]:
    return [simulate(training, seed) for seed in seeds]


def _told(found: Sequence[Outcome], seconds: float, training: bool) -> int:
    console, counts = stdout(), Counter[str]()
    for outcome in found:
        counts.update(dict.fromkeys(outcome.counts, 1))
    failed = [outcome for outcome in found if outcome.violation]
    sums = {name: sum(getattr(o, name) for o in found) for name in ("items", "epochs", "faults", "events")}
    words = ", ".join(f"{value} {name}" for name, value in sums.items())
    speed = f" in {seconds:.1f} s ({len(found) / seconds:.0f} seeds a second)" if seconds else ""
    console.print(f"{len(found)} seeds: {words}, {len(failed)} violations{speed}", style="bold", soft_wrap=True)
    if len(found) > 1:
        console.print("seeds in which it happened:", style="bold")
        for what in TRAINING if training else STREAM:
            console.print(f"  {counts[what]:6d}  {what}", soft_wrap=True)
    for outcome in failed[:SHOWN]:
        console.print(f"seed {outcome.seed}: {outcome.violation}", style="red", soft_wrap=True)
    if failed:
        kind = " --training" if training else ""
        console.print(f"to look into one: {PROG}{kind} --seed {failed[0].seed} --log", soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
