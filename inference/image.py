"""A file's bytes to a `Radiograph`, in this process: the one place where DICOM pixels become grays as displayed.

What cannot be shown rightly is refused in one plain sentence: never wrong pixels. Decoders may crash or hang on hostile
bytes: `inference.reading` calls this in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID

from domain.errors import HoundsfieldError, ImageUnreadable
from domain.types import InstanceRef, Radiograph, Species
from inference import colour, header, signalment
from inference.decoding import Frame, decode
from inference.elements import Elements, PixelData, read_elements
from inference.grayscale import Grays, Rescale, StoredFormat, Transform, Words, display
from inference.transform import transform_of

MAX_PIXELS = 100_000_000  # three times the largest flat panel; decoding needs about twenty bytes for each
MIN_SIDE_PIXELS = 2
MAX_FRAMES = 100_000
_NATIVE_DECODER = "none needed"

Canvas = Callable[[int, int], Grays]  # (rows, columns) to memory for them


class NotAnImage(HoundsfieldError):
    """An object without pixels by its nature, such as a report, a PDF or a presentation state."""


def compose(
    content: memoryview, *, assumed_species: Species | None, canvas: Canvas, bounded: Callable[[int], None]
) -> Radiograph:
    """The image as a viewer displays it (PS3.4 N.2) and what its header claims.

    content: the file. assumed_species: of the sender, for a header that names none. canvas: where the pixels go.
    bounded: told how many samples will be decoded, before they are. NotAnImage for objects that hold no image by their
    nature; ImageUnreadable, with the reason, for everything that cannot be displayed rightly.
    """
    elements = read_elements(content)
    ds = elements.dataset
    ref = _ref(elements)
    pixels = _require_image(elements, ref)
    frame = _frame(ds)
    bounded(frame.rows * frame.columns * frame.samples)
    words, stored, decoder = _words(elements, pixels, frame)
    captured = frame.samples == 3 or frame.photometric == "PALETTE COLOR"
    if captured:
        words, transform = colour.luminance(words, ds, stored, frame.photometric)
    elif words.dtype.itemsize > 2:
        words, transform = _narrowed(words, transform_of(ds, stored, ref))
    else:
        transform = transform_of(ds, stored, ref)
    shown = display(words, transform, out=canvas(frame.rows, frame.columns))
    region = header.region_of(ds)
    spacing, spacing_source = header.spacing_of(ds)
    return Radiograph(
        ref=replace(ref, frame_number=frame.number + 1) if frame.frames > 1 else ref,
        pixels=shown,
        spacing_mm=spacing,
        spacing_source=spacing_source,
        pixel_aspect=header.pixel_aspect_of(ds),
        modality=header.text(ds, "Modality"),
        view=header.view_of(ds, region),
        region=region,
        laterality=header.laterality_of(ds),
        patient=signalment.patient_of(ds, assumed_species),
        decoder=decoder,
        burned_in=captured or header.is_capture(ds),
        frames=frame.frames,
    )


def _ref(elements: Elements) -> InstanceRef:
    """The data set's identity, or that of its file meta information where the data set has none."""
    ds, meta = elements.dataset, elements.meta
    return InstanceRef(
        sop_class_uid=header.text(ds, "SOPClassUID") or header.text(meta, "MediaStorageSOPClassUID"),
        sop_instance_uid=header.text(ds, "SOPInstanceUID") or header.text(meta, "MediaStorageSOPInstanceUID"),
    )


def _require_image(elements: Elements, ref: InstanceRef) -> PixelData:
    if elements.pixels is not None:
        return elements.pixels
    if "Image Storage" in UID(ref.sop_class_uid).name or header.whole(elements.dataset, "Rows"):
        raise ImageUnreadable("no_pixels")
    raise NotAnImage("the object holds no image")


