"""A report as a DICOM Structured Report: TID 1500 with measurement groups where something was measured, and a plain
TID 2000 report where nothing was, for a TID 1500 report without coordinates does not open in OHIF at all.

highdicom 0.28.2 builds the content items; what it lacks is added here (see CONFORMANCE.md for the templates):
an animal as subject, report-level qualitative evaluations, text in a measurement group, separate containers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    CoordinatesForMeasurement,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    SubjectContext,
    TextContentItem,
    TrackingIdentifier,
)
from highdicom.sr import Measurement as MeasurementItem
from highdicom.sr.templates import Template
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode

from domain import codes as terms_of
from domain import terms
from domain.identity import Identity
from domain.types import Code, Evidence, Finding, Language, Measurement, Outcome, Point, Report, Shape, Source, Species
from sr_writer import wording
from sr_writer.charset import plain
from sr_writer.header import Header

CONTAINS = RelationshipTypeValues.CONTAINS
HAS_OBS_CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT
HAS_CONCEPT_MOD = RelationshipTypeValues.HAS_CONCEPT_MOD
HAS_ACQ_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
INFERRED_FROM = RelationshipTypeValues.INFERRED_FROM

IMAGING_PROCEDURE = DicomCode("363679005", "SCT", "Imaging procedure")  # CID 100
IMAGING_REPORT = DicomCode("18748-4", "LN", "Diagnostic Imaging Report")  # CID 7000
QUALITATIVE_EVALUATIONS = DicomCode("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500 row 12
FINDINGS = DicomCode("121070", "DCM", "Findings")  # CID 7001
CERTAINTY = DicomCode("111012", "DCM", "Certainty of Finding")  # CID 6048, 0 to 100 %
SOURCE_IMAGE = DicomCode("260753009", "SCT", "Source")  # TID 1600
ORIGINAL_SOURCE = DicomCode("111040", "DCM", "Original Source")  # the name that Stone Web Viewer 3.0 draws
PIXELS = DicomCode("{pixels}", "UCUM", "Pixels")
SEX = {"M": DicomCode("M", "DCM", "Male"), "F": DicomCode("F", "DCM", "Female")}
LANGUAGES = {
    Language.ENGLISH: DicomCode("en", "RFC5646", "English"),
    Language.KOREAN: DicomCode("ko", "RFC5646", "Korean"),
}


def root(report: Report, headers: Sequence[Header], *, identity: Identity, language: Language) -> Dataset:
    """The root content item. headers: of report.evidence, in its order."""
    lineage = identity.lineage(report.study_instance_uid, report.model.name if report.model else "")
    by_uid = {evidence.answer.ref.sop_instance_uid: evidence for evidence in report.evidence}
    groups = [
        _group(finding, report, by_uid[finding.sop_instance_uid], lineage=lineage, identity=identity, language=language)
        for finding in report.findings
        if has_coordinates(finding)
    ]
    evaluations = _evaluations(report, language)
    context = ObservationContext(
        observer_device_context=_observer(report, identity), subject_context=_Animal(headers, report.evidence)
    )
    spoken = LanguageOfContentItemAndDescendants(CodedConcept.from_code(LANGUAGES[language]))
    if groups:
        item = MeasurementReport(
            observation_context=context,
            procedure_reported=IMAGING_PROCEDURE,
            imaging_measurements=groups,
            title=codes.cid7021.ImagingMeasurementReport,
            language_of_content_item_and_descendants=spoken,
        )[0]
        item.ContentSequence.insert(len(item.ContentSequence) - 1, _image_library(report.evidence, headers))  # row 5
        item.ContentSequence.append(_container(QUALITATIVE_EVALUATIONS, evaluations))
    else:
        item = ContainerContentItem(name=IMAGING_REPORT, template_id="2000")
        item.ContentSequence = ContentSequence()
        item.ContentSequence.extend([*spoken, *context])
        item.ContentSequence.append(CodeContentItem(codes.DCM.ProcedureReported, IMAGING_PROCEDURE, HAS_CONCEPT_MOD))
        item.ContentSequence.append(_container(FINDINGS, evaluations))
    return _separate(item)


def has_coordinates(finding: Finding) -> bool:
    """Whether a finding becomes a measurement group: one without coordinates would keep OHIF from loading the report."""
    if not wording.is_measured(finding):
        return bool(finding.regions) and finding.probability is not None
    return all(_ruler(measurement, finding) for measurement in finding.measurements)


class _Animal(SubjectContext):
    """TID 1006 and 1007 for an animal. highdicom's SubjectContext refuses the class Patient, which is what they name."""

    def __init__(self, headers: Sequence[Header], evidence: Sequence[Evidence]) -> None:
        Template.__init__(self)
        self.append(CodeContentItem(codes.DCM.SubjectClass, codes.DCM.Patient, HAS_OBS_CONTEXT))
        sex = SEX.get(headers[0].text("PatientSex"))
        if sex is not None:
            self.append(CodeContentItem(codes.DCM.SubjectSex, sex, HAS_OBS_CONTEXT))
        species = _known_species(evidence)
        if species is not None:
            self.append(CodeContentItem(codes.DCM.SubjectSpecies, _dicom(terms_of.SPECIES[species]), HAS_OBS_CONTEXT))


