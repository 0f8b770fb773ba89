"""From the image to the model's input and back to the same place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.plane import Plane, fit, resize, stretch

ROWS, COLUMNS = 64, 80


def on_plane(pixels: np.ndarray, aspect: float = 1.0) -> Plane:
    return fit(pixels.astype(np.float32), pixel_aspect=aspect, rows=ROWS, columns=COLUMNS, low_percent=0, high_percent=100)


@given(
    rows=st.integers(4, 400),
    columns=st.integers(4, 400),
    aspect=st.floats(0.5, 2),
    at=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_there_and_back_again(rows: int, columns: int, aspect: float, at: tuple[float, float]) -> None:
    plane = on_plane(np.zeros((rows, columns)), aspect)
    point = np.array([at[0] * columns, at[1] * rows])
    there = plane.from_source(point)
    assert plane.to_source(there) == pytest.approx(point, abs=1e-9)
    assert (there >= -1e-9).all()
    assert (there <= [COLUMNS + 1e-9, ROWS + 1e-9]).all()


@given(rows=st.integers(100, 700), columns=st.integers(100, 700), aspect=st.floats(0.7, 1.4))
def test_the_scale_is_the_same_in_both_directions_and_fills_the_plane(rows: int, columns: int, aspect: float) -> None:
    plane = on_plane(np.zeros((rows, columns)), aspect)
    across, down = plane.scale[0], plane.scale[1] / aspect
    width, height = columns * plane.scale[0], rows * plane.scale[1]
    assert max(width / COLUMNS, height / ROWS) == pytest.approx(1)
    assert abs(across / down - 1) <= 0.51 / min(width, height)  # the sides are whole pixels


@given(
    rows=st.integers(70, 300),
    columns=st.integers(70, 300),
    aspect=st.sampled_from([0.8, 1.0, 1.25]),
    at=st.tuples(st.floats(0.15, 0.85), st.floats(0.15, 0.85)),
)
def test_what_lies_at_a_point_of_the_image_lies_at_its_image_in_the_plane(
    rows: int, columns: int, aspect: float, at: tuple[float, float]
) -> None:
    """A bright spot's centre of gravity, corner origin on both sides, to half a pixel of the plane."""
    centre = np.array([at[0] * columns, at[1] * rows])
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    radius = 4 * max(rows, columns) / COLUMNS
    spot = np.exp(-(((x - centre[0]) ** 2 + ((y - centre[1]) * aspect) ** 2) / radius**2))
    plane = on_plane(spot, aspect)
    v, u = np.mgrid[0:ROWS, 0:COLUMNS] + 0.5
    weight = np.where(plane.values > 0.2, plane.values, 0)
    found = np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()
    assert np.abs(found - plane.from_source(centre)).max() < 0.5


def test_the_border_is_black_and_the_image_centred() -> None:
    plane = on_plane(np.linspace(0.4, 1, 10000).reshape(100, 100))
    assert plane.offset == (8, 0)
    assert plane.values[:, :8].max() == plane.values[:, 72:].max() == 0
    assert plane.values[40:, 8:72].min() > 0


def test_shrinking_averages_instead_of_picking() -> None:
    stripes = np.tile(np.array([0, 1], dtype=np.float32), (512, 256))
    shrunk = resize(stripes, 50, 50)
    assert shrunk.std() < 0.02
    assert shrunk.mean() == pytest.approx(0.5, abs=0.01)


def test_growing_stays_in_range() -> None:
    steps = np.zeros((10, 10), dtype=np.float32)
    steps[:, 5:] = 1
    grown = resize(steps, 40, 40)
    assert (grown.min(), grown.max()) == (0, 1)


@given(st.floats(0.1, 1), st.floats(0, 0.5))
def test_stretching_undoes_gain_and_offset(gain: float, offset: float) -> None:
    values = np.random.default_rng(1).random((30, 30), dtype=np.float32)
    plain = stretch(values, low_percent=1, high_percent=99)
    other = stretch(values * np.float32(gain) + np.float32(offset), low_percent=1, high_percent=99)
    np.testing.assert_allclose(plain, other, atol=1e-4)
    assert (plain.min(), plain.max()) == (0, 1)


def test_an_image_of_one_gray_becomes_black() -> None:
    assert stretch(np.full((5, 5), 0.7, dtype=np.float32), low_percent=0.5, high_percent=99.5).max() == 0
