"""Measurement groups of a report (TID 1501 and 1410): one per finding that can be shown in the image.

measured  the outline stands below the area that was measured from it: what OHIF 3.13 shows best
region    the outline is an Image Region of its own (TID 1410): what Stone Web Viewer 3.0 draws and IHE AIR asks for.
          The template holds one region, so a finding with several has several groups
both      a region of its own, and below the area too

Numbers measured from lines, such as a vertebral heart score, are TID 1501 groups in all three: a line is no region.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContentSequence,
    CoordinatesForMeasurement,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from highdicom.sr import Measurement as MeasurementItem
from highdicom.sr.templates import Template
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode

from domain import codes as terms_of
from domain import terms
from domain.identity import Identity
from domain.types import (
    Evidence,
    Finding,
    FindingOutcome,
    Language,
    Measurement,
    ModelIdentity,
    Point,
    Report,
    Shape,
    SpacingSource,
    SrGeometry,
    Style,
)
from sr_writer import image_words, wording
from sr_writer.header import Header
from sr_writer.tree import dicom, text

CERTAINTY = DicomCode("111012", "DCM", "Certainty of Finding")  # CID 6048, 0 to 100 %
AXES = (terms_of.LONG_AXIS, terms_of.SHORT_AXIS)
Group = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations
LARGEST_RECTANGLE = 5  # points of a closed outline that OHIF 3.13 takes for a rectangle


def has_coordinates(finding: Finding) -> bool:
    """Whether a finding becomes a measurement group: one without coordinates would keep OHIF from loading the report.
    What was not seen or not assessable is no thing to measure, whatever a model outlined."""
    if wording.is_measured(finding):
        return all(_ruler(measurement, finding) for measurement in finding.measurements)
    if finding.outcome not in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN):
        return False
    return bool(_outlines(finding)) or (bool(finding.regions) and finding.probability is not None)


def groups_of(
    finding: Finding,
    report: Report,
    evidence: Evidence,
    header: Header,
    *,
    lineage: str,
    identity: Identity,
    style: Style,
) -> Iterator[Group]:
    """header: of the finding's image."""
    ref = evidence.answer.ref
    frames = None if ref.frame_number is None else [ref.frame_number]
    source = SourceImageForRegion(ref.sop_class_uid, ref.sop_instance_uid, frames)
    outlines = [] if wording.is_measured(finding) else _outlines(finding)
    split = bool(outlines) and style.sr_geometry is not SrGeometry.MEASURED
    parts = [[outline] for outline in outlines] if split else [outlines]
    for number, part in enumerate(parts, 1):
        suffix = "" if number == 1 else f" {number}"
        tracked = TrackingIdentifier(
            uid=identity.uid(lineage, "tracking", evidence.answer.ref.sop_instance_uid, finding.tracking + suffix),
            identifier=finding.tracking + suffix,
        )
        itself = any(wording.is_of(measurement, finding.concept) for measurement in finding.measurements)
        about = finding.site if itself and finding.site is not None else finding.concept  # a score is of the heart
        site = _sites(finding)
        algorithm = None if finding.by_person else _algorithm(report)
        scale = image_words.spacing_source(evidence, header) if part and header.spacing_mm else None
        evaluations = list(_evaluations(finding, report.model, style.language, scale))
        if not split:
            yield MeasurementsAndQualitativeEvaluations(
                tracking_identifier=tracked,
                finding_type=dicom(about),
                finding_sites=site,
                algorithm_id=algorithm,
                measurements=[
                    *_measurements(finding, source),
                    *_areas(part, source, header),
                    *_certainty(finding, source, part),
                ],
                qualitative_evaluations=evaluations,
            )
            continue
        (outline,) = part
        group = PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracked,
            referenced_region=ImageRegion(GraphicTypeValues(outline.graphic_type), _points(outline.points), source),
            finding_type=dicom(about),
            finding_sites=site,
            algorithm_id=algorithm,
            measurements=[*_areas(part, None, header), *_certainty(finding, source, part)],
            qualitative_evaluations=evaluations,
        )
        if style.sr_geometry is SrGeometry.BOTH:  # highdicom's constructor refuses coordinates below a region's numbers
            number_item = next(item for item in group[0].ContentSequence if item.ValueType == "NUM")
            number_item.ContentSequence = ContentSequence([_shape(outline, source)])
        yield group


