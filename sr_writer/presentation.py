"""Lines, outlines and words upon an image as a Grayscale Softcopy Presentation State (PS3.3 A.33.1), in layers.

A presentation state replaces the image's own grayscale pipeline, polarity included (PS3.4 N.2). So the source's look-up
tables, its first sound window and its polarity are repeated in it: applied, the image looks as it did before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)
from pydicom.valuerep import DSfloat

from domain import codes, terms
from domain.identity import Identity
from domain.types import (
    Document,
    DocumentKind,
    Evidence,
    Finding,
    FindingOutcome,
    Language,
    Point,
    Shape,
    Style,
)
from sr_writer import objects, strokes, wording
from sr_writer.charset import plain
from sr_writer.header import Header, read_header, tolerant
from sr_writer.overlay import UNPAIRED

SERIES_NUMBER = 9004
FINDINGS, AXES, RULER, WORDS = "AI_FINDINGS", "AI_AXES", "AI_RULER", "AI_WORDS"
# Name → what it holds, and its colour as CIELab of PS3.3 C.10.7.1.1: Okabe and Ito's orange, yellow, and white.
LAYERS = {
    FINDINGS: ("Outlines of AI findings", (76.0, 20.0, 76.0)),
    AXES: ("Axes measured by AI", (89.0, -12.0, 76.0)),
    RULER: ("Vertebrae counted by AI", (100.0, 0.0, 0.0)),
    WORDS: ("What AI says", (89.0, -12.0, 76.0)),
}
# Their Modality LUT is for measuring, not for display (PS3.3 C.8.7.1.1.2).
FLUOROSCOPY = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage)
PIPELINE = (
    "PhotometricInterpretation",
    "PixelRepresentation",
    "PresentationLUTShape",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    graphics: list[Dataset] = field(default_factory=list)
    texts: list[Dataset] = field(default_factory=list)


def presentation_series_uid(study_instance_uid: str, identity: Identity, style: Style = objects.DEFAULT_STYLE) -> str:
    """All presentation states of a study lie in one series."""
    lineage = identity.lineage(study_instance_uid, "presentation")
    return identity.uid(lineage, "series", DocumentKind.GSPS.value, *objects.variant(style))


def write_presentation_state(
    evidence: Evidence,
    *,
    study_instance_uid: str,
    identity: Identity,
    style: Style,
    directory: Path,
    number: int,
    made_at: datetime,
) -> Document | None:
    """A presentation state of one image in `directory`, named by its UID; None where no model has anything to draw.

    number: Instance Number within the study's presentation series, from 1. made_at: every time in it, as wall clock.
    OSError when the source cannot be opened or the document cannot be written.
    """
    layers = _draw(evidence, style)
    if layers is None:
        return None
    header = read_header(evidence.path)
    ds = objects.result(
        header,
        sop_class_uid=GrayscaleSoftcopyPresentationStateStorage,
        study_instance_uid=study_instance_uid,
        series_instance_uid=presentation_series_uid(study_instance_uid, identity, style),
        series_number=SERIES_NUMBER,
        series_description="AI annotations - not a diagnosis",
        instance_number=number,
        made_at=made_at,
    )
    ds.Modality = "PR"
    if header.text("BodyPartExamined") in UNPAIRED:
        ds.BodyPartExamined = header.text("BodyPartExamined")
    else:  # type 2C: absent only where a known part forbids it
        ds.Laterality = ""
    ds.ContentLabel = "AI_RESULT"
    ds.ContentDescription = "AI results - not a diagnosis"
    ds.ContentCreatorName = ""
    ds.PresentationCreationDate, ds.PresentationCreationTime = ds.ContentDate, ds.ContentTime
    del ds.ContentDate, ds.ContentTime
    ds.ReferencedSeriesSequence = [_series(evidence, header, identity)]
    ds.DisplayedAreaSelectionSequence = [_whole(evidence, header)]
    _layers(ds, layers, evidence)
    _look(ds, evidence)
    return objects.write(
        ds,
        kind=DocumentKind.GSPS,
        header=header,
        inputs={"evidence": evidence, "style": style, "number": number, "made_at": made_at},
        identity=identity,
        directory=directory,
    )


# What is drawn


def _draw(evidence: Evidence, style: Style) -> dict[str, _Layer] | None:
    answer = evidence.answer
    drawn = (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)
    findings = [f for spoken in answer.models for f in spoken.findings if f.outcome in drawn]
    size = float(max(answer.rows, answer.columns))
    layers = {name: _Layer() for name in LAYERS}
    for finding in findings:
        outlines, axes = _outlines(finding), _axes(finding, style.language)
        ruler = wording.vertebral_edges(finding)
        layers[FINDINGS].graphics.extend(outlines)
        layers[AXES].graphics.extend(_graphic("POLYLINE", line) for _, line in axes)
        layers[AXES].texts.extend(_beside(plain(name), line[1]) for name, line in axes)
        if len(ruler) > 1:
            layers[RULER].graphics.extend(_ruler(ruler, size))
            layers[RULER].texts.append(_beside("T4", ruler[0]))
        points = [point for shape in finding.regions for point in shape.points]
        points += [*ruler, *(point for _, line in axes for point in line)]
        if points:
            layers[WORDS].texts.append(_above(plain(wording.brief(finding, style.language)), points, answer.columns, size))
    if not any(layer.graphics for layer in layers.values()):
        return None
    models = [spoken.model for spoken in answer.models]
    legal = [terms.phrase("not_a_diagnosis", style.language)]
    if any(model.clinical_status == wording.DEMONSTRATION for model in models):
        legal.append(terms.phrase("demonstration_short", style.language))
    layers[WORDS].texts.append(_in_the_corner(plain(" - ".join(legal))))
    return layers


def _outlines(finding: Finding) -> list[Dataset]:
    return [graphic for shape in finding.regions for graphic in _shape(shape)]


def _shape(shape: Shape) -> Iterator[Dataset]:
    """SR's types are those of a presentation state but for MULTIPOINT (PS3.3 C.18.6.1.2, C.10.5.1.2)."""
    if shape.graphic_type in ("POINT", "MULTIPOINT"):
        yield from (_graphic("POINT", [point]) for point in shape.points)
    else:
        yield _graphic(shape.graphic_type, shape.points)


