"""splitgym-cluster: what it says of workers and has them measure, being stopped, and one line for what is wrong."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.experiments.live import cluster_command, cluster_profile, results, run_command
from splitgym.experiments.live.cluster_file import write_measured
from splitgym.experiments.live.cluster_profile import Shares, by_machine
from splitgym.models.lookup import get_model
from splitgym.profiling.link_file import load_link
from splitgym.profiling.measure.measuring import Cell
from splitgym.profiling.tables import load_table
from splitgym.runtime import session_core, wire, wire_requests
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.controller import Controller
from splitgym.runtime.keys import ROSTER_FILE, Member, Roster, make_members, save_identity, save_roster, sole_use
from splitgym.runtime.measuring import RemoteKernels
from splitgym.runtime.session import open_session
from splitgym.runtime.testbed import Testbed

from ...command_line import Command, files
from ...profiling.test_link_file import LINK
from ...runtime.network import free_address

cluster = Command("splitgym-cluster", cluster_command.main)
NAMES = ("pi-1", "pi-2")
IDENTITIES, ROSTER = make_members({"requester": "controller", "desk": "controller", "pi-1": "worker", "pi-2": "worker"})
ENOUGH_S = "60"  # for a worker that answers
SOON_S = "3"  # for one that does not
QUICK = ("--wait", ENOUGH_S, "--repeats", "1", "--warmup", "1", "--every", "99", "--seconds", "1")
LENET = get_model("lenet5")
VISITS = 2 * 4 + 3 + 1  # the first and all rows of four maps, three layers, the whole model


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """Workers with keys that measure on request; two machines may give them orders."""
    members = IDENTITIES, ROSTER
    with Testbed(NAMES, tmp_path_factory.mktemp("weights"), members=members, measures=True) as found:
        yield found


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def described(testbed: Testbed) -> dict[str, Any]:
    """cluster.yaml and keys/ for the workers; what the file says."""
    save_keys(testbed)
    return describe(addresses={member.name: member.address for member in testbed.members})


def save_keys(testbed: Testbed) -> None:
    Path("keys").mkdir()
    save_identity(Path("keys/requester.key"), testbed.identity)
    save_roster(Path("keys") / ROSTER_FILE, testbed.roster)


def describe(**changes: Any) -> dict[str, Any]:
    data = {"model": "lenet5", "devices": ["pi3", "nano"], "names": list(NAMES), "mbps": [100, 100], "keys": "keys"}
    data = {**data, "addresses": dict.fromkeys(NAMES, "127.0.0.1:1"), **changes}
    Path("cluster.yaml").write_text(yaml.safe_dump(data))
    return data


def stopping(after: int, monkeypatch: pytest.MonkeyPatch, stop: Callable[[], None]) -> list[str]:
    """Do something before the visit behind so many; returns what was visited."""
    visited: list[str] = []
    visit = RemoteKernels.visit

    def visiting(self: RemoteKernels, cell: Cell, warmup: int, samples: int) -> Any:
        if len(visited) == after:
            stop()
        found = visit(self, cell, warmup, samples)
        visited.append(f"{self.worker} {cell.text}")
        return found

    monkeypatch.setattr(RemoteKernels, "visit", visiting)
    return visited


@pytest.mark.usefixtures("described")
def test_it_shows_what_every_worker_is(testbed: Testbed) -> None:
    out = cluster("show", "cluster.yaml", "--wait", ENOUGH_S).out.splitlines()
    assert out[0] == f"pi-1 (pi3) at {testbed.running['pi-1'].control}"
    assert out[4] == f"pi-2 (nano) at {testbed.running['pi-2'].control}"
    for line in (out[1], out[5]):
        assert "Linux, Python" in line
        assert ", splitgym " in line
    for line in (out[2], out[6]):
        assert "round trip" in line
        assert "ms from here (known to" in line
    for line in (out[3], out[7]):
        assert "its power" in line
        assert line.endswith(", measures on request")
    assert len(out) == 8


@pytest.mark.usefixtures("described")
def test_it_measures_what_a_run_then_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Path("cluster.yaml").read_bytes()
    called = cluster("profile", "cluster.yaml", *QUICK)
    assert Path("cluster.yaml").read_bytes() == before
    measured = {f"{folder}/{name}" for folder, ending in (("tables", "csv"), ("links", "json")) for name in
                (f"{n}.{ending}" for n in NAMES)}  # fmt: skip
    assert files() == {"cluster.yaml", "cluster.measured.yaml", "keys/requester.key", "keys/roster.yaml", *measured}
    scenario = get_scenario("cluster.measured.yaml")
    system = System(scenario)
    assert [table.provenance.source for table in system.tables] == ["measured"] * 2
    for name in NAMES:
        table, link = load_table(f"tables/{name}.csv", LENET), load_link(f"links/{name}.json")
        assert (table.seconds[:, 1] > 0).all()
        assert (link.device, link.peer) == (name, "requester")
        assert link.software.startswith("splitgym ")
        assert link.samples_up[-1][0] > 4096
        assert f"{link.goodput_up_mbps:.1f}" in called.out
    assert system.measured == tuple(load_link(f"links/{name}.json") for name in NAMES)
    assert scenario.requester_message_s == pytest.approx(min(system.links.message_s), rel=1e-3)
    assert "cluster.measured.yaml" in called.out
    tables = {path: Path(path).read_bytes() for path in measured}
    assert "kept, --fresh measures anew: tables/pi-1.csv, " in cluster("profile", "cluster.yaml").err
    assert {path: Path(path).read_bytes() for path in measured} == tables
    cluster("profile", "cluster.yaml", "--kernels-only", "--fresh", *QUICK)
    changed = {path for path in measured if Path(path).read_bytes() != tables[path]}
    assert changed == {"tables/pi-1.csv", "tables/pi-2.csv"}
    monkeypatch.setattr(results, "save_figure", lambda *_: None)
    Command("splitgym-run", run_command.main)(
        "offload", "--cluster", "cluster.measured.yaml", "--images", "1", "--no-offload", "--out", "run"
    )


def test_another_network_into_another_folder(here: Path, described: dict[str, Any]) -> None:
    describe(**{**described, "model": "vgg16"})
    cluster("profile", "cluster.yaml", *QUICK, "--kernels-only", "--model", "lenet5", "--out", "o")
    assert files("o") == {"cluster.measured.yaml", "tables/pi-1.csv", "tables/pi-2.csv"}
    scenario = get_scenario("o/cluster.measured.yaml")
    assert (scenario.model, scenario.links) == ("lenet5", None)
    assert Path(scenario.keys).resolve() == here / "keys"
    cluster.refuses(
        "profile cluster.yaml --kernels-only --out o", "o/tables/pi-1.csv: model is 'lenet5', expected 'vgg16'"
    )


@pytest.mark.usefixtures("described")
def test_kernels_go_on_after_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("profile", "cluster.yaml", "--kernels-only", *QUICK)
    given_up, give_up = threading.Event(), Controller.give_up

    def stop() -> None:
        signal.raise_signal(signal.SIGINT)
        assert given_up.wait(60.0)

    def giving_up(self: Controller, error: BaseException) -> None:
        give_up(self, error)
        given_up.set()

    with monkeypatch.context() as patch:
        patch.setattr(Controller, "give_up", giving_up)
        visited = stopping(VISITS + 5, patch, stop)
        line = cluster(*words, code=130).told[-1]
    assert len(visited) == VISITS + 5
    kept = f"5 of {VISITS} measurements are kept in tables/pi-2.partial.csv"
    assert line == f"splitgym-cluster: interrupted; {kept}; go on with: splitgym-cluster {' '.join(words)}"
    assert {f for f in files() if f.startswith("tables")} == {"tables/pi-1.csv", "tables/pi-2.partial.csv"}
    assert not Path("cluster.measured.yaml").exists()
    with monkeypatch.context() as patch:
        rest = stopping(-1, patch, lambda: None)
        cluster(*words)
    assert len(visited) + len(rest) == 2 * VISITS
    assert {f for f in files() if f.startswith("tables")} == {"tables/pi-1.csv", "tables/pi-2.csv"}


@pytest.mark.usefixtures("described")
def test_links_go_on_after_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def measure(controller: Controller, worker: str, *_: Any) -> Any:
        if worker == "pi-2" and len(measured) == 1:
            measured.append("stopped")
            raise KeyboardInterrupt
        measured.append(worker)
        return LINK

    monkeypatch.setattr(cluster_profile, "measure_link", measure)
    words = ("profile", "cluster.yaml", "--links-only", "--wait", ENOUGH_S)
    assert "interrupted; 1 of 2 links are measured; go on with" in cluster(*words, code=130).told[-1]
    assert Path("links/pi-1.json").exists()
    cluster(*words)
    assert measured == ["pi-1", "stopped", "pi-2"]


@pytest.mark.usefixtures("described")
def test_a_worker_that_is_lost_is_named_and_another_command_goes_on(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stopping(3, patch, lambda: testbed.signal("pi-1"))
        line = cluster("profile", "cluster.yaml", "--kernels-only", *QUICK, code=2).told[-1]
    address = testbed.running["pi-1"].control
    assert f": worker pi-1 ({address}): its connection has ended; 3 of {VISITS} measurements are kept in" in line
    describe(addresses={"pi-1": testbed.start("pi-1").control, "pi-2": testbed.running["pi-2"].control})
    visited = stopping(-1, monkeypatch, lambda: None)
    cluster("profile", "cluster.yaml", "--kernels-only", *QUICK)
    assert len(visited) == 2 * VISITS - 3


def test_only_workers_that_allow_it_measure(testbed: Testbed, described: dict[str, Any]) -> None:
    testbed.measures = False
    try:
        address = testbed.start("pi-2").control
    finally:
        testbed.measures = True
    describe(addresses={**described["addresses"], "pi-2": address})
    named = "pi-2: does not measure on request; start it with --profile"
    assert cluster.refuses(["profile", "cluster.yaml", *QUICK], named).endswith(named)
    assert "does not measure on request" in cluster("show", "cluster.yaml", "--wait", ENOUGH_S).out
    testbed.start("pi-2")


# what is wrong ------------------------------------------------------------------------------------------------------


def wrong(*lines: str, wait: str = SOON_S) -> str:
    """What is shown where these things are wrong."""
    called = cluster("show", "cluster.yaml", "--wait", wait, code=2)
    assert len(called.told) == len(lines), called.err
    for told, line in zip(called.told, lines, strict=True):
        assert told.startswith("splitgym-cluster: ")
        assert line in told
    return called.out


def test_a_worker_that_cannot_be_reached(described: dict[str, Any]) -> None:
    with free_address() as address:
        describe(addresses={**described["addresses"], "pi-2": address})
        out = wrong(f"worker pi-2 ({address}): has not answered within 10 s (cannot be connected)", wait="10")
        assert out.startswith("pi-1 (pi3) at ")
        assert "pi-2" not in out
        describe(addresses=dict.fromkeys(NAMES, address))
        named = f"worker pi-1 ({address}): has not answered within"
        cluster.refuses(["profile", "cluster.yaml", "--wait", SOON_S], named)


def test_a_worker_with_another_key_than_the_roster_says(testbed: Testbed, described: dict[str, Any]) -> None:
    others, _ = make_members({"pi-1": "worker", "pi-2": "worker"})
    members = [m if m.role == "controller" else Member(m.name, others[m.name].public, m.role) for m in
               testbed.roster.members.values()]  # fmt: skip
    save_roster(Path("keys") / ROSTER_FILE, Roster(members))
    wrong(*[f"worker {name} ({described['addresses'][name]}): has not answered within 3 s (" for name in NAMES])


@pytest.mark.usefixtures("described")
def test_a_key_that_is_not_on_the_workers_roster(testbed: Testbed) -> None:
    strangers, _ = make_members({"requester": "controller"})
    workers = [m for m in testbed.roster.members.values() if m.role == "worker"]
    save_identity(Path("keys/requester.key"), strangers["requester"], force=True)
    save_roster(
        Path("keys") / ROSTER_FILE, Roster([Member("requester", strangers["requester"].public, "controller"), *workers])
    )
    refused = "has not answered within 10 s (refuses this machine's key: is it on the roster there?)"
    wrong(*[refused] * 2, wait="10")


@pytest.mark.usefixtures("described")
def test_a_worker_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_core, "VERSION", 99)
    wrong(*[f"{name} speaks version {wire.VERSION} of the wire" for name in NAMES], wait=ENOUGH_S)


@pytest.mark.usefixtures("described")
def test_a_worker_that_serves_another_machine_is_left_alone(testbed: Testbed) -> None:
    identity, store = IDENTITIES["desk"], BlobStore(Path("w"))
    with open_session(testbed.members[:1], identity, testbed.roster, store, lease_s=60.0, join_s=60.0) as controller:
        assert wrong("pi-1 serves desk now", wait=ENOUGH_S).startswith("pi-2 (nano)")
        cluster.refuses(["profile", "cluster.yaml", *QUICK], "pi-1 serves desk now")
        found = controller.ask("pi-1", wire_requests.TimeCopies, 60.0, seconds=0.0)
    assert isinstance(found, wire_requests.Timed)


@pytest.mark.usefixtures("described")
def test_another_command_of_this_machine_is_left_alone() -> None:
    with sole_use(Path("keys/requester.key")):
        for words in ("show", "profile"):
            named = "keys/requester.key: another command gives orders with this key now"
            cluster.refuses([words, "cluster.yaml"], named)


@pytest.mark.usefixtures("described")
def test_a_name_that_is_not_on_the_roster(testbed: Testbed) -> None:
    members = [m for m in testbed.roster.members.values() if m.name != "pi-2"]
    save_roster(Path("keys") / ROSTER_FILE, Roster(members))
    wrong("keys/roster.yaml: pi-2 of scenario cluster is no worker on it", wait=ENOUGH_S)
    cluster.refuses(["profile", "cluster.yaml"], "keys/roster.yaml: pi-2 of scenario cluster is no worker on it")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"adresses": {}}, "cluster.yaml: unknown field 'adresses'"),
        ({"names": ["pi-1", "pi-1"]}, "cluster.yaml: names"),
        ({"addresses": None}, "scenario cluster: is no cluster, addresses is missing"),
        ({"addresses": {"pi-1": "pi:1"}}, "addresses lacks pi-2"),
        ({"addresses": {"pi-1": "pi:1", "pi-2": "pi"}}, "addresses[pi-2] is 'pi', allowed: HOST:PORT"),
        ({"addresses": {"pi-1": "pi:1", "pi-3": "pi:1"}}, "addresses names 'pi-3'"),
        ({"keys": "nowhere"}, "nowhere/roster.yaml: cannot be read"),
    ],
)
def test_a_cluster_file_that_is_none(changes: dict[str, Any], named: str) -> None:
    describe(**changes)
    for command in ("show", "profile"):
        cluster.refuses([command, "cluster.yaml"], named)


def test_a_name_that_is_given_twice() -> None:
    describe()
    text = Path("cluster.yaml").read_text().replace("  pi-2:", "  pi-1:")
    Path("cluster.yaml").write_text(text)
    cluster.refuses("show cluster.yaml", "pi-1 is given twice")


@pytest.mark.usefixtures("described")
@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("", "the following arguments are required: command (see splitgym-cluster --help)"),
        ("watch", "invalid choice: 'watch'"),
        ("show none.yaml", "none.yaml: cannot be read"),
        ("profile cluster.yaml --kernels-only --links-only", "leave nothing to measure"),
        ("profile cluster.yaml --seconds 0.5", "--seconds is 0.5, allowed: 1 to 60"),
        ("profile cluster.yaml --every 0", "--every: is '0', allowed: a whole number of at least 1"),
        ("profile cluster.yaml --wait -1", "--wait: is '-1', allowed: a finite number above 0"),
        ("profile cluster.yaml --model vgg99", "unknown model 'vgg99'"),
        ("profile cluster.yaml --out full", "full/cluster.measured.yaml: is there already, and not made by"),
        ("profile cluster.yaml --out other", "other/tables/pi-1.csv: is empty"),
    ],
)
def test_bad_options_are_one_line(words: str, named: str) -> None:
    for path, text in (("full/cluster.measured.yaml", "mine: 1\n"), ("other/tables/pi-1.csv", "")):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text(text)
    cluster.refuses(words, named)


@pytest.mark.parametrize("words", [(), ("show",), ("profile",)])
def test_help_teaches(words: tuple[str, ...]) -> None:
    out = cluster(*words, "--help").out
    assert "examples:\n  splitgym-cluster" in out


# parts --------------------------------------------------------------------------------------------------------------


def test_files_are_found_from_another_folder(here: Path) -> None:
    describe(
        model="net.onnx", traces=["t.txt"], tables={"pi3": "own.csv"}, links={"pi3": "/own.json"}, requester_mbps=7.0
    )
    for folder in (Path(), Path("o")):
        folder.mkdir(exist_ok=True)
        target, links = folder / "m.yaml", {name: (folder / "links" / f"{name}.json", LINK) for name in NAMES}
        scenario = get_scenario("cluster.yaml")
        write_measured(Path("cluster.yaml"), target, None, scenario, {"pi-2": folder / "tables" / "pi-2.csv"}, links)
        moved = get_scenario(str(target))

        def resolved(paths: Any) -> Any:
            return {key: Path(path).resolve() for key, path in paths.items()}

        assert Path(moved.model).resolve() == here / "net.onnx"
        assert Path(moved.traces[0]).resolve() == here / "t.txt"
        assert resolved(moved.tables) == {"pi3": here / "own.csv", "pi-2": here / folder / "tables" / "pi-2.csv"}
        assert resolved(moved.links) == {"pi3": Path("/own.json"), **resolved({n: p for n, (p, _) in links.items()})}
        assert moved.requester_mbps == 7.0  # the user's
        assert moved.requester_message_s == pytest.approx(LINK.t_msg_s)
        assert moved.requester_copy_bytes_per_s == pytest.approx(2 / (1 / 3e9 + 1 / 4e9), rel=1e-3)


def test_workers_of_one_machine_are_a_group() -> None:
    boots = {"a": "x", "b": "", "c": "x", "d": "", "e": ""}
    hosts = {"a": "h1", "b": "h2", "c": "h3", "d": "h2", "e": "h4"}
    found: Any = SimpleNamespace(
        welcomes={name: SimpleNamespace(boot=boot) for name, boot in boots.items()},
        members={name: SimpleNamespace(address=f"{host}:1") for name, host in hosts.items()},
    )
    assert by_machine(found, list("abcde")) == [["a", "c"], ["b", "d"], ["e"]]


def test_shares_are_of_the_work_that_is_left() -> None:
    shown: list[float] = []
    shares = Shares(["a", "b"], lambda share, text: shown.append(share))
    shares.show("a", 0.5, "goes on")  # half was there
    shares.show("a", 1.0, "")
    shares.show("b", 0.5, "")
    shares.show("b", 1.0, "")
    assert shown == pytest.approx([0.0, 1 / 3, 2 / 2 - 1 / 2, 1.0])
