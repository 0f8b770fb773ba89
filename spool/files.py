"""Write, fsync, rename, fsync the folder: after `add` returns, the file survives a power cut.

Layout: `incoming/` holds what is being written, `images/ab/abcd….dcm` what is durable, named by the SHA-256 of the data
set, so that the same object sent twice is one file and another content is another file.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from domain.errors import StorageUnavailable
from domain.types import Received

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    path: Path
    sha256: str  # of the data set, without the file meta information
    size_bytes: int


class Spool:
    """The folder of received images. StorageUnavailable when it cannot be written to."""

    def __init__(self, root: Path) -> None:
        self._incoming = root / "incoming"
        self._images = root / "images"
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._images.mkdir(exist_ok=True)
            # All of them now, so that no image is acknowledged in a folder that a power cut could still undo.
            for number in range(256):
                (self._images / f"{number:02x}").mkdir(exist_ok=True)
            _fsync_folder(self._images)
            _fsync_folder(root)
        except OSError as error:
            raise StorageUnavailable(f"spool {root}: {error.strerror}") from error

    def add(self, received: Received) -> Spooled:
        """Make a received object durable. Nothing is left behind when that fails."""
        sha256 = hashlib.sha256(received.data_set).hexdigest()
        target = self._images / sha256[:2] / f"{sha256}.dcm"
        size_bytes = len(received.part10_header) + len(received.data_set)
        spooled = Spooled(path=target, sha256=sha256, size_bytes=size_bytes)
        try:
            if _is_whole(target, len(received.data_set)):
                _fsync_folder(target.parent)  # whoever wrote it may have died before doing so
            else:
                durable_write(target, (received.part10_header, received.data_set), temporary_folder=self._incoming)
        except OSError as error:
            raise StorageUnavailable(f"spool: {error.strerror}") from error
        return spooled

    def clear_incoming(self, *, before: float) -> int:
        """Remove what killed listeners left half-written before a time (seconds since 1970): it was never acknowledged."""
        left = [path for path in self._incoming.iterdir() if path.stat().st_mtime < before]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)


def durable_write(target: Path, parts: Iterable[Bytes], *, temporary_folder: Path | None = None) -> None:
    """Write `target` so that it is there whole after a crash, or not at all. OSError when the disk refuses."""
    temporary = (temporary_folder or target.parent) / f"{uuid.uuid4().hex}.part"
    try:
        with temporary.open("xb", buffering=0) as file:
            for part in parts:
                _write_all(file.fileno(), part)
            os.fsync(file.fileno())
        temporary.rename(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _fsync_folder(target.parent)


def _is_whole(target: Path, data_set_bytes: int) -> bool:
    """It got its name after its fsync; its header may be another sender's, hence of another length."""
    try:
        return target.stat().st_size > data_set_bytes
    except FileNotFoundError:
        return False


def _write_all(descriptor: int, part: Bytes) -> None:
    """write(2) takes at most 2 GiB at a time and may take less."""
    rest = memoryview(part)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
