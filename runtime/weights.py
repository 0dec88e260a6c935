"""A network's weights in a store, and back: one blob a step, made once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..models.lookup import get_model, runnable
from ..models.own.names import is_own
from ..ui.files import write_text
from .blobs import BlobStore, put_model
from .compute import Network

if TYPE_CHECKING:
    from ..models.runnable.units import TorchModel


def store_weights(store: BlobStore, name: str) -> tuple[str, ...]:
    """Have a network's weights in a store; returns the digests of its steps.

    The random weights of a zoo model are always the same, so they are made once and then found by its fingerprint.

    Raises:
        InputError: no such network, or it cannot be read in.
    """
    if is_own(name):
        return put_model(store, runnable(name))
    index = store.folder / f"{get_model(name).fingerprint}.json"
    if index.is_file():
        digests = tuple(json.loads(index.read_text(encoding="utf-8")))
        if all(map(store.has, digests)):
            return digests
    digests = put_model(store, runnable(name))
    write_text(index, json.dumps(digests) + "\n")
    return digests


def load_whole(store: BlobStore, name: str, digests: tuple[str, ...]) -> TorchModel:
    """The unsplit network with weights of a store.

    Raises:
        InputError: weights are missing or do not fit.
    """
    return Network(get_model(name), store, digests).with_steps(set(range(len(digests))))
