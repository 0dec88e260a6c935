"""What a part of a training is: weights, batch-norm statistics, and what its optimiser remembers, as named tensors.

Whatever moves a layer moves all of it: its weights, its momentum (or Adam's moments) and its batch norm's statistics.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...ui.errors import InputError
from ...ui.files import replacing

State = dict[str, Tensor]
OPTIMIZER = "@"  # parts the name of a parameter from what its optimiser remembers


def state_of(
    module: nn.Module, optimizer: torch.optim.Optimizer | None, wanted: Callable[[str], bool] = lambda name: True
) -> State:
    """A copy of the state of those parameters and statistics whose names are wanted."""
    state = {name: value.detach().clone() for name, value in module.state_dict().items() if wanted(name)}
    if optimizer is not None:
        for name, parameter in module.named_parameters():
            if wanted(name) and parameter in optimizer.state:
                for key, value in optimizer.state[parameter].items():
                    if isinstance(value, Tensor):
                        state[f"{name}{OPTIMIZER}{key}"] = value.detach().clone()
    return state


def load_state(module: nn.Module, optimizer: torch.optim.Optimizer | None, state: Mapping[str, Tensor]) -> None:
    """Put a state into its place; what it does not name stays.

    Raises:
        InputError: a name or shape is not the module's.
    """
    own = dict(module.state_dict(keep_vars=True))
    memories: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        parameter, _, key = name.partition(OPTIMIZER)
        if parameter not in own or (own[parameter].shape != value.shape and value.dim()):
            raise InputError(f"state: {name} of shape {tuple(value.shape)} is not of this network")
        if key:
            memories.setdefault(parameter, {})[key] = value.clone()
        else:
            with torch.no_grad():
                own[parameter].copy_(value)
    if optimizer is not None:
        for name in state:
            if OPTIMIZER not in name and isinstance(own[name], nn.Parameter):
                optimizer.state.pop(own[name], None)  # pyright: ignore[reportArgumentType]
                if name in memories:
                    optimizer.state[own[name]] = memories[name]


def flat(states: Mapping[str, State]) -> State:
    """The states of several members as one."""
    return {f"{who}/{name}": value for who, state in states.items() for name, value in state.items()}


def by_member(state: Mapping[str, Tensor]) -> dict[str, State]:
    """What :func:`flat` put together; a member without any tensor is not there."""
    found: dict[str, State] = {}
    for name, value in state.items():
        who, _, own = name.partition("/")
        found.setdefault(who, {})[own] = value
    return found


def save_state(path: str | os.PathLike[str], state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a state and what is to be said of it, as safetensors; whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    from safetensors.torch import save

    data = save({name: value.contiguous() for name, value in state.items()}, {"about": json.dumps(about)})
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


def read_state(path: str | os.PathLike[str], what: str) -> tuple[State, dict[str, Any]]:
    """A state from a file, and what is said of it.

    Args:
        what: it should be, for complaints.

    Raises:
        InputError: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with Path(path).open("rb"):  # says why it cannot be read
            pass
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (SafetensorError, ValueError, LookupError):
        raise InputError(f"{path}: is not {what}") from None
