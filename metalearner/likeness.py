"""Images that look alike: the same film sent twice, exported again, or cropped a little.

Fine structure is compared, not the gross shape, since all lateral thoraxes look alike when blurred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from inference.manifest import Input
from metalearner.collection import Collection
from metalearner.planes import planes

SIDE = 64
ALIKE = 0.8  # correlation from which on: exports of one film have 0.97 and more, cropped by 1 % 0.8, other films below 0.65
_STRUCTURE_PIXELS = 3.0  # of the small image; coarser shades are left out
_ROWS_AT_A_TIME = 512
_WANTED = Input(name="image", rows=SIDE, columns=SIDE, fit="squash", low_percent=1.0, high_percent=99.0)

Features = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    first: int
    second: int
    correlation: float


def features(collection: Collection, images: Sequence[str], *, told: Callable[[int], None] | None = None) -> Features:
    """(n, SIDE²), each of length 1: the products of two rows are correlations."""
    return features_of(planes(collection, images, _WANTED, told=told).values)


def features_of(grays: npt.NDArray[np.uint8]) -> Features:
    """grays: (n, rows, columns)."""
    found = np.zeros((len(grays), int(np.prod(grays.shape[1:]))), dtype=np.float32)
    for number, image in enumerate(grays):
        small = image.astype(np.float32) / np.float32(255)
        fine = (small - gaussian_filter(small, _STRUCTURE_PIXELS)).ravel()
        fine -= fine.mean()
        length = float(np.linalg.norm(fine))
        if length > 0:
            found[number] = fine / length
    return found


def pairs_alike(of: Features, *, least: float = ALIKE) -> Iterator[Pair]:
    """Every pair that correlates that much, the first before the second."""
    for start in range(0, len(of), _ROWS_AT_A_TIME):
        products = of[start : start + _ROWS_AT_A_TIME] @ of[start:].T
        for row, column in zip(*np.nonzero(products >= least), strict=True):
            if column > row:
                correlation = float(products[row, column])
                yield Pair(first=start + int(row), second=start + int(column), correlation=correlation)
