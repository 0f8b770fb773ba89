"""Labels from CVAT, "CVAT for images 1.1": its XML, or the zip with annotations.xml inside.

Boxes, polygons and masks are findings; points are landmarks; a tag says that the image shows something. A tag with an
attribute `answer` (present, absent, unsure) says that instead: what `learn suggest` exports is made so. What a model drew
there (source "auto") counts only where a person answered "present".
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError  # parsed by defusedxml

import numpy as np

from metalearner.labelling import Box, Labels, Mask, Points, ellipse, finite
from metalearner.labels.coco import outlines
from metalearner.labels.said import LabelsInvalid, Said, concept_of, marked, numbered

ANNOTATIONS = "annotations.xml"
MODEL = "auto"  # the source of what nobody drew
ANSWER, PRESENT, ABSENT, UNSURE = "answer", "present", "absent", "unsure"
_LARGEST_BYTES = 1 << 30


def read_cvat(path: Path, *, unmarked_is_absent: bool) -> list[Said]:
    """LabelsInvalid names the image by its number. unmarked_is_absent: each was looked through for all drawn labels."""
    root = _root(path)
    kinds = {
        (label.findtext("name") or ""): (label.findtext("type") or "any") for label in root.iterfind(".//meta//labels/label")
    }
    pointed = {point.get("label", "") for kind in ("points", "skeleton") for point in root.iterfind(f".//image/{kind}")}
    looked_for = [
        concept_of(name) for name, kind in kinds.items() if name not in pointed and kind not in ("points", "skeleton")
    ]
    found = []
    for image in root.iterfind("image"):
        try:
            labels = _labels(image, looked_for if unmarked_is_absent else [])
            size = (int(image.get("width", "0")), int(image.get("height", "0")))
        except (ValueError, KeyError) as error:
            raise LabelsInvalid(f"{path.name}, image {image.get('id')}: a mark cannot be read ({error})") from None
        if labels.classes or labels.points or labels.grades:
            place = f"image {image.get('id')}"
            found.append(Said(labels=labels, place=place, image=image.get("name", ""), size=size if all(size) else None))
    return found


def _root(path: Path) -> Element:
    import defusedxml  # part of the extra
    from defusedxml.ElementTree import fromstring

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inside = next((one for one in archive.infolist() if Path(one.filename).name == ANNOTATIONS), None)
                if inside is None or inside.file_size > _LARGEST_BYTES:
                    raise LabelsInvalid(f"{path.name}: holds no {ANNOTATIONS}; export it as CVAT for images 1.1")
                content = archive.read(inside)
        else:
            content = path.read_bytes()
        root: Element = fromstring(content)
    except (ParseError, zipfile.BadZipFile, defusedxml.DefusedXmlException) as error:
        raise LabelsInvalid(f"{path.name}: is no XML that can be read ({type(error).__name__})") from None
    if root.tag != "annotations":
        raise LabelsInvalid(f"{path.name}: is no CVAT for images 1.1, its first element is {root.tag}")
    return root


def _labels(image: Element, looked_for: list[str]) -> Labels:
    drawn_boxes: list[tuple[Box, bool]] = []
    drawn_masks: list[tuple[Mask, bool]] = []
    points: list[tuple[str, tuple[float, float]]] = []
    classes: dict[str, float] = {}
    unsure: set[str] = set()
    for mark in image:
        name = mark.get("label", "")
        concept = concept_of(name)
        by_model = mark.get("source") == MODEL
        if mark.tag == "box":
            edges = [finite(mark.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr")]
            box = Box(concept=concept, left=edges[0], top=edges[1], right=edges[2], bottom=edges[3])
            drawn_boxes.append((box, by_model))
        elif mark.tag in ("polygon", "ellipse", "mask"):
            drawn_masks.append((Mask(concept=concept, polygons=_rings(mark)), by_model))
        elif by_model and mark.tag in ("points", "skeleton"):
            continue
        elif mark.tag == "points":
            points += [(name, at) for at in _points(mark.attrib["points"])]
        elif mark.tag == "skeleton":
            points += [
                (point.get("label", ""), _points(point.attrib["points"])[0])
                for point in mark.iterfind("points")
                if point.get("outside") != "1"
            ]
        elif mark.tag == "tag":
            said = next((one.text or "" for one in mark.iterfind("attribute") if one.get("name") == ANSWER), PRESENT)
            if said.strip() in (PRESENT, ABSENT):
                classes[concept] = float(said.strip() == PRESENT)
            else:
                unsure.add(concept)
    boxes = [box for box, by_model in drawn_boxes if not by_model or classes.get(box.concept) == 1.0]
    masks = [mask for mask, by_model in drawn_masks if not by_model or classes.get(mask.concept) == 1.0]
    unsure -= {*(box.concept for box in boxes), *(mask.concept for mask in masks)}
    labels = marked(boxes=boxes, masks=masks, points=numbered(points), classes=classes, looked_for=looked_for)
    return replace(labels, classes={name: value for name, value in labels.classes.items() if name not in unsure})


def _points(given: str) -> Points:
    """ "x,y;x,y"."""
    pairs = [one.split(",") for one in given.split(";") if one]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError("points are x,y;x,y")
    return tuple((finite(column), finite(row)) for column, row in pairs)


def _rings(mark: Element) -> tuple[Points, ...]:
    if mark.tag == "polygon":
        ring = _points(mark.attrib["points"])
        if len(ring) < 3:
            raise ValueError("a polygon has at least three points")
        return (ring,)
    if mark.tag == "ellipse":
        column, row, across, down = (finite(mark.attrib[key]) for key in ("cx", "cy", "rx", "ry"))
        return (ellipse((column, row), (across, 0.0), (0.0, down)),)
    left, top, width, height = (int(finite(mark.attrib[key])) for key in ("left", "top", "width", "height"))
    runs = [int(one) for one in mark.attrib["rle"].split(",")]
    if sum(runs) != width * height or min(runs) < 0:
        raise ValueError("the run lengths do not fill the mask")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)  # the first run is outside
    return tuple(tuple((column + left, row + top) for column, row in ring) for ring in outlines(inside))
