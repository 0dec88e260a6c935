"""``splitgym-run`` and ``splitgym-testbed``: what they print, write and refuse."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import yaml
from torch import nn

from splitgym.envs.distredge import live
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.experiments.live import results, run_command, stream, testbed_command
from splitgym.experiments.live.continuing import go_on
from splitgym.models.layers import Shape
from splitgym.runtime.keys import make_members, save_identity, save_roster
from splitgym.runtime.testbed import Testbed
from splitgym.ui.console import called as as_called

from ... import slow
from ...command_line import PNG, Command, files, names, read, sketch
from ...models.own.nets import exported
from ...runtime.live import ENOUGH_S, children
from ...runtime.network import free_address
from .cluster import boards, write_boards

RUN = Command(run_command.PROG, run_command.main)
TESTBED = Command(testbed_command.PROG, testbed_command.main)
SESSION_LEASE_S, LEASE_S = live.LEASE_S, run_command.LEASE_S
WROTE, DRAWN = {"run.json", "job.json", "journal.jsonl"}, {"trace.json", "timeline.png"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module", autouse=True)
def testbed(folder: Path) -> Iterator[Testbed]:
    """That the folder's cluster.yaml is of."""
    with boards(folder) as found:
        yield found


@pytest.fixture(autouse=True)
def _here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(results, "save_figure", sketch)
    monkeypatch.setattr(run_command, "LEASE_S", ENOUGH_S)  # whoever is killed is noticed by its connection
    monkeypatch.setattr(live, "LEASE_S", ENOUGH_S)


def run(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """A run on the cluster; returns its run.json."""
    RUN(*words, "--cluster", str(folder / "cluster.yaml"), "--out", "out", code=code)
    return read("out/run.json")


def test_a_run_writes_what_was_measured_beside_what_was_predicted(folder: Path) -> None:
    found = run(folder, "coedge", "--images", "3", "--check")
    kept_to = any(image["valid"] for image in found["images"])  # else nothing is drawn: this machine was too busy
    assert files("out") == (WROTE | DRAWN if kept_to else WROTE)
    assert not kept_to or Path("out/timeline.png").read_bytes() == PNG
    system = System(get_scenario(str(folder / "cluster.yaml")))
    assert found["predicted"]["offload_s"] == system.reference_s
    assert len(found["images"]) == 3
    assert found["worst_error"] <= 1e-4
    assert not kept_to or found["measured"]["latency_s"] > 0
    assert set(found["workers"]) == set(system.names)
    assert found["emulation"] == {"kind": "table", "time_scale": 20.0}
    terms = found["terms_s"].values()
    assert sum(term["predicted"] for term in terms) == pytest.approx(found["predicted"]["latency_s"])
    assert found["joules_per_image"] is None or found["joules_per_image"] > 0


def test_a_plan_file_runs_as_a_planners_plan_does(folder: Path) -> None:
    plan = run(folder, "coedge", "--images", "1", "--no-offload")["plan"]
    Path("plan.json").write_text(json.dumps(plan))
    RUN("plan.json", "--cluster", str(folder / "cluster.yaml"), "--images", "1", "--no-offload", "--out", "again")
    assert read("again/run.json")["plan"] == plan


def test_offload_is_not_compared_with_itself(folder: Path) -> None:
    found = run(folder, "offload", "--images", "1")
    assert found["measured"]["offload_s"] is None
    assert len(found["images"]) == 1


def test_a_network_of_ones_own_is_named_as_for_its_training(folder: Path) -> None:
    """The cluster's workers carry out a plan of whatever network they are sent."""
    net = exported(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), Path("net.onnx"), Shape(3, 16, 16), dynamo=False)
    found = run(folder, "coedge", "--model", str(net), "--images", "1", "--check", "--no-offload")
    assert found["plan"]["model"] == "net"
    assert found["worst_error"] <= 1e-4
    cluster = f"--cluster {folder / 'cluster.yaml'}"
    RUN.refuses(f"coedge {cluster} --model {net} --env-kwargs model=lenet5", "model has its own option, --model")
    Path("plan.json").write_text(json.dumps(found["plan"]))
    RUN.refuses(f"plan.json {cluster}", "model is 'net', expected")
    RUN.refuses(f"plan.json {cluster}", "a network of your own is named by --model")


def test_images_in_flight_come_back_right(folder: Path) -> None:
    found = run(folder, "coedge", "--images", "6", "--in-flight", "3", "--check", "--no-offload")
    assert found["worst_error"] <= 1e-4
    assert found["in_flight"] == 3
    assert found["measured"]["images_per_s"] > 0
    assert found["measured"]["runtime_s"] is None


