"""What a landmark head's points must be for a number to be given, and that a doubtful one voids no more than it must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from domain import codes
from domain.types import Finding, FindingOutcome, InstanceRef, Radiograph, SpacingSource
from inference.landmarks import read_landmarks
from inference.manifest import LandmarksHead
from inference.plane import whole

AXES = {"carina": (100.0, 40.0), "apex": (100.0, 104.0), "heart_cranial": (76.0, 70.0), "heart_caudal": (124.0, 70.0)}
SPINE = {f"T{4 + n}": (60.0 + 12 * n, 20.0) for n in range(8)}  # vertebrae of 12 pixels: axes of 5.3 and 4.0
PLANE = whole(np.random.default_rng(5).random((160, 200), dtype=np.float32))
RADIOGRAPH = Radiograph(
    ref=InstanceRef(sop_class_uid="1", sop_instance_uid="2"),
    pixels=PLANE.values,
    spacing_mm=None,
    spacing_source=SpacingSource.UNKNOWN,
)


def read(
    points: Mapping[str, tuple[float, float]],
    *measures: str,
    spreads: Mapping[str, float] | None = None,
    image: Radiograph = RADIOGRAPH,
) -> list[Finding]:
    head = LandmarksHead.model_validate(
        {
            "kind": "landmarks",
            "output": "points",
            "form": "points",
            "spread": "sigmas",
            "names": tuple(points),
            "most_spread": 4.0,
            "measurement": tuple({"measure": measure} for measure in measures),
        }
    )
    outputs = {
        "points": np.array(list(points.values()), dtype=np.float32),
        "sigmas": np.array([(spreads or {}).get(name, 0.5) for name in points], dtype=np.float32),
    }
    return list(read_landmarks(head, outputs, plane=PLANE, radiograph=image).findings)


def said(finding: Finding) -> float | str:
    """The number, or why there is none."""
    return finding.measurements[0].value if finding.reason is None else finding.reason.code


def turned(degrees: float) -> dict[str, tuple[float, float]]:
    """The short axis turned about its middle, and lengthened so that its projection is as long as before."""
    angle = np.radians(degrees)
    step = np.array([24.0, 24.0 * np.tan(angle)])
    (left, top), (right, bottom) = np.array([100.0, 70.0]) - step, np.array([100.0, 70.0]) + step
    return {**AXES, **SPINE, "heart_cranial": (float(left), float(top)), "heart_caudal": (float(right), float(bottom))}


@pytest.mark.parametrize("measure", ["vhs", "vhs-epic"])
def test_the_short_axis_is_taken_perpendicular_to_the_long_one(measure: str) -> None:
    (straight,), (oblique,) = read(turned(0), measure), read(turned(12), measure)
    assert said(straight) == said(oblique) == 9.3
    _, long_axis, short_axis = oblique.measurements
    along = np.diff(long_axis.lines["long_axis"], axis=0)[0]
    across = np.diff(short_axis.lines["short_axis"], axis=0)[0]
    assert along @ across == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("degrees", [16, 30, 60, -30])
def test_axes_that_are_far_from_perpendicular_are_not_scored(degrees: float) -> None:
    (found,) = read(turned(degrees), "vhs")
    assert (found.outcome, found.site, said(found)) == (FindingOutcome.NOT_ASSESSABLE, codes.HEART, "landmarks_uncertain")


@pytest.mark.parametrize(
    ("moved", "why"),
    [
        ({"heart_cranial": (100.0, 50.0), "heart_caudal": (100.0, 98.0)}, "landmarks_uncertain"),  # along the long axis
        (
            {"heart_cranial": (92.0, 70.0), "heart_caudal": (108.0, 70.0)},
            "landmarks_uncertain",
        ),  # four times as long
        ({"apex": (100.0, 60.0)}, "pitch_implausible"),  # not two vertebrae long
    ],
)
def test_what_is_no_heart_is_not_scored(moved: dict[str, tuple[float, float]], why: str) -> None:
    (found,) = read({**AXES, **SPINE, **moved}, "vhs")
    assert said(found) == why


@pytest.mark.parametrize(("edges", "expected"), [(8, 9.3), (6, 9.3), (5, "pitch_implausible"), (2, "pitch_implausible")])
def test_vertebrae_that_were_not_seen_are_not_counted(edges: int, expected: float | str) -> None:
    """The long axis ends in the sixth vertebra: it may be extended from the fifth, no further."""
    (score,) = read({**AXES, **dict(list(SPINE.items())[:edges])}, "vhs")
    assert said(score) == expected


def test_the_left_atrium_too_ends_where_vertebrae_were_seen() -> None:
    atrium = {"carina": (100.0, 40.0), "left_atrium_caudal": (128.0, 40.0)}
    for edges, expected in ((3, 2.3), (2, "pitch_implausible")):
        (size,) = read({**atrium, **dict(list(SPINE.items())[:edges])}, "vlas")
        assert said(size) == expected


def test_a_doubtful_landmark_voids_only_the_measures_that_need_it() -> None:
    points = {**AXES, "left_atrium_caudal": (128.0, 40.0), **SPINE}
    heart, atrium = read(points, "vhs", "vlas", spreads={"apex": 9.0})
    assert (said(heart), said(atrium)) == ("points_uncertain", 2.3)
    assert heart.reason is not None
    assert heart.reason.details == {"names": "apex"}
    heart, atrium = read({**points, "left_atrium_caudal": (300.0, 40.0)}, "vhs", "vlas")
    assert (said(heart), said(atrium)) == (9.3, "outside_image")
    for name in ("T4", "T5"):
        heart, atrium = read(points, "vhs", "vlas", spreads={name: 9.0})
        assert (said(heart), said(atrium)) == ("points_uncertain", "points_uncertain")


def test_a_doubtful_edge_ends_the_spine_that_is_counted_on() -> None:
    assert said(read({**AXES, **SPINE}, "vhs", spreads={"T11": 9.0})[0]) == 9.3
    assert said(read({**AXES, **SPINE}, "vhs", spreads={"T8": 9.0})[0]) == "pitch_implausible"


def test_a_line_that_leaves_the_image_is_not_given() -> None:
    far = {name: (column + 94, row) for name, (column, row) in SPINE.items() if column + 94 < 200}
    assert len(far) == 4
    axes = {"carina": (100.0, 40.0), "left_atrium_caudal": (147.5, 40.0)}
    assert said(read({**axes, **far}, "vlas")[0]) == "outside_image"


@pytest.mark.parametrize(("name", "needs"), [("apex", "heart"), ("T4", "spine"), ("left_atrium_caudal", "atrium")])
def test_a_point_where_the_image_shows_nothing_is_not_given(name: str, needs: str) -> None:
    """Black below a shutter, or bytes that a sender filled up: a network guesses there, and nobody could check it."""
    points = {**AXES, "left_atrium_caudal": (128.0, 40.0), **SPINE}
    left, top = (int(part) for part in points[name])
    pixels = PLANE.values.copy()
    pixels[top - 3 : top + 4, left - 3 : left + 4] = 0.25
    heart, atrium = read(points, "vhs", "vlas", image=replace(RADIOGRAPH, pixels=pixels))
    blind = {"heart": (heart,), "atrium": (atrium,), "spine": (heart, atrium)}[needs]
    for found in (heart, atrium):
        assert (said(found) == "outside_image") is (found in blind)
