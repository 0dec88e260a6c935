"""Fit what L2S's paper does not print of its machines, and judge it on figures that the fit did not see.

    python benchmarks/fit_l2s.py

The TX2 under PyTorch: delays up to a cut that L2S's first author measured and published with Autodidactic
Neurosurgeon (letian-zhang/ANS, models/vgg16FrontEndDelay.pkl and yoloFrontEndDelay.pkl, batch 1). Three parameters
of the latency model are shared by both networks; VGG-16's delays also hold the copy of what crosses the cut, and
both begin with a time of their own. Each network is then predicted from the other.

The backward pass: forward and backward at batch 16 on Pascal cards; one factor on the catalogue's published factors.
The update is counted, not fitted: see ``UPDATE_BYTES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from device_networks import resnet, tiny_yolo
from scipy.optimize import least_squares

from splitgym.models.chain import Kernel
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.zoo.classifiers import bottleneck
from splitgym.profiling.devices import Device, get_device
from splitgym.profiling.latency import kernel_seconds
from splitgym.profiling.training import modelled_profile

# Milliseconds up to VGG-16's points 1..22 but for 19 (a flatten): conv1_1, conv1_2, pool1, conv2_1, ..., fc3.
VGG16_MS = (148.2, 178.6, 150.0, 182.2, 215.8, 205.2, 228.8, 243.9, 264.5, 271.1, 306.3, 310.1, 346.7, 351.2, 373.6,
            380.2, 403.1, 406.6, 466.1, 483.9, 486.9)  # fmt: skip
# Up to the activation or pool behind each convolution of Tiny YOLOv2 at 416 x 416.
TINY_YOLO_MS = (24.7, 29.8, 40.1, 43.4, 50.5, 51.3, 56.6, 57.2, 61.3, 61.2, 65.8, 66.3, 82.5, 114.9, 116.4)

# Plain SGD kernel by kernel, as PyTorch ran it before it fused them: gradients are zeroed (4 bytes a parameter), the
# new ones added (two reads, a write), the step added to the weights (two reads, a write).
UPDATE_BYTES = 4 + 12 + 12

# (forward, forward and backward) ms at batch 16: jcjohnson/cnn-benchmarks (GTX 1080 and TITAN X, Torch, cuDNN 5) and
# u39kun/deep-learning-benchmark (PyTorch). Those of the GTX 1080 and 1080 Ti are fitted.
BATCH16_MS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("GTX 1080", "alexnet"): (7.36, 23.18),
    ("GTX 1080", "vgg16"): (66.56, 232.55),
    ("GTX 1080", "resnet34"): (24.83, 79.70),
    ("GTX 1080 Ti", "vgg16"): (39.3, 131.9),
    ("GTX 1080 Ti", "resnet152"): (57.8, 206.4),
    ("TITAN X", "alexnet"): (7.02, 23.71),
    ("TITAN X", "vgg16"): (76.15, 262.42),
    ("TITAN X", "resnet34"): (28.72, 91.94),
    ("RTX 2080 Ti", "vgg16"): (28.0, 95.5),
    ("RTX 2080 Ti", "resnet152"): (41.8, 142.5),
}
PASCAL = ("GTX 1080", "GTX 1080 Ti")


@dataclass(frozen=True)
class Board:
    """The TX2 as measured: three parameters of the latency model, and how fast tensors leave the GPU."""

    t0_s: float
    e_c: float
    e_m: float
    copy_ms_per_mb: float = 0.0

    def device(self) -> Device:
        base = get_device("tx2-pytorch")
        tiled = replace(base.tiled, t0_s=self.t0_s, light_t0_s=self.t0_s, e_c=self.e_c, e_m=self.e_m)
        return replace(base, tiled=tiled)

    def ms(self, kernels: tuple[Kernel, ...]) -> np.ndarray:
        """(kernels,) running milliseconds at batch 1, without the time that a measurement begins with."""
        on = self.device()
        each = [1e3 * float(kernel_seconds(on, k, k.out_shape.height)) for k in kernels]
        crossing_mb = np.array([4e-6 * k.out_shape.elements for k in kernels])
        return np.cumsum(each) + self.copy_ms_per_mb * crossing_mb


Residuals = Callable[[Board], np.ndarray]


def residuals(network: Model, measured: tuple[float, ...], copies: bool) -> Residuals:
    """(points,) modelled less measured as shares of the whole network's time; the first time of all is taken out."""
    given = np.array(measured)

    def of(board: Board) -> np.ndarray:
        told = (board if copies else replace(board, copy_ms_per_mb=0.0)).ms(network.kernels) - given
        return (told - told.mean()) / given[-1]

    return of


