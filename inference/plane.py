"""A radiograph on a model's input: made upright, resized, laid on a black ground, its grays mapped; and the way back.

Training and inference call the same functions, so that a model sees in the clinic what it saw when it learnt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from domain.types import Orientation

FloatArray = npt.NDArray[np.float64]
Grays = npt.NDArray[np.float32]
Fit = Literal["letterbox", "crop", "squash"]
AS_IT_CAME = Orientation()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """values: (rows, columns) float32 0..1.

    A source point p, (column, row) from the outer corner of the first pixel, lies at matrix @ p + offset in the plane.
    """

    values: Grays = field(repr=False)
    matrix: FloatArray  # (2, 2): a scale for each direction, and the quarter turns and the mirror that made it upright
    offset: FloatArray  # (2,)

    def from_source(self, points: npt.ArrayLike) -> FloatArray:
        """(…, 2) to (…, 2)."""
        return np.asarray(np.asarray(points, dtype=np.float64) @ self.matrix.T + self.offset)

    def to_source(self, points: npt.ArrayLike) -> FloatArray:
        """(…, 2) to (…, 2)."""
        return np.asarray((np.asarray(points, dtype=np.float64) - self.offset) @ np.linalg.inv(self.matrix).T)

    def in_pixels_of_one_shape(self, points: npt.ArrayLike, *, pixel_aspect: float) -> FloatArray:
        """Points of the plane as source points whose unit is the width of a source pixel in both directions."""
        return self.to_source(points) * (1.0, pixel_aspect)


def whole(values: Grays) -> Plane:
    """Pixels that are the model's input already."""
    return Plane(values=values, matrix=np.eye(2), offset=np.zeros(2))


def fit(
    pixels: Grays,
    *,
    pixel_aspect: float,
    rows: int,
    columns: int,
    low_percent: float | None,
    high_percent: float | None,
    how: Fit = "letterbox",
    orientation: Orientation = AS_IT_CAME,
) -> Plane:
    """The image on (rows, columns), its grays stretched between two percentiles (as they are where those are None).

    pixels: (source rows, source columns) 0..1. pixel_aspect: height over width of one source pixel.
    how: "letterbox", the whole image and black beside it; "crop", the middle of it; "squash", the whole, its shape lost.
    """
    source_rows, source_columns = pixels.shape
    sideways = orientation.quarter_turns % 2 == 1
    height, width = source_rows * pixel_aspect, float(source_columns)
    upright_height, upright_width = (width, height) if sideways else (height, width)
    scale_columns, scale_rows = columns / upright_width, rows / upright_height
    if how != "squash":
        one = min(scale_columns, scale_rows) if how == "letterbox" else max(scale_columns, scale_rows)
        scale_columns = scale_rows = one
    inner_columns = max(round(upright_width * scale_columns), 1)
    inner_rows = max(round(upright_height * scale_rows), 1)
    size = (inner_columns, inner_rows) if sideways else (inner_rows, inner_columns)
    inner = _upright(resize(pixels, *size), orientation)
    left, top = (columns - inner_columns) // 2, (rows - inner_rows) // 2
    shown = inner[max(-top, 0) : max(-top, 0) + rows, max(-left, 0) : max(-left, 0) + columns]
    if low_percent is not None and high_percent is not None:
        shown = stretch(shown, low_percent=low_percent, high_percent=high_percent)
    values = np.zeros((rows, columns), dtype=np.float32)
    at_row, at_column = max(top, 0), max(left, 0)
    values[at_row : at_row + shown.shape[0], at_column : at_column + shown.shape[1]] = shown
    turn, shift = _turning(source_rows, source_columns, orientation)
    upright = (source_columns, source_rows) if sideways else (source_rows, source_columns)
    scale = np.array([inner_columns / upright[1], inner_rows / upright[0]])
    return Plane(values=values, matrix=scale[:, None] * turn, offset=scale * shift + (left, top))


def _upright(pixels: Grays, orientation: Orientation) -> Grays:
    return np.rot90(pixels[:, ::-1] if orientation.mirrored else pixels, -orientation.quarter_turns)


def _turning(rows: int, columns: int, orientation: Orientation) -> tuple[FloatArray, FloatArray]:
    """Matrix and shift from points of an image to points of the same image made upright, in its own pixels."""
    matrix, shift = np.eye(2), np.zeros(2)
    if orientation.mirrored:
        matrix, shift = np.array([[-1.0, 0.0], [0.0, 1.0]]), np.array([float(columns), 0.0])
    clockwise = np.array([[0.0, -1.0], [1.0, 0.0]])  # the first row becomes the last column
    for _ in range(orientation.quarter_turns % 4):
        matrix, shift = clockwise @ matrix, clockwise @ shift + (rows, 0.0)
        rows, columns = columns, rows
    return matrix, shift


def resize(pixels: Grays, rows: int, columns: int) -> Grays:
    """Averages where it shrinks, a cubic where it grows; (rows, columns), within the range that pixels had.

    It shrinks as Pillow does with reducing_gap: whole blocks are averaged down to about twice the size, the rest is a
    triangle over all of them, so that nothing is aliased. Band by band, because Pillow copies what it is given.
    """
    height, width = pixels.shape
    if rows > height or columns > width:
        grown = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32)).resize((columns, rows), _CUBIC)
        return np.clip(np.asarray(grown, dtype=np.float32), pixels.min(), pixels.max())
    across, down = max(int(width / columns / _GAP), 1), max(int(height / rows / _GAP), 1)
    step = max(_BAND_ROWS // down, 1) * down
    bands = [_averaged(pixels[top : top + step], across, down) for top in range(0, height, step)]
    reduced = Image.fromarray(np.concatenate(bands))
    return np.asarray(
        reduced.resize((columns, rows), _TRIANGLE, box=(0, 0, width / across, height / down)), dtype=np.float32
    )


def _averaged(band: Grays, across: int, down: int) -> Grays:
    """Blocks of down × across; those at the right and lower borders of what there is."""
    image = Image.fromarray(np.ascontiguousarray(band, dtype=np.float32))
    return np.asarray(image.reduce((across, down)), dtype=np.float32)


_GAP = 2.0
_BAND_ROWS = 256
_CUBIC, _TRIANGLE = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR


def stretch(values: Grays, *, low_percent: float, high_percent: float) -> Grays:
    """These percentiles become 0 and 1, what is beyond them is clipped. An image of one gray is black."""
    low, high = np.percentile(values, [low_percent, high_percent])
    if high - low < 1e-6:
        return np.zeros_like(values)
    return np.asarray(np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1), dtype=np.float32)
