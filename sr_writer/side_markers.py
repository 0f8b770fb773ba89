"""Where a console or a lead letter has marked the side of the animal, or printed something else, near the edge of a film:
what no label may cover."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sr_writer.labels import Box

WHITE = 0.97  # of the brightest that a display shows
CELLS = 32  # along each side of the image
ZONE = 8  # cells from each edge: markers lie beside the animal
LEAST_SHARE = 0.01  # of a cell's pixels
MOST_CELLS = 0.3  # of the zone: more of it is no marker but a bright ground
SAMPLES = 1024  # along the longer side: thinner strokes are no letters


def bright_marks(pixels: npt.NDArray[np.float32]) -> list[Box]:
    """Cells near the edge that hold white, in source pixels; none where most of the edge is white.

    pixels: (rows, columns) 0..1 as displayed.
    """
    step = max(1, max(pixels.shape) // SAMPLES)
    white = pixels[::step, ::step] >= WHITE
    rows, columns = (np.linspace(0, size, CELLS + 1).astype(int) for size in white.shape)
    if not (np.diff(rows).all() and np.diff(columns).all()):
        return []  # too small to hold a marker
    counted = np.add.reduceat(np.add.reduceat(white, rows[:-1], axis=0, dtype=np.int64), columns[:-1], axis=1)
    share = counted / np.outer(np.diff(rows), np.diff(columns))
    zone = np.ones((CELLS, CELLS), dtype=bool)
    zone[ZONE:-ZONE, ZONE:-ZONE] = False
    marked = zone & (share >= LEAST_SHARE)
    if marked.sum() > MOST_CELLS * zone.sum():
        return []
    return [
        Box(
            left=float(columns[column] * step),
            top=float(rows[row] * step),
            right=float(columns[column + 1] * step),
            bottom=float(rows[row + 1] * step),
        )
        for row, column in zip(*(places.tolist() for places in np.nonzero(marked)), strict=True)
    ]
