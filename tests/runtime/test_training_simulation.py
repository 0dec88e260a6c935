"""Trainings under simulated faults: no entry lost, doubled or wrong, and planted bugs are found."""

from __future__ import annotations

import pytest

from splitgym.runtime import simulate as command
from splitgym.runtime.simulate import main
from splitgym.runtime.simulation.checks import TRAINING
from splitgym.runtime.simulation.training_world import simulate

from .seeds import beginning_with, clean_seeds
from .training_mutants import MUTANTS, SEEDS

FEW, MOST, SHARDS = 300, 1500, 2  # seeds, in several tests
RARE = {"a worker failed by a full disk", "a worker held back while it computed what was over"}  # in a few seeds


@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_entry_is_lost_doubled_or_wrong(shard: int) -> None:
    counts = clean_seeds(simulate, range(shard, FEW, SHARDS), "--training")
    assert set(TRAINING) - set(counts) <= RARE


@pytest.mark.slow
@pytest.mark.timeout(1800)  # two minutes of work
@pytest.mark.parametrize("shard", range(10))
def test_nor_in_many_seeds(shard: int) -> None:
    assert set(TRAINING) <= set(clean_seeds(simulate, range(FEW + shard, 10 * MOST, 10), "--training"))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, words = MUTANTS[name]
    patch(monkeypatch)
    seeds = beginning_with(SEEDS.get(name, 0), MOST)
    assert any(words in simulate(seed).violation for seed in seeds), f"no seed says '{words}'"


def test_a_seed_repeats_itself() -> None:
    first, second = simulate(14, keeps_log=True), simulate(14, keeps_log=True)
    assert first == second
    assert any("FAULT" in line for line in first.log)


def test_the_command_simulates_trainings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(command, "BATCH", 2)
    assert main(["--training", "--seeds", "10", "--workers", "2"]) == 0
    out = capsys.readouterr().out
    assert "10 seeds: " in out
    assert "a member that went back to its own copy" in out
    MUTANTS["members do not go back"][0](monkeypatch)
    assert main(["--training", "--seeds", "5", "--workers", "1"]) == 1
    assert "--training --seed" in capsys.readouterr().out
