"""How an image was taken and read, as SR, text report and overlay say it; and which image of a study an answer is from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from answers import MODEL, VALIDATED, evidence, report, vhs
from factories import dx_file
from pydicom import dcmread
from pydicom.dataset import Dataset
from trees import items, named

from domain import codes, terms
from domain.identity import Identity
from domain.types import (
    Evidence,
    FindingOutcome,
    Language,
    ModelIdentity,
    Orientation,
    Outcome,
    Quality,
    QualityIssue,
    Reason,
    Report,
    StudyFinding,
    Style,
)
from sr_writer import conclusion, image_words, read_header, write_report, write_text_report
from sr_writer.marks import numbered
from sr_writer.panel import of_image

EN, KO = Language.ENGLISH, Language.KOREAN
JUDGED = (
    Quality(issue=QualityIssue.CROPPED, outcome=FindingOutcome.PRESENT, probability=0.93),
    Quality(issue=QualityIssue.ROTATED_BODY, outcome=FindingOutcome.ABSENT, probability=0.02),
    Quality(issue=QualityIssue.OVEREXPOSED, outcome=FindingOutcome.UNCERTAIN, probability=0.51),
)


def judged(folder: Path, kind: str = "measured", *, triage: ModelIdentity = VALIDATED) -> Evidence:
    """One image with everything that may limit what was seen in it."""
    item = evidence(dx_file(folder / "a.dcm"), kind)
    answer = replace(
        item.answer,
        ref=replace(item.answer.ref, frame_number=3),
        frames=5,
        burned_in=True,
        quality=JUDGED,
        triage=triage,
        orientation=Orientation(quarter_turns=1, mirrored=True),
    )
    return replace(item, answer=answer)


def panel(item: Evidence, language: Language) -> list[str]:
    findings = [finding for spoken in item.answer.models for finding in spoken.findings]
    blocks, _ = of_image(item, numbered(findings), language, header=read_header(item.path))
    return [block.text for block in blocks]


def said_in_every_document(item: Evidence, folder: Path, language: Language) -> list[str]:
    """The SR's lines on image quality, its conclusion, the text report's sentences, the overlay's blocks: each as one."""
    style = Style(language=language)
    whole = report([item])
    sr = dcmread(write_report(whole, identity=Identity(), style=style, directory=folder).path)
    words = dcmread(write_text_report(whole, identity=Identity(), style=style, directory=folder).path)
    sections = {
        box.ConceptNameCodeSequence[0].CodeMeaning: box for box in items(words) if box.get("ValueType") == "CONTAINER"
    }
    return [
        named(sr, codes.IMAGE_QUALITY.value)[0].TextValue,
        named(sr, codes.CONCLUSION.value)[0].TextValue,
        _text(sections["Image Quality"]),
        _text(sections["Impressions"]),
        " ".join(panel(item, language)),
    ]


def _text(box: Dataset) -> str:
    return " ".join(item.TextValue for item in items(box) if item.get("ValueType") == "TEXT")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            EN,
            (
                "Image quality by the AI: anatomy cut off present (93 %), overexposed uncertain (51 %)",
                "Only frame 3 of 5 was read",
                "A screen or film capture",
            ),
        ),
        (
            KO,
            ("영상 품질(AI 평가): 필요 부위 잘림 있음 (93 %), 노출 과다 불확실 (51 %)", "3번만 판독함", "캡처한 영상"),
        ),
    ],
)
def test_what_limits_an_image_is_said_everywhere(tmp_path: Path, language: Language, expected: tuple[str, ...]) -> None:
    for said in said_in_every_document(judged(tmp_path), tmp_path, language):
        assert all(sentence in said for sentence in expected), said


def test_what_was_not_judged_is_not_called_good(tmp_path: Path) -> None:
    item = judged(tmp_path)
    line = image_words.quality(item, read_header(item.path), EN)
    assert "Image quality by the AI: body rotated not seen." in line
    assert line.endswith("Not assessed by the AI: underexposed.")
    silent = replace(item, answer=replace(item.answer, quality=()))
    assert image_words.quality(silent, read_header(item.path), EN).endswith("were not assessed by the AI.")


def test_a_demonstrations_judgement_of_an_image_is_called_so(tmp_path: Path) -> None:
    said = image_words.quality(judged(tmp_path, triage=MODEL), read_header(tmp_path / "a.dcm"), EN)
    assert said.count("demonstration model, not validated") == 2