def test_ctrl_c_keeps_the_images_that_are_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(stream.Bar):
        def show(self, share: float, text: str) -> None:
            if share >= 0.5:
                raise KeyboardInterrupt

    monkeypatch.setattr(stream, "Bar", Stopping)
    found = run(folder, "coedge", "--images", "4", "--no-offload", code=130)
    assert (len(found["images"]), found["interrupted"]) == (2, True)


def test_a_run_that_was_stopped_goes_on_behind_its_last_image(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(stream.Bar):
        def show(self, share: float, text: str) -> None:
            if share >= 0.5:
                raise KeyboardInterrupt

    words = ["coedge", "--images", "4", "--cluster", str(folder / "cluster.yaml")]
    with monkeypatch.context() as patch:
        patch.setattr(stream, "Bar", Stopping)
        called = RUN(*words, "--no-offload", "--out", "out", code=130)
    again = f"go on with: {as_called('splitgym-run')} {shlex.join(words)} --no-offload --resume out"
    assert called.told[-1] == f"interrupted: 2 of 4 images are in the results; {again}"
    with Path("out/journal.jsonl").open("ab") as file:
        file.write(b'{"item": 2, "lat')  # a line that was not finished
    RUN(*words, "--resume", "out", "--check")
    found = read("out/run.json")
    assert [image["item"] for image in found["images"]] == [0, 1, 2, 3]
    assert found["worst_error"] <= 1e-4
    RUN.refuses([*words, "--resume", "out"], "--resume out: all 4 images went through")
    RUN.refuses([*words, "--resume", "out", "--seed", "1"], "--resume out: was begun with seed 0, not 1;")
    RUN.refuses([*words, "--resume", "out", "--images", "3"], "--resume out: was begun with images 4, not 3;")
    RUN.refuses(["offload", *words[1:], "--resume", "out"], "was begun with another plan")


def test_a_controller_that_is_killed_is_followed_by_one_that_goes_on(folder: Path) -> None:
    """Its workers are free again, and nothing that was delivered is delivered again."""
    words = ["coedge", "--cluster", str(folder / "cluster.yaml"), "--images", "6", "--no-offload"]
    code = "import sys; from splitgym.experiments.live.run_command import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen([sys.executable, "-c", code, *words, "--out", "out"], stderr=subprocess.DEVNULL)
    try:
        due_s = time.monotonic() + ENOUGH_S
        while not (before := delivered()) and process.poll() is None and time.monotonic() < due_s:
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    before = delivered()
    assert 0 < len(before) < 6
    RUN(*words, "--resume", "out", "--check")
    assert delivered()[: len(before)] == before
    assert [json.loads(line)["item"] for line in delivered()] == list(range(6))


def delivered() -> list[str]:
    """Whole lines of the run's journal."""
    path = Path("out/journal.jsonl")
    return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ("joint --testbed X", "joint --testbed X --resume 'a run'"),
        ("joint --out='a run' --images 9", "joint '--resume=a run' --images 9"),
        ("joint --resume 'a run'", "joint --resume 'a run'"),
    ],
)
def test_the_command_that_goes_on_is_whole(words: str, again: str) -> None:
    assert go_on(shlex.split(words), Path("a run")) == f"{as_called('splitgym-run')} {again}"


def test_a_worker_that_is_killed_costs_no_image(tmp_path: Path) -> None:
    write_boards(tmp_path / "two.yaml")
    words = "coedge --testbed two.yaml --time-scale 20 --images 8 --no-offload --check --kill pi3-1 --out out"
    called = RUN(*words.split())
    found = read("out/run.json")
    assert [image["item"] for image in found["images"]] == list(range(8))
    assert found["worst_error"] <= 1e-4
    (loss,) = found["outages"]["losses"]
    assert loss["text"].startswith("pi3-1")
    assert loss["stood_still_s"] > 0
    assert found["outages"]["stretches"][-1]["workers"] == "pi3-2"
    assert "pi3-1 " in called.out
    assert files("out") >= {"rate.png", "journal.jsonl"}


def test_a_worker_that_is_silent_before_the_stream_ends_no_run(
    folder: Path, testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    offload = stream.stream

    def hanging(cluster: live.Cluster, *args: Any, **options: Any) -> None:
        testbed.signal("pi3-2", signal.SIGSTOP)
        wakes = threading.Timer(2.5 * LEASE_S, testbed.signal, ("pi3-2", signal.SIGCONT))
        wakes.start()
        wakes.join(ENOUGH_S)
        offload(cluster, *args, **options)

    monkeypatch.setattr(stream, "stream", hanging)
    monkeypatch.setattr(live, "LEASE_S", SESSION_LEASE_S)
    assert len(run(folder, "coedge", "--images", "2")["images"]) == 2


def test_a_testbed_for_one_run_finds_its_scale_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(children())
    write_boards(tmp_path / "two.yaml", activation_type="float16")
    called = RUN("coedge", "--testbed", "two.yaml", "--images", "2", "--check", "--out", "out")
    assert "speed-up over offload" in called.out
    assert read("out/run.json")["emulation"]["time_scale"] >= 1
    assert set(children()) <= before


def test_a_device_may_be_called_as_whoever_gives_the_orders(tmp_path: Path) -> None:
    write_boards(tmp_path / "two.yaml", names=["requester", "b"])
    RUN("coedge", "--testbed", "two.yaml", "--time-scale", "20", "--images", "1", "--no-offload", "--out", "out")
    assert set(read("out/run.json")["workers"]) == {"requester", "b"}


def test_links_that_would_vary_keep_one_rate_and_the_run_says_so(folder: Path, tmp_path: Path) -> None:
    path = changed(folder, tmp_path / "two.yaml", dynamic=True)
    called = RUN("coedge", "--cluster", path, "--images", "1", "--no-offload", "--out", "out")
    assert "emulated links keep one rate each" in called.out


def test_the_time_of_checks_is_no_images_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_check", lambda *_: time.sleep(2.0))
    found = run(folder, "coedge", "--images", "3", "--no-offload", "--check")
    assert found["measured"]["images_per_s"] > 1.5 * 20.0 / 2.0


def test_many_images_take_little_memory() -> None:
    cluster: Any = SimpleNamespace(system=System(get_scenario("DB-50", model="lenet5")))
    images = stream.random_images(cluster, 10**6, 0)
    assert len(images) == 10**6
    assert len({id(image) for image in images}) == stream.MOST_MADE
    assert images[0] is images[stream.MOST_MADE]


def test_a_network_part_that_takes_no_time_sets_no_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    untimed = live.paces

    def paces(*args: Any, **options: Any) -> Any:
        found, requester = untimed(*args, **options)
        return [msgspec.structs.replace(pace, tail_s=0.0) for pace in found], requester

    monkeypatch.setattr(live, "paces", paces)
    write_boards(tmp_path / "two.yaml")
    RUN("offload", "--testbed", "two.yaml", "--images", "1", "--no-offload", "--out", "out")
    assert read("out/run.json")["emulation"]["time_scale"] >= 1


@pytest.mark.parametrize("emulate", ["none", *slow("dilate")])
def test_other_emulations_of_a_testbed(emulate: str, tmp_path: Path) -> None:
    write_boards(tmp_path / "two.yaml")
    RUN("coedge", "--testbed", "two.yaml", "--emulate", emulate, "--images", "1", "--check", "--out", "out")
    assert read("out/run.json")["emulation"]["kind"] == emulate


@pytest.mark.parametrize("emulate", ["none", "dilate"])
def test_other_emulations_of_a_cluster(emulate: str, folder: Path, tmp_path: Path) -> None:
    path = changed(folder, tmp_path / "two.yaml", emulate=emulate, time_scale=1.0)
    RUN("coedge", "--cluster", path, "--images", "1", "--check", "--out", "out")
    assert read("out/run.json")["emulation"]["kind"] == emulate


def test_outputs_that_differ_are_told_and_the_results_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stream.TOLERANCE, True, -1.0)
    words = ["coedge", "--cluster", str(folder / "cluster.yaml"), "--images", "1", "--no-offload", "--check"]
    called = RUN(*words, "--out", "out", code=2)
    assert "outputs differ from the unsplit network's by" in called.told[-1]
    assert "run.json" in files("out")  # pictures only where this machine kept up


