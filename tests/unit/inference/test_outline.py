"""The border of a mask: exact where it is asked to be, and with few corners where it may be off a little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes

from inference.outline import outline, parts


def area(points: tuple[tuple[float, float], ...]) -> float:
    x, y = np.array(points).T
    return float(abs(np.dot(x[:-1], y[1:]) - np.dot(y[:-1], x[1:])) / 2)


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 0.7))
def test_an_exact_outline_encloses_what_the_part_covers(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((7, 9)) < share
    for part in parts(mask, least_pixels=1, most=100):
        ring = outline(part, tolerance=0.0)
        closed = tuple(map(tuple, np.concatenate([ring, ring[:1]])))
        assert area(closed) == binary_fill_holes(part, structure=np.ones((3, 3))).sum()
        assert (ring.min(axis=0) == np.argwhere(part).min(axis=0)[::-1]).all()
        assert (ring.max(axis=0) == np.argwhere(part).max(axis=0)[::-1] + 1).all()


def test_an_outline_has_no_more_corners_than_it_needs() -> None:
    y, x = np.mgrid[0:200, 0:200]
    disc = (x - 100) ** 2 + (y - 100) ** 2 < 80**2
    ring = outline(disc, tolerance=1.0)
    assert 12 < len(ring) < 80
    assert area(tuple(map(tuple, np.concatenate([ring, ring[:1]])))) == pytest.approx(disc.sum(), rel=0.02)