def _axes(finding: Finding, language: Language) -> list[tuple[str, tuple[Point, Point]]]:
    """Measured lines with their names; a heart score's are the axes once more, laid on the ruler."""
    return [
        (terms.short_concept(measurement.concept, language), line)
        for measurement in finding.measurements
        if not wording.is_of(measurement, codes.VHS)
        for line in measurement.lines.values()
    ]


def _ruler(edges: Sequence[Point], size: float) -> Iterator[Dataset]:
    yield _graphic("POLYLINE", edges)
    reach = 0.01 * size
    for number, edge in enumerate(edges):
        before, after = edges[max(0, number - 1)], edges[min(len(edges) - 1, number + 1)]
        direction = strokes.along(before, after)
        across = (-direction[1], direction[0])
        yield _graphic("POLYLINE", [strokes.moved(edge, across, -reach), strokes.moved(edge, across, reach)])


def _graphic(graphic_type: str, points: Sequence[Point]) -> Dataset:
    """PIXEL units count from the outer corner of the first pixel (PS3.3 C.10.5.1.1), as `domain.types` does."""
    item = Dataset()
    item.GraphicAnnotationUnits = "PIXEL"
    item.GraphicDimensions = 2
    item.NumberOfGraphicPoints = len(points)
    item.GraphicData = [round(float(part), 2) for point in points for part in point]
    item.GraphicType = graphic_type
    if graphic_type != "POINT":
        item.GraphicFilled = "N"
    return item


def _beside(text: str, point: Point) -> Dataset:
    item = Dataset()
    item.AnchorPointAnnotationUnits = "PIXEL"
    item.UnformattedTextValue = text
    item.AnchorPoint = [round(point[0], 2), round(point[1], 2)]
    item.AnchorPointVisibility = "N"
    return item