class _TextEvaluation(QualitativeEvaluation):
    """Text in a measurement group: TID 1501 row 12; highdicom's class is for codes only."""

    def __init__(self, item: TextContentItem) -> None:
        Template.__init__(self)
        self.append(item)


def _evaluations(
    finding: Finding, model: ModelIdentity | None, language: Language, scale: SpacingSource | None
) -> Iterator[QualitativeEvaluation]:
    """scale: what the millimetres of the finding's areas mean; None without areas in millimetres."""
    if finding.outcome is FindingOutcome.UNCERTAIN:
        yield QualitativeEvaluation(dicom(finding.concept), dicom(terms_of.OUTCOMES[finding.outcome]))
    if finding.severity is not None:
        yield QualitativeEvaluation(dicom(terms_of.SEVERITY), dicom(finding.severity))
    validated = wording.is_validated(finding, model)
    numbers = finding.measurements if wording.is_measured(finding) else ()
    said = [wording.brief(finding, language)]
    said += [wording.standing(m, language, validated=validated) for m in numbers if m.interval is not None]
    said += [
        f"{terms.short_concept(m.concept, language)} {wording.spread(m, language)}"
        for m in numbers
        if m.deviation is not None
    ]
    said += _axes(finding, language)
    if finding.severity is not None:
        said.append(terms.concept(finding.severity, language))
    if wording.place(finding, language):
        said.append(wording.place(finding, language))
    if scale is not None:
        said.append(f"{terms.concept(terms_of.AREA, language)} {terms.source(scale, language)}")
    if finding.by_person:
        said.append(terms.phrase("by_person", language))
    yield _TextEvaluation(text(terms_of.COMMENT, "; ".join(said)))


def _axes(finding: Finding, language: Language) -> list[str]:
    """ "long axis 5.6 v + short axis 5.2 v", what a heart score adds up from."""
    axes = wording.axes_in_vertebrae(finding)
    names = [(terms.short_concept(axis, language), axes[axis.value]) for axis in AXES if axis.value in axes]
    return [" + ".join(f"{name} {wording.vertebrae(count, language)}" for name, count in names)] if names else []


def _sites(finding: Finding) -> list[FindingSite] | None:
    if finding.site is None:
        return None
    laterality = dicom(finding.laterality) if finding.laterality is not None else None
    return [FindingSite(anatomic_location=dicom(finding.site), laterality=laterality)]


def site_items(finding: Finding) -> list[CodeContentItem]:
    """Site and laterality of a finding outside a measurement group."""
    return list(_sites(finding) or ())


def _measurements(finding: Finding, source: SourceImageForRegion) -> list[MeasurementItem]:
    return [
        MeasurementItem(
            name=dicom(measurement.concept),
            value=wording.shown(measurement.value),
            unit=dicom(measurement.unit),
            referenced_coordinates=[_polyline(line, source) for line in _ruler(measurement, finding)] or None,
        )
        for measurement in (finding.measurements if wording.is_measured(finding) else ())
    ]


def _areas(outlines: Sequence[Shape], source: SourceImageForRegion | None, header: Header) -> list[MeasurementItem]:
    """One number per outline, for OHIF 3.13 draws one outline per number; source None: without coordinates."""
    spacing = header.spacing_mm
    scale, unit = (spacing[0] * spacing[1], terms_of.SQUARE_MILLIMETRE) if spacing else (1.0, terms_of.PIXELS)
    return [
        MeasurementItem(
            name=dicom(terms_of.AREA),
            value=wording.shown(area(outline) * scale),
            unit=dicom(unit),
            referenced_coordinates=[_shape(outline, source)] if source is not None else None,
        )
        for outline in outlines
    ]


