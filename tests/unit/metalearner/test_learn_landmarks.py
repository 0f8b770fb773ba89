"""Distances of landmarks in three units, agreement of measures, overlap of regions: as counted by hand."""

import math

import numpy as np
import pytest

from metalearner.collection import Box, Case, Labels, Mask
from metalearner.landmark_statistics import bland_altman, measure_figures, point_figures, vertebra_pixels
from metalearner.model_answers import Outlined, measure_key, measured
from metalearner.region_statistics import region_figures
from metalearner.statistics import Resamples


def alone(count):
    return Resamples.of([str(n) for n in range(count)], seed=0)


def case(n=0, *, row_mm=0.5, column_mm=0.5):
    return Case(
        image=str(n),
        file="",
        patient=str(n),
        study="",
        rows=100,
        columns=100,
        spacing_row_mm=row_mm,
        spacing_column_mm=column_mm,
    )


def test_bland_altman_by_hand():
    """Differences 1, 2, 3, 6: mean 3, standard deviation √(14/3); t of 3 degrees 3.1824."""
    true = np.array([10.0, 11, 12, 13])
    found = bland_altman(true + np.array([1, 2, 3, 6]), true, alone(4))
    deviation = math.sqrt(14 / 3)
    assert (found.n, found.bias.value, found.deviation) == (4, 3.0, pytest.approx(deviation))
    assert found.bias.high - 3 == pytest.approx(3.18245 * deviation / 2, rel=1e-4)
    assert found.high.value == pytest.approx(3 + 1.96 * deviation)
    assert found.low.value == pytest.approx(3 - 1.96 * deviation)
    assert found.high.high - found.high.value == pytest.approx(
        3.18245 * deviation * math.sqrt(1 / 4 + 1.96**2 / 6), rel=1e-4
    )
    assert found.mean_absolute.value == 3
    assert bland_altman(np.array([1.0, np.nan]), np.array([0.5, 1.0]), alone(2)).n == 1
    assert bland_altman(np.array([np.nan]), np.array([1.0]), alone(1)).n == 0


def test_limits_of_agreement_hold_95_percent_and_their_interval_the_true_limit():
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        differences = rng.normal(0.2, 0.5, 60)
        held += (
            bland_altman(differences, np.zeros(60), alone(60)).high.low
            <= 0.2 + 1.96 * 0.5
            <= bland_altman(differences, np.zeros(60), alone(60)).high.high
        )
    assert 0.9 <= held / 200 <= 0.99


