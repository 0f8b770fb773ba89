"""Phantoms beside radiographs, to be judged by eye: `make -C models contact-sheet`.

The sheet holds pixels of whatever radiographs it is given: it belongs in a folder of its own, never in the repository.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from domain.codes import FINDINGS
from domain.errors import HoundsfieldError
from domain.types import Region, Species, View
from inference.plane import fit
from inference.reading import read_radiograph
from phantoms.lesions import (
    AGGRESSIVE,
    FRACTURE,
    HIP_DYSPLASIA,
    PATELLA_LUXATION,
    SKELETON,
    STIFLE_EFFUSION,
    THORAX,
    TRACHEA,
    Lesion,
)
from phantoms.radiographs import FILMS, Wish, expose
from phantoms.scenes import PARTS

TILE, GAP, ACROSS = 300, 16, 6
Grays = npt.NDArray[np.float32]
TERMS = {term.code.value: term.english for term in FINDINGS}


def radiographs(directory: Path) -> Iterator[tuple[str, Grays]]:
    """What can be read there, by file name: DICOM files, and pictures."""
    for path in sorted(directory.rglob("*")):
        if path.suffix == ".dcm":
            try:
                yield path.stem, read_radiograph(path, assumed_species=None).pixels
            except HoundsfieldError as refusal:
                print(f"{path.name}: {refusal}")
        elif path.suffix == ".png":
            yield path.stem, np.asarray(Image.open(path).convert("L"), dtype=np.float32) / np.float32(255)


def phantoms(seed: int, variety: float) -> Iterator[tuple[str, Grays]]:
    """A dog and a cat of every region and view, and every part of a limb."""
    for region, views in FILMS.items():
        for view in views:
            for part in PARTS if region is Region.LIMB else PARTS[:1]:
                for species in (Species.DOG, Species.CAT):
                    wish = Wish(region=region, view=view, species=species, part=part, variety=variety)
                    name = f"{species.value} {part if region is Region.LIMB else region.value} {view.value}"
                    yield name, expose(seed, wish).pixels


def findings(seed: int, variety: float) -> Iterator[tuple[str, Grays]]:
    """Of each finding a row: without it, mild and severe, then the same of a cat or from another side."""
    for concept in (*THORAX, *SKELETON):
        for species, region, view, part in _seen_in(concept):
            shown = part if region is Region.LIMB else region.value
            name = f"{species.value} {shown} {view.value}"
            for grade in (0, 1, 3):
                found = (Lesion(concept=concept, grade=grade),) if grade else ()
                wish = Wish(region=region, view=view, species=species, part=part, variety=variety, findings=found)
                state = {0: "without", 1: "mild", 3: "severe"}[grade]
                yield f"{TERMS[concept]}, {state}: {name}", expose(seed, wish).pixels


def _seen_in(concept: str) -> tuple[tuple[Species, Region, View, str], ...]:
    """Two animals or views that show it."""
    dog, cat = Species.DOG, Species.CAT
    if concept == TRACHEA:
        return (dog, Region.THORAX, View.RIGHT_LATERAL, "stifle"), (cat, Region.THORAX, View.LEFT_LATERAL, "stifle")
    if concept in THORAX:
        return (dog, Region.THORAX, View.RIGHT_LATERAL, "stifle"), (cat, Region.THORAX, View.VENTRODORSAL, "stifle")
    if concept == HIP_DYSPLASIA:
        return (dog, Region.PELVIS, View.VENTRODORSAL, "stifle"), (cat, Region.PELVIS, View.VENTRODORSAL, "stifle")
    if concept == PATELLA_LUXATION:
        return (dog, Region.LIMB, View.CRANIOCAUDAL, "stifle"), (dog, Region.LIMB, View.MEDIOLATERAL, "stifle")
    if concept in (FRACTURE, AGGRESSIVE):
        return (dog, Region.LIMB, View.MEDIOLATERAL, "femur"), (cat, Region.LIMB, View.CRANIOCAUDAL, "radius")
    other = (dog, Region.PELVIS, View.VENTRODORSAL, "stifle")
    return (dog, Region.LIMB, View.MEDIOLATERAL, "stifle"), (
        other if concept != STIFLE_EFFUSION else (cat, Region.LIMB, View.MEDIOLATERAL, "stifle")
    )


def sheet(pictures: list[tuple[str, Grays]]) -> Image.Image:
    rows = -(-len(pictures) // ACROSS)
    page = Image.new("L", (ACROSS * TILE, rows * (TILE + GAP)))
    draw = ImageDraw.Draw(page)
    for i, (name, pixels) in enumerate(pictures):
        left, top = i % ACROSS * TILE, i // ACROSS * (TILE + GAP)
        tile = fit(pixels, pixel_aspect=1.0, rows=TILE, columns=TILE, low_percent=0.5, high_percent=99.5).values
        page.paste(Image.fromarray((tile * 255).astype(np.uint8)), (left, top + GAP))
        draw.text((left + 3, top + 2), name[:50], fill=255)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description="Phantoms beside radiographs, on one page.")
    parser.add_argument("--radiographs", type=Path, help="a folder of DICOM or PNG files")
    parser.add_argument("--out", type=Path, required=True, help="the page, .png")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variety", type=float, default=0.35, help="0 a textbook film, 1 everything that happens to one")
    parser.add_argument("--findings", action="store_true", help="only the rows of findings, beside the radiographs")
    arguments = parser.parse_args()
    pictures = list(radiographs(arguments.radiographs)) if arguments.radiographs else []
    if not arguments.findings:
        pictures += phantoms(arguments.seed, arguments.variety)
    pictures += [("", np.zeros((TILE, TILE), np.float32))] * (-len(pictures) % ACROSS)  # findings begin a row
    pictures += findings(arguments.seed, arguments.variety)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(pictures).save(arguments.out)
    print(f"{arguments.out}: {len(pictures)} pictures")


if __name__ == "__main__":
    main()
