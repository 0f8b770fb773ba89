"""Studies of phantoms on disk: DX files and, beside them, what is true of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from domain.types import Region, Species, View
from phantoms.anatomy import draw_body
from phantoms.build import draw_build
from phantoms.dx import Animal, picture_of, picture_of_film, write_dx
from phantoms.lesions import Lesion
from phantoms.radiographs import FILMS, Facts, Film, Wish, expose
from phantoms.solids import FloatArray
from phantoms.views import Truth, render

TRUTH_FILE = "truth.json"
STUDY_VARIETY = 0.35  # exposures of an ordinary working day; training meets every mishap


def make_study(
    seed: int,
    *,
    directory: Path,
    rows: int = 1200,
    columns: int = 1500,
    views: Sequence[str] = ("lateral-right", "lateral-left", "ventrodorsal"),
) -> list[Path]:
    """Write the study of a seed into `directory`: one DX file a view, and `truth.json`. The same seed, the same bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    animal = Animal(seed=seed, unit_mm=draw_body(seed).unit_mm)
    paths: list[Path] = []
    images: list[dict[str, Any]] = []
    for number, view in enumerate(views, start=1):
        height, width = (columns, rows) if view == "ventrodorsal" else (rows, columns)  # a VD film stands upright
        phantom = render(seed, view=view, rows=height, columns=width, variety=STUDY_VARIETY)
        path = directory / f"{number:02d}-{view}.dcm"
        write_dx(picture_of(phantom), animal=animal, number=number, path=path)
        paths.append(path)
        images.append({"file": path.name, **truth_as_json(phantom.truth)})
    content = {"seed": seed, "synthetic": True, "images": images}
    (directory / TRUTH_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return paths


def make_studies(count: int, *, seed: int, directory: Path, rows: int = 1200, columns: int = 1500) -> list[Path]:
    """Studies of the seeds from `seed` on, each in its own `study-NNNNNN`."""
    return [
        path
        for one in range(seed, seed + count)
        for path in make_study(one, directory=directory / f"study-{one:06d}", rows=rows, columns=columns)
    ]


def make_films(
    seed: int,
    *,
    directory: Path,
    region: Region,
    species: Species,
    views: Sequence[View] = (),
    part: str = "stifle",
    rows: int = 1200,
    columns: int = 1500,
    variety: float = STUDY_VARIETY,
    findings: tuple[Lesion, ...] | None = None,
) -> list[Path]:
    """Write a study of one region of a dog or a cat into `directory`: one DX file a view, and `truth.json`.

    views: all that are taken of the region, where none is named. part: of a limb, see `scenes.PARTS`. findings: what the
    animal has, see `radiographs.Wish`. The same seed, the same bytes. ValueError for a view that is not taken of the region,
    or a finding that is not drawn in it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    animal = Animal(seed=seed, unit_mm=draw_build(seed, species).unit_mm, species=species)
    paths: list[Path] = []
    images: list[dict[str, Any]] = []
    for number, view in enumerate(views or FILMS.get(region, (View.OTHER,)), start=1):
        upright = view not in (View.RIGHT_LATERAL, View.LEFT_LATERAL)
        height, width = (columns, rows) if upright else (rows, columns)
        wish = Wish(region=region, view=view, species=species, part=part, rows=height, columns=width, variety=variety)
        film = expose(seed, replace(wish, findings=findings))
        path = directory / f"{number:02d}-{part if region is Region.LIMB else region.value}-{view.value}.dcm"
        write_dx(picture_of_film(film), animal=animal, number=number, path=path)
        paths.append(path)
        images.append({"file": path.name, **facts_as_json(film.facts), **findings_as_json(film)})
    content = {"seed": seed, "synthetic": True, "species": species.value, "images": images}
    (directory / TRUTH_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return paths


def facts_as_json(facts: Facts) -> dict[str, Any]:
    """Points are [column, row] from the outer corner of the first pixel; null where readers would differ."""
    wish = facts.wish
    landmarks = {
        name: [[round(float(column), 3), round(float(row), 3)] for column, row in points]
        for name, points in facts.landmarks.items()
    }
    return {
        "region": wish.region.value,
        "view": wish.view.value,
        "part": wish.part if wish.region is Region.LIMB else None,
        "spacing_mm": round(facts.spacing_mm, 6),
        "cropped": facts.cropped,
        "rotated_body": facts.rotated,
        "exposure": wish.exposure,
        "landmarks": landmarks,
    }


def findings_as_json(film: Film) -> dict[str, Any]:
    """What the film shows and measures, and what the animal has that it does not show; nothing for a film of no findings'
    animal. Boxes are left, top, right, bottom; all points from the outer corner of the first pixel."""
    if film.facts.wish.findings is None:
        return {}
    return {
        "findings": [
            {
                "concept": shown.concept,
                "grade": shown.grade,
                "site": shown.site.value if shown.site else None,
                "laterality": shown.laterality or None,
                "box": list(shown.box),
                "polygons": [[list(point) for point in polygon] for polygon in shown.polygons],
            }
            for shown in film.findings
        ],
        "not_shown": [{"concept": lesion.concept, "grade": lesion.grade} for lesion in film.facts.hidden],
        "measures": {name: round(value, 3) for name, value in film.facts.measures.items()},
    }


def truth_as_json(truth: Truth) -> dict[str, Any]:
    """Points are [column, row] from the outer corner of the first pixel."""

    def rounded(points: FloatArray | None) -> list[list[float]] | None:
        return None if points is None else [[round(float(c), 3), round(float(r), 3)] for c, r in points]

    return {
        "view": truth.view,
        "measurable": truth.is_measurable,
        "spacing_mm": round(truth.spacing_mm, 6),
        "vhs": None if truth.vhs is None else round(truth.vhs, 3),
        "long_axis": rounded(truth.long_axis),
        "short_axis": rounded(truth.short_axis),
        "vertebral_edges": rounded(truth.vertebral_edges),
    }
