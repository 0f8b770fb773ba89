"""Whose results these are: never nobody's, never silently one of several animals'."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from answers import ANALYSED_AT, STUDY_UID, evidence, report
from factories import dx_file
from pydicom import dcmread
from trees import named, texts

from domain.identity import Identity
from domain.types import Language, Report, Signer, Style
from sr_writer import owner_page_series_uid, sign_report, write_report, write_result_set, write_text_report

STYLES = tuple(Style(language=language) for language in Language)
DIFFERS = "Images of this study name several patients: check whose they are."
ENGLISH = Style(language=Language.ENGLISH)


def of(folder: Path, *patients: str) -> Report:
    return report(
        [
            evidence(dx_file(folder / f"{n}.dcm", instance=n, PatientID=patient), "measured")
            for n, patient in enumerate(patients, 1)
        ]
    )


def test_a_file_that_is_gone_leaves_the_patient_to_the_others(tmp_path: Path) -> None:
    whole = of(tmp_path, "A", "A")
    whole.evidence[0].path.unlink()
    ds = dcmread(write_report(whole, identity=Identity(), style=ENGLISH, directory=tmp_path).path)
    assert ds.PatientID == "A"
    assert ds.ResponsiblePerson == "Beispiel^Anna"
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    assert sum(len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence) == 2


def test_without_any_file_there_is_no_report(tmp_path: Path) -> None:
    whole = of(tmp_path, "A", "A")
    for item in whole.evidence:
        item.path.unlink()
    with pytest.raises(FileNotFoundError):
        write_report(whole, identity=Identity(), style=ENGLISH, directory=tmp_path / "out")


def test_two_patients_in_a_study_are_said_in_every_report(tmp_path: Path) -> None:
    whole = of(tmp_path, "A", "B")
    structured = write_report(whole, identity=Identity(), style=ENGLISH, directory=tmp_path)
    ds = dcmread(structured.path)
    assert ds.CompletionFlag == "PARTIAL"
    assert ds.CompletionFlagDescription == DIFFERS[:-1]
    assert named(ds, "121077")[0].TextValue.startswith(DIFFERS)
    told = write_text_report(whole, identity=Identity(), style=ENGLISH, directory=tmp_path)
    assert named(dcmread(told.path), "121073")[0].TextValue == DIFFERS
    signed = sign_report(
        Report(**{name: getattr(whole, name) for name in whole.__slots__} | {"revision": 2}),
        predecessor=structured,
        person=Signer(name="Kim^Minji", organization="Example Animal Hospital"),
        at=ANALYSED_AT + timedelta(minutes=1),
        identity=Identity(),
        style=ENGLISH,
        directory=tmp_path,
    )
    assert DIFFERS in texts(dcmread(signed.path))


def test_one_patient_is_not_said_to_be_several(tmp_path: Path) -> None:
    ds = dcmread(write_report(of(tmp_path, "A", "A"), identity=Identity(), style=ENGLISH, directory=tmp_path).path)
    assert ds.CompletionFlag == "COMPLETE"
    assert DIFFERS not in texts(ds)


@pytest.mark.parametrize("kept", ["PatientBreedDescription", "ResponsiblePerson", "PatientSexNeutered"])
def test_any_attribute_of_an_animal_makes_it_one(tmp_path: Path, kept: str) -> None:
    """PS3.3 C.7.1.1: species type 1C, breed, neutering and owner type 2C."""
    animal = ("PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientSexNeutered")
    absent = dict.fromkeys({*animal, "PatientBreedCodeSequence", "BreedRegistrationSequence", "ResponsiblePerson"} - {kept})
    path = dx_file(tmp_path / "a.dcm", **absent, ResponsibleOrganization=None)
    ds = dcmread(
        write_report(report([evidence(path, "measured")]), identity=Identity(), style=ENGLISH, directory=tmp_path).path
    )
    assert ds.PatientSpeciesDescription == "UNKNOWN"
    for keyword in ("PatientBreedDescription", "PatientBreedCodeSequence", "PatientSexNeutered", "ResponsiblePerson"):
        assert keyword in ds


def test_a_person_is_not_made_an_animal(tmp_path: Path) -> None:
    animal = ("SpeciesDescription", "SpeciesCodeSequence", "BreedDescription", "BreedCodeSequence", "SexNeutered")
    absent = {f"Patient{name}": None for name in animal} | dict.fromkeys(("BreedRegistrationSequence", "ResponsiblePerson"))
    path = dx_file(tmp_path / "a.dcm", **absent, ResponsibleOrganization=None)
    ds = dcmread(
        write_report(report([evidence(path, "measured")]), identity=Identity(), style=ENGLISH, directory=tmp_path).path
    )
    assert "PatientSpeciesDescription" not in ds


def test_pages_and_sets_in_two_languages_lie_in_series_of_their_own(tmp_path: Path) -> None:
    whole = of(tmp_path, "A")
    first = write_report(whole, identity=Identity(), style=ENGLISH, directory=tmp_path)
    assert len({owner_page_series_uid(whole, Identity(), style) for style in STYLES}) == 2
    sets = [
        write_result_set(
            [first],
            source=whole.evidence[0].path,
            study_instance_uid=STUDY_UID,
            identity=Identity(),
            style=style,
            directory=tmp_path,
            number=1,
            made_at=ANALYSED_AT,
        )
        for style in STYLES
    ]
    assert len({each.series_instance_uid for each in sets}) == 2
