"""Probabilities that come true as often as they say have no error, and scaling brings others there."""

import numpy as np
import pytest

from metalearner.calibration import calibration_error, logit, operating_points, platt, reliability, temperature
from metalearner.statistics import Resamples


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_calibration_error_by_hand():
    """Ten cases said 0.2, three of them true; ten said 0.9, nine of them true: (10 · 0.1 + 10 · 0) / 20."""
    said, came_true = np.repeat([0.2, 0.9], 10), np.array([1] * 3 + [0] * 7 + [1] * 9 + [0])
    assert calibration_error(said, came_true) == pytest.approx(0.05)
    curve = reliability(said, came_true)
    assert curve.said == pytest.approx([0.2, 0.9])
    assert curve.came_true == pytest.approx([0.3, 0.9])
    assert curve.cases.tolist() == [10, 10]
    assert calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0


def test_the_interval_of_a_calibration_error_is_not_shifted_by_resampling():
    """Of a perfectly calibrated model resampling alone looks off: without the correction it would lie above the figure."""
    rng = np.random.default_rng(2)
    said = rng.random(300)
    came_true = rng.random(300) < said
    found = Resamples.of([str(n) for n in range(300)], seed=0).calibration_error(said, came_true)
    assert found.value == pytest.approx(calibration_error(said, came_true))
    assert found.low < found.value < found.high
    assert found.high - found.value == pytest.approx(found.value - found.low, rel=0.5)


def test_temperature_and_platt_undo_overconfidence():
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (4000, 3))
    chances = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=p) for p in chances])
    assert temperature(3 * honest, truth) == pytest.approx(3, rel=0.1)
    line = rng.normal(0, 2, 4000)
    yes = (rng.random(4000) < sigmoid(line)).astype(np.int8)
    assert temperature(3 * line, yes) == pytest.approx(3, rel=0.1)
    slope, intercept = platt(4 * line + 1, yes)
    assert (slope, intercept) == (pytest.approx(0.25, rel=0.15), pytest.approx(-0.25, abs=0.12))
    assert platt(line, np.ones(4000, np.int8)) == (1.0, 0.0)
    assert calibration_error(sigmoid(slope * (4 * line + 1) + intercept), yes) < 0.3 * calibration_error(
        sigmoid(4 * line + 1), yes
    )


def test_platts_targets_keep_cases_that_are_told_apart_without_a_fault_from_certainty():
    truth = np.repeat([0, 1], 20)
    logits = np.where(truth == 1, 2.0, -2.0)
    slope, intercept = platt(logits, truth)
    assert sigmoid(slope * 2 + intercept) == pytest.approx(21 / 22, abs=1e-3)


def test_unknown_truths_do_not_count():
    rng = np.random.default_rng(7)
    logits, truth = rng.normal(size=200), (rng.random(200) < 0.5).astype(int)
    more, unknown = np.r_[logits, [50.0] * 20], np.r_[truth, [-1] * 20]
    assert platt(more, unknown) == platt(logits, truth)
    assert temperature(more, unknown) == temperature(logits, truth)


def test_operating_points_leave_what_is_not_told_uncertain():
    rng = np.random.default_rng(3)
    truth = (rng.random(2000) < 0.3).astype(np.int8)
    told = np.clip(0.8 * truth + 0.1 + rng.normal(0, 0.05, 2000), 0, 1)
    guessed = rng.random(2000)
    low, high = operating_points(told, truth)
    assert low == high == pytest.approx(0.2, abs=0.03)  # all that have it lie above
    low, high = operating_points(guessed, truth)
    assert (low, high) == (pytest.approx(0.05, abs=0.03), pytest.approx(0.98, abs=0.02))  # nearly all stay uncertain


def test_between_kinds_that_are_told_apart_nobody_knows():
    truth = np.repeat([0, 1], 100)
    p = np.where(truth == 1, 0.9, 0.1)
    assert operating_points(p, truth) == (0.1, 0.1)
    assert operating_points(p, truth, gap=True) == (0.1, 0.9)
    assert operating_points(truth.astype(float), truth, gap=True) == (0.02, 0.98)
    assert operating_points(p[:0], truth[:0], gap=True) == (0.02, 0.98)


def test_a_logit_is_finite_and_undone_by_the_sigmoid():
    p = np.array([0.0, 0.3, 1.0])
    assert np.isfinite(logit(p)).all()
    assert sigmoid(logit(p)) == pytest.approx(p, abs=1e-6)