def test_several_films_of_a_patient_widen_the_intervals_of_agreement():
    rng = np.random.default_rng(6)
    of_patient = np.repeat(rng.normal(0, 0.5, 40), 4)
    dogs = Resamples.of([str(n // 4) for n in range(160)], seed=0)
    honest, believed = (bland_altman(of_patient, np.zeros(160), resamples) for resamples in (dogs, alone(160)))
    assert honest.bias.high - honest.bias.low > 1.6 * (believed.bias.high - believed.bias.low)
    assert honest.high.high - honest.high.low > 1.3 * (believed.high.high - believed.high.low)


def test_a_landmark_is_off_by_pixels_millimetres_and_vertebrae():
    """3 columns and 4 rows of 0.5 mm: 5 pixels, 2.5 mm; vertebrae of 20 pixels: a quarter."""
    true = {name: np.array([[20.0 * i, 50.0]]) for i, name in enumerate(("T4", "T5", "T6"))} | {
        "carina": np.array([[30.0, 80.0]])
    }
    said = {"carina": true["carina"] + (3, 4)}
    overall, carina = point_figures(said, true, [case()], alone(1))
    assert (overall["point"], carina["point"], carina["n"]) == ("", "carina", 1)
    assert [carina[unit]["mean"]["value"] for unit in ("pixels", "mm", "vertebrae")] == [5.0, 2.5, 0.25]
    assert (carina["column_pixels"]["bias"]["value"], carina["row_pixels"]["bias"]["value"]) == (3.0, 4.0)


def test_pixels_that_are_higher_than_wide_count_as_they_are():
    """Rows of 1 mm, columns of 0.5: 4 rows are 4 mm, or 8 widths of a pixel."""
    true = {"T4": np.array([[0.0, 0.0]]), "T5": np.array([[0.0, 5.0]])}
    overall, *_ = point_figures({"T5": true["T5"] + (3, 4)}, true, [case(row_mm=1.0)], alone(1))
    assert overall["mm"]["mean"]["value"] == pytest.approx(math.hypot(1.5, 4))
    assert overall["vertebrae"]["mean"]["value"] == pytest.approx(math.hypot(3, 8) / 10, abs=1e-6)
    assert overall["pixels"]["mean"]["value"] == 5.0


def test_without_a_scale_there_are_no_millimetres_and_without_a_spine_no_vertebrae():
    true = {"left_femoral_head": np.array([[3.0, 3.0]])}
    found = point_figures({"left_femoral_head": true["left_femoral_head"] + 1}, true, [case(column_mm=None)], alone(1))
    assert "mm" not in found[0]
    assert "vertebrae" not in found[0]
    assert point_figures({"apex": np.zeros((1, 2))}, true, [case()], alone(1)) == []
    gap = {"T4": np.zeros((1, 2)), "T6": np.ones((1, 2))}
    assert np.isnan(vertebra_pixels(gap, [case()])).all()


def test_measures_follow_from_points_as_in_the_node():
    points = {
        "left_femoral_head": np.array([[100.0, 100.0], [np.nan, 0.0]]),
        "right_femoral_head": np.array([[0.0, 100.0]] * 2),
        "left_acetabular_rim": np.array([[100.0, 0.0]] * 2),
    }
    found = measured("norberg-left", points, [case(), case(1)])
    assert found[0] == pytest.approx(90)
    assert np.isnan(found[1])
    assert (measure_key("norberg-left"), measure_key("vhs")) == ("NORBERG_LEFT", "VHS")


def test_a_measure_that_is_not_given_is_counted_and_not_averaged():
    true, said = np.array([10.0, 11, 12, np.nan]), np.array([10.5, np.nan, 12.5, 9.0])
    found = measure_figures(said, true, alone(4))
    assert (found["images"], found["given"]["value"]) == (3, pytest.approx(2 / 3, abs=1e-6))
    assert found["agreement"]["bias"]["value"] == 0.5
    assert found["pairs"] == [[10.0, 10.5], [12.0, 12.5]]


def outlined(left, top, right, bottom, p):
    return Outlined(ring=np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=float), probability=p)


def labels(n, *, boxes=(), masks=(), absent=False):
    return Labels(image=str(n), source="x", boxes=boxes, masks=masks, classes={"MASS": 0.0} if absent else {})


def test_boxes_found_missed_and_imagined_by_hand():
    """Image 0: two masses, one found (twice); 1: none, one imagined with 0.6; 2: nobody knows; 3: none, none said."""
    box = Box(concept="MASS", left=0, top=0, right=10, bottom=10), Box(concept="MASS", left=50, top=50, right=60, bottom=60)
    truths = [labels(0, boxes=box), labels(1, absent=True), labels(2), labels(3, absent=True)]
    said = [
        [outlined(1, 0, 11, 10, 0.9), outlined(0, 1, 10, 11, 0.8)],
        [outlined(0, 0, 10, 10, 0.6)],
        [outlined(0, 0, 10, 10, 0.99)],
        [],
    ]
    found = region_figures("MASS", said, truths, [(100, 100)] * 4, alone(4), present_from=0.5)
    assert (found["images"], found["regions"]) == (3, 2)
    assert found["sensitivity"]["value"] == 0.5
    assert found["false_alarms_per_image"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert {of["sensitivity"] for of in found["sensitivity_at"]} == {0.5}
    strict = region_figures("MASS", said, truths, [(100, 100)] * 4, alone(4), present_from=0.85)
    assert strict["false_alarms_per_image"]["value"] == 0
    assert region_figures("MASS", said, [labels(n) for n in range(4)], [(100, 100)] * 4, alone(4), present_from=0.5) is None


def test_a_threshold_that_lets_no_false_alarm_through_finds_what_lies_above_them():
    box = (Box(concept="MASS", left=0, top=0, right=10, bottom=10),)
    truths = [labels(0, boxes=box), labels(1, boxes=box), labels(2, absent=True)]
    said = [[outlined(0, 0, 10, 10, 0.9)], [outlined(0, 0, 10, 10, 0.3)], [outlined(0, 0, 10, 10, 0.5)]]
    found = region_figures("MASS", said, truths, [(50, 50)] * 3, alone(3), present_from=0.5)
    at = {of["false_alarms_per_image"]: of["sensitivity"] for of in found["sensitivity_at"]}
    assert (at[0.125], at[1.0]) == (0.5, 1.0)


def test_dice_of_masks_by_hand():
    """100 × 80 shifted by 20: 80 of 100 columns in common, 2 · 80 / 200; a hole counts as outside."""
    ring = ((20.0, 20.0), (120.0, 20.0), (120.0, 100.0), (20.0, 100.0))
    said = [[outlined(40, 20, 140, 100, 0.9)]]
    found = region_figures(
        "MASS", said, [labels(0, masks=(Mask(concept="MASS", polygons=(ring,)),))], [(200, 200)], alone(1), present_from=0.5
    )
    assert found["dice"]["value"] == pytest.approx(0.8, abs=0.01)
    assert found["overlap"]["value"] == pytest.approx(80 / 120, abs=0.01)
    hole = ((40.0, 20.0), (120.0, 20.0), (120.0, 100.0), (40.0, 100.0))
    holed = [labels(0, masks=(Mask(concept="MASS", polygons=(ring, hole)),))]
    assert region_figures("MASS", said, holed, [(200, 200)], alone(1), present_from=0.5)["dice"]["value"] == pytest.approx(
        0, abs=0.02
    )
