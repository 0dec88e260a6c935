"""What quantising loses, and what crosses a cut whose members quantise."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splitgym.experiments.cut_training import CutTraining
from splitgym.experiments.hiertrain.eight_bits import sent_bytes
from splitgym.experiments.hiertrain.squeezing import SqueezingDevice, SqueezingEdge, squeezed
from splitgym.experiments.studies import Images
from splitgym.models.lookup import get_model
from splitgym.models.model import MAIN
from splitgym.runtime.training.back import Back
from splitgym.runtime.training.cut import Device
from splitgym.runtime.training.packets import Packet
from splitgym.runtime.wire_training import Backward, Forward


@given(seed=st.integers(0, 1000), bits=st.integers(1, 8), scale=st.sampled_from([1e-6, 1.0, 1e4]))
def test_no_value_moves_by_more_than_half_a_level_and_the_ends_stay(seed: int, bits: int, scale: float) -> None:
    values = scale * torch.randn(3, 40, generator=torch.Generator().manual_seed(seed))
    out = squeezed(values, bits)
    step = (values.max() - values.min()) / (2**bits - 1)
    assert float((out - values).abs().max()) <= 0.5001 * float(step)
    assert (out.min(), out.max()) == (values.min(), values.max())
    assert len(out.unique()) <= 2**bits


def test_a_tensor_of_one_value_stays() -> None:
    for value in (0.0, 3.5):
        assert torch.equal(squeezed(torch.full((2, 3), value), 8), torch.full((2, 3), value))


def test_bytes_are_those_of_the_codes_and_the_two_ends() -> None:
    assert [sent_bytes(1000, bits) for bits in (32, 8, 4, 2)] == [4000, 1008, 508, 258]


@pytest.mark.parametrize(("up", "down"), [(2, 32), (32, 2), (1, 3)])
def test_each_side_sends_as_few_values_as_its_bits_allow(up: int, down: int) -> None:
    training = _training(partial(SqueezingDevice, up), partial(SqueezingEdge, down))
    levels: dict[type, int] = {}
    for member in training._local.members.values():
        take = member.handle

        def watching(sender: str, packet: Packet, take: Any = take) -> Any:
            if isinstance(packet.header, Forward | Backward):
                levels[type(packet.header)] = len(packet.tensors[MAIN].unique())
            return take(sender, packet)

        member.handle = watching  # type: ignore[method-assign]
    training.round(0, 4, 0.01)
    for header, bits in ((Forward, up), (Backward, down)):
        assert levels[header] <= 2**bits if bits < 32 else levels[header] > 2**8


def test_labels_and_images_cross_as_they_are() -> None:
    squeezing, plain = _training(partial(SqueezingDevice, 2)), _training()
    assert squeezing.round(0, 0, 0.01) == plain.round(0, 0, 0.01)


def _training(device: Any = Device, edge: Any = Back) -> CutTraining:
    model = get_model("lenet5")
    return CutTraining(model, Images(None, model.input).load(), 0, 32, device=device, edge=edge)
