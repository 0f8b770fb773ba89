"""The overlay as a picture and as a Secondary Capture."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from answers import ANALYSED_AT, MODEL, OUTCOMES, STUDY_UID, evidence
from factories import dx_file, gradient
from overlays import COLUMNS, EN, KO, ROWS, drawn, gray, near, picture, radiograph, source, written
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from domain import codes
from domain.identity import Identity
from domain.types import (
    FindingOutcome,
    Language,
    ModelAnswer,
    Outcome,
    Reason,
    Style,
)
from sr_writer import draw_overlay, overlay_series_uid
from sr_writer.drawing import BANNER_HEIGHT, PANEL_WIDTH
from sr_writer.marks import vertebra
from sr_writer.picture import overlay_picture
from sr_writer.typeset import BOLD, ORANGE, SKY, VERMILLION, WHITE, YELLOW, font, wrap


def test_the_axes_lie_where_they_were_measured(tmp_path: Path) -> None:
    item = source(tmp_path, "measured")
    image = radiograph(drawn(item))
    measurements = item.answer.models[0].findings[0].measurements
    for measurement, colour in ((measurements[1], YELLOW), (measurements[2], SKY)):
        ((start, end),) = measurement.lines.values()
        share = np.linspace(0, 1, 200)
        columns = (start[0] + share * (end[0] - start[0])).astype(int)
        rows = (start[1] + share * (end[1] - start[1])).astype(int)
        covered = near(image, colour)[rows, columns].mean()
        assert covered > (0.9 if colour is YELLOW else 0.4)  # the short axis is dashed
        found_rows, found_columns = np.nonzero(near(image, colour))
        assert abs(found_columns.min() - min(start[0], end[0])) < 120 or measurement is measurements[1]
        assert found_rows.size > 500


def test_counts_of_axes_that_end_at_one_place_of_the_spine_keep_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = source(tmp_path, "measured")
    finding = item.answer.models[0].findings[0]
    start, end = finding.measurements[0].lines["long_axis_on_spine"]
    lines = {"long_axis_on_spine": (start, end), "short_axis_on_spine": (start, (end[0] - 6, end[1]))}
    close = replace(finding, measurements=(replace(finding.measurements[0], lines=lines), *finding.measurements[1:]))
    answer = replace(item.answer, models=(replace(item.answer.models[0], findings=(close,)),))
    counts = {codes.LONG_AXIS.value: 4.9, codes.SHORT_AXIS.value: 4.9}
    monkeypatch.setattr("sr_writer.wording.axes_in_vertebrae", lambda _: counts)
    image = radiograph(drawn(replace(item, answer=answer)))
    below = image[int(end[1]) + 28 : int(end[1]) + 62, int(end[0]) - 80 : int(end[0]) + 160]
    short, long = (np.nonzero(near(below, colour))[1] for colour in (SKY, YELLOW))
    assert short.size > 30
    assert long.size > 30
    assert short.max() < long.min()


def test_the_image_is_shown_unchanged_beside_its_lines(tmp_path: Path) -> None:
    pixels = (gradient(ROWS, COLUMNS) / 65535).astype(np.float32)
    shown = radiograph(drawn(source(tmp_path, "declined"), pixels=pixels))
    assert np.array_equal(shown[..., 0], np.floor(pixels * 255 + 0.5))
    assert np.array_equal(shown[..., 0], shown[..., 2])


def test_results_stand_beside_the_image_not_on_it(tmp_path: Path) -> None:
    image = drawn(source(tmp_path, "measured"))
    assert image.shape[1] == COLUMNS + PANEL_WIDTH
    assert image.shape[0] == ROWS + BANNER_HEIGHT
    assert near(image[BANNER_HEIGHT:, COLUMNS:], WHITE).sum() > 2000


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(
    ("outcome", "colour"), [("not assessable", ORANGE), ("declined", ORANGE), ("failed", VERMILLION), ("measured", None)]
)
def test_only_a_measured_image_has_a_quiet_banner(
    tmp_path: Path, outcome: str, colour: tuple[int, int, int] | None, language: Language
) -> None:
    banner = drawn(source(tmp_path, outcome), language=language)[:BANNER_HEIGHT]
    for signal in (ORANGE, VERMILLION):
        share = near(banner[: BANNER_HEIGHT // 8], signal).mean()  # the hatching
        assert share > 0.3 if signal == colour else share == 0
    if colour is None:
        assert near(banner, WHITE).mean() > 0.02


def test_a_demonstration_is_called_so_in_the_banner(tmp_path: Path) -> None:
    item = source(tmp_path, "measured")
    trusted = ModelAnswer(
        model=replace(MODEL, clinical_status="validated"),
        outcome=Outcome.ANALYSED,
        findings=item.answer.models[0].findings,
    )
    assert near(drawn(item)[:BANNER_HEIGHT], ORANGE).sum() > 300
    assert not near(drawn(replace(item, answer=replace(item.answer, models=(trusted,))))[:BANNER_HEIGHT], ORANGE).any()


def test_nothing_is_drawn_on_an_image_that_was_not_measured(tmp_path: Path) -> None:
    for outcome in ("not assessable", "declined", "failed"):
        assert (radiograph(drawn(source(tmp_path, outcome))) == 128).all()


def test_landmarks_of_a_heart_that_was_not_assessable_are_not_drawn(tmp_path: Path) -> None:
    item = source(tmp_path, "measured")
    doubtful = replace(item.answer.models[0].findings[0], outcome=FindingOutcome.NOT_ASSESSABLE)
    answer = replace(item.answer, models=(replace(item.answer.models[0], findings=(doubtful,)),))
    assert (radiograph(drawn(replace(item, answer=answer))) == 128).all()


@pytest.mark.parametrize("language", Language)
def test_an_unreadable_image_is_no_black_square(tmp_path: Path, language: Language) -> None:
    item = source(tmp_path, "failed")
    image = np.asarray(draw_overlay(item, pixels=None, language=language))
    assert near(image[:, :1000], WHITE).sum() > 1000
    assert image[BANNER_HEIGHT:, :1000].max(axis=2).min() > 20


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 4000), (4000, 3), (169, 211), (2400, 3000)])
def test_every_size_is_bounded_and_has_room_for_text(tmp_path: Path, rows: int, columns: int) -> None:
    image = draw_overlay(source(tmp_path, "measured"), pixels=gray(rows, columns), language=KO)
    assert 1000 <= image.height <= 2100
    assert 500 <= image.width <= 2400


def test_pixels_that_are_not_square_are_shown_in_the_animals_proportions(tmp_path: Path) -> None:
    item = source(tmp_path, "declined")
    tall = draw_overlay(item, pixels=gray(500, 1600), language=EN, pixel_aspect=2.0)
    assert tall.height == 1000 + round(BANNER_HEIGHT * 0.9)


def test_pixels_that_are_no_numbers_are_drawn_black(tmp_path: Path) -> None:
    pixels = gray()
    pixels[:] = np.nan
    assert (radiograph(drawn(source(tmp_path, "declined"), pixels=pixels)) == 0).all()


@pytest.mark.parametrize("count", [2, 6, 30])
def test_a_long_list_of_answers_stays_inside_the_panel(tmp_path: Path, count: int) -> None:
    item = source(tmp_path, "measured")
    spoken = tuple(replace(item.answer.models[0], model=replace(MODEL, name=f"model-{n}")) for n in range(count))
    long = replace(item, answer=replace(item.answer, models=(*spoken[:2], *(replace(s, findings=()) for s in spoken[2:]))))
    if count > 6:
        long = replace(long, answer=replace(long.answer, models=(replace(spoken[0], findings=spoken[0].findings * count),)))
    panel = drawn(long)[BANNER_HEIGHT:, COLUMNS + 10 :]
    assert (panel[-12:].max(axis=2) < 40).all()
    assert (panel[:10].max(axis=2) < 40).all()
    assert near(panel, ORANGE).sum() > 300  # DEMONSTRATION is still there


def test_a_model_that_failed_is_named_beside_one_that_spoke(tmp_path: Path) -> None:
    item = source(tmp_path, "measured")
    broken = ModelAnswer(model=replace(MODEL, name="another"), outcome=Outcome.FAILED, reason=Reason(code="model_failed"))
    both = replace(item, answer=replace(item.answer, models=(*item.answer.models, broken)))
    panel = drawn(both)[BANNER_HEIGHT:, COLUMNS:]
    assert near(panel, ORANGE).sum() > 1.15 * near(drawn(item)[BANNER_HEIGHT:, COLUMNS:], ORANGE).sum()


def test_vertebrae_are_counted_from_t4_over_thirteen_thoracic_ones() -> None:
    assert [vertebra(n) for n in (0, 9, 10)] == ["T4", "T13", "L1"]


def test_the_bundled_font_knows_every_korean_term() -> None:
    face = font(BOLD, 40)
    missing = face.getmask("\ufffe").getbbox()
    for letter in "척추심장지수평가불가분석하지않음시연용":
        assert face.getmask(letter).getbbox() not in (None, missing)


def test_text_is_broken_to_its_width() -> None:
    face = font(BOLD, 20)
    lines = wrap("one two three " + "x" * 60, face, 100)
    assert all(face.getlength(line) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == "onetwothree" + "x" * 60


def test_the_capture_says_what_it_is(tmp_path: Path) -> None:
    item = source(tmp_path, "measured", charset="ISO 2022 IR 149")
    ds, origin = written(item, tmp_path, number=7), dcmread(item.path)
    assert ds.SOPClassUID.name == "Secondary Capture Image Storage"
    assert (ds.Modality, ds.ConversionType, ds.BurnedInAnnotation, ds.InstanceNumber) == ("OT", "WSD", "YES", 7)
    assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == origin.SOPInstanceUID
    assert ds.AnatomicalOrientationType == "QUADRUPED"
    assert ds.PatientOrientation == ["CD", "V"]
    for keyword in ("PatientName", "ResponsiblePerson", "PatientSpeciesCodeSequence", "PatientBreedDescription"):
        assert ds[keyword].value == origin[keyword].value
    assert ds.SeriesInstanceUID == overlay_series_uid(STUDY_UID, Identity(), Style(language=EN))
    assert ds.ContentTime == ds.TimeOfSecondaryCapture == ANALYSED_AT.strftime("%H%M%S")


def test_the_picture_is_jpeg_baseline_and_says_that_it_lost_something(tmp_path: Path) -> None:
    item = source(tmp_path, "measured")
    ds = written(item, tmp_path)
    assert ds.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert float(ds.LossyImageCompressionRatio) > 5
    expected = drawn(item)
    assert (ds.Rows, ds.Columns) == expected.shape[:2]
    assert np.abs(picture(ds).astype(int) - expected).mean() < 1.5


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_no_name_is_drawn(tmp_path: Path, outcome: str) -> None:
    """Two animals with the same answer have the same picture."""
    pictures = [
        written(source(tmp_path, outcome, PatientName=name, PatientID=name, ResponsiblePerson=name), tmp_path).PixelData
        for name in ("First^Animal", "Second^Other")
    ]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(("longest", "expected"), [(800, 800), (1600, 1600), (0, 2400)])
def test_the_radiograph_is_as_large_as_the_destination_wants(tmp_path: Path, longest: int, expected: int) -> None:
    item = source(tmp_path, "declined")
    image = np.asarray(draw_overlay(item, pixels=gray(2000, 2400), language=EN, longest_side=longest))
    assert (image == 128).all(axis=2).sum(axis=1).max() == expected
    ds = written(item, tmp_path, pixels=gray(2000, 2400), style=Style(language=EN, overlay_longest_side=longest))
    assert (ds.Rows, ds.Columns) == image.shape[:2]


LOST = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "8.1", "LossyImageCompressionMethod": "ISO_15444_1"}


@pytest.mark.parametrize("jpeg", [False, True])
def test_what_the_source_has_lost_stays_lost(tmp_path: Path, jpeg: bool) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm", pixels=gradient(ROWS, COLUMNS), **LOST), "measured")
    ds = written(item, tmp_path, style=Style(language=EN, overlay_jpeg=jpeg))
    assert ds.LossyImageCompression == "01"
    if not jpeg:
        assert (ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod) == (8.1, "ISO_15444_1")
        return
    before, own = ds.LossyImageCompressionRatio
    assert (before, list(ds.LossyImageCompressionMethod)) == (8.1, ["ISO_15444_1", "ISO_10918_1"])
    assert own > 1


def test_a_source_that_does_not_say_how_much_it_lost_is_still_lossy(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm", pixels=gradient(ROWS, COLUMNS), LossyImageCompression="01"), "measured")
    ds = written(item, tmp_path, style=Style(language=EN, overlay_jpeg=False))
    assert [ds[keyword].value for keyword in ds.dir("Lossy")] == ["01"]


def test_the_products_version_is_named(tmp_path: Path) -> None:
    assert written(source(tmp_path, "measured"), tmp_path).SoftwareVersions == version("houndsfield")


def test_an_uncompressed_picture_is_exact_and_has_lost_nothing(tmp_path: Path) -> None:
    item = source(tmp_path, "measured")
    ds = written(item, tmp_path, style=Style(language=EN, overlay_jpeg=False))
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert ds.PhotometricInterpretation == "RGB"
    assert not [keyword for keyword in ds.dir("Lossy") if keyword in ds]
    assert np.array_equal(ds.pixel_array, drawn(item))
    assert np.array_equal(np.asarray(overlay_picture(Path(ds.filename))), drawn(item))
