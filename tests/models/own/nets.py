"""Networks as their users write them in torch: nothing of them comes from the suite. And ONNX files made by hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from splitgym.models.layers import Shape
from splitgym.models.model import Model
from splitgym.models.own.read import ImportedModel
from splitgym.models.runnable.units import TorchModel, run_split


def vgg16(size: int = 224, width: int = 64, classes: int = 1000) -> nn.Module:
    """VGG-16 as torchvision has it."""
    channels, layers = 3, list[nn.Module]()
    for multiple, depth in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width * multiple, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width * multiple
        layers.append(nn.MaxPool2d(2, 2))
    side = min(7, size // 32)
    hidden = 64 * width
    head = [nn.Linear(channels * side * side, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(side), nn.Flatten(), *head, nn.Dropout(), nn.Linear(hidden, classes)
    )


class Bottleneck(nn.Module):
    """ResNet's."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride > 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet50(nn.Module):
    """ResNet-50 (v1.5)."""

    def __init__(self, width: int = 64, classes: int = 1000, depths: Sequence[int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        blocks, channels = list[nn.Module](), width
        for stage, depth in enumerate(depths):
            for block in range(depth):
                blocks.append(Bottleneck(channels, width << stage, 2 if stage and not block else 1))
                channels = 4 * (width << stage)
        self.blocks = nn.Sequential(*blocks)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.blocks(x)), 1))


def conv_norm(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: Any = nn.ReLU
) -> nn.Module:
    """Convolution, batch norm, activation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, eps=1e-3), act())


class Inception(nn.Module):
    """GoogLeNet's module, its pool with ceil_mode."""

    def __init__(self, inputs: int, a: int, b: tuple[int, int], c: tuple[int, int], d: int) -> None:
        super().__init__()
        self.one = conv_norm(inputs, a, 1)
        self.three = nn.Sequential(conv_norm(inputs, b[0], 1), conv_norm(b[0], b[1], 3))
        self.five = nn.Sequential(conv_norm(inputs, c[0], 1), conv_norm(c[0], c[1], 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv_norm(inputs, d, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


class Fork(nn.Module):
    """Inception-v3's last kind of branch: one convolution, then two beside each other."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.stem = conv_norm(inputs, width, 1)
        self.wide = nn.Conv2d(width, width, (1, 3), padding=(0, 1))
        self.high = nn.Conv2d(width, width, (3, 1), padding=(1, 0))
        self.other = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(inputs, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        return torch.cat([self.wide(y), self.high(y), self.other(x)], 1)


def googlenet_like(classes: int = 1000) -> nn.Module:
    """A stem with ceil_mode pools, inception modules, a nested fork, dilated convolutions, a global pool."""
    return nn.Sequential(
        conv_norm(3, 32, 7, 2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        conv_norm(32, 48, 3),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Inception(48, 16, (24, 32), (4, 8), 8),
        Inception(64, 32, (32, 48), (8, 24), 16),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fork(120, 24),
        nn.Conv2d(72, 64, 3, padding=2, dilation=2),
        nn.LeakyReLU(0.2),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64, classes),
    )


class Inverted(nn.Module):
    """MobileNet-v2's block."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *([conv_norm(inputs, hidden, 1, act=nn.ReLU6)] if expand > 1 else []),
            conv_norm(hidden, hidden, 3, stride, hidden, nn.ReLU6),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


MOBILE_PLAN = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
)  # fmt: skip


class MobileNetV2(nn.Module):
    """MobileNet-v2; its head takes the mean by itself. ``plan``: expansion, channels, count, stride of its stages."""

    def __init__(
        self, classes: int = 1000, plan: Sequence[tuple[int, int, int, int]] = MOBILE_PLAN, width: int = 1280
    ) -> None:
        super().__init__()
        layers, channels = [conv_norm(3, 32, 3, 2, act=nn.ReLU6)], 32
        for expand, outputs, count, stride in plan:
            for i in range(count):
                layers.append(Inverted(channels, outputs, stride if i == 0 else 1, expand))
                channels = outputs
        self.features = nn.Sequential(*layers, conv_norm(channels, width, 1, act=nn.ReLU6))
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class DenseBlock(nn.Module):
    """DenseNet's growing maps, norms in front of convolutions."""

    def __init__(self, inputs: int, growth: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(inputs + i * growth), nn.ReLU(), nn.Conv2d(inputs + i * growth, growth, 3, padding=1)
            )
            for i in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


def scrambled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in eval mode with weights and batch-norm statistics that keep the scale of activations."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
            if part.bias is not None:
                nn.init.uniform_(part.bias, -0.1, 0.1, generator=generator)
        elif isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            if part.running_mean is not None and part.running_var is not None:
                nn.init.normal_(part.running_mean, 0.0, 0.1, generator=generator)
                nn.init.uniform_(part.running_var, 0.5, 1.5, generator=generator)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.2, generator=generator)
                nn.init.normal_(part.bias, 0.0, 0.1, generator=generator)
    return module.eval()


class Net(nn.Module):
    """A function of a map of 4 or so channels behind a 1 x 1 convolution, with modules of its own."""

    def __init__(
        self, function: Callable[[Any, Tensor], Any], channels: int = 4, inputs: int = 2, /, **parts: nn.Module
    ) -> None:
        super().__init__()
        self.function, self.stem = function, nn.Conv2d(inputs, channels, 1)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, self.stem(x))


