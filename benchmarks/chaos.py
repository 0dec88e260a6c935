"""Real faults on real worker processes: what is lost, doubled or wrong, and how long a stream stands still.

    python benchmarks/chaos.py [--faults N] [--images N] [--seed K] [--kinds kill hang ...]

A stream of small-model images runs over worker processes of this machine whose connections go through relays. One
fault after another is drawn from the seed: SIGKILL, SIGSTOP and SIGCONT, a connection cut mid-chunk, a connection that
freezes, a full disk. Submissions and results are written down and checked: every image once, in order, equal to the
unsplit model's output; exit 1 where that does not hold.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from measure import Figure

from splitgym.models.layers import Shape
from splitgym.models.lookup import get_model
from splitgym.models.plans import SpatialPlan
from splitgym.models.runnable.units import build
from splitgym.runtime.blobs import BlobStore, put_model
from splitgym.runtime.compute import IMAGE_SCALE
from splitgym.runtime.controller import Controller, Member
from splitgym.runtime.deployment import Deployment
from splitgym.runtime.membership import Hysteresis
from splitgym.runtime.service import Service, proposal
from splitgym.runtime.shaper import Relay
from splitgym.runtime.stream_core import Proposal
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.zmq_transport import ZmqListener, ZmqNetwork
from splitgym.ui.progress import Bar

KINDS = ("kill", "hang", "cut", "freeze", "disk")
FAULTS, IMAGES, WORKERS, SEED = 200, 1000, 4, 0
UNITS, IMAGE = 6, Shape(3, 24, 16)  # of VGG-16
LEASE_S = 0.6
PAUSES = Hysteresis(pause_s=0.3, most_s=0.6)  # with so many faults the usual ones would leave nobody to hit
HANG_S = 1.2  # longer than a lease
LINGER_S = 0.3  # most that an image is held for faults, since a plan for more workers waits for images, too
QUIET_S = 0.3  # at least, between the end of a fault and the next
ALLOWED = 1e-4  # of the largest output
GIVEN_UP_S = 30.0  # without any result


@dataclass
class Fault:
    """A fault and how the stream got over it.

    Attributes:
        recovered_s: until the next result of a later epoch; NaN where the stream did not notice.
    """

    kind: str
    worker: str
    at_s: float
    epoch: int
    recovered_s: float = float("nan")


@dataclass(frozen=True)
class History:
    """What was submitted and what came of it.

    Attributes:
        results: indices as they were delivered.
        wrong: indices whose output was not the unsplit model's.
        epochs: that were served.
    """

    submitted: int
    results: Sequence[int]
    wrong: Sequence[int]
    faults: Sequence[Fault]
    epochs: int
    redone: int
    seconds: float

    @property
    def lost(self) -> int:
        """Images without a result."""
        return self.submitted - len(set(self.results))

    @property
    def doubled(self) -> int:
        """Results beyond the first of an image, or out of order."""
        behind = sum(a >= b for a, b in zip(self.results, self.results[1:], strict=False))
        return len(self.results) - len(set(self.results)) + behind

    @property
    def is_good(self) -> bool:
        """Whether every image has one result, in order, and right."""
        return not (self.lost or self.doubled or self.wrong)


class _Relayed(Controller):
    """Reaches workers for rows through relays, and has them reach each other so."""

    relays: dict[str, Relay]

    def data_address(self, worker: str) -> str:
        return self.relays[worker].address


class Chaos:
    """Workers behind relays, and a stream over them.

    Args:
        folder: for weights and everything else.
        workers: how many.
        seed: of plans, images and faults.
        image: shape of each.
        bytes_per_s: of each direction of a connection; None for no limit.
        expected_s: what an image takes, about.
    """

    def __init__(
        self,
        folder: Path,
        workers: int = WORKERS,
        seed: int = SEED,
        image: Shape = IMAGE,
        bytes_per_s: float | None = None,
        expected_s: float = 0.05,
    ) -> None:
        self.rng, self.folder, self._expected_s = random.Random(seed), folder, expected_s
        zoo = get_model("vgg16")
        self.model = replace(zoo, input=image, units=zoo.units[:UNITS], tail=())
        torch.manual_seed(seed)
        self.network = build(self.model)
        self.names = tuple(f"w{i}" for i in range(workers))
        store = BlobStore(folder / "own")
        self.digests = put_model(store, self.network)
        self._disk_of_workers = folder / "workers"
        self._stack = ExitStack()
        self.testbed = self._stack.enter_context(Testbed(self.names, self._disk_of_workers))
        running = self.testbed.running
        self.control = {n: self._stack.enter_context(Relay(running[n].control, bytes_per_s)) for n in self.names}
        self.rows = {n: self._stack.enter_context(Relay(running[n].data, bytes_per_s)) for n in self.names}
        identity, roster = self.testbed.identity, self.testbed.roster
        network = self._stack.enter_context(ZmqNetwork(identity, roster, False))
        data = self._stack.enter_context(ZmqListener("127.0.0.1:0", identity, roster, False))
        members = [Member(n, self.control[n].address) for n in self.names]
        _Relayed.relays = self.rows
        self.controller = self._stack.enter_context(
            _Relayed(members, network, data, store, lease_s=LEASE_S, join_s=30.0, returns=True, hysteresis=PAUSES)
        )
        self.service = self._stack.enter_context(
            Service(self.controller, self._plan, self._plan, patience_s=GIVEN_UP_S)
        )
        self.faults: list[Fault] = []
        self._plans = random.Random(seed)

    def close(self) -> None:
        self._stack.close()

    def _plan(self, workers: frozenset[str], _: Mapping[str, float]) -> Proposal:
        """Equal parts of a few volumes, for whoever is there."""
        names, units = tuple(sorted(workers)), len(self.model.units)
        cuts = (*sorted(self._plans.sample(range(1, units), 2)), units)
        splits = []
        for cut in cuts:
            height = self.model.out_shape(cut - 1).height
            splits.append(tuple(round(height * d / len(names)) for d in range(1, len(names))))
        plan = SpatialPlan(self.model.name, names, cuts, tuple(splits), types=dict.fromkeys(names, "worker"))
        return proposal(Deployment(self.model, self.digests, plan.validate(self.model), names), self._expected_s)

    def images(self, count: int) -> list[np.ndarray]:
        """All different."""
        rng = np.random.default_rng(self.rng.randrange(2**32))
        shape = self.model.input.channels, self.model.input.height, self.model.input.width
        return [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]

    @torch.inference_mode()
    def is_wrong(self, image: np.ndarray, output: np.ndarray) -> bool:
        """Whether an output is not the unsplit model's."""
        due = self.network(torch.from_numpy(image).float().mul(IMAGE_SCALE)[None])[0].numpy()
        return bool(np.abs(output.reshape(due.shape) - due).max() > ALLOWED * np.abs(due).max())

    # faults -------------------------------------------------------------------------------------------------------

    def strike(self, kind: str) -> Fault | None:
        """Let something happen to a worker that works; None where fewer than two do."""
        proposed, usable = self.service.core.proposal, self.controller.core.membership.usable
        working = sorted(proposed.working & usable) if proposed is not None else []
        if len(working) < 2:
            return None
        name = self.rng.choice(working)
        fault = Fault(kind, name, time.monotonic(), self.controller.core.epoch)
        self.faults.append(fault)
        getattr(self, f"_{kind}")(name)
        return fault

    def mend(self, fault: Fault) -> None:
        """End what a fault has left."""
        name = fault.worker
        if fault.kind == "kill":
            self.testbed.restart(name)
        elif fault.kind == "hang":
            self.testbed.signal(name, signal.SIGCONT)
        elif fault.kind == "freeze":
            self.rows[name].thaw()
            self.control[name].thaw()
        elif fault.kind == "disk":
            self._disk_of_workers.unlink()

    def _kill(self, name: str) -> None:
        self.testbed.signal(name)

    def _hang(self, name: str) -> None:
        self.testbed.signal(name, signal.SIGSTOP)

    def _cut(self, name: str) -> None:
        self.rng.choice((self.rows, self.control))[name].drop()

    def _freeze(self, name: str) -> None:
        self.rng.choice((self.rows, self.control))[name].freeze()

    def _disk(self, name: str) -> None:
        """All weights are gone, no more can be written, and the worker starts anew."""
        shutil.rmtree(self._disk_of_workers)
        self._disk_of_workers.touch()
        self.testbed.signal(name)
        self.testbed.restart(name)


