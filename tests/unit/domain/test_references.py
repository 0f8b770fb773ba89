"""Whose interval a number is compared with, and that no mean ± 1 SD is taken for one."""

import pytest
from pydicom.sr._concepts_dict import concepts

from domain import breeds, codes, terms
from domain.breeds import BREEDS, breed_of
from domain.references import REFERENCES, populations, reference_interval
from domain.types import Code, Language, Patient, Source, Species, View


def dog(breed: str | None = None, *, source: Source = Source.HEADER) -> Patient:
    return Patient(species=Species.DOG, species_source=source, breed=breed)


def interval(concept: Code, patient: Patient, view: View | None = View.RIGHT_LATERAL) -> tuple[float, float, str] | None:
    found = reference_interval(concept, patient, view)
    return None if found is None else (found.low, found.high, found.population)


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        (dog(), (8.5, 10.5, "dog, breed unknown, all breeds")),
        (dog("Jindo"), (8.5, 10.5, "dog, all breeds, none of its own")),
        (dog("Mixed breed dog"), (8.5, 10.5, "dog, all breeds, none of its own")),
        (dog(source=Source.ASSUMED), (8.5, 10.5, "dog (species assumed), breed unknown, all breeds")),
        (dog("퍼그"), (10.1, 12.8, "dog, Pug")),
        (dog("dachshund"), (8.5, 9.5, "dog, Dachshund")),
        (dog("10040000"), (8.7, 12.3, "dog, Pomeranian")),  # printed as 9.6-11.4, which is mean ± 1 SD
        (dog("CAVALIER KING CHARLES"), (9.0, 11.2, "dog, Cavalier King Charles spaniel")),
        (dog("Brittany"), (8.5, 11.1, "dog, Brittany spaniel")),
        (Patient(species=Species.CAT, breed="Siamese"), (6.7, 8.1, "cat, all breeds, none of its own")),
        (Patient(species=Species.CAT, breed="Persian cat"), None),  # their mean, 8.16, is above other cats' upper limit
        (Patient(species=Species.CAT, breed="페르시안"), None),
        (Patient(species=Species.CAT, breed="Pug"), (6.7, 8.1, "cat, all breeds, none of its own")),
        (Patient(species=Species.OTHER), None),
        (Patient(), None),
    ],
)
def test_the_heart_score_s_interval(patient: Patient, expected: tuple[float, float, str] | None) -> None:
    assert interval(codes.VHS, patient) == expected


def test_a_pug_on_its_left_side_has_another_interval() -> None:
    assert interval(codes.VHS, dog("Pug"), View.LEFT_LATERAL) == (9.6, 12.4, "dog, Pug")


@pytest.mark.parametrize("view", [View.VENTRODORSAL, View.DORSOVENTRAL, View.OTHER])
@pytest.mark.parametrize("breed", [None, "Jindo", "Pug", "Boxer"])
def test_what_is_counted_on_laterals_is_compared_on_no_other_view(breed: str | None, view: View) -> None:
    for concept in (codes.VHS, codes.VHS_EPIC, codes.VLAS, codes.TRACHEAL_RATIO):
        assert interval(concept, dog(breed), View.LATERAL) is not None
        assert interval(concept, dog(breed), view) is None
    assert interval(codes.VHS, Patient(species=Species.CAT), view) is None


def test_of_an_unknown_view_no_one_of_several_intervals_is_chosen() -> None:
    assert interval(codes.CARDIOTHORACIC_RATIO, dog("German shepherd dog"), None) is None
    assert interval(codes.VHS, dog("Pug"), None) is None
    assert interval(codes.VHS, dog("Boxer"), None) == (10.0, 13.2, "dog, Boxer")


@pytest.mark.parametrize("concept", [codes.VHS, codes.VLAS, codes.TRACHEAL_RATIO, codes.NORBERG_ANGLE])
def test_an_animal_that_still_grows_is_not_compared_with_grown_ones(concept: Code) -> None:
    ages = {0.1: False, 0.99: False, 1.0: True, 12.0: True, None: True}
    for age, compared in ages.items():
        puppy = Patient(species=Species.DOG, breed="Boxer", age_years=age)
        assert (interval(concept, puppy) is not None) is compared, age


def test_a_ventrodorsal_thorax_has_another_ratio_and_other_breeds_have_none() -> None:
    shepherd = dog("German shepherd dog")
    assert interval(codes.CARDIOTHORACIC_RATIO, shepherd) == (25.4, 29.8, "dog, German shepherd")
    assert interval(codes.CARDIOTHORACIC_RATIO, shepherd, View.VENTRODORSAL) == (27.8, 33.2, "dog, German shepherd")
    assert interval(codes.CARDIOTHORACIC_RATIO, dog()) is None


def test_a_bulldog_s_trachea_is_not_compared_with_other_dogs() -> None:
    assert interval(codes.TRACHEAL_RATIO, dog("Bulldog")) is None
    assert interval(codes.TRACHEAL_RATIO, dog("French bulldog")) is None
    assert interval(codes.TRACHEAL_RATIO, dog("Pug")) == (14.9, 21.1, "dog, Pug")
    assert interval(codes.TRACHEAL_RATIO, dog()) == (13.3, 24.7, "dog, breed unknown, all breeds")


def test_the_trachea_s_intervals_name_where_they_are_from() -> None:
    for breed in (None, "Pug"):
        found = reference_interval(codes.TRACHEAL_RATIO, dog(breed), View.LATERAL)
        assert found is not None
        assert found.source.startswith("Rizza et al., University of Liège")


def test_both_variants_of_the_heart_score_share_their_intervals() -> None:
    assert interval(codes.VHS_EPIC, dog("Boxer")) == interval(codes.VHS, dog("Boxer")) == (10.0, 13.2, "dog, Boxer")


def test_every_interval_is_one_has_a_source_and_can_be_said_in_korean() -> None:
    for one in REFERENCES:
        assert one.low < one.high
        assert one.source
        patient = Patient(species=one.species, species_source=Source.ASSUMED, breed=one.breed.code if one.breed else None)
        found = reference_interval(one.concept, patient, one.views[0] if one.views else None)
        assert found is not None
        assert (found.low, found.high) == (one.low, one.high)
        assert terms.population(found.population, Language.KOREAN) != found.population
    for english, korean in populations().values():
        assert any("가" <= letter <= "힣" for letter in korean), english


@pytest.mark.parametrize("breed", BREEDS, ids=lambda breed: breed.english)
def test_a_breed_is_known_by_its_code_and_its_names(breed: breeds.Breed) -> None:
    groups = [held[breed.code][1] for held in concepts["SCT"].values() if breed.code in held]
    assert [7480] in groups
    for given in (breed.code, breed.english, breed.korean, breed.english.upper(), f" {breed.english} "):
        assert breed_of(given) is breed


def test_crosses_and_strangers_are_no_listed_breed() -> None:
    for given in (None, "", "Pug mix", "Puggle", "믹스", "Labrador cross", "999"):
        assert breed_of(given) is None
