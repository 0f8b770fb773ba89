"""The owner's page: one page, unmistakable, without anybody's name, and the same bytes each time."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import ANALYSED_AT, MODEL, OUTCOMES, VALIDATED, evidence, report
from factories import dx_file, gradient
from PIL import Image, ImageDraw
from pydicom import dcmread

from domain.identity import Identity
from domain.types import Document, FindingOutcome, Language, ModelIdentity, Report, Style
from sr_writer import owner_page, owner_words, typeset
from sr_writer.header import read_header
from sr_writer.owner_page import ZONES, _animal, draw_owner_picture, draw_page, write_owner_page

PICTURE = Image.new("RGB", (600, 400), (200, 0, 200))


def pdf(of: Report, folder: Path, **arguments: Any) -> Document:
    values: dict[str, Any] = {"identity": Identity(), "style": Style(language=Language.KOREAN), "directory": folder}
    return write_owner_page(of, **values | arguments)


def made(
    folder: Path, *outcomes: str, score: float | None = None, model: ModelIdentity = VALIDATED, **elements: Any
) -> Report:
    files = [dx_file(folder / f"{n}.dcm", instance=n, **elements) for n in range(1, len(outcomes) + 1)]
    of = report([evidence(path, kind, model=model) for path, kind in zip(files, outcomes, strict=True)])
    if score is None:
        return of
    (finding,) = of.findings
    vhs = replace(finding.measurements[0], value=score)
    return replace(of, findings=(replace(finding, measurements=(vhs, *finding.measurements[1:])),))


def said(of: Report, language: Language, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> str:
    """All that is drawn as text, in order."""
    drawn: list[str] = []
    real = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, xy: Any, text: str, *rest: Any, **more: Any) -> None:
        drawn.append(text)
        real(self, xy, text, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(ImageDraw.ImageDraw, "text", text)
        draw_page(of, picture=None, language=language, **arguments)
    return " ".join(drawn)


def coloured(page: Image.Image, colour: tuple[int, int, int]) -> float:
    return float((np.asarray(page) == colour).all(axis=2).mean())


@pytest.mark.parametrize(("score", "word"), [(8.44, "below"), (8.46, "within"), (10.54, "within"), (10.6, "above")])
@pytest.mark.parametrize("language", Language)
def test_the_scale_says_where_the_shown_number_lies(
    tmp_path: Path, score: float, word: str, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = said(made(tmp_path, "measured", score=score), language, monkeypatch)
    assert owner_words.say(word, language) in text
    others = {"below", "within", "above"} - {word}
    assert not any(owner_words.say(other, language) in text for other in others)
    assert f"{score:.1f}" in text


@pytest.mark.parametrize("language", Language)
def test_a_demonstrations_number_is_no_clean_bill_of_health(
    tmp_path: Path, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = made(tmp_path, "measured", "measured", model=MODEL)
    text = said(of, language, monkeypatch)
    assert "10.8" in text
    assert text.count(owner_words.say("unvalidated", language)) == 2
    assert not any(owner_words.say(word, language) in text for word in ("below", "within", "above"))
    page = draw_page(of, picture=None, language=language)
    assert all(coloured(page, colour) == 0 for colour in ZONES.values())


@pytest.mark.parametrize("score", [2.0, 8.5, 10.5, 30.0])
def test_the_mark_stays_on_the_scale(tmp_path: Path, score: float) -> None:
    page = draw_page(made(tmp_path, "measured", score=score), picture=None, language=Language.ENGLISH)
    assert page.size == (owner_page.WIDTH, owner_page.HEIGHT)
    rows = (np.asarray(page) == ZONES["within"]).all(axis=2).any(axis=1).nonzero()[0]
    above = np.asarray(page)[rows[0] - 40]
    mark = (above == owner_page.INK).all(axis=1).nonzero()[0]
    assert len(mark) > 20
    assert owner_page.MARGIN - 40 <= mark[0] <= mark[-1] <= owner_page.WIDTH - owner_page.MARGIN + 40


@pytest.mark.parametrize("outcome", ["not assessable", "declined", "failed"])
@pytest.mark.parametrize("language", Language)
def test_no_result_is_unmistakable(
    tmp_path: Path, outcome: str, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = made(tmp_path, outcome)
    text = said(of, language, monkeypatch)
    for words in (owner_words.say("no_result", language), owner_words.say(outcome.replace(" ", "_"), language)):
        assert words in text
    assert owner_words.say("silence", language) in text
    assert not any(owner_words.say(word, language) in text for word in ("below", "within", "above", "title"))
    page = draw_page(of, picture=None, language=language)
    assert coloured(page, owner_page.WARNING) > 0.01
    assert all(coloured(page, colour) == 0 for colour in ZONES.values())


def test_an_image_without_an_answer_is_told_beside_the_measured_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = said(made(tmp_path, "measured", "failed", "not assessable"), Language.ENGLISH, monkeypatch)
    assert "2 of 3 X-ray images could not be measured." in text
    assert "Image 1 of 3" in text


def test_every_number_is_said_or_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = made(tmp_path, *["measured"] * 5)
    text = said(of, Language.ENGLISH, monkeypatch)
    assert text.count("above the usual range") == 4
    assert owner_words.say("more", Language.ENGLISH, count=1) in text


def test_a_number_without_a_reference_is_said_without_a_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = made(tmp_path, "measured")
    bare = tuple(replace(measurement, interval=None) for measurement in of.findings[0].measurements)
    of = replace(of, findings=(replace(of.findings[0], measurements=bare),))
    text = said(of, Language.ENGLISH, monkeypatch)
    assert "VHS 10.8 v" in text
    assert not any(owner_words.say(word, Language.ENGLISH) in text for word in ("below", "within", "above"))


def test_the_picture_shows_the_lines_and_no_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (item,) = made(tmp_path, "measured").evidence
    plain = (gradient(item.answer.rows, item.answer.columns) / 65535).astype(np.float32)

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a word was drawn")

    with monkeypatch.context() as patched:
        patched.setattr(ImageDraw.ImageDraw, "text", refused)
        picture = draw_owner_picture(item, pixels=plain, pixel_aspect=1.0)
    pixels = np.asarray(picture)
    for measurement in item.answer.models[0].findings[0].measurements[1:]:
        for (x1, y1), (x2, y2) in measurement.lines.values():
            scale = picture.width / item.answer.columns
            middle = pixels[round((y1 + y2) / 2 * scale), round((x1 + x2) / 2 * scale)]
            assert np.abs(middle.astype(int) - typeset.YELLOW).max() < 40


def test_nothing_seen_does_not_read_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = made(tmp_path, "not assessable")
    absent = replace(of.findings[0], outcome=FindingOutcome.ABSENT, reason=None, probability=0.02)
    text = said(replace(of, findings=(absent,)), Language.ENGLISH, monkeypatch)
    assert "this does not mean that all is well" in text


def test_a_detection_is_not_named_as_a_diagnosis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = made(tmp_path, "not assessable")
    concept = replace(of.findings[0].concept, value="X", meaning="Cardiomegaly")
    seen = replace(of.findings[0], outcome=FindingOutcome.PRESENT, reason=None, probability=0.9, concept=concept)
    text = said(replace(of, findings=(seen,)), Language.ENGLISH, monkeypatch)
    assert "Cardiomegaly" not in text
    assert "for your veterinarian to look at (1)" in text


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("language", Language)
def test_every_page_says_who_wrote_it_and_who_decides(
    tmp_path: Path, outcome: str, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = said(made(tmp_path, outcome, model=MODEL), language, monkeypatch, study_date="20251120")
    assert owner_words.say("disclosure", language) in text
    assert owner_words.say("ask", language) in text
    assert "2025-11-20" in text
    assert (owner_words.say("demonstration", language) in text) is (outcome in ("measured", "not assessable"))


@pytest.mark.parametrize(("language", "name"), [(Language.KOREAN, "홍 초코"), (Language.ENGLISH, "Hong Choco")])
def test_the_animal_is_named_and_no_person(tmp_path: Path, language: Language, name: str) -> None:
    of = made(tmp_path, "measured", charset="ISO_IR 192")
    header = read_header(of.evidence[0].path)
    assert _animal(header, language) == f"{name} · TEST-0001"
    people = re.split("[=^]", f"{header.text('ResponsiblePerson')}={header.text('ReferringPhysicianName')}")
    assert not [person for person in people if person and person in _animal(header, language).replace(name, "")]


def test_a_name_that_the_font_lacks_is_no_row_of_boxes(tmp_path: Path) -> None:
    of = made(tmp_path, "measured", charset="ISO_IR 192", PatientName="ไทย^แมว")
    assert _animal(read_header(of.evidence[0].path), Language.KOREAN) == "TEST-0001"


@pytest.mark.parametrize("language", Language)
def test_a_reason_is_told_without_a_word_of_the_trade(tmp_path: Path, language: Language) -> None:
    _, why = owner_words.silence(made(tmp_path, "failed"), language)
    told = {
        Language.ENGLISH: "Why: the X-ray file could not be read.",
        Language.KOREAN: "이유: 엑스레이 파일을 읽을 수 없었습니다.",
    }
    assert why == told[language]


def test_the_picture_is_shown_as_large_as_there_is_room(tmp_path: Path) -> None:
    of = made(tmp_path, "measured")
    page = draw_page(of, picture=PICTURE, language=Language.ENGLISH)
    assert coloured(page, (200, 0, 200)) > 0.15
    ds = dcmread(pdf(of, tmp_path, picture=PICTURE).path)
    assert ds.BurnedInAnnotation == "YES"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_second_run_is_byte_identical_and_one_page(tmp_path: Path, outcome: str) -> None:
    of = made(tmp_path, outcome, charset="ISO 2022 IR 149")
    first, second = (pdf(of, tmp_path / name, picture=PICTURE) for name in ("1", "2"))
    assert first.path.read_bytes() == second.path.read_bytes()
    ds = dcmread(first.path)
    content = ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") == 1
    assert f"D:{ANALYSED_AT:%Y%m%d%H%M%S}".encode() in content
    assert ds.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert len(ds.SourceInstanceSequence) == 1


def test_a_change_is_another_object_in_the_same_series(tmp_path: Path) -> None:
    of = made(tmp_path, "measured")
    first = pdf(of, tmp_path)
    others = [
        pdf(replace(of, revision=2), tmp_path, previous=first),
        pdf(of, tmp_path, picture=PICTURE),
    ]
    assert len({document.ref for document in [first, *others]}) == 3
    assert {document.series_instance_uid for document in others} == {first.series_instance_uid}
    (study,) = dcmread(others[0].path).PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.ref.sop_instance_uid


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        pdf(replace(made(tmp_path, "declined"), evidence=()), tmp_path)


def test_the_words_of_both_languages_have_the_same_blanks() -> None:
    blanks = {name: [set(re.findall(r"{(\w+)", text)) for text in both] for name, both in owner_words.WORDS.items()}
    assert [name for name, (english, korean) in blanks.items() if english != korean] == []


def test_pdf_bytes_do_not_depend_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = made(tmp_path, "declined")
    first = pdf(of, tmp_path / "1")
    long_ago = time.gmtime(0)
    monkeypatch.setattr("time.gmtime", lambda *_: long_ago)
    assert pdf(of, tmp_path / "2").sha256 == first.sha256
