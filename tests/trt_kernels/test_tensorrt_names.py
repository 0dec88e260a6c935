"""Our use of TensorRT against its published bindings of releases 8, 10 and 11: names, arguments, what may be set.

Two sides are compared with them: our sources, and the stand-in for TensorRT that the other tests run on. Both are
skipped where the bindings are not there (``make bindings`` fetches them).
"""

from __future__ import annotations

import inspect
from enum import IntEnum

import pytest

from .. import ROOT
from . import tensorrt_bindings, tensorrt_fake, tensorrt_fake_layers, tensorrt_fake_runtime
from .tensorrt_bindings import Api, Class
from .tensorrt_names import Walk, read_sources

SOURCES = (
    *(f"trt_kernels/{name}.py" for name in
      ("activations", "engines", "execute", "graph", "layers", "networks", "versions", "weights")),
    "profiling/measure/tensorrt_profiler.py",
)  # fmt: skip
# Attributes of our own objects that classes of TensorRT have, too.
OURS = {
    "bias", "combine", "dilation", "dtype", "itemsize", "kernel", "log", "name", "padding", "precision", "shape",
    "stride", "type", "update", "value", "weights",
}  # fmt: skip

pytestmark = pytest.mark.skipif(bool(tensorrt_bindings.missing()), reason=tensorrt_bindings.missing())


@pytest.fixture(scope="module")
def apis(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Api]:
    """Every release by version."""
    folders = tensorrt_bindings.available()
    return {f.name: tensorrt_bindings.read_api(f, tmp_path_factory.mktemp("libraries")) for f in folders}


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return read_sources(ROOT, SOURCES)


def test_releases_8_10_and_11_are_compared(apis: dict[str, Api]) -> None:
    assert {version.partition(".")[0] for version in apis} == {"8", "10", "11"}
    assert all(len(api.classes) > 150 for api in apis.values())


def test_every_name_and_argument_is_there(apis: dict[str, Api], sources: dict[str, str]) -> None:
    assert [problem for api in apis.values() for problem in Walk(api).over(sources).problems] == []


def test_nothing_of_tensorrt_escapes_the_walk(apis: dict[str, Api], sources: dict[str, str]) -> None:
    for api in apis.values():
        walk = Walk(api).over(sources)
        classes = {owner for owner, _ in walk.uses} - {""}
        names = {name for owner in classes for name in api.classes[owner].names} - OURS
        assert {name: where for name, where in walk.unknown.items() if name in names} == {}


def test_the_walk_knows_branches_by_release(apis: dict[str, Api], sources: dict[str, str]) -> None:
    uses = {version: Walk(api).over(sources).uses for version, api in apis.items()}
    typed = ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED")
    assert {version for version, found in uses.items() if typed in found} == {
        version for version in apis if not version.startswith("8")
    }
    assert {version for version, found in uses.items() if ("BuilderFlag", "FP16") in found} == {"8.6.1"}
    assert all(("IConvolutionLayer", "num_groups") in found for found in uses.values())
    assert all(("IProfiler", "report_layer_time") in found for found in uses.values())


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("trt_kernels/graph.py", "add_convolution_nd", "add_convolution"),  # was in 8, is gone
        ("trt_kernels/graph.py", "num_output_maps", "num_outputs"),
        ("trt_kernels/graph.py", "keep_dims", "keepdims"),
        ("trt_kernels/graph.py", "layer.second_transpose", "layer.second_transposed"),
        ("trt_kernels/graph.py", "layer.axis", "layer.axes"),
        ("trt_kernels/graph.py", "channel_axis=CHANNELS,", ""),
        ("trt_kernels/graph.py", "ScaleMode.CHANNEL", "ScaleMode.CHANNELS"),
        ("trt_kernels/graph.py", "layer.set_input(4,", "layer.set_input(4, 0,"),
        ("trt_kernels/layers.py", "conv.num_groups", "conv.groups"),
        ("trt_kernels/layers.py", "pool.average_count_excludes_padding", "pool.average_count_excludes_pad"),
        ("trt_kernels/layers.py", "conv.pre_padding, conv.post_padding", "conv.pre_padding, conv.padding_post"),
        ("trt_kernels/layers.py", "types.AVERAGE", "types.AVG"),
        ("trt_kernels/activations.py", "ActivationType.CLIP", "ActivationType.RELU6"),
        ("trt_kernels/activations.py", "operations.SUB", "operations.SUBTRACT"),
        ("trt_kernels/networks.py", "tensor.allowed_formats", "tensor.allowed_format"),
        ("trt_kernels/networks.py", "tensor.is_network_input", "tensor.is_input"),
        ("trt_kernels/versions.py", "MemoryPoolType.WORKSPACE", "MemoryPoolType.SCRATCH"),
        ("trt_kernels/graph.py", "trt.Weights(self.dtype)", "trt.Weights(dtype=self.dtype)"),
        ("trt_kernels/graph.py", "power=", "exponent="),
        ("trt_kernels/graph.py", "SampleMode.FILL", "SliceMode.FILL"),  # was in 8, is gone
        ("trt_kernels/execute.py", "engine.num_io_tensors", "engine.num_bindings"),  # likewise
        ("trt_kernels/execute.py", "context.set_tensor_address", "context.set_address"),
        ("trt_kernels/execute.py", "execute_async_v3", "execute_async_v2"),
        ("trt_kernels/versions.py", "trt.BuilderFlag.TF32", "trt.BuilderFlag.FP16"),  # gone in 11
        ("trt_kernels/versions.py", "config.clear_flag", "config.unset_flag"),
        ("trt_kernels/engines.py", "ignore_mismatch", "ignore_mismatches"),
        ("trt_kernels/engines.py", "_runtime.deserialize_cuda_engine", "_runtime.deserialize_engine"),
        ("trt_kernels/engines.py", "config.get_timing_cache().serialize", "config.get_timing_cache().save"),
        ("trt_kernels/engines.py", "Severity.INTERNAL_ERROR", "Severity.FATAL"),
        ("trt_kernels/engines.py", "severity: Any, msg: str", "severity: Any, message: str"),
        ("trt_kernels/execute.py", "report_layer_time", "report_time"),
        ("trt_kernels/execute.py", "context.profiler", "context.layer_profiler"),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_found(apis: dict[str, Api], sources: dict[str, str], name, right, wrong) -> None:
    assert right in sources[name]
    changed = {**sources, name: sources[name].replace(right, wrong)}
    found = next((problem for api in apis.values() for problem in Walk(api).over(changed).problems), "none")
    assert found.startswith(f"{name}:")