def _above(text: str, points: Sequence[Point], columns: int, size: float) -> Dataset:
    """In a box above what it names, inside the image."""
    width, height = 0.3 * size, 0.045 * size
    left = min(max(min(point[0] for point in points), 0.0), max(columns - width, 0.0))
    top = max(min(point[1] for point in points) - height - 0.02 * size, 0.0)
    return _boxed(text, "PIXEL", (left, top), (left + width, top + height))


def _in_the_corner(text: str) -> Dataset:
    return _boxed(text, "DISPLAY", (0.01, 0.94), (0.7, 0.99))


def _boxed(text: str, units: str, first: Point, last: Point) -> Dataset:
    item = Dataset()
    item.BoundingBoxAnnotationUnits = units
    item.UnformattedTextValue = text
    item.BoundingBoxTopLeftHandCorner = [round(part, 2) for part in first]
    item.BoundingBoxBottomRightHandCorner = [round(part, 2) for part in last]
    item.BoundingBoxTextHorizontalJustification = "LEFT"
    return item


# What it refers to


def _series(evidence: Evidence, header: Header, identity: Identity) -> Dataset:
    ref = evidence.answer.ref
    item = Dataset()
    # the same stand-in as in a report: a file without a readable Series Instance UID is still drawn on
    item.SeriesInstanceUID = header.text("SeriesInstanceUID") or identity.uid("unknown series of", ref.sop_instance_uid)
    item.ReferencedImageSequence = [objects.reference(ref)]
    return item


def _whole(evidence: Evidence, header: Header) -> Dataset:
    """PS3.3 C.10.4: the whole image, as large as the window allows."""
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner = [1, 1]
    item.DisplayedAreaBottomRightHandCorner = [evidence.answer.columns, evidence.answer.rows]
    item.PresentationSizeMode = "SCALE TO FIT"
    if header.spacing_mm is not None:
        item.PresentationPixelSpacing = list(map(_decimal, header.spacing_mm))
        return item
    item.PresentationPixelAspectRatio = list(header.attributes.get("PixelAspectRatio") or ("1", "1"))
    return item


def _layers(ds: Dataset, layers: dict[str, _Layer], evidence: Evidence) -> None:
    ds.GraphicAnnotationSequence = []
    ds.GraphicLayerSequence = []
    for name, layer in layers.items():
        if not (layer.graphics or layer.texts):
            continue
        annotation = Dataset()
        annotation.ReferencedImageSequence = [objects.reference(evidence.answer.ref)]
        annotation.GraphicLayer = name
        if layer.texts:
            annotation.TextObjectSequence = layer.texts
        if layer.graphics:
            annotation.GraphicObjectSequence = layer.graphics
        ds.GraphicAnnotationSequence.append(annotation)
        ds.GraphicLayerSequence.append(_layer(name, len(ds.GraphicLayerSequence) + 1))


def _layer(name: str, order: int) -> Dataset:
    description, (lightness, a, b) = LAYERS[name]
    item = Dataset()
    item.GraphicLayer = name
    item.GraphicLayerOrder = order
    item.GraphicLayerRecommendedDisplayGrayscaleValue = 65535
    item.GraphicLayerRecommendedDisplayCIELabValue = [
        round(lightness / 100 * 65535),
        round((a + 128) / 255 * 65535),
        round((b + 128) / 255 * 65535),
    ]
    item.GraphicLayerDescription = description
    return item


# How the image looks


