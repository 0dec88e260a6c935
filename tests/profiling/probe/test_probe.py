"""Measuring a link: what is recovered from a known channel, and the command that does it."""

from __future__ import annotations

import queue
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.profiling.link_file import load_link
from splitgym.profiling.measure import command
from splitgym.profiling.measure.copy_rates import copy_rates
from splitgym.profiling.probe import probe as network_probe
from splitgym.profiling.probe.client import fit_messages, measure
from splitgym.profiling.probe.probe import parse_address
from splitgym.profiling.probe.server import Server
from splitgym.profiling.probe.wire import ProbeError
from splitgym.ui.errors import InputError

from .links import Channel, Clock, Serving, measured

LATENCIES_S, RATES_MBPS = st.floats(1e-4, 0.1), st.floats(30.0, 2000.0)


@settings(max_examples=20)
@given(latency_s=LATENCIES_S, up_mbps=RATES_MBPS, down_mbps=RATES_MBPS)
def test_a_steady_channel_is_recovered(latency_s: float, up_mbps: float, down_mbps: float) -> None:
    found = measured(latency_s, up_mbps, down_mbps)
    assert found.t_msg_s == pytest.approx(latency_s, rel=0.02, abs=3e-5)  # a request for a message has four bytes
    assert found.goodput_up_mbps == pytest.approx(up_mbps, rel=1e-6)
    assert found.goodput_down_mbps == pytest.approx(down_mbps, rel=1e-6)
    assert found.residual < 0.03
    copies = (found.copy_out_bytes_per_s, found.copy_in_bytes_per_s)
    assert (*copies, found.peer_copy_out_bytes_per_s, found.peer_copy_in_bytes_per_s) == (4e9, 5e9, 2e9, 3e9)
    assert (found.device, found.peer, found.software, found.peer_software) == ("here", "toy", "none", "none")


@settings(max_examples=20)
@given(latency_s=LATENCIES_S, up_mbps=RATES_MBPS, down_mbps=RATES_MBPS, seed=st.integers(0, 99))
def test_a_disturbed_channel_is_recovered_within_ten_percent(
    latency_s: float, up_mbps: float, down_mbps: float, seed: int
) -> None:
    found = measured(latency_s, up_mbps, down_mbps, np.random.default_rng(seed))
    assert found.t_msg_s == pytest.approx(latency_s, rel=0.1, abs=3e-5)
    assert found.goodput_up_mbps == pytest.approx(up_mbps, rel=0.1)
    assert found.goodput_down_mbps == pytest.approx(down_mbps, rel=0.1)


def test_the_fit_takes_half_a_round_trip_off_and_shares_one_overhead() -> None:
    up_s = {n: 0.004 + n * 1e-7 for n in (1000, 50_000, 1_000_000)}
    down_s = {n: 0.004 + n * 3e-7 for n in (1000, 50_000)}
    fit = fit_messages(0.004, up_s, down_s)
    assert fit.t_msg_s == pytest.approx(0.002, rel=1e-4)
    assert (fit.up_mbps, fit.down_mbps) == pytest.approx((80.0, 8 / 0.3), rel=1e-3)
    assert fit.samples_up[:2] == ((1, 0.002), (1000, pytest.approx(0.0021)))
    assert fit.residual(80.0, 8 / 0.3) == pytest.approx(0.0, abs=1e-4)
    assert fit.residual(40.0, 4 / 0.3) > 0.02


def test_a_size_that_was_disturbed_throughout_counts_little() -> None:
    up_s = {n: 0.002 + 8e-8 * n for n in (1024, 4096, 16384, 65536, 262144)}
    down_s = {**up_s, 16384: 3 * up_s[16384]}
    fit = fit_messages(0.002, up_s, down_s)
    assert fit.t_msg_s == pytest.approx(0.001, rel=0.02)
    assert (fit.up_mbps, fit.down_mbps) == pytest.approx((100.0, 100.0), rel=0.05)


def test_the_fit_is_never_negative() -> None:
    fit = fit_messages(2e-5, {1000: 1.5e-5, 100_000: 5e-3, 1_000_000: 0.1}, {1000: 1.5e-5, 100_000: 1.6e-5})
    assert 0 <= fit.t_msg_s < 1e-5
    assert fit.up_mbps > 0 < fit.down_mbps
    with pytest.raises(ProbeError, match="too unsteady"):
        fit_messages(0.01, {1000: 0.004}, {1000: 0.02})


def test_copy_rates_are_payload_over_the_time_of_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = copy_rates(0.0)
    assert all(1e7 < rate < 1e13 for rate in real)
    ticks = Clock()

    def tick() -> float:
        ticks.now_s += 0.001
        return ticks.now_s

    monkeypatch.setattr("splitgym.profiling.measure.copy_rates.time.perf_counter", tick)
    assert copy_rates(0.1) == pytest.approx((64 * 72 * 112 * 2 / 0.001,) * 2)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("pi:9000", ("pi", 9000)),
        ("192.168.0.7:1", ("192.168.0.7", 1)),
        ("[::1]:9000", ("::1", 9000)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65535)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "pi", "pi:", ":9000", "pi:0", "pi:65536", "pi:x", "pi:-1", "pi:９", "::1:9000", "[::1]", "[::1]9000", "[pi]:1",
     "[]:1", "a b:1", "http://pi:80", "pi:" + "9" * 5000],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InputError, match=r"^--network is .*allowed: serve, or HOST:PORT"):
        parse_address(text)