def _certainty(finding: Finding, source: SourceImageForRegion, outlines: Sequence[Shape]) -> list[MeasurementItem]:
    """Points and lines have no area: their coordinates stand below the certainty."""
    if finding.probability is None:
        return []
    coordinates = [] if outlines else [_shape(shape, source) for shape in finding.regions]
    value = round(100 * float(finding.probability), 1)
    return [
        MeasurementItem(
            name=CERTAINTY, value=value, unit=dicom(terms_of.PERCENT), referenced_coordinates=coordinates or None
        )
    ]


def _outlines(finding: Finding) -> list[Shape]:
    """The regions that enclose an area, closed."""
    return [_closed(shape) for shape in finding.regions if area(_closed(shape)) > 0]


def _closed(shape: Shape) -> Shape:
    """A closed polyline, each edge halved where OHIF 3.13 would take its four or five points for a rectangle's."""
    points = shape.points
    if shape.graphic_type != "POLYLINE" or len(points) < 3:
        return shape
    if points[0] != points[-1]:
        points = (*points, points[0])
    if len(points) <= LARGEST_RECTANGLE and not _is_rectangle(points):
        edges = itertools.pairwise(points)
        halved = [point for a, b in edges for point in (a, ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2))]
        points = (*halved, points[0])
    return Shape(graphic_type=shape.graphic_type, points=points)


def _is_rectangle(points: Sequence[Point]) -> bool:
    """Parallel to the image's sides."""
    return len(points) == LARGEST_RECTANGLE and len({x for x, _ in points}) == 2 and len({y for _, y in points}) == 2


def area(shape: Shape) -> float:
    """In square pixels; 0 for what encloses nothing (PS3.3 C.18.6.1.2)."""
    points = np.asarray(shape.points, dtype=float).reshape(-1, 2)
    if shape.graphic_type == "CIRCLE" and len(points) == 2:  # centre, a point on it
        return math.pi * float(np.sum((points[1] - points[0]) ** 2))
    if shape.graphic_type == "ELLIPSE" and len(points) == 4:  # ends of the major axis, then of the minor
        axes = [float(np.hypot(*(points[i + 1] - points[i]))) for i in (0, 2)]
        return math.pi * axes[0] * axes[1] / 4
    if shape.graphic_type == "POLYLINE" and len(points) > 2:
        x, y = (points - points[0]).T
        return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    return 0.0


def _ruler(measurement: Measurement, finding: Finding) -> list[Sequence[Point]]:
    """The polylines of a number: its own lines; the vertebral heart score has one, the ruler along the counted vertebrae."""
    lines: list[Sequence[Point]] = list(measurement.lines.values())
    if not wording.is_of(measurement, terms_of.VHS):
        return lines
    ruler = wording.vertebral_edges(finding)
    return [ruler] if len(ruler) > 1 else lines[:1]


def _polyline(points: Sequence[Point], source: SourceImageForRegion) -> CoordinatesForMeasurement:
    return CoordinatesForMeasurement(GraphicTypeValues.POLYLINE, _points(points), source)


def _shape(shape: Shape, source: SourceImageForRegion) -> CoordinatesForMeasurement:
    return CoordinatesForMeasurement(GraphicTypeValues(shape.graphic_type), _points(shape.points), source)


def _points(points: Sequence[Point]) -> np.ndarray:
    return np.round(np.asarray(points, dtype=float), 2)


def _algorithm(report: Report) -> AlgorithmIdentification | None:
    model = report.model
    if model is None:
        return None
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        manufacturer=model.manufacturer,
        parameters=[f"weights sha256 {model.onnx_sha256}", f"clinical status {model.clinical_status}"],
        family=codes.cid7162.ArtificialIntelligence,
    )
