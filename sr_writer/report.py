"""A report as a DICOM Structured Report: TID 1500 with measurement groups where something can be shown in an image, and a
plain TID 2000 report where nothing can, for a TID 1500 report without coordinates does not open in OHIF at all.

highdicom 0.28.2 builds the content items; what it lacks is added here and in `groups` (see CONFORMANCE.md for the
templates): an animal as subject, report-level qualitative evaluations, text in a measurement group, separate containers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    SubjectContext,
)
from highdicom.sr.templates import Template
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode

from domain import codes as terms_of
from domain import terms
from domain.identity import Identity
from domain.types import Evidence, Finding, FindingOutcome, Language, Outcome, Report, Signer, Source, Species, Style
from sr_writer import conclusion, image_words, wording
from sr_writer.groups import groups_of, has_coordinates, site_items
from sr_writer.header import Header
from sr_writer.tree import (
    CONTAINS,
    HAS_ACQ_CONTEXT,
    HAS_CONCEPT_MOD,
    HAS_OBS_CONTEXT,
    IMAGING_PROCEDURE,
    IMAGING_REPORT,
    INFERRED_FROM,
    ORIGINAL_SOURCE,
    SOURCE_IMAGE,
    SPOKEN,
    container,
    dicom,
    image,
    separate,
    text,
    text_of_image,
)

QUALITATIVE_EVALUATIONS = DicomCode("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500 row 12
FINDINGS = DicomCode("121070", "DCM", "Findings")  # CID 7001
SEX = {"M": DicomCode("M", "DCM", "Male"), "F": DicomCode("F", "DCM", "Female")}


def root(
    report: Report,
    headers: Sequence[Header],
    *,
    identity: Identity,
    style: Style,
    signer: Signer | None = None,
    signature: Sequence[str] = (),
) -> Dataset:
    """The root content item. headers: of report.evidence, in its order. signature: what the conclusion says of `signer`."""
    lineage = identity.lineage(report.study_instance_uid, report.model.name if report.model else "")
    by_uid = {
        evidence.answer.ref.sop_instance_uid: (evidence, header)
        for evidence, header in zip(report.evidence, headers, strict=True)
    }
    groups = [
        group
        for finding in wording.by_importance(report.findings)
        if has_coordinates(finding)
        for group in groups_of(
            finding, report, *by_uid[finding.sop_instance_uid], lineage=lineage, identity=identity, style=style
        )
    ]
    evaluations = _evaluations(report, headers, style.language, signature)
    context = observation_context(report, headers, identity, signer)
    spoken = LanguageOfContentItemAndDescendants(CodedConcept.from_code(dicom(SPOKEN[style.language])))
    if groups:
        item = MeasurementReport(
            observation_context=context,
            procedure_reported=IMAGING_PROCEDURE,
            imaging_measurements=groups,
            title=codes.cid7021.ImagingMeasurementReport,
            language_of_content_item_and_descendants=spoken,
        )[0]
        item.ContentSequence.insert(len(item.ContentSequence) - 1, _image_library(report.evidence, headers))  # row 5
        item.ContentSequence.append(container(QUALITATIVE_EVALUATIONS, evaluations))
        return separate(item)
    return imaging_report([container(FINDINGS, evaluations)], context, style.language)


def imaging_report(sections: Sequence[ContainerContentItem], context: ObservationContext, language: Language) -> Dataset:
    """TID 2000: sections of text below a root that OHIF, Weasis and Stone show as text."""
    item = ContainerContentItem(name=IMAGING_REPORT, template_id="2000")
    item.ContentSequence = ContentSequence()
    spoken = LanguageOfContentItemAndDescendants(CodedConcept.from_code(dicom(SPOKEN[language])))
    item.ContentSequence.extend([*spoken, *context])
    item.ContentSequence.append(CodeContentItem(codes.DCM.ProcedureReported, IMAGING_PROCEDURE, HAS_CONCEPT_MOD))
    item.ContentSequence.extend(sections)
    return separate(item)


def observation_context(
    report: Report, headers: Sequence[Header], identity: Identity, signer: Signer | None = None
) -> ObservationContext:
    """The node observes the animal; a person too, once somebody has looked at it and signed."""
    person = None
    if signer is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name without "^", which is one all the same; they quote it
            attributes = PersonObserverIdentifyingAttributes(name=signer.name, organization_name=signer.organization)
        person = ObserverContext(observer_type=codes.DCM.Person, observer_identifying_attributes=attributes)
    return ObservationContext(
        observer_person_context=person,
        observer_device_context=_observer(report, identity),
        subject_context=_Animal(headers, report.evidence),
    )


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
            self.append(CodeContentItem(codes.DCM.SubjectSpecies, dicom(terms_of.SPECIES[species]), HAS_OBS_CONTEXT))


def _known_species(evidence: Sequence[Evidence]) -> Species | None:
    """A species that somebody stated; an assumed one is said in words only."""
    for item in evidence:
        if item.answer.species in terms_of.SPECIES and item.answer.species_source in (Source.HEADER, Source.USER):
            return item.answer.species
    return None


def _observer(report: Report, identity: Identity) -> ObserverContext:
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=identity.device_uid,
            name="HOUNDSFIELD",
            manufacturer_name="Houndsfield",
            model_name=report.model.name if report.model else None,
        ),
    )


def _evaluations(
    report: Report, headers: Sequence[Header], language: Language, signature: Sequence[str]
) -> Iterator[ContentItem]:
    """What is said of the whole report: its outcome, what was not measured, the conclusion, and what it rests on."""
    outcome = {
        Outcome.ANALYSED: terms_of.ANALYSED,
        Outcome.DECLINED: terms_of.DECLINED,
        Outcome.FAILED: terms_of.FAILED,
    }[report.outcome]
    if report.outcome is Outcome.ANALYSED and wording.is_silent(report.outcome, report.findings):
        outcome = terms_of.OUTCOMES[FindingOutcome.NOT_ASSESSABLE]
    yield CodeContentItem(dicom(terms_of.ANALYSIS_OUTCOME), dicom(outcome), CONTAINS)
    by_uid = {evidence.answer.ref.sop_instance_uid: evidence for evidence in report.evidence}
    for finding in wording.by_importance(report.findings):
        if not has_coordinates(finding):
            yield _evaluation(finding, by_uid[finding.sop_instance_uid])
    yield text(terms_of.CONCLUSION, " ".join(conclusion.lines(report, headers, language, signature=signature)))
    for line in basis(report, headers, language):
        yield text(terms_of.COMMENT, line)
    for position, (evidence, header) in enumerate(zip(report.evidence, headers, strict=True), 1):
        yield text_of_image(terms_of.COMMENT, image_words.image(position, evidence, header, report, language), evidence)
        quality = f"{wording.image_number(position, report, language)}: {image_words.quality(evidence, header, language)}"
        yield text_of_image(terms_of.IMAGE_QUALITY, quality, evidence)


def _evaluation(finding: Finding, evidence: Evidence) -> CodeContentItem:
    """A question and its coded answer about one image, with the site that the question is about."""
    item = CodeContentItem(dicom(finding.concept), dicom(terms_of.OUTCOMES[finding.outcome]), CONTAINS)
    item.ContentSequence = ContentSequence([*site_items(finding), image(evidence, ORIGINAL_SOURCE, INFERRED_FROM)])
    return item


def basis(report: Report, headers: Sequence[Header], language: Language) -> Iterator[str]:
    """What was looked for, in whom, against which references, by which model."""
    looked_for = wording.looked_for(report.findings, language)
    if looked_for:
        yield looked_for
    pairs = zip(report.evidence, headers, strict=True)
    species = dict.fromkeys(image_words.species(evidence, header, language) for evidence, header in pairs)
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
        yield wording.performance(model, language)


def _image_library(evidence: Sequence[Evidence], headers: Sequence[Header]) -> ContainerContentItem:
    """TID 1600 from what each header has; highdicom's own wants every attribute to be there."""
    entries = []
    for item, header in zip(evidence, headers, strict=True):
        entry = image(item, SOURCE_IMAGE, CONTAINS)
        facts = []
        for name, size in ((codes.DCM.PixelDataRows, item.answer.rows), (codes.DCM.PixelDataColumns, item.answer.columns)):
            if size:
                facts.append(NumContentItem(name, size, dicom(terms_of.PIXELS), relationship_type=HAS_ACQ_CONTEXT))
        if header.spacing_mm is not None:
            vertical, horizontal = header.spacing_mm
            for name, value in (
                (codes.DCM.HorizontalPixelSpacing, horizontal),
                (codes.DCM.VerticalPixelSpacing, vertical),
            ):
                facts.append(NumContentItem(name, value, dicom(terms_of.MILLIMETRE), relationship_type=HAS_ACQ_CONTEXT))
        if facts:
            entry.ContentSequence = ContentSequence(facts)
        entries.append(entry)
    group = container(codes.DCM.ImageLibraryGroup, entries)
    return container(codes.DCM.ImageLibrary, [group])
