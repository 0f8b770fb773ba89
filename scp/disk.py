"""The watermark: images are refused while there is still room for what the node owes, its ledger and its documents."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.errors import StorageUnavailable

_MEGABYTE = 1_000_000


class Watermark:
    """`refuse_below_megabytes` of [disk] on the file system of `folder`; free_bytes: asked instead of the file system."""

    def __init__(self, folder: Path, *, refuse_below_megabytes: int, free_bytes: Callable[[], int] | None = None) -> None:
        self._least_bytes = refuse_below_megabytes * _MEGABYTE
        self._free_bytes = free_bytes or (lambda: _free_bytes(folder))
        self._lock = threading.Lock()
        self._expected_bytes = 0  # of the images that are being written

    @contextmanager
    def room_for(self, size_bytes: int) -> Iterator[None]:
        """StorageUnavailable when writing so much, beside what is being written, would go below the watermark."""
        with self._lock:
            try:
                free = self._free_bytes()
            except OSError as error:
                raise StorageUnavailable(f"free space cannot be read ({error.strerror})") from error
            if free - self._expected_bytes - size_bytes < self._least_bytes:
                least = self._least_bytes // _MEGABYTE
                raise StorageUnavailable(
                    f"the disk has {free // _MEGABYTE} MB left; [disk] refuse_below_megabytes is {least}"
                )
            self._expected_bytes += size_bytes
        try:
            yield
        finally:
            with self._lock:
                self._expected_bytes -= size_bytes


def _free_bytes(folder: Path) -> int:
    """What a process without root's reserve may still write."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize
