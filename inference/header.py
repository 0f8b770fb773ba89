"""What a DICOM header says about an image, read tolerantly: a broken value counts as absent, and nothing here raises.

No attribute that identifies an animal or an owner is read here.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sr.coding import Code as DicomCode

from domain.types import Region, SpacingSource, View
from inference import vocabulary

SPACING_RANGE_MM = (0.005, 2.0)  # of any detector, from intraoral to fluoroscopy
ASPECT_RANGE = (0.25, 4.0)
LONGEST_TEXT = 1024  # in characters: sixteen times what the fields read here may hold (LO, PS3.5 6.2)

# What pydicom 3.0.2 raises where it converts a broken value on access; memory that runs out is no broken value.
_BROKEN = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, OSError, EOFError),
    *(struct.error, BytesLengthException, InvalidDicomError),
)
# Where consoles print what was chosen on them, the most particular first.
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription", "StudyDescription")
# Patient Orientation of quadrupeds and bipeds (PS3.3 C.7.6.1.1.1): two letters before one.
_DIRECTION = r"LE|RT|CR|CD|PR|DI|PA|PL|[DVRMLAPHF]"
_AXIS_OF = {
    **dict.fromkeys(("CR", "CD", "H", "F"), "head to tail"),
    **dict.fromkeys(("D", "V", "A", "P"), "back to belly"),
}


def value(ds: Dataset, keyword: str) -> Any:
    """The element's value, None when it is absent, empty or cannot be converted."""
    try:
        found = ds.get(keyword)
    except _BROKEN:
        return None
    return None if found is None or found == "" else found


def values(ds: Dataset, keyword: str) -> list[Any]:
    """A multi-valued element as a list; single values and absent elements too."""
    found = value(ds, keyword)
    if found is None:
        return []
    if isinstance(found, str | bytes | int | float) or not isinstance(found, Iterable):
        return [found]
    return list(found)


def text(ds: Dataset, keyword: str) -> str:
    """Cut where none would go on: what a header says of an image travels in one message (`inference.decoder`)."""
    return str(value(ds, keyword) or "")[:LONGEST_TEXT].strip(" \0")


def number(ds: Dataset, keyword: str) -> float | None:
    """The first value as a finite number."""
    found = numbers(ds, keyword)
    return found[0] if found else None


def numbers(ds: Dataset, keyword: str) -> list[float]:
    """All values as finite numbers, with a point or a comma; empty when one of them is none."""
    try:
        found = [float(str(item).replace(",", ".")) for item in values(ds, keyword)]
    except (TypeError, ValueError):
        return []
    return found if all(math.isfinite(item) for item in found) else []


def whole(ds: Dataset, keyword: str) -> int | None:
    found = number(ds, keyword)
    return int(found) if found is not None else None


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    return [item for item in values(ds, keyword) if isinstance(item, Dataset)]


def codes(ds: Dataset, keyword: str) -> list[DicomCode]:
    """SNOMED's older designators as the one that pydicom knows how to translate."""
    found = [(text(item, "CodeValue"), text(item, "CodingSchemeDesignator")) for item in items(ds, keyword)]
    return [
        DicomCode(value=code, scheme_designator="SRT" if scheme in ("SNM3", "99SDM") else scheme, meaning="")
        for code, scheme in found
        if code and scheme
    ]


def spacing_of(ds: Dataset) -> tuple[tuple[float, float] | None, SpacingSource]:
    """Millimetres between rows and between columns, and what they mean (PS3.3 10.7.1.3)."""
    given, imager = _spacing(ds, "PixelSpacing"), _spacing(ds, "ImagerPixelSpacing")
    magnification = number(ds, "EstimatedRadiographicMagnificationFactor")
    if given is not None:
        differs = imager is not None and any(abs(a - b) > 1e-4 * b for a, b in zip(given, imager, strict=True))
        if text(ds, "PixelSpacingCalibrationType") or differs:
            return given, SpacingSource.CALIBRATED
        return given, SpacingSource.UNKNOWN if imager is None else SpacingSource.DETECTOR
    if imager is None:
        return None, SpacingSource.UNKNOWN
    if magnification is not None and 1 < magnification <= 3:
        return (imager[0] / magnification, imager[1] / magnification), SpacingSource.CALIBRATED
    return imager, SpacingSource.DETECTOR


def _spacing(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    found = numbers(ds, keyword)
    low, high = SPACING_RANGE_MM
    if len(found) != 2 or not all(low <= item <= high for item in found):
        return None
    return (found[0], found[1]) if ASPECT_RANGE[0] <= found[0] / found[1] <= ASPECT_RANGE[1] else None


def pixel_aspect_of(ds: Dataset) -> float:
    """Height over width of one pixel."""
    spacing, _ = spacing_of(ds)
    if spacing is not None:
        return spacing[0] / spacing[1]
    ratio = numbers(ds, "PixelAspectRatio")
    if len(ratio) != 2 or ratio[0] <= 0 or ratio[1] <= 0:
        return 1.0
    aspect = ratio[0] / ratio[1]
    return aspect if ASPECT_RANGE[0] <= aspect <= ASPECT_RANGE[1] else 1.0


def region_of(ds: Dataset) -> Region | None:
    """A code is more deliberate than the protocol's string; a description is asked only where both are silent."""
    for code in codes(ds, "AnatomicRegionSequence"):
        found = vocabulary.region_of_code(code)
        if found is not None:
            return found
    part = text(ds, "BodyPartExamined")
    if part:
        return vocabulary.region_of_text(part)
    said = (vocabulary.region_of_text(text(ds, keyword)) for keyword in _DESCRIPTIONS)
    return next((region for region in said if region is not None), None)


def view_of(ds: Dataset, region: Region | None) -> View | None:
    """A code, the view's own string; where both are silent a description, and last how the animal lies in the image."""
    coded = codes(ds, "ViewCodeSequence")
    for code in coded:
        found = vocabulary.view_of_code(code, region)
        if found is not None:
            return found
    position = text(ds, "ViewPosition")
    found = vocabulary.view_of_text(position, region) or vocabulary.view_in_words(position, region)
    if found is None and not position and not coded:
        said = (vocabulary.view_in_words(text(ds, keyword), region) for keyword in _DESCRIPTIONS)
        found = next((view for view in said if view is not None), None)
    return found or _view_of_orientation(ds, region)


def _view_of_orientation(ds: Dataset, region: Region | None) -> View | None:
    """A trunk shown head to tail and spine to belly is seen from the side; ventrodorsal and dorsoventral look alike here.

    The first of several letters is the main direction. An animal described as a biped has a head, feet, a front and a back.
    """
    if region is Region.LIMB:
        return None
    found = [re.match(_DIRECTION, str(item).upper().strip()) for item in values(ds, "PatientOrientation")]
    axes = {_AXIS_OF.get(match[0]) for match in found if match is not None}
    return View.LATERAL if len(found) == 2 and axes == {"head to tail", "back to belly"} else None


def laterality_of(ds: Dataset) -> str | None:
    found = text(ds, "ImageLaterality") or text(ds, "Laterality")
    return found.upper() if found.upper() in ("L", "R", "B", "U") else None


_CAPTURES = ("DV", "DF", "SI", "SD", "WSD")  # of video, film, paper, a screen (PS3.3 C.8.6.1)


def is_capture(ds: Dataset) -> bool:
    """Whether text and marks may be part of the pixels, as far as the header knows."""
    burned_in = text(ds, "BurnedInAnnotation").upper()
    return burned_in == "YES" or (burned_in != "NO" and text(ds, "ConversionType").upper() in _CAPTURES)
