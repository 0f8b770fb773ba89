"""A consistent copy of a running node: every file that the ledger names, the ledger, and the files that came meanwhile.

Files are named by their content and never change, so what was copied later is still what the ledger's copy means. Those that
it names are copied before it: retention goes on meanwhile, and would delete what an older copy still names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
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
        copied = _copy(_named(ledger), folder)
        ledger.copy_database(folder)
        named = _named(ledger)
        copied |= _copy({name: source for name, source in named.items() if name not in copied}, folder)
        _sync(folder)
    except OSError as error:
        raise StorageUnavailable(f"backup {error.filename or folder}: {error.strerror}") from error
    return Backup(files=len(copied), size_bytes=sum(copied.values()), missing=len(named.keys() - copied.keys()))


def _named(ledger: Ledger) -> Mapping[Path, Path]:
    """{path in the data folder: file} of what the ledger names now."""
    with ledger.reading() as tx:
        stored = tx.connection.scalars(sa.union(sa.select(image.c.path), sa.select(document.c.path)))
        return {Path(path): tx.path(path) for path in stored if not Path(path).is_absolute()}


def _copy(files: Mapping[Path, Path], folder: Path) -> dict[Path, int]:
    """{path in the data folder: its size in bytes} of those that are there."""
    sizes = {}
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # deleted since it was named
            _copy_file(source, target)
            sizes[name] = target.stat().st_size
    return sizes


def _copy_file(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """The copy is there after a power cut too."""
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
