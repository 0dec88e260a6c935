"""Fit sets of the device catalogue to published latencies, and judge all on networks that no fit saw.

    python benchmarks/fit_devices.py

Figures: NVIDIA-AI-IOT/torch2trt (AGX Xavier and Nano, frames per second, FP16 TensorRT), a TensorRT profile of
GoogLeNet on an AGX Xavier (ismetdagli/HaX-CoNN, sum of its kernels), the TVM wiki (Raspberry Pi 3B), and profiles of
PyTorch at FP32 on a Nano, an AGX Xavier and a Raspberry Pi whose first source is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from device_networks import kernels_of
from scipy.optimize import least_squares

from splitgym.profiling.devices import Coefficients, Device, get_device
from splitgym.profiling.latency import kernel_seconds

TENSORRT_XAVIER_FPS = {"alexnet": 580, "resnet18": 712, "resnet34": 393, "resnet50": 312, "resnet101": 170,
                       "resnet152": 121, "vgg11": 201, "vgg13": 166, "vgg16": 139, "vgg19": 121,
                       "mobilenet_v2": 723, "squeezenet1.0": 890, "squeezenet1.1": 1390}  # fmt: skip
XAVIER_MS = {**{name: 1e3 / fps for name, fps in TENSORRT_XAVIER_FPS.items()}, "googlenet": 1.80}
NANO_MS = {"squeezenet1.0": 1e3 / 137, "squeezenet1.1": 1e3 / 248}
PI_TVM_MS = {"inception_v3": 2074.2, "mobilenet_v2": 104.8, "squeezenet1.0": 185.1, "squeezenet1.1": 94.0}
NANO_FP32_MS = {"resnet50 at 800": 991.0, "yolov4 at 608": 1129.0}
XAVIER_FP32_MS = {"resnet50 at 800": 173.0, "yolov4 at 608": 195.0}
PI_PYTORCH_MS = {"vgg16": 13170.0, "resnet18": 1669.0, "alexnet": 849.0, "resnet50": 5417.0, "inception_v3": 5577.0,
                 "mobilenet_v2": 1197.0}  # fmt: skip
PI_BATCH = 8


@dataclass(frozen=True)
class Plan:
    """What to fit: which coefficients of which device, to which of some figures; the others judge.

    Args:
        name: of the set in the catalogue.
        base: the device, with what is not fitted.
        free: names of coefficients, the bounds that they may not leave.
        published_ms: by network.
        fitted: the networks to fit to.
        batch: images at once.
    """

    name: str
    base: Device
    free: Mapping[str, tuple[float, float]]
    published_ms: Mapping[str, float]
    fitted: Sequence[str]
    batch: int = 1


def modelled_ms(device: Device, network: str, batch: int = 1) -> float:
    """Milliseconds that a device takes for a network."""
    return 1e3 * sum(float(kernel_seconds(device, k, k.out_shape.height, batch)) for k in kernels_of(network))


def fit(plan: Plan) -> Device:
    """The device with its free coefficients, by least squares over the logarithms of both."""

    def device(logs: np.ndarray) -> Device:
        found = {name: float(value) for name, value in zip(plan.free, np.exp(logs), strict=True)}
        return replace(plan.base, tiled=replace(plan.base.tiled, **found))

    def errors(logs: np.ndarray) -> np.ndarray:
        at = device(logs)
        return np.log([modelled_ms(at, name, plan.batch) / plan.published_ms[name] for name in plan.fitted])

    low, high = np.log(np.array(list(plan.free.values()))).T
    start = np.log([getattr(plan.base.tiled, name) for name in plan.free])
    return device(least_squares(errors, np.clip(start, low + 1e-3, high - 1e-3), bounds=(low, high)).x)


def errors_pct(device: Device, published_ms: Mapping[str, float], batch: int = 1) -> dict[str, float]:
    return {name: 100 * (modelled_ms(device, name, batch) / ms - 1) for name, ms in published_ms.items()}


def show(title: str, device: Device, errors: Mapping[str, float], fitted: Sequence[str] = ()) -> None:
    c: Coefficients = device.tiled
    floors = f"t0 {1e6 * c.t0_s:.4f} us, light {1e6 * c.light_t0_s:.4f} us"
    print(f"{title}: {floors}, e_c {c.e_c:.4f}, e_m {c.e_m:.4f}, winograd {c.winograd_gain:.4f}")
    if fitted:
        off = [abs(errors[name]) for name in fitted]
        print(f"  fitted to {len(off)}: {np.mean(off):.1f} % mean, {np.max(off):.1f} % max")
    kinds: list[tuple[str, Callable[[str], bool]]] = [
        ("fitted", fitted.__contains__),
        ("checked", lambda n: n not in fitted),
    ]
    for kind, belongs in kinds:
        if told := ", ".join(f"{name} {error:+.1f} %" for name, error in errors.items() if belongs(name)):
            print(f"  {kind}: {told}")


def fp32(name: str, peak_gflops: float) -> Device:
    """An FP16 PyTorch set at the board's FP32 rate; four bytes a value, without tensor cores."""
    return replace(get_device(name), peak_flops=peak_gflops * 1e9, value_bytes=4, channel_pad=4, k_pad=16)


def plans() -> list[Plan]:
    rate = {"e_c": (0.05, 1.0)}
    floors = {"t0_s": (1e-6, 2e-4), "light_t0_s": (1e-6, 2e-4), **rate, "e_m": (0.05, 0.95)}
    pi = replace(get_device("pi3"), unfused=True)  # norm and activation are kernels of their own under PyTorch
    seen = [name for name in XAVIER_MS if "net1." not in name and name != "googlenet"]
    return [
        Plan("xavier-light", get_device("xavier"), floors, XAVIER_MS, seen),
        Plan("nano-pytorch-fp32", fp32("nano-pytorch", 235.9), rate, NANO_FP32_MS, ["resnet50 at 800"]),
        Plan("xavier-pytorch-fp32", fp32("xavier-pytorch", 1410.0), rate, XAVIER_FP32_MS, ["resnet50 at 800"]),
        Plan(
            "pi3-pytorch",
            pi,
            {**rate, "winograd_gain": (1.0, 4.0)},
            PI_PYTORCH_MS,
            ["vgg16", "resnet18", "alexnet"],
            PI_BATCH,
        ),
    ]


def main() -> None:
    for name, published in (("xavier", XAVIER_MS), ("nano", NANO_MS), ("pi3", PI_TVM_MS)):
        seen = list(XAVIER_MS)[:10] if name == "xavier" else ()
        show(f"{name} as it is", get_device(name), errors_pct(get_device(name), published), seen)
    for plan in plans():
        show(f"{plan.name} before", plan.base, errors_pct(plan.base, plan.published_ms, plan.batch))
        found = fit(plan)
        show(plan.name, found, errors_pct(found, plan.published_ms, plan.batch), plan.fitted)


if __name__ == "__main__":
    main()
