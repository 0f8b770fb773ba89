"""Labels from a COCO file: boxes, masks as polygons or run lengths, keypoints (cocodataset.org, "Data format").

Its coordinates are counted as ours, from the outer corner of the first pixel.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.outline import outline, parts
from metalearner.labelling import Box, Labels, Mask, Points, finite
from metalearner.labels.said import LabelsInvalid, Said, concept_of, marked, numbered

TOLERANCE_PIXELS = 0.5  # by which a traced outline may leave the border of a mask
MOST_PARTS = 20


def read_coco(path: Path, *, unmarked_is_absent: bool) -> list[Said]:
    """LabelsInvalid names the annotation. unmarked_is_absent: each image was looked through for every category."""
    content = _content(path)
    try:
        categories = {one["id"]: one for one in content["categories"]}
        images = {one["id"]: one for one in content["images"]}
        by_image = defaultdict(list)
        for number, annotation in enumerate(content["annotations"], start=1):
            if annotation["image_id"] not in images or annotation["category_id"] not in categories:
                raise LabelsInvalid(f"{path.name}, annotation {number}: its image or its category is not in the file")
            by_image[annotation["image_id"]].append((number, annotation))
    except (KeyError, TypeError) as error:
        raise LabelsInvalid(f"{path.name}: is no COCO file: {error} is missing") from None
    looked_for = [concept_of(one["name"]) for one in categories.values() if not one.get("keypoints")]
    found = []
    for key, image in images.items():
        size = (int(image.get("width") or 0), int(image.get("height") or 0))
        labels = _labels(path.name, by_image[key], categories, size, looked_for if unmarked_is_absent else [])
        if labels.classes or labels.points:
            place = f"image {key}"
            found.append(Said(labels=labels, place=place, image=str(image["file_name"]), size=size if all(size) else None))
    return found


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LabelsInvalid(f"{path.name}: is no JSON") from error
    if not isinstance(content, dict):
        raise LabelsInvalid(f"{path.name}: is no COCO file")
    return content


def _labels(
    file: str,
    annotations: list[tuple[int, dict[str, Any]]],
    categories: dict[Any, dict[str, Any]],
    size: tuple[int, int],
    looked_for: list[str],
) -> Labels:
    boxes: list[Box] = []
    masks: list[Mask] = []
    points: list[tuple[str, tuple[float, float]]] = []
    classes: dict[str, float] = {}
    for number, annotation in annotations:
        category = categories[annotation["category_id"]]
        concept = concept_of(category["name"])
        try:
            if annotation.get("keypoints"):
                points += _keypoints(annotation["keypoints"], category["keypoints"])
                continue
            polygons = _polygons(annotation.get("segmentation"), size)
            if polygons:
                masks.append(Mask(concept=concept, polygons=polygons))
            if annotation.get("bbox"):
                left, top, width, height = (finite(one) for one in annotation["bbox"])
                boxes.append(Box(concept=concept, left=left, top=top, right=left + width, bottom=top + height))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise LabelsInvalid(f"{file}, annotation {number}: cannot be read") from error
        classes[concept] = 1.0  # without a box or a mask it still says that the image shows it
    return marked(boxes=boxes, masks=masks, points=numbered(points), classes=classes, looked_for=looked_for)


def _keypoints(given: list[float], names: list[str]) -> list[tuple[str, tuple[float, float]]]:
    """Triples of column, row and visibility, in the order of the category's names; 0: not labelled."""
    if len(given) != 3 * len(names):
        raise ValueError("another number of keypoints than its category names")
    triples = zip(names, given[0::3], given[1::3], given[2::3], strict=True)
    return [(name, (finite(column), finite(row))) for name, column, row, seen in triples if seen]


def _polygons(segmentation: Any, size: tuple[int, int]) -> tuple[Points, ...]:
    """Polygons as they are, run lengths as the outlines of their parts."""
    if not segmentation:
        return ()
    if isinstance(segmentation, list):
        return tuple(_ring(flat) for flat in segmentation)
    return outlines(_decoded(segmentation, size))


def _ring(flat: list[float]) -> Points:
    if len(flat) < 6 or len(flat) % 2:
        raise ValueError("a polygon has at least three points")
    return tuple((finite(column), finite(row)) for column, row in zip(flat[0::2], flat[1::2], strict=True))


def _decoded(rle: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    from pycocotools import mask as coco_mask  # part of the extra

    rows, columns = (int(one) for one in rle.get("size") or (size[1], size[0]))
    counts = rle["counts"]
    if isinstance(counts, list):
        if sum(counts) != rows * columns:
            raise ValueError("the run lengths do not fill the image")
        rle = coco_mask.frPyObjects({"size": [rows, columns], "counts": counts}, rows, columns)
    else:
        rle = {"size": [rows, columns], "counts": counts.encode() if isinstance(counts, str) else counts}
    return np.asarray(coco_mask.decode(rle), dtype=np.bool_)


def outlines(mask: npt.NDArray[np.bool_]) -> tuple[Points, ...]:
    """Outer borders of a mask's parts, in pixels from the outer corner of the first."""
    return tuple(
        tuple((float(column), float(row)) for column, row in outline(part, tolerance=TOLERANCE_PIXELS))
        for part in parts(mask, least_pixels=1, most=MOST_PARTS)
    )
