"""From stored pixel values to grays as displayed: PS3.4 N.2 with PS3.3 C.11.1 (Modality LUT) and C.11.2 (VOI LUT).

Every step depends on a pixel's value alone, so the whole chain is computed once for each possible stored word and looked up:

    stored word → bits stored, sign → modality LUT or rescale → VOI LUT or window → polarity → 0 black … 1 white
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from domain.errors import ImageUnreadable

FloatArray = npt.NDArray[np.float64]
Grays = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# Without a window, this share of the pixels at either end may be clipped: one dead pixel must not darken an image.
CLIPPED_SHARE = 0.0005
# What differs by less than this, from black 0 to white 1, is one gray on a screen of 256.
LEAST_CONTRAST = 2 / 255
# A window may hide an image that holds at least so many values; fewer are the noise of a detector that saw nothing.
FEWEST_VALUES = 16
# Beyond it a modality value is a broken header's: sums and differences of such numbers have an end.
LARGEST_VALUE = 1e30
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

    out: where to put them. An image is looked up in strips: NumPy makes eight bytes of each index. Where the header's
    window shows nothing, the image's own range is shown. ImageUnreadable where that is one gray too: a model would find it
    normal.
    """
    count = _count(words, transform.format)
    shades, padded = _shades(count, transform)
    count[padded] = 0
    if transform.voi is not None and not _contrast(count, shades) and np.count_nonzero(count) >= FEWEST_VALUES:
        shades, _ = _shades(count, replace(transform, voi=None))
    if not _contrast(count, shades):
        raise ImageUnreadable("no_contrast")
    out = np.empty(words.shape, dtype=np.float32) if out is None else out
    for rows in _strips(words):
        np.take(shades, words[rows], out=out[rows], mode="clip")
    return out


def _count(words: Words, stored: StoredFormat) -> FloatArray:
    """How often each possible word occurs."""
    count = np.zeros(1 << stored.bits_allocated)
    for rows in _strips(words):
        count += np.bincount(words[rows].ravel(), minlength=len(count))
    return count


def _shades(count: FloatArray, transform: Transform) -> tuple[Grays, npt.NDArray[np.bool_]]:
    """The gray of each possible word, and which words are no image. ImageUnreadable for values that no number holds."""
    stored = stored_values(transform.format)
    with np.errstate(over="ignore", invalid="ignore"):
        values = transform.modality.apply(stored.astype(np.float64))
    unsound = ~(np.abs(values) <= LARGEST_VALUE)
    padded = np.zeros(len(stored), dtype=bool)
    if transform.padding is not None:
        padded = (stored >= transform.padding[0]) & (stored <= transform.padding[1])
    if (count[unsound & ~padded] > 0).any():
        raise ImageUnreadable("values_unsound")
    values[unsound] = 0.0
    if transform.counts:
        values, padded = _absorbed(values), padded | (values <= 0)
    if isinstance(transform.voi, Window):
        grays = transform.voi.apply(values)
    elif isinstance(transform.voi, Lut):
        grays = transform.voi.apply(values) / transform.voi.full_scale
    else:
        low, high = _own_range(np.where(padded, 0, count), values)
        grays = np.clip((values - low) / (high - low), 0, 1) if high > low else np.full(len(values), 0.5)
    if transform.inverse:
        grays = 1 - grays
    return np.where(padded, 0.0, grays).astype(np.float32), padded


def _contrast(count: FloatArray, shades: Grays) -> bool:
    """Whether the pixels, less the few at either end, differ at all as they are shown."""
    low, high = _ends(count, shades.astype(np.float64))
    return high - low >= LEAST_CONTRAST


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


def _own_range(count: FloatArray, values: FloatArray) -> tuple[float, float]:
    """Lowest and highest value that the image holds, less the few at either end."""
    low, high = _ends(count, values)
    held = values[count > 0]
    return (low, high) if high > low or len(held) == 0 else (float(held.min()), float(held.max()))


def _ends(count: FloatArray, values: FloatArray) -> tuple[float, float]:
    """What CLIPPED_SHARE of the pixels lie below and above; count: how many pixels have each of the values."""
    held = np.flatnonzero(count)
    if len(held) == 0:
        return 0.0, 0.0
    held = held[np.argsort(values[held], kind="stable")]
    share = np.cumsum(count[held]) / count[held].sum()
    low, high = np.searchsorted(share, (CLIPPED_SHARE, 1 - CLIPPED_SHARE))
    return float(values[held[int(low)]]), float(values[held[int(high)]])
