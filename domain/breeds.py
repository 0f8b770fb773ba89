"""Breeds that a reference interval or a warning depends on: CID 7480 codes, and how headers write them.

A breed that is not listed is not unknown to the clinic, only to the intervals: `breed_of` says None for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from domain.types import Species


@dataclass(frozen=True, slots=True, kw_only=True)
class Breed:
    """code: SNOMED CT in CID 7480. words: how it is also written, in lower case without spaces or signs."""

    code: str
    english: str
    korean: str
    words: tuple[str, ...]
    species: Species = Species.DOG
    short_skulled: bool = False


def _breed(code: str, english: str, korean: str, *words: str, cat: bool = False, short_skulled: bool = False) -> Breed:
    species = Species.CAT if cat else Species.DOG
    known = tuple(dict.fromkeys(_letters(word) for word in (english, korean, *words)))
    return Breed(code=code, english=english, korean=korean, words=known, species=species, short_skulled=short_skulled)


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text.casefold())


PUG = _breed("60252000", "Pug", "퍼그", "Mops", "Мопс", "Pug dog", short_skulled=True)
POMERANIAN = _breed(
    "10040000", "Pomeranian", "포메라니안", "Pomeranian dog", "Pom", "Zwergspitz", "포메", "Померанский шпиц"
)
BOSTON_TERRIER = _breed("79295007", "Boston terrier", "보스턴 테리어", "보스톤 테리어", short_skulled=True)
BULLDOG = _breed("38184008", "Bulldog", "불독", "English bulldog", "불도그", "잉글리시 불독", short_skulled=True)
FRENCH_BULLDOG = _breed(
    "59643008", "French bulldog", "프렌치 불독", "프렌치 불도그", "프렌치불독", "Bouledogue français", short_skulled=True
)
BOXER = _breed("42250008", "Boxer", "복서", "Boxer dog", "Deutscher Boxer", "Боксер", short_skulled=True)
CAVALIER = _breed(
    "66495005",
    "Cavalier King Charles spaniel",
    "카발리에 킹 찰스 스패니얼",
    "CKCS",
    "Cavalier",
    "Cavalier King Charles",
    "카발리에",
    "캐벌리어 킹 찰스 스패니얼",
    short_skulled=True,
)
NORWICH_TERRIER = _breed("26332008", "Norwich terrier", "노리치 테리어", "노르위치 테리어")
BRITTANY = _breed(
    "12091005", "Brittany spaniel", "브리타니 스패니얼", "Brittany", "Epagneul breton", "Brittany spaniel dog breed"
)
LABRADOR = _breed(
    "62137007",
    "Labrador retriever",
    "래브라도 리트리버",
    "Labrador",
    "Lab",
    "Labrador retriever dog breed",
    "라브라도 리트리버",
)
WHIPPET = _breed("76351004", "Whippet", "휘핏", "Whippet dog", "휘펫")
DACHSHUND = _breed(
    "416885007",
    "Dachshund",
    "닥스훈트",
    "Standard dachshund",
    "Standard dachshund dog breed",
    "Miniature dachshund",
    "Dackel",
    "Teckel",
    "Такса",
)
MINIATURE_SCHNAUZER = _breed(
    "300004",
    "Miniature schnauzer",
    "미니어처 슈나우저",
    "Miniature schnauzer dog breed",
    "Zwergschnauzer",
    "미니어쳐 슈나우저",
)
GERMAN_SHEPHERD = _breed(
    "42252000",
    "German shepherd",
    "저먼 셰퍼드",
    "German shepherd dog",
    "GSD",
    "Alsatian",
    "Deutscher Schäferhund",
    "독일 셰퍼드",
    "Немецкая овчарка",
)
SHIH_TZU = _breed("31077009", "Shih tzu", "시추", "Shih tzu dog", "시츄", "Ши-тцу", short_skulled=True)
PEKINGESE = _breed("67684001", "Pekingese", "페키니즈", "Pekingese dog", "페키니즈견", "Пекинес", short_skulled=True)
LHASA_APSO = _breed("36438004", "Lhasa apso", "라사압소", "Lhasa apso dog", "라사 압소", short_skulled=True)
PERSIAN_CAT = _breed("68086001", "Persian cat", "페르시안 고양이", "Persian", "페르시안", "Perser", "Персидская", cat=True)

BREEDS = (
    PUG,
    POMERANIAN,
    BOSTON_TERRIER,
    BULLDOG,
    FRENCH_BULLDOG,
    BOXER,
    CAVALIER,
    NORWICH_TERRIER,
    BRITTANY,
    LABRADOR,
    WHIPPET,
    DACHSHUND,
    MINIATURE_SCHNAUZER,
    GERMAN_SHEPHERD,
    SHIH_TZU,
    PEKINGESE,
    LHASA_APSO,
    PERSIAN_CAT,
)

_BY_NAME = {word: breed for breed in BREEDS for word in (breed.code, *breed.words)}


def breed_of(given: str | None) -> Breed | None:
    """A header's breed, as a CID 7480 code or in words; None for what is not listed, crosses included ("Pug mix")."""
    if not given:
        return None
    return _BY_NAME.get(given.strip()) or _BY_NAME.get(_letters(given))