def _frame(ds: Dataset) -> Frame:
    """Which frame is shown, and what the header says of it. All bounds are checked here, before anything is decoded."""
    rows, columns = header.whole(ds, "Rows") or 0, header.whole(ds, "Columns") or 0
    if min(rows, columns) < MIN_SIDE_PIXELS:
        raise ImageUnreadable("size_missing")
    if rows * columns > MAX_PIXELS:
        raise ImageUnreadable("too_large", columns=columns, rows=rows, limit=MAX_PIXELS // 1_000_000)
    photometric = header.text(ds, "PhotometricInterpretation").upper()
    samples = header.whole(ds, "SamplesPerPixel") or (3 if photometric in colour.THREE_SAMPLES else 1)
    if photometric not in (colour.THREE_SAMPLES if samples == 3 else colour.ONE_SAMPLE) or samples not in (1, 3):
        raise ImageUnreadable("photometric_missing")
    allocated = header.whole(ds, "BitsAllocated") or 0
    if allocated not in ((8, 16, 32) if samples == 1 else (8, 16)):
        raise ImageUnreadable("bits_unsupported")
    frames = header.whole(ds, "NumberOfFrames") or 1
    frames = frames if 1 <= frames <= MAX_FRAMES else 1
    stored = header.whole(ds, "BitsStored")
    return Frame(
        rows=rows,
        columns=columns,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=allocated if stored is None else stored,
        signed=header.whole(ds, "PixelRepresentation") == 1,
        photometric=photometric,
        number=_number_of_frame(ds, frames),
        frames=frames,
    )


def _number_of_frame(ds: Dataset, frames: int) -> int:
    """From 0: the one that the object calls representative; the middle of a run, when it is under way; else the first."""
    chosen = header.whole(ds, "RepresentativeFrameNumber")
    if chosen is not None and 1 <= chosen <= frames:
        return chosen - 1
    runs = header.number(ds, "FrameTime") or header.number(ds, "CineRate") or header.text(ds, "Modality") in ("XA", "RF")
    return frames // 2 if runs else 0


def _words(elements: Elements, pixels: PixelData, frame: Frame) -> tuple[npt.NDArray[Any], StoredFormat, str]:
    """Unsigned words, (rows, columns) or (rows, columns, 3), how the values lie in them, and what decoded them."""
    stored = _stored_format(elements.dataset, frame)
    if pixels.native is not None:
        words = _native(elements.dataset, pixels.native, frame, little=pixels.little)
        return words, stored, _NATIVE_DECODER
    decoded = decode(pixels, frame, elements.syntax)
    values = np.ascontiguousarray(decoded.values, dtype=decoded.values.dtype.newbyteorder("="))
    if decoded.codec != "RLE":
        stored = _as_decoded(values, stored, decoded.precision)
    return values.view(f"u{values.dtype.itemsize}"), stored, decoded.decoder


def _stored_format(ds: Dataset, frame: Frame) -> StoredFormat:
    allocated, stored = frame.bits_allocated, frame.bits_stored
    high = header.whole(ds, "HighBit")
    high = stored - 1 if high is None else high
    if not (1 <= stored <= allocated and stored - 1 <= high < allocated):
        raise ImageUnreadable("bits_contradict", stored=stored, allocated=allocated, high=high)
    return StoredFormat(bits_allocated=allocated, bits_stored=stored, high_bit=high, signed=frame.signed)


def _native(ds: Dataset, content: memoryview, frame: Frame, *, little: bool) -> npt.NDArray[Any]:
    """The frame's words where they lie. A file that calls them compressed and holds just their bytes is believed here."""
    if len(content) == 0:
        raise ImageUnreadable("pixels_empty")
    subsampled = frame.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")
    samples = 2 if subsampled else frame.samples
    width = frame.bits_allocated // 8
    if subsampled and frame.columns % 2:
        raise ImageUnreadable("size_contradicts")
    needed = frame.rows * frame.columns * samples * width
    begin = frame.number * needed
    if len(content) < frame.frames * needed:
        raise ImageUnreadable("pixels_cut_short", found=len(content), needed=frame.frames * needed)
    words = np.frombuffer(content[begin : begin + needed], dtype=f"{'<' if little else '>'}u{width}")
    if frame.samples == 1:
        return words.reshape(frame.rows, frame.columns)
    if subsampled:
        return colour.full(words, frame.rows, frame.columns)
    if header.whole(ds, "PlanarConfiguration") == 1:
        return words.reshape(3, frame.rows, frame.columns).transpose(1, 2, 0)
    return words.reshape(frame.rows, frame.columns, 3)


def _as_decoded(values: npt.NDArray[Any], stored: StoredFormat, precision: int) -> StoredFormat:
    """A codec returns values, not words: their width is the array's, and a header that says fewer bits than they have errs.

    Sign: a codestream that calls its samples unsigned may hold the two's complement of what the header calls signed.
    """
    allocated = values.dtype.itemsize * 8
    bits = min(stored.bits_stored, allocated)
    shifted = stored.high_bit != stored.bits_stored - 1 and precision > stored.bits_stored
    if shifted and stored.high_bit < allocated:
        return StoredFormat(bits_allocated=allocated, bits_stored=bits, high_bit=stored.high_bit, signed=stored.signed)
    signed = values.dtype.kind == "i"
    if signed == stored.signed:
        low, high, half = int(values.min()), int(values.max()), 1 << (bits - 1)
        fits = (-half <= low and high < half) if signed else high < 2 * half
        bits = bits if fits else allocated
    return StoredFormat(bits_allocated=allocated, bits_stored=bits, high_bit=bits - 1, signed=stored.signed)


def _narrowed(words: npt.NDArray[Any], transform: Transform) -> tuple[Words, Transform]:
    """Words of 32 bits in 16, as fine as their range allows, and what makes the same grays of them."""
    stored, modality = transform.format, transform.modality
    values = words.astype(np.int64) >> (stored.high_bit - stored.bits_stored + 1)
    values &= (1 << stored.bits_stored) - 1
    if stored.signed:
        values -= (values >> (stored.bits_stored - 1)) << stored.bits_stored
    low = int(values.min())
    step = 1 << max(0, (int(values.max()) - low).bit_length() - 16)
    rescale = modality if isinstance(modality, Rescale) else Rescale()
    return ((values - low) // step).astype(np.uint16), replace(
        transform,
        format=StoredFormat.of_words(16),
        modality=Rescale(slope=rescale.slope * step, intercept=rescale.slope * low + rescale.intercept),
        padding=None,
    )
