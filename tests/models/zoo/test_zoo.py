"""The zoo agrees with published counts, and with an independent count over real torch modules."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from splitgym.models.blocks import Block
from splitgym.models.chain import MAIN
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.runnable.units import TorchModel, build
from splitgym.models.zoo.catalogue import MODELS

from ... import refused, slow

# Published multiply-accumulates (1e9) and parameters (1e6); None where no exact figure is known.
PUBLISHED: dict[str, tuple[float | None, float | None]] = {
    "alexnet": (0.714, 61.1),
    "alexnet_2012": (0.724, 60.97),  # Netscope's of Caffe's
    "alexnet_64": (0.0582, 21.1),  # counted by hand
    "vgg11": (7.61, 132.9),
    "vgg16": (15.47, 138.3),
    "vgg19": (19.63, 143.7),
    "vgg16_32": (0.313, 15.0),
    "vgg11_32": (0.153, 9.2),
    "vgg11_32_half": (0.0386, 2.31),  # counted by hand
    "vgg11_32_quarter": (0.00988, 0.578),  # counted by hand
    "resnet34": (3.66, 21.8),
    "resnet50": (4.09, 25.5),
    "inception_v3": (5.71, 23.8),
    "googlenet": (1.58, 7.0),  # with 5x5 branches and one classifier
    "yolov2": (14.73, 50.9),
    "ssd_vgg16": (34.36, 34.3),
    "openpose": (135.9, 52.3),
    "lenet5": (0.00065, 0.062),
    "ssd_resnet50": (None, None),
    "voxelnet": (None, None),  # only its region proposal network, below
    "resnet34_32": (None, None),
    "resnet50_32": (1.30, 23.5),  # the usual ResNet-50 for CIFAR-10
    "resnet50_32_pool": (None, 23.5),
    "vgg16_text": (None, None),
    "resnet50_speech": (None, None),
    "resnet50_speech_pool": (None, None),
}


def test_every_model_is_in_the_table() -> None:
    assert set(PUBLISHED) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_macs_and_parameters_are_the_published_ones(name: str) -> None:
    model = get_model(name)
    gmacs, mparams = PUBLISHED[name]
    if gmacs is not None:
        assert model.macs / 1e9 == pytest.approx(gmacs, rel=0.01)
    if mparams is not None:
        assert model.params / 1e6 == pytest.approx(mparams, rel=0.01)


def test_voxelnet_region_proposal_network_is_the_published_one() -> None:
    """35.7 GMAC and 4.7 M parameters count the three convolution blocks, without upsampling and heads."""
    kernels = [k for k in get_model("voxelnet").kernels if k.name.startswith("rpn")]
    assert sum(k.layer.macs(k.in_shape) for k in kernels) / 1e9 == pytest.approx(35.7, rel=0.01)
    assert sum(k.layer.params(k.in_shape) for k in kernels) / 1e6 == pytest.approx(4.7, rel=0.01)


ANOTHER_SIZE = ("vgg19", "vgg11_32", "resnet34_32", "resnet50_32", "resnet50_32_pool", "resnet50_speech",
                "resnet50_speech_pool", "vgg16_text", "ssd_resnet50")  # fmt: skip
NETWORKS = [*(name for name in MODELS if name not in ANOTHER_SIZE), *slow(*ANOTHER_SIZE)]


@cache
def meta(name: str) -> TorchModel:
    return build(get_model(name), device="meta")


def empty_image(model: Model) -> Tensor:
    return torch.empty(1, model.input.folded_channels, model.input.height, model.input.width, device="meta")


def count_macs(torch_model: TorchModel) -> int:
    """Multiply-accumulates from the tensors that real torch modules see and the sizes of their weights."""
    total = 0

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)
        if isinstance(module, nn.ConvTranspose2d):
            total += inputs[0][0, 0].numel() * weight.numel()
        elif isinstance(module, nn.Linear):
            total += weight.numel()
        else:
            total += output[0].numel() * weight[0].numel()

    kinds = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.Linear
    hooks = [m.register_forward_hook(hook) for m in torch_model.modules() if isinstance(m, kinds)]
    torch_model(empty_image(torch_model.model))
    for handle in hooks:
        handle.remove()
    return total


@pytest.mark.parametrize("name", NETWORKS)
def test_an_independent_count_over_torch_modules_agrees(name: str) -> None:
    model, torch_model = get_model(name), meta(name)
    assert sum(p.numel() for p in torch_model.parameters()) == model.params
    assert count_macs(torch_model) == model.macs


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shapes_at_every_boundary_are_those_of_torch(name: str) -> None:
    model, torch_model = get_model(name), meta(name)
    tensors, heads = {MAIN: empty_image(model)}, []
    for i in range(len(model.units)):
        tensors, more = torch_model[i : i + 1](tensors)
        heads += more
        assert tuple(tensors) == model.crossing(i + 1)
        for tensor_name, tensor in tensors.items():
            shape = model.tensor_shape(tensor_name, i + 1)
            assert tuple(tensor.shape) == (1, shape.folded_channels, shape.height, shape.width)
            assert model.row_bytes(tensor_name, i + 1, 2) == 2 * tensor[0, :, 0].numel()
    assert len(heads) == sum(bool(u.head) for u in model.units)


def test_vgg16_has_eighteen_units_and_three_tail_layers() -> None:
    model = get_model("vgg16")
    expected = [
        name
        for stage, count in enumerate((2, 2, 3, 3, 3), start=1)
        for name in [*(f"conv{stage}_{i + 1}" for i in range(count)), f"pool{stage}"]
    ]
    assert len(expected) == 18
    assert [u.name for u in model.units] == expected
    assert len(model.tail) == 3
    assert [k.name for k in model.kernels[:2]] == ["conv1_1", "conv1_2"]


@pytest.mark.parametrize("name", MODELS)
def test_names_are_unique(name: str) -> None:
    """Tables and plans refer to kernels and units by name."""
    model = get_model(name)
    assert len({k.name for k in model.kernels}) == len(model.kernels)
    assert len({u.name for u in model.units}) == len(model.units)


@pytest.mark.parametrize(
    ("name", "unit", "window", "stride"),
    [
        ("resnet34", "conv2_1", 5, 1),
        ("resnet34", "conv3_1", 7, 2),
        ("resnet50", "conv2_1", 3, 1),
        ("resnet50", "conv3_1", 3, 2),
        ("inception_v3", "mixed5b", 5, 1),
        ("inception_v3", "mixed6a", 5, 2),
        ("inception_v3", "mixed6b", 13, 1),
        ("inception_v3", "mixed7a", 9, 2),
        ("inception_v3", "mixed7b", 5, 1),
        ("ssd_vgg16", "fc6", 13, 1),
        ("openpose", "stage2_1", 7, 1),
    ],
)
def test_effective_window_of_blocks(name: str, unit: str, window: int, stride: int) -> None:
    """A block reads, in height, like one layer of the largest window among its branches."""
    model = get_model(name)
    index = next(i for i, u in enumerate(model.units) if u.name == unit)
    volume = model.volume(index, index + 1)
    row = volume.height // 2  # in the middle nothing is clipped
    lo, hi = volume.need_lo[0], volume.need_hi[0]
    assert hi[row + 1] - lo[row] == window
    assert lo[row + 1] - lo[row] == stride


def test_resnets_have_sixteen_blocks() -> None:
    for name in ("resnet34", "resnet50", "resnet34_32", "resnet50_32", "resnet50_32_pool", "resnet50_speech"):
        blocks = [u for u in get_model(name).units if isinstance(u.layers[0], Block)]
        assert len(blocks) == 16


def test_yolov2_carries_the_passthrough_over_the_last_pool() -> None:
    model = get_model("yolov2")
    names = [u.name for u in model.units]
    assert sum(type(k.layer).__name__ == "Conv" for k in model.kernels) == 23
    carrying = [names[i] for i in range(len(names)) if "conv13" in model.crossing(i)]
    assert carrying == ["conv14", "conv15", "conv16", "conv17", "conv18", "conv19", "conv20", "conv22"]
    assert model.joined_shapes[names.index("conv22")].channels == 1280
    assert model.row_bytes("conv13", names.index("conv14"), 2) == 2 * 512 * 26


@pytest.mark.parametrize("name", ["ssd_vgg16", "ssd_resnet50"])
def test_ssd_has_8732_default_boxes(name: str) -> None:
    _, heads = meta(name)(empty_image(get_model(name)))
    assert [head.shape[2] for head in heads] == [38, 19, 10, 5, 3, 1]
    assert sum(head[0].numel() for head in heads) == 8732 * (4 + 81)


def test_openpose_maps() -> None:
    model = get_model("openpose")
    shape = model.in_shapes[-1]
    assert (shape.channels, shape.height, shape.width) == (38 + 19, 46, 46)
    assert [model.joined_shapes[i].channels for i, u in enumerate(model.units) if u.joins] == [185] * 5


def test_voxelnet_maps_and_its_input() -> None:
    model = get_model("voxelnet")
    names = [u.name for u in model.units]
    assert model.in_shapes[names.index("rpn1_1")].folded_channels == 128
    assert model.joined_shapes[names.index("heads")].channels == 768
    assert (model.in_shapes[-1].channels, model.in_shapes[-1].height) == (16, 200)
    assert model.row_bytes(MAIN, 0, 2) == 4000
    assert get_model("vgg16").row_bytes(MAIN, 0, 2) == 224 * 3


def test_models_are_built_once_and_differ() -> None:
    assert get_model("vgg16") is get_model("vgg16")
    assert all(get_model(name).name == name for name in MODELS)
    assert len({get_model(name).fingerprint for name in MODELS}) == len(MODELS)


def test_an_unknown_model_names_the_nearest_or_where_all_are_listed() -> None:
    with refused(
        "vgg11? All of them: splitgym-train --list models", start="unknown model 'vgg61'; did you mean vgg16, "
    ):
        get_model("vgg61")
    own = "or your own: path.onnx, module:factory"
    with refused(own, start="unknown model 'nobody'; known: those of splitgym-train --list models; "):
        get_model("nobody")


def test_the_zoo_needs_no_torch() -> None:
    code = "from splitgym.models.lookup import get_model; get_model('openpose').macs"
    code = f"import sys; {code}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
