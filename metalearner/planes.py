"""Radiographs of a collection laid out for a network, exactly as the node lays them out, and the way back to the film."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from domain.identity import digest
from inference.manifest import Input
from inference.plane import Plane, fit
from inference.reading import read_radiograph
from metalearner.collection import PREPARED, Collection

LAYOUT = 1  # of the cached files and of what `fit` does: raised when either changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """values: uint8 (n, rows, columns), 255 white, in the order of `images`. matrices (n, 2, 2) and offsets (n, 2): as
    `inference.plane.Plane` has them. aspects: (n,) height over width of a source pixel.
    """

    images: tuple[str, ...]
    values: npt.NDArray[np.uint8] = field(repr=False)
    matrices: npt.NDArray[np.float64] = field(repr=False)
    offsets: npt.NDArray[np.float64] = field(repr=False)
    aspects: npt.NDArray[np.float64] = field(repr=False)

    def plane(self, number: int) -> Plane:
        """One of them as the readers of heads take it: 0..1."""
        grays = self.values[number].astype(np.float32) / np.float32(255)
        return Plane(values=grays, matrix=self.matrices[number], offset=self.offsets[number])

    def from_source(self, number: int, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(…, 2) points of the film to points of the plane."""
        return self.plane(number).from_source(points)

    def to_source(self, number: int, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(…, 2) points of the plane to points of the film."""
        return self.plane(number).to_source(points)


def planes(
    collection: Collection, images: Sequence[str], wanted: Input, *, told: Callable[[int], None] | None = None
) -> Planes:
    """These images on the model's input, made upright by nobody: as they came.

    told: called with the number of images done. Kept under prepared/ for the next time. CollectionInvalid for an image that
    was not kept, ImageUnreadable for one that the reader refuses.
    """
    folder = collection.root / PREPARED / _key(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    count = len(images)
    values = np.zeros((count, wanted.rows, wanted.columns), dtype=np.uint8)
    matrices, offsets, aspects = np.zeros((count, 2, 2)), np.zeros((count, 2)), np.ones(count)
    for number, image in enumerate(images):
        values[number], matrices[number], offsets[number], aspects[number] = _laid_out(
            collection.path(image), folder / f"{image}.npz", wanted
        )
        if told is not None:
            told(number + 1)
    return Planes(images=tuple(images), values=values, matrices=matrices, offsets=offsets, aspects=aspects)


_LaidOut = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64], npt.NDArray[np.float64], float]


def _key(wanted: Input) -> str:
    """Names what decides the plane; what is done to its grays afterwards does not."""
    said = {name: getattr(wanted, name) for name in ("rows", "columns", "fit", "low_percent", "high_percent")}
    return digest({"layout": LAYOUT, **said})[:16]


def _laid_out(path: Path, kept: Path, wanted: Input) -> _LaidOut:
    if kept.exists():
        try:
            with np.load(kept) as saved:
                return saved["values"], saved["matrix"], saved["offset"], float(saved["aspect"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            kept.unlink(missing_ok=True)  # cut short when its writer died
    radiograph = read_radiograph(path, assumed_species=None)
    plane = fit(
        radiograph.pixels,
        pixel_aspect=radiograph.pixel_aspect,
        rows=wanted.rows,
        columns=wanted.columns,
        low_percent=wanted.low_percent,
        high_percent=wanted.high_percent,
        how=wanted.fit,
    )
    grays = np.round(plane.values * 255).astype(np.uint8)
    beside = kept.with_name(f".{kept.name}")
    with beside.open("wb") as file:
        np.savez(file, values=grays, matrix=plane.matrix, offset=plane.offset, aspect=radiograph.pixel_aspect)
    beside.replace(kept)
    return grays, plane.matrix, plane.offset, radiograph.pixel_aspect
