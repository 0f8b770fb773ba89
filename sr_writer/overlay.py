"""An image's overlay as a Secondary Capture (PS3.3 A.8.1): what every viewer and every PACS can show.

JPEG baseline, for it is small and universal, or uncompressed where a destination wants it; a lossless codec would take ten
times as long for a picture that nobody measures on.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage

from domain.types import Evidence, InstanceRef, Style
from sr_writer import objects
from sr_writer.drawing import draw_overlay
from sr_writer.header import Header

SOP_CLASS_UID = SecondaryCaptureImageStorage
QUALITY = 90
# of the body parts in PS3.16 annex L
UNPAIRED = {
    "CHEST",
    "ABDOMEN",
    "PELVIS",
    "HEAD",
    "NECK",
    "SKULL",
    "CSPINE",
    "TSPINE",
    "LSPINE",
    "SSPINE",
    "COCCYX",
    "SPINE",
    "HEART",
    "JAW",
    "NOSE",
    "STERNUM",
}


def transfer_syntax_uid(style: Style) -> str:
    return JPEGBaseline8Bit if style.overlay_jpeg else ExplicitVRLittleEndian


def fill(ds: Dataset, evidence: Evidence, *, header: Header, pixels: npt.NDArray[np.float32] | None, style: Style) -> None:
    """Add one image's overlay to a result that has patient and study already."""
    picture = draw_overlay(
        evidence,
        pixels=pixels,
        language=style.language,
        header=header,
        pixel_aspect=header.pixel_aspect,
        longest_side=style.overlay_longest_side,
    )
    fill_picture(ds, picture, [evidence.answer.ref], headers=[header], style=style)
    ds.PatientOrientation = header.attributes.get("PatientOrientation") or ""
    if "AnatomicalOrientationType" in header.attributes:
        ds.AnatomicalOrientationType = header.text("AnatomicalOrientationType")
    ds.DerivationDescription = "AI results drawn on the image and beside it; not for measuring"


def fill_picture(
    ds: Dataset, picture: Image.Image, sources: Sequence[InstanceRef], *, headers: Sequence[Header], style: Style
) -> None:
    """Add the modules of a Secondary Capture to a result: SC equipment, general image, image pixel.

    headers: of the sources.
    """
    header = headers[0]
    ds.Modality = "OT"
    ds.ConversionType = "WSD"
    ds.SecondaryCaptureDeviceManufacturer = objects.MANUFACTURER
    ds.SecondaryCaptureDeviceManufacturerModelName = objects.MODEL_NAME
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = ds.ContentDate, ds.ContentTime
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.PatientOrientation = ""
    if header.text("BodyPartExamined") in UNPAIRED:
        ds.BodyPartExamined = header.text("BodyPartExamined")
    else:  # consoles write their own words; Laterality (type 2C) must be there unless a known part forbids it
        ds.Laterality = ""
    ds.BurnedInAnnotation = "YES"
    ds.SourceImageSequence = [objects.reference(ref) for ref in sources]
    _losses(ds, headers, _pixels(ds, picture, jpeg=style.overlay_jpeg))


def _losses(ds: Dataset, headers: Sequence[Header], own: Sequence[tuple[str, str]]) -> None:
    """What a source has lost stays lost in all that is derived of it (PS3.3 C.7.6.1.1.5). own: ratio and method."""
    lossy = next((header for header in headers if header.text("LossyImageCompression") == "01"), None)
    if lossy is None and not own:
        return
    ds.LossyImageCompression = "01"
    losses = list(own)
    if lossy is not None:
        ratios, methods = (lossy.texts(f"LossyImageCompression{name}") for name in ("Ratio", "Method"))
        if len(ratios) == len(methods):
            losses = [*zip(ratios, methods, strict=True), *own]  # in the order of compression
    if losses:
        ds.LossyImageCompressionRatio = [ratio for ratio, _ in losses]
        ds.LossyImageCompressionMethod = [method for _, method in losses]


def _pixels(ds: Dataset, picture: Image.Image, *, jpeg: bool) -> list[tuple[str, str]]:
    """Ratio and method where it loses something."""
    ds.SamplesPerPixel = 3
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = picture.height, picture.width
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    if not jpeg:
        ds.PhotometricInterpretation = "RGB"
        content = picture.tobytes()
        ds.PixelData = content + b"\0" * (len(content) % 2)
        ds["PixelData"].VR = "OB"
        return []
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    stream = buffer.getvalue()
    ds.PhotometricInterpretation = "YBR_FULL_422"  # CP-1653: also where the stream does not subsample
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    return [(f"{3 * picture.width * picture.height / len(stream):.2f}", "ISO_10918_1")]
