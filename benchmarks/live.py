"""Plans on real worker processes of this machine: outputs, predictions, rankings, the runtime's own time, the wire.

Devices are emulated by their tables where a group says so; an image in which real work took longer than what it stands
for does not count. Everything shares this machine's cores, so the load at the time is a figure of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure import Figure
from rich.progress import track
from scipy.stats import kendalltau

from splitgym.agents.protocol import Learner
from splitgym.agents.registry import get_spec
from splitgym.envs import get_family
from splitgym.envs.distredge.live import Cluster, Emulation, on_machines, on_testbed
from splitgym.envs.distredge.scenarios import Scenario, get_scenario
from splitgym.envs.distredge.system import System
from splitgym.experiments.live import cluster_command
from splitgym.experiments.live.report import Report, make_report
from splitgym.experiments.live.stream import Streamed, random_images, stream
from splitgym.experiments.live.testbed_command import write_cluster
from splitgym.experiments.play import assess, build_agent, make_env, options_for
from splitgym.models.plans import SpatialPlan
from splitgym.runtime.blobs import BlobStore, default_folder
from splitgym.runtime.keys import make_members
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.transport import CHUNK_BYTES
from splitgym.runtime.weights import load_whole
from splitgym.runtime.zmq_transport import ZmqDialer, ZmqListener

IMAGES = 100  # for every network and number of workers
ALLOWED = 1e-4  # of the largest output
PLANS = 20
METHODS = ("offload", "coedge", "aofl", "risk-seeking", "joint")
EVERY = "16"  # rows that a kernel is measured at
MOST_ERROR = 0.15  # of a prediction from tables measured here
GAP = 0.05  # between two methods, from where on their order counts
MESSAGE_BYTES = 3 * 2**20
ROUNDS = 9  # of raw TCP and both wires, in turns
SLOW_MBPS, SLOW_BYTES = 50.0, 12_000_000


def random_plan(system: System, rng: np.random.Generator) -> SpatialPlan:
    """Up to four volumes, cut and split anywhere."""
    units, devices = system.n_units, system.n_devices
    inside = rng.choice(np.arange(1, units), size=int(rng.integers(0, 4)), replace=False)
    cuts = (*sorted(int(c) for c in inside), units)
    splits = tuple(tuple(sorted(int(r) for r in rng.integers(0, system.heights[c - 1] + 1, devices - 1))) for c in cuts)
    return system.plan(cuts, splits)


def near(system: System, plan: SpatialPlan, rng: np.random.Generator) -> SpatialPlan:
    """A plan with its split points moved a little."""
    splits = []
    for cut, split in zip(plan.cuts, plan.splits, strict=True):
        height = int(system.heights[cut - 1])
        moved = np.clip(np.array(split) + rng.integers(-height // 6, height // 6 + 1, len(split)), 0, height)
        splits.append(tuple(int(r) for r in np.sort(moved)))
    return system.plan(plan.cuts, tuple(splits))


def planned(scenario: str, method: str) -> SpatialPlan:
    """What a method plans for a scenario; one that learns is trained first, with its own budget."""
    family = get_family("distredge")
    spec = get_spec(family.name, method)
    if spec.learns:
        agent = build_agent(family, method, make_env(family, scenario, options_for(spec, {})), 0, {})
        assert isinstance(agent, Learner)
        agent.learn(None, None, lambda report: None)
        return agent.best_plan
    plan = assess(family, spec, scenario, {}, 0).plan
    assert plan is not None
    return SpatialPlan.from_json(plan, method)


def played(cluster: Cluster, plan: SpatialPlan, images: int) -> Report:
    """A plan's report; images go through one at a time."""
    found = Streamed()
    stream(cluster, plan, random_images(cluster, images, 0), found, "images")
    return make_report(cluster, plan, found, None, True)


# outputs --------------------------------------------------------------------------------------------------------------


def outputs() -> Iterator[Figure]:
    """Differences to the unsplit networks, as shares of the largest output."""
    with tempfile.TemporaryDirectory() as folder:
        onnx = _own_network(Path(folder) / "net.onnx")
        cases = [("vgg16", n) for n in (2, 3, 4)] + [(name, 3) for name in ("resnet50", "yolov2", str(onnx))]
        for model, count in cases:
            scenario = Scenario("outputs", model, ("nano",) * count, (100.0,) * count, activation_type="float32")
            name = "an ONNX file" if model == str(onnx) else model
            worst = _worst(scenario)
            told = f"{name}, {count} workers, {IMAGES} images: worst error"
            yield Figure(told, worst, "of max", worst / ALLOWED, f"the {ALLOWED:g} allowed")


