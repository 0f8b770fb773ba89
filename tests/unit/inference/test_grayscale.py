"""Gray as displayed: every formula against a plain reading of the standard, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ImageUnreadable
from inference.grayscale import (
    Lut,
    Rescale,
    StoredFormat,
    Transform,
    Window,
    WindowFunction,
    display,
    stored_values,
)

SIXTEEN = StoredFormat(bits_allocated=16, bits_stored=16, high_bit=15, signed=False)
EIGHT = StoredFormat(bits_allocated=8, bits_stored=8, high_bit=7, signed=False)


@st.composite
def formats(draw: st.DrawFn) -> StoredFormat:
    allocated = draw(st.sampled_from([8, 16]))
    stored = draw(st.integers(1, allocated))
    return StoredFormat(
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=draw(st.integers(stored - 1, allocated - 1)),
        signed=draw(st.booleans()),
    )


@given(formats(), st.data())
def test_a_word_s_value_ignores_the_bits_that_are_not_stored(stored: StoredFormat, data: st.DataObject) -> None:
    low = -(1 << (stored.bits_stored - 1)) if stored.signed else 0
    value = data.draw(st.integers(low, low + (1 << stored.bits_stored) - 1))
    shift = stored.high_bit - stored.bits_stored + 1
    kept = (value % (1 << stored.bits_stored)) << shift
    rubbish = data.draw(st.integers(0, (1 << stored.bits_allocated) - 1))
    mask = ((1 << stored.bits_stored) - 1) << shift
    word = kept | (rubbish & ~mask)
    assert stored_values(stored)[word] == value


def _linear(x: float, c: float, w: float) -> float:
    """PS3.3 C.11.2.1.2.1, as it is printed there, with y from 0 to 1."""
    if x <= c - 0.5 - (w - 1) / 2:
        return 0.0
    if x > c - 0.5 + (w - 1) / 2:
        return 1.0
    return (x - (c - 0.5)) / (w - 1) + 0.5


def _linear_exact(x: float, c: float, w: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    if x <= c - w / 2:
        return 0.0
    if x > c + w / 2:
        return 1.0
    return (x - c) / w + 0.5


def _sigmoid(x: float, c: float, w: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    return 1 / (1 + math.exp(-4 * (x - c) / w))


@pytest.mark.parametrize(
    ("function", "formula"),
    [
        (WindowFunction.LINEAR, _linear),
        (WindowFunction.LINEAR_EXACT, _linear_exact),
        (WindowFunction.SIGMOID, _sigmoid),
    ],
)
@given(c=st.floats(-500, 500), w=st.floats(1.5, 5000))
def test_windows_follow_the_standard_s_formulas(function: WindowFunction, formula: object, c: float, w: float) -> None:
    assert callable(formula)
    x = np.array([-2000.0, c - w, c - w / 2, c - 0.5, c, c + 0.25, c + w / 2, 2000.0])
    found = Window(center=c, width=w, function=function).apply(x)
    assert found == pytest.approx([formula(max(-700 * w / 4 + c, float(one)), c, w) for one in x], abs=1e-9)


def test_a_window_of_width_one_is_a_threshold() -> None:
    found = Window(center=100, width=1).apply(np.array([98.0, 99.0, 99.5, 100.0]))
    assert found.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("width", "function"), [(0.5, "LINEAR"), (0, "LINEAR_EXACT"), (-3, "SIGMOID"), (math.nan, "LINEAR")]
)
def test_a_width_that_the_function_forbids_is_no_window(width: float, function: str) -> None:
    with pytest.raises(ValueError, match="width"):
        Window(center=0, width=width, function=WindowFunction(function))


def test_rescale_comes_before_the_window() -> None:
    words = np.array([[0, 1000, 2000]], dtype=np.uint16)
    transform = Transform(
        format=SIXTEEN,
        modality=Rescale(slope=0.5, intercept=-500),
        voi=Window(center=0, width=1000, function=WindowFunction.LINEAR_EXACT),
    )
    assert display(words, transform)[0].tolist() == pytest.approx([0, 0.5, 1])


def test_tables_take_the_nearest_entry_outside_their_range() -> None:
    words = np.array([[0, 9, 10, 11, 12, 13, 255]], dtype=np.uint8)
    table = Lut(first=10, entries=np.array([0.0, 100.0, 200.0]), full_scale=255.0)
    found = display(words, Transform(format=EIGHT, voi=table))[0] * 255
    assert found.tolist() == pytest.approx([0, 0, 0, 100, 200, 200, 200], abs=1e-3)


def test_a_modality_table_feeds_the_window() -> None:
    words = np.array([[0, 1, 2]], dtype=np.uint8)
    table = Lut(first=0, entries=np.array([1000.0, 0.0, 500.0]), full_scale=1000.0)
    window = Window(center=500, width=1000, function=WindowFunction.LINEAR_EXACT)
    found = display(words, Transform(format=EIGHT, modality=table, voi=window))
    assert found[0].tolist() == pytest.approx([1, 0, 0.5])


def test_small_values_are_white_where_the_header_says_so() -> None:
    words = np.array([[0, 255]], dtype=np.uint8)
    window = Window(center=128, width=256)
    plain = display(words, Transform(format=EIGHT, voi=window))
    inverse = display(words, Transform(format=EIGHT, voi=window, inverse=True))
    assert plain[0].tolist() == [0, 1]
    assert inverse[0].tolist() == [1, 0]


@pytest.mark.parametrize("inverse", [False, True])
def test_padding_is_black_and_does_not_darken_the_image(inverse: bool) -> None:
    words = np.full((40, 40), 500, dtype=np.uint16)
    words[:20] = 600
    words[:, :10] = 65535
    found = display(words, Transform(format=SIXTEEN, inverse=inverse, padding=(65000, 65535)))
    assert set(found[:, :10].ravel().tolist()) == {0.0}
    assert set(found[:20, 10:].ravel().tolist()) == {0.0 if inverse else 1.0}
    assert set(found[20:, 10:].ravel().tolist()) == {1.0 if inverse else 0.0}


def test_without_a_window_a_dead_pixel_does_not_darken_the_image() -> None:
    words = np.tile(np.arange(100, 200, dtype=np.uint16), (100, 1))
    words[50, 50] = 65535
    found = display(words, Transform(format=SIXTEEN))
    assert found.min() == 0.0
    assert float(np.median(found)) == pytest.approx(0.5, abs=0.02)


ONE_GRAY = np.full((60, 60), 700, dtype=np.uint16)
RAMP = np.tile(np.arange(3000, 3060, dtype=np.uint16), (60, 1))
NOISE = np.random.default_rng(1).integers(500, 504, (60, 60)).astype(np.uint16)
OFF = Window(center=-5000, width=2)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(
    "voi", [None, OFF, Window(center=700, width=4096), Lut(first=0, entries=RAMP[0] * 1.0, full_scale=4e3)]
)
def test_an_image_of_one_gray_is_refused(voi: Window | Lut | None, inverse: bool) -> None:
    """Black, white or between: a model would answer that nothing is seen in it."""
    for spoilt in (False, True):
        words = ONE_GRAY.copy()
        if spoilt:
            words[30, 30] = 65535  # one dead pixel shows nothing either
        with pytest.raises(ImageUnreadable) as refused:
            display(words, Transform(format=SIXTEEN, voi=voi, inverse=inverse))
        assert refused.value.fault == "no_contrast"


def test_padding_is_no_contrast() -> None:
    words = ONE_GRAY.copy()
    words[:20] = 0
    with pytest.raises(ImageUnreadable, match="one gray"):
        display(words, Transform(format=SIXTEEN, padding=(0, 0), inverse=True))
    with pytest.raises(ImageUnreadable, match="one gray"):
        display(words, Transform(format=SIXTEEN, padding=(0, 700)))


@pytest.mark.parametrize(
    "voi",
    [
        OFF,
        Window(center=0, width=1e9),
        Window(center=0, width=1e9, function=WindowFunction.SIGMOID),
        Lut(first=0, entries=np.zeros(10), full_scale=255.0),
    ],
)
@pytest.mark.parametrize("inverse", [False, True])
def test_where_the_window_shows_nothing_the_image_s_own_range_is_shown(voi: Window | Lut, inverse: bool) -> None:
    own = display(RAMP, Transform(format=SIXTEEN, inverse=inverse))
    np.testing.assert_array_equal(display(RAMP, Transform(format=SIXTEEN, voi=voi, inverse=inverse)), own)
    assert np.ptp(own) == 1


def test_the_noise_of_an_exposure_that_failed_is_not_made_an_image() -> None:
    with pytest.raises(ImageUnreadable, match="one gray"):
        display(NOISE, Transform(format=SIXTEEN, voi=Window(center=2048, width=4096)))


@pytest.mark.parametrize("slope", [1e308, -1e308, 1e27, math.inf])
@pytest.mark.parametrize("voi", [None, Window(center=500, width=1000)])
def test_values_that_no_number_holds_are_refused(slope: float, voi: Window | None) -> None:
    with pytest.raises(ImageUnreadable, match="rescale slope or intercept"):
        display(RAMP, Transform(format=SIXTEEN, modality=Rescale(slope=slope), voi=voi))


@given(formats(), st.integers(0, 2**31), st.booleans())
def test_grays_are_float32_from_black_to_white(stored: StoredFormat, seed: int, inverse: bool) -> None:
    words = np.random.default_rng(seed).integers(0, 1 << stored.bits_allocated, (5, 7))
    found = display(words.astype(f"u{stored.bits_allocated // 8}"), Transform(format=stored, inverse=inverse))
    assert found.dtype == np.float32
    assert found.shape == (5, 7)
    assert 0 <= found.min() <= found.max() <= 1
