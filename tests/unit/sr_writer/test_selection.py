"""Result sets and rejection notes: they name what they should, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answers import ANALYSED_AT, STUDY_UID
from factories import dx_file
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)

from domain.identity import Identity
from domain.types import Document, DocumentKind, InstanceRef, Language, Style
from sr_writer.header import PATIENT
from sr_writer.selection import Rejection, write_rejection, write_result_set

CLASSES = {
    DocumentKind.SR: ComprehensiveSRStorage,
    DocumentKind.SC: SecondaryCaptureImageStorage,
    DocumentKind.GSPS: GrayscaleSoftcopyPresentationStateStorage,
    DocumentKind.PDF: EncapsulatedPDFStorage,
}


def document(kind: DocumentKind, number: int = 1) -> Document:
    return Document(
        kind=kind,
        ref=InstanceRef(sop_class_uid=CLASSES[kind], sop_instance_uid=f"2.25.{list(CLASSES).index(kind) + 1}{number}"),
        study_instance_uid=STUDY_UID,
        series_instance_uid=f"2.25.{list(CLASSES).index(kind) + 1}",
        path=Path("nowhere"),
        sha256=f"{number:064x}",
    )


DOCUMENTS = [document(kind) for kind in CLASSES] + [document(DocumentKind.SC, 2)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return dx_file(tmp_path / "a.dcm", charset="ISO 2022 IR 149")


def values(source: Path, folder: Path) -> dict[str, Any]:
    return {
        "source": source,
        "study_instance_uid": STUDY_UID,
        "identity": Identity(),
        "style": Style(language=Language.ENGLISH),
        "directory": folder,
        "number": 1,
        "made_at": ANALYSED_AT,
    }


def references(ds: Dataset) -> list[tuple[str, str, str]]:
    items = [item for item in ds.ContentSequence if "ReferencedSOPSequence" in item]
    return [
        (item.ValueType, ref.ReferencedSOPClassUID, ref.ReferencedSOPInstanceUID)
        for item in items
        for ref in item.ReferencedSOPSequence
    ]


def evidence_uids(ds: Dataset) -> list[str]:
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == STUDY_UID
    return sorted(
        ref.ReferencedSOPInstanceUID for series in study.ReferencedSeriesSequence for ref in series.ReferencedSOPSequence
    )


def test_a_result_set_names_every_document_once(source: Path, tmp_path: Path) -> None:
    ds = dcmread(write_result_set(DOCUMENTS, **values(source, tmp_path)).path)
    named = references(ds)
    assert sorted(uid for _, _, uid in named) == sorted(d.ref.sop_instance_uid for d in DOCUMENTS) == evidence_uids(ds)
    images = {uid for value_type, _, uid in named if value_type == "IMAGE"}
    assert images == {d.ref.sop_instance_uid for d in DOCUMENTS if d.kind is DocumentKind.SC}
    assert ds.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert len(ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence) == len(CLASSES)


def test_what_is_referenced_has_no_name(source: Path, tmp_path: Path) -> None:
    ds = dcmread(write_result_set(DOCUMENTS, **values(source, tmp_path)).path)
    assert all("ConceptNameCodeSequence" not in i for i in ds.ContentSequence if i.ValueType in ("IMAGE", "COMPOSITE"))


@pytest.mark.parametrize(
    ("why", "title"), [("QUALITY", "113001"), ("PATIENT_SAFETY", "113037"), ("WRONG_PATIENT", "113038")]
)
def test_a_rejection_says_why_by_its_title(source: Path, tmp_path: Path, why: str, title: str) -> None:
    note = write_rejection(DOCUMENTS[:2], why=Rejection[why], **values(source, tmp_path))
    ds = dcmread(note.path)
    assert (ds.ConceptNameCodeSequence[0].CodeValue, ds.ConceptNameCodeSequence[0].CodingSchemeDesignator) == (title, "DCM")
    assert evidence_uids(ds) == sorted(d.ref.sop_instance_uid for d in DOCUMENTS[:2])


def test_a_rejection_is_neither_in_the_series_nor_under_the_uid_of_a_result_set(source: Path, tmp_path: Path) -> None:
    found = write_result_set(DOCUMENTS, **values(source, tmp_path))
    notes = [write_rejection(DOCUMENTS, why=why, **values(source, tmp_path)) for why in Rejection]
    assert len({note.ref for note in [found, *notes]}) == 4
    assert {note.series_instance_uid for note in notes}.isdisjoint({found.series_instance_uid})


@pytest.mark.parametrize("write", [write_result_set, lambda d, **k: write_rejection(d, why=Rejection.QUALITY, **k)])
def test_both_carry_the_animal_and_its_people(source: Path, tmp_path: Path, write: Callable[..., Document]) -> None:
    ds, original = dcmread(write(DOCUMENTS, **values(source, tmp_path)).path), dcmread(source)
    for keyword in PATIENT:
        assert (keyword in ds) is (keyword in original)
        if keyword in original:
            assert ds[keyword].value == original[keyword].value, keyword


@pytest.mark.parametrize("documents", [[], [replace(DOCUMENTS[0], study_instance_uid="2.25.1")]])
def test_nothing_and_another_study_are_refused(source: Path, tmp_path: Path, documents: list[Document]) -> None:
    with pytest.raises(ValueError, match="its own study"):
        write_result_set(documents, **values(source, tmp_path / "out"))


def test_the_order_of_the_documents_does_not_matter_and_what_they_are_does(source: Path, tmp_path: Path) -> None:
    first = write_result_set(DOCUMENTS, **values(source, tmp_path / "1"))
    second = write_result_set(DOCUMENTS[::-1], **values(source, tmp_path / "2"))
    assert first.path.read_bytes() == second.path.read_bytes()
    changes: list[tuple[list[Document], dict[str, Any]]] = [
        (DOCUMENTS[1:], {}),
        ([replace(DOCUMENTS[0], sha256="f" * 64), *DOCUMENTS[1:]], {}),
        (DOCUMENTS, {"number": 2}),
        (DOCUMENTS, {"style": Style(language=Language.KOREAN)}),
    ]
    others = {write_result_set(d, **values(source, tmp_path / "3") | change).ref for d, change in changes}
    assert len(others | {first.ref}) == 5
