"""Thicknesses of shapes that are sampled along rays are those of the shapes."""

import numpy as np
import pytest

from phantoms.field import filled, in_cone, in_ellipsoid, joined, profile, sample
from phantoms.projection import make_frame

RADIUS = 2.0


def samples_from(view, count=80):
    frame = make_frame(60, 80, np.array(view, dtype=float), 8.0 * np.eye(2), np.array([40.0, 30.0]))
    return sample(frame, near=-4, far=4, count=count, pixels=2.0)


@pytest.mark.parametrize("view", [[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 0, 0]]])
def test_a_sphere_has_its_chords_and_its_volume_from_every_side(view):
    samples = samples_from(view)
    chord = samples.along(filled(in_ellipsoid(samples, np.zeros(3), RADIUS * np.eye(3)), samples.step))
    middle = chord[chord.shape[0] // 2, chord.shape[1] // 2]
    assert middle == pytest.approx(2 * RADIUS, abs=0.05)
    assert float(chord.sum()) * 0.25**2 == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.03)  # rays a quarter unit apart


def test_an_ellipsoids_axes_are_its_own():
    samples = samples_from([[1, 0, 0], [0, 1, 0]])
    chord = samples.along(filled(in_ellipsoid(samples, np.zeros(3), np.diag([3.0, 1.5, 2.5])), 0.1))
    assert chord.max() == pytest.approx(5.0, abs=0.15)
    rows, columns = np.nonzero(chord > 0.3)
    assert (columns.max() - columns.min()) / (rows.max() - rows.min()) == pytest.approx(2.0, abs=0.25)


def test_a_cone_is_as_thick_as_its_radii():
    samples = samples_from([[1, 0, 0], [0, 1, 0]])
    depth = in_cone(samples, np.array([-3.0, 0, 0]), np.array([3.0, 0, 0]), (0.5, 1.5))
    chord = samples.along(filled(depth, samples.step))
    row = chord.shape[0] // 2
    thick = [chord[row, round((x + 5) * 4)] for x in (-2.0, 0.0, 2.0)]
    assert thick == pytest.approx([2 * (0.5 + (x + 3) / 6) for x in (-2.0, 0.0, 2.0)], abs=0.12)


def test_what_is_joined_counts_once():
    samples = samples_from([[1, 0, 0], [0, 1, 0]])
    ball = in_ellipsoid(samples, np.zeros(3), RADIUS * np.eye(3))
    both = joined(ball, in_ellipsoid(samples, np.zeros(3), 0.5 * np.eye(3)), 0.01)
    assert samples.along(filled(both, 0.1)) == pytest.approx(samples.along(filled(ball, 0.1)), abs=0.03)


def test_a_profile_passes_its_knots():
    straight = profile([-10, 0, 10], [1.0, 3.0, 5.0])
    assert [straight(x) for x in (-5.0, 0.0, 5.0)] == pytest.approx([2.0, 3.0, 4.0], abs=0.02)
    assert straight(-1000) == pytest.approx(1.0)
