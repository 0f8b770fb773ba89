"""A radiograph on a model's input: resized, the same scale in both directions, centred on a black border; and the way back.

Training and inference call the same functions, so that a model sees in the clinic what it saw when it learnt.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

FloatArray = npt.NDArray[np.float64]
Grays = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """values: (rows, columns) float32 0..1.

    A source point p, (column, row) from the outer corner of the first pixel, lies at p * scale + offset in the plane.
    """

    values: Grays = field(repr=False)
    scale: tuple[float, float]  # (along columns, along rows): they differ where source pixels are not square
    offset: tuple[float, float]

    def from_source(self, points: npt.ArrayLike) -> FloatArray:
        return np.asarray(points, dtype=np.float64) * self.scale + self.offset

    def to_source(self, points: npt.ArrayLike) -> FloatArray:
        return np.asarray((np.asarray(points, dtype=np.float64) - self.offset) / self.scale)


def fit(pixels: Grays, *, pixel_aspect: float, rows: int, columns: int, low_percent: float, high_percent: float) -> Plane:
    """The whole image on (rows, columns), its grays stretched, its border 0.

    pixels: (source rows, source columns) 0..1. pixel_aspect: height over width of one source pixel.
    """
    source_rows, source_columns = pixels.shape
    scale = min(columns / source_columns, rows / (source_rows * pixel_aspect))
    inner_columns = min(max(round(source_columns * scale), 1), columns)
    inner_rows = min(max(round(source_rows * pixel_aspect * scale), 1), rows)
    inner = stretch(resize(pixels, inner_rows, inner_columns), low_percent=low_percent, high_percent=high_percent)
    left, top = (columns - inner_columns) // 2, (rows - inner_rows) // 2
    values = np.zeros((rows, columns), dtype=np.float32)
    values[top : top + inner_rows, left : left + inner_columns] = inner
    return Plane(
        values=values,
        scale=(inner_columns / source_columns, inner_rows / source_rows),
        offset=(float(left), float(top)),
    )


def resize(pixels: Grays, rows: int, columns: int) -> Grays:
    """Averages where it shrinks, a cubic where it grows; (rows, columns), within the range that pixels had."""
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    shrinks = rows <= image.height and columns <= image.width
    # Whole blocks are averaged down to twice the size, the rest is a triangle over all source pixels: no aliasing, and fast.
    resized = image.resize(
        (columns, rows), Image.Resampling.BILINEAR if shrinks else Image.Resampling.BICUBIC, reducing_gap=2.0
    )
    return np.clip(np.asarray(resized, dtype=np.float32), pixels.min(), pixels.max())


def stretch(values: Grays, *, low_percent: float, high_percent: float) -> Grays:
    """These percentiles become 0 and 1, what is beyond them is clipped. An image of one gray is black."""
    low, high = np.percentile(values, [low_percent, high_percent])
    if high - low < 1e-6:
        return np.zeros_like(values)
    return np.asarray(np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1), dtype=np.float32)
