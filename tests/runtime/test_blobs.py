"""Weights on disk: whole or not there, what their name says, never more than the quota."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splitgym.models.lookup import get_model
from splitgym.models.runnable.units import build
from splitgym.runtime.blobs import MOST_BLOB_BYTES, OLD_S, PART, BlobStore, put_model
from splitgym.runtime.compute import Network
from splitgym.runtime.transport import CHUNK_BYTES
from splitgym.runtime.weights import load_whole, store_weights
from splitgym.ui.errors import InputError

from ..disk import no_room
from .live import ENOUGH_S


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


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    store, data = BlobStore(tmp_path), bytes(1000)
    with no_room(), pytest.raises(InputError, match=r"cannot hold them \(File too large\)"):
        store.add(digest_of(data), 0, len(data), data)
    with no_room(), pytest.raises(OSError, match="File too large"):
        store.put(data)
    assert not list(tmp_path.iterdir())


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(f".*{PART}"))


def test_what_is_on_its_way_counts_and_is_not_pushed_out(tmp_path: Path) -> None:
    mine, theirs = BlobStore(tmp_path, quota_bytes=25), BlobStore(tmp_path, quota_bytes=25)
    old, data = mine.put(b"0123456789"), b"abcdefghijklmno"
    assert not mine.add(digest_of(data), 0, 15, data[:1])
    assert mine.has(old)
    third = theirs.put(b"9876543210")  # room is made of what is whole
    assert not mine.has(old)
    with pytest.raises(InputError, match=r"11 bytes are too many: .* may hold 25, and 15 are on their way"):
        theirs.put(b"98765432100")
    assert mine.has(third)  # nothing goes for what does not fit anyway
    assert mine.add(digest_of(data), 1, 15, data[1:])
    assert {path.name for path in tmp_path.iterdir()} == {mine.path(d).name for d in (digest_of(data), third)}


def test_parts_of_processes_that_have_ended_go_and_those_of_others_stay(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from splitgym.runtime.blobs import BlobStore
store = BlobStore(Path({str(tmp_path)!r}))
store.add("ab" * 32, 0, 9, b"weights")
print(flush=True)
time.sleep({ENOUGH_S})
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        store = BlobStore(tmp_path)
        (part,) = parts(tmp_path)
        size = part.stat().st_size
        store.put(b"while it lives")
        left = parts(tmp_path)
        other.kill()
        other.wait()
        assert (left, size) == ([part], 9)
        store.put(b"when it is dead")
    assert parts(tmp_path) == []


@pytest.mark.parametrize(("age_s", "left"), [(OLD_S / 2, 1), (OLD_S * 2, 0)])
def test_where_locks_tell_nothing_parts_go_by_their_age(
    age_s: float, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    store, then = BlobStore(tmp_path), time.time() - age_s
    store.add(digest_of(b"weights"), 0, 7, b"w")
    os.utime(parts(tmp_path)[0], (then, then))
    store.put(b"more")
    assert len(parts(tmp_path)) == left
    store.abandon()


ACTS = ("begin", "go_on", "put", "abandon", "crash")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(ACTS), st.integers(0, 5)), max_size=30))
def test_two_that_share_a_folder_keep_the_quota_and_each_others_parts(
    tmp_path: Path, acts: list[tuple[int, str, int]]
) -> None:
    """Whatever each of them does next: what is there is whole or on its way, and never more than the quota."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    stores = [BlobStore(folder, quota_bytes=40) for _ in range(2)]
    blobs = [bytes([i]) * (4 + 5 * i) for i in range(6)]
    for who, act, which in acts:
        store, data = stores[who], blobs[which]
        growing = store._growing.get(digest_of(data))
        with suppress(InputError):  # no room
            if act == "begin":
                store.add(digest_of(data), 0, len(data), data[:2])
            elif act == "go_on" and growing is not None:
                came = growing.came
                assert store.add(digest_of(data), came, len(data), data[came : came + 3]) == store.has(digest_of(data))
            elif act == "put":
                store.put(data)
        if act == "abandon":
            store.abandon()
        elif act == "crash":  # files are closed, and nothing else is done
            for each in store._growing.values():
                each.file.close()
            stores[who] = BlobStore(folder, quota_bytes=40)
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 40
        live = {each.path for each in (*stores[0]._growing.values(), *stores[1]._growing.values())}
        assert live <= set(parts(folder))
        for path in folder.glob("*.safetensors"):
            assert digest_of(path.read_bytes()) == path.stem
    for store in stores:
        store.abandon()
    BlobStore(folder, quota_bytes=40).put(b"x")
    assert parts(folder) == []


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