def _known_species(evidence: Sequence[Evidence]) -> Species | None:
    """A species that somebody stated; an assumed one is said in words only."""
    for item in evidence:
        if item.answer.species in terms_of.SPECIES and item.answer.species_source in (Source.HEADER, Source.USER):
            return item.answer.species
    return None


class _TextEvaluation(QualitativeEvaluation):
    """Text in a measurement group: TID 1501 row 12; highdicom's class is for codes only."""

    def __init__(self, name: DicomCode, text: str) -> None:
        Template.__init__(self)
        self.append(_text(name, text))


def _group(
    finding: Finding, report: Report, evidence: Evidence, *, lineage: str, identity: Identity, language: Language
) -> MeasurementsAndQualitativeEvaluations:
    """TID 1501: every number with the lines it was measured from."""
    image = SourceImageForRegion(evidence.answer.ref.sop_class_uid, evidence.answer.ref.sop_instance_uid)
    numbers = [
        MeasurementItem(
            name=_dicom(measurement.concept),
            value=wording.shown(measurement.value),
            unit=_dicom(measurement.unit),
            referenced_coordinates=[_polyline(line, image) for line in _ruler(measurement, finding)],
        )
        for measurement in finding.measurements
    ]
    if finding.probability is not None:
        outlines = [_shape(shape, image) for shape in finding.regions]
        certainty = round(100 * float(finding.probability), 1)
        numbers.append(
            MeasurementItem(
                name=CERTAINTY,
                value=certainty,
                unit=_dicom(terms_of.PERCENT),
                referenced_coordinates=outlines or None,
            )
        )
    itself = any(wording.is_of(measurement, finding.concept) for measurement in finding.measurements)
    about = finding.site if itself and finding.site is not None else finding.concept  # a score is of the heart
    comment = "; ".join(filter(None, [wording.brief(finding, language), _positions(finding, language)]))
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=identity.uid(lineage, "tracking", evidence.answer.ref.sop_instance_uid, finding.tracking),
            identifier=finding.tracking,
        ),
        finding_type=_dicom(about),
        finding_sites=[FindingSite(anatomic_location=_dicom(finding.site))] if finding.site is not None else None,
        algorithm_id=_algorithm(report),
        measurements=numbers,
        qualitative_evaluations=[_TextEvaluation(_dicom(terms_of.COMMENT), comment)],
    )


def _positions(finding: Finding, language: Language) -> str:
    known = [m for m in finding.measurements if m.interval is not None]
    return "; ".join(f"{wording.position(m, language)} ({wording.reference(m, language)})" for m in known)


def _ruler(measurement: Measurement, finding: Finding) -> list[Sequence[Point]]:
    """The polylines of a number: its own lines; the vertebral heart score has one, the ruler along the counted vertebrae."""
    lines: list[Sequence[Point]] = list(measurement.lines.values())
    if not wording.is_of(measurement, terms_of.VHS):
        return lines
    ruler = wording.vertebral_edges(finding)
    return [ruler] if len(ruler) > 1 else lines[:1]


def _polyline(points: Sequence[Point], image: SourceImageForRegion) -> CoordinatesForMeasurement:
    return CoordinatesForMeasurement(GraphicTypeValues.POLYLINE, np.round(np.asarray(points, dtype=float), 2), image)


def _shape(shape: Shape, image: SourceImageForRegion) -> CoordinatesForMeasurement:
    return CoordinatesForMeasurement(
        GraphicTypeValues(shape.graphic_type), np.round(np.asarray(shape.points, dtype=float), 2), image
    )


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


def _observer(report: Report, identity: Identity) -> ObserverContext:
    """The node alone: no person has looked at it yet."""
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=identity.device_uid,
            name="HOUNDSFIELD",
            manufacturer_name="Houndsfield",
            model_name=report.model.name if report.model else None,
        ),
    )


