"""Vertebrae are counted by the phase along the spine, whatever their number, size, curve and direction."""

import numpy as np
import pytest

from inference.spine import NoSpine, count_vertebrae

STRIDE, ROWS, COLUMNS = 4, 256, 320


def maps_of(edges):
    """spine and phase maps as a perfect network would draw them. edges: (n, 2) plane pixels, T4 the fourth."""
    y, x = np.mgrid[0 : ROWS // STRIDE, 0 : COLUMNS // STRIDE] * STRIDE + STRIDE / 2
    at = np.stack([x, y], axis=-1)
    steps = np.diff(edges, axis=0)
    offset = at[:, :, None] - edges[:-1]
    share = np.clip((offset * steps).sum(-1) / (steps * steps).sum(-1), 0, 1)
    away = np.linalg.norm(offset - share[..., None] * steps, axis=-1) / np.linalg.norm(steps, axis=1)
    nearest = away.argmin(-1)
    index = nearest + np.take_along_axis(share, nearest[..., None], -1)[..., 0] - 3
    spine = np.exp(-(away.min(-1) ** 2) / (2 * 0.22**2))
    return spine.astype(np.float32), np.stack([np.cos(2 * np.pi * index), np.sin(2 * np.pi * index)]).astype(np.float32)


def column_of(pitch, *, growth=0.0, bend=0.0, tilt=0.0, head_left=True, count=14):
    lengths = pitch * (1 + growth * np.linspace(-0.5, 0.5, count - 1))
    angle = np.deg2rad(tilt) + bend * np.linspace(-0.5, 0.5, count - 1)
    edges = np.cumsum(np.vstack([[0, 0], np.stack([lengths * np.cos(angle), lengths * np.sin(angle)], axis=1)]), axis=0)
    edges = edges - edges.mean(axis=0) + [160, 90]
    if not head_left:
        edges = edges * [-1, 1] + [COLUMNS, 0]
    return edges


@pytest.mark.parametrize("pitch", [10.0, 14.5, 19.0])
@pytest.mark.parametrize("shape", [{}, {"growth": 0.25}, {"bend": 0.3}, {"tilt": 10}, {"head_left": False, "growth": -0.2}])
def test_edges_are_found(pitch, shape):
    edges = column_of(pitch, **shape)
    spine, phase = maps_of(edges)
    caudal = edges[-1] - edges[0]
    found = count_vertebrae(spine, phase, stride=STRIDE, t4=edges[3] + 0.3 * pitch, caudal=caudal, plane_rows=ROWS)
    inside = edges[3:-1]
    assert np.linalg.norm(found.edges[: len(inside)] - inside, axis=1).max() < 0.12 * pitch
    assert found.coherence > 0.9


def test_edges_beyond_the_curve_go_straight_on():
    edges = column_of(14.0)
    spine, phase = maps_of(edges[:9])
    found = count_vertebrae(spine, phase, stride=STRIDE, t4=edges[3], caudal=np.array([1.0, 0.0]), plane_rows=ROWS)
    assert found.seen < 6.5
    assert np.linalg.norm(found.edges - (edges[3] + np.arange(10)[:, None] * [14.0, 0]), axis=1).max() < 3.0


def test_noise_has_no_coherence():
    rng = np.random.default_rng(0)
    spine, _ = maps_of(column_of(14.0))
    phase = rng.normal(size=(2, *spine.shape)).astype(np.float32)
    found = count_vertebrae(
        spine, phase, stride=STRIDE, t4=np.array([120.0, 90.0]), caudal=np.array([1.0, 0.0]), plane_rows=ROWS
    )
    assert found.coherence < 0.5


@pytest.mark.parametrize("spine", [np.zeros((64, 80)), np.eye(64, 80) * 0.1, np.pad(np.ones((2, 2)), ((30, 32), (30, 48)))])
def test_no_curve_is_no_spine(spine):
    phase = np.ones((2, 64, 80), np.float32)
    with pytest.raises(NoSpine):
        count_vertebrae(
            spine.astype(np.float32), phase, stride=4, t4=np.zeros(2), caudal=np.array([1.0, 0.0]), plane_rows=ROWS
        )