def run(images: int, faults: int, kinds: Sequence[str], seed: int, workers: int = WORKERS) -> History:
    """A stream under faults."""
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), workers, seed)
        try:
            return _history(chaos, images, faults, kinds)
        finally:
            chaos.close()


def _history(chaos: Chaos, count: int, faults: int, kinds: Sequence[str]) -> History:
    images, results, wrong, redone = chaos.images(count), list[int](), list[int](), 0
    stop = threading.Event()
    begun_s = time.monotonic()
    striking = threading.Thread(target=_strike_all, args=(chaos, faults, kinds, stop, results, count), daemon=True)
    with Bar("images") as bar:
        striking.start()
        try:
            for item in chaos.service.run(images):
                now_s = time.monotonic()
                results.append(item.index)
                redone += item.attempts - 1
                for fault in chaos.faults[-3:]:
                    if np.isnan(fault.recovered_s) and item.epoch > fault.epoch:
                        fault.recovered_s = now_s - fault.at_s
                if chaos.is_wrong(images[item.index], item.outputs[0]):
                    wrong.append(item.index)
                bar.show(len(results) / count, f"{len(results)} of {count} images, {len(chaos.faults)} faults")
                due_s = time.monotonic() + LINGER_S
                while len(results) > (len(chaos.faults) + 1) * count / (faults + 1) and time.monotonic() < due_s:
                    time.sleep(0.01)  # images last about as long as the faults
        finally:
            stop.set()
            striking.join()
    epochs = chaos.controller.core.epoch
    return History(count, results, wrong, chaos.faults, epochs, redone, time.monotonic() - begun_s)


