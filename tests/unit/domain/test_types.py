"""What the nouns refuse to be."""

from __future__ import annotations

import math

import pytest

from domain.types import FARTHEST_POINT, Point, Shape

AT = (10.0, 20.0)


@pytest.mark.parametrize(
    ("graphic_type", "counts"), [("POINT", (1,)), ("CIRCLE", (2,)), ("ELLIPSE", (4,)), ("POLYLINE", (2, 9))]
)
def test_a_shape_has_as_many_points_as_its_type(graphic_type: str, counts: tuple[int, ...]) -> None:
    for count in range(10):
        if counts[0] <= count <= counts[-1]:
            assert Shape(graphic_type=graphic_type, points=(AT,) * count).points
        else:
            with pytest.raises(ValueError, match=f"{count} points are no {graphic_type}"):
                Shape(graphic_type=graphic_type, points=(AT,) * count)


@pytest.mark.parametrize("nowhere", [(math.nan, 1.0), (1.0, math.inf), (-1e9, 1.0), (1.0, FARTHEST_POINT + 1)])
def test_a_point_lies_somewhere(nowhere: Point) -> None:
    with pytest.raises(ValueError, match="farther than"):
        Shape(graphic_type="MULTIPOINT", points=(AT, nowhere))


def test_a_type_that_dicom_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="STAR"):
        Shape(graphic_type="STAR", points=(AT,))
