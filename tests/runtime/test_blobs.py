"""Weights on disk: whole or not there, what their name says, never more than the quota."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splitgym.models.lookup import get_model
from splitgym.models.runnable.units import build
from splitgym.runtime.blobs import MOST_BLOB_BYTES, BlobStore, put_model
from splitgym.runtime.compute import Network
from splitgym.runtime.transport import CHUNK_BYTES
from splitgym.runtime.weights import load_whole, store_weights
from splitgym.ui.errors import InputError


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 3 * CHUNK_BYTES), st.integers(0, 2**31))
def test_a_blob_that_goes_over_in_chunks_is_the_same(tmp_path: Path, size: int, seed: int) -> None:
    data = np.random.default_rng(seed).bytes(size)
    source, target = BlobStore(tmp_path / "a"), BlobStore(tmp_path / f"b{seed}-{size}")
    digest = source.put(data)
    *first, last = source.chunks(digest)
    for offset, whole, part in first:
        assert not target.add(digest, offset, whole, part)
        assert not target.has(digest)
    assert target.add(digest, *last)
    assert target.path(digest).read_bytes() == data


def test_a_blob_that_was_cut_short_comes_again_from_its_start(tmp_path: Path) -> None:
    store, data = BlobStore(tmp_path), b"weights of a step"
    for text in (b"weights", data):
        whole = store.add(digest_of(data), 0, len(data), text)
    assert whole
    assert store.path(digest_of(data)).read_bytes() == data


def test_what_is_not_what_its_name_says_is_refused_and_can_come_again(tmp_path: Path) -> None:
    store, data = BlobStore(tmp_path), b"weights"
    with pytest.raises(InputError, match="damaged"):
        store.add(digest_of(b"others"), 0, len(data), data)
    assert not list(tmp_path.iterdir())
    assert store.add(digest_of(data), 0, len(data), data)


@pytest.mark.parametrize(
    ("offset", "size"), [(1, 7), (0, 3), (0, MOST_BLOB_BYTES + 1)], ids=["a gap", "too many bytes", "too large"]
)
def test_chunks_out_of_bounds_are_refused(offset: int, size: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights"):
        BlobStore(tmp_path).add(digest_of(b"weights"), offset, size, b"weights")


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, quota_bytes=25)
    digests = [store.put(bytes([i]) * 10) for i in range(2)]
    os.utime(store.path(digests[0]), (2e9, 2e9))
    os.utime(store.path(digests[1]), (1e9, 1e9))
    third = store.put(bytes([9]) * 10)
    assert [store.has(d) for d in (*digests, third)] == [True, False, True]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    store = BlobStore(tmp_path)
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(InputError, match="No space left on device"):
        store.add(digest_of(b"weights"), 0, 7, b"weights")


def test_a_network_comes_back_with_its_weights(tmp_path: Path) -> None:
    store, network = BlobStore(tmp_path), build(get_model("lenet5"))
    again = Network(network.model, store, put_model(store, network)).with_steps(set(range(len(network))))
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_only_the_steps_asked_for_are_loaded(tmp_path: Path) -> None:
    store, network = BlobStore(tmp_path), build(get_model("lenet5"))
    digests = put_model(store, network)
    for digest in set(digests[1:]) - {digests[0]}:
        store.path(digest).unlink()
    Network(network.model, store, digests).with_steps({0})
    with pytest.raises(InputError, match="cannot be read"):
        Network(network.model, store, digests).with_steps({0, len(network) - 1})


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    store, network = BlobStore(tmp_path), build(get_model("lenet5"))
    first, *rest = put_model(store, network)
    with pytest.raises(InputError, match="weights of step 0 of lenet5 do not fit"):
        Network(network.model, store, (rest[-1], *rest)).with_steps({0})
    assert first != rest[-1]


def test_a_zoo_models_weights_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlobStore(tmp_path)
    digests = store_weights(store, "lenet5")
    monkeypatch.setattr("splitgym.runtime.weights.runnable", None)
    assert store_weights(store, "lenet5") == digests
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(load_whole(store, "lenet5", digests)(image)[0], build(get_model("lenet5"))(image)[0])
