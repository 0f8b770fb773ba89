"""Key Object Selection documents (PS3.3 A.35.4, PS3.16 TID 2010): what belongs together, and what is withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TypedDict, Unpack

from pydicom.dataset import Dataset
from pydicom.uid import UID, KeyObjectSelectionDocumentStorage

from domain.identity import Identity
from domain.types import Code, Document, DocumentKind, Language, Style
from sr_writer import objects
from sr_writer.charset import plain
from sr_writer.header import read_header
from sr_writer.tree import SPOKEN

SET_SERIES_NUMBER, REJECTION_SERIES_NUMBER = 9005, 9006
OF_INTEREST = Code(value="113000", scheme="DCM", meaning="Of Interest")  # CID 7010
DESCRIPTION = Code(value="113012", scheme="DCM", meaning="Key Object Description")
LANGUAGE_OF = Code(value="121049", scheme="DCM", meaning="Language of Content Item and Descendants")
OBSERVER_TYPE = Code(value="121005", scheme="DCM", meaning="Observer Type")
DEVICE = Code(value="121007", scheme="DCM", meaning="Device")
DEVICE_UID = Code(value="121012", scheme="DCM", meaning="Device Observer UID")
DEVICE_NAME = Code(value="121013", scheme="DCM", meaning="Device Observer Name")
SET_WORDS = {
    Language.ENGLISH: "All AI results of this study, revision {number}. AI - not a diagnosis.",
    Language.KOREAN: "이 검사의 모든 AI 결과, {number}차. AI 분석 - 진단이 아님.",
}
REJECTION_WORDS = {
    Language.ENGLISH: "These AI results are withdrawn: do not use them.",
    Language.KOREAN: "이 AI 결과는 철회되었습니다: 사용하지 마십시오.",
}


class Rejection(Enum):
    """Why results are withdrawn: titles of CID 7010 that archives with Imaging Object Change Management act upon."""

    QUALITY = Code(value="113001", scheme="DCM", meaning="Rejected for Quality Reasons")
    PATIENT_SAFETY = Code(value="113037", scheme="DCM", meaning="Rejected for Patient Safety Reasons")
    WRONG_PATIENT = Code(value="113038", scheme="DCM", meaning="Incorrect Modality Worklist Entry")


class Filing(TypedDict):
    """What both kinds of selection need beside the documents they name.

    source: one of the study's images, whose header it repeats. number: Instance Number in the study's series of such
    selections, from 1. made_at: every time in it, as wall clock.
    """

    source: Path
    study_instance_uid: str
    identity: Identity
    style: Style
    directory: Path
    number: int
    made_at: datetime


def write_result_set(documents: Sequence[Document], **filing: Unpack[Filing]) -> Document:
    """Names all documents of one revision, the `number`, so that a viewer can find them together; in `directory`, named by
    its UID. ValueError without documents or with one of another study; OSError when it cannot be written.
    """
    words = SET_WORDS[filing["style"].language].format(number=filing["number"])
    return _write(documents, OF_INTEREST, words, ("result set", SET_SERIES_NUMBER, "AI result set"), **filing)


def write_rejection(documents: Sequence[Document], *, why: Rejection, **filing: Unpack[Filing]) -> Document:
    """A rejection note: an archive that knows them no longer shows what it names. Errors as of `write_result_set`.

    WRONG_PATIENT: it repeats the header that the rejected documents were filed under, or the archive won't match them.
    """
    words = REJECTION_WORDS[filing["style"].language]
    series = ("rejection", REJECTION_SERIES_NUMBER, "AI results withdrawn")
    return _write(documents, why.value, words, series, **filing)


def _write(
    documents: Sequence[Document], title: Code, words: str, series: tuple[str, int, str], **filing: Unpack[Filing]
) -> Document:
    """series: the role that its identity follows from, number and description."""
    if not documents or any(document.study_instance_uid != filing["study_instance_uid"] for document in documents):
        raise ValueError("a selection names at least one document, and only those of its own study")
    documents = sorted(documents, key=_order)
    role, series_number, description = series
    study_instance_uid, identity = filing["study_instance_uid"], filing["identity"]
    style, number, made_at = filing["style"], filing["number"], filing["made_at"]
    header = read_header(filing["source"])
    ds = objects.result(
        header,
        sop_class_uid=KeyObjectSelectionDocumentStorage,
        study_instance_uid=study_instance_uid,
        series_instance_uid=identity.uid(
            identity.lineage(study_instance_uid, role), "series", DocumentKind.KOS.value, *objects.variant(style)
        ),
        series_number=series_number,
        series_description=description,
        instance_number=number,
        made_at=made_at,
    )
    ds.Modality = "KO"
    ds.ReferencedPerformedProcedureStepSequence = []
    named = [(document.series_instance_uid, document.ref) for document in documents]
    ds.CurrentRequestedProcedureEvidenceSequence = [objects.references(study_instance_uid, named)]
    _content(ds, documents, title=title, words=plain(words), language=style.language, identity=identity)
    return objects.write(
        ds,
        kind=DocumentKind.KOS,
        header=header,
        inputs={
            "role": role,
            "title": title,
            "documents": [[document.ref, document.sha256] for document in documents],
            "style": style,
            "number": number,
            "made_at": made_at,
        },
        identity=identity,
        directory=filing["directory"],
    )


def _order(document: Document) -> tuple[str, str, str]:
    """By kind: the order in which the caller has them must not decide the bytes."""
    return document.kind.value, document.series_instance_uid, document.ref.sop_instance_uid


def _content(
    ds: Dataset, documents: Sequence[Document], *, title: Code, words: str, language: Language, identity: Identity
) -> None:
    """TID 2010. Rows 8 to 10: what is referenced carries no concept name, which highdicom 0.28.2 writes all the same."""
    ds.ValueType = "CONTAINER"
    ds.ConceptNameCodeSequence = [_code(title)]
    ds.ContinuityOfContent = "SEPARATE"
    template = Dataset()
    template.MappingResource = "DCMR"
    template.TemplateIdentifier = "2010"
    ds.ContentTemplateSequence = [template]
    spoken = _item("HAS CONCEPT MOD", "CODE", LANGUAGE_OF)
    spoken.ConceptCodeSequence = [_code(SPOKEN[language])]
    observer = _item("HAS OBS CONTEXT", "CODE", OBSERVER_TYPE)
    observer.ConceptCodeSequence = [_code(DEVICE)]
    device = _item("HAS OBS CONTEXT", "UIDREF", DEVICE_UID)
    device.UID = identity.device_uid
    name = _item("HAS OBS CONTEXT", "TEXT", DEVICE_NAME)
    name.TextValue = objects.MODEL_NAME
    described = _item("CONTAINS", "TEXT", DESCRIPTION)
    described.TextValue = words
    ds.ContentSequence = [spoken, observer, device, name, described]
    for document in documents:
        is_image = "Image Storage" in UID(document.ref.sop_class_uid).name
        item = _item("CONTAINS", "IMAGE" if is_image else "COMPOSITE")
        item.ReferencedSOPSequence = [objects.reference(document.ref)]
        ds.ContentSequence.append(item)


def _item(relationship: str, value_type: str, name: Code | None = None) -> Dataset:
    item = Dataset()
    item.RelationshipType = relationship
    item.ValueType = value_type
    if name is not None:
        item.ConceptNameCodeSequence = [_code(name)]
    return item


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item
