"""Deprune's inputs: what its paper implies, what devices of that kind do, what recordings were trained with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from splitgym.envs.deprune.curves import RECORDED, load_curves
from splitgym.envs.deprune.paper import INFERRED, PAPER, WIFI
from splitgym.envs.deprune.scenarios import DEFAULT_SCENARIO, SCENARIOS, Scenario, get_scenario
from splitgym.envs.scenarios import INPUTS
from splitgym.experiments.deprune.claims.runs import TESTBEDS

from ... import script
from .episodes import make


def test_named_scenarios_have_the_papers_inputs_unless_devices_are_asked_for() -> None:
    paper, devices = (get_scenario(DEFAULT_SCENARIO, inputs=inputs) for inputs in INPUTS)
    assert paper == SCENARIOS[DEFAULT_SCENARIO]
    assert all(scenario.inputs == "paper" for scenario in SCENARIOS.values())
    assert (paper.dense, paper.mbps, devices.dense, devices.mbps) == (True, 10_000.0, False, 100.0)
    own = Scenario("own", "vgg11_32_half", 5)
    for name in PAPER:
        assert getattr(paper, name) == PAPER[name]
        assert getattr(devices, name) == getattr(own, name)
    assert paper.provenance
    assert not devices.provenance
    assert make(inputs="paper").dynamics.provenance[0] == INFERRED.label()
    wifi = get_scenario("vgg11-cifar10-wifi8")
    assert {name: getattr(wifi, name) for name in WIFI} == WIFI
    assert get_scenario("vgg11-cifar10-wifi8", inputs="devices") == replace(devices, name=wifi.name, clients=8)


def test_the_papers_inputs_give_its_testbeds_bytes_and_times() -> None:
    fit = script("benchmarks/fit_deprune.py")
    for bed in TESTBEDS:
        assert bed.bytes_gain() == pytest.approx(bed.fewer_bytes, rel=0.01)
    assert PAPER["overhead_bytes"] == pytest.approx(fit.fitted_bytes(), rel=0.02)
    assert PAPER["overhead_s"] == pytest.approx(fit.fitted_seconds(PAPER["mbps"]), rel=0.02)
    wifi, ethernet = TESTBEDS
    assert ethernet.time_gain() == pytest.approx(1.7, rel=0.01)
    assert wifi.time_gain() == pytest.approx(2.5, rel=0.15)  # nothing was fitted to it
    assert wifi.time_gain(dense=False) > 4.0


def test_what_a_recording_was_trained_with_stays_with_its_name() -> None:
    for name, curves in load_curves().items():
        for inputs in INPUTS:
            scenario, trained = get_scenario(name, inputs=inputs), curves.provenance["settings"]
            assert scenario.curves == name
            assert all(getattr(scenario, field) == trained[field] for field in RECORDED)


def test_a_file_asks_for_the_papers_inputs_and_keeps_what_it_gives(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: vgg11_32\nlayer: 5\ninputs: paper\nmask: soft\n")
    scenario = get_scenario(str(file))
    assert (scenario.mask, scenario.decay, scenario.overhead_bytes) == ("soft", 0.92, PAPER["overhead_bytes"])
    assert get_scenario(str(file), inputs="devices") == Scenario("mine", "vgg11_32", 5, mask="soft")
