"""Masks to outlines: the border between a mask's pixels and the rest, with no more corners than it needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_FOUR_NEIGHBOURS = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


def parts(mask: Mask, *, least_pixels: float, most: int) -> list[Mask]:
    """Its connected parts, the largest first."""
    numbered, count = label(mask, structure=_FOUR_NEIGHBOURS)
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")[:most]
    return [numbered == number + 1 for number in order if sizes[number] >= max(least_pixels, 1)]


def outline(part: Mask, *, tolerance: float) -> FloatArray:
    """(n, 2) corners, column and row, of the outer border of a connected part, clockwise, not closed.

    tolerance: pixels by which a corner may be off the border when others are left out.
    """
    ring = _border(part)
    # The two corners that lie farthest from each other, roughly, halve the ring.
    far = int(np.argmax(np.linalg.norm(ring - ring[0], axis=1)))
    first = _simplified(ring[: far + 1], tolerance)
    second = _simplified(np.concatenate([ring[far:], ring[:1]]), tolerance)
    return np.concatenate([first[:-1], second[:-1]])


def _border(part: Mask) -> FloatArray:
    """Pixel edges with the part on their right hand, chained from the topmost left corner on: the outer ring."""
    padded = np.pad(part, 1)
    follows: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (rows, columns), start, end in (
        (np.nonzero(padded[1:, :] & ~padded[:-1, :]), (1, 0), (1, 1)),  # above: to the right
        (np.nonzero(padded[:, :-1] & ~padded[:, 1:]), (0, 1), (1, 1)),  # at the right: downwards
        (np.nonzero(padded[:-1, :] & ~padded[1:, :]), (1, 1), (1, 0)),  # below: to the left
        (np.nonzero(padded[:, 1:] & ~padded[:, :-1]), (1, 1), (0, 1)),  # at the left: upwards
    ):
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            a, b = (row + start[0], column + start[1]), (row + end[0], column + end[1])
            follows.setdefault(a, []).append(b)
    first = min(follows)
    ring, at = [first], follows[first][0]
    while at != first:
        before = ring[-1]
        ring.append(at)
        at = _next(before, at, follows[at])
    return np.array([(column - 1, row - 1) for row, column in ring], dtype=np.float64)


def _next(before: tuple[int, int], at: tuple[int, int], ways: list[tuple[int, int]]) -> tuple[int, int]:
    """Where two pixels of the part touch at a corner there are two ways: the one to the right stays with this pixel."""
    if len(ways) == 1:
        return ways[0]
    down, right = at[0] - before[0], at[1] - before[1]
    return next(way for way in ways if (way[0] - at[0], way[1] - at[1]) == (right, -down))


def _simplified(line: FloatArray, tolerance: float) -> FloatArray:
    """Douglas and Peucker: the farthest point from the chord stays while it is off by more than the tolerance."""
    keep = np.zeros(len(line), dtype=bool)
    keep[[0, -1]] = True
    waiting = [(0, len(line) - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        chord = line[last] - line[first]
        between = line[first + 1 : last] - line[first]
        length = float(np.linalg.norm(chord))
        off = (
            np.abs(chord[0] * between[:, 1] - chord[1] * between[:, 0]) / length
            if length > 0
            else np.linalg.norm(between, axis=1)
        )
        farthest = int(np.argmax(off))
        if off[farthest] > tolerance:
            middle = first + 1 + farthest
            keep[middle] = True
            waiting += [(first, middle), (middle, last)]
    return line[keep]
