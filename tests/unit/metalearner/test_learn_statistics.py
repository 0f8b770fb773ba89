"""Figures are what a person counts by hand, intervals hold what they promise, and two models are compared as paired."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from metalearner.statistics import (
    Resamples,
    auc,
    auc_figure,
    delong,
    holm,
    number,
    of_all,
    paired_bootstrap,
    precision_figure,
    roc,
    wilson,
)


def alone(count, *, seed=0, resamples=1000):
    """A patient for each case."""
    return Resamples.of([str(n) for n in range(count)], seed=seed, count=resamples)


def two_models(rng, count, *, first=1.0, second=1.5):
    truth = (rng.random(count) < 0.4).astype(int)
    shared = rng.normal(size=count)
    return truth, first * truth + shared + rng.normal(size=count), second * truth + shared + rng.normal(size=count)


def test_auc_is_the_share_of_pairs_in_order():
    scores, truth = np.array([0.1, 0.4, 0.4, 0.9]), np.array([0, 0, 1, 1], np.int8)
    assert auc(scores, truth) == pytest.approx(3.5 / 4)
    assert auc(np.r_[scores, 0.0], np.r_[truth, -1]) == pytest.approx(3.5 / 4)  # unknown
    assert math.isnan(auc(scores, np.ones(4)))
    assert math.isnan(auc(np.array([]), np.array([])))


cases = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda drawn: len({yes for _, yes in drawn}) == 2
)


@given(cases)
def test_auc_is_mann_whitneys_u_and_only_the_order_counts(drawn):
    scores, truth = np.array([float(s) for s, _ in drawn]), np.array([int(y) for _, y in drawn])
    u = mannwhitneyu(scores[truth == 1], scores[truth == 0]).statistic
    assert auc(scores, truth) == pytest.approx(u / (truth.sum() * (1 - truth).sum()))
    assert auc(np.exp(scores), truth) == pytest.approx(auc(scores, truth))
    assert auc(-scores, truth) == pytest.approx(1 - auc(scores, truth))
    false_alarms, found = roc(scores, truth)
    assert np.trapezoid(found, false_alarms) == pytest.approx(auc(scores, truth))
    assert (false_alarms[0], found[0], false_alarms[-1], found[-1]) == (0, 0, 1, 1)


@given(cases, st.integers(0, 1000))
def test_a_case_that_is_drawn_twice_counts_like_two_cases(drawn, seed):
    scores, yes = np.array([float(s) for s, _ in drawn]), np.array([y for _, y in drawn])
    weights = np.random.default_rng(seed).integers(0, 3, len(drawn))
    weights[[yes.argmax(), (~yes).argmax()]] = 1
    twice, having = np.repeat(scores, weights), np.repeat(yes, weights)
    for figure in (auc_figure, precision_figure):
        weighted = figure(scores, yes)(weights[None].astype(float))[0]
        assert weighted == pytest.approx(of_all(figure(twice, having), len(twice)))


def test_average_precision_by_hand():
    scores, yes = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert of_all(precision_figure(scores, yes), 4) == pytest.approx((1 + 2 / 3) / 2)
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(5)
    scores, yes = np.round(rng.random(200), 1), rng.random(200) < 0.3
    assert of_all(precision_figure(scores, yes), 200) == pytest.approx(sklearn.average_precision_score(yes, scores))


def test_resamples_are_of_patients_and_the_same_for_the_same_seed():
    once, again = (Resamples.of(["a", "a", "b", "c"], seed=4, count=50) for _ in range(2))
    of_each = once.sums(*np.eye(4))
    assert np.array_equal(of_each, again.sums(*np.eye(4)))
    assert np.array_equal(of_each[0], of_each[1])  # one animal's images come together
    assert set(of_each[1:].sum(axis=0)) == {3}
    assert once.patients() == 3


def test_images_of_one_patient_make_no_figure_surer():
    """Each image given five times under its patient's name: the interval of a mean must not shrink."""
    values = np.random.default_rng(1).normal(size=60)
    names = [str(n) for n in range(60)]
    one = Resamples.of(names, seed=2).mean(values)
    five = Resamples.of(names * 5, seed=2).mean(np.tile(values, 5))
    believed = alone(300, seed=2).mean(np.tile(values, 5))
    assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.05)
    assert believed.high - believed.low < 0.6 * (one.high - one.low)


