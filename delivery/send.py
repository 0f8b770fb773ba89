"""Files and folders to a peer, as a modality sends them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from delivery.part10 import identify
from delivery.result import StoreResult
from delivery.store import store
from domain.errors import DataSetUnusable
from domain.types import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A path that is no DICOM object, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    results: tuple[StoreResult, ...]
    skipped: tuple[Skipped, ...]


Progress = Callable[[StoreResult | Skipped], None]


def send_files(paths: Sequence[Path], peer: Peer, *, timeout_seconds: float, progress: Progress | None = None) -> Sent:
    """Send every DICOM object among the files and, recursively and in the order of their names, in the folders.

    `progress` hears of each path at once. Errors as for `store`; what was answered before one has been heard.
    """
    objects: list[Path] = []
    skipped: list[Skipped] = []
    for path in _files(paths):
        try:
            identify(path)
        except DataSetUnusable as error:
            skipped.append(Skipped(path=path, reason=str(error)))
        except OSError as error:
            skipped.append(Skipped(path=path, reason=error.strerror or "cannot be read"))
        else:
            objects.append(path)
            continue
        if progress is not None:
            progress(skipped[-1])

    def stored(_path: Path, result: StoreResult) -> None:
        if progress is not None:
            progress(result)

    results = store(objects, peer, timeout_seconds=timeout_seconds, stored=stored)
    return Sent(results=tuple(results), skipped=tuple(skipped))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.is_file())
        else:
            yield path
