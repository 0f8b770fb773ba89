"""Write, fsync, rename, fsync the folder: after `add` returns, the file survives a power cut.

Layout: `incoming/` holds what is being written, `images/ab/abcd….dcm` what is durable, named by the SHA-256 of the data
set, so that the same object sent twice is one file and another content is another file.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.errors import StorageUnavailable
from domain.types import Received

Bytes = bytes | bytearray | memoryview

# Writing past the page cache needs memory, offset and length in multiples of this. A 14 MB radiograph takes 5 ms so; 8
# otherwise, and 40 where the kernel first has to find free pages. What is synced at once gains nothing from the cache.
_BLOCK_BYTES = 4096
_BOUNCE_BYTES = 4 << 20
_bounce_buffers: list[mmap.mmap] = []
_HASH_BESIDE_BYTES = 2 << 20  # from this size on a thread of its own is worth its start


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
        self._hashing = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="spool-hash")
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._images.mkdir(exist_ok=True)
            # All of them now, so that no image is acknowledged in a folder that a power cut could still undo.
            for number in range(256):
                (self._images / f"{number:02x}").mkdir(exist_ok=True)
            fsync_folder(self._images)
            fsync_folder(root)
        except OSError as error:
            raise StorageUnavailable(f"spool {root}: {error.strerror}") from error

    def add(self, received: Received) -> Spooled:
        """Make a received object durable. Nothing is left behind when that fails."""
        parts = (received.part10_header, received.data_set)
        size_bytes = sum(map(len, parts))
        try:
            if len(received.data_set) < _HASH_BESIDE_BYTES:
                target = self._target(_sha256(received.data_set))
                if not _is_whole(target, len(received.data_set)):
                    durable_write(target, parts, temporary_folder=self._incoming)
            else:
                hashed = self._hashing.submit(_sha256, received.data_set)
                temporary = _written(self._incoming, parts)
                try:
                    target = self._target(hashed.result())
                    temporary.rename(target)  # the same object may be there already: then one takes the other's place
                except OSError:
                    temporary.unlink(missing_ok=True)
                    raise
            fsync_folder(target.parent)  # also where the file was there: whoever wrote it may have died before doing so
        except OSError as error:
            raise StorageUnavailable(f"spool: {error.strerror}") from error
        return Spooled(path=target, sha256=target.stem, size_bytes=size_bytes)

    def _target(self, sha256: str) -> Path:
        return self._images / sha256[:2] / f"{sha256}.dcm"

    def files(self) -> Iterator[Path]:
        """Every durable image."""
        for folder in self._images.iterdir():
            yield from folder.glob("*.dcm")

    def clear_incoming(self, *, before: float) -> int:
        """Remove what killed listeners left half-written before a time (seconds since 1970): it was never acknowledged."""
        left = [path for path in self._incoming.iterdir() if path.stat().st_mtime < before]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)


def durable_write(target: Path, parts: Iterable[Bytes], *, temporary_folder: Path | None = None) -> None:
    """Write `target` so that it is there whole after a crash, or not at all. OSError when the disk refuses."""
    temporary = _written(temporary_folder or target.parent, parts)
    try:
        temporary.rename(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(target.parent)


def _written(folder: Path, parts: Iterable[Bytes]) -> Path:
    """A synced file of a name of its own. Nothing is left behind when that fails."""
    temporary = folder / f"{uuid.uuid4().hex}.part"
    descriptor = _create(temporary)
    try:
        try:
            _write(descriptor, parts)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_DIRECT, 0o666)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without O_DIRECT, such as tmpfs
            raise
        path.unlink(missing_ok=True)
        return os.open(path, flags, 0o666)


def _write(descriptor: int, parts: Iterable[Bytes]) -> None:
    """By way of aligned memory; what is left over after the last whole block goes through the page cache."""
    with _bounce_buffer() as bounce:
        used = 0
        for part in parts:
            rest = memoryview(part)
            while rest:
                count = min(len(rest), len(bounce) - used)
                bounce[used : used + count] = rest[:count]
                used, rest = used + count, rest[count:]
                if used == len(bounce):
                    _write_all(descriptor, bounce)
                    used = 0
        whole = used - used % _BLOCK_BYTES
        _write_all(descriptor, bounce[:whole])
        _go_through_the_cache(descriptor)
        _write_all(descriptor, bounce[whole:used])


@contextmanager
def _bounce_buffer() -> Iterator[memoryview]:
    """Aligned memory, kept from file to file: taking it anew costs as much as the writing of a small image."""
    try:
        buffer = _bounce_buffers.pop()
    except IndexError:  # as many are made as threads write at a time
        buffer = mmap.mmap(-1, _BOUNCE_BYTES)
    try:
        with memoryview(buffer) as view:
            yield view
    finally:
        _bounce_buffers.append(buffer)


def _sha256(data: Bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_whole(target: Path, data_set_bytes: int) -> bool:
    """It got its name after its fsync; its header may be another sender's, hence of another length."""
    try:
        return target.stat().st_size > data_set_bytes
    except FileNotFoundError:
        return False


def _write_all(descriptor: int, rest: memoryview) -> None:
    """write(2) may take less than it was given."""
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            # A file system that takes the flag and not the writing, or no more of it after a part of a block.
            if error.errno != errno.EINVAL or not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
                raise
            _go_through_the_cache(descriptor)


def _go_through_the_cache(descriptor: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~os.O_DIRECT)


def fsync_folder(folder: Path) -> None:
    """What was made or renamed in it is there after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