def _strike_all(
    chaos: Chaos, faults: int, kinds: Sequence[str], stop: threading.Event, results: Sequence[int], count: int
) -> None:
    while len(chaos.faults) < faults and not stop.is_set():
        fault = chaos.strike(chaos.rng.choice(kinds))
        if fault is None:
            stop.wait(0.05)
            continue
        due_s = time.monotonic() + HANG_S
        while not stop.is_set() and (np.isnan(fault.recovered_s) and time.monotonic() < due_s):
            stop.wait(0.01)
        with suppress(ProcessLookupError):
            chaos.mend(fault)
        stop.wait(QUIET_S * (1 + chaos.rng.random()))


def figures(history: History) -> Iterator[Figure]:
    """What a run showed."""
    yield Figure("chaos: faults", float(len(history.faults)), "")
    yield Figure("chaos: time", history.seconds, "s")
    for name in ("lost", "doubled"):
        yield Figure(f"chaos: {name}", float(getattr(history, name)), f"of {history.submitted}")
    yield Figure("chaos: wrong", float(len(history.wrong)), f"of {history.submitted}")
    yield Figure("chaos: epochs", float(history.epochs), "")
    yield Figure("chaos: redone", float(history.redone), f"of {history.submitted}")
    for kind in KINDS:
        took_s = sorted(f.recovered_s for f in history.faults if f.kind == kind and not np.isnan(f.recovered_s))
        if took_s:
            p95_s = took_s[min(len(took_s) - 1, int(0.95 * len(took_s)))]
            unseen = sum(f.kind == kind and np.isnan(f.recovered_s) for f in history.faults)
            told = f"chaos: {kind}: fault to next good result"
            yield Figure(f"{told}, median", median(took_s), "s")
            yield Figure(f"{told}, 95 %", p95_s, "s")
            yield Figure(f"{told}, longest", took_s[-1], "s")
            yield Figure(f"chaos: {kind}: made no new epoch", float(unseen), f"of {unseen + len(took_s)}")


def chaos() -> Iterator[Figure]:
    """What 200 faults on worker processes do to a stream of 1000 images."""
    yield from figures(run(IMAGES, FAULTS, KINDS, SEED))


GROUPS = {"chaos": chaos}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--faults", type=int, default=FAULTS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    history = run(args.images, args.faults, args.kinds, args.seed)
    for figure in figures(history):
        print(figure.line(), flush=True)
    return 0 if history.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
