"""The GPU through PyCUDA: one device, its primary context (TensorRT's own), one stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..ui.errors import InputError
from .versions import how_to_install


def load_driver() -> Any:
    """The module ``pycuda.driver``.

    Raises:
        InputError: PyCUDA is not installed, or there is no CUDA driver.
    """
    try:
        import pycuda.driver  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"PyCUDA is not available ({reason}): {how_to_install()}") from None
    return pycuda.driver


class Gpu:
    """The first GPU that CUDA shows (CUDA_VISIBLE_DEVICES chooses another).

    Attributes:
        driver: the module ``pycuda.driver``.
        name: the device's own name.
        capability: compute capability, such as 8.7.
        cuda: release of CUDA, such as 12.6.
        stream: on which everything runs.

    Raises:
        InputError: no PyCUDA, no driver, or no GPU.
    """

    def __init__(self) -> None:
        self.driver = load_driver()
        try:
            self.driver.init()
            device = self.driver.Device(0)
        except self.driver.Error as error:
            raise InputError(f"CUDA finds no GPU ({error})") from None
        self.name = device.name()
        self.capability = ".".join(map(str, device.compute_capability()))
        self.cuda = ".".join(map(str, self.driver.get_version()[:2]))
        self._context = device.retain_primary_context()
        with self.current():
            self.stream = self.driver.Stream()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current in this thread; the driver's shortage of memory becomes a :class:`MemoryError`.

        Raises:
            MemoryError: the device has not enough memory.
        """
        self._context.push()
        try:
            yield
        except self.driver.MemoryError as error:
            raise MemoryError(str(error)) from None
        finally:
            self.driver.Context.pop()
