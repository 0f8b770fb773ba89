"""The vertebral heart score against counts made by hand and against its geometry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.measures import (
    cardiothoracic_ratio,
    norberg_angle,
    tracheal_ratio,
    vertebral_heart_score,
    vertebral_left_atrial_size,
)

STRAIGHT = [(10.0 * i, 0.0) for i in range(9)]  # vertebrae of 10 pixels


def test_counted_by_hand_on_a_straight_spine() -> None:
    score = vertebral_heart_score(long_axis_length=55.0, short_axis_length=42.0, vertebral_edges=STRAIGHT)
    assert (score.long_vertebrae, score.short_vertebrae, score.total) == pytest.approx((5.5, 4.2, 9.7))
    assert score.long_ruler_end == pytest.approx((55.0, 0.0))


def test_vertebrae_of_unequal_length_are_counted_one_by_one() -> None:
    edges = [(0.0, 0.0), (8.0, 0.0), (18.0, 0.0), (30.0, 0.0)]
    score = vertebral_heart_score(long_axis_length=24.0, short_axis_length=4.0, vertebral_edges=edges)
    assert (score.long_vertebrae, score.short_vertebrae) == pytest.approx((2.5, 0.5))


def test_an_axis_beyond_the_last_vertebra_extends_the_last_one() -> None:
    score = vertebral_heart_score(long_axis_length=95.0, short_axis_length=1.0, vertebral_edges=STRAIGHT)
    assert score.long_vertebrae == pytest.approx(9.5)


@given(
    long=st.floats(5, 75),
    short=st.floats(5, 75),
    angle=st.floats(-3.1, 3.1),
    scale=st.floats(0.1, 50),
    bend=st.floats(-0.05, 0.05),
)
def test_turning_and_enlarging_the_image_change_nothing(
    long: float, short: float, angle: float, scale: float, bend: float
) -> None:
    x = np.arange(10) * 10.0
    edges = np.stack([x, bend * x**2 / 10], axis=1)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    plain = vertebral_heart_score(long_axis_length=long, short_axis_length=short, vertebral_edges=edges)
    moved = vertebral_heart_score(
        long_axis_length=long * scale, short_axis_length=short * scale, vertebral_edges=edges @ turn.T + (7, -3)
    )
    assert moved.total == pytest.approx(plain.total, abs=1e-6)
    ruler = np.subtract(moved.long_ruler_end, edges[0] @ turn.T + (7, -3))
    assert np.hypot(*ruler) == pytest.approx(long * scale, rel=1e-6)  # the drawn ruler is as long as the axis


@pytest.mark.parametrize("length", [0.0, -1.0, float("nan"), float("inf")])
def test_an_axis_without_length_is_an_error(length: float) -> None:
    with pytest.raises(ValueError, match="positive length"):
        vertebral_heart_score(long_axis_length=length, short_axis_length=1.0, vertebral_edges=STRAIGHT)


def test_a_spine_of_one_point_is_an_error() -> None:
    with pytest.raises(ValueError, match="n ≥ 2"):
        vertebral_heart_score(long_axis_length=1.0, short_axis_length=1.0, vertebral_edges=[(0.0, 0.0)])


def test_the_left_atrium_is_laid_on_the_spine_from_t4() -> None:
    size, end = vertebral_left_atrial_size(length=23.0, vertebral_edges=STRAIGHT)
    assert (size, end) == (pytest.approx(2.3), pytest.approx((23.0, 0.0)))


def test_trachea_over_inlet_in_percent() -> None:
    assert tracheal_ratio(trachea=[(0, 0), (0, 19)], inlet=[(0, 0), (60, 80)]) == pytest.approx(19)
    with pytest.raises(ValueError, match="thoracic inlet has no length"):
        tracheal_ratio(trachea=[(0, 0), (0, 19)], inlet=[(5, 5), (5, 5)])


@given(angle=st.floats(5, 175), turn=st.floats(-180, 180), mirrored=st.booleans(), rim=st.floats(1, 50))
def test_the_norberg_angle_is_that_at_the_head_s_centre(angle: float, turn: float, mirrored: bool, rim: float) -> None:
    def at(degrees: float, length: float) -> tuple[float, float]:
        radians = np.radians(degrees + turn)
        return float(100 + length * np.cos(radians) * (-1 if mirrored else 1)), float(50 + length * np.sin(radians))

    assert norberg_angle(centre=(100, 50), other_centre=at(0, 80), rim=at(angle, rim)) == pytest.approx(angle, abs=1e-6)


def test_one_point_makes_no_angle() -> None:
    with pytest.raises(ValueError, match="three points"):
        norberg_angle(centre=(1, 1), other_centre=(1, 1), rim=(2, 2))


def test_heart_over_thorax_in_percent() -> None:
    assert cardiothoracic_ratio(heart_area=276, thorax_area=1000) == pytest.approx(27.6)
    with pytest.raises(ValueError, match="no area"):
        cardiothoracic_ratio(heart_area=276, thorax_area=0)
