"""The luminance of colour images: screenshots, photographs and scanned films (PS3.3 C.7.6.3.1.2, C.7.9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from domain.errors import ImageUnreadable
from inference.grayscale import Lut, Rescale, StoredFormat, Transform, Window, WindowFunction, Words
from inference.transform import table

Floats = npt.NDArray[np.float32]

ONE_SAMPLE = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
THREE_SAMPLES = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT")
_WITH_CHROMINANCE = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422")  # codecs return YBR_ICT and YBR_RCT as RGB
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114  # ITU-R BT.601, as YBR_FULL is defined
_ROWS_AT_ONCE = 64


def luminance(words: npt.NDArray[Any], ds: Dataset, stored: StoredFormat, photometric: str) -> tuple[Words, Transform]:
    """words: (rows, columns, 3), or (rows, columns) indices of a palette. Their luminance, and what shows its range."""
    if photometric == "PALETTE COLOR":
        return words, _of_palette(ds, stored)
    weights = np.array((_RED, _GREEN, _BLUE), dtype=np.float32)
    full_scale = (1 << stored.bits_stored) - 1
    gray = np.empty(words.shape[:2], dtype=words.dtype.newbyteorder("="))
    for row in range(0, len(words), _ROWS_AT_ONCE):  # floats of the whole image would be eight times its size
        strip = words[row : row + _ROWS_AT_ONCE].astype(np.float32)
        if photometric in _WITH_CHROMINANCE:
            strip = _red_green_blue(strip, full_scale)
        gray[row : row + _ROWS_AT_ONCE] = np.rint(strip @ weights)
    return gray, _whole_range(StoredFormat.of_words(gray.dtype.itemsize * 8), float(full_scale))


def _red_green_blue(samples: Floats, full_scale: int) -> Floats:
    """Of luminance and chrominance, clipped to what a screen shows; (rows, columns, 3)."""
    light, blue, red = (samples[..., channel] for channel in range(3))
    blue, red = blue - (full_scale + 1) // 2, red - (full_scale + 1) // 2
    mixed = np.stack((light + 1.402 * red, light - 0.344136 * blue - 0.714136 * red, light + 1.772 * blue), axis=-1)
    return np.asarray(np.clip(mixed, 0, full_scale), dtype=np.float32)


def _whole_range(stored: StoredFormat, full_scale: float) -> Transform:
    window = Window(center=0.5, width=1, function=WindowFunction.LINEAR_EXACT)
    return Transform(format=stored, modality=Rescale(slope=1 / full_scale), voi=window)


def _of_palette(ds: Dataset, stored: StoredFormat) -> Transform:
    values = np.arange(1 << stored.bits_stored, dtype=np.float64)
    luminous = np.zeros(len(values))
    for colour, share in (("Red", _RED), ("Green", _GREEN), ("Blue", _BLUE)):
        name = f"{colour}PaletteColorLookupTable"
        found = table(ds, f"{name}Descriptor", f"{name}Data", signed=False)
        if found is None:
            raise ImageUnreadable("palette_broken")
        luminous += share * found.apply(values) / found.full_scale
    return replace(_whole_range(stored, 1.0), modality=Lut(first=0, entries=luminous, full_scale=1.0))


def full(words: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
    """YBR_FULL_422 without compression, Y Y B R for two pixels, as (rows, columns, 3): PS3.3 C.7.6.3.1.2."""
    pairs = words.reshape(rows, columns // 2, 4)
    samples = np.empty((rows, columns, 3), dtype=words.dtype)
    samples[:, 0::2, 0], samples[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    samples[:, 0::2, 1:], samples[:, 1::2, 1:] = pairs[..., 2:], pairs[..., 2:]
    return samples
