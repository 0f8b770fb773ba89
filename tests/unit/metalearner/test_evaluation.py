"""The ruler that models are measured with is itself right."""

import numpy as np
import pytest

from metalearner.heart.evaluation import FIRST_SEED, Answer, Case, lateral_phantoms, other_phantoms, summarise
from phantoms.views import Phantom, Truth

PIXELS = np.zeros((4, 4), np.float32)
EDGES = np.stack([np.arange(9) * 10.0, np.zeros(9)], axis=1)


def lateral(true, said, stretched=1.0):
    truth = Truth(view="lateral-right", is_measurable=True, spacing_mm=0.1, vhs=true, vertebral_edges=EDGES)
    answer = Answer(vhs=said, vertebral_edges=None if said is None else EDGES[:7] * stretched)
    return Case(kind="lateral", seed=1, phantom=Phantom(pixels=PIXELS, truth=truth), answer=answer)


def other(said):
    truth = Truth(view="limb", is_measurable=False, spacing_mm=0.1)
    return Case(kind="limb", seed=1, phantom=Phantom(pixels=PIXELS, truth=truth), answer=Answer(vhs=said))


def test_figures_of_known_answers():
    figures = summarise([lateral(8, 8.5), lateral(10, 9.9), lateral(12, 13), lateral(9, None), other(None), other(10)])
    assert (figures.laterals, figures.measured, figures.others, figures.false_scores) == (4, 3, 2, 1)
    assert figures.mean_absolute_error == pytest.approx((0.5 + 0.1 + 1) / 3)
    assert figures.bias == pytest.approx((0.5 - 0.1 + 1) / 3)
    assert figures.worst == pytest.approx(1)
    assert figures.within_half == pytest.approx(2 / 3)
    assert figures.mean_answer_error == pytest.approx((1.75 + 0.25 + 2.25 + 0.75) / 4)
    assert figures.measured_share == 0.75


def test_pitch_and_slope():
    figures = summarise([lateral(8, 8.4, 1.02), lateral(10, 10.0, 0.98), lateral(12, 11.6, 1.0)])
    assert figures.pitch_percent == pytest.approx(4 / 3)
    assert figures.slope == pytest.approx(0.8)


def test_fifty_pictures_without_a_measurable_thorax():
    kinds = [kind for kind, _, phantom in other_phantoms() if not phantom.truth.is_measurable]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "ventrodorsal": 20,
        "cropped": 10,
        "limb": 10,
        "noise": 5,
        "text": 5,
    }


def test_laterals_are_whole_and_of_unseen_seeds():
    drawn = list(lateral_phantoms(3))
    assert len({seed for seed, _ in drawn}) == 3
    for seed, phantom in drawn:
        assert seed > FIRST_SEED
        assert phantom.truth.is_measurable
        assert 7.5 <= phantom.truth.vhs <= 13