def fit_board(parts: list[Residuals], start: Board) -> Board:
    """The board that all parts agree with best, by least squares over the logarithms of its parameters."""

    def board(logs: np.ndarray) -> Board:
        return Board(*np.exp(logs))

    first = np.log([start.t0_s, start.e_c, start.e_m, start.copy_ms_per_mb])
    weak = 1e-4  # what a network alone does not show stays where it was
    found = least_squares(
        lambda logs: np.concatenate([*(part(board(logs)) for part in parts), weak * (logs - first)]), first
    )
    return board(found.x)


def backward_ratio(network: Model) -> float:
    """Modelled time of backward over forward at batch 16, with the published factors as they are."""
    forward, backward = modelled_profile(network, "gtx1080ti", (16,)).at(16)
    return float(backward.sum() / forward.sum())


def show_board(board: Board) -> None:
    at = f"t0 {1e6 * board.t0_s:.1f} us, e_c {board.e_c:.4f}, e_m {board.e_m:.4f}"
    print(f"{at}, {board.copy_ms_per_mb:.2f} ms/MB copied ({1.0 / board.copy_ms_per_mb:.2f} GB/s)")


def show_errors(name: str, part: Residuals, board: Board, whole_ms: float) -> None:
    off = 100 * np.abs(part(board))
    rms_ms = whole_ms * float(np.sqrt(np.mean(part(board) ** 2)))
    print(f"  {name}: {rms_ms:.1f} ms rms, mean {off.mean():.1f} %, most {off.max():.1f} % of {whole_ms:g} ms")


def main() -> None:
    vgg16, yolo = get_model("vgg16"), tiny_yolo()
    parts = {
        "VGG-16, 21 delays": (residuals(vgg16, VGG16_MS, copies=True), VGG16_MS[-1]),
        "Tiny YOLOv2, 15 delays": (residuals(yolo, TINY_YOLO_MS, copies=False), TINY_YOLO_MS[-1]),
    }
    old = get_device("tx2-pytorch").tiled
    start = Board(old.t0_s, old.e_c, old.e_m, 3.0)
    print("tx2-pytorch as derived from the Nano's FP16 figures")
    for name, (part, whole_ms) in parts.items():
        show_errors(name, part, start, whole_ms)
    both = fit_board([part for part, _ in parts.values()], start)
    print("fitted to both networks (tx2-pytorch-measured)")
    show_board(both)
    for name, (part, whole_ms) in parts.items():
        show_errors(name, part, both, whole_ms)
    for name, (part, _) in parts.items():
        alone = fit_board([part], start)
        print(f"fitted to {name} alone, judged on the other")
        show_board(alone)
        for other, (judge, whole_ms) in parts.items():
            if other != name:
                show_errors(other, judge, alone, whole_ms)
    networks = {name: get_model(name) for name in ("alexnet", "vgg16", "resnet34")} | {
        "resnet152": resnet("resnet152", (3, 8, 36, 3), bottleneck)
    }
    modelled = {name: backward_ratio(network) for name, network in networks.items()}
    published = {key: both_ms / forward_ms - 1.0 for key, (forward_ms, both_ms) in BATCH16_MS.items()}
    logs = [np.log(ratio / modelled[name]) for (card, name), ratio in published.items() if card in PASCAL]
    factor = float(np.exp(np.mean(logs)))
    print(f"backward over forward: {factor:.3f} times the published factors")
    for (card, name), ratio in published.items():
        kind = "fitted" if card in PASCAL else "checked"
        told = factor * modelled[name]
        print(f"  {card:11s} {name:9s} {ratio:.2f} published, {told:.2f} ({100 * (told / ratio - 1):+.0f} %), {kind}")
    print(f"update: {UPDATE_BYTES} bytes a parameter, counted")


if __name__ == "__main__":
    main()
