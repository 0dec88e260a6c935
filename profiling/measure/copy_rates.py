"""How fast a message is copied between a tensor in host memory and the bytes that a socket takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

SHAPE = (64, 112, 112)  # channels, rows, columns: a feature map from the middle of a network, fp16
ROWS = slice(20, 92)  # what is sent: about 1 MB, and not contiguous, as rows of all channels never are
LEAST_REPEATS = 5
EVICTED_BYTES = 64 * 2**20  # more than caches hold


def copy_rates(seconds: float) -> tuple[float, float]:
    """Payload bytes per second of the two copies that a message pays outside the network, medians.

    Out is ``tensor[:, rows].tobytes()``: rows of a tensor to a block of bytes, before the first byte can leave. In is
    ``tensor[:, rows] = block``: after the last byte came. Neither the socket's own copies, which overlap with the
    transfer and so belong to the goodput, nor copies from and to a GPU's memory are in it. What is copied has just been
    computed or received and is in the caches, where it is copied to is not.

    Args:
        seconds: how long to measure, half of it each way; each copy runs ``LEAST_REPEATS`` times at least.
    """
    rng, others = np.random.default_rng(0), np.ones(EVICTED_BYTES, dtype=np.uint8)
    tensor = rng.random(SHAPE, dtype=np.float32).astype(np.float16)
    block = tensor[:, ROWS].tobytes()
    shape = tensor[:, ROWS].shape

    def copy_in() -> None:
        tensor[:, ROWS] = np.frombuffer(block, dtype=np.float16).reshape(shape)

    def source_in_cache(source: np.ndarray) -> Callable[[], object]:
        return lambda: (others.max(), source.max())

    out_s = _median_s(lambda: tensor[:, ROWS].tobytes(), source_in_cache(tensor), seconds / 2)
    in_s = _median_s(copy_in, source_in_cache(np.frombuffer(block, dtype=np.uint8)), seconds / 2)
    return len(block) / out_s, len(block) / in_s


def _median_s(run: Callable[[], object], before: Callable[[], object], seconds: float) -> float:
    times, end_s = list[float](), time.perf_counter() + seconds
    run()  # pages in what it needs
    while len(times) < LEAST_REPEATS or time.perf_counter() < end_s:
        before()
        begin_s = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin_s)
    return median(times)
