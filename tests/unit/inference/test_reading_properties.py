"""What holds for every geometry, every window and every way that bits may lie in a word."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from factories import dx_dataset
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from domain.errors import ImageUnreadable
from domain.types import SpacingSource
from inference import header
from inference.grayscale import Rescale, StoredFormat, Transform, Window, WindowFunction, display

FINITE = st.floats(-1e5, 1e5)
WIDTHS = st.floats(1, 1e5)
FUNCTIONS = st.sampled_from(WindowFunction)
SPACINGS = st.floats(0.005, 2.0)
ANY_NUMBERS = st.one_of(st.floats(), st.integers(-(10**9), 10**9), st.text(max_size=6))


@st.composite
def formats(draw: st.DrawFn) -> StoredFormat:
    allocated = draw(st.sampled_from((8, 16)))
    stored = draw(st.integers(1, allocated))
    high = draw(st.integers(stored - 1, allocated - 1))
    return StoredFormat(bits_allocated=allocated, bits_stored=stored, high_bit=high, signed=draw(st.booleans()))


def every_word(stored: StoredFormat) -> np.ndarray[Any, Any]:
    side = 1 << (stored.bits_allocated // 2)
    return np.arange(side * side, dtype=f"u{stored.bits_allocated // 8}").reshape(side, side)


@given(formats(), st.integers(0, 65535))
def test_bits_that_are_not_stored_change_nothing(stored: StoredFormat, noise: int) -> None:
    words = every_word(stored)
    mask = ((1 << stored.bits_stored) - 1) << (stored.high_bit - stored.bits_stored + 1)
    other = (words & mask) | (noise & ~mask & ((1 << stored.bits_allocated) - 1))
    window = Window(center=0, width=1 << stored.bits_stored, function=WindowFunction.LINEAR_EXACT)
    transform = Transform(format=stored, voi=window)
    np.testing.assert_array_equal(display(words, transform), display(other.astype(words.dtype), transform))


@given(formats(), FINITE, WIDTHS, FUNCTIONS, st.floats(0.01, 50), FINITE, st.booleans())
def test_grays_are_within_range_and_rise_with_the_value(
    stored: StoredFormat,
    center: float,
    width: float,
    function: WindowFunction,
    slope: float,
    intercept: float,
    inverse: bool,
) -> None:
    transform = Transform(
        format=stored,
        modality=Rescale(slope=slope, intercept=intercept),
        voi=Window(center=center, width=width, function=function),
        inverse=inverse,
    )
    levels = np.arange(1 << stored.bits_stored)
    half = len(levels) // 2
    values = np.concatenate((levels[half:], levels[:half])) if stored.signed else levels  # from the lowest value on
    words = (values << (stored.high_bit - stored.bits_stored + 1)).astype(f"u{stored.bits_allocated // 8}")
    try:
        grays = display(words.reshape(1, -1), transform)[0]
    except ImageUnreadable as refused:
        assert refused.fault == "no_contrast"
        assume(False)  # all of one gray
    assert np.isfinite(grays).all()
    assert 0 <= grays.min() <= grays.max() <= 1
    steps = np.diff(grays.astype(np.float64))
    assert (steps <= 1e-6).all() if inverse else (steps >= -1e-6).all()


@given(st.integers(-5000, 5000), st.integers(1, 5000), st.lists(FINITE, min_size=1, max_size=20))
@example(2048, 4096, [0.0, 4095.0])
def test_the_linear_window_is_the_standard_s(center: int, width: int, values: list[float]) -> None:
    """PS3.3 C.11.2.1.2.1, written out once more."""
    found = Window(center=center, width=width).apply(np.array(values))
    for value, gray in zip(values, found, strict=True):
        if value <= center - 0.5 - (width - 1) / 2:
            expected = 0.0
        elif value > center - 0.5 + (width - 1) / 2:
            expected = 1.0
        else:
            expected = (value - (center - 0.5)) / (width - 1) + 0.5
        assert gray == pytest.approx(expected, abs=1e-9)


@given(FINITE, st.floats(max_value=1e5))
def test_a_width_that_is_no_width_is_refused(center: float, width: float) -> None:
    assume(not width >= 1)
    with pytest.raises(ValueError, match="no LINEAR window"):
        Window(center=center, width=width)


@given(st.integers(0, 60000), st.integers(1, 5000))
def test_an_image_s_own_range_goes_from_black_to_white(low: int, span: int) -> None:
    words = np.linspace(low, min(low + span, 65535), 4000).round().astype("u2").reshape(40, 100)
    grays = display(words, Transform(format=StoredFormat.of_words(16)))
    assert (grays.min(), grays.max()) == (0, 1)


def geometry(**elements: Any) -> Dataset:
    """Written as text: broken values are what consoles send."""
    ds = dx_dataset(ImagerPixelSpacing=None)
    for keyword, value in elements.items():
        if value is not None:
            ds.add_new(keyword, "LO", [str(one) for one in value] if isinstance(value, tuple) else str(value))
    return ds


@given(SPACINGS, st.floats(0.25, 4), st.floats(1.001, 3))
def test_magnification_makes_detector_millimetres_those_of_the_animal(row: float, aspect: float, magnified: float) -> None:
    column = row / aspect
    assume(0.005 <= column <= 2 and 0.25 <= row / column <= 4)
    ds = geometry(ImagerPixelSpacing=(row, column), EstimatedRadiographicMagnificationFactor=magnified)
    spacing, source = header.spacing_of(ds)
    assert spacing == pytest.approx((row / magnified, column / magnified))
    assert source is SpacingSource.CALIBRATED
    assert header.pixel_aspect_of(ds) == pytest.approx(row / column)


@given(SPACINGS, SPACINGS)
def test_equal_spacings_are_the_detector_s_and_different_ones_calibrated(given_mm: float, imager_mm: float) -> None:
    ds = geometry(PixelSpacing=(given_mm, given_mm), ImagerPixelSpacing=(imager_mm, imager_mm))
    spacing, source = header.spacing_of(ds)
    assert spacing == (given_mm, given_mm)
    equal = math.isclose(given_mm, imager_mm, rel_tol=1e-4)
    assert source is (SpacingSource.DETECTOR if equal else SpacingSource.CALIBRATED)


@given(*[st.tuples(ANY_NUMBERS, ANY_NUMBERS) for _ in range(3)], ANY_NUMBERS)
@example(("0", "0"), ("0", "0"), ("0", "0"), "0")
@example(("nan", "nan"), ("inf", "inf"), ("-1", "-1"), "nan")
def test_no_geometry_is_absurd(pixel: Any, imager: Any, ratio: Any, magnified: Any) -> None:
    """Whatever a header says, a pixel has a size that a detector can have, or none; and it is never flat."""
    ds = geometry(
        PixelSpacing=pixel,
        ImagerPixelSpacing=imager,
        PixelAspectRatio=ratio,
        EstimatedRadiographicMagnificationFactor=magnified,
    )
    spacing, source = header.spacing_of(ds)
    assert spacing is None or all(0.001 < each <= 2 for each in spacing)
    assert spacing is not None or source is SpacingSource.UNKNOWN
    assert 0.24 <= header.pixel_aspect_of(ds) <= 4.1
