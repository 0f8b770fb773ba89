"""What a header says about showing its pixel values: the grayscale pipeline of PS3.4 N.2, read tolerantly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import (
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForProcessing,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from domain.types import InstanceRef
from inference import header
from inference.grayscale import Lut, Rescale, StoredFormat, Transform, Window, WindowFunction

MAX_LUT_ENTRIES = 65536

_FOR_PROCESSING = (
    DigitalXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalIntraOralXRayImageStorageForProcessing,
)
_FLUOROSCOPY = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage)


def transform_of(ds: Dataset, stored: StoredFormat, ref: InstanceRef) -> Transform:
    """How the values that lie so in their words become grays."""
    photometric = header.text(ds, "PhotometricInterpretation").upper()
    shape = header.text(ds, "PresentationLUTShape").upper()
    voi = _voi_lut(ds, stored) or _window(ds)
    # MONOCHROME1 and Presentation LUT Shape INVERSE say the same thing twice (PS3.3 C.8.11.3.1.2): inverted once.
    inverse = photometric == "MONOCHROME1" or shape == "INVERSE"
    counts = False
    if _is_for_processing(ds, ref) and voi is None:
        counts, inverse = _of_detector(ds, inverse=inverse)
    return Transform(
        format=stored,
        modality=_modality(ds, stored, ref),
        voi=voi,
        inverse=inverse,
        padding=_padding(ds, stored),
        counts=counts,
    )


def _is_for_processing(ds: Dataset, ref: InstanceRef) -> bool:
    return ref.sop_class_uid in _FOR_PROCESSING or header.text(ds, "PresentationIntentType").upper() == "FOR PROCESSING"


def _of_detector(ds: Dataset, *, inverse: bool) -> tuple[bool, bool]:
    """Whether raw values count X-rays, and whether they are shown inverted, so that bone is bright (PS3.3 C.8.11.3.1.2)."""
    relationship = header.text(ds, "PixelIntensityRelationship").upper()
    sign = header.whole(ds, "PixelIntensityRelationshipSign")
    if relationship == "LIN" and sign != -1:
        return True, False  # the logarithm's sign inverts
    if sign in (1, -1):
        return False, sign == 1
    return False, inverse


def _modality(ds: Dataset, stored: StoredFormat, ref: InstanceRef) -> Rescale | Lut:
    """Angiography and fluoroscopy give their Modality LUT for measuring, not for display (PS3.3 C.8.7.1.1.2)."""
    if ref.sop_class_uid in _FLUOROSCOPY:
        return Rescale()
    found = _first_table(ds, "ModalityLUTSequence", signed=stored.signed)
    if found is not None:
        return found
    slope, intercept = header.number(ds, "RescaleSlope"), header.number(ds, "RescaleIntercept")
    return Rescale(slope=slope if slope else 1.0, intercept=intercept or 0.0)


def _voi_lut(ds: Dataset, stored: StoredFormat) -> Lut | None:
    intercept = header.number(ds, "RescaleIntercept") or 0.0
    return _first_table(ds, "VOILUTSequence", signed=stored.signed or intercept < 0)


def _window(ds: Dataset) -> Window | None:
    """The first window whose values are sound: a viewer offers the others as alternatives."""
    name = header.text(ds, "VOILUTFunction").upper()
    function = next((known for known in WindowFunction if known.value == name), WindowFunction.LINEAR)
    for center, width in zip(header.numbers(ds, "WindowCenter"), header.numbers(ds, "WindowWidth"), strict=False):
        try:
            return Window(center=center, width=width, function=function)
        except ValueError:
            continue
    return None


def _first_table(ds: Dataset, sequence: str, *, signed: bool) -> Lut | None:
    """The sequence's first look-up table (PS3.3 C.11.1.1, C.11.2.1.1), None when there is none or it is broken."""
    for item in header.items(ds, sequence)[:1]:
        return table(item, "LUTDescriptor", "LUTData", signed=signed)
    return None


def table(ds: Dataset, descriptor: str, data: str, *, signed: bool) -> Lut | None:
    """signed: whether the first value mapped is. None for a table that does not hold what it describes."""
    described = [int(part) for part in header.numbers(ds, descriptor)]
    if len(described) != 3 or not 1 <= described[2] <= 16:
        return None
    length, first, bits = described
    length = length % 65536 or MAX_LUT_ENTRIES  # 0 means 65536; read as signed, 32768 and more are negative
    found = _entries(ds, data, length)
    if found is None:
        return None
    entries, width = found
    first = first - 65536 if signed and first > 32767 else first + 65536 if not signed and first < 0 else first
    # Tables exist that say 8 bits and hold 16, and that say 16 and hold 8.
    full_scale = max((1 << min(bits, width)) - 1, (1 << int(entries.max()).bit_length()) - 1)
    return Lut(first=first, entries=entries.astype(np.float64), full_scale=float(full_scale))


def _entries(ds: Dataset, keyword: str, length: int) -> tuple[npt.NDArray[np.int64], int] | None:
    """A table's entries and the bits that each of them takes."""
    data, width = header.value(ds, keyword), 16
    if isinstance(data, bytes | bytearray):
        if length <= len(data) < 2 * length:
            return np.frombuffer(data, dtype=np.uint8)[:length].astype(np.int64), 8
        little = ds.original_encoding[1] is not False
        found = np.frombuffer(data[: len(data) // 2 * 2], dtype="<u2" if little else ">u2").astype(np.int64)
    else:
        found = np.asarray([int(entry) % 65536 for entry in header.numbers(ds, keyword)], dtype=np.int64)
    if (length + 1) // 2 <= len(found) < length:  # two entries of 8 bits in each word of an element of words
        return found.astype("<u2").view(np.uint8)[:length].astype(np.int64), 8
    return (found[:length], width) if len(found) >= length else None


def _padding(ds: Dataset, stored: StoredFormat) -> tuple[int, int] | None:
    first = header.whole(ds, "PixelPaddingValue")
    if first is None:
        return None
    last = header.whole(ds, "PixelPaddingRangeLimit")
    ends = [_as_stored(one, stored) for one in (first, first if last is None else last)]
    return min(ends), max(ends)


def _as_stored(number: int, stored: StoredFormat) -> int:
    """US or SS by the Pixel Representation; where a writer chose the other, the same 16 bits are meant."""
    if stored.signed:
        return number - 65536 if number > 32767 else number
    return number + 65536 if number < 0 else number