def _look(ds: Dataset, evidence: Evidence) -> None:
    """Modality LUT, Softcopy VOI LUT and Softcopy Presentation LUT modules (PS3.3 C.11.1, C.11.8, C.11.6)."""
    source = _pipeline(evidence.path)
    signed = _number(source, "PixelRepresentation") == 1
    if evidence.answer.ref.sop_class_uid not in FLUOROSCOPY:
        table = _table(source, "ModalityLUTSequence", signed=signed)
        if table is not None:
            table.ModalityLUTType = "US"
            ds.ModalityLUTSequence = [table]
        else:
            ds.RescaleIntercept = _decimal(_number(source, "RescaleIntercept") or 0.0)
            ds.RescaleSlope = _decimal(_number(source, "RescaleSlope") or 1.0)
            ds.RescaleType = "US"
    voi = Dataset()
    table = _table(source, "VOILUTSequence", signed=signed or (_number(source, "RescaleIntercept") or 0.0) < 0)
    window = _window(source)
    if table is not None:
        voi.VOILUTSequence = [table]
    elif window is not None:
        voi.WindowCenter, voi.WindowWidth = map(_decimal, window)
        function = _word(source, "VOILUTFunction")
        if function in ("LINEAR_EXACT", "SIGMOID"):
            voi.VOILUTFunction = function
    if len(voi):
        ds.SoftcopyVOILUTSequence = [voi]
    inverse = (
        _word(source, "PhotometricInterpretation") == "MONOCHROME1" or _word(source, "PresentationLUTShape") == "INVERSE"
    )
    ds.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"


def _pipeline(path: Path) -> Dataset:
    """The elements that decide how the image looks; empty for a file that is broken: it is shown as it is stored."""
    with path.open("rb") as opened, tolerant():
        return dcmread(opened, stop_before_pixels=True, force=True, specific_tags=list(PIPELINE))
    return Dataset()


def _numbers(source: Dataset, keyword: str) -> list[float]:
    """Finite numbers; empty for what is none."""
    try:
        value = source.get(keyword)
        parts = value if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else [value]
        found = [float(part) for part in parts]
    except (TypeError, ValueError, OverflowError):
        return []
    return found if all(map(math.isfinite, found)) else []


def _number(source: Dataset, keyword: str) -> float | None:
    return next(iter(_numbers(source, keyword)), None)


def _word(source: Dataset, keyword: str) -> str:
    try:
        return str(source.get(keyword) or "").strip().upper()
    except ValueError:
        return ""


def _decimal(value: float) -> DSfloat:
    """A decimal string of at most 16 characters."""
    return DSfloat(value, auto_format=True)


def _window(source: Dataset) -> tuple[float, float] | None:
    """Centre and width of the first window whose function allows its width (PS3.3 C.11.2.1)."""
    least = 0.0 if _word(source, "VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID") else 1.0
    windows = zip(_numbers(source, "WindowCenter"), _numbers(source, "WindowWidth"), strict=False)
    return next(((centre, width) for centre, width in windows if width >= least and width > 0), None)


def _table(source: Dataset, keyword: str, *, signed: bool) -> Dataset | None:
    """A copy of the sequence's first look-up table with explicit value representations; None without a sound one."""
    try:
        found = next(iter(source.get(keyword) or ()), Dataset())
        descriptor = [int(part) for part in _numbers(found, "LUTDescriptor")]
        data = found.get("LUTData")
    except (AttributeError, TypeError, ValueError):
        return None
    if len(descriptor) != 3 or data is None:
        return None
    length, first, bits = descriptor[0] % 65536, descriptor[1] % 65536, descriptor[2]
    if isinstance(data, bytes):
        big = getattr(source, "file_meta", Dataset()).get("TransferSyntaxUID") == UID(ExplicitVRBigEndian)
        entries = np.frombuffer(data[: len(data) // 2 * 2], dtype=">u2" if big else "<u2")
    else:
        entries = np.asarray([int(part) % 65536 for part in _numbers(found, "LUTData")], dtype=np.uint16)
    entries = entries[: length or 65536]
    if not 8 <= bits <= 16 or len(entries) < (length or 65536):
        return None  # 8-bit tables packed two to a word included: the window speaks then
    item = Dataset()
    if signed:
        words = [word - 65536 if word > 32767 else word for word in (length, first)]
        item.add(DataElement("LUTDescriptor", "SS", [*words, bits]))
    else:
        item.add(DataElement("LUTDescriptor", "US", [length, first, bits]))
    item.add(DataElement("LUTData", "OW", entries.astype("<u2").tobytes()))
    return item