@pytest.mark.parametrize(
    ("language", "how"), [(EN, "mirrored left to right, 90° clockwise"), (KO, "좌우 반전, 시계 방향 90°")]
)
def test_a_turned_image_is_told(tmp_path: Path, language: Language, how: str) -> None:
    item = judged(tmp_path)
    assert how in image_words.quality(item, read_header(item.path), language)
    assert any(how in line for line in panel(item, language))
    upright = replace(item, answer=replace(item.answer, orientation=Orientation()))
    assert image_words.turned(upright.answer, language) == ""


def test_of_an_ordinary_image_nothing_of_it_is_said(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    assert image_words.limits(item.answer, EN) == []
    assert not any("AI" in line for line in panel(item, EN))


def test_coordinates_are_of_the_frame_that_was_read(tmp_path: Path) -> None:
    ds = dcmread(write_report(report([judged(tmp_path)]), identity=Identity(), style=Style(), directory=tmp_path).path)
    references = [item.ReferencedSOPSequence[0] for item in items(ds) if item.get("ValueType") == "IMAGE"]
    assert references
    assert {int(reference.ReferencedFrameNumber) for reference in references} == {3}
    series = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert "ReferencedFrameNumber" not in series.ReferencedSOPSequence[0]


def test_how_sure_a_model_is_of_a_number_stands_beside_it(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    heart = vhs(item.answer.ref.sop_instance_uid)
    sure = tuple(replace(m, deviation=d) for m, d in zip(heart.measurements, (0.31, 0.02, None), strict=True))
    (spoken,) = item.answer.models
    spoken = replace(spoken, findings=(replace(heart, measurements=sure),))
    item = replace(item, answer=replace(item.answer, models=(spoken,)))
    _, told, _, _, beside = said_in_every_document(item, tmp_path, EN)
    assert "Vertebral heart score 10.8 v ± 0.3 v (standard deviation, by the model) - reference" in told
    assert "Long axis 87.3 mm ± < 0.1 mm (standard deviation, by the model)" in told
    assert told.count("±") == beside.count("±") == 2
    sr = dcmread(write_report(report([item]), identity=Identity(), style=Style(language=KO), directory=tmp_path).path)
    assert any("± 0.3 v (모델이 추정한 표준편차)" in line.TextValue for line in named(sr, codes.COMMENT.value))


def study(folder: Path, *, images: int = 2) -> Report:
    parts = [evidence(dx_file(folder / f"{n}.dcm", instance=n), "measured") for n in (1, 2)]
    whole = report(parts)
    chosen = StudyFinding(
        concept=codes.VHS,
        laterality=None,
        outcome=FindingOutcome.PRESENT,
        probability=None,
        sop_instance_uid=parts[1].answer.ref.sop_instance_uid,
        reason=Reason(code="preferred_view"),
        images=images,
    )
    return replace(whole, conclusions=(chosen,))


@pytest.mark.parametrize(
    ("language", "line"),
    [
        (EN, "Of the whole study: VHS 10.8 (Image 2 of 2, the view that the model prefers)."),
        (KO, "검사 전체: VHS 10.8 (영상 2/2, 모델이 선호하는 촬영상)."),
    ],
)
def test_of_several_images_the_one_that_counts_is_named(tmp_path: Path, language: Language, line: str) -> None:
    whole = study(tmp_path)
    sr = dcmread(write_report(whole, identity=Identity(), style=Style(language=language), directory=tmp_path).path)
    words = dcmread(write_text_report(whole, identity=Identity(), style=Style(language=language), directory=tmp_path).path)
    assert line in named(sr, codes.CONCLUSION.value)[0].TextValue
    assert line in _text(words)


def test_no_choice_is_told_where_there_was_none(tmp_path: Path) -> None:
    assert conclusion.of_study(study(tmp_path, images=1), EN) == []
    whole = study(tmp_path)
    corrected = [replace(finding, outcome=FindingOutcome.ABSENT) for finding in whole.findings]
    assert conclusion.of_study(replace(whole, findings=tuple(corrected)), EN) == []
    assert conclusion.of_study(replace(whole, evidence=whole.evidence[1:]), EN) == []


@pytest.mark.parametrize("language", Language)
def test_an_unread_image_is_told_by_its_header_beside_the_picture(tmp_path: Path, language: Language) -> None:
    path = dx_file(tmp_path / "a.dcm", PatientSpeciesDescription="CANINE", BodyPartExamined="CHEST", ViewPosition="LL")
    item = evidence(path, "failed")
    item = replace(item, answer=replace(item.answer, species=None))
    assert item.answer.outcome is Outcome.FAILED
    said = " ".join(panel(item, language))
    assert all(word in said for word in ("CANINE", "CHEST", "LL"))
    assert terms.phrase("unknown", language) not in said