def _evaluations(report: Report, language: Language) -> Iterator[ContentItem]:
    """What is said of the whole report: its outcome, what was not measured, the conclusion, and what it rests on."""
    outcome = {
        Outcome.ANALYSED: terms_of.ANALYSED,
        Outcome.DECLINED: terms_of.DECLINED,
        Outcome.FAILED: terms_of.FAILED,
    }[report.outcome]
    yield CodeContentItem(_dicom(terms_of.ANALYSIS_OUTCOME), _dicom(outcome), CONTAINS)
    for finding in report.findings:
        if not has_coordinates(finding):
            yield CodeContentItem(_dicom(finding.concept), _dicom(terms_of.OUTCOMES[finding.outcome]), CONTAINS)
    yield _text(terms_of.CONCLUSION, " ".join(wording.conclusion(report, language)))
    for line in _basis(report, language):
        yield _text(terms_of.COMMENT, line)
    for position, evidence in enumerate(report.evidence, 1):
        item = _text(terms_of.COMMENT, wording.image(position, evidence, report, language))
        item.ContentSequence = ContentSequence([_image(evidence, ORIGINAL_SOURCE, INFERRED_FROM)])
        yield item


def _basis(report: Report, language: Language) -> Iterator[str]:
    looked_for = wording.looked_for(report.findings, language)
    if looked_for:
        yield looked_for
    answers = [evidence.answer for evidence in report.evidence]
    species = dict.fromkeys(wording.fact(answer.species, answer.species_source, language) for answer in answers)
    yield f"{terms.phrase('species', language)}: {', '.join(species)}"
    for finding in report.findings:
        for measurement in finding.measurements:
            if measurement.interval is not None:
                concept = terms.concept(measurement.concept, language)
                yield f"{concept}: {wording.reference(measurement, language, source=True)}"
    if report.model is not None:
        model = report.model
        yield f"{terms.phrase('model', language)}: {wording.model(model)}, {model.manufacturer}"
        yield f"{terms.phrase('weights', language)}: sha256 {model.onnx_sha256}"
        if model.performance:
            yield model.performance


def _image_library(evidence: Sequence[Evidence], headers: Sequence[Header]) -> ContainerContentItem:
    """TID 1600 from what each header has; highdicom's own wants every attribute to be there."""
    entries = []
    for item, header in zip(evidence, headers, strict=True):
        entry = _image(item, SOURCE_IMAGE, CONTAINS)
        facts = []
        for name, size in ((codes.DCM.PixelDataRows, item.answer.rows), (codes.DCM.PixelDataColumns, item.answer.columns)):
            if size:
                facts.append(NumContentItem(name, size, PIXELS, relationship_type=HAS_ACQ_CONTEXT))
        spacing = header.attributes.get("PixelSpacing") or header.attributes.get("ImagerPixelSpacing")
        if spacing and min(map(float, spacing)) > 0:
            vertical, horizontal = map(float, spacing)
            for name, value in (
                (codes.DCM.HorizontalPixelSpacing, horizontal),
                (codes.DCM.VerticalPixelSpacing, vertical),
            ):
                facts.append(NumContentItem(name, value, _dicom(terms_of.MILLIMETRE), relationship_type=HAS_ACQ_CONTEXT))
        if facts:
            entry.ContentSequence = ContentSequence(facts)
        entries.append(entry)
    group = _container(codes.DCM.ImageLibraryGroup, entries)
    return _container(codes.DCM.ImageLibrary, [group])


def _container(name: DicomCode, items: Iterable[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name, relationship_type=CONTAINS)
    container.ContentSequence = ContentSequence(list(items))
    return container


def _image(evidence: Evidence, name: DicomCode, relationship: RelationshipTypeValues) -> ImageContentItem:
    ref = evidence.answer.ref
    return ImageContentItem(name, ref.sop_class_uid, ref.sop_instance_uid, relationship_type=relationship)


def _text(name: Code | DicomCode, text: str) -> TextContentItem:
    return TextContentItem(_dicom(name), plain(text), CONTAINS)


def _dicom(code: Code | DicomCode) -> DicomCode:
    return DicomCode(code.value, code.scheme, code.meaning) if isinstance(code, Code) else code


def _separate(item: Dataset) -> Dataset:
    """Viewers drop the labels of CONTINUOUS containers, which highdicom writes always; regions are of "Original Source"."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        if item.ValueType == "SCOORD" and child.ValueType == "IMAGE":
            name = child.ConceptNameCodeSequence[0]
            name.CodeValue, name.CodingSchemeDesignator = ORIGINAL_SOURCE.value, ORIGINAL_SOURCE.scheme_designator
            name.CodeMeaning = ORIGINAL_SOURCE.meaning
        _separate(child)
    return item
