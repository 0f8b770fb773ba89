"""From the image to the model's input and back to the same place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from domain.types import Orientation
from inference.plane import Fit, Plane, fit, resize, stretch

ROWS, COLUMNS = 64, 80
ORIENTATIONS = st.builds(Orientation, quarter_turns=st.integers(0, 3), mirrored=st.booleans())
FITS = st.sampled_from(["letterbox", "crop", "squash"])


def on_plane(
    pixels: np.ndarray, aspect: float = 1.0, *, how: Fit = "letterbox", orientation: Orientation | None = None
) -> Plane:
    return fit(
        pixels.astype(np.float32),
        pixel_aspect=aspect,
        rows=ROWS,
        columns=COLUMNS,
        low_percent=0,
        high_percent=100,
        how=how,
        orientation=orientation or Orientation(),
    )


@given(
    rows=st.integers(4, 400),
    columns=st.integers(4, 400),
    aspect=st.floats(0.5, 2),
    at=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    how=FITS,
    orientation=ORIENTATIONS,
)
def test_there_and_back_again(
    rows: int, columns: int, aspect: float, at: tuple[float, float], how: Fit, orientation: Orientation
) -> None:
    plane = on_plane(np.zeros((rows, columns)), aspect, how=how, orientation=orientation)
    point = np.array([at[0] * columns, at[1] * rows])
    there = plane.from_source(point)
    assert plane.to_source(there) == pytest.approx(point, abs=1e-8)
    if how != "crop":
        assert (there >= -1e-9).all()
        assert (there <= [COLUMNS + 1e-9, ROWS + 1e-9]).all()


@given(rows=st.integers(100, 700), columns=st.integers(100, 700), aspect=st.floats(0.7, 1.4))
def test_the_scale_is_the_same_in_both_directions_and_fills_the_plane(rows: int, columns: int, aspect: float) -> None:
    plane = on_plane(np.zeros((rows, columns)), aspect)
    across, down = plane.matrix[0, 0], plane.matrix[1, 1] / aspect
    width, height = columns * plane.matrix[0, 0], rows * plane.matrix[1, 1]
    assert max(width / COLUMNS, height / ROWS) == pytest.approx(1)
    assert abs(across / down - 1) <= 0.501 / (min(width, height) - 0.5)  # the sides are whole pixels


@given(
    rows=st.integers(70, 300),
    columns=st.integers(70, 300),
    aspect=st.sampled_from([0.8, 1.0, 1.25]),
    at=st.tuples(st.floats(0.35, 0.65), st.floats(0.35, 0.65)),
    how=FITS,
    orientation=ORIENTATIONS,
)
def test_what_lies_at_a_point_of_the_image_lies_at_its_image_in_the_plane(
    rows: int, columns: int, aspect: float, at: tuple[float, float], how: Fit, orientation: Orientation
) -> None:
    """A bright spot's centre of gravity, corner origin on both sides, to half a pixel, there and back."""
    centre = np.array([at[0] * columns, at[1] * rows])
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    radius = 4 * max(rows, columns) / COLUMNS
    spot = np.exp(-(((x - centre[0]) ** 2 + ((y - centre[1]) * aspect) ** 2) / radius**2))
    plane = on_plane(spot, aspect, how=how, orientation=orientation)
    there, reach = plane.from_source(centre), 1.5 * radius * np.abs(plane.matrix).sum(axis=1) * max(aspect, 1 / aspect)
    assume((there > reach).all() and (there < [COLUMNS, ROWS] - reach).all())  # a crop must not cut the spot
    v, u = np.mgrid[0:ROWS, 0:COLUMNS] + 0.5
    weight = np.where(plane.values > 0.2, plane.values, 0)
    found = np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()
    assert np.abs(found - plane.from_source(centre)).max() < 0.5
    pixels_of_source = 1 / np.linalg.norm(plane.matrix, axis=0)  # of one pixel of the plane
    assert (np.abs(plane.to_source(found) - centre) < 0.5 * np.maximum(pixels_of_source, 1)).all()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_upright_is_mirrored_first_and_turned_clockwise_then(quarter_turns: int, mirrored: bool) -> None:
    came = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS) / (ROWS * COLUMNS)
    plane = on_plane(came, how="squash", orientation=Orientation(quarter_turns=quarter_turns, mirrored=mirrored))
    corners = {(0, 0): came[0, 0], (0, COLUMNS): came[0, -1], (ROWS, 0): came[-1, 0], (ROWS, COLUMNS): came[-1, -1]}
    order = [corners[0, 0], corners[0, COLUMNS], corners[ROWS, COLUMNS], corners[ROWS, 0]]  # clockwise from the top left
    if mirrored:
        order = [order[1], order[0], order[3], order[2]]
    order = order[-quarter_turns:] + order[:-quarter_turns]  # turned clockwise, the last comes first
    seen = [plane.values[0, 0], plane.values[0, -1], plane.values[-1, -1], plane.values[-1, 0]]
    assert np.argsort(seen).tolist() == np.argsort(order).tolist()
    for (row, column), gray in corners.items():
        at = plane.from_source((column, row))
        nearest = plane.values[int(np.clip(at[1], 0, ROWS - 1)), int(np.clip(at[0], 0, COLUMNS - 1))]
        assert nearest == pytest.approx(gray, abs=0.03)


def test_grays_as_they_are_where_no_percentiles_are_given() -> None:
    plane = fit(
        np.full((40, 40), 0.25, dtype=np.float32),
        pixel_aspect=1,
        rows=20,
        columns=20,
        low_percent=None,
        high_percent=None,
    )
    assert plane.values.min() == plane.values.max() == 0.25


def test_a_crop_shows_the_middle_and_no_border() -> None:
    pixels = np.zeros((100, 400), dtype=np.float32)
    pixels[:, 150:250] = 1
    pixels[:, :20] = 0.5
    plane = on_plane(pixels, how="crop")
    assert plane.values.min() == 0
    assert plane.values[:, 40].min() == 1
    assert plane.from_source((200, 50)) == pytest.approx((COLUMNS / 2, ROWS / 2), abs=0.5)
    assert not (plane.values == 0.5).any()


def test_the_border_is_black_and_the_image_centred() -> None:
    plane = on_plane(np.linspace(0.4, 1, 10000).reshape(100, 100))
    assert plane.offset.tolist() == [8, 0]
    assert plane.values[:, :8].max() == plane.values[:, 72:].max() == 0
    assert plane.values[40:, 8:72].min() > 0


def test_shrinking_averages_instead_of_picking() -> None:
    stripes = np.tile(np.array([0, 1], dtype=np.float32), (512, 256))
    shrunk = resize(stripes, 50, 50)
    assert shrunk.std() < 0.02
    assert shrunk.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("rows", "columns"), [(64, 80), (51, 80), (511, 20), (700, 901)])
def test_shrinking_by_bands_is_what_pillow_does_with_the_whole(rows: int, columns: int) -> None:
    pixels = np.random.default_rng(1).random((701, 902), dtype=np.float32)
    whole = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR, reducing_gap=2.0)
    assert np.array_equal(resize(pixels, rows, columns), np.asarray(whole))


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
