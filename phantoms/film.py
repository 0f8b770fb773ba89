"""What lies between the detector and the picture's edge: collimation, unused plate, side markers, labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from phantoms.solids import FloatArray

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Border:
    """Shares of the width or height that are covered, and the grey they show."""

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    grey: float = 0.0

    def inside(self, rows: int, columns: int) -> tuple[FloatArray, FloatArray]:
        """(left, top) and (right, bottom) of what is left, in pixels."""
        low = np.array([self.left * columns, self.top * rows])
        return low, np.array([(1 - self.right) * columns, (1 - self.bottom) * rows])


def draw_border(rng: np.random.Generator, variety: float = 1.0) -> Border:
    shares = rng.uniform(0, 0.05, 4) * (rng.random(4) < 0.6) * (rng.random() < 0.45)
    if rng.random() < 0.3:  # a plate of another shape than the picture
        sides = [0, 2] if rng.random() < 0.7 else [1, 3]
        shares[sides] += rng.uniform(0.0, 0.14, 2) * variety
    left, top, right, bottom = shares.tolist()
    return Border(left=left, top=top, right=right, bottom=bottom, grey=float(rng.random() < 0.15))


def add_border(pixels: Plane, border: Border) -> Plane:
    low, high = border.inside(*pixels.shape)
    result = pixels.copy()
    left, top, right, bottom = (int(v) for v in (*np.floor(low), *np.ceil(high)))
    result[:top] = result[bottom:] = result[:, :left] = result[:, right:] = border.grey
    return result


def add_markers(pixels: Plane, rng: np.random.Generator, *, side: str, often: float) -> Plane:
    """A lead letter for the side, and now and then a label or tape."""
    rows, columns = pixels.shape
    scale = rows / 256
    result = pixels
    if rng.random() < often:
        height = int(rng.uniform(9, 18) * scale)
        at = (int(rng.uniform(0.03, 0.9) * columns), int(rng.choice([0.03, 0.86]) * rows))
        stamp = letters(side, height)
        result = _stamp(result, stamp, at, float(rng.uniform(0.75, 1.0)))
    for _ in range(rng.integers(0, 2)):
        size = (int(rng.uniform(4, 12) * scale), int(rng.uniform(4, 30) * scale))
        at = (int(rng.uniform(0, 0.85) * columns), int(rng.choice([rng.uniform(0, 0.2), rng.uniform(0.82, 0.9)]) * rows))
        result = _stamp(result, np.ones(size, np.float32), at, float(rng.uniform(0.2, 0.9)))
    return result


def letters(text: str, height: int) -> Plane:
    """White letters on black, (height, n)."""
    font = ImageFont.load_default(size=max(height, 6))
    left, top, right, bottom = font.getbbox(text)
    canvas = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font)
    return np.asarray(canvas, dtype=np.float32) / np.float32(255)


def _stamp(pixels: Plane, stamp: Plane, at: tuple[int, int], strength: float) -> Plane:
    """at: (column, row) of the upper left corner; what does not fit is cut off."""
    column, row = at
    height = min(stamp.shape[0], pixels.shape[0] - row)
    width = min(stamp.shape[1], pixels.shape[1] - column)
    if height < 1 or width < 1:
        return pixels
    result = pixels.copy()
    part = result[row : row + height, column : column + width]
    part += (1 - part) * stamp[:height, :width] * np.float32(strength)
    return result
