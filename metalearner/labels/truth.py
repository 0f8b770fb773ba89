"""What is true of phantoms: `truth.json` beside their files (`phantoms.study`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from domain.codes import VHS
from domain.types import Region, View
from metalearner.labelling import Box, Labels, Mask, finite
from metalearner.labels.said import LabelsInvalid, Said, numbered
from phantoms.lesions import GRADES, Lesion, drawn_in, shows
from phantoms.study import TRUTH_FILE

SOURCE = "phantoms"
_LINES = ("long_axis", "short_axis", "vertebral_edges")


def read_truth(path: Path) -> list[Said]:
    """Of one study's truth.json, or of all below a folder."""
    found = []
    for file in sorted(path.rglob(TRUTH_FILE)) if path.is_dir() else [path]:
        where = f"{file.parent.name}/{file.name}"
        try:
            for number, image in enumerate(json.loads(file.read_text(encoding="utf-8"))["images"], start=1):
                name = (file.parent / image["file"]).as_posix()
                found.append(Said(labels=_labels(image), place=f"{where}, image {number}", image=name))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise LabelsInvalid(f"{where}: is no JSON") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LabelsInvalid(f"{where}: is no truth of phantoms ({error})") from error
    return found


def _labels(image: dict[str, Any]) -> Labels:
    """Without findings nothing is known of any: keys were added with time."""
    findings = image.get("findings") or []
    classes = dict.fromkeys(_could_show(image) if "findings" in image else (), 0.0)
    classes.update({one["concept"]: 1.0 for one in findings})
    grades: dict[str, int] = {}
    for one in findings:
        if one.get("grade"):
            grades[one["concept"]] = max(int(one["grade"]), grades.get(one["concept"], 0))
    lines = {**(image.get("landmarks") or {}), **{name: image.get(name) or [] for name in _LINES}}
    points = [(name, (finite(column), finite(row))) for name, line in lines.items() for column, row in line]
    measures = {name: finite(value) for name, value in (image.get("measures") or {}).items() if value is not None}
    if image.get("vhs") is not None:
        measures[VHS.value] = finite(image["vhs"])
    return Labels(
        image="",
        source=SOURCE,
        classes=classes,
        points=numbered(points),
        boxes=tuple(_box(one["concept"], one["box"]) for one in findings if one.get("box")),
        masks=tuple(
            Mask(
                concept=one["concept"],
                polygons=tuple(tuple((finite(x), finite(y)) for x, y in ring) for ring in one["polygons"]),
            )
            for one in findings
            if one.get("polygons")
        ),
        grades=grades,
        measures=measures,
    )


def _could_show(image: dict[str, Any]) -> list[str]:
    """Findings that the film would show if the animal had them; what it has and this film hides is unknown."""
    hidden = {one["concept"] for one in image.get("not_shown") or ()}
    view = View(image["view"])
    known = drawn_in(Region(image["region"]), image.get("part") or "")
    return [
        concept for concept in known if concept not in hidden and shows(Lesion(concept=concept, grade=max(GRADES)), view)
    ]


def _box(concept: str, edges: list[float]) -> Box:
    left, top, right, bottom = map(finite, edges)
    return Box(concept=concept, left=left, top=top, right=right, bottom=bottom)
