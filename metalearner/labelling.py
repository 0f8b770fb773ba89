"""What was said of one image by one source, and of one image by several."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import fmean
from typing import Any

Points = tuple[tuple[float, float], ...]
ELLIPSE_POINTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Source pixels from the outer corner of the first pixel."""

    concept: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """What lies inside an odd number of the polygons; points as (column, row) in source pixels."""

    concept: str
    polygons: tuple[Points, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What one source says of one image. A concept is a code value; what is not named is unknown, not absent.

    classes: 1 present, 0 absent. points: (column, row) in source pixels from the outer corner of the first pixel.
    grades: 1 mild, 2 moderate, 3 severe. measures: such as {"VHS": 9.8}.
    """

    image: str
    source: str
    reader: str = ""  # pseudonym
    classes: Mapping[str, float] = field(default_factory=dict)
    points: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()
    grades: Mapping[str, int] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)


def agreed(image: str, said: Sequence[Labels]) -> Labels:
    """One set of labels of what several sources say.

    A class is what most say, and unknown where as many say yes as no; a grade is the middle one, of two the lower; points
    and measures are means; the boxes or masks of a concept are those of the first source that has any.
    """
    classes = {}
    for concept, votes in _votes(labels.classes for labels in said).items():
        mean = fmean(votes)
        if mean != 0.5:
            classes[concept] = float(round(mean))
    boxes: dict[str, tuple[Box, ...]] = {}
    masks: dict[str, tuple[Mask, ...]] = {}
    for labels in said:
        for concept in {box.concept for box in labels.boxes}:
            boxes.setdefault(concept, tuple(box for box in labels.boxes if box.concept == concept))
        for concept in {mask.concept for mask in labels.masks}:
            masks.setdefault(concept, tuple(mask for mask in labels.masks if mask.concept == concept))
    points = {
        name: (fmean(at[0] for at in votes), fmean(at[1] for at in votes))
        for name, votes in _votes(labels.points for labels in said).items()
    }
    return Labels(
        image=image,
        source=" + ".join(dict.fromkeys(labels.source for labels in said)),
        classes=classes,
        points=points,
        boxes=tuple(box for concept in sorted(boxes) for box in boxes[concept]),
        masks=tuple(mask for concept in sorted(masks) for mask in masks[concept]),
        grades={name: sorted(v)[(len(v) - 1) // 2] for name, v in _votes(labels.grades for labels in said).items()},
        measures={name: fmean(v) for name, v in _votes(labels.measures for labels in said).items()},
    )


def _votes(said: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    votes = defaultdict(list)
    for one in said:
        for name, value in one.items():
            votes[name].append(value)
    return votes


_FIELDS = tuple(one.name for one in fields(Labels))
_BOX_FIELDS = tuple(one.name for one in fields(Box))


def as_json(labels: Labels) -> dict[str, Any]:
    return {
        "image": labels.image,
        "source": labels.source,
        "reader": labels.reader,
        "classes": dict(labels.classes),
        "points": {name: list(at) for name, at in labels.points.items()},
        "boxes": [{name: getattr(box, name) for name in _BOX_FIELDS} for box in labels.boxes],
        "masks": [{"concept": mask.concept, "polygons": mask.polygons} for mask in labels.masks],
        "grades": dict(labels.grades),
        "measures": dict(labels.measures),
    }


def from_json(said: Mapping[str, Any]) -> Labels:
    """KeyError, TypeError, AttributeError or ValueError for what is no labels."""
    unknown = set(said) - set(_FIELDS)
    if unknown:
        raise ValueError(f"there is no {min(unknown)}")
    return Labels(
        image=str(said["image"]),
        source=str(said["source"]),
        reader=str(said.get("reader", "")),
        classes={str(name): _share(value) for name, value in said.get("classes", {}).items()},
        points={str(name): _point(at) for name, at in said.get("points", {}).items()},
        boxes=tuple(
            Box(concept=str(box["concept"]), **{edge: finite(box[edge]) for edge in _BOX_FIELDS[1:]})
            for box in said.get("boxes", ())
        ),
        masks=tuple(
            Mask(concept=str(mask["concept"]), polygons=tuple(tuple(map(_point, one)) for one in mask["polygons"]))
            for mask in said.get("masks", ())
        ),
        grades={str(name): int(value) for name, value in said.get("grades", {}).items()},
        measures={str(name): finite(value) for name, value in said.get("measures", {}).items()},
    )


def ellipse(centre: tuple[float, float], one: tuple[float, float], other: tuple[float, float]) -> Points:
    """A polygon of it. one, other: from the centre to the end of each half axis."""
    turns = [2 * math.pi * number / ELLIPSE_POINTS for number in range(ELLIPSE_POINTS)]
    return tuple(
        (
            centre[0] + one[0] * math.cos(turn) + other[0] * math.sin(turn),
            centre[1] + one[1] * math.cos(turn) + other[1] * math.sin(turn),
        )
        for turn in turns
    )


def finite(value: str | float) -> float:
    """ValueError for what is no finite number."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no number")
    return number


def _share(value: float) -> float:
    number = finite(value)
    if not 0 <= number <= 1:
        raise ValueError(f"a class is between 0, absent, and 1, present, not {number:g}")
    return number


def _point(at: Any) -> tuple[float, float]:
    column, row = at
    return finite(column), finite(row)
