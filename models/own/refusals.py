"""Why a network, or a node of it, cannot be read: one line that names the node, its operator and what can be done."""

from __future__ import annotations

from collections.abc import Container

from ...ui.errors import InputError

BROKEN = "onnx.checker.check_model(path, full_check=True) says whether the file is whole; if not, export it again"
# Read by no layer: scales that depend on the image, products of whole numbers.
WHOLE_NUMBERS = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")


class OpenSizes(InputError):
    """A file leaves the sizes of its image open, and none are given."""


class OtherSizes(InputError):
    """The sizes that are given for an image are not those of the file."""


class NodeRefused(InputError):
    """A node cannot be read.

    Attributes:
        why: without the node and what can be done.
    """

    def __init__(self, source: str, node: str, operator: str, why: str, advice: str) -> None:
        super().__init__(f"{source}: node {node} ({operator}) cannot be imported: {why}; {advice}")
        self.why = why


def is_of_whole_numbers(operator: str) -> bool:
    """Whether an operator, of whatever domain, computes with whole numbers."""
    name = operator.rpartition(".")[2]
    return name in WHOLE_NUMBERS or name.startswith(("QLinear", "DynamicQuantize", "QGemm", "QAttention"))


def advice(operator: str, inputs: list[str], constants: Container[str]) -> str:
    """What a user can do about a node that is not read."""
    before = next((tensor for tensor in inputs if tensor and tensor not in constants), "")
    up_to = f"--output {before} reads the network up to there" if before else "choose other outputs with --output"
    if is_of_whole_numbers(operator):
        return (
            "export the network in float, or quantise it with QuantizeLinear and DequantizeLinear (QDQ) around float "
            f"operators; {up_to}"
        )
    if "." in operator:
        return f"export it with ONNX's own operators (an optimiser may have put this one in); {up_to}"
    return up_to
