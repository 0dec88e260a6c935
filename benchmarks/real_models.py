"""Which ONNX files below a folder are read, and why others are not.

    python benchmarks/real_models.py FOLDER [--input CxHxW] [--run] [--plan]

A file that leaves its input's size open is tried at --input, then at some usual sizes. With --run every file that is
read is run, whole and split by rows on random plans, and compared with onnxruntime; with --plan the joint search looks
for a plan on four devices (DB-50), and how long that takes is printed. A file that has no convolution over images is
counted apart: it is no image CNN.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitgym.agents.distredge.joint import JointSearch
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.models.layers import Shape
from splitgym.models.own.names import shape_of
from splitgym.models.own.read import ImportedModel, import_onnx
from splitgym.models.own.refusals import OpenSizes, OtherSizes
from splitgym.models.runnable.units import run_split
from splitgym.ui.errors import InputError

SIZES = ("3x224x224", "3x320x320", "3x640x640", "3x48x320", "1x28x28", "1x224x224")
KINDS = ("read", "read in part", "refused", "no image CNN")
LEAST = 0.01  # what is below it behind a sigmoid is the last digit of a large number in front of it
TOLERANCE = 1e-4  # of the largest value; files with their own weights amplify float32's last digit


@dataclass
class Outcome:
    """What became of a file: read, refused, or no image CNN."""

    path: Path
    kind: str
    words: str


def is_image_cnn(path: Path) -> bool:
    """Whether a file has one input of four axes, and a two-dimensional convolution."""
    import onnx

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception:  # whatever a file's content makes protobuf raise
        return False
    weights = {tensor.name for tensor in graph.initializer}
    images = [v for v in graph.input if v.name not in weights and len(v.type.tensor_type.shape.dim) == 4]
    return bool(images) and any(node.op_type in ("Conv", "QLinearConv", "ConvInteger") for node in graph.node)


def read(path: Path, size: Shape | None) -> tuple[ImportedModel, str]:
    """The network and the size it was read at.

    Raises:
        InputError: it is refused at every size that was tried; the first reason that is not about sizes.
    """
    try:
        return import_onnx(path), ""
    except OpenSizes as error:
        first: InputError = error
    for text in [size] if size is not None else [shape_of(text, text) for text in SIZES]:
        try:
            return import_onnx(path, text), f" at {text.channels}x{text.height}x{text.width}"
        except OtherSizes:
            continue
        except InputError as error:
            first = error
    raise first


def compared(path: Path, imported: ImportedModel) -> str:
    """How far its outputs are from onnxruntime's, whole and split, of the largest value."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    shape = imported.model.input
    x = torch.rand(1, shape.channels, shape.height, shape.width, generator=torch.Generator().manual_seed(0))
    image = (
        x.numpy()
        if given.shape[-1] != shape.channels or given.shape[1] == shape.channels
        else x.numpy().transpose(0, 2, 3, 1)
    )
    wanted = dict(zip([o.name for o in session.get_outputs()], session.run(None, {given.name: image}), strict=True))
    torch_model = imported.build()
    errors = []
    with torch.inference_mode():
        for main, heads in (torch_model(x), run_split(torch_model, x, *_random_plan(imported))):
            for name, found in imported.named(main, heads).items():
                if name in wanted:
                    other = np.asarray(wanted[name], dtype=np.float32)
                    scale = max(float(np.abs(other).max()), LEAST)
                    errors.append(float(np.abs(found.numpy() - other).max()) / scale)
    worst = max(errors, default=float("nan"))
    return f"{'' if worst <= TOLERANCE else 'FAR OFF, '}{worst:.1e} from onnxruntime"


def _random_plan(imported: ImportedModel) -> tuple[list[int], list[list[int]]]:
    rng, model = np.random.default_rng(0), imported.model
    count = len(model.units)
    stops = sorted({*rng.integers(1, count + 1, 3).tolist(), count})
    heights = [model.out_shape(stop - 1).height for stop in stops]
    return stops, [[0, *sorted(rng.integers(0, height + 1, 2).tolist()), height] for height in heights]


def planned(imported: ImportedModel) -> str:
    """How long the joint search takes on four devices, and what comes out."""
    system, begun_s = System(get_scenario("DB-50"), imported.model), time.monotonic()
    _, latency_s = JointSearch(system).search()
    taken_s = time.monotonic() - begun_s
    return f"joint in {taken_s:.1f} s: {latency_s * 1e3:.0f} ms, offloading {system.reference_s * 1e3:.0f} ms"


def outcome_of(path: Path, size: Shape | None, run: bool, plan: bool) -> Outcome:
    begun_s = time.monotonic()
    try:
        imported, at = read(path, size)
    except InputError as error:
        why = str(error).removeprefix(f"{path}: ")
        return Outcome(path, "refused" if is_image_cnn(path) else "no image CNN", why)
    model = imported.model
    words = f"{len(model.units)} units, {model.macs / 1e6:.0f} M MACs{at}, {time.monotonic() - begun_s:.1f} s"
    part = next((note for note in imported.notes if "read up to" in note), "")
    words = f"{words}{', ' * bool(part)}{part}" + (f", {compared(path, imported)}" if run else "")
    words += f", {planned(imported)}" if plan else ""
    return Outcome(path, "read in part" if part else "read", words)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--input", metavar="CxHxW", help="size of inputs that files leave open")
    parser.add_argument("--run", action="store_true", help="run what is read, and compare it with onnxruntime")
    parser.add_argument(
        "--plan", action="store_true", help="plan what is read on four devices, and say how long that takes"
    )
    args = parser.parse_args()
    try:
        size: Any = shape_of(args.input, "--input") if args.input else None
        if not args.folder.is_dir():
            raise InputError(f"{args.folder}: no such folder")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = []
    for path in sorted(args.folder.rglob("*.onnx")):
        found.append(outcome_of(path, size, args.run, args.plan))
        print(f"{found[-1].kind:13s} {path.relative_to(args.folder)}: {found[-1].words}", flush=True)
    counts = {kind: sum(outcome.kind == kind for outcome in found) for kind in KINDS}
    images = sum(counts.values()) - counts["no image CNN"]
    part = f", {counts['read in part']} of them in part" if counts["read in part"] else ""
    read = counts["read"] + counts["read in part"]
    print(f"{read} of {images} image CNNs are read{part}; {counts['no image CNN']} files are none")
    return 0


if __name__ == "__main__":
    sys.exit(main())
