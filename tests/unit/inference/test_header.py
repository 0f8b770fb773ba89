"""What a header says of the animal, the view and the millimetres; broken values say nothing and break nothing."""

from __future__ import annotations

from typing import Any

import pytest
from factories import code_item, dx_dataset
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from domain.types import Region, Source, SpacingSource, Species, View
from inference import header, signalment, vocabulary

UNDESCRIBED: dict[str, Any] = {"SeriesDescription": None, "StudyDescription": None}
CALIBRATED, DETECTOR, UNKNOWN = SpacingSource.CALIBRATED, SpacingSource.DETECTOR, SpacingSource.UNKNOWN


def raw(**elements: bytes) -> Dataset:
    """A data set whose elements are bytes as they came, valid or not."""
    ds = Dataset()
    for keyword, value in elements.items():
        tag = Tag(tag_for_keyword(keyword) or 0)
        ds[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
    return ds


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, (None, UNKNOWN)),
        ({"ImagerPixelSpacing": ["0.15", "0.2"]}, ((0.15, 0.2), DETECTOR)),
        ({"PixelSpacing": ["0.15", "0.15"]}, ((0.15, 0.15), UNKNOWN)),
        ({"PixelSpacing": ["0.15", "0.15"], "ImagerPixelSpacing": ["0.15", "0.15"]}, ((0.15, 0.15), DETECTOR)),
        ({"PixelSpacing": ["0.13", "0.13"], "ImagerPixelSpacing": ["0.15", "0.15"]}, ((0.13, 0.13), CALIBRATED)),
        ({"PixelSpacing": ["0.15", "0.15"], "PixelSpacingCalibrationType": "FIDUCIAL"}, ((0.15, 0.15), CALIBRATED)),
        (
            {"ImagerPixelSpacing": ["0.15", "0.15"], "EstimatedRadiographicMagnificationFactor": "1.25"},
            ((0.12, 0.12), CALIBRATED),
        ),
        (
            {"ImagerPixelSpacing": ["0.15", "0.15"], "EstimatedRadiographicMagnificationFactor": "0"},
            ((0.15, 0.15), DETECTOR),
        ),
        ({"ImagerPixelSpacing": ["0", "0"]}, (None, UNKNOWN)),
        ({"PixelSpacing": ["0", "0"], "ImagerPixelSpacing": ["0.1", "0.1"]}, ((0.1, 0.1), DETECTOR)),
        ({"PixelSpacing": ["-0.15", "0.15"]}, (None, UNKNOWN)),
        ({"PixelSpacing": ["150", "150"]}, (None, UNKNOWN)),
        ({"PixelSpacing": ["0.02", "1.9"]}, (None, UNKNOWN)),
        ({"PixelSpacing": ["0.15"]}, (None, UNKNOWN)),
    ],
)
def test_spacing_and_what_it_means(elements: dict[str, Any], expected: object) -> None:
    ds = dx_dataset(**{"ImagerPixelSpacing": None, **elements})
    spacing, source = header.spacing_of(ds)
    assert (pytest.approx(spacing) if spacing else spacing, source) == expected


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({"ImagerPixelSpacing": ["0.1", "0.2"]}, 0.5),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": ["2", "1"]}, 2.0),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": ["0", "0"]}, 1.0),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": ["1000", "1"]}, 1.0),
        ({"ImagerPixelSpacing": None}, 1.0),
    ],
)
def test_pixel_aspect(elements: dict[str, Any], aspect: float) -> None:
    assert header.pixel_aspect_of(dx_dataset(**elements)) == pytest.approx(aspect)


@pytest.mark.parametrize(
    ("description", "species"),
    [
        *[
            (text, Species.DOG)
            for text in ("Canine", "DOG", "CANIS LUPUS FAMILIARIS", "개", "개 (믹스)", "Hund", "견", "лайка", "Maltese")
        ],
        *[(text, Species.CAT) for text in ("Feline", "cat", "고양이", "Felis catus", "Katze")],
        *[(text, Species.OTHER) for text in ("Equine", "토끼", "Avian", "ferret")],
        *[(text, None) for text in ("", "Canine/Feline", "unknown", "Catahoula", "개구리", "Persian Maltese")],
    ],
)
def test_species_words_and_no_guess_from_others(description: str, species: Species | None) -> None:
    silent = dict.fromkeys(("PatientSpeciesCodeSequence", "PatientBreedCodeSequence", "PatientBreedDescription"))
    ds = dx_dataset(**silent, PatientSpeciesDescription=description)
    assert signalment.species_of(ds) is species


@pytest.mark.parametrize(
    ("value", "scheme", "meaning", "species"),
    [
        ("448771007", "SCT", "", Species.DOG),
        ("L-88124", "SRT", "", Species.DOG),
        ("448169003", "SCT", "", Species.CAT),
        ("L-00376", "SRT", "", Species.CAT),
        ("35354009", "SCT", "", Species.OTHER),
        ("7", "99LOCAL", "Canine species", Species.DOG),
        ("7", "99LOCAL", "", Species.CAT),  # the description speaks where the code is not known
    ],
)
def test_species_codes(value: str, scheme: str, meaning: str, species: Species) -> None:
    code = code_item(value, scheme, meaning)
    ds = dx_dataset(PatientSpeciesCodeSequence=[code], PatientSpeciesDescription="Feline" if not meaning else "?")
    assert signalment.species_of(ds) is species


