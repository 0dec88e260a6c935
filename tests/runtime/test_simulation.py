"""The real cores under simulated faults: nothing lost, doubled or wrong, and planted bugs are found."""

from __future__ import annotations

import pytest

from splitgym.runtime import simulate as command
from splitgym.runtime.simulate import main
from splitgym.runtime.simulation.checks import STREAM
from splitgym.runtime.simulation.stream_world import simulate

from .mutants import MUTANTS, SEEDS
from .seeds import beginning_with, clean_seeds

FEW, SHARDS = 400, 2  # seeds, in several tests; each sees all that must happen, but for what is rare
RARE = {"an epoch ended while it was deployed"}


@pytest.mark.parametrize("shard", range(SHARDS))
def test_nothing_is_lost_doubled_or_wrong(shard: int) -> None:
    counts = clean_seeds(simulate, range(shard, FEW, SHARDS), "")
    assert set(STREAM) - set(counts) <= RARE


@pytest.mark.slow
def test_nor_in_many_seeds() -> None:
    assert set(STREAM) <= set(clean_seeds(simulate, range(FEW, 10 * FEW), ""))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, words = MUTANTS[name]
    patch(monkeypatch)
    seeds = beginning_with(SEEDS.get(name, 0), FEW)
    assert any(words in simulate(seed).violation for seed in seeds), f"no seed says '{words}'"


def test_a_seed_repeats_itself() -> None:
    first, second = simulate(11, keeps_log=True), simulate(11, keeps_log=True)
    assert first == second
    assert first.faults > 0
    assert any("FAULT" in line for line in first.log)


def test_the_command_tells_what_was_violated(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert main(["--seeds", "3", "--workers", "1"]) == 0
    assert "3 seeds: 48 items" in capsys.readouterr().out
    MUTANTS["no pause"][0](monkeypatch)
    assert main(["--seeds", "5", "--workers", "1"]) == 1
    out = capsys.readouterr().out
    seed = next(seed for seed in range(5) if f"seed {seed}: " in out)
    assert f"--seed {seed} --log" in out
    assert main(["--seed", f"{seed}", "--log"]) == 1
    assert "FAULT" in capsys.readouterr().out


def test_the_command_runs_in_processes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(command, "BATCH", 3)  # more batches than two processes are given at first
    outs = []
    for workers in ("1", "2"):
        assert main(["--seeds", "16", "--workers", workers]) == 0
        outs.append(capsys.readouterr().out.split(" in ")[0])
    assert outs[0] == outs[1]


@pytest.mark.parametrize(
    ("argv", "words"),
    [(["--log"], "--log is for one seed"), (["--seeds", "0"], "--seeds"), (["--seed", "x"], "--seed")],
)
def test_bad_arguments(argv: list[str], words: str, capsys: pytest.CaptureFixture) -> None:
    try:
        code = main(argv)
    except SystemExit as ended:  # as argparse ends
        code = ended.code
    assert code == 2
    assert words in capsys.readouterr().err
