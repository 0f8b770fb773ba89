"""What is true of a phantom is exactly true, and the same seed is the same phantom."""

import numpy as np
import pytest

from domain.measures import vertebral_heart_score
from phantoms.anatomy import draw_body
from phantoms.heart import SCORE_RANGE
from phantoms.views import Unframeable, render

ROWS, COLUMNS = 256, 320


@pytest.mark.parametrize("view", ["lateral-right", "lateral-left", "ventrodorsal", "limb", "noise", "text"])
def test_same_seed_gives_the_same_pixels(view):
    first = render(5, view=view, rows=ROWS, columns=COLUMNS)
    second = render(5, view=view, rows=ROWS, columns=COLUMNS)
    assert np.array_equal(first.pixels, second.pixels)
    assert not np.array_equal(first.pixels, render(6, view=view, rows=ROWS, columns=COLUMNS).pixels)


@pytest.mark.parametrize("view", ["lateral-right", "ventrodorsal", "limb", "noise", "text"])
def test_pixels_are_grays_of_the_size_asked_for(view):
    pixels = render(8, view=view, rows=200, columns=310).pixels
    assert pixels.shape == (200, 310)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() <= pixels.max() <= 1


def test_truth_is_buchanans_score_of_the_landmarks():
    """The axes and edges in the picture give the score that the truth names: similarity transforms change no count."""
    for seed in range(20, 30):
        truth = render(seed, view="lateral-right", rows=ROWS, columns=COLUMNS).truth
        score = vertebral_heart_score(
            long_axis_length=float(np.linalg.norm(np.diff(truth.long_axis, axis=0))),
            short_axis_length=float(np.linalg.norm(np.diff(truth.short_axis, axis=0))),
            vertebral_edges=truth.vertebral_edges,
        )
        assert score.total == pytest.approx(truth.vhs, abs=1e-6)


def test_axes_are_perpendicular_and_end_on_the_silhouette():
    phantom = render(31, view="lateral-right", rows=512, columns=640)
    truth = phantom.truth
    along, across = np.diff(truth.long_axis, axis=0)[0], np.diff(truth.short_axis, axis=0)[0]
    assert along @ across == pytest.approx(0, abs=1e-6 * np.linalg.norm(along) * np.linalg.norm(across))
    rows, columns = np.nonzero(phantom.heart)
    silhouette = np.stack([columns + 0.5, rows + 0.5], axis=1)
    for end in (truth.long_axis[1], *truth.short_axis):
        assert np.linalg.norm(silhouette - end, axis=1).min() < 2.5
    distance = np.linalg.norm(silhouette - truth.long_axis[0], axis=1)
    assert distance.max() < np.linalg.norm(along) + 2


def test_scores_cover_the_range_evenly():
    scores = np.array([draw_body(seed).heart.score for seed in range(300)])
    counts, _ = np.histogram(scores, bins=5, range=SCORE_RANGE)
    assert scores.min() >= SCORE_RANGE[0] - 1e-3
    assert scores.max() <= SCORE_RANGE[1] + 1e-3
    assert counts.min() > 35  # 60 expected in each fifth, standard deviation 7


def test_one_seed_is_one_body_from_every_side():
    right = render(7, view="lateral-right", rows=ROWS, columns=COLUMNS).truth
    left = render(7, view="lateral-left", rows=ROWS, columns=COLUMNS).truth
    assert right.vhs == left.vhs == draw_body(7).heart.score


def test_landmarks_lie_in_a_whole_film_and_the_missing_one_outside_a_cropped_one():
    size = np.array([COLUMNS, ROWS])
    whole = render(41, view="lateral-right", rows=ROWS, columns=COLUMNS).truth
    for points in (whole.long_axis, whole.short_axis, whole.vertebral_edges):
        assert (points > 0).all()
        assert (points < size).all()
    for crop, missing in (("apex", lambda t: t.long_axis[1]), ("t4", lambda t: t.t4)):
        truth = _cropped(crop)
        assert not truth.is_measurable
        assert truth.vhs is None
        outside = np.minimum(missing(truth), size - missing(truth)).min()
        assert outside < 0


def _cropped(crop):
    for seed in range(50, 70):
        try:
            return render(seed, view="lateral-right", rows=ROWS, columns=COLUMNS, crop=crop).truth
        except Unframeable:
            continue
    raise AssertionError("no body could be cropped")


def test_a_large_film_has_the_truth_of_its_own_pixels():
    """Rendered small and enlarged: the heart's edge still lies where the truth says."""
    small = render(12, view="lateral-right", rows=700, columns=875, variety=0.2)
    large = render(12, view="lateral-right", rows=1400, columns=1750, variety=0.2)
    assert large.pixels.shape == (1400, 1750)
    assert large.truth.vhs == small.truth.vhs
    assert large.truth.long_axis == pytest.approx(small.truth.long_axis * 2)
    assert large.truth.spacing_mm == pytest.approx(small.truth.spacing_mm / 2)


def test_bones_and_heart_are_brighter_than_lung():
    phantom = render(12, view="lateral-right", rows=ROWS, columns=COLUMNS, variety=0.0)
    truth = phantom.truth
    vertebra = phantom.pixels[tuple(truth.vertebral_edges[2:5].mean(axis=0).astype(int)[::-1])]
    caudal = truth.short_axis[1]
    lung = phantom.pixels[tuple((caudal + (truth.vertebral_edges[6] - caudal) * 0.5).astype(int)[::-1])]
    assert vertebra > lung


def test_an_unknown_view_is_refused():
    with pytest.raises(ValueError, match="unknown view"):
        render(1, view="oblique", rows=ROWS, columns=COLUMNS)