def test_an_unnamed_species_is_the_assumed_one_and_says_so() -> None:
    silent = dx_dataset(PatientSpeciesCodeSequence=None, PatientSpeciesDescription=None, PatientBreedDescription=None)
    assumed = signalment.patient_of(silent, Species.CAT)
    assert (assumed.species, assumed.species_source) == (Species.CAT, Source.ASSUMED)
    nothing = signalment.patient_of(silent, None)
    assert (nothing.species, nothing.species_source) == (None, Source.UNKNOWN)
    named = signalment.patient_of(dx_dataset(), Species.CAT)
    assert (named.species, named.species_source) == (Species.DOG, Source.HEADER)


def test_an_animal_s_facts() -> None:
    patient = signalment.patient_of(dx_dataset(PatientAge="018M"), None)
    assert (patient.sex, patient.neutered, patient.age_years) == ("F", True, 1.5)


@pytest.mark.parametrize(
    ("part", "region"),
    [
        *[(text, Region.THORAX) for text in ("THORAX", "CHEST", "Chest", "흉부", "THORAX RIBS")],
        *[("ABDOMEN", Region.ABDOMEN), ("HIP", Region.PELVIS), ("CSPINE", Region.SPINE), ("SKULL", Region.HEAD)],
        *[("EXTREMITY", Region.LIMB), ("STIFLE", Region.LIMB), ("BREAST", Region.OTHER)],
        *[(text, None) for text in ("", "CHEST ABDOMEN", "THORAX_ABDOMEN", "WHOLEBODY", "FREE", "CHESTNUT")],
    ],
)
def test_regions_by_body_part(part: str, region: Region | None) -> None:
    assert header.region_of(dx_dataset(AnatomicRegionSequence=None, BodyPartExamined=part, **UNDESCRIBED)) is region


def test_a_region_s_code_is_stronger_than_its_string() -> None:
    ds = dx_dataset(AnatomicRegionSequence=[code_item("818981001", "SCT", "Abdomen")], BodyPartExamined="CHEST")
    assert header.region_of(ds) is Region.ABDOMEN
    ds = dx_dataset(AnatomicRegionSequence=[code_item("816094009", "99LOCAL", "?")], BodyPartExamined="PELVIS")
    assert header.region_of(ds) is Region.PELVIS


@pytest.mark.parametrize(
    ("value", "scheme", "view"),
    [
        ("399198007", "SCT", View.RIGHT_LATERAL),
        ("R-10232", "SRT", View.RIGHT_LATERAL),
        ("399173006", "SCT", View.LEFT_LATERAL),
        ("442441009", "SCT", View.VENTRODORSAL),
        ("441672003", "SCT", View.DORSOVENTRAL),
        ("399348003", "SCT", View.VENTRODORSAL),  # antero-posterior, on a trunk
        ("399067008", "SCT", View.LATERAL),
        ("442640004", "SCT", None),
    ],
)
def test_views_by_code(value: str, scheme: str, view: View | None) -> None:
    ds = dx_dataset(ViewCodeSequence=[code_item(value, scheme, "")], PatientOrientation=None)
    assert header.view_of(ds, Region.THORAX) is view


@pytest.mark.parametrize(
    ("position", "region", "view"),
    [
        *[(text, Region.THORAX, View.RIGHT_LATERAL) for text in ("RL", "R LAT", "Rt.Lat", "RIGHT LATERAL", "Le-RtL")],
        *[(text, Region.THORAX, View.LEFT_LATERAL) for text in ("LL", "L-LAT", "LT LAT", "Left Lateral")],
        *[("LAT", None, View.LATERAL), ("v/d", None, View.VENTRODORSAL), ("DV", None, View.DORSOVENTRAL)],
        *[("AP", Region.ABDOMEN, View.VENTRODORSAL), ("PA", Region.THORAX, View.DORSOVENTRAL)],
        *[("AP", Region.LIMB, View.CRANIOCAUDAL), ("AP", None, None), ("ML", Region.LIMB, View.MEDIOLATERAL)],
        *[("", None, None), ("ODD", None, None), ("RLD", None, None)],
    ],
)
def test_views_by_position(position: str, region: Region | None, view: View | None) -> None:
    ds = dx_dataset(ViewCodeSequence=None, ViewPosition=position, PatientOrientation=None, **UNDESCRIBED)
    assert header.view_of(ds, region) is view