def image(shape: Shape, seed: int = 0) -> Tensor:
    """One image, (1, channels, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, shape.channels, shape.height, shape.width, generator=generator)


def exported(module: nn.Module, path: Path, shape: Shape, dynamo: bool, **options: Any) -> Path:
    """The module as an ONNX file."""
    with warnings.catch_warnings():  # the exporters' own
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (image(shape),), path, dynamo=dynamo, verbose=False, **options)
    return path


def onnx_file(
    path: Path,
    nodes: Sequence[Any],
    sizes: Sequence[int | str | None] = (1, 2, 6, 5),
    weights: Mapping[str, np.ndarray] | None = None,
    opset: int = 18,
    types: tuple[type, type] = (np.float32, np.float32),
) -> Path:
    """An ONNX file made by hand: it reads ``x`` and gives the last node's first output.

    Args:
        path: where to.
        nodes: in order.
        sizes: of ``x``; names and None leave an axis open.
        weights: initializers by name.
        opset: version of ONNX's operators.
        types: of the input and the output.
    """
    of = [helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in types]
    given = [helper.make_tensor_value_info("x", of[0], sizes)]
    output = [helper.make_tensor_value_info(nodes[-1].output[0], of[1], None)]
    initial = [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "by_hand", given, output, initial)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def run_reference(path: Path, x: Tensor) -> Tensor:
    """What ONNX's own reference evaluator makes of the image."""
    model = onnx.load(path)
    kind = helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    (out,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x.numpy().astype(kind)})
    return torch.from_numpy(np.asarray(out, dtype=np.float32))


def run_onnxruntime(path: Path, x: Tensor) -> list[Tensor]:
    """What onnxruntime makes of the image: every output."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    kind = np.float16 if "float16" in given.type else np.float32
    values = session.run(None, {given.name: x.numpy().astype(kind)})
    return [torch.from_numpy(np.array(value, dtype=np.float32)) for value in values]


def file_macs(path: Path, x: Tensor) -> int:
    """Multiply-accumulates of a file's convolutions and products, by the sizes that onnxruntime gives their outputs."""
    model = onnx.load(path)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(node.output[0]) for node in nodes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    total = 0
    for node, value in zip(nodes, map(np.asarray, values), strict=True):
        sizes = weights[node.input[1]]
        each = np.prod(sizes[1:]) if node.op_type == "Conv" else np.prod(sizes) / value.shape[-1]
        total += int(value.size * each)
    return total


@torch.inference_mode()
def assert_equal_outputs(
    imported: ImportedModel, x: Tensor, expected: Tensor, tolerance: float = 1e-5, plans: int = 2
) -> TorchModel:
    """The chained units and tail give what is expected, relative to its largest value, whole and split by rows.

    Args:
        imported: the network.
        x: (1, channels, height, width).
        expected: the original's output.
        tolerance: largest difference over the largest value.
        plans: random cuts and fence posts to try, empty parts among them.
    """
    return assert_all_outputs(imported, x, [expected], tolerance, plans)


@torch.inference_mode()
def assert_all_outputs(
    imported: ImportedModel, x: Tensor, expected: Sequence[Tensor], tolerance: float = 1e-5, plans: int = 2
) -> TorchModel:
    """:func:`assert_equal_outputs` of several outputs, in order."""
    torch_model = imported.build()
    given = [torch_model(x)]
    given += [run_split(torch_model, x, *random_plan(imported.model, seed)) for seed in range(plans)]
    for main, heads in given:
        found = imported.named(main, heads)
        assert len(found) == len(expected), list(found)
        for actual, wanted in zip(found.values(), expected, strict=True):
            assert actual.shape == wanted.shape
            _assert_close(actual, wanted, tolerance)
    return torch_model


def _assert_close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    scale = float(expected.abs().max())
    assert 0 < scale < float("inf"), "an output like that proves nothing"
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * scale)


def random_plan(model: Model, seed: int) -> tuple[list[int], list[list[int]]]:
    """Where volumes end, and the fence posts of three parts of each, one part often empty."""
    rng, count = np.random.default_rng(seed), len(model.units)
    stops = [*sorted(rng.choice(np.arange(1, count), min(2, count - 1), replace=False).tolist()), count]
    heights = [model.out_shape(stop - 1).height for stop in stops]
    return stops, [[0, *sorted(rng.choice([0, h // 3, h // 2, h], 2).tolist()), h] for h in heights]
