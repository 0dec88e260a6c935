"""Weights by what they hold: a blob a step, safetensors named by the digest of its bytes, kept on disk."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..ui.errors import InputError
from .transport import CHUNK_BYTES, Buffer

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.runnable.units import TorchModel

MOST_BLOB_BYTES = 2**30
QUOTA_BYTES = 20 * 2**30
PART = ".part"  # ends the names of files that are not whole
OLD_S = 24 * 3600.0  # from where on a part is dead, where locks do not tell


def default_folder() -> Path:
    """Where a machine keeps weights."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "splitgym" / "weights"


@dataclass(eq=False)
class _Growing:
    """A blob that comes in: its part file, bytes that came, bytes in all, and what the first are hashed to."""

    path: Path
    file: BinaryIO
    due: int
    came: int = 0
    hashed: Any = field(default_factory=hashlib.sha256)  # as they come: all at once would take a board seconds

    def write(self, payload: Buffer) -> None:
        self.file.write(payload)
        self.file.flush()
        self.hashed.update(payload)
        self.came += len(payload)

    def drop(self) -> None:
        with suppress(OSError):  # what a full disk still has to write
            self.file.close()
        self.path.unlink(missing_ok=True)


class BlobStore:
    """Blobs in a folder, each whole or not there; several processes may share it.

    What comes in lies in a part file as long as the whole, which its process keeps locked. Parts of processes that have
    ended go when room is made.

    Args:
        folder: made when it is needed.
        quota_bytes: most that it may hold, with what is on its way; the blobs that were used longest ago go first.
    """

    def __init__(self, folder: Path, quota_bytes: int = QUOTA_BYTES) -> None:
        self.folder, self.quota_bytes = folder, quota_bytes
        self._growing: dict[str, _Growing] = {}

    def path(self, digest: str) -> Path:
        return self.folder / f"{digest}.safetensors"

    def has(self, digest: str) -> bool:
        """Whether a blob is here, whole."""
        return self.path(digest).is_file()

    def put(self, data: bytes) -> str:
        """Keep a blob; returns its digest.

        Raises:
            InputError: the quota does not hold it.
        """
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest):
            growing = self._begin(digest, len(data))
            try:
                growing.write(data)
                self._finish(digest, growing)
            except BaseException:
                growing.drop()
                raise
        return digest

    def add(self, digest: str, offset: int, size: int, payload: Buffer) -> bool:
        """Take the next chunk of a blob, in order; whether it is whole now. The first begins it anew.

        Raises:
            InputError: out of order or bounds, too large, or not what its digest says; the blob begins anew then.
        """
        growing = self._growing.pop(digest, None)
        try:
            if growing is not None and not offset:
                growing.drop()
                growing = None
            came, due = (0, size) if growing is None else (growing.came, growing.due)
            if size > MOST_BLOB_BYTES or (offset, size) != (came, due) or offset + len(payload) > size:
                raise InputError(f"weights {digest[:12]}: chunk at {offset} of {size} bytes, due is {came} of {due}")
            if growing is None:
                growing = self._begin(digest, size)
            growing.write(payload)
            if growing.came < size:
                self._growing[digest] = growing
                return False
            found = growing.hashed.hexdigest()
            if found != digest:
                raise InputError(f"weights {digest[:12]}: what came is {found[:12]}, so it is damaged or another's")
            self._finish(digest, growing)
        except (InputError, OSError) as error:
            if growing is not None:
                growing.drop()
            if isinstance(error, OSError):
                raise InputError(f"weights {digest[:12]}: {self.folder} cannot hold them ({error.strerror})") from None
            raise
        return True

    def abandon(self) -> None:
        """Nothing more comes of what has begun to come."""
        while self._growing:
            self._growing.popitem()[1].drop()

    def chunks(self, digest: str) -> Iterator[tuple[int, int, bytes]]:
        """(offset, bytes in all, bytes) of a blob, in order; read as they are asked for."""
        with self.path(digest).open("rb") as file:
            size, offset = os.fstat(file.fileno()).st_size, 0
            while data := file.read(CHUNK_BYTES):
                yield offset, size, data
                offset += len(data)

    def load(self, digest: str) -> dict[str, Tensor]:
        """A blob's tensors, mapped from the disk.

        Raises:
            InputError: it is not here, or no safetensors file.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.path(digest)
        try:
            os.utime(path)
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from None

    def _begin(self, digest: str, size: int) -> _Growing:
        """A part file of that size, for which there is room."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder):  # no other process makes room, or takes it, meanwhile
            self._make_room(digest, size)
            descriptor, name = tempfile.mkstemp(PART, f".{digest}.", self.folder)
            growing = _Growing(Path(name), os.fdopen(descriptor, "wb"), size)
            try:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                growing.file.truncate(size)
            except BaseException:
                growing.drop()
                raise
        return growing

    def _finish(self, digest: str, growing: _Growing) -> None:
        with growing.file:
            os.replace(growing.path, self.path(digest))

    def _make_room(self, digest: str, size: int) -> None:
        coming = sum(_size(path) for path in self.folder.glob(f".*{PART}") if not _cleared(path))
        if coming + size > self.quota_bytes:
            words = f"{self.folder} may hold {self.quota_bytes}, and {coming} are on their way"
            raise InputError(f"weights {digest[:12]}: {size} bytes are too many: {words}")
        kept = sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        held = coming + sum(map(_size, kept))
        for path in kept:
            if held + size <= self.quota_bytes:
                return
            held -= _size(path)
            path.unlink(missing_ok=True)


def put_model(store: BlobStore, torch_model: TorchModel) -> tuple[str, ...]:
    """Keep the weights of every step; returns their digests in order."""
    from safetensors.torch import save

    digests = []
    for step in torch_model.steps:
        state = {name: value.detach().contiguous() for name, value in step.state_dict().items()}
        digests.append(store.put(save(state)))
    return tuple(digests)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a part that is whole now, or was dropped
        return 0


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _cleared(part: Path) -> bool:
    """Take a part file away if no process is at it any more; whether it is away."""
    try:
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()
    except FileNotFoundError:
        pass
    except BlockingIOError:
        return False
    except OSError:
        if time.time() - part.stat().st_mtime < OLD_S:
            return False
        part.unlink(missing_ok=True)
    return True
