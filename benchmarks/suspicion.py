"""Nothing is wrong, only slow: how often a worker is taken for lost.

    python benchmarks/suspicion.py [--minutes N] [--mbps R] [--busy N]

Images stream over worker processes behind slow links while other processes keep the cores busy, with the leases of
splitgym-run. Nobody fails, so that every loss is a false suspicion.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import numpy as np
from chaos import Chaos
from measure import Figure

from splitgym.models.layers import Shape
from splitgym.ui.progress import Bar

MINUTES, MBPS = 10.0, 20.0
IMAGE = Shape(3, 112, 112)  # its rows fill the links
EXPECTED_S = 1.0


def run(minutes: float = MINUTES, mbps: float = MBPS, busy: int | None = None) -> Iterator[Figure]:
    """Who is taken for lost, though nobody fails, on slow links and with as many busy processes as there are cores."""
    busy = (os.cpu_count() or 1) if busy is None else busy
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        for _ in range(busy):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        chaos = Chaos(Path(folder), image=IMAGE, bytes_per_s=mbps * 1e6 / 8, expected_s=EXPECTED_S)
        stack.callback(chaos.close)
        yield from _figures(chaos, minutes, f"{mbps:g} Mbps, {busy} busy processes on {os.cpu_count()} cores")


def _figures(chaos: Chaos, minutes: float, where: str) -> Iterator[Figure]:
    images, begun_s = chaos.images(8), time.monotonic()
    wrong, count, loads = 0, 0, list[float]()

    def source() -> Iterator[np.ndarray]:
        for image in cycle(images):
            if time.monotonic() - begun_s > 60.0 * minutes:
                return
            yield image

    with Bar("images") as bar:
        for item in chaos.service.run(source()):
            count += 1
            wrong += chaos.is_wrong(images[item.index % len(images)], item.outputs[0])
            loads.append(os.getloadavg()[0])
            passed_s = time.monotonic() - begun_s
            bar.show(min(1.0, passed_s / (60.0 * minutes)), f"{count} images, {len(lost(chaos))} losses")
    yield Figure("suspicion: workers taken for lost", float(len(lost(chaos))), f"in {minutes:g} min at {where}")
    for text in lost(chaos):
        print(f"  {text}")
    yield Figure("suspicion: images", float(count), "")
    yield Figure("suspicion: wrong", float(wrong), f"of {count}")
    yield Figure("suspicion: load average", float(np.mean(loads)), "")


def lost(chaos: Chaos) -> list[str]:
    """What was said of workers that were given up."""
    return [event.text for event in chaos.service.events if event.kind == "lost"]


GROUPS = {"suspicion": run}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--mbps", type=float, default=MBPS)
    parser.add_argument("--busy", type=int, help="processes that compute for nothing; one a core by default")
    args = parser.parse_args()
    for figure in run(args.minutes, args.mbps, args.busy):
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
