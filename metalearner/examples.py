"""What a network is taught from: planes as the node lays them, and the truth of each laid beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from inference.plane import Plane
from metalearner.collection import Collection, Labels, Part
from metalearner.planes import planes
from metalearner.tasks import STRIDE, Recipe, Task, TaskInvalid

FloatArray = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
_FINE = 4  # sub-pixels of a mask's pixel in each direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """n images of one size; NaN is unknown. Points and boxes in input pixels from the outer corner of the first.

    images: names. planes: uint8 (n, rows, columns). classes: (n, c) 0..1. points: (n, k, 2).
    masks: uint8 (n, c, rows/4, columns/4), 255 inside; shown: (n, c), whether it is known where a class is, or that it is
    nowhere. boxes: (n, most, 5), the class's number, left, top, right, bottom. back: matrix and offset of each plane.
    """

    images: tuple[str, ...]
    planes: Bytes
    classes: FloatArray
    points: FloatArray
    masks: Bytes
    shown: Bools
    boxes: FloatArray
    matrices: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.images)

    def to_source(self, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """(n, k, 2) points of the planes, in each image's own pixels."""
        inverse = np.linalg.inv(self.matrices)
        return np.einsum("nij,nkj->nki", inverse, points.astype(np.float64) - self.offsets[:, None])


def gather(collection: Collection, task: Task, recipe: Recipe, part: Part) -> Examples:
    """The images of a part that the task is for and of which anything that it asks is known. TaskInvalid where none is."""
    parts = collection.parts()
    images = [case.image for case in collection.usable if task.is_for(case) and parts[case.image] is part]
    truths = {image: collection.truth(image) for image in images}
    images = [image for image in images if _says(truths[image], task)]
    if not images:
        raise TaskInvalid(f"the part {part.value} of the collection has no labelled image that the task {task.name} is for")
    laid = planes(collection, images, task.input_of(recipe.rows, recipe.columns))
    truth = [_laid(truths[image], laid.plane(number), task, recipe) for number, image in enumerate(images)]
    most = max((len(one.boxes) for one in truth), default=0)
    boxes = np.full((len(images), max(most, 1), 5), np.nan, np.float32)
    for number, one in enumerate(truth):
        boxes[number, : len(one.boxes)] = one.boxes
    return Examples(
        images=tuple(images),
        planes=laid.values,
        classes=np.stack([one.classes for one in truth]),
        points=np.stack([one.points for one in truth]),
        masks=np.stack([one.masks for one in truth]),
        shown=np.stack([one.shown for one in truth]),
        boxes=boxes,
        matrices=laid.matrices,
        offsets=laid.offsets,
    )


def _says(truth: Labels, task: Task) -> bool:
    if task.kind == "landmarks":
        return any(name in truth.points for name in task.points)
    shapes = {mask.concept for mask in truth.masks} | {box.concept for box in truth.boxes}
    return any(value in truth.classes or value in shapes for value in task.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Truth:
    classes: FloatArray
    points: FloatArray
    masks: Bytes
    shown: Bools
    boxes: FloatArray


def _laid(truth: Labels, plane: Plane, task: Task, recipe: Recipe) -> _Truth:
    values = task.values
    classes = np.array([truth.classes.get(value, np.nan) for value in values], np.float32)
    points = np.full((len(task.points), 2), np.nan, np.float32)
    for number, name in enumerate(task.points):
        if name in truth.points:
            points[number] = plane.from_source(truth.points[name])
    with_masks = task.kind in ("masks", "findings")
    rows, columns = recipe.rows // STRIDE, recipe.columns // STRIDE
    masks = np.zeros((len(values) if with_masks else 0, rows, columns), np.uint8)
    shown = np.zeros(len(values), bool)
    boxes = np.zeros((0, 5), np.float32)
    for number, value in enumerate(values):
        outlines = [mask.polygons for mask in truth.masks if mask.concept == value]
        if with_masks and outlines:
            masks[number] = _drawn([plane.from_source(ring) for one in outlines for ring in one], rows, columns)
        of_class = [_box(number, box, plane) for box in truth.boxes if box.concept == value]
        boxes = np.concatenate([boxes, *of_class]) if of_class else boxes
        there = of_class if task.kind == "boxes" else outlines
        if there:
            classes[number] = 1.0  # what is outlined is there
        shown[number] = bool(there) or truth.classes.get(value) == 0
    return _Truth(classes=classes, points=points, masks=masks, shown=shown, boxes=boxes)


def _drawn(rings: list[npt.NDArray[np.float64]], rows: int, columns: int) -> Bytes:
    """Inside an odd number of the rings; each pixel the share that is inside."""
    inside = np.zeros((rows * _FINE, columns * _FINE), bool)
    for ring in rings:
        sheet = Image.new("1", (columns * _FINE, rows * _FINE))
        scaled = ring * (_FINE / STRIDE)
        ImageDraw.Draw(sheet).polygon([(float(x), float(y)) for x, y in scaled], fill=1)
        inside ^= np.asarray(sheet)
    shares = inside.reshape(rows, _FINE, columns, _FINE).mean(axis=(1, 3))
    return np.asarray(np.round(shares * 255), dtype=np.uint8)


def _box(number: int, box: Any, plane: Plane) -> FloatArray:
    corners = plane.from_source([(box.left, box.top), (box.right, box.bottom)])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return np.array([[number, left, top, right, bottom]], np.float32)
