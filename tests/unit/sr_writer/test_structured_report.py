"""The report's tree: what viewers need to show it, and what a reader must not miss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import pytest
from answers import ANALYSED_AT, MODEL, OUTCOMES, STUDY_UID, VALIDATED, evidence, not_assessable, report
from factories import dx_file, uid
from pydicom import dcmread
from pydicom.dataset import Dataset
from trees import items, named, texts

from domain.identity import Identity
from domain.types import Document, Language, ModelIdentity, Outcome, Report, Source, Species, Style
from sr_writer import report_series_uid, write_report

IDENTITY = Identity()
VETERINARY = (
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientSexNeutered",
    "PatientAge",
    "PatientWeight",
    "StudyDescription",
)


def written(of: Report, folder: Path, language: Language = Language.ENGLISH, **arguments: Document) -> Dataset:
    return dcmread(
        write_report(of, identity=IDENTITY, style=Style(language=language), directory=folder / "out", **arguments).path
    )


def one(folder: Path, outcome: str, *, model: ModelIdentity = MODEL, **elements: object) -> Report:
    return report([evidence(dx_file(folder / "a.dcm", **elements), outcome, model=model)])


def test_a_measured_score_is_three_numbers_each_with_its_own_line(tmp_path: Path) -> None:
    ds = written(one(tmp_path, "measured"), tmp_path)
    assert ds.ConceptNameCodeSequence[0].CodeValue == "126000"
    (group,) = named(ds, "125007")
    numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
    shown = [(n.ConceptNameCodeSequence[0].CodeMeaning, float(n.MeasuredValueSequence[0].NumericValue)) for n in numbers]
    assert shown == [("Vertebral heart score", 10.8), ("Long Axis", 87.3), ("Short Axis", 70.1)]
    for item in numbers:
        (line,) = [child for child in item.ContentSequence if child.ValueType == "SCOORD"]
        (image,) = line.ContentSequence
        assert line.GraphicType == "POLYLINE"
        assert image.ConceptNameCodeSequence[0].CodeValue == "111040"
    assert len(numbers[0].ContentSequence[0].GraphicData) == 2 * 9  # the ruler through nine edges
    assert numbers[1].ContentSequence[0].GraphicData == pytest.approx([67.5, 50.4, 87.0, 96.0])


def test_a_group_is_tracked_attributed_and_printed(tmp_path: Path) -> None:
    (group,) = named(written(one(tmp_path, "measured"), tmp_path), "125007")
    assert named(group, "112039")[0].TextValue == "VHS"
    assert named(group, "112040")[0].UID.startswith("2.25.")
    assert named(group, "121071")[0].ConceptCodeSequence[0].CodeMeaning == "Heart"
    assert named(group, "111003")[0].TextValue == MODEL.version
    assert any(MODEL.onnx_sha256 in item.TextValue for item in named(group, "111002"))
    expected = "VHS 10.8; reference 8.5-10.5, dog, all breeds - demonstration model, not validated; "
    expected += "long axis 5.9 v + short axis 4.9 v"
    assert named(group, "121106")[0].TextValue == expected


def test_where_a_number_lies_is_said_of_a_validated_model(tmp_path: Path) -> None:
    (group,) = named(written(one(tmp_path, "measured", model=VALIDATED), tmp_path), "125007")
    assert named(group, "121106")[0].TextValue.startswith("VHS 10.8; above the reference interval (reference 8.5-10.5")


def test_no_container_is_continuous(tmp_path: Path) -> None:
    for kind in OUTCOMES:
        containers = [i for i in items(written(one(tmp_path, kind), tmp_path)) if i.get("ValueType") == "CONTAINER"]
        assert {item.ContinuityOfContent for item in containers} == {"SEPARATE"}


def test_highdicom_reads_the_measurements_back(tmp_path: Path) -> None:
    document = write_report(
        one(tmp_path, "measured"), identity=IDENTITY, style=Style(language=Language.ENGLISH), directory=tmp_path
    )
    content = hd.sr.srread(document.path).content
    assert isinstance(content, hd.sr.MeasurementReport)
    (group,) = content.get_image_measurement_groups()
    assert [m.value for m in group.get_measurements()] == [10.8, 87.3, 70.1]
    assert group.get_measurements()[0].referenced_coordinates[0].graphic_type is hd.sr.GraphicTypeValues.POLYLINE


@pytest.mark.parametrize(
    ("kind", "code", "verdict"),
    [
        ("not assessable", "NOTASSESS", "not assessable - the heart's or the spine's landmarks are uncertain"),
        ("declined", "DECLINED", "NOT ANALYSED - no model for this region (limb)"),
        ("failed", "FAILED", "ANALYSIS FAILED - the image could not be read: the pixel data are too short"),
    ],
)
def test_without_a_measurement_the_report_is_text(tmp_path: Path, kind: str, code: str, verdict: str) -> None:
    """OHIF 3.13 opens no measurement report whose group lacks coordinates."""
    ds = written(one(tmp_path, kind), tmp_path)
    assert ds.ConceptNameCodeSequence[0].CodeValue == "18748-4"
    assert not named(ds, "125007")
    assert named(ds, "OUTCOME")[0].ConceptCodeSequence[0].CodeValue == code
    (conclusion,) = named(ds, "121077")
    assert verdict in conclusion.TextValue
    assert "This does not mean normal: nothing was assessed." in conclusion.TextValue
    assert "AI - not a diagnosis" in conclusion.TextValue
    assert "not signed by a veterinarian" in conclusion.TextValue


def test_a_finding_that_was_not_assessable_is_coded(tmp_path: Path) -> None:
    ds = written(one(tmp_path, "not assessable"), tmp_path)
    assert named(ds, "VHS")[0].ConceptCodeSequence[0].CodeValue == "NOTASSESS"
    assert ds.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99HNDSFLD"


def test_measured_and_not_assessable_images_stand_in_one_report(tmp_path: Path) -> None:
    kinds = {1: "measured", 2: "not assessable", 3: "declined"}
    ds = written(report([evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), kind) for n, kind in kinds.items()]), tmp_path)
    assert len(named(ds, "125007")) == 1
    assert named(ds, "VHS")[-1].ConceptCodeSequence[0].CodeValue == "NOTASSESS"
    said = texts(ds)
    assert "Image 1 of 3: Vertebral heart score 10.8 v - reference 8.5-10.5, dog, all breeds - demonstration model" in said
    assert "Image 2 of 3: Vertebral heart score: not assessable" in said
    assert "Image 2 of 3, thorax (from the header), lateral (seen in the image): NOTHING ASSESSABLE - the heart's" in said
    assert "Image 3 of 3, limb (from the header), lateral (seen in the image): NOT ANALYSED" in said
    assert "Not analysed: 1 of 3 images." in named(ds, "121077")[0].TextValue
    assert (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_what_was_looked_for_by_whom_and_on_what_grounds(tmp_path: Path) -> None:
    said = texts(written(one(tmp_path, "measured"), tmp_path))
    for expected in (
        "Looked for: Vertebral heart score",
        "Species: dog (assumed)",
        "reference 8.5-10.5, dog, all breeds; Buchanan 2000, PMID 10768239",
        f"Model: {MODEL.name} {MODEL.version}, Houndsfield",
        f"sha256 {MODEL.onnx_sha256}",
        "DEMONSTRATION model",
        MODEL.performance,
    ):
        assert expected in said


def test_text_is_in_the_language_and_code_meanings_are_english(tmp_path: Path) -> None:
    ds = written(one(tmp_path, "measured"), tmp_path, Language.KOREAN)
    assert "시연용 모델, 검증되지 않음" in texts(ds)
    assert f'성능(모델 패키지의 영문 원문): "{MODEL.performance}"' in texts(ds)  # a quotation, introduced as one
    assert "진단이 아님" in texts(ds)
    assert named(ds, "121049")[0].ConceptCodeSequence[0].CodeValue == "ko"
    for item in items(ds):
        for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
            for code in item.get(keyword, ()):
                assert code.CodeMeaning.isascii()


def test_failed_images_make_the_report_partial(tmp_path: Path) -> None:
    kinds = {1: "measured", 2: "failed", 3: "failed"}
    ds = written(report([evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), kind) for n, kind in kinds.items()]), tmp_path)
    assert ds.CompletionFlag == "PARTIAL"
    assert ds.CompletionFlagDescription == "2 of 3 images could not be analysed"


def test_every_image_is_evidence_in_the_consoles_order(tmp_path: Path) -> None:
    kinds = {3: "failed", 1: "measured", 2: "declined"}
    ds = written(report([evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), kind) for n, kind in kinds.items()]), tmp_path)
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    expected = [uid("instance", 1, 1, n) for n in (1, 2, 3)]
    assert [ref.ReferencedSOPInstanceUID for ref in series.ReferencedSOPSequence] == expected
    assert study.StudyInstanceUID == STUDY_UID


def test_the_device_is_the_only_observer_and_nobody_signs(tmp_path: Path) -> None:
    ds = written(one(tmp_path, "measured"), tmp_path)
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in named(ds, "121005")] == ["Device"]
    assert IDENTITY.device_uid == named(ds, "121012")[0].UID
    assert "VerifyingObserverSequence" not in ds


@pytest.mark.parametrize(("source", "coded"), [(Source.ASSUMED, 0), (Source.HEADER, 1), (Source.USER, 1)])
def test_an_assumed_species_is_not_coded_as_a_fact(tmp_path: Path, source: Source, coded: int) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    item = replace(item, answer=replace(item.answer, species=Species.CAT, species_source=source))
    assert len(named(written(report([item]), tmp_path), "121034")) == coded


def test_patient_study_and_veterinary_attributes_are_repeated(tmp_path: Path) -> None:
    of = one(tmp_path, "declined", charset="ISO 2022 IR 149", IssuerOfPatientID="HAPPYVET")
    source, ds = dcmread(tmp_path / "a.dcm"), written(of, tmp_path, Language.KOREAN)
    for keyword in (*VETERINARY, "IssuerOfPatientID", "PatientName", "PatientID", "AccessionNumber", "StudyDate"):
        assert ds[keyword].value == source[keyword].value, keyword
    assert ds.SpecificCharacterSet == source.SpecificCharacterSet
    assert ds.StudyInstanceUID == of.study_instance_uid


def test_a_silent_header_gives_empty_type_2_attributes(tmp_path: Path) -> None:
    absent = dict.fromkeys(("AccessionNumber", "StudyID", "StudyTime", "PatientBirthDate", "PatientSex", "PatientID"))
    ds = written(one(tmp_path, "measured", **absent), tmp_path)
    assert all(keyword in ds and not ds[keyword].value for keyword in absent)


def test_a_veterinary_sex_stays_what_the_study_says(tmp_path: Path) -> None:
    assert written(one(tmp_path, "measured", PatientSex="FS"), tmp_path).PatientSex == "FS"


def test_a_revision_names_its_predecessor_in_the_same_series(tmp_path: Path) -> None:
    first = one(tmp_path, "measured")
    document = write_report(first, identity=IDENTITY, style=Style(language=Language.ENGLISH), directory=tmp_path)
    ds = written(replace(first, revision=2), tmp_path, previous=document)
    (study,) = ds.PredecessorDocumentsSequence
    (reference,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == document.ref.sop_instance_uid
    assert (ds.InstanceNumber, ds.SeriesInstanceUID) == (2, document.series_instance_uid)
    assert document.series_instance_uid == report_series_uid(first, IDENTITY, Style(language=Language.ENGLISH))
    assert ds.SOPInstanceUID != document.ref.sop_instance_uid


def test_two_models_have_a_series_each(tmp_path: Path) -> None:
    first = one(tmp_path, "measured")
    other = replace(first, model=replace(MODEL, name="another"))
    assert report_series_uid(first, IDENTITY) != report_series_uid(other, IDENTITY)


def test_every_time_is_the_stored_one(tmp_path: Path) -> None:
    ds = written(one(tmp_path, "measured"), tmp_path)
    for keyword in ("InstanceCreation", "Content"):
        assert ds[f"{keyword}Date"].value == ANALYSED_AT.strftime("%Y%m%d")
        assert ds[f"{keyword}Time"].value == ANALYSED_AT.strftime("%H%M%S")
    assert "SeriesTime" not in ds  # revisions of other times lie in the same series


def test_a_report_refuses_what_it_could_not_say(tmp_path: Path) -> None:
    whole = one(tmp_path, "measured")
    for broken in (replace(whole, evidence=()), replace(whole, findings=(not_assessable("2.25.404"),))):
        with pytest.raises(ValueError, match="evidence"):
            written(broken, tmp_path)


def test_an_unanswered_study_is_seen_in_the_list_of_series(tmp_path: Path) -> None:
    assert written(one(tmp_path, "declined"), tmp_path).SeriesDescription == "AI: NOT ANALYSED"
    failed = one(tmp_path, "failed")
    assert failed.outcome is Outcome.FAILED
    assert written(failed, tmp_path).SeriesDescription == "AI: ANALYSIS FAILED"
