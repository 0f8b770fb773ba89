"""What is measured of triage is what it says: orientations as the product turns them, accuracies, calibration."""

import numpy as np
import pytest

from domain.types import Region, View
from inference.plane import fit
from inference.triage import orientation_of
from metalearner.triage.data import (
    CALIBRATION_SEED,
    EVALUATION_SEED,
    EXPORTED_VIEWS,
    ISSUES,
    ORIENTATIONS,
    REGIONS,
    SIDE,
    TRAINING_SEED,
    UNKNOWN,
    VIEWS,
    as_seen,
    laid,
    lying,
    render_example,
    render_shard,
)
from metalearner.triage.evaluation import accuracy, ask, expected_calibration_error, folded_views, when_sure

EVERY_WAY = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


@pytest.mark.parametrize(("turns", "mirrored"), EVERY_WAY)
def test_the_product_makes_upright_what_was_laid(turns, mirrored):
    """The answer that the network is taught, followed by `inference.plane`, gives the upright image back."""
    upright = np.random.default_rng(0).random((24, 24), dtype=np.float32)
    came = np.ascontiguousarray(laid(upright, turns, mirrored))
    orientation = orientation_of(ORIENTATIONS[lying(turns, mirrored, mirrors=True)])
    plane = fit(came, pixel_aspect=1.0, rows=24, columns=24, low_percent=None, high_percent=None, orientation=orientation)
    assert np.array_equal(plane.values, upright)


@pytest.mark.parametrize(("turns", "mirrored"), EVERY_WAY)
def test_where_a_mirror_cannot_be_told_the_upper_end_still_comes_up(turns, mirrored):
    upright = np.zeros((24, 24), np.float32)
    upright[:6] = 1
    orientation = orientation_of(ORIENTATIONS[lying(turns, mirrored, mirrors=False)])
    assert not orientation.mirrored
    came = np.ascontiguousarray(laid(upright, turns, mirrored))
    plane = fit(came, pixel_aspect=1.0, rows=24, columns=24, low_percent=None, high_percent=None, orientation=orientation)
    assert np.array_equal(plane.values, upright)


@pytest.fixture(scope="module")
def shard():
    return render_shard(EVALUATION_SEED, 16)


def test_phantoms_follow_from_their_seed(shard):
    example = render_example(EVALUATION_SEED + 3)
    assert np.array_equal(shard.images[3], np.round(as_seen(example.pixels) * 255).astype(np.uint8))
    assert shard.images.shape == (16, SIDE, SIDE)
    assert REGIONS[shard.regions[3]] is example.region
    assert set(shard.quality.ravel()) <= {UNKNOWN, 0, 1}


def test_the_mixture_holds_every_region_and_view():
    from metalearner.triage.data import MIXTURE

    assert {row[0] for row in MIXTURE} == set(REGIONS)
    seen = {View.LATERAL if row[1] is View.RIGHT_LATERAL else row[1] for row in MIXTURE}
    assert seen - {View.DORSOVENTRAL} == set(VIEWS)
    assert Region.SPINE not in REGIONS


def test_purposes_share_no_seed():
    assert TRAINING_SEED + 10_000_000 < CALIBRATION_SEED
    assert CALIBRATION_SEED + 5_000_000 < EVALUATION_SEED


def test_what_is_asked_is_the_upright_image_laid(shard):
    asked = ask(shard, seed=4)
    for i in np.flatnonzero(shard.mirrors & shard.turns):
        orientation = orientation_of(ORIENTATIONS[asked.orientations[i]])
        back = np.rot90(asked.images[i][:, ::-1] if orientation.mirrored else asked.images[i], -orientation.quarter_turns)
        assert np.array_equal(back, shard.images[i])
    assert (asked.orientations[~shard.turns] == UNKNOWN).all()


def test_accuracy_counts_what_is_known():
    figures = accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 0, UNKNOWN]))
    assert figures == {"overall": pytest.approx(2 / 3), "n": 3.0, "0": 0.5, "1": 1.0}


def test_silence_is_no_error():
    chances = np.array([[0.9, 0.1], [0.95, 0.05], [0.6, 0.4], [0.2, 0.8]])
    assert when_sure(chances, np.array([0, 1, 1, UNKNOWN]), 0.8) == {"share": pytest.approx(2 / 3), "accuracy": 0.5}


def test_certainty_that_comes_true_has_no_calibration_error():
    truth = np.array([0] * 80 + [1] * 20)
    assert expected_calibration_error(np.tile([0.8, 0.2], (100, 1)), truth) == pytest.approx(0, abs=1e-9)
    assert expected_calibration_error(np.tile([0.99, 0.01], (100, 1)), truth) == pytest.approx(0.19, abs=1e-9)


def test_twins_give_their_share_back():
    chances = np.zeros((1, len(EXPORTED_VIEWS)))
    chances[0, EXPORTED_VIEWS.index(View.VENTRODORSAL)] = 0.6
    chances[0, EXPORTED_VIEWS.index(View.DORSOVENTRAL)] = 0.2
    chances[0, EXPORTED_VIEWS.index(View.LATERAL)] = 0.2
    folded = folded_views(chances)
    assert folded[0, VIEWS.index(View.VENTRODORSAL)] == pytest.approx(0.8)
    assert folded.sum() == pytest.approx(1)
    assert len(ISSUES) == 4
