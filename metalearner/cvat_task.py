"""Images to be labelled, as CVAT takes them: pictures, the labels to create, and annotations with the model's guesses.

A guess is not an answer: each concept's tag comes as "unsure" with the model's percentage beside it, and what the model drew
is marked as drawn by a machine. `metalearner.labels.cvat` takes back what a person answered, and a machine's outlines only
where a person said that the finding is present.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from PIL import Image

from domain import terms
from domain.codes import FINDINGS
from domain.types import FindingOutcome, Language, Shape
from inference.reading import read_radiograph
from metalearner.collection import Collection
from metalearner.labels.cvat import ABSENT, ANNOTATIONS, ANSWER, PRESENT, UNSURE
from metalearner.suggesting import Guess

LABELS = "labels.json"
LONGEST_SIDE = 2048
GUESS = "model"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def write_task(
    path: Path, collection: Collection, guesses: Sequence[Guess], *, told: Callable[[int], None] | None = None
) -> None:
    """A zip of images/*.png, annotations.xml and labels.json (for "Raw" in CVAT's constructor). Whole or not at all."""
    concepts = list(dict.fromkeys(concept for guess in guesses for concept in guess.probabilities))
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    _labels(SubElement(SubElement(SubElement(root, "meta"), "task"), "labels"), concepts)
    beside = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, guess in enumerate(guesses):
            picture = _picture(collection.path(guess.image))
            held = io.BytesIO()
            picture.save(held, "PNG")
            archive.writestr(f"images/{guess.image}.png", held.getvalue(), zipfile.ZIP_STORED)
            _image(root, number, guess, picture.size, collection.by_image[guess.image].columns, concepts)
            if told is not None:
                told(number + 1)
        archive.writestr(ANNOTATIONS, b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="utf-8"))
        archive.writestr(
            LABELS, json.dumps([_raw(concept, i) for i, concept in enumerate(concepts)], ensure_ascii=False, indent=1)
        )
    os.replace(beside, path)  # noqa: PTH105  over one that was there


def name_of(concept: str) -> str:
    """What a person reads in CVAT; `labels.said.concept_of` knows it again."""
    return next((terms.concept(term.code, Language.ENGLISH) for term in FINDINGS if term.code.value == concept), concept)


def _picture(path: Path) -> Image.Image:
    """As displayed, 8 bits, no longer than LONGEST_SIDE."""
    pixels = read_radiograph(path, assumed_species=None).pixels
    picture = Image.fromarray(np.round(pixels * 255).astype(np.uint8))
    scale = LONGEST_SIDE / max(picture.size)
    if scale < 1:
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    return picture


def _labels(parent: Element, concepts: Sequence[str]) -> None:
    for number, concept in enumerate(concepts):
        raw = _raw(concept, number)
        label = SubElement(parent, "label")
        SubElement(label, "name").text = raw["name"]
        SubElement(label, "color").text = raw["color"]
        SubElement(label, "type").text = raw["type"]
        attributes = SubElement(label, "attributes")
        for given in raw["attributes"]:
            attribute = SubElement(attributes, "attribute")
            for key in ("name", "mutable", "input_type", "default_value"):
                SubElement(attribute, key).text = str(given[key])
            SubElement(attribute, "values").text = "\n".join(given["values"])


def _raw(concept: str, number: int) -> dict:  # type: ignore[type-arg]
    """A label as CVAT's constructor takes it. A tag, a box and a polygon may have it."""
    return {
        "name": name_of(concept),
        "color": _COLOURS[number % len(_COLOURS)],
        "type": "any",
        "attributes": [
            {
                "name": ANSWER,
                "mutable": False,
                "input_type": "select",
                "default_value": UNSURE,
                "values": [UNSURE, PRESENT, ABSENT],
            },
            {"name": GUESS, "mutable": False, "input_type": "text", "default_value": "", "values": [""]},
        ],
    }


def _image(root: Element, number: int, guess: Guess, size: tuple[int, int], columns: int, concepts: Sequence[str]) -> None:
    named = {"id": str(number), "name": f"{guess.image}.png", "width": str(size[0]), "height": str(size[1])}
    image = SubElement(root, "image", named)
    for concept in concepts:
        if concept in guess.probabilities:
            tag = SubElement(image, "tag", {"label": name_of(concept), "source": "auto"})
            SubElement(tag, "attribute", {"name": ANSWER}).text = UNSURE
            SubElement(tag, "attribute", {"name": GUESS}).text = f"{guess.probabilities[concept]:.0%}"
    scale = size[0] / columns
    for finding in guess.findings:
        if finding.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN):
            for shape in finding.regions:
                _shape(image, name_of(finding.concept.value), shape, scale)


def _shape(image: Element, label: str, shape: Shape, scale: float) -> None:
    points = [(column * scale, row * scale) for column, row in shape.points]
    ring = points[:-1] if points[0] == points[-1] else points
    drawn = {"label": label, "source": "auto", "occluded": "0", "z_order": "0"}
    if shape.graphic_type != "POLYLINE" or len(ring) < 3:
        return
    columns, rows = [at[0] for at in ring], [at[1] for at in ring]
    if len(ring) == 4 and len(set(columns)) == len(set(rows)) == 2:
        edges = {"xtl": min(columns), "ytl": min(rows), "xbr": max(columns), "ybr": max(rows)}
        SubElement(image, "box", {**drawn, **{key: f"{value:.2f}" for key, value in edges.items()}})
    else:
        SubElement(image, "polygon", {**drawn, "points": ";".join(f"{column:.2f},{row:.2f}" for column, row in ring)})
