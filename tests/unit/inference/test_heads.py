"""What each kind of head makes of numbers that are known: findings, outlines and measurements in source pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_factory import constant_package

from domain import codes
from domain.errors import ModelInvalid
from domain.terms import reason
from domain.types import (
    Finding,
    FindingOutcome,
    InstanceRef,
    Language,
    Outcome,
    Patient,
    Radiograph,
    SpacingSource,
    Species,
    View,
)
from inference.checking import check_package
from inference.engine import Engine
from inference.manifest import Calibration
from inference.package import load_package
from inference.tensors import calibrated, probabilities

ROWS, COLUMNS = 64, 80  # of the input; images of the tests are four times as large
CARDIOMEGALY = 'concept = { value = "CARDIOMEGALY", scheme = "99HNDSFLD", meaning = "Cardiomegaly" }'
EFFUSION = 'concept = { value = "60046008", scheme = "SCT", meaning = "Pleural effusion" }'
POINTS = "operating_points = { absent_below = 0.2, present_from = 0.6 }"


NOISE = np.random.default_rng(5).random((4 * ROWS, 4 * COLUMNS), dtype=np.float32)


def radiograph(**facts: Any) -> Radiograph:
    return Radiograph(
        ref=InstanceRef(sop_class_uid="1", sop_instance_uid="2"),
        pixels=NOISE,
        **{"spacing_mm": (0.5, 0.5), "spacing_source": SpacingSource.DETECTOR, **facts},
    )


def findings(tmp_path: Path, outputs: dict[str, Any], heads: str, image: Radiograph | None = None) -> list[Finding]:
    package = constant_package(
        tmp_path / "constant", {name: np.asarray(value, dtype=np.float32) for name, value in outputs.items()}, heads
    )
    (answer,) = Engine([load_package(package)], threads=1).analyse(image or radiograph()).models
    assert answer.outcome is Outcome.ANALYSED
    return list(answer.findings)


def outcomes(found: list[Finding]) -> list[str]:
    return [one.outcome.value for one in found]


# Classification

CLASSES = f"""[[head]]
kind = "classification"
output = "findings"
activation = "sigmoid"
[[head.class]]
{CARDIOMEGALY}
{POINTS}
urgent = true
[[head.class]]
{EFFUSION}
{POINTS}
calibration = {{ slope = 0.5, intercept = 1.0 }}
[[head.class]]
"""


@pytest.mark.parametrize(
    ("logit", "outcome", "probability"),
    [(-3.0, "ABSENT", 0.0474), (-1.0, "UNCERTAIN", 0.2689), (0.5, "PRESENT", 0.6225), (9.0, "PRESENT", 0.9999)],
)
def test_below_between_and_above_the_operating_points(
    tmp_path: Path, logit: float, outcome: str, probability: float
) -> None:
    first, _ = findings(tmp_path, {"findings": [logit, 0.0, 5.0]}, CLASSES)
    assert (first.outcome.value, first.probability) == (outcome, probability)
    assert (first.concept, first.site) == (codes.FINDINGS[0].code, codes.HEART)
    assert first.urgent is (outcome == "PRESENT")


def test_probabilities_are_calibrated_and_a_class_without_concept_is_not_filed(tmp_path: Path) -> None:
    found = findings(tmp_path, {"findings": [0.0, -2.0, 5.0]}, CLASSES)
    assert [one.concept.value for one in found] == ["CARDIOMEGALY", "60046008"]
    assert found[1].probability == 0.5  # -2 × 0.5 + 1 = 0
    assert found[1].outcome is FindingOutcome.UNCERTAIN


def test_of_classes_that_exclude_each_other_the_normal_one_takes_its_share(tmp_path: Path) -> None:
    heads = CLASSES.replace('"sigmoid"', '"softmax"')
    first, _ = findings(tmp_path, {"findings": [1.0, 1.0, 1.0]}, heads)
    assert first.probability == pytest.approx(1 / 3, abs=1e-3)


def test_probabilities_that_are_none_are_a_broken_model(tmp_path: Path) -> None:
    package = constant_package(
        tmp_path / "a", {"findings": np.array([1.5, 0, 0], dtype=np.float32)}, CLASSES.replace('"sigmoid"', '"none"')
    )
    answer = Engine([load_package(package)], threads=1).analyse(radiograph())
    assert (answer.outcome, answer.models[0].outcome) == (Outcome.FAILED, Outcome.FAILED)


@given(st.floats(0, 1), st.floats(0.01, 10), st.floats(-5, 5))
def test_calibration_keeps_the_order_and_stays_a_probability(p: float, slope: float, intercept: float) -> None:
    calibration = Calibration(slope=slope, intercept=intercept)
    low, high = calibrated(p / 2, calibration), calibrated(p, calibration)
    assert 0 <= low <= high <= 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_activations_give_probabilities(logits: list[float]) -> None:
    values = np.array(logits, dtype=np.float32)
    assert probabilities(values, "softmax").sum() == pytest.approx(1)
    assert ((probabilities(values, "sigmoid") >= 0) & (probabilities(values, "sigmoid") <= 1)).all()


# Landmarks

HEART_NAMES = ["carina", "apex", "heart_cranial", "heart_caudal", "T4", "T5", "T6", "T7", "T8", "T9", "T10"]
SPINE = [(10.0 + 8 * n, 10.0) for n in range(7)]
HEART = [(40.0, 20.0), (40.0, 52.0), (28.0, 35.0), (52.0, 35.0), *SPINE]  # axes of 32 and 24 pixels, vertebrae of 8


def landmarks(names: list[str], measure: str, *, more: str = "", most_spread: float = 4.0) -> str:
    return f"""[[head]]
