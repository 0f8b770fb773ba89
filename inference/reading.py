"""A file to a `Radiograph`: the one place where DICOM pixels become grays as displayed.

What cannot be shown rightly is refused in one plain sentence: never a crash, never wrong pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    RLELossless,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from domain.errors import HoundsfieldError, ImageUnreadable
from domain.types import InstanceRef, Radiograph, Species
from inference import header
from inference.grayscale import Lut, Rescale, StoredFormat, Transform, Window, WindowFunction, Words, display

MAX_PIXELS = 100_000_000  # three times the largest flat panel; decoding needs about ten bytes for each
MIN_SIDE_PIXELS = 2
MAX_LUT_ENTRIES = 65536

_FOR_PROCESSING = (
    DigitalXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalIntraOralXRayImageStorageForProcessing,
)
_FLUOROSCOPY = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage)
_UNTOUCHED: Any = {"correct_unused_bits": False, "view_only": True}  # pydicom types options by a union that bool is not in
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


class NotAnImage(HoundsfieldError):
    """An object without pixels by its nature, such as a report, a PDF or a presentation state."""


def read_radiograph(path: Path, *, assumed_species: Species | None) -> Radiograph:
    """The image as a viewer displays it (PS3.4 N.2) and what its header claims.

    assumed_species: of the sender, for a header that names none. NotAnImage for objects that hold no image by their nature;
    ImageUnreadable, with the reason in words, for everything that cannot be displayed rightly.
    """
    ds = _read(path)
    _require_image(ds)
    stored = _require_grayscale(ds)
    words, stored = _decode(ds, stored)
    pixels = display(words, _transform(ds, stored))
    region = header.region_of(ds)
    spacing, spacing_source = header.spacing_of(ds)
    return Radiograph(
        ref=_ref(ds),
        pixels=pixels,
        spacing_mm=spacing,
        spacing_source=spacing_source,
        pixel_aspect=header.pixel_aspect_of(ds),
        modality=header.text(ds, "Modality"),
        view=header.view_of(ds, region),
        region=region,
        laterality=header.laterality_of(ds),
        patient=header.patient_of(ds, assumed_species),
    )


def read_ref(path: Path) -> InstanceRef:
    """Who an object is, for one that cannot be read further: from the file meta information; blank where that is broken."""
    try:
        meta = read_file_meta_info(path)
    except Exception:  # noqa: BLE001  whatever pydicom raises on a broken file, nothing is known
        return InstanceRef(sop_class_uid="", sop_instance_uid="")
    return InstanceRef(
        sop_class_uid=header.text(meta, "MediaStorageSOPClassUID"),
        sop_instance_uid=header.text(meta, "MediaStorageSOPInstanceUID"),
    )


def _read(path: Path) -> Dataset:
    try:
        ds = dcmread(path)
    except OSError as error:
        if error.errno is not None:
            raise ImageUnreadable(f"the file cannot be opened ({error.strerror})") from error
        raise ImageUnreadable("its structure is broken") from error
    except InvalidDicomError as error:
        raise ImageUnreadable("it is not a DICOM file: its preamble or file meta information is missing") from error
    except RecursionError as error:
        raise ImageUnreadable("its sequences are nested too deeply") from error
    except Exception as error:  # pydicom raises whatever the broken bytes provoke
        raise ImageUnreadable("its structure is broken") from error
    return ds


def _ref(ds: Dataset) -> InstanceRef:
    """The data set's identity, or that of its file meta information where the data set has none."""
    meta = getattr(ds, "file_meta", Dataset())
    return InstanceRef(
        sop_class_uid=header.text(ds, "SOPClassUID") or header.text(meta, "MediaStorageSOPClassUID"),
        sop_instance_uid=header.text(ds, "SOPInstanceUID") or header.text(meta, "MediaStorageSOPInstanceUID"),
    )


