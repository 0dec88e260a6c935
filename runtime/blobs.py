"""Weights by what they hold: a blob a step, safetensors named by the digest of its bytes, kept on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ui.errors import InputError
from .transport import CHUNK_BYTES, Buffer

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.runnable.units import TorchModel

MOST_BLOB_BYTES = 2**30
QUOTA_BYTES = 20 * 2**30


def default_folder() -> Path:
    """Where a machine keeps weights."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "splitgym" / "weights"


@dataclass
class _Growing:
    """A blob that comes in: bytes that came, bytes in all, and what the first are hashed to."""

    came: int
    due: int
    hashed: Any = field(default_factory=hashlib.sha256)  # as they come: all at once would take a board seconds


class BlobStore:
    """Blobs in a folder, each whole or not there.

    Args:
        folder: made when it is needed.
        quota_bytes: most that it may hold; the blobs that were used longest ago go first.
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
        """Keep a blob; returns its digest."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest):
            self._place(digest, data)
        return digest

    def add(self, digest: str, offset: int, size: int, payload: Buffer) -> bool:
        """Take the next chunk of a blob, in order; whether it is whole now. The first begins it anew.

        Raises:
            InputError: out of order or bounds, too large, or not what its digest says; the blob begins anew then.
        """
        known = self._growing.get(digest) if offset else None
        growing, part = known or _Growing(0, size), self._part(digest)
        came, due = growing.came, growing.due
        try:
            if size > MOST_BLOB_BYTES or (offset, size) != (came, due) or offset + len(payload) > size:
                raise InputError(f"weights {digest[:12]}: chunk at {offset} of {size} bytes, due is {came} of {due}")
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("ab" if came else "wb") as file:
                file.write(payload)
            growing.hashed.update(payload)
            growing.came += len(payload)
            self._growing[digest] = growing
            if growing.came < size:
                return False
            found = growing.hashed.hexdigest()
            if found != digest:
                raise InputError(f"weights {digest[:12]}: what came is {found[:12]}, so it is damaged or another's")
            self._make_room(size)
            os.replace(part, self.path(digest))
        except (InputError, OSError) as error:
            self._growing.pop(digest, None)
            part.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise InputError(f"weights {digest[:12]}: {self.folder} cannot hold them ({error.strerror})") from None
            raise
        del self._growing[digest]
        return True

    def chunks(self, digest: str) -> Sequence[tuple[int, int, bytes]]:
        """(offset, bytes in all, bytes) of a blob, in order."""
        data = self.path(digest).read_bytes()
        return [(at, len(data), data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES)]

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

    def _place(self, digest: str, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room(len(data))
        part = self._part(digest)
        part.write_bytes(data)
        os.replace(part, self.path(digest))

    def _part(self, digest: str) -> Path:
        return self.folder / f".{digest}.{os.getpid()}.part"

    def _make_room(self, size: int) -> None:
        kept = sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        held = sum(path.stat().st_size for path in kept)
        for path in kept:
            if held + size <= self.quota_bytes:
                return
            held -= path.stat().st_size
            path.unlink(missing_ok=True)


def put_model(store: BlobStore, torch_model: TorchModel) -> tuple[str, ...]:
    """Keep the weights of every step; returns their digests in order."""
    from safetensors.torch import save

    digests = []
    for step in torch_model.steps:
        state = {name: value.detach().contiguous() for name, value in step.state_dict().items()}
        digests.append(store.put(save(state)))
    return tuple(digests)
