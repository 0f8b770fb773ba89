"""Every file gets an answer; a model speaks where nothing contradicts it; lines land where the pixels are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import dx_file, gradient, uid
from model_factory import COLUMNS, FIXED_VHS, LONG_AXIS, MANIFEST, PITCH, ROWS, SPINE_ROW, T4_COLUMN, heart_package
from pydicom import dcmread
from pydicom.uid import BasicTextSRStorage

from domain.codes import LONG_AXIS as LONG_AXIS_CODE
from domain.codes import MILLIMETRE, SHORT_AXIS, VERTEBRAE, VHS
from domain.errors import ModelFailed
from domain.terms import REASONS, reason
from domain.types import (
    Finding,
    FindingOutcome,
    ImageAnswer,
    InstanceRef,
    Language,
    Measurement,
    Outcome,
    Patient,
    Radiograph,
    Region,
    Source,
    SpacingSource,
    Species,
    View,
)
from inference.applicability import contradiction, view_rank
from inference.engine import Engine
from inference.heart import REASONS as HEART_REASONS
from inference.manifest import Applicability
from inference.package import load_package
from inference.runtime import OnnxRuntime

DATA = Path(__file__).parents[4] / "shared" / "data"
SILENT = {
    "BodyPartExamined": None,
    "AnatomicRegionSequence": None,
    "ViewCodeSequence": None,
    "PatientOrientation": None,
    "PatientSpeciesCodeSequence": None,
    "PatientSpeciesDescription": None,
    "PatientBreedCodeSequence": None,
    "PatientBreedDescription": None,
    "StudyDescription": None,
    "SeriesDescription": None,
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine([load_package(heart_package(tmp_path_factory.mktemp("models") / "fixed-heart"))], threads=1)


def answer(engine: Engine, tmp_path: Path, *, assumed: Species | None = Species.DOG, **elements: Any) -> ImageAnswer:
    path = dx_file(tmp_path / "a.dcm", **{"rows": 512, "columns": 640, **elements})
    return engine.answer(path, assumed_species=assumed)


def finding_of(found: ImageAnswer) -> Finding:
    (model,) = found.models
    (finding,) = model.findings
    return finding


def measured(finding: Finding, concept: object) -> Measurement:
    (found,) = (one for one in finding.measurements if one.concept == concept)
    return found


def test_a_score_with_its_lines_in_source_pixels(engine: Engine, tmp_path: Path) -> None:
    found = answer(engine, tmp_path)  # exactly twice the model's input
    assert (found.outcome, found.reason) == (Outcome.ANALYSED, None)
    finding = finding_of(found)
    assert (finding.outcome, finding.sop_instance_uid) == (FindingOutcome.PRESENT, uid("instance", 1, 1, 1))
    score = measured(finding, VHS)
    assert (score.value, score.unit) == (round(FIXED_VHS, 1), VERTEBRAE)
    start, long_end = score.lines["long_axis_on_spine"]
    assert start == pytest.approx((2 * T4_COLUMN, 2 * SPINE_ROW), abs=1)
    assert long_end[0] - start[0] == pytest.approx(2 * 90, abs=1)
    assert score.lines["short_axis_on_spine"][1][0] - start[0] == pytest.approx(2 * 72, abs=1)
    long_axis = measured(finding, LONG_AXIS_CODE)
    assert np.array(long_axis.lines["long_axis"]) == pytest.approx(2 * np.array(LONG_AXIS), abs=0.01)
    assert (long_axis.value, long_axis.unit) == (round(180 * 0.15, 1), MILLIMETRE)
    assert long_axis.spacing_source is SpacingSource.DETECTOR
    assert measured(finding, SHORT_AXIS).value == round(144 * 0.15, 1)


def test_a_view_that_only_the_model_saw_chooses_the_interval(engine: Engine, tmp_path: Path) -> None:
    pug = {**SILENT, "PatientBreedDescription": "Pug"}
    interval = measured(finding_of(answer(engine, tmp_path, **pug)), VHS).interval
    assert interval is not None
    assert (interval.low, interval.high, interval.population) == (10.1, 12.8, "dog, Pug")


def test_the_counted_vertebrae_are_shown(engine: Engine, tmp_path: Path) -> None:
    (guide,) = finding_of(answer(engine, tmp_path)).guides
    columns = [point[0] for point in guide.points]
    assert np.diff(columns) == pytest.approx(2 * PITCH, abs=0.5)
    assert len(columns) == 7  # the ends of five whole vertebrae and of the one in which the long axis ends


def test_square_millimetres_on_pixels_that_are_not_square(engine: Engine, tmp_path: Path) -> None:
    spacing = ["0.3", "0.15"]
    found = finding_of(answer(engine, tmp_path, rows=256, columns=640, ImagerPixelSpacing=spacing))
    long_axis = measured(found, LONG_AXIS_CODE)
    assert np.array(long_axis.lines["long_axis"]) == pytest.approx(np.array(LONG_AXIS) * [2, 1], abs=0.01)
    assert long_axis.value == round(90 * 0.3, 1)
    assert measured(found, SHORT_AXIS).value == round(144 * 0.15, 1)
    assert measured(found, VHS).value == round(FIXED_VHS, 1)


def test_without_spacing_the_axes_travel_in_vertebrae(engine: Engine, tmp_path: Path) -> None:
    finding = finding_of(answer(engine, tmp_path, ImagerPixelSpacing=None))
    long_axis = measured(finding, LONG_AXIS_CODE)
    assert (long_axis.unit, long_axis.value, long_axis.spacing_source) == (VERTEBRAE, round(90 / PITCH, 1), None)
    assert "long_axis" in long_axis.lines


@pytest.mark.parametrize(("rows", "columns"), [(512, 500), (300, 640), (700, 900)])
def test_letterboxed_lines_stay_on_the_same_anatomy(engine: Engine, tmp_path: Path, rows: int, columns: int) -> None:
    line = np.array(
        measured(finding_of(answer(engine, tmp_path, rows=rows, columns=columns)), SHORT_AXIS).lines["short_axis"]
    )
    scale = min(COLUMNS / columns, ROWS / rows)
    offset = np.array([(COLUMNS - columns * scale) / 2, (ROWS - rows * scale) / 2])
    assert line * scale + offset == pytest.approx(np.array([(104, 150), (176, 150)]), abs=1.0)


def test_a_line_that_leaves_the_image_is_not_given(engine: Engine, tmp_path: Path) -> None:
    found = finding_of(answer(engine, tmp_path, rows=600, columns=260))  # the ruler ends on the border beside the image
    assert found.outcome is FindingOutcome.NOT_ASSESSABLE
    assert found.reason is not None
    assert found.reason.code == "out_of_frame"


def test_an_axis_that_ends_where_the_image_shows_nothing_is_not_given(engine: Engine, tmp_path: Path) -> None:
    """A sender that filled up the lower part: the network guesses the apex there."""
    pixels = gradient(512, 640)
    assert finding_of(answer(engine, tmp_path, pixels=pixels)).outcome is FindingOutcome.PRESENT
    pixels[360:] = 0
    found = finding_of(answer(engine, tmp_path, pixels=pixels))
    assert (found.outcome, found.measurements) == (FindingOutcome.NOT_ASSESSABLE, ())
    assert found.reason is not None
    assert found.reason.code == "out_of_frame"


@pytest.mark.parametrize(
    ("assumed", "population"),
    [(Species.DOG, "dog (species assumed), breed unknown, all breeds"), (None, None)],
)
def test_the_interval_belongs_to_the_species(
    engine: Engine, tmp_path: Path, assumed: Species | None, population: str | None
) -> None:
    interval = measured(finding_of(answer(engine, tmp_path, assumed=assumed, **SILENT)), VHS).interval
    assert (interval.population if interval else None) == population


def test_the_header_s_dog_has_the_dog_s_interval(engine: Engine, tmp_path: Path) -> None:
    interval = measured(finding_of(answer(engine, tmp_path, assumed=Species.CAT)), VHS).interval
    assert interval is not None
    assert (interval.low, interval.high, interval.population) == (8.5, 10.5, "dog, all breeds, none of its own")


def test_a_silent_header_lets_the_pixels_decide(engine: Engine, tmp_path: Path) -> None:
    found = answer(engine, tmp_path, **SILENT)
    assert (found.view, found.view_source) == (View.LATERAL, Source.PIXELS)
    assert (found.region, found.region_source) == (Region.THORAX, Source.PIXELS)
    assert (found.species, found.species_source) == (Species.DOG, Source.ASSUMED)
    claimed = answer(engine, tmp_path)
    assert (claimed.view, claimed.view_source) == (View.RIGHT_LATERAL, Source.HEADER)


def test_an_image_that_the_model_does_not_recognise_is_not_assessable(tmp_path: Path) -> None:
    package = load_package(heart_package(tmp_path / "m" / "fixed-heart", lateral_probability=0.1))
    found = answer(Engine([package], threads=1), tmp_path, **SILENT)
    finding = finding_of(found)
    assert found.outcome is Outcome.ANALYSED
    assert finding.outcome is FindingOutcome.NOT_ASSESSABLE
    assert finding.reason is not None
    assert finding.reason.code == "not_a_lateral_thorax"
    assert finding.measurements == ()
    assert (found.view, found.view_source, found.region) == (None, Source.UNKNOWN, None)


def test_every_refusal_of_the_reader_can_be_said() -> None:
    assert set(HEART_REASONS) <= REASONS.keys()


@pytest.mark.parametrize(
    ("elements", "code", "sentence"),
    [
        ({"Modality": "CT"}, "no_model_for_modality", "no model for this modality (CT)"),
        (
            {"PatientSpeciesCodeSequence": None, "PatientSpeciesDescription": "Feline"},
            "no_model_for_species",
            "no model for this species (cat)",
        ),
        (
            {"AnatomicRegionSequence": None, "BodyPartExamined": "ABDOMEN"},
            "no_model_for_region",
            "no model for this region (abdomen)",
        ),
        (
            {"ViewCodeSequence": None, "ViewPosition": "VD"},
            "no_model_for_view",
            "no model for this view (ventrodorsal)",
        ),
        (
            {"rows": 63, "columns": 640},
            "resolution_too_low",
            "the image is too small for the model (640 × 63, needs 80 × 64)",
        ),
    ],
)
def test_a_contradiction_is_declined_and_named(
    engine: Engine, tmp_path: Path, elements: dict[str, Any], code: str, sentence: str
) -> None:
    found = answer(engine, tmp_path, **elements)
    assert found.outcome is Outcome.DECLINED
    assert found.reason is not None
    assert found.reason.code == code
    assert reason(found.reason, Language.ENGLISH) == sentence
    assert [one.outcome for one in found.models] == [Outcome.DECLINED]


def _radiograph(**facts: Any) -> Radiograph:
    return Radiograph(
        ref=InstanceRef(sop_class_uid="1", sop_instance_uid="2"),
        pixels=np.zeros((10, 10), dtype=np.float32),
        spacing_mm=None,
        spacing_source=SpacingSource.UNKNOWN,
        **facts,
    )


def test_the_unknown_is_not_invalid() -> None:
    strict = Applicability(
        modalities=("DX",), species=(Species.DOG,), regions=(Region.THORAX,), views=(View.RIGHT_LATERAL,), least_rows=1
    )
    assert contradiction(strict, _radiograph()) is None
    assert contradiction(Applicability(), _radiograph(modality="CT", patient=Patient(species=Species.CAT))) is None


@pytest.mark.parametrize(
    ("valid", "view", "fits"),
    [
        ((View.LATERAL,), View.RIGHT_LATERAL, True),
        ((View.RIGHT_LATERAL,), View.LATERAL, True),
        ((View.RIGHT_LATERAL,), View.LEFT_LATERAL, False),
        ((View.LATERAL,), View.MEDIOLATERAL, False),
        ((View.VENTRODORSAL,), View.LATERAL, False),
    ],
)
def test_laterals_of_unknown_side(valid: tuple[View, ...], view: View, fits: bool) -> None:
    assert (contradiction(Applicability(views=valid), _radiograph(view=view)) is None) is fits


@pytest.mark.parametrize(
    ("age", "fits"), [(None, True), (0.5, False), (1.0, True), (8.0, True), (15.0, True), (15.5, False)]
)
def test_the_age_group(age: float | None, fits: bool) -> None:
    valid = Applicability(least_age_years=1.0, most_age_years=15.0)
    found = contradiction(valid, _radiograph(patient=Patient(species=Species.DOG, age_years=age)))
    assert (found is None) is fits
    if found is not None:
        assert reason(found, Language.ENGLISH) == f"no model for this age ({age} years, valid 1–15)"


@pytest.mark.parametrize(
    ("preferred", "view", "rank"),
    [
        ((), View.VENTRODORSAL, 0),
        ((View.RIGHT_LATERAL, View.VENTRODORSAL), View.RIGHT_LATERAL, 0),
        ((View.RIGHT_LATERAL, View.VENTRODORSAL), View.LATERAL, 0),
        ((View.RIGHT_LATERAL, View.VENTRODORSAL), View.VENTRODORSAL, 1),
        ((View.RIGHT_LATERAL, View.VENTRODORSAL), View.LEFT_LATERAL, 2),
        ((View.RIGHT_LATERAL,), None, 1),
    ],
)
def test_the_place_of_a_view_among_the_preferred(preferred: tuple[View, ...], view: View | None, rank: int) -> None:
    assert view_rank(Applicability(preferred_views=preferred), _radiograph(view=view)) == rank


def test_the_model_that_came_closest_gives_the_reason(tmp_path: Path) -> None:
    cats = MANIFEST.replace('species = ["dog"]', 'species = ["cat"]')
    packages = [
        load_package(heart_package(tmp_path / "m" / "a", name="a")),
        load_package(heart_package(tmp_path / "m" / "b", name="b", manifest=cats)),
    ]
    found = answer(Engine(packages, threads=1), tmp_path, ViewCodeSequence=None, ViewPosition="VD")
    assert found.reason is not None
    assert found.reason.code == "no_model_for_view"


def test_no_model_at_all(tmp_path: Path) -> None:
    found = answer(Engine([], threads=1), tmp_path)
    assert (found.outcome, found.reason and found.reason.code, found.models) == (Outcome.DECLINED, "no_model", ())
    assert (found.rows, found.columns) == (512, 640)


def test_a_broken_model_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = [load_package(heart_package(tmp_path / "m" / name, name=name)) for name in ("first", "second")]
    both, first = Engine(packages, threads=1), Engine(packages[:1], threads=1)
    whole = OnnxRuntime.predict

    def broken(self: OnnxRuntime, planes: Any) -> Any:
        if self._package.name == "first":
            raise ModelFailed("broken")
        return whole(self, planes)

    monkeypatch.setattr(OnnxRuntime, "predict", broken)
    found = answer(both, tmp_path)
    assert found.outcome is Outcome.ANALYSED
    assert [one.outcome for one in found.models] == [Outcome.FAILED, Outcome.ANALYSED]
    failed = answer(first, tmp_path)
    assert (failed.outcome, failed.reason and failed.reason.code) == (Outcome.FAILED, "model_failed")


def test_an_answer_that_makes_no_geometry_is_a_failed_model(tmp_path: Path) -> None:
    package = load_package(heart_package(tmp_path / "m" / "a", no_heart=True))
    found = answer(Engine([package], threads=1), tmp_path)
    assert (found.outcome, found.reason and found.reason.code) == (Outcome.FAILED, "model_failed")


def test_what_cannot_be_read_failed_and_what_is_no_image_is_declined(engine: Engine, tmp_path: Path) -> None:
    short = answer(engine, tmp_path, NumberOfFrames=7)
    assert short.outcome is Outcome.FAILED
    assert short.reason is not None
    assert reason(short.reason, Language.ENGLISH) == (
        "the image could not be read: its pixel data is cut short: 655360 of 4587520 bytes; "
        "the transfer may have been interrupted"
    )
    assert short.ref.sop_instance_uid == uid("instance", 1, 1, 1)
    report = dx_file(tmp_path / "sr.dcm", SOPClassUID=BasicTextSRStorage)
    ds_without_pixels(report)
    found = engine.answer(report, assumed_species=None)
    assert (found.outcome, found.reason and found.reason.code) == (Outcome.DECLINED, "not_an_image")


def ds_without_pixels(path: Path) -> None:
    ds = dcmread(path)
    del ds.PixelData, ds.Rows, ds.Columns
    ds.save_as(path)


def test_who_draws_on_the_image_gets_it_without_reading_it_again(engine: Engine, tmp_path: Path) -> None:
    looked = engine.look(dx_file(tmp_path / "a.dcm"), assumed_species=None)
    assert looked.radiograph is not None
    assert looked.radiograph.pixels.shape == (looked.answer.rows, looked.answer.columns)
    (tmp_path / "b.dcm").write_bytes(b"nothing")
    assert engine.look(tmp_path / "b.dcm", assumed_species=None).radiograph is None


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared test images are not here")
def test_every_shared_file_gets_an_answer(engine: Engine) -> None:
    outcomes = {path.name[:7]: engine.answer(path, assumed_species=Species.DOG) for path in sorted(DATA.glob("*.dcm"))}
    assert all(one.outcome is Outcome.ANALYSED or one.reason is not None for one in outcomes.values())
    said = {name: one.reason.code if one.reason else one.outcome.value for name, one in outcomes.items()}
    assert said["rad01_d"] == said["der_A03"] == "ANALYSED"
    assert said["der_A02"] == said["der_A10"] == "no_model_for_view"  # ventrodorsal, says the header
    assert said["rad03_c"] == "no_model_for_region"
    assert said["bad29_d"] == "not_an_image"
    assert said["der_A08"] == "unreadable"
    assert said["bad09_y"] == "no_model_for_modality"  # a colour capture