def test_ninety_five_percent_intervals_hold_the_truth_about_that_often():
    """300 small studies, 60 dogs of two films each; the true area is that of normals 1.2 apart, the true share is 0.8."""
    rng = np.random.default_rng(11)
    true_auc, held, held_share = 0.8019, 0, 0
    for study in range(300):
        truth = np.repeat(rng.random(60) < 0.4, 2)
        scores = 1.2 * truth + np.repeat(rng.normal(size=60), 2) * np.sqrt(0.5) + rng.normal(size=120) * np.sqrt(0.5)
        resamples = Resamples.of([str(n // 2) for n in range(120)], seed=study, count=300)
        area = resamples.auc(scores, truth)
        held += area.low <= true_auc <= area.high
        hits = rng.random(120) < 0.8
        share = resamples.share(np.ones(120, bool), hits)
        held_share += share.low <= 0.8 <= share.high
    assert 0.89 <= held / 300 <= 0.98
    assert 0.89 <= held_share / 300 <= 0.98


def test_perfection_on_few_cases_is_not_certainty():
    """30 of 30: 0.025 to the power of 1/30 (Clopper and Pearson)."""
    truth = np.arange(60) < 30
    perfect = alone(60).auc(truth.astype(float), truth)
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(0.025 ** (1 / 30))
    all_found = alone(60).share(truth, truth)
    assert (all_found.low, all_found.high) == (pytest.approx(0.8843, abs=1e-4), 1.0)
    none_found = alone(60).share(truth, ~truth)
    assert (none_found.low, none_found.high) == (0.0, pytest.approx(0.1157, abs=1e-4))
    same_dog = Resamples.of(["rex"] * 60, seed=0).share(truth, truth)
    assert same_dog.low == pytest.approx(0.025)  # one animal, however many films


def test_what_nobody_has_has_no_figure():
    nothing = alone(5).share(np.zeros(5, bool), np.ones(5, bool))
    assert math.isnan(nothing.value)
    assert nothing.as_json() == {"value": None, "low": None, "high": None}
    assert math.isnan(alone(0).auc(np.array([]), np.array([])).value)
    assert number(float("inf")) is None


def test_wilson_by_hand():
    """Wilson 1927 for 8 of 10: 0.490 … 0.943."""
    found = wilson(8, 10)
    assert (found.value, found.low, found.high) == (0.8, pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0, 20).low == 0
    assert math.isnan(wilson(0, 0).value)


def test_delong_by_hand():
    """Two with the finding, three without. First: scores 3, 1 against 0, 2, 2 → each found one is above 3/3 and 1/3 of the
    others; each other is below 2/2, 1/2, 1/2 of the found. Second: 5, 4 against 1, 4.5, 0 → 3/3, 2/3; 2/2, 1/2, 2/2.
    Changes of the found: 0, 1/3, of the others: 0, 0, 1/2; mean change 1/6. Their sample variances 1/18 and 1/12, so that
    the variance of the difference is 1/36 + 1/36 = 1/18.
    """
    truth = [1, 1, 0, 0, 0]
    found = delong(np.array([3.0, 1, 0, 2, 2]), np.array([5.0, 4, 1, 4.5, 0]), truth, list("abcde"))
    assert found.difference.value == pytest.approx(5 / 6 - 4 / 6)
    z = (1 / 6) / math.sqrt(1 / 18)
    assert found.p == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert found.difference.high - found.difference.value == pytest.approx(1.959964 * math.sqrt(1 / 18))


def test_delong_is_the_definition_of_1988():
    """Every pair compared, covariances as in the paper, ties included."""
    rng = np.random.default_rng(3)
    truth, first, second = two_models(rng, 80)
    first = np.round(first)

    def components(scores):
        of_yes, of_no = scores[truth == 1][:, None], scores[truth == 0][None]
        right = (of_yes > of_no) + 0.5 * (of_yes == of_no)
        return right.mean(axis=1), right.mean(axis=0)

    (a10, a01), (b10, b01) = components(first), components(second)
    s10, s01 = np.cov(np.stack([a10, b10])), np.cov(np.stack([a01, b01]))
    cover = s10 / len(a10) + s01 / len(a01)
    z = (b10.mean() - a10.mean()) / math.sqrt(cover[0, 0] + cover[1, 1] - 2 * cover[0, 1])
    found = delong(first, second, truth, [str(n) for n in range(80)])
    assert found.difference.value == pytest.approx(auc(second, truth) - auc(first, truth))
    assert found.p == pytest.approx(math.erfc(abs(z) / math.sqrt(2)))


@pytest.mark.parametrize("films", [1, 3])
def test_delong_and_the_bootstrap_say_the_same_of_one_or_several_films_a_patient(films):
    rng = np.random.default_rng(8)
    truth, first, second = (np.repeat(one, films) for one in two_models(rng, 240))
    first, second = first + rng.normal(0, 0.3, len(first)), second + rng.normal(0, 0.3, len(first))
    patients = [str(n // films) for n in range(len(truth))]
    told = delong(first, second, truth, patients)
    drawn = paired_bootstrap(
        auc_figure(first, truth == 1), auc_figure(second, truth == 1), Resamples.of(patients, seed=0, count=2000)
    )
    assert told.difference.value == pytest.approx(drawn.difference.value)
    width = told.difference.high - told.difference.low
    assert drawn.difference.high - drawn.difference.low == pytest.approx(width, rel=0.1)
    if films == 3:  # as if every film were an animal of its own, it would be far too sure
        believed = delong(first, second, truth, [str(n) for n in range(len(truth))])
        assert believed.difference.high - believed.difference.low < 0.7 * width


def test_no_difference_is_seldom_called_one():
    rng = np.random.default_rng(21)
    names = [str(n) for n in range(100)]
    ps = []
    for _ in range(400):
        truth, first, second = two_models(rng, 100, first=1.0, second=1.0)
        ps.append(delong(first, second, truth, names).p)
    assert 0.02 <= np.mean(np.array(ps) < 0.05) <= 0.085


def test_a_model_compared_with_itself_does_not_differ():
    truth, first, _ = two_models(np.random.default_rng(0), 50)
    same = delong(first, first, truth, [str(n) for n in range(50)])
    assert (same.difference.value, same.p) == (0.0, 1.0)
    figure = auc_figure(first, truth == 1)
    assert paired_bootstrap(figure, figure, alone(50)).p == 1.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, math.nan, 0.03]) == pytest.approx([0.03, 0.06, math.nan, 0.06], nan_ok=True)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_makes_a_test_surer(ps):
    adjusted = holm(ps)
    assert all(p <= q <= min(1, len(ps) * p) + 1e-12 for p, q in zip(ps, adjusted, strict=True))
