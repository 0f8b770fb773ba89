"""The animal, from codes and from words in whatever field and language they were typed."""

from __future__ import annotations

from typing import Any

import pytest
from factories import code_item, dx_dataset

from domain.types import Species
from inference.signalment import age_in, patient_of

SILENT: dict[str, Any] = dict.fromkeys(
    (
        *("PatientSpeciesCodeSequence", "PatientSpeciesDescription", "PatientBreedCodeSequence", "PatientBreedDescription"),
        *("PatientSex", "PatientSexNeutered", "PatientAge", "PatientBirthDate", "SeriesDescription", "StudyDescription"),
    )
)


@pytest.mark.parametrize(
    ("elements", "species", "breed"),
    [
        ({"PatientSpeciesDescription": "лайка"}, Species.DOG, "лайка"),  # a breed in the species' field
        ({"PatientSpeciesDescription": "말티즈"}, Species.DOG, "말티즈"),
        ({"PatientSpeciesDescription": "Canine", "PatientBreedDescription": "Pug"}, Species.DOG, "Pug"),
        ({"PatientBreedDescription": "코리안숏헤어"}, Species.CAT, "코리안숏헤어"),
        ({"PatientBreedCodeSequence": [code_item("60252000", "SCT", "Pug dog")]}, Species.DOG, "60252000"),
        ({"PatientBreedDescription": "치와와 믹스"}, Species.DOG, "치와와 믹스"),
        ({"PatientBreedDescription": "mixed"}, None, "mixed"),
        ({"SeriesDescription": "FELINE THORAX"}, Species.CAT, None),
        ({"AcquisitionDeviceProcessingDescription": "CANINE LATERAL THORAX 0-15cm"}, Species.DOG, None),
        ({"StudyDescription": "CAT 2 개"}, None, None),  # neither word means an animal there
        ({"StudyDescription": "canine and feline"}, None, None),
        ({}, None, None),
    ],
)
def test_species_and_breed(elements: dict[str, Any], species: Species | None, breed: str | None) -> None:
    patient = patient_of(dx_dataset(**{**SILENT, **elements}), None)
    assert (patient.species, patient.breed) == (species, breed)


@pytest.mark.parametrize(
    ("sex", "neutered", "expected"),
    [
        ("M", "ALTERED", ("M", True)),
        ("F", "UNALTERED", ("F", False)),
        ("male", None, ("M", None)),
        ("FS", None, ("F", True)),
        ("Male neutered", None, ("M", True)),
        ("암컷(중성화)", None, ("F", True)),
        ("수컷 미중성화", None, ("M", False)),
        ("самка", "стерилизована", ("F", True)),
        ("Male not neutered", None, ("M", False)),
        ("Female, unspayed", None, ("F", False)),
        ("F", "non-sterilised", ("F", False)),
        ("male un-castrated", None, ("M", False)),
        ("кобель некастрирован", None, ("M", False)),
        ("самка", "не стерилизована", ("F", False)),
        ("수컷 중성화 안함", None, ("M", False)),
        ("암컷", "중성화 X", ("F", False)),
        ("кобель", None, ("M", None)),
        ("?", None, (None, None)),
        ("M/F", None, (None, None)),
        (None, None, (None, None)),
    ],
)
def test_sex(sex: str | None, neutered: str | None, expected: tuple[str | None, bool | None]) -> None:
    # Written as LO: consoles put words where codes belong, and pydicom refuses to.
    ds = dx_dataset(charset="ISO_IR 192", **SILENT)
    for keyword, value in (("PatientSex", sex), ("PatientSexNeutered", neutered)):
        if value is not None:
            ds.add_new(keyword, "LO", value)
    patient = patient_of(ds, None)
    assert (patient.sex, patient.neutered) == expected


@pytest.mark.parametrize(
    ("given", "years"),
    [
        ("008Y", 8.0),
        ("018M", 1.5),
        ("6 years", 6.0),
        ("3y 4m", 3 + 4 / 12),
        ("8 годиков", 8.0),
        ("5 лет", 5.0),
        ("10살", 10.0),
        ("4개월", 4 / 12),
        ("2세 6개월", 2.5),
        ("1.5 yr", 1.5),
        ("026W", 26 * 7 / 365.25),
        *[(text, None) for text in ("", "81", "000Y", "Y", "TEST-0001", "500Y", "12 bananas", "4711 Y2", "8Y owner")],
    ],
)
def test_ages(given: str, years: float | None) -> None:
    assert age_in(given) == pytest.approx(years)


@pytest.mark.parametrize("identifier", ["45D", "12M", "007Y", "3 w", "8y"])
def test_an_identifier_of_digits_and_a_letter_is_no_age(identifier: str) -> None:
    assert patient_of(dx_dataset(**{**SILENT, "PatientID": identifier}), None).age_years is None
    assert patient_of(dx_dataset(**{**SILENT, "PatientAge": identifier}), None).age_years is not None


def test_an_age_typed_as_the_identifier_and_one_from_the_birth_date() -> None:
    typed = dx_dataset(charset="ISO_IR 192", **{**SILENT, "PatientID": "8 годиков"})
    assert patient_of(typed, None).age_years == 8
    born = dx_dataset(**{**SILENT, "PatientBirthDate": "20170312", "StudyDate": "20250312"})
    assert patient_of(born, None).age_years == pytest.approx(8, abs=0.01)
    unborn = dx_dataset(**{**SILENT, "PatientBirthDate": "20300101", "StudyDate": "20250312"})
    assert patient_of(unborn, None).age_years is None
    assert "годиков" not in repr(patient_of(typed, None))