def _require_image(ds: Dataset) -> None:
    sop_class = UID(_ref(ds).sop_class_uid)
    if not any(keyword in ds for keyword in _PIXELS):
        if "Image Storage" in sop_class.name or header.whole(ds, "Rows"):
            raise ImageUnreadable("it holds no pixel data")
        raise NotAnImage("the object holds no image")
    frames = header.number(ds, "NumberOfFrames")
    if frames is not None and frames > 1:
        raise ImageUnreadable(f"it holds {int(frames)} frames, and only single images are read")
    if sop_class in _FOR_PROCESSING or header.text(ds, "PresentationIntentType").upper() == "FOR PROCESSING":
        raise ImageUnreadable("it is For Processing, raw detector values; set the sender to send For Presentation")


def _require_grayscale(ds: Dataset) -> StoredFormat:
    rows, columns = header.whole(ds, "Rows") or 0, header.whole(ds, "Columns") or 0
    if min(rows, columns) < MIN_SIDE_PIXELS:
        raise ImageUnreadable("its number of rows or columns is missing")
    if rows * columns > MAX_PIXELS:
        raise ImageUnreadable(
            f"it is too large: {columns} × {rows} pixels, at most {MAX_PIXELS // 1_000_000} million are read"
        )
    photometric = header.text(ds, "PhotometricInterpretation")
    if (header.whole(ds, "SamplesPerPixel") or 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageUnreadable("it is not a grayscale image" if photometric else "its photometric interpretation is missing")
    allocated, stored = header.whole(ds, "BitsAllocated"), header.whole(ds, "BitsStored")
    if "PixelData" not in ds or allocated not in (8, 16):
        raise ImageUnreadable("it does not store 8 or 16 bits a pixel")
    stored = allocated if stored is None else stored
    high = header.whole(ds, "HighBit")
    high = stored - 1 if high is None else high
    if not (1 <= stored <= allocated and stored - 1 <= high < allocated):
        raise ImageUnreadable(f"its bits contradict each other: {stored} stored of {allocated}, the highest is {high}")
    signed = header.whole(ds, "PixelRepresentation") == 1
    return StoredFormat(bits_allocated=allocated, bits_stored=stored, high_bit=high, signed=signed)


def _decode(ds: Dataset, stored: StoredFormat) -> tuple[Words, StoredFormat]:
    """Unsigned words (rows, columns) and how the values lie in them, which a codec may have changed."""
    syntax = UID(header.text(ds.file_meta, "TransferSyntaxUID"))
    if not syntax.is_transfer_syntax:
        raise ImageUnreadable("its transfer syntax is missing or unknown")
    _require_data(ds, stored, syntax)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise ImageUnreadable(f"its compression is not supported: {syntax.name}") from error
    if not decoder.is_available:
        raise ImageUnreadable(f"its compression is not supported: {syntax.name}")
    try:
        # The unused bits are masked with the rest of the chain, in one look-up.
        array, _ = decoder.as_array(ds, raw=True, **_UNTOUCHED)
    except Exception as error:  # codecs raise whatever the broken bytes provoke
        raise ImageUnreadable(f"its pixel data could not be decoded ({syntax.name})") from error
    expected = (header.whole(ds, "Rows"), header.whole(ds, "Columns"))
    if array.shape != expected or array.dtype.kind not in "iu" or array.dtype.itemsize > 2:
        raise ImageUnreadable("its pixel data does not have the size that its header says")
    if syntax.is_compressed and syntax != RLELossless and not syntax.is_deflated:
        stored = _as_decoded(array, stored)
    native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return native.view(f"u{native.dtype.itemsize}"), stored


def _require_data(ds: Dataset, stored: StoredFormat, syntax: UID) -> None:
    data = header.value(ds, "PixelData")
    length = len(data) if isinstance(data, bytes | bytearray | memoryview) else 0
    if length == 0:
        raise ImageUnreadable("its pixel data is empty")
    if syntax.is_encapsulated:
        return
    needed = int(ds.Rows) * int(ds.Columns) * stored.bits_allocated // 8
    if length < needed:
        raise ImageUnreadable(
            f"its pixel data is cut short: {length} of {needed} bytes; the transfer may have been interrupted"
        )


def _as_decoded(array: npt.NDArray[Any], stored: StoredFormat) -> StoredFormat:
    """A codec returns values, not words: sign and size are the array's, and a header that says fewer bits is wrong."""
    signed = array.dtype.kind == "i"
    allocated = array.dtype.itemsize * 8
    low, high = int(array.min()), int(array.max())
    bits = min(stored.bits_stored, allocated)
    half = 1 << (bits - 1)
    fits = (-half <= low and high < half) if signed else high < 2 * half
    bits = bits if fits else allocated
    return StoredFormat(bits_allocated=allocated, bits_stored=bits, high_bit=bits - 1, signed=signed)


def _transform(ds: Dataset, stored: StoredFormat) -> Transform:
    photometric = header.text(ds, "PhotometricInterpretation")
    shape = header.text(ds, "PresentationLUTShape").upper()
    return Transform(
        format=stored,
        modality=_modality(ds, stored),
        voi=_voi_lut(ds, stored) or _window(ds),
        # MONOCHROME1 and Presentation LUT Shape INVERSE say the same thing twice (PS3.3 C.8.11.3.1.2): inverted once.
        inverse=photometric == "MONOCHROME1" or shape == "INVERSE",
        padding=_padding(ds, stored),
    )


def _modality(ds: Dataset, stored: StoredFormat) -> Rescale | Lut:
    """Angiography and fluoroscopy give their Modality LUT for measuring, not for display (PS3.3 C.8.7.1.1.2)."""
    if UID(_ref(ds).sop_class_uid) in _FLUOROSCOPY:
        return Rescale()
    found = _lut(ds, "ModalityLUTSequence", signed=stored.signed)
    if found is not None:
        return found
    slope, intercept = header.number(ds, "RescaleSlope"), header.number(ds, "RescaleIntercept")
    return Rescale(slope=slope if slope else 1.0, intercept=intercept or 0.0)


def _voi_lut(ds: Dataset, stored: StoredFormat) -> Lut | None:
    intercept = header.number(ds, "RescaleIntercept") or 0.0
    return _lut(ds, "VOILUTSequence", signed=stored.signed or intercept < 0)


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


def _lut(ds: Dataset, sequence: str, *, signed: bool) -> Lut | None:
    """The sequence's first look-up table (PS3.3 C.11.1.1, C.11.2.1.1), None when there is none or it is broken."""
    for item in header.items(ds, sequence)[:1]:
        descriptor = [int(part) for part in header.numbers(item, "LUTDescriptor")]
        if len(descriptor) != 3:
            return None
        length, first, bits = descriptor
        length = length % 65536 or MAX_LUT_ENTRIES  # 0 means 65536; read as signed, 32768 and more are negative
        entries = _lut_entries(item, length, big_endian=ds.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian)
        if entries is None or not 1 <= bits <= 16:
            return None
        first = first - 65536 if signed and first > 32767 else first + 65536 if not signed and first < 0 else first
        # Tables exist that say 8 bits and hold 16.
        full_scale = max((1 << bits) - 1, (1 << int(entries.max()).bit_length()) - 1)
        return Lut(first=first, entries=entries.astype(np.float64), full_scale=float(full_scale))
    return None


def _lut_entries(item: Dataset, length: int, *, big_endian: bool) -> npt.NDArray[np.int64] | None:
    data = header.value(item, "LUTData")
    if isinstance(data, bytes | bytearray):
        if length <= len(data) < 2 * length:
            return np.frombuffer(data, dtype=np.uint8)[:length].astype(np.int64)
        found = np.frombuffer(data[: len(data) // 2 * 2], dtype=">u2" if big_endian else "<u2").astype(np.int64)
    else:
        found = np.asarray([int(entry) % 65536 for entry in header.numbers(item, "LUTData")], dtype=np.int64)
    return found[:length] if len(found) >= length else None


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