kind = "landmarks"
output = "points"
form = "points"
spread = "sigmas"
names = {names}
most_spread = {most_spread}
[[head.measurement]]
measure = "{measure}"
{more}
"""


def measured(tmp_path: Path, names: list[str], points: Any, measure: str, **more: Any) -> Finding:
    sigma = more.pop("sigma", 1.0)
    image = more.pop("image", None)
    outputs = {"points": points, "sigmas": np.full(len(names), sigma)}
    (found,) = findings(tmp_path, outputs, landmarks(names, measure, **more), image)
    return found


def test_a_heart_score_from_landmarks(tmp_path: Path) -> None:
    found = measured(tmp_path, HEART_NAMES, HEART, "vhs")
    score, long_axis, short_axis = found.measurements
    assert (score.concept, score.value, score.unit) == (codes.VHS, 7.0, codes.VERTEBRAE)
    assert (long_axis.value, short_axis.value) == (32 * 4 * 0.5, 24 * 4 * 0.5)
    assert long_axis.lines["long_axis"] == ((160, 80), (160, 208))
    assert score.lines["long_axis_on_spine"] == ((40, 40), (40 + 32 * 4, 40))
    assert found.guides[0].points[:2] == ((40, 40), (72, 40))
    # The axes' ends, 1 pixel along each axis: 2 · (1/8)²; the spine's edges move what both are laid on.
    assert score.deviation == pytest.approx(0.31, abs=0.1)


def test_square_pixels_or_not_a_score_is_the_same(tmp_path: Path) -> None:
    flat = radiograph(pixel_aspect=2.0)  # half as many rows for the same animal
    tall = Radiograph(
        ref=flat.ref,
        pixels=NOISE[::2],
        spacing_mm=(1.0, 0.5),
        spacing_source=SpacingSource.DETECTOR,
        pixel_aspect=2.0,
    )
    score, long_axis, _ = measured(tmp_path, HEART_NAMES, HEART, "vhs-epic", image=tall).measurements
    assert (score.value, score.concept) == (7.0, codes.VHS_EPIC)
    assert long_axis.value == 32 * 4 * 0.5
    assert long_axis.lines["long_axis"] == ((160, 40), (160, 104))


def test_without_spacing_a_ratio_stays_and_lengths_are_left_out(tmp_path: Path) -> None:
    image = radiograph(spacing_mm=None, spacing_source=SpacingSource.UNKNOWN)
    found = measured(tmp_path, HEART_NAMES, HEART, "vhs", image=image)
    assert [one.unit for one in found.measurements] == [codes.VERTEBRAE] * 3


def test_an_uncertain_landmark_and_an_uncertain_number_are_not_given(tmp_path: Path) -> None:
    unsure = measured(tmp_path, HEART_NAMES, HEART, "vhs", sigma=4.5)
    assert (unsure.outcome, unsure.measurements) == (FindingOutcome.NOT_ASSESSABLE, ())
    assert unsure.reason is not None
    assert reason(unsure.reason, Language.ENGLISH).startswith("its points are uncertain (carina, apex")
    loose = measured(tmp_path, HEART_NAMES, HEART, "vhs", more="most_deviation = 0.2")
    assert loose.reason is not None
    assert loose.reason.code == "measurement_uncertain"
    assert measured(tmp_path, HEART_NAMES, HEART, "vhs", more="most_deviation = 0.2", sigma=0.1).measurements[0].value == 7.0


def test_a_landmark_beside_the_image_is_not_given(tmp_path: Path) -> None:
    narrow = Radiograph(
        ref=radiograph().ref,
        pixels=np.zeros((4 * ROWS, 2 * COLUMNS), dtype=np.float32),  # letterboxed: black from column 0 to 20
        spacing_mm=None,
        spacing_source=SpacingSource.UNKNOWN,
    )
    found = measured(tmp_path, HEART_NAMES, HEART, "vhs", image=narrow)
    assert found.reason is not None
    assert found.reason.code == "outside_image"


def test_the_left_atrium(tmp_path: Path) -> None:
    names = ["carina", "left_atrium_caudal", "T4", "T5", "T6"]
    found = measured(tmp_path, names, [(40.0, 20.0), (52.0, 36.0), *SPINE[:3]], "vlas")
    (size,) = found.measurements
    assert (size.value, size.concept, found.site) == (2.5, codes.VLAS, codes.LEFT_ATRIUM)
    assert size.lines["left_atrial_size"] == ((160, 80), (208, 144))


def test_the_trachea_and_the_norberg_angle(tmp_path: Path) -> None:
    names = ["trachea_dorsal", "trachea_ventral", "inlet_dorsal", "inlet_ventral"]
    dog = radiograph(patient=Patient(species=Species.DOG, breed="Pug"))
    found = measured(tmp_path, names, [(20, 20), (20, 26), (20, 10), (20, 50)], "tracheal-ratio", image=dog)
    (ratio,) = found.measurements
    assert (ratio.value, ratio.unit) == (15.0, codes.PERCENT)
    assert ratio.interval is not None
    assert ratio.interval.population == "dog, Pug"
    hips = ["left_femoral_head", "right_femoral_head", "left_acetabular_rim", "right_acetabular_rim"]
    points = [(60.0, 40.0), (20.0, 40.0), (60.0, 30.0), (10.0, 30.0)]
    left = measured(tmp_path, hips, points, "norberg-left")
    right = measured(tmp_path, hips, points, "norberg-right")
    assert (left.measurements[0].value, left.laterality) == (90.0, codes.LEFT)
    assert (right.measurements[0].value, right.laterality) == (135.0, codes.RIGHT)


def test_heatmaps_give_place_and_spread(tmp_path: Path) -> None:
    y, x = np.mgrid[0:16, 0:20] * 4 + 2.0
    maps = np.stack([-((x - column) ** 2 + (y - row) ** 2) / (2 * 3.0**2) for column, row in [(30, 20), (50, 42)]])
    heads = """[[head]]
