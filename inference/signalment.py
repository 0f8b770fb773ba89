"""The animal as a header describes it: species, breed, sex, age, from codes and from words in whatever field they stand.

What is not understood stays unknown. Identifiers and birth dates are looked at for an age, and none of them is kept.
"""

from __future__ import annotations

import re
from datetime import date

from pydicom.dataset import Dataset

from domain.breeds import breed_of
from domain.types import Patient, Source, Species
from inference import vocabulary
from inference.header import codes, items, text

OLDEST_YEARS = 120.0
DAYS_A_YEAR = 365.25

# What consoles without a field for the species print where a protocol is named.
_FREE_TEXT = ("AcquisitionDeviceProcessingDescription", "SeriesDescription", "ProtocolName", "StudyDescription")

_YEARS_A_UNIT = {"d": 1 / DAYS_A_YEAR, "w": 7 / DAYS_A_YEAR, "m": 1 / 12, "y": 1.0}
_UNITS = {
    "d": "d day days 일 дн день дня дней",
    "w": "w wk wks week weeks 주 нед неделя недели недель",
    "m": "m mo mos month months 개월 달 мес месяц месяца месяцев",
    "y": "y yr yrs year years yo 살 세 년 г год года лет годик годика годиков",
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words.split()}
_AGE_PART = re.compile(r"(\d{1,3}(?:[.,]\d{1,2})?)\s*([^\W\d_]+)\.?")
_AS_A_NUMBER = re.compile(r"[\d.,\s]*[a-z]", re.IGNORECASE)  # "45D", "12M": a clinic numbers its animals like this

_SEXES = {
    "M": "m male mn mc nm cm 수 수컷 男 самец кобель кот муж м ♂",
    "F": "f female fs fn sf nf 암 암컷 女 самка сука кошка жен ж ♀",
    "O": "o other",
}
_SEX_OF = {word: sex for sex, words in _SEXES.items() for word in words.split()}
_ALTERED = re.compile(r"\b(mn|mc|nm|cm|fs|fn|sf|nf)\b|neuter|castrat|spay|중성화|кастрир|стерил", re.IGNORECASE)
_INTACT = re.compile(
    r"\bintact\b|\bentire\b|미중성화|비중성화|(중성화|수술)\s*(를|을)?\s*(안|않|x\b|전|no\b)"
    r"|\b(not|non|never|no|un)[\s-]*(yet\s+|been\s+)*(neuter|castrat|spay|desex|steril)"
    r"|\bне[\s-]*(была?\s+)?(кастрир|стерил)",
    re.IGNORECASE,
)


def patient_of(ds: Dataset, assumed_species: Species | None) -> Patient:
    """What a model may need to know of the animal; a species that the header does not name is the assumed one."""
    species, source = species_of(ds), Source.HEADER
    if species is None:
        species, source = assumed_species, Source.ASSUMED if assumed_species is not None else Source.UNKNOWN
    return Patient(
        species=species,
        species_source=source,
        breed=_breed(ds),
        sex=_sex(text(ds, "PatientSex")),
        neutered=_neutered(ds),
        age_years=_age_years(ds),
    )


def species_of(ds: Dataset) -> Species | None:
    """The most deliberate first: a code, its meaning, the species' words, a breed in either field, a protocol's words."""
    for code in codes(ds, "PatientSpeciesCodeSequence"):
        found = vocabulary.species_of_code(code)
        if found is not None:
            return found
    meanings = [text(item, "CodeMeaning") for item in items(ds, "PatientSpeciesCodeSequence")]
    described = [*meanings, text(ds, "PatientSpeciesDescription")]
    for words in described:
        found = vocabulary.species_of_text(words)
        if found is not None:
            return found
    for words in (*described, *_breeds(ds)):
        known = breed_of(words)
        found = known.species if known is not None else vocabulary.species_of_breed(words)
        if found is not None:
            return found
    return vocabulary.species_in_free_text(" ".join(text(ds, keyword) for keyword in _FREE_TEXT))


def _breeds(ds: Dataset) -> list[str]:
    coded = [code.value for code in codes(ds, "PatientBreedCodeSequence")]
    meanings = [text(item, "CodeMeaning") for item in items(ds, "PatientBreedCodeSequence")]
    return [given for given in (*coded, *meanings, text(ds, "PatientBreedDescription")) if given]


def _breed(ds: Dataset) -> str | None:
    """As the reference intervals know it, else as it is written: in its own field, or in that of the species."""
    in_species = text(ds, "PatientSpeciesDescription")
    named = vocabulary.species_of_text(in_species) is None and (
        breed_of(in_species) is not None or vocabulary.species_of_breed(in_species) is not None
    )
    given = [*_breeds(ds), *([in_species] if named else [])]
    known = next((words for words in given if breed_of(words) is not None), None)
    return known or text(ds, "PatientBreedDescription") or (given[-1] if given else None)


def _sex(given: str) -> str | None:
    words = re.findall(r"[^\W\d_]+|[♂♀]", given.casefold())
    found = {_SEX_OF[word] for word in words if word in _SEX_OF}
    return found.pop() if len(found) == 1 else None


def _neutered(ds: Dataset) -> bool | None:
    """The field of its own, else what was typed beside the sex."""
    coded = {"ALTERED": True, "UNALTERED": False}.get(text(ds, "PatientSexNeutered").upper())
    if coded is not None:
        return coded
    typed = f"{text(ds, 'PatientSex')} {text(ds, 'PatientSexNeutered')}"
    if _INTACT.search(typed):
        return False
    return True if _ALTERED.search(typed) else None


def _age_years(ds: Dataset) -> float | None:
    """Of the age's own field, of an age typed as the animal's identifier, or from the birth date."""
    typed = text(ds, "PatientID")
    for given in (text(ds, "PatientAge"), "" if _AS_A_NUMBER.fullmatch(typed) else typed):
        found = age_in(given)
        if found is not None:
            return found
    born, seen = _date(text(ds, "PatientBirthDate")), _date(text(ds, "StudyDate"))
    if born is None or seen is None:
        return None
    years = (seen - born).days / DAYS_A_YEAR
    return years if 0 < years <= OLDEST_YEARS else None


def age_in(given: str) -> float | None:
    """Years: "008Y", "6 years", "3y 4m", "8 годиков", "4개월". None for everything else, and for the 0 of an empty form."""
    parts = _AGE_PART.findall(given.casefold())
    if not parts or _AGE_PART.sub("", given.casefold()).strip(" ,.;&"):
        return None
    if any(word not in _UNIT_OF for _, word in parts):
        return None
    years = sum(float(number.replace(",", ".")) * _YEARS_A_UNIT[_UNIT_OF[word]] for number, word in parts)
    return years if 0 < years <= OLDEST_YEARS else None


def _date(given: str) -> date | None:
    digits = re.sub(r"\D", "", given)
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])) if len(digits) == 8 else None
    except ValueError:
        return None
