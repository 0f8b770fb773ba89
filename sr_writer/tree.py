"""Content items that every report is built of, and what viewers need of a whole tree."""

from __future__ import annotations

from collections.abc import Iterable

from highdicom.sr import (
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as DicomCode

from domain.types import Code, Evidence, Language
from sr_writer.charset import plain

CONTAINS = RelationshipTypeValues.CONTAINS
HAS_OBS_CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT
HAS_CONCEPT_MOD = RelationshipTypeValues.HAS_CONCEPT_MOD
HAS_ACQ_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
INFERRED_FROM = RelationshipTypeValues.INFERRED_FROM

IMAGING_PROCEDURE = DicomCode("363679005", "SCT", "Imaging procedure")  # CID 100
IMAGING_REPORT = DicomCode("18748-4", "LN", "Diagnostic Imaging Report")  # CID 7000
SOURCE_IMAGE = DicomCode("260753009", "SCT", "Source")  # TID 1600
ORIGINAL_SOURCE = DicomCode("111040", "DCM", "Original Source")  # the name that Stone Web Viewer 3.0 draws
SPOKEN = {
    Language.ENGLISH: Code(value="en", scheme="RFC5646", meaning="English"),
    Language.KOREAN: Code(value="ko", scheme="RFC5646", meaning="Korean"),
}


def dicom(code: Code | DicomCode) -> DicomCode:
    return DicomCode(code.value, code.scheme, code.meaning) if isinstance(code, Code) else code


def container(name: Code | DicomCode, items: Iterable[ContentItem]) -> ContainerContentItem:
    made = ContainerContentItem(dicom(name), relationship_type=CONTAINS)
    made.ContentSequence = ContentSequence(list(items))
    return made


def text(name: Code | DicomCode, words: str) -> TextContentItem:
    return TextContentItem(dicom(name), plain(words), CONTAINS)


def image(evidence: Evidence, name: DicomCode, relationship: RelationshipTypeValues) -> ImageContentItem:
    ref = evidence.answer.ref
    return ImageContentItem(
        name,
        ref.sop_class_uid,
        ref.sop_instance_uid,
        referenced_frame_numbers=None if ref.frame_number is None else [ref.frame_number],
        relationship_type=relationship,
    )


def text_of_image(name: Code | DicomCode, words: str, evidence: Evidence) -> TextContentItem:
    """Words that rest on one image."""
    item = text(name, words)
    item.ContentSequence = ContentSequence([image(evidence, ORIGINAL_SOURCE, INFERRED_FROM)])
    return item


def separate(item: Dataset) -> Dataset:
    """Viewers drop the labels of CONTINUOUS containers, which highdicom writes always; regions are of "Original Source"."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        if item.ValueType == "SCOORD" and child.ValueType == "IMAGE":
            name = child.ConceptNameCodeSequence[0]
            name.CodeValue, name.CodingSchemeDesignator = ORIGINAL_SOURCE.value, ORIGINAL_SOURCE.scheme_designator
            name.CodeMeaning = ORIGINAL_SOURCE.meaning
        separate(child)
    return item
