"""The options that name a network, the same on every command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...ui.console import note
from ...ui.errors import InputError
from ..zoo.catalogue import MODELS
from .names import from_folder, with_input, with_outputs
from .read import notes_on


def add_model_options(group: argparse._ArgumentGroup) -> None:
    """``--model``, ``--input`` and ``--output``."""
    group.add_argument(
        "--model",
        metavar="NAME",
        help=f"the network: your own (net.onnx, or module:factory for torch), or one of {', '.join(MODELS)}",
    )
    group.add_argument(
        "--input", metavar="CxHxW", help="input size of your own network where it leaves that open, such as 3x224x224"
    )
    group.add_argument(
        "--output", metavar="NAME", nargs="+", default=[], help="those of your own network's outputs that are wanted"
    )


def model_of(args: argparse.Namespace) -> str | None:
    """The network's name as scenarios take it, files with their whole path; says how one's own was cut up.

    Raises:
        InputError: a size without a network, or a network that cannot be read in.
    """
    if args.model is None:
        if args.input is not None:
            raise InputError("--input is the size of --model's input; --model is missing")
        if args.output:
            raise InputError("--output names outputs of --model; --model is missing")
        return None
    name = from_folder(with_outputs(with_input(args.model, args.input), args.output), Path.cwd())
    tell_network(name)
    return name


def tell_network(name: str) -> None:
    """Say how a network of one's own was cut up; nothing about one of the zoo.

    Raises:
        InputError: it cannot be read in.
    """
    for line in notes_on(name):
        note(line)
