"""One capture for a whole study: every image and every result in it, and never less than that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from answers import ANALYSED_AT, STUDY_UID, evidence
from factories import dx_file
from pydicom import dcmread

from domain import codes
from domain.identity import Identity
from domain.types import Document, DocumentKind, Evidence, Finding, FindingOutcome, Language, Style
from sr_writer import draw_summary, overlay_series_uid, summary_series_uid, write_summary
from sr_writer.drawing import BANNER_HEIGHT
from sr_writer.panel import headline
from sr_writer.picture import overlay_picture
from sr_writer.summary import _numbered, _results
from sr_writer.typeset import ORANGE, VERMILLION

EN = Language.ENGLISH
OUTCOMES = ("measured", "declined", "failed", "not assessable")


def study(folder: Path, *outcomes: str) -> list[Evidence]:
    return [
        evidence(dx_file(folder / f"{number}.dcm", rows=600, columns=800, SOPInstanceUID=f"2.25.9{number}"), outcome)
        for number, outcome in enumerate(outcomes)
    ]


def gray(level: float = 0.5) -> npt.NDArray[np.float32]:
    return np.full((600, 800), level, dtype=np.float32)


def written(items: list[Evidence], folder: Path, **arguments: object) -> Document:
    values: dict[str, object] = {
        "pixels": [gray() for _ in items],
        "study_instance_uid": STUDY_UID,
        "identity": Identity(),
        "style": Style(language=EN),
        "directory": folder / "out",
        "revision": 1,
        "made_at": ANALYSED_AT,
    }
    return write_summary(items, **(values | arguments))  # type: ignore[arg-type]


def near(image: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(image.astype(int) - colour).max(axis=2) < 8)


def drawn(items: list[Evidence], levels: list[float]) -> npt.NDArray[np.uint8]:
    picture = draw_summary(items, pixels=[gray(level) for level in levels], language=EN, pixel_aspects=[1.0] * len(items))
    return np.asarray(picture)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_every_image_is_shown(tmp_path: Path, count: int) -> None:
    levels = [0.3 + 0.05 * number for number in range(count)]
    image = drawn(study(tmp_path, *["declined"] * count), levels)
    for level in levels:
        shown = near(image, (round(level * 255),) * 3) & (image[..., 0] == image[..., 2])
        assert shown.sum() > 0.5 * (1600 // int(np.ceil(np.sqrt(count)))) ** 2 * 0.75


def test_every_result_of_every_image_is_in_words_beside_them(tmp_path: Path) -> None:
    items = study(tmp_path, *OUTCOMES)
    texts = [block.text for block in _results(items, _numbered(items), EN)]
    for number in range(1, 5):
        assert any(text.startswith(f"Image {number} of 4") for text in texts)
    said = "\n".join(texts)
    for expected in ("10.8 v", "no model for this region (limb)", "the pixel data are too short", "not assessable"):
        assert expected in said


def test_what_was_found_comes_before_what_was_not_analysed_and_that_before_what_was_not_seen(tmp_path: Path) -> None:
    items = study(tmp_path, "not assessable", "failed", "measured")
    absent = Finding(
        tracking="P", concept=codes.FINDINGS[12].code, outcome=FindingOutcome.ABSENT, sop_instance_uid="2.25.90"
    )
    spoken = replace(items[0].answer.models[0], findings=(absent,))
    items[0] = replace(items[0], answer=replace(items[0].answer, models=(spoken,)))
    titles = [b.text for b in _results(items, _numbered(items), EN) if b.text.startswith("Image ")]
    assert [title[6] for title in titles] == ["3", "2", "1"]


def test_numbers_run_through_the_study_so_that_none_stands_for_two_findings(tmp_path: Path) -> None:
    items = study(tmp_path, "measured", "measured", "not assessable")
    numbers = [item.number for of_image in _numbered(items) for item in of_image]
    assert sorted(number for number in numbers if number is not None) == [1, 2, 3]


def test_a_study_with_one_failed_image_says_so_in_its_banner(tmp_path: Path) -> None:
    answers = [item.answer for item in study(tmp_path, "measured", "failed")]
    said = headline(answers, EN)
    assert said.striped
    assert said.signal == ORANGE
    assert any("1 of 2 images could not be analysed" in note for note in said.notes)


@pytest.mark.parametrize(("outcomes", "colour"), [(("declined", "declined"), ORANGE), (("declined", "failed"), VERMILLION)])
def test_a_study_without_an_answer_is_hatched(
    tmp_path: Path, outcomes: tuple[str, ...], colour: tuple[int, int, int]
) -> None:
    image = drawn(study(tmp_path, *outcomes), [0.5, 0.5])
    assert near(image[: BANNER_HEIGHT // 10], colour).mean() > 0.3


def test_it_is_one_capture_of_all_images_in_a_series_of_its_own(tmp_path: Path) -> None:
    items = study(tmp_path, "measured", "declined")
    document = written(items, tmp_path, revision=3)
    ds = dcmread(document.path)
    assert document.kind is DocumentKind.SC
    assert [source.ReferencedSOPInstanceUID for source in ds.SourceImageSequence] == ["2.25.90", "2.25.91"]
    assert ds.SeriesInstanceUID == summary_series_uid(STUDY_UID, Identity(), Style(language=EN))
    assert ds.SeriesInstanceUID != overlay_series_uid(STUDY_UID, Identity(), Style(language=EN))
    assert (ds.InstanceNumber, ds.BurnedInAnnotation) == (3, "YES")
    assert ds.PatientName == dcmread(items[0].path).PatientName


def test_the_same_study_has_the_same_summary_and_another_revision_another(tmp_path: Path) -> None:
    items = study(tmp_path, "measured", "declined")
    first, again, revised = (written(items, tmp_path, revision=revision) for revision in (1, 1, 2))
    assert (first.sha256, first.ref) == (again.sha256, again.ref)
    assert first.ref != revised.ref


def test_uncompressed_where_it_is_wanted(tmp_path: Path) -> None:
    items = study(tmp_path, "measured", "failed")
    document = written(items, tmp_path, pixels=[gray(), None], style=Style(language=EN, overlay_jpeg=False))
    expected = draw_summary(items, pixels=[gray(), None], language=EN, pixel_aspects=[1.0, 1.0])
    assert np.array_equal(np.asarray(overlay_picture(document.path)), np.asarray(expected))


def test_a_study_without_images_has_no_summary(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        written([], tmp_path)
