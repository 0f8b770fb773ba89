"""Key Object Selection documents (PS3.3 A.35.4, PS3.16 TID 2010): what belongs together, and what is withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, KeyObjectSelectionDocumentStorage

from domain.identity import Identity
from domain.types import Code, Document, DocumentKind, Language, Style
from sr_writer import objects
from sr_writer.charset import plain
from sr_writer.header import read_header

SET_SERIES_NUMBER, REJECTION_SERIES_NUMBER = 9005, 9006
OF_INTEREST = Code(value="113000", scheme="DCM", meaning="Of Interest")  # CID 7010
DESCRIPTION = Code(value="113012", scheme="DCM", meaning="Key Object Description")
LANGUAGE_OF = Code(value="121049", scheme="DCM", meaning="Language of Content Item and Descendants")
OBSERVER_TYPE = Code(value="121005", scheme="DCM", meaning="Observer Type")
DEVICE = Code(value="121007", scheme="DCM", meaning="Device")
DEVICE_UID = Code(value="121012", scheme="DCM", meaning="Device Observer UID")
DEVICE_NAME = Code(value="121013", scheme="DCM", meaning="Device Observer Name")
SPOKEN = {
    Language.ENGLISH: Code(value="en", scheme="RFC5646", meaning="English"),
    Language.KOREAN: Code(value="ko", scheme="RFC5646", meaning="Korean"),
}
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


def write_result_set(
    documents: Sequence[Document],
    *,
    source: Path,
    study_instance_uid: str,
    identity: Identity,
    style: Style,
    directory: Path,
    number: int,
    made_at: datetime,
) -> Document:
    """Names all documents of one revision, so that a viewer can find them together; in `directory`, named by its UID.

    source: one of the study's images, whose header it repeats. number: the revision, from 1, and the Instance Number in
    the study's series of result sets. made_at: every time in it, as wall clock. ValueError without documents or with one
    of another study; OSError when it cannot be written.
    """
    return _write(
        documents,
        title=OF_INTEREST,
        words=SET_WORDS[style.language].format(number=number),
        series=("result set", SET_SERIES_NUMBER, "AI result set"),
        source=source,
        study_instance_uid=study_instance_uid,
        identity=identity,
        style=style,
        directory=directory,
        number=number,
        made_at=made_at,
    )


def write_rejection(
    documents: Sequence[Document],
    *,
    why: Rejection,
    source: Path,
    study_instance_uid: str,
    identity: Identity,
    style: Style,
    directory: Path,
    number: int,
    made_at: datetime,
) -> Document:
    """A rejection note: an archive that knows them no longer shows what it names. Arguments as for `write_result_set`.

    WRONG_PATIENT: it repeats the header that the rejected documents were filed under, or the archive won't match them.
    """
    return _write(
        documents,
        title=why.value,
        words=REJECTION_WORDS[style.language],
        series=("rejection", REJECTION_SERIES_NUMBER, "AI results withdrawn"),
        source=source,
        study_instance_uid=study_instance_uid,
        identity=identity,
        style=style,
        directory=directory,
        number=number,
        made_at=made_at,
    )


def _write(
    documents: Sequence[Document],
    *,
    title: Code,
    words: str,
    series: tuple[str, int, str],
    source: Path,
    study_instance_uid: str,
    identity: Identity,
    style: Style,
    directory: Path,
    number: int,
    made_at: datetime,
) -> Document:
    if not documents or any(document.study_instance_uid != study_instance_uid for document in documents):
        raise ValueError("a selection names at least one document, and only those of its own study")
    documents = sorted(documents, key=_order)
    role, series_number, description = series
    header = read_header(source)
    lineage = identity.lineage(study_instance_uid, role)
    ds = objects.result(
        header,
        sop_class_uid=KeyObjectSelectionDocumentStorage,
        study_instance_uid=study_instance_uid,
        series_instance_uid=identity.uid(lineage, "series", DocumentKind.KOS.value),
        series_number=series_number,
        series_description=description,
        instance_number=number,
        made_at=made_at,
    )
    ds.Modality = "KO"
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.CurrentRequestedProcedureEvidenceSequence = [_evidence(documents, study_instance_uid)]
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
        directory=directory,
    )


def _order(document: Document) -> tuple[str, str, str]:
    """By kind: the order in which the caller has them must not decide the bytes."""
    return document.kind.value, document.series_instance_uid, document.ref.sop_instance_uid


def _evidence(documents: Sequence[Document], study_instance_uid: str) -> Dataset:
    by_series: dict[str, list[Dataset]] = {}
    for document in documents:
        by_series.setdefault(document.series_instance_uid, []).append(_reference(document))
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = []
    for uid, references in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedSOPSequence = references
        study.ReferencedSeriesSequence.append(item)
    return study


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
        item.ReferencedSOPSequence = [_reference(document)]
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


def _reference(document: Document) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = document.ref.sop_class_uid
    item.ReferencedSOPInstanceUID = document.ref.sop_instance_uid
    return item
