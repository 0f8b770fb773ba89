"""A consistent copy of a running node: the ledger first, then every file that the copy names.

Files are named by their content and never change, so what was copied later is still what the ledger's copy means.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from domain.errors import StorageUnavailable
from ledger.schema import document, image
from ledger.store import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    files: int
    size_bytes: int
    missing: int  # files that the ledger names and the data folder does not hold


def back_up(ledger: Ledger, folder: Path) -> Backup:
    """Write the copy into an empty folder; on the same disk, files become second names of the same content.

    StorageUnavailable when the folder holds something, cannot be written, or the database cannot be copied.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise StorageUnavailable(f"{folder} is not empty: a backup needs a folder of its own")
        ledger.copy_database(folder)
        copied = [_copy(source, folder / name) for name, source in _named(ledger).items()]
        _sync(folder)
    except OSError as error:
        raise StorageUnavailable(f"backup {error.filename or folder}: {error.strerror}") from error
    sizes = [size for size in copied if size is not None]
    return Backup(files=len(sizes), size_bytes=sum(sizes), missing=len(copied) - len(sizes))


def _named(ledger: Ledger) -> Mapping[Path, Path]:
    """{path in the data folder: file} of what the ledger names now: all that its copy names, and what came since."""
    with ledger.reading() as tx:
        stored = tx.connection.scalars(sa.union(sa.select(image.c.path), sa.select(document.c.path)))
        return {Path(path): tx.path(path) for path in stored if not Path(path).is_absolute()}


def _copy(source: Path, target: Path) -> int | None:
    """Its size in bytes; None where it is gone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_file():
        return None
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())
    return target.stat().st_size


def _sync(folder: Path) -> None:
    """The copy is there after a power cut too."""
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