def changed(folder: Path, path: Path, **fields: Any) -> str:
    """A copy of the cluster's file with some fields changed."""
    data = yaml.safe_load((folder / "cluster.yaml").read_text())
    path.write_text(yaml.safe_dump({**data, "keys": str(folder / "keys"), **fields}))
    return str(path)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("coedge", "name the workers: either --cluster FILE or --testbed SCENARIO"),
        ("coedge --cluster a.yaml --testbed DB-50", "name the workers"),
        ("coedge --cluster a.yaml --time-scale 4", "--time-scale, --emulate and --namespaces are for --testbed"),
        ("coedge --cluster DB-50", "addresses is missing"),
        ("coedge --testbed DB-51", "unknown scenario 'DB-51'"),
        ("nobody --testbed DB-50", "unknown agent 'nobody'"),
        ("ppo --testbed DB-50", "ppo is trained"),
        ("gone.json --testbed DB-50", "gone.json: cannot be read"),
        ("coedge --testbed DB-50 --images 0", "--images"),
        ("coedge --testbed DB-50 --time-scale 0", "--time-scale"),
        ("coedge --testbed DB-50 --emulate slow", "--emulate"),
        ("coedge --testbed DB-50 --kill nano-9", "--kill is 'nano-9', allowed: a device of a testbed: xavier-1,"),
        ("coedge --testbed DB-50 --replan ppo", "--replan is 'ppo', allowed: a planner that is not trained"),
        ("coedge --testbed DB-50 --resume gone", "--resume gone"),
        ("coedge --testbed DB-50 --resume .", "--resume .: holds no run that was begun (job.json is missing)"),
    ],
)
def test_bad_command_lines_are_one_line(words: str, named: str) -> None:
    RUN.refuses(words, named)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"names": ["a", "a"]}, "'a' is named twice"),
        ({"addresses": {"pi3-1": "127.0.0.1:7411"}}, "addresses lacks pi3-2"),
        ({"addresses": {"pi3-1": "127.0.0.1:7411", "pi3-2": "nowhere"}}, "addresses[pi3-2] is 'nowhere'"),
        ({"addresses": {"pi3-1": "127.0.0.1:7411", "pi3-9": "127.0.0.1:7412"}}, "addresses names 'pi3-9'"),
        ({"keys": "nowhere"}, "roster.yaml: cannot be read"),
        ({"time_scale": 0}, "time_scale is 0"),
        ({"emulate": "slow"}, "emulate is 'slow'"),
        ({"activation_type": "uint8"}, "activation_type is 'uint8', allowed: float16, float32"),
        ({"medium": "shared"}, "medium is 'shared', allowed where links are emulated: switched"),
    ],
)
def test_bad_cluster_files_are_one_line(fields: dict[str, Any], named: str, folder: Path, tmp_path: Path) -> None:
    RUN.refuses(["coedge", "--cluster", changed(folder, tmp_path / "bad.yaml", **fields)], named)


def test_a_worker_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    addresses = yaml.safe_load((folder / "cluster.yaml").read_text())["addresses"]
    with free_address() as address:
        path = changed(folder, tmp_path / "bad.yaml", addresses={**addresses, "pi3-2": address})
        RUN.refuses(["coedge", "--cluster", path], f"worker pi3-2 ({address}): has not answered within 10 s")


def test_a_device_that_is_not_on_the_roster_is_named(folder: Path, tmp_path: Path) -> None:
    addresses = yaml.safe_load((folder / "cluster.yaml").read_text())["addresses"]
    path = changed(
        folder, tmp_path / "bad.yaml", names=["pi3-1", "hall"],
        addresses={"pi3-1": addresses["pi3-1"], "hall": addresses["pi3-2"]},
    )  # fmt: skip
    RUN.refuses(["coedge", "--cluster", path], "hall of scenario boards is no worker on it")


def test_a_key_that_workers_do_not_know_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "JOIN_S", 2.0)
    identities, roster = make_members({"requester": "controller", "pi3-1": "worker", "pi3-2": "worker"})
    (tmp_path / "keys").mkdir()
    save_identity(tmp_path / "keys" / "requester.key", identities["requester"])
    save_roster(tmp_path / "keys" / "roster.yaml", roster)
    path = changed(folder, tmp_path / "bad.yaml", keys=str(tmp_path / "keys"))
    RUN.refuses(["coedge", "--cluster", path], "has not answered within 2 s")


def test_a_testbed_stays_until_ctrl_c_and_removes_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []

    def stop(self: Testbed) -> None:
        seen.append(files("testbed"))
        raise KeyboardInterrupt

    monkeypatch.setattr(Testbed, "check", stop)
    write_boards(tmp_path / "two.yaml")
    called = TESTBED("two.yaml", "--time-scale", "5")
    assert "splitgym-run PLAN --cluster testbed/cluster.yaml" in called.out
    assert seen == [{"cluster.yaml", "keys/roster.yaml", "keys/requester.key"}]
    assert names() == ["two.yaml"]


@pytest.mark.parametrize(("words", "named"), [("DB-51", "unknown scenario"), ("DB-50 --out taken", "is not empty")])
def test_bad_testbeds_are_one_line(words: str, named: str) -> None:
    Path("taken").mkdir()
    Path("taken/file").touch()
    TESTBED.refuses(words, named)


@pytest.mark.parametrize("command", [RUN, TESTBED], ids=lambda command: command.prog)
def test_what_there_is_is_listed(command: Command) -> None:
    every = command("--list").out
    for what, words in {
        "scenarios": ["distredge:", "  DB-50 ", "l2s:", "  resnet34-gpu-60 "],
        "planners": ["  joint ", "  neurosurgeon ", "  exact "],
        "devices": ["  nano "],
        "models": ["  vgg16 "],
    }.items():
        one = command("--list", what).out
        assert all(f"\n{word}" in f"\n{one}" for word in words)
        assert f"{what}:\n{one}" in every
    assert "  osds " not in every  # who is trained is no planner
