"""From stored pixel values to grays as displayed: PS3.4 N.2 with PS3.3 C.11.1 (Modality LUT) and C.11.2 (VOI LUT).

Every step depends on a pixel's value alone, so the whole chain is computed once for each possible stored word and looked up:

    stored word → bits stored, sign → modality LUT or rescale → VOI LUT or window → polarity → 0 black … 1 white
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Grays = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# Without a window, this share of the pixels at either end may be clipped: one dead pixel must not darken an image.
CLIPPED_SHARE = 0.0005
STRIP_PIXELS = 1 << 16


class WindowFunction(StrEnum):
    """PS3.3 C.11.2.1.3."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFormat:
    """How a pixel value lies in its word: PS3.5 8.1.1. Bits beyond those stored may hold overlays and are not looked at."""

    bits_allocated: int  # 8 or 16
    bits_stored: int
    high_bit: int
    signed: bool

    @classmethod
    def of_words(cls, bits: int) -> StoredFormat:
        """Every bit of an unsigned word."""
        return cls(bits_allocated=bits, bits_stored=bits, high_bit=bits - 1, signed=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, values: FloatArray) -> FloatArray:
        return values * self.slope + self.intercept


@dataclass(frozen=True, slots=True, kw_only=True)
class Lut:
    """entries for the values first, first + 1, …; values outside take the nearest entry. full_scale: the largest output."""

    first: int
    entries: FloatArray
    full_scale: float

    def apply(self, values: FloatArray) -> FloatArray:
        index = np.clip(np.floor(values) - self.first, 0, len(self.entries) - 1).astype(np.int64)
        return np.asarray(self.entries[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """PS3.3 C.11.2.1.2. ValueError for a width that the function does not allow."""

    center: float
    width: float
    function: WindowFunction = WindowFunction.LINEAR

    def __post_init__(self) -> None:
        least_is_one = self.function is WindowFunction.LINEAR
        if (
            not (np.isfinite(self.center) and np.isfinite(self.width))
            or self.width <= 0
            or (least_is_one and self.width < 1)
        ):
            raise ValueError(f"no {self.function} window has the width {self.width}")

    def apply(self, values: FloatArray) -> FloatArray:
        """0..1."""
        if self.function is WindowFunction.SIGMOID:
            exponent = np.clip(-4 * (values - self.center) / self.width, -700, 700)
            return np.asarray(1 / (1 + np.exp(exponent)))
        if self.function is WindowFunction.LINEAR_EXACT:
            return np.clip((values - self.center) / self.width + 0.5, 0, 1)
        center, width = self.center - 0.5, self.width - 1
        if width == 0:
            return (values > center).astype(np.float64)
        return np.clip((values - center) / width + 0.5, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A header's grayscale pipeline.

    voi: None shows the image's own range. inverse: small values are white.
    counts: the values count X-rays that arrived: their logarithm is shown, bone bright.
    padding: stored values, lowest and highest, that are no image (PS3.3 C.7.5.1.1.2): black, and no part of the range.
    """

    format: StoredFormat
    modality: Rescale | Lut = Rescale()
    voi: Window | Lut | None = None
    inverse: bool = False
    padding: tuple[int, int] | None = None
    counts: bool = False


def display(words: Words, transform: Transform, *, out: Grays | None = None) -> Grays:
    """words: unsigned words as stored, (rows, columns). Returns grays as displayed, 0 black to 1 white, same shape.

    out: where to put them. An image is looked up in strips: NumPy makes eight bytes of each index.
    """
    shades = _shades(words, transform)
    out = np.empty(words.shape, dtype=np.float32) if out is None else out
    for rows in _strips(words):
        np.take(shades, words[rows], out=out[rows], mode="clip")
    return out


def _shades(words: Words, transform: Transform) -> Grays:
    """The gray of each possible word."""
    stored = stored_values(transform.format)
    values = transform.modality.apply(stored.astype(np.float64))
    padded = np.zeros(len(stored), dtype=bool)
    if transform.padding is not None:
        padded = (stored >= transform.padding[0]) & (stored <= transform.padding[1])
    if transform.counts:
        values, padded = _absorbed(values), padded | (values <= 0)
    if isinstance(transform.voi, Window):
        grays = transform.voi.apply(values)
    elif isinstance(transform.voi, Lut):
        grays = transform.voi.apply(values) / transform.voi.full_scale
    else:
        low, high = _own_range(words, values, padded)
        grays = np.clip((values - low) / (high - low), 0, 1) if high > low else np.full(len(values), 0.5)
    if transform.inverse:
        grays = 1 - grays
    return np.where(padded, 0.0, grays).astype(np.float32)


def _absorbed(counts: FloatArray) -> FloatArray:
    """What the body took from the beam, as far as its logarithm tells: more where fewer counts arrived."""
    return np.asarray(-np.log(np.maximum(counts, 1.0)))


def _strips(words: Words) -> Iterator[slice]:
    step = max(1, STRIP_PIXELS // max(1, words.shape[1]))
    return (slice(row, row + step) for row in range(0, words.shape[0], step))


def stored_values(stored: StoredFormat) -> npt.NDArray[np.int64]:
    """The pixel value of each word 0 … 2**bits_allocated − 1."""
    words = np.arange(1 << stored.bits_allocated, dtype=np.int64)
    values = (words >> (stored.high_bit - stored.bits_stored + 1)) & ((1 << stored.bits_stored) - 1)
    if stored.signed:
        values -= (values >> (stored.bits_stored - 1)) << stored.bits_stored
    return values


def _own_range(words: Words, values: FloatArray, padded: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Lowest and highest value that the image holds, less the few at either end."""
    count = np.zeros(len(values))
    for rows in _strips(words):
        count += np.bincount(words[rows].ravel(), minlength=len(values))
    count[padded] = 0
    held = np.flatnonzero(count)
    if len(held) == 0:
        return 0.0, 0.0
    held = held[np.argsort(values[held], kind="stable")]
    share = np.cumsum(count[held]) / count[held].sum()
    low = values[held[int(np.searchsorted(share, CLIPPED_SHARE))]]
    high = values[held[int(np.searchsorted(share, 1 - CLIPPED_SHARE))]]
    return (float(low), float(high)) if high > low else (float(values[held].min()), float(values[held].max()))