def test_a_link_is_measured_over_loopback() -> None:
    shares: list[float] = []
    with Serving() as serving:
        link = measure(*serving.address, "here", "none", 0.1, lambda share, text: shares.append(share))
        assert serving.ended()
    assert (link.device, link.peer, link.software, link.peer_software) == ("here", "board", "none", "software")
    assert 0 <= link.t_msg_s < 0.05
    assert 10 < link.goodput_up_mbps < 1e6
    assert 10 < link.goodput_down_mbps < 1e6
    assert [n for n, _ in link.samples_up] == [n for n, _ in link.samples_down]
    assert [n for n, _ in link.samples_up][:4] == [1, 1024, 4096, 16384]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert serving.lines[0] == "here (127.0.0.1) measures the link to here"
    assert serving.lines[1].startswith("here (127.0.0.1) is done, ")
    assert len(serving.lines) == 2


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_a_link_is_measured_over_ipv6() -> None:
    try:
        serving = Serving("::1")
    except InputError:
        pytest.skip("no IPv6 on this machine")
    with serving:
        assert measure(*serving.address, "here", "none", 0.01).peer == "board"
        assert serving.ended()


def test_keep_serving_takes_one_client_after_the_other() -> None:
    with Serving(keep=True) as serving:
        for name in ("first", "second"):
            assert measure(*serving.address, name, "none", 0.01).device == name
            assert [line.split()[0] for line in serving.heard(2)] == [name, name]


def test_the_command_measures_and_writes_what_a_scenario_loads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: queue.Queue[Server] = queue.Queue()

    class Public(Server):
        def __enter__(self) -> Server:
            opened.put(self)
            return self

    monkeypatch.setattr(network_probe, "Server", Public)
    codes: list[int] = []
    serve = ["--network", "serve", "--host", "127.0.0.1", "--port", "0", "--device", "laptop"]
    thread = threading.Thread(target=lambda: codes.append(command.main(serve)))
    thread.start()
    host, port = opened.get(timeout=20).address
    monkeypatch.chdir(tmp_path)
    client = ["--network", f"{host}:{port}", "--device", "kitchen", "--seconds", "1"]
    codes.append(command.main(client))
    thread.join(20)
    assert codes == [0, 0]
    link = load_link("link-kitchen.json")
    assert (link.device, link.peer) == ("kitchen", "laptop")
    assert "splitgym" in link.software
    assert "Python" in link.peer_software
    out, err = capsys.readouterr()
    assert f"{link.goodput_up_mbps:.1f} Mbit/s up, {link.goodput_down_mbps:.1f} down" in out
    assert f"{link.t_msg_s * 1e3:.3f} ms" in out
    for line in (
        f"laptop serves at 127.0.0.1:{port}",
        f"on the other machine: splitgym-profile --network 127.0.0.1:{port}",
        "kitchen (127.0.0.1) measures the link to here",
        f"kitchen measures the link to 127.0.0.1:{port} for about 1 s",
    ):
        assert line in err
    assert "links: {kitchen: link-kitchen.json}" in err
    assert command.main(client) == 2  # before anything is measured
    assert "link-kitchen.json: is there already; --overwrite replaces it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pi"], "--network is 'pi', allowed: serve, or HOST:PORT"),
        (["pi:1", "--host", "::"], "--host belongs to --network serve, not to --network pi:1"),
        (["pi:1", "--port", "0"], "--port belongs to --network serve"),
        (["pi:1", "--keep-serving"], "--keep-serving belongs to --network serve"),
        (["serve", "--seconds", "3"], "--seconds belongs to --network HOST:PORT"),
        (["serve", "--out", "x.json"], "--out belongs to --network HOST:PORT"),
        (["serve", "--overwrite"], "--overwrite belongs to --network HOST:PORT"),
        (["serve", "--port", "65536"], "argument --port: is '65536', allowed: a whole number from 0 to 65535"),
        (["serve", "--device", "a\x1bb"], "--device is 'a\\x1bb', allowed: one line"),
        (["pi:1", "--seconds", "0.5"], "--seconds is 0.5, allowed: 1 to 60"),
        (["pi:1", "--seconds", "61"], "--seconds is 61, allowed: 1 to 60"),
        (["pi:1", "--out", "nowhere/x.json"], "--out nowhere/x.json: allowed: a file in a folder that exists"),
        (["pi:1", "--out", "."], "--out .: allowed: a file in a folder that exists"),
    ],
)
def test_options_that_do_not_fit(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(["--network", *words]) == 2
    assert capsys.readouterr().err.startswith(f"splitgym-profile: {message}")


def test_all_interfaces_are_announced_and_ctrl_c_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(self: Server, keep: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve", stop)
    assert command.main(["--network", "serve", "--port", "0", "--device", "pi"]) == 130
    err = capsys.readouterr().err
    assert "pi serves on port" in err
    assert "of all its interfaces: whoever reaches it may measure" in err
    assert err.splitlines()[-1] == "splitgym-profile: stopped before any link was measured"
    assert command.main(["--network", "serve", "--port", "0", "--keep-serving"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "stopped serving"


@pytest.mark.slow
@pytest.mark.parametrize(("mbps", "latency_s"), [(50.0, 0.02), (200.0, 0.01)])
def test_a_paced_channel_is_recovered_within_ten_percent(mbps: float, latency_s: float) -> None:
    with Serving() as serving, Channel(serving.address, mbps, latency_s) as channel:
        link = measure(*channel.address, "here", "none", 1.0)
        assert serving.ended()
    assert link.t_msg_s == pytest.approx(latency_s, rel=0.1)
    assert link.goodput_up_mbps == pytest.approx(mbps, rel=0.1)
    assert link.goodput_down_mbps == pytest.approx(mbps, rel=0.1)
    assert link.residual < 0.1