def _worst(scenario: Scenario) -> float:
    system, rng = System(scenario), np.random.default_rng(0)
    store = BlobStore(default_folder())
    with on_testbed(system, store, Emulation()) as cluster:
        network, found = load_whole(store, scenario.model, cluster.digests), Streamed()
        images = random_images(cluster, IMAGES, 0)
        for part in range(0, IMAGES, 10):
            stream(cluster, random_plan(system, rng), images[part : part + 10], found, "outputs", network=network)
    assert len(found.errors) == IMAGES
    return max(found.errors)


def _own_network(path: Path) -> Path:
    """A small network with a branch and a residual, exported to ONNX by torch."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(24, 24, 3, padding=1), nn.Conv2d(24, 24, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x + self.second(torch.relu(self.first(x))))

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 24, 5, stride=2, padding=2), nn.BatchNorm2d(24), nn.ReLU(), Block(), nn.MaxPool2d(2), Block(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10),
    ).eval()  # fmt: skip
    torch.onnx.export(net, (torch.zeros(1, 3, 96, 96),), path, dynamo=False)
    return path


# predictions ----------------------------------------------------------------------------------------------------------


def predictions() -> Iterator[Figure]:
    """Errors of predicted latencies, over plans whose images count."""
    yield from _predicted("pi3 x 4, T = 1", Scenario("pi3x4", "vgg16", ("pi3",) * 4, (50.0, 75.0, 100.0, 100.0)), 1.0)
    yield from _predicted("DA-50", get_scenario("DA-50", inputs="devices"), None)


def _predicted(name: str, scenario: Scenario, scale: float | None) -> Iterator[Figure]:
    system = System(scenario)
    with on_testbed(system, BlobStore(default_folder()), Emulation("table", scale or 1.0)) as cluster:
        plans = _plans(system)
        if scale is None:
            fitted = max(cluster.fit_scale(plan, random_images(cluster, 2, 0)) for plan in plans[:4])
            cluster.emulation = Emulation("table", fitted)
        reports = [played(cluster, plan, 2) for plan in track(plans, f"{name} …", transient=True)]
        scale = cluster.emulation.scale
    counted = [r for r in reports if r.latencies_s]
    yield Figure(f"{name}: time scale", scale, "")
    yield Figure(f"{name}: plans whose images count", len(counted), f"of {PLANS}")
    yield from _errors(name, counted)
    own = [(1e3 * r.runtime_s, len(p.cuts)) for r, p in zip(reports, plans, strict=True) if r.latencies_s]
    yield Figure(f"{name}: runtime's own time, median", median(ms for ms, _ in own), "ms")
    spare = [
        ms - (1.5 + 2.0 * (volumes + 1)) for ms, volumes in own
    ]  # boundaries: in front of all, and behind the last
    yield Figure(f"{name}: plans within 1.5 ms + 2 ms a boundary", sum(s <= 0 for s in spare), f"of {len(spare)}")


def measured() -> Iterator[Figure]:
    """Predictions from tables and links that two workers measured here, with nothing emulated; misses name a term."""
    scenario = Scenario("here", "vgg16", ("pi3",) * 2, (100.0,) * 2, activation_type="float32")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Testbed(scenario.device_names, default_folder(), measures=True) as testbed:
            write_cluster(folder, asdict(scenario), testbed)
            if cluster_command.main(["profile", str(folder / "cluster.yaml"), "--every", EVERY]):
                raise RuntimeError("the workers could not be measured")
            system = System(get_scenario(str(folder / "cluster.measured.yaml")))
            with on_machines(system, BlobStore(default_folder())) as cluster:
                plans = _plans(system)
                reports = [played(cluster, plan, 5) for plan in track(plans, "measured …", transient=True)]
    yield from _errors("measured here, 2 workers", reports)
    misses = [r for r in reports if abs(r.error) > MOST_ERROR]
    for term, count in Counter(map(_largest_miss, misses)).items():
        yield Figure(f"measured here, 2 workers: misses above {MOST_ERROR:.0%} by {term}", count, f"of {len(misses)}")


def _largest_miss(report: Report) -> str:
    """The term that differs most."""
    return max(report.terms, key=lambda term: abs(report.terms[term][0] - report.terms[term][1]))


def _errors(name: str, reports: Sequence[Report]) -> Iterator[Figure]:
    errors = np.array([abs(r.error) for r in reports])
    yield Figure(f"{name}: median error", 100 * float(np.median(errors)), "%")
    yield Figure(f"{name}: p90 error", 100 * float(np.quantile(errors, 0.9)), "%")
    yield Figure(f"{name}: largest error", 100 * float(errors.max()), "%")
    tau: Any = kendalltau([r.predicted.latency_s for r in reports], [r.latency_s for r in reports])
    yield Figure(f"{name}: Kendall tau", tau.statistic, "")


def _plans(system: System) -> list[SpatialPlan]:
    """Offload, equal parts, and random ones that are not slower than three times the best device alone."""
    rng = np.random.default_rng(0)
    equal = tuple(int(system.heights[-1]) * d // system.n_devices for d in range(1, system.n_devices))
    found = [system.everything_on(system.best_provider), system.plan((system.n_units,), (equal,))]
    while len(found) < PLANS:
        plan = (
            random_plan(system, rng) if rng.random() < 0.5 else near(system, found[int(rng.integers(len(found)))], rng)
        )
        if system.evaluate([plan])[0] < 3.0 * system.reference_s:
            found.append(plan)
    return found


# rankings -------------------------------------------------------------------------------------------------------------


def rankings() -> Iterator[Figure]:
    """Pairs of methods whose simulated gap is above 5 %, and how many of them have the same order live."""
    for name in ("DA-50", "NA-nano"):
        system = System(get_scenario(name))
        plans = {method: planned(name, method) for method in METHODS}
        with on_testbed(system, BlobStore(default_folder()), Emulation("table")) as cluster:
            fitted = max(cluster.fit_scale(plan, random_images(cluster, 2, 0)) for plan in plans.values())
            cluster.emulation = Emulation("table", fitted)
            reports = {method: played(cluster, plan, 2) for method, plan in plans.items()}
        for method, report in reports.items():
            yield Figure(
                f"{name} {method}: measured",
                1e3 * report.latency_s,
                "ms",
                report.latency_s / report.predicted.latency_s,
                "predicted",
            )
        same = [
            (a.latency_s < b.latency_s) == (a.predicted.latency_s < b.predicted.latency_s)
            for i, a in enumerate(reports.values())
            for b in list(reports.values())[i + 1 :]
            if abs(a.predicted.latency_s / b.predicted.latency_s - 1.0) > GAP
        ]
        yield Figure(f"{name}: pairs in the same order", sum(same), f"of {len(same)}")


# wire -----------------------------------------------------------------------------------------------------------------


def wire() -> Iterator[Figure]:
    """Goodput of 3 MB messages in chunks, beside raw TCP, and a control round trip beside a slow transfer."""
    rounds = [(_raw_tcp(), _goodput(True), _goodput(False)) for _ in range(ROUNDS)]
    raw, plain, secured = (median(column) for column in zip(*rounds, strict=True))
    yield Figure("raw TCP, 3 MB and one byte back", raw, "GB/s")
    yield Figure("runtime's wire, plain", plain, "GB/s", median(p / r for r, p, _ in rounds), "raw TCP beside it")
    yield Figure("runtime's wire, secured", secured, "GB/s", median(s / r for r, _, s in rounds), "raw TCP beside it")
    trips = _round_trips()
    yield Figure("control round trip beside 12 MB at 50 Mbit/s, median", 1e3 * median(trips), "ms")
    yield Figure("control round trip beside 12 MB at 50 Mbit/s, largest", 1e3 * max(trips), "ms")


def _raw_tcp(times: int = 30) -> float:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()

    def take() -> None:
        buffer = memoryview(bytearray(MESSAGE_BYTES))
        for _ in range(times):
            got = 0
            while got < MESSAGE_BYTES:
                got += peer.recv_into(buffer[got:])
            peer.sendall(b"!")

    data = bytes(MESSAGE_BYTES)
    with client, peer:
        thread = threading.Thread(target=take)
        thread.start()
        begun = time.perf_counter()
        for _ in range(times):
            client.sendall(data)
            client.recv(1)
        took = time.perf_counter() - begun
        thread.join()
    return times * MESSAGE_BYTES / took / 1e9


@contextmanager
def _connected(insecure: bool) -> Iterator[tuple[ZmqListener, ZmqDialer]]:
    identities, roster = make_members({"me": "controller", "you": "worker"})
    with (
        ZmqListener("127.0.0.1:0", identities["you"], roster, insecure) as listener,
        ZmqDialer(listener.address, "you", identities["me"], roster, insecure) as dialer,
    ):
        dialer.send(b"hello", timeout_s=10.0)
        while not listener.poll(1.0):
            pass
        yield listener, dialer


def _answer(listener: ZmqListener, stop: threading.Event, is_last: Callable[[bytes], bool]) -> None:
    while not stop.is_set():
        for event in listener.poll(0.05):
            if event.kind == "message" and is_last(event.header):
                listener.reply(event.peer, b"!")


def _goodput(insecure: bool, times: int = 30) -> float:
    with _connected(insecure) as (listener, dialer):
        stop = threading.Event()
        thread = threading.Thread(target=_answer, args=(listener, stop, lambda header: header == b"last"))
        thread.start()
        data = memoryview(bytes(MESSAGE_BYTES))
        begun = time.perf_counter()
        for _ in range(times):
            for offset in range(0, MESSAGE_BYTES, CHUNK_BYTES):
                last = offset + CHUNK_BYTES >= MESSAGE_BYTES
                dialer.send(b"last" if last else b"more", data[offset : offset + CHUNK_BYTES])
            while not any(event.kind == "message" for event in dialer.poll(1.0)):
                pass
        took = time.perf_counter() - begun
        stop.set()
        thread.join()
    return times * MESSAGE_BYTES / took / 1e9


def _round_trips() -> list[float]:
    """A control connection is asked every 20 ms, while another carries 12 MB, paced as an emulated link is."""
    found: list[float] = []
    with _connected(False) as (slow, sender), _connected(False) as (listener, control):
        stop = threading.Event()
        threads = [
            threading.Thread(target=_answer, args=(listener, stop, lambda header: True)),
            threading.Thread(target=_answer, args=(slow, stop, lambda header: False)),
            threading.Thread(target=_paced, args=(sender,)),
        ]
        for thread in threads:
            thread.start()
        while threads[2].is_alive():
            begun = time.perf_counter()
            control.send(b"?")
            while not any(event.kind == "message" for event in control.poll(1.0)):
                pass
            found.append(time.perf_counter() - begun)
            time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
    return found


def _paced(sender: ZmqDialer) -> None:
    begun, data = time.monotonic(), bytes(CHUNK_BYTES)
    for sent in range(CHUNK_BYTES, SLOW_BYTES, CHUNK_BYTES):
        time.sleep(max(0.0, begun + 8e-6 * sent / SLOW_MBPS - time.monotonic()))
        sender.send(b"row", data)


# start ----------------------------------------------------------------------------------------------------------------


def start() -> Iterator[Figure]:
    """From the command to the first result."""
    with tempfile.TemporaryDirectory() as folder:
        for name, cache in (("first time", Path(folder) / "cache"), ("again", Path(folder) / "cache")):
            begun = time.perf_counter()
            code = "import sys; from splitgym.experiments.live.run_command import main; sys.exit(main(sys.argv[1:]))"
            words = [
                "offload",
                "--testbed",
                "DB-50",
                "--images",
                "1",
                "--no-offload",
                "--out",
                str(Path(folder) / name),
            ]
            environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
            subprocess.run(
                [sys.executable, "-c", code, *words],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            yield Figure(f"splitgym-run on DB-50, {name}", time.perf_counter() - begun, "s")


def load(when: str) -> Iterator[Figure]:
    """Processes that wanted a core, over the last minute."""
    yield Figure(f"load average {when}", os.getloadavg()[0], "")


def everything() -> Iterator[Figure]:
    """DistrEdge's plans on worker processes of this machine: all of the live- groups, one after another."""
    yield from load("before all of live")
    for group in (wire, start, outputs, predictions, measured, rankings):
        yield from group()
    yield from load("behind all of live")


PARTS: Sequence[Callable[[], Iterator[Figure]]] = (outputs, predictions, measured, rankings, wire, start)
GROUPS = {"live": everything, **{f"live-{part.__name__}": part for part in PARTS}}