@pytest.mark.parametrize(
    ("orientation", "region", "view"),
    [
        (["CD", "V"], Region.THORAX, View.LATERAL),
        (["A", "F"], None, View.LATERAL),
        (["L", "CD"], Region.THORAX, None),
        (["LE", "CD"], Region.THORAX, None),  # ventrodorsal or dorsoventral: not to be told
        (["LE", "D"], Region.HEAD, None),  # along the animal's axis
        (["RTD", "CDV"], None, None),
        (["CRD", "VRT"], Region.ABDOMEN, View.LATERAL),
        (["PF", "HA"], None, View.LATERAL),
        (["CD", "V"], Region.LIMB, None),
        (["CD"], None, None),
        (None, None, None),
    ],
)
def test_a_view_by_orientation_only_where_it_can_be_one(
    orientation: list[str] | None, region: Region | None, view: View | None
) -> None:
    ds = dx_dataset(ViewCodeSequence=None, ViewPosition=None, PatientOrientation=orientation, **UNDESCRIBED)
    assert header.view_of(ds, region) is view


@pytest.mark.parametrize(
    ("descriptions", "region", "view"),
    [
        ({"SeriesDescription": "Грудь LAT"}, Region.THORAX, View.LATERAL),
        ({"SeriesDescription": "흉부 우측 외측"}, Region.THORAX, View.RIGHT_LATERAL),
        ({"ProtocolName": "Abdomen Lt. Lat."}, Region.ABDOMEN, View.LEFT_LATERAL),
        ({"AcquisitionDeviceProcessingDescription": "CANINE LATERAL THORAX 0-15cm"}, Region.THORAX, View.LATERAL),
        ({"StudyDescription": "Stifle R lat"}, Region.LIMB, View.LATERAL),  # the right stifle, not the right side down
        ({"SeriesDescription": "Hip VD"}, Region.PELVIS, View.VENTRODORSAL),
        ({"SeriesDescription": "Thorax VD + LAT"}, Region.THORAX, None),
        ({"SeriesDescription": "", "StudyDescription": "골반 복배상"}, Region.PELVIS, View.VENTRODORSAL),
        ({"SeriesDescription": "Lateral thinking"}, None, View.LATERAL),
        ({"SeriesDescription": "Latte"}, None, None),
    ],
)
def test_a_description_is_asked_where_the_header_is_silent(
    descriptions: dict[str, str], region: Region | None, view: View | None
) -> None:
    silent = dict.fromkeys(("AnatomicRegionSequence", "BodyPartExamined", "ViewCodeSequence", "PatientOrientation"))
    ds = dx_dataset(**silent, ViewPosition=None, **{**UNDESCRIBED, **descriptions})
    found = header.region_of(ds)
    assert (found, header.view_of(ds, found)) == (region, view)


def test_an_oblique_s_code_is_no_other_view_by_its_description() -> None:
    ds = dx_dataset(ViewCodeSequence=[code_item("442640004", "SCT", "oblique")], PatientOrientation=None)
    assert header.view_of(ds, Region.THORAX) is None


def test_an_older_designator_of_snomed() -> None:
    ds = dx_dataset(ViewCodeSequence=[code_item("R-10242", "SNM3", "cranio-caudal")])
    assert header.view_of(ds, Region.LIMB) is View.CRANIOCAUDAL


BROKEN = st.binary(max_size=40).filter(lambda value: len(value) % 2 == 0)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            (
                *("PixelSpacing", "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor", "PixelAspectRatio"),
                *("PatientSpeciesDescription", "PatientAge", "BodyPartExamined", "ViewPosition", "PatientOrientation"),
                *("AnatomicRegionSequence", "ViewCodeSequence", "PatientSpeciesCodeSequence", "ImageLaterality"),
                *("SpecificCharacterSet", "PatientSexNeutered"),
            ),
            BROKEN,
        ),
    )
)
def test_no_bytes_in_a_header_break_its_reading(elements: dict[str, bytes]) -> None:
    ds = raw(**elements)
    spacing, _ = header.spacing_of(ds)
    assert spacing is None or min(spacing) > 0
    region = header.region_of(ds)
    header.view_of(ds, region)
    header.laterality_of(ds)
    assert 0.25 <= header.pixel_aspect_of(ds) <= 4
    assert signalment.patient_of(ds, Species.DOG).species is not None


@pytest.mark.parametrize("value", [b"0;15\\0,15", b"abc ", b"auto\\auto ", b"1e400 ", b"nan\\nan "])
def test_numbers_that_are_none_are_absent(value: bytes) -> None:
    assert header.numbers(raw(PixelSpacing=value), "PixelSpacing") == []
    assert header.number(raw(WindowCenter=value), "WindowCenter") is None


def test_memory_that_runs_out_is_no_broken_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Dataset, "get", full)
    with pytest.raises(MemoryError):
        header.numbers(Dataset(), "WindowCenter")


def test_a_decimal_comma() -> None:
    assert header.numbers(raw(PixelSpacing=b"0,15\\0,150 "), "PixelSpacing") == [0.15, 0.15]


def test_no_word_stands_for_two_things() -> None:
    for table in (
        vocabulary._FREE_TEXT_WORDS,
        vocabulary._BREED_WORDS,
        vocabulary._SPECIES_WORDS,
        vocabulary._REGION_WORDS,
        vocabulary._VIEW_WORDS,
    ):
        words = [word.casefold() for known in table.values() for word in known.split()]
        assert len(words) == len(set(words))
