"""From answers to files: one Structured Report per model, study and revision, one overlay per image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from domain import codes, terms
from domain.identity import Identity
from domain.types import Document, DocumentKind, Evidence, InstanceRef, Language, Outcome, Report, Style
from sr_writer import conclusion, objects, overlay, wording
from sr_writer.charset import plain
from sr_writer.header import Header, read_header
from sr_writer.report import root

SR_SERIES_NUMBER = 9001
OVERLAY_SERIES_NUMBER = 9002
TEXT_SERIES_NUMBER = 9003


def report_series_uid(
    report: Report, identity: Identity, style: Style = objects.DEFAULT_STYLE, kind: DocumentKind = DocumentKind.SR
) -> str:
    """All revisions of a model's report of a study lie in one series. Reports in another style have one of their own, for
    OHIF shows only the last report of a series; so have text reports (kind TEXT_SR)."""
    lineage = identity.lineage(report.study_instance_uid, report.model.name if report.model else "")
    return identity.uid(lineage, "series", kind.value, *objects.variant(style))


def overlay_series_uid(study_instance_uid: str, identity: Identity, style: Style = objects.DEFAULT_STYLE) -> str:
    """All overlays of a study lie in one series."""
    return identity.uid(
        identity.lineage(study_instance_uid, "overlay"), "series", DocumentKind.SC.value, *objects.variant(style)
    )


def write_report(
    report: Report,
    *,
    identity: Identity,
    style: Style,
    directory: Path,
    previous: Document | None = None,
) -> Document:
    """A Structured Report in `directory`, named by its UID; the same report, headers and `previous` give the same bytes.

    Report.analysed_at is every time in it, as wall clock: pass it in the clinic's time zone. ValueError for a report
    without evidence or with a finding of an image that is not among it; OSError when a source cannot be opened or the
    document cannot be written. Of several sources some may be gone, but not all.
    """
    return write_tree(
        report,
        lambda report, headers: root(report, headers, identity=identity, style=style),
        kind=DocumentKind.SR,
        identity=identity,
        style=style,
        directory=directory,
        previous=previous,
    )


def write_tree(
    report: Report,
    tree: Callable[[Report, Sequence[Header]], Dataset],
    *,
    kind: DocumentKind,
    identity: Identity,
    style: Style,
    directory: Path,
    previous: Document | None,
) -> Document:
    """A report of either kind. tree: its root content item, of the report with its evidence in order and their headers."""
    report, headers = read(report)
    return finish(
        structured(
            report,
            headers,
            kind=kind,
            identity=identity,
            style=style,
            previous=previous,
            made_at=report.analysed_at,
        ),
        tree(report, headers),
        kind=kind,
        header=headers[0],
        inputs={"report": report, "style": style, "previous": previous},
        identity=identity,
        directory=directory,
    )


def read(report: Report) -> tuple[Report, list[Header]]:
    """The report with its evidence in the console's order, and each image's header. ValueError as in `write_report`."""
    known = {evidence.answer.ref.sop_instance_uid for evidence in report.evidence}
    if not known or not known.issuperset(finding.sop_instance_uid for finding in report.findings):
        raise ValueError("a report's evidence must hold at least one image, and every image of its findings")
    pairs = sorted(zip(read_headers(report.evidence), report.evidence, strict=True), key=_order)
    return replace(report, evidence=tuple(item for _, item in pairs)), [header for header, _ in pairs]


def read_headers(evidence: Sequence[Evidence]) -> list[Header]:
    """Of each image, empty where its file is gone; FileNotFoundError where all are: whose results would they be?"""
    found: list[Header | FileNotFoundError] = []
    for item in evidence:
        try:
            found.append(read_header(item.path))
        except FileNotFoundError as gone:
            found.append(gone)
    missing = [each for each in found if isinstance(each, FileNotFoundError)]
    if len(missing) == len(found):
        raise missing[0]
    return [each if isinstance(each, Header) else Header(attributes=Dataset()) for each in found]


def structured(
    report: Report,
    headers: Sequence[Header],
    *,
    kind: DocumentKind,
    identity: Identity,
    style: Style,
    previous: Document | None,
    made_at: datetime,
) -> Dataset:
    """Everything of a Structured Report but its content tree (PS3.3 A.35)."""
    plain_text = kind is DocumentKind.TEXT_SR
    ds = objects.result(
        headers[0],
        sop_class_uid=EnhancedSRStorage if plain_text else _sop_class_uid(style),
        study_instance_uid=report.study_instance_uid,
        series_instance_uid=report_series_uid(report, identity, style, kind),
        series_number=TEXT_SERIES_NUMBER if plain_text else SR_SERIES_NUMBER,
        series_description=_series_description(report, kind),
        instance_number=report.revision,
        made_at=made_at,
    )
    ds.Modality = "SR"
    if report.model is not None:
        ds.SoftwareVersions = [objects.PRODUCT_VERSION, report.model.version[:64]]
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = []
    _flags(ds, report, headers, style.language)
    ds.CurrentRequestedProcedureEvidenceSequence = [_study_of(report, headers, identity)]
    if previous is not None:
        ds.PredecessorDocumentsSequence = [objects.predecessor(previous)]
    return ds


def finish(
    ds: Dataset,
    tree: Dataset,
    *,
    kind: DocumentKind,
    header: Header,
    inputs: Mapping[str, Any],
    identity: Identity,
    directory: Path,
) -> Document:
    """Add the content tree, declare the private scheme where it is used, derive the UID and write."""
    for element in tree:
        ds[element.tag] = element
    if _uses_private_codes(tree):
        ds.CodingSchemeIdentificationSequence = [_private_scheme()]
    return objects.write(ds, kind=kind, header=header, inputs=inputs, identity=identity, directory=directory)


def _sop_class_uid(style: Style) -> str:
    return Comprehensive3DSRStorage if style.comprehensive_3d else ComprehensiveSRStorage


def _uses_private_codes(tree: Dataset) -> bool:
    return any(e.keyword == "CodingSchemeDesignator" and e.value == codes.PRIVATE_SCHEME for e in tree.iterall())


def write_overlay(
    evidence: Evidence,
    *,
    pixels: npt.NDArray[np.float32] | None,
    study_instance_uid: str,
    identity: Identity,
    style: Style,
    directory: Path,
    number: int,
    made_at: datetime,
) -> Document:
    """A Secondary Capture of one image and what all models said of it, in `directory`, named by its UID.

    pixels: (rows, columns) 0..1 as displayed, or None when the image could not be read: the panel then stands alone.
    number: Instance Number within the study's overlay series, from 1. made_at: every time in it, as wall clock.
    """
    header = read_header(evidence.path)
    ds = objects.result(
        header,
        sop_class_uid=overlay.SOP_CLASS_UID,
        study_instance_uid=study_instance_uid,
        series_instance_uid=overlay_series_uid(study_instance_uid, identity, style),
        series_number=OVERLAY_SERIES_NUMBER,
        series_description="AI overlay - not a diagnosis",
        instance_number=number,
        made_at=made_at,
    )
    overlay.fill(ds, evidence, header=header, pixels=pixels, style=style)
    return objects.write(
        ds,
        kind=DocumentKind.SC,
        header=header,
        inputs={"evidence": evidence, "style": style, "number": number, "made_at": made_at},
        identity=identity,
        directory=directory,
        transfer_syntax_uid=overlay.transfer_syntax_uid(style),
    )


def _order(read: tuple[Header, Evidence]) -> tuple[bool, int, int, str]:
    """As the console numbered them, so that "image 2 of 3" is what a viewer shows second; the first says whose they are."""
    header, evidence = read
    numbers = [header.text(keyword) for keyword in ("SeriesNumber", "InstanceNumber")]
    series, instance = (int(text) if text else 0 for text in numbers)
    return not len(header.attributes), series, instance, evidence.answer.ref.sop_instance_uid


def _series_description(report: Report, kind: DocumentKind) -> str:
    """In the list of series, before anything is opened: which model, or that nothing was analysed."""
    text = " (text)" if kind is DocumentKind.TEXT_SR else ""
    if report.model is None or report.outcome is not Outcome.ANALYSED:
        return f"AI: {terms.outcome(report.outcome, Language.ENGLISH)}{text}"[:64]
    if wording.is_silent(report.outcome, report.findings):
        return f"AI: {terms.phrase('nothing_assessable', Language.ENGLISH)}{text}: {report.model.name}"[:64]
    return f"AI report{text} - not a diagnosis: {report.model.name}"[:64]


def _flags(ds: Dataset, report: Report, headers: Sequence[Header], language: Language) -> None:
    lacking = [*conclusion.patients_differ(headers, language), *conclusion.incomplete(report, language)]
    ds.CompletionFlag = "PARTIAL" if lacking else "COMPLETE"
    if lacking:
        ds.CompletionFlagDescription = plain(lacking[0].rstrip("."))[:64]
    ds.VerificationFlag = "UNVERIFIED"
    ds.PreliminaryFlag = "PRELIMINARY"


def _private_scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = codes.PRIVATE_SCHEME
    item.CodingSchemeUID = codes.PRIVATE_SCHEME_UID
    item.CodingSchemeName = codes.PRIVATE_SCHEME_NAME
    item.CodingSchemeResponsibleOrganization = objects.MANUFACTURER
    return item


def _study_of(report: Report, headers: Sequence[Header], identity: Identity) -> Dataset:
    """Every image of the report by series, declined and failed ones included (PS3.3 C.17.2)."""

    def instances() -> Iterator[tuple[str, InstanceRef]]:
        for header, evidence in zip(headers, report.evidence, strict=True):
            ref = replace(evidence.answer.ref, frame_number=None)  # the macro of PS3.3 C.17-3 names whole instances
            # a file without a readable Series Instance UID still is evidence: a stand-in that nothing else can have
            yield header.text("SeriesInstanceUID") or identity.uid("unknown series of", ref.sop_instance_uid), ref

    return objects.references(report.study_instance_uid, instances())
