"""How kernels are compiled: by Numba, at their first call, and kept for later processes.

Modules of kernels are imported only where they are used: Numba takes longer to import than all the rest. A kernel that
is kept is compiled anew where its own file changes, not where another's does: touch it after a change to what it
imports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

OPTIONS = {"nogil": True, "error_model": "numpy"}  # division as NumPy's, no operations in another order
part: Any = njit(**OPTIONS)  # of kernels of its file, and kept with them


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled function, kept beside its file or among the user's caches where either can be written to."""
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # neither can
        return part(function)
