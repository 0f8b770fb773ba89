"""Where a console or a lead letter has marked the side of the animal, or printed something else, near the edge of a film:
what no label may cover."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sr_writer.labels import Box

WHITE = 0.97  # of the brightest that a display shows
BRIGHT = 0.7  # a letter stands out against what lies around it
CONTRAST = 0.25
CELLS = 32  # along each side of the image
ZONE = 8  # cells from each edge: markers lie beside the animal
LEAST_SHARE = 0.01  # of a cell's pixels
MOST_CELLS = 0.3  # of the zone: more of it is no marker but a bright ground
SAMPLES = 1024  # along the longer side: thinner strokes are no letters

Cells = npt.NDArray[np.intp]


def bright_marks(pixels: npt.NDArray[np.float32]) -> list[Box]:
    """Cells near the edge that hold white, or what is much brighter than their mean, in source pixels. Bone may be among
    them: a label finds another place. What most of the edge is, is no mark.

    pixels: (rows, columns) 0..1 as displayed.
    """
    step = max(1, -(-max(pixels.shape) // SAMPLES))
    sampled = pixels[::step, ::step]
    rows, columns = (np.linspace(0, size, CELLS + 1).astype(np.intp) for size in sampled.shape)
    if not (np.diff(rows).all() and np.diff(columns).all()):
        return []  # too small to hold a marker
    around = _means(sampled, rows, columns).repeat(np.diff(rows), axis=0).repeat(np.diff(columns), axis=1)
    standing_out = sampled >= np.maximum(around + np.float32(CONTRAST), np.float32(BRIGHT))
    zone = np.ones((CELLS, CELLS), dtype=bool)
    zone[ZONE:-ZONE, ZONE:-ZONE] = False
    marked = np.zeros_like(zone)
    for kind in (sampled >= WHITE, standing_out):
        found = zone & (_means(kind, rows, columns) >= LEAST_SHARE)
        if found.sum() <= MOST_CELLS * zone.sum():
            marked |= found
    return [
        Box(
            left=float(columns[column] * step),
            top=float(rows[row] * step),
            right=float(columns[column + 1] * step),
            bottom=float(rows[row + 1] * step),
        )
        for row, column in zip(*(places.tolist() for places in np.nonzero(marked)), strict=True)
    ]


def _means(values: npt.NDArray[np.float32] | npt.NDArray[np.bool_], rows: Cells, columns: Cells) -> npt.NDArray[np.float32]:
    """Of each cell; rows and columns: where cells begin, and where the last ends."""
    sums = np.add.reduceat(np.add.reduceat(values, rows[:-1], axis=0, dtype=np.float32), columns[:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(rows), np.diff(columns)), dtype=np.float32)
