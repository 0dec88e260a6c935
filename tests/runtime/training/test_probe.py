"""Probing: a test model that costs as much and is another one, trained on noise, timed by the server."""

from __future__ import annotations

from itertools import count

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.models.lookup import get_model
from splitgym.runtime.training.packets import Packet, from_wire, to_wire
from splitgym.runtime.training.probe import COST_ERROR, answer, obfuscated, probe_packet
from splitgym.runtime.wire import WireError
from splitgym.runtime.wire_training import Probe, Probed
from splitgym.ui.errors import InputError

from .nets import NORMS, digits


@settings(max_examples=15)
@given(
    st.sampled_from(["vgg16_32", "resnet50_32", "resnet34_32", "vgg16_text", "resnet50_speech"]), st.integers(0, 2**32)
)
def test_the_test_model_costs_as_much_and_has_other_widths(name: str, seed: int) -> None:
    model = get_model(name)
    test = obfuscated(model, seed)
    assert abs(test.macs / model.macs - 1.0) <= COST_ERROR
    assert len(test.steps) == len(model.steps)
    assert test.fingerprint != model.fingerprint
    assert test.name != model.name
    mine, theirs = ([k.out_shape.channels for k in m.kernels] for m in (model, test))
    assert sum(a != b for a, b in zip(mine, theirs, strict=True)) > 0.7 * len(mine)
    assert test.input == model.input


def test_a_server_tells_the_mean_time_of_a_minibatch() -> None:
    ticks = count(0.0, 0.5)
    packet = from_wire(*to_wire(probe_packet(NORMS, 6, 4, seed=1, number=3)))
    header = answer(packet, lambda: next(ticks), 12).header
    assert header == Probed(0, 3, 0.5)  # four minibatches between five looks at the clock


def test_nothing_of_the_user_is_sent() -> None:
    packet = probe_packet(NORMS, 6, 4, seed=1)
    images = packet.tensors[""]
    assert not any(torch.equal(image, own) for image in images for own in digits().train_images)
    assert isinstance(packet.header, Probe)
    assert packet.header.model["name"] == "test"
    assert set(packet.tensors) == {"", "labels"}


def test_a_probe_that_does_not_fit_is_refused() -> None:
    packet = probe_packet(NORMS, 6, 1, seed=1)
    assert isinstance(packet.header, Probe)
    with pytest.raises(WireError, match="2 to 5 samples"):
        answer(packet, float, 5)
    with pytest.raises(WireError, match="due is"):
        answer(Packet(packet.header, {**packet.tensors, "": torch.zeros(6, 2, 8, 8)}), float, 6)
    with pytest.raises(InputError, match="model: is not one"):
        answer(Packet(Probe(0, 0, {"is": "Model"}, 1), packet.tensors), float, 6)
