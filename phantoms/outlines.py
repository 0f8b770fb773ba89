"""From a mask to its borders: polygons along the edges of pixels, so that they hold exactly the mask's parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_fill_holes, find_objects, label

Polygon = tuple[tuple[float, float], ...]
SMALLEST_SHARE = 0.02  # of the mask's largest part: what is less is a speck
_AHEAD = ((0, -1), (1, 0), (0, 1), (-1, 0))  # (column, row): up, right, down, left


def outlines(mask: npt.NDArray[np.bool_]) -> tuple[Polygon, ...]:
    """Outer borders of the mask's parts (joined by edges, holes filled) as (column, row), the largest part first."""
    parts, count = label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    boxes = find_objects(parts)
    order = [n for n in np.argsort(-sizes, kind="stable") if sizes[n] > 0 and sizes[n] >= SMALLEST_SHARE * sizes.max()]
    return tuple(_border(binary_fill_holes(parts[boxes[n - 1]] == n), boxes[n - 1]) for n in order)


def _border(part: npt.NDArray[np.bool_], box: tuple[slice, slice]) -> Polygon:
    """Clockwise from the first row's first pixel, the part always at the right hand."""
    inside = np.pad(part, 1)
    row, column = 0, int(np.argmax(part[0]))
    start, way = (column, row), 1
    at, corners = start, []
    while True:
        # The pixels ahead, to the left and the right of the edge's end; padding shifts them by one.
        left, right = _beside(inside, at, way)
        turn = 1 if not right else -1 if left else 0
        if turn:
            corners.append((float(at[0] + box[1].start), float(at[1] + box[0].start)))
            way = (way + turn) % 4
        at = (at[0] + _AHEAD[way][0], at[1] + _AHEAD[way][1])
        if at == start:
            return (*corners, (float(start[0] + box[1].start), float(start[1] + box[0].start))) if corners else ()


def _beside(inside: npt.NDArray[np.bool_], at: tuple[int, int], way: int) -> tuple[bool, bool]:
    """Whether the pixel ahead of this corner at the left hand, and the one at the right hand, is of the part."""
    column, row = at
    quarters = {  # by way: offsets of the padded pixels ahead-left and ahead-right of the corner
        0: ((row, column), (row, column + 1)),
        1: ((row, column + 1), (row + 1, column + 1)),
        2: ((row + 1, column + 1), (row + 1, column)),
        3: ((row + 1, column), (row, column)),
    }
    (r1, c1), (r2, c2) = quarters[way]
    return bool(inside[r1, c1]), bool(inside[r2, c2])