FAKES = {**vars(tensorrt_fake_layers), **vars(tensorrt_fake), **vars(tensorrt_fake_runtime)}
BITS = {"NetworkDefinitionCreationFlag", "TensorFormat"}  # numbers matter where they are bits of a mask
# The type may be set in releases whose networks are not strongly typed; the stand-in knows that by itself.
READ_ONLY = {"dtype", "is_network_input", "is_network_output"}
ENUMS = {
    "OldFlags": ("NetworkDefinitionCreationFlag", "8"),
    "NewFlags": ("NetworkDefinitionCreationFlag", "10"),
    "TypedFlags": ("NetworkDefinitionCreationFlag", "11"),
    "TypedBuilderFlag": ("BuilderFlag", "11"),
    "BuilderFlag": ("BuilderFlag", "8 10"),
    "NewActivationType": ("ActivationType", "10 11"),
    "Severity": ("ILogger.Severity", "8 10 11"),
}


def fakes(version: str) -> dict[str, type]:
    """Classes of the stand-in that one release's are compared with, by the release's name for them."""
    classes = {name: value for name, value in FAKES.items() if isinstance(value, type) and not name.startswith("_")}
    found: dict[str, type] = {}
    for name, value in classes.items():
        real, releases = ENUMS.get(name, (name, "8 10 11"))
        if version.partition(".")[0] in releases.split():
            found[real] = value
    return found


def compare_enum(fake: type[IntEnum], real: Class, name: str) -> None:
    assert fake.__members__.keys() <= real.members.keys(), name
    if name in BITS:
        assert {n: real.members[n] for n in fake.__members__} == {m.name: int(m) for m in fake}, name


def compare_class(fake: type, real: Class, name: str) -> None:
    if fake is tensorrt_fake_layers.Weights:
        return
    for attribute in dir(fake):
        value = inspect.getattr_static(fake, attribute)
        if attribute.startswith("_") or attribute in {"copy_weights", "evaluate"}:
            continue
        where = f"{name}.{attribute}"
        assert attribute in real.names, where
        if inspect.isfunction(value):
            names = tuple(inspect.signature(value).parameters)[1:]
            fits = [s for s in real.methods[attribute] if s.names[: len(names)] == names and s.needed <= set(names)]
            assert fits, f"{where}{names}"
        elif attribute in READ_ONLY:
            assert attribute in real.properties, where
        elif inspect.ismemberdescriptor(value) or getattr(value, "fset", None):
            assert real.properties[attribute][0], f"{where} cannot be set"


def test_the_stand_in_has_the_names_and_arguments_of_the_bindings(apis: dict[str, Api]) -> None:
    compared = set()
    for version, api in apis.items():
        known = {name: fake for name, fake in fakes(version).items() if name in api.classes}
        for name, fake in known.items():
            compare = compare_enum if issubclass(fake, IntEnum) else compare_class
            compare(fake, api.classes[name], name)
        compared |= known.keys()
    assert {"INetworkDefinition", "IConvolutionLayer", "IBuilderConfig", "ICudaEngine", "ITensor"} < compared
    assert len(compared) > 35
