"""Each gate refuses what it is there for, and what passes all of them is Buchanan's score of what is drawn."""

from dataclasses import replace

import numpy as np
import pytest
from model_factory import COLUMNS, FIXED_VHS, PITCH, ROWS, T4_COLUMN, heart_outputs

from domain.measures import vertebral_heart_score
from inference.heart import (
    MIRROR,
    NOT_A_LATERAL,
    OUT_OF_FRAME,
    UNCERTAIN,
    Gates,
    perpendicular,
    read_heart,
)
from inference.heart import (
    PITCH as PITCH_REASON,
)

PLANE = np.zeros((ROWS, COLUMNS), np.float32)


def reading_of(gates=None, **changed):
    """A reading of the factory's perfect maps, some of them replaced."""
    outputs = {**heart_outputs(), **changed}
    return read_heart(PLANE, lambda _planes: outputs, gates)


def moved(row, by, passes=(0, 1)):
    """The factory's points with one landmark moved in the film's own pixels, in the given passes."""
    points = heart_outputs()["points"]
    for one in passes:
        points[one, row] += np.array(by) * ([1, 1] if one == 0 else [-1, 1])
    return points


def test_a_perfect_answer_is_measured():
    reading = reading_of()
    assert reading.refusal is None
    assert reading.vhs == pytest.approx(FIXED_VHS, abs=0.02)
    assert reading.vhs == reading.long_vertebrae + reading.short_vertebrae
    assert reading.pitch_pixels == pytest.approx(PITCH, rel=0.01)
    assert reading.vertebral_edges[0] == pytest.approx([T4_COLUMN, 80.0], abs=0.5)


def test_the_score_is_buchanans_of_the_lines_that_are_drawn():
    reading = reading_of(points=moved(3, (-12, 9)))
    score = vertebral_heart_score(
        long_axis_length=float(np.linalg.norm(np.diff(reading.long_axis, axis=0))),
        short_axis_length=float(np.linalg.norm(np.diff(reading.short_axis, axis=0))),
        vertebral_edges=reading.vertebral_edges,
    )
    assert reading.vhs == pytest.approx(score.total)


def test_the_axes_that_are_drawn_are_perpendicular():
    reading = reading_of(points=moved(3, (0, 14)))
    along, across = np.diff(reading.long_axis, axis=0)[0], np.diff(reading.short_axis, axis=0)[0]
    assert along @ across == pytest.approx(0, abs=1e-6)
    assert reading.off_perpendicular_degrees == pytest.approx(np.degrees(np.arctan2(14, 72)), abs=0.01)


def test_projection_keeps_the_side_and_the_crossing():
    long_axis = np.array([[10.0, 10.0], [10.0, 60.0]])
    short_axis, off = perpendicular(long_axis, np.array([[0.0, 30.0], [20.0, 40.0]]))
    assert short_axis == pytest.approx(np.array([[0.0, 35.0], [20.0, 35.0]]))
    assert off == pytest.approx(np.degrees(np.arctan(0.5)))


def test_the_mirrored_pass_is_turned_back_and_averaged():
    reading = reading_of(points=moved(1, (0, 4), passes=(1,)))
    assert reading.long_axis[1] == pytest.approx([140.0, 202.0])
    assert reading.mirror_landmark_vertebrae == pytest.approx(4 / PITCH, rel=0.02)


def test_both_passes_see_the_plane():
    seen = []
    plane = np.random.default_rng(0).random((ROWS, COLUMNS)).astype(np.float32)

    def predict(planes):
        seen.append(planes)
        return heart_outputs()

    read_heart(plane, predict)
    assert len(seen) == 1
    assert np.array_equal(seen[0][0, 0], plane)
    assert np.array_equal(seen[0][1, 0], plane[:, ::-1])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"views": [[0.2, 0.1, 0.6, 0.1]] * 2}, NOT_A_LATERAL),
        ({"views": [[0.1, 0.1, 0.1, 0.7]] * 2}, NOT_A_LATERAL),
        ({"views": [[0.3, 0.6, 0.05, 0.05]] * 2}, OUT_OF_FRAME),
        ({"points": moved(1, (0, 55.5))}, OUT_OF_FRAME),
        ({"points": moved(1, (0, 40), passes=(1,))}, MIRROR),
        ({"points": moved(1, (0, -60))}, PITCH_REASON),
        ({"points": moved(3, (-40, 0))}, UNCERTAIN),
        ({"points": moved(3, (0, 60))}, UNCERTAIN),
        ({"points": moved(4, (0, 40))}, UNCERTAIN),
        ({"spine": np.zeros((2, 1, 64, 80), np.float32)}, PITCH_REASON),
        ({"phase": np.random.default_rng(1).normal(size=(2, 2, 64, 80))}, PITCH_REASON),
    ],
)
def test_each_gate_refuses_with_its_reason(changed, reason):
    changed = {name: np.asarray(value, dtype=np.float32) for name, value in changed.items()}
    assert reading_of(**changed).refusal == reason


def test_a_gate_can_be_set():
    outputs = {"points": moved(3, (0, 14))}
    assert reading_of(**outputs).refusal is None
    assert reading_of(replace(Gates(), off_perpendicular_degrees=5.0), **outputs).refusal == UNCERTAIN