kind = "landmarks"
concept = { value = "SITES", scheme = "99TEST", meaning = "Sites" }
output = "maps"
form = "heatmaps"
names = ["first", "second"]
most_spread = {spread}
"""
    (found,) = findings(tmp_path, {"maps": maps}, heads.replace("{spread}", "3.2"))
    assert found.regions[0].points == (pytest.approx((120, 80), abs=1), pytest.approx((200, 168), abs=1))
    (unsure,) = findings(tmp_path, {"maps": maps}, heads.replace("{spread}", "2.8"))
    assert unsure.outcome is FindingOutcome.NOT_ASSESSABLE


def test_a_measurement_without_its_landmarks_is_a_fault_of_the_manifest(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="measure vlas needs the landmark left_atrium_caudal"):
        measured(tmp_path, HEART_NAMES, HEART, "vlas")


# Boxes

BOXES = f"""[[head]]
kind = "boxes"
boxes = "boxes"
scores = "scores"
form = "corners"
activation = "none"
[[head.class]]
{CARDIOMEGALY}
{POINTS}
[[head.class]]
{EFFUSION}
{POINTS}
"""


def test_boxes_come_once_the_best_first_and_a_class_without_one_is_absent(tmp_path: Path) -> None:
    boxes = [(10, 10, 30, 30), (11, 10, 31, 30), (50, 40, 70, 60), (0, 0, 5, 5)]
    scores = [(0.7, 0.0), (0.9, 0.0), (0.3, 0.0), (0.1, 0.15)]
    found = findings(tmp_path, {"boxes": boxes, "scores": scores}, BOXES)
    assert outcomes(found) == ["PRESENT", "UNCERTAIN", "ABSENT"]
    assert [one.tracking for one in found] == ["CARDIOMEGALY", "CARDIOMEGALY 2", "60046008"]
    assert found[0].regions[0].points == ((44, 40), (124, 40), (124, 120), (44, 120), (44, 40))
    assert [one.probability for one in found] == pytest.approx([0.9, 0.3, 0.15], abs=1e-4)


def test_boxes_by_their_centre_lie_where_those_by_their_corners_do(tmp_path: Path) -> None:
    heads = BOXES.replace('"corners"', '"centre"')
    found = findings(tmp_path, {"boxes": [(20, 20, 20, 10)], "scores": [(0.9, 0)]}, heads)
    assert found[0].regions[0].points[0] == (40, 60)
    assert found[0].regions[0].points[2] == (120, 100)


def test_a_box_reaches_to_the_border_and_one_beside_the_image_has_no_place(tmp_path: Path) -> None:
    over = findings(tmp_path, {"boxes": [(-10, -10, 10, 10)], "scores": [(0.9, 0)]}, BOXES)
    assert over[0].regions[0].points[2] == (40, 40)
    assert min(over[0].regions[0].points) == (0, 0)
    beside = findings(tmp_path, {"boxes": [(-20, 10, -10, 20)], "scores": [(0.9, 0)]}, BOXES)
    assert beside[0].outcome is FindingOutcome.NOT_ASSESSABLE


def test_no_box_at_all_is_absent(tmp_path: Path) -> None:
    found = findings(tmp_path, {"boxes": np.zeros((0, 4)), "scores": np.zeros((0, 2))}, BOXES)
    assert outcomes(found) == ["ABSENT", "ABSENT"]
    assert found[0].probability == 0


# Masks

MASKS = f"""[[head]]
kind = "masks"
output = "masks"
activation = "none"
least_area = 0.01
{{ratio}}
[[head.class]]
{CARDIOMEGALY}
{POINTS}
[[head.class]]
{EFFUSION}
{POINTS}
"""


def discs(*, heart: float = 0.9) -> np.ndarray:
    y, x = np.mgrid[0:32, 0:40] + 0.5
    small = np.where((x - 20) ** 2 + (y - 16) ** 2 < 6**2, heart, 0.0)
    large = np.where((x - 20) ** 2 + (y - 16) ** 2 < 12**2, 0.4, 0.0)
    return np.stack([small, large])


def area(points: tuple[tuple[float, float], ...]) -> float:
    x, y = np.array(points).T
    return float(abs(np.dot(x[:-1], y[1:]) - np.dot(y[:-1], x[1:])) / 2)


def test_a_mask_is_outlined_where_it_lies(tmp_path: Path) -> None:
    first, second = findings(tmp_path, {"masks": discs()}, MASKS.replace("{ratio}", ""))
    assert (first.outcome, second.outcome) == (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)
    (shape,) = first.regions
    assert shape.points[0] == shape.points[-1]
    assert area(shape.points) == pytest.approx(np.pi * (6 * 8) ** 2, rel=0.06)  # a mask pixel is eight source pixels
    assert np.mean(np.array(shape.points[:-1]), axis=0) == pytest.approx((160, 128), abs=8)
    assert second.regions == ()  # nothing of it reaches the threshold


def test_a_speck_is_neither_there_nor_not(tmp_path: Path) -> None:
    maps = np.zeros((2, 32, 40))
    maps[0, 3, 3] = 0.9
    first, second = findings(tmp_path, {"masks": maps}, MASKS.replace("{ratio}", ""))
    assert outcomes([first, second]) == ["UNCERTAIN", "ABSENT"]


def test_the_cardiothoracic_ratio(tmp_path: Path) -> None:
    ratio = 'ratio = { measure = "cardiothoracic-ratio", part = 1, whole = 2 }\nthreshold = 0.3'
    dog = radiograph(view=View.LATERAL, patient=Patient(species=Species.DOG, breed="German shepherd"))
    *_, found = findings(tmp_path, {"masks": discs()}, MASKS.replace("{ratio}", ratio), dog)
    (measurement,) = found.measurements
    assert measurement.value == pytest.approx(25.0, abs=1.0)
    assert len(found.regions) == 2
    assert measurement.interval is not None
    *_, without = findings(tmp_path, {"masks": discs(heart=0.0)}, MASKS.replace("{ratio}", ratio))
    assert without.outcome is FindingOutcome.NOT_ASSESSABLE


# Checking

EXPECTED = {"classification": {"CARDIOMEGALY": 0.6225, "60046008": 0.7311, "tolerance": 0.01}}


def test_a_sample_checks_every_number_of_a_head(tmp_path: Path) -> None:
    outputs = {"findings": np.array([0.5, 0.0, 5.0], dtype=np.float32)}
    sound = constant_package(tmp_path / "a", outputs, CLASSES, expected=EXPECTED)
    assert [check.fault for check in check_package(sound)] == [None] * 5
    wrong = {"classification": {"CARDIOMEGALY": 0.5, "tolerance": 0.01}}
    fault = check_package(constant_package(tmp_path / "b", outputs, CLASSES, expected=wrong))[-1].fault
    assert fault == "the model answers CARDIOMEGALY 0.6225 to sample.png; expected.json says 0.5 ± 0.01"
    strange = {"classification": {"FRACTURE": 0.5, "tolerance": 0.01}}
    fault = check_package(constant_package(tmp_path / "c", outputs, CLASSES, expected=strange))[-1].fault
    assert fault == "the model gives no FRACTURE for sample.png; expected.json says 0.5"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[[head.class]]\n", "", "outputs.findings is [3], but head classification needs [2]"),
        (POINTS, "", "concept and operating_points belong together"),
        ("absent_below = 0.2", "absent_below = 0.7", "absent_below must not be above present_from"),
        ('output = "findings"', 'output = "other"', "outputs.other is missing: head classification reads it"),
    ],
)
def test_heads_that_do_not_fit_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    outputs = {"findings": np.zeros(3, dtype=np.float32)}
    last = CLASSES.rfind(old)
    heads = CLASSES[:last] + new + CLASSES[last + len(old) :]
    with pytest.raises(ModelInvalid) as refused:
        load_package(constant_package(tmp_path / "a", outputs, heads))
    assert said in str(refused.value)


def test_a_head_that_is_not_understood_fails_alone(tmp_path: Path) -> None:
    package = load_package(
        constant_package(
            tmp_path / "a",
            {"points": np.zeros((4, 2), dtype=np.float32), "sigmas": np.zeros(4, dtype=np.float32)},
            landmarks(["trachea_dorsal", "trachea_ventral", "inlet_dorsal", "inlet_ventral"], "tracheal-ratio"),
        )
    )
    assert Engine([package], threads=1).analyse(radiograph()).outcome is Outcome.FAILED
