"""A collection that is learnt in seconds: an oval in which there may be a bright blob, and everything is known of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from factories import dx_file, gradient

from metalearner.collection import Box, Case, Collection, Labels, Mask, Part

BLOB, PLATE = "CARDIOMEGALY", "27925004"  # a round bright blob; a bright corner, which marks nothing else
ROWS, COLUMNS = 120, 150
PARTS = (Part.TRAIN, Part.TRAIN, Part.TRAIN, Part.VALIDATION, Part.TEST)


def blobs(root: Path, count: int, *, seed: int = 0) -> Collection:
    """Every second image has a blob, every third a bright corner; of every tenth nobody has said so."""
    rng = np.random.default_rng(seed)
    cases, labels, split = [], [], {}
    for number in range(count):
        image, patient = f"1.2.3.{seed}.{number}", f"{number:016x}"
        x, y, radius = rng.uniform(45, 105), rng.uniform(40, 80), rng.uniform(9, 14)
        has_blob, has_corner = number % 2 == 0, number % 3 == 0
        pixels = gradient(ROWS, COLUMNS, seed=number + 1).astype(np.float64) * 0.6
        row, column = np.mgrid[0.5:ROWS, 0.5:COLUMNS]
        if has_blob:
            pixels[np.hypot(column - x, row - y) < radius] += 20000
        if has_corner:
            pixels[:24, :30] += 25000
        file = f"images/{image}.dcm"
        dx_file(
            root / file, pixels=np.clip(pixels, 0, 65535).astype(np.uint16), study=1000 * seed + number, instance=number + 1
        )
        cases.append(
            Case(
                image=image,
                file=file,
                patient=patient,
                study=f"1.2.4.{seed}.{number}",
                species="dog",
                view="right-lateral",
                region="thorax",
                rows=ROWS,
                columns=COLUMNS,
            )
        )
        ring = tuple((x + radius * math.cos(a / 8 * math.pi), y + radius * math.sin(a / 8 * math.pi)) for a in range(16))
        box = Box(concept=BLOB, left=x - radius, top=y - radius, right=x + radius, bottom=y + radius)
        said = {BLOB: float(has_blob), PLATE: float(has_corner)}
        if number % 10 == 9:
            del said[PLATE]
        labels.append(
            Labels(
                image=image,
                source="made",
                classes=said,
                points={"centre": (x, y), "right": (x + radius, y)} if has_blob else {},
                boxes=(box,) if has_blob else (),
                masks=(Mask(concept=BLOB, polygons=(ring,)),) if has_blob else (),
            )
        )
        split[patient] = PARTS[(number // 6) % len(PARTS)]
    collection = Collection(
        root=root,
        name="blobs",
        made_at="2026-11-22T00:00:00+00:00",
        cases=tuple(cases),
        labels=tuple(labels),
        split=split,
    )
    collection.save()
    return collection


def task_text(kind: str, *, steps: int = 40, **more: str) -> str:
    """A task.toml of it. more: lines of its own, by section ("search", "augmentation", "input")."""
    asked = f'concepts = ["{BLOB}", "{PLATE}"]' if kind in ("classification", "findings") else f'concepts = ["{BLOB}"]'
    if kind == "landmarks":
        asked = 'points = ["centre", "right"]\nconcept = { value = "ENDS", scheme = "99HNDSFLD", meaning = "Ends" }'
    return f"""format = 1
name = "blobs"
kind = "{kind}"
{asked}
regions = ["thorax"]
views = ["lateral"]
species = ["dog"]
[input]
sizes = [[64, 96]]
{more.get("input", "")}
[search]
families = ["unet"]
widths = ["small"]
losses = ["bce"]
trials = 1
batch = 8
steps = {steps}
{more.get("search", "")}
[augmentation]
turn_degrees = 5
{more.get("augmentation", "")}
"""
