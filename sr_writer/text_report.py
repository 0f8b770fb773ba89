"""The report as text alone: an Enhanced SR by TID 2000, for viewers that show words or drawings of a report but not both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from highdicom.sr import ContainerContentItem
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as DicomCode

from domain import codes
from domain.identity import Identity
from domain.types import Document, DocumentKind, Language, Report, Style
from sr_writer import image_words, narrative, wording
from sr_writer.header import Header
from sr_writer.report import imaging_report, observation_context
from sr_writer.tree import container, dicom, text, text_of_image
from sr_writer.write import write_tree

# Headings of CID 7001 in the codes of its first edition, which all viewers and validators know; elements of CID 7002.
PROCEDURE = DicomCode("121064", "DCM", "Current Procedure Descriptions")
PROCEDURE_DESCRIPTION = DicomCode("121065", "DCM", "Procedure Description")
FINDINGS = DicomCode("121070", "DCM", "Findings")
FINDING = DicomCode("121071", "DCM", "Finding")
IMPRESSIONS = DicomCode("121072", "DCM", "Impressions")
IMPRESSION = DicomCode("121073", "DCM", "Impression")
RECOMMENDATIONS = DicomCode("121074", "DCM", "Recommendations")
RECOMMENDATION = DicomCode("121075", "DCM", "Recommendation")
MEASUREMENTS = DicomCode("126010", "DCM", "Imaging Measurements")
SUMMARY = DicomCode("121111", "DCM", "Summary")


def write_text_report(
    report: Report,
    *,
    identity: Identity,
    style: Style,
    directory: Path,
    previous: Document | None = None,
) -> Document:
    """An Enhanced SR in `directory`, in a series of its own; `previous` is one too. Errors as in `write_report`."""
    return write_tree(
        report,
        lambda report, headers: root(report, headers, identity=identity, language=style.language),
        kind=DocumentKind.TEXT_SR,
        identity=identity,
        style=style,
        directory=directory,
        previous=previous,
    )


def root(report: Report, headers: Sequence[Header], *, identity: Identity, language: Language) -> Dataset:
    """The root content item; headers: of report.evidence, in its order."""
    sections = [
        _section(PROCEDURE, PROCEDURE_DESCRIPTION, narrative.heading(report, headers, language)),
        _quality(report, headers, language),
        _section(FINDINGS, FINDING, narrative.findings(report, language)),
        _section(MEASUREMENTS, FINDING, narrative.measurements(report, language)),
        _section(IMPRESSIONS, IMPRESSION, narrative.impression(report, headers, language)),
        _section(RECOMMENDATIONS, RECOMMENDATION, narrative.next_steps(report, language)),
        _section(SUMMARY, PROCEDURE_DESCRIPTION, narrative.grounds(report, language)),
    ]
    return imaging_report(sections, observation_context(report, headers, identity), language)


def _section(name: DicomCode, element: DicomCode, lines: Iterable[str]) -> ContainerContentItem:
    return container(name, [text(element, line) for line in lines])


def _quality(report: Report, headers: Sequence[Header], language: Language) -> ContainerContentItem:
    """A line per image, what became of it first."""
    items = []
    for position, (evidence, header) in enumerate(zip(report.evidence, headers, strict=True), 1):
        line = (
            f"{wording.image_number(position, report, language)}: {image_words.became(evidence, report, language)}; "
            f"{image_words.quality(evidence, header, language)}"
        )
        items.append(text_of_image(FINDING, line, evidence))
    return container(dicom(codes.IMAGE_QUALITY), items)
