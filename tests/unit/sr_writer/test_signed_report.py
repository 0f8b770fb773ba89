"""A signed report: verified, final, by a person, and another object than the one that it confirms."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from answers import ANALYSED_AT, evidence, report
from factories import dx_file
from pydicom import dcmread
from pydicom.dataset import Dataset
from trees import named, texts

from domain.identity import Identity
from domain.types import Document, Language, Report, Signer, Style
from sr_writer import sign_report, write_report, write_text_report

STYLE = Style(language=Language.ENGLISH)
PERSON = Signer(name="Kim^Minji=김^민지", organization="Example Animal Hospital")
SIGNED_AT = ANALYSED_AT + timedelta(hours=1)


def reports(folder: Path, kind: str = "findings", **elements: object) -> tuple[Report, Document]:
    whole = report([evidence(dx_file(folder / "a.dcm", **elements), kind)])
    return whole, write_report(whole, identity=Identity(), style=STYLE, directory=folder)


def sign(whole: Report, predecessor: Document, folder: Path, **arguments: Any) -> Document:
    values: dict[str, Any] = {
        "predecessor": predecessor,
        "person": PERSON,
        "at": SIGNED_AT,
        "identity": Identity(),
        "style": STYLE,
        "directory": folder / "signed",
    }
    return sign_report(replace(whole, revision=2), **values | arguments)


def signed(folder: Path, kind: str = "findings", **elements: object) -> tuple[Document, Dataset]:
    whole, first = reports(folder, kind, **elements)
    return first, dcmread(sign(whole, first, folder).path)


def test_it_is_verified_and_final_and_names_the_person(tmp_path: Path) -> None:
    _, ds = signed(tmp_path)
    assert (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag) == ("COMPLETE", "VERIFIED", "FINAL")
    (observer,) = ds.VerifyingObserverSequence
    assert observer.VerifyingObserverName == PERSON.name
    assert observer.VerifyingOrganization == PERSON.organization
    assert observer.VerificationDateTime == SIGNED_AT.strftime("%Y%m%d%H%M%S")
    assert ds.ContentTime == ds.InstanceCreationTime == SIGNED_AT.strftime("%H%M%S")


def test_a_signature_makes_it_complete_and_hides_no_failed_image(tmp_path: Path) -> None:
    """PS3.3 C.17.2: only a complete report is verified."""
    both = [evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), kind) for n, kind in ((1, "findings"), (2, "failed"))]
    whole = report(both)
    first = write_report(whole, identity=Identity(), style=STYLE, directory=tmp_path)
    ds = dcmread(sign(whole, first, tmp_path).path)
    assert (ds.CompletionFlag, ds.VerificationFlag) == ("COMPLETE", "VERIFIED")
    assert ds.CompletionFlagDescription == "1 of 2 images could not be analysed"
    assert "1 of 2 images could not be analysed." in named(ds, "121077")[0].TextValue


def test_person_and_device_observed(tmp_path: Path) -> None:
    _, ds = signed(tmp_path)
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in named(ds, "121005")] == ["Person", "Device"]
    assert named(ds, "121008")[0].PersonName == PERSON.name
    assert named(ds, "121009")[0].TextValue == PERSON.organization


def test_it_is_the_next_instance_of_its_predecessors_series(tmp_path: Path) -> None:
    first, ds = signed(tmp_path)
    (before,) = ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert before.ReferencedSOPInstanceUID == first.ref.sop_instance_uid
    assert (ds.SeriesInstanceUID, ds.InstanceNumber) == (first.series_instance_uid, 2)
    assert ds.SOPInstanceUID != first.ref.sop_instance_uid
    assert ds.SeriesDescription == dcmread(first.path).SeriesDescription


@pytest.mark.parametrize("kind", ["findings", "not assessable", "declined"])
def test_it_says_who_signed_and_no_longer_that_nobody_did(tmp_path: Path, kind: str) -> None:
    _, ds = signed(tmp_path, kind)
    said = named(ds, "121077")[0].TextValue
    assert said.endswith("Prepared with AI assistance. Signed by Kim Minji, Example Animal Hospital, 2025-11-20 11:15.")
    assert "not signed" not in texts(ds)


def test_a_korean_signature_fits_the_sources_character_set(tmp_path: Path) -> None:
    whole, first = reports(tmp_path, charset="ISO 2022 IR 149")
    ds = dcmread(sign(whole, first, tmp_path, person=replace(PERSON, organization="초코동물병원")).path)
    assert ds.SpecificCharacterSet == ["", "ISO 2022 IR 149"]
    assert ds.VerifyingObserverSequence[0].VerifyingOrganization == "초코동물병원"
    assert ds.VerifyingObserverSequence[0].VerifyingObserverName == PERSON.name


def test_what_the_person_corrected_is_theirs(tmp_path: Path) -> None:
    whole, first = reports(tmp_path, "measured")
    (finding,) = whole.findings
    corrected = replace(finding, measurements=(replace(finding.measurements[0], value=10.2),), by_person=True)
    ds = dcmread(sign(replace(whole, findings=(corrected,)), first, tmp_path).path)
    (group,) = named(ds, "125007")
    assert not named(group, "111001")
    assert "entered by a person" in named(group, "121106")[0].TextValue
    assert "Vertebral heart score 10.2 v" in named(ds, "121077")[0].TextValue


def test_the_same_signature_is_the_same_object_and_another_is_not(tmp_path: Path) -> None:
    whole, first = reports(tmp_path)
    made = sign(whole, first, tmp_path)
    assert sign(whole, first, tmp_path / "again").sha256 == made.sha256
    others = [
        sign(whole, first, tmp_path, at=SIGNED_AT + timedelta(seconds=1)),
        sign(whole, first, tmp_path, person=replace(PERSON, name="Lee^Jun")),
        sign(whole, first, tmp_path, person=replace(PERSON, organization="Other")),
        sign(whole, replace(first, ref=replace(first.ref, sop_instance_uid="2.25.5")), tmp_path),
    ]
    assert len({document.ref.sop_instance_uid for document in [made, first, *others]}) == len(others) + 2


@pytest.mark.parametrize("person", [replace(PERSON, name="^"), replace(PERSON, name=""), replace(PERSON, organization=" ")])
def test_nobody_signs_without_name_and_organization(tmp_path: Path, person: Signer) -> None:
    whole, first = reports(tmp_path)
    with pytest.raises(ValueError, match="signature"):
        sign(whole, first, tmp_path, person=person)


def test_only_a_report_of_the_same_study_model_and_style_is_confirmed(tmp_path: Path) -> None:
    whole, first = reports(tmp_path)
    text = write_text_report(whole, identity=Identity(), style=STYLE, directory=tmp_path)
    for wrong in (text, replace(first, study_instance_uid="2.25.9")):
        with pytest.raises(ValueError, match="predecessor"):
            sign(whole, wrong, tmp_path)
    with pytest.raises(ValueError, match="predecessor"):
        sign(whole, first, tmp_path, style=Style(language=Language.KOREAN))


def test_a_signer_is_hidden_from_repr() -> None:
    assert "Kim" not in repr(PERSON)
    assert "Hospital" not in repr(PERSON)


def test_a_revision_that_is_not_above_its_predecessors_is_refused(tmp_path: Path) -> None:
    whole, first = reports(tmp_path)
    again = write_report(replace(whole, revision=5), identity=Identity(), style=STYLE, directory=tmp_path)
    with pytest.raises(ValueError, match="above its predecessor"):
        sign(whole, again, tmp_path)
    assert sign(whole, first, tmp_path).kind is first.kind


@pytest.mark.parametrize(
    ("name", "organization", "sentence"),
    [
        ("Kim\\Minji", "Hospital", "no backslash"),
        ("Kim^Minji", "Hospital\n", "no control character"),
        ("K" * 65, "Hospital", "64 letters"),
        ("A=B=C=D", "Hospital", "three spellings"),
        ("Kim^Minji", "H" * 65, "organization has at most 64"),
    ],
)
def test_a_signer_that_dicom_cannot_hold_is_refused_without_being_quoted(
    tmp_path: Path, name: str, organization: str, sentence: str
) -> None:
    whole, first = reports(tmp_path)
    with pytest.raises(ValueError, match=sentence) as refused:
        sign(whole, first, tmp_path, person=Signer(name=name, organization=organization))
    assert name not in str(refused.value)


def test_no_warning_quotes_a_signers_name(tmp_path: Path) -> None:
    whole, first = reports(tmp_path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        sign(whole, first, tmp_path, person=Signer(name="Kimminji", organization="Hospital"))
    assert not [warning for warning in said if "Kimminji" in str(warning.message)]
