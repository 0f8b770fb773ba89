"""`phantom make`: synthetic studies with their ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from cli.common import console, errors
from domain.types import Region, Species, View
from phantoms.lesions import Lesion, draw_findings, drawn_in
from phantoms.radiographs import FILMS
from phantoms.scenes import PARTS
from phantoms.study import make_films, make_study

app = typer.Typer(help="Synthetic radiographs with exact ground truth.", no_args_is_help=True)


@app.command("make")
def make(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    count: Annotated[int, typer.Option("--count", min=1, help="How many studies.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first study's seed; the next has the next.")] = 0,
    rows: Annotated[int, typer.Option("--rows", min=64, max=6000, help="Image height in pixels.")] = 1200,
    columns: Annotated[int, typer.Option("--columns", min=64, max=6000, help="Image width in pixels.")] = 1500,
    region: Annotated[
        Region | None, typer.Option("--region", help="Body region. Without any: a dog's thorax with its heart's measures.")
    ] = None,
    view: Annotated[list[View] | None, typer.Option("--view", help="One or several; all of the region without any.")] = None,
    species: Annotated[Species | None, typer.Option("--species", help="dog or cat.")] = None,
    part: Annotated[str | None, typer.Option("--part", help=f"Of a limb: {', '.join(PARTS)}.")] = None,
    findings: Annotated[
        bool, typer.Option("--findings", help="Draw findings as clinics meet them; a third of the animals has none.")
    ] = False,
    finding: Annotated[
        list[str] | None,
        typer.Option("--finding", help="CONCEPT:GRADE, such as FRACTURE:2; 1 mild, 2 moderate, 3 severe. One or several."),
    ] = None,
) -> None:
    """Write synthetic studies as DICOM, each with its ground truth in truth.json. The same seed makes the same bytes.

    With findings, truth.json gives of each film what it shows (concept, grade, box, polygons), what the animal has that
    it does not show, and what it measures.
    """
    plain = region is None and not view and species is None and part is None and not findings and not finding
    if part is not None and part not in PARTS:
        raise typer.BadParameter(f"there is no part {part}: one of {', '.join(PARTS)}", param_hint="--part")
    if species is Species.OTHER:
        raise typer.BadParameter("phantoms are dogs or cats", param_hint="--species")
    shown = region or (Region.LIMB if part else Region.THORAX)
    if part is not None and shown is not Region.LIMB:
        raise typer.BadParameter("only a limb has parts", param_hint="--part")
    unknown = [one.value for one in view or () if one not in FILMS.get(shown, ())]
    if shown not in FILMS or unknown:
        taken = "; ".join(f"{one.value}: {', '.join(v.value for v in views)}" for one, views in FILMS.items())
        raise typer.BadParameter(
            f"no phantom shows {shown.value} {' '.join(unknown)}; there are {taken}", param_hint="--view"
        )
    known = drawn_in(shown, part or "stifle")
    if (findings or finding) and not known:
        raise typer.BadParameter(f"no findings are drawn in {part or shown.value}", param_hint="--findings")
    if findings and finding:
        raise typer.BadParameter("either --findings or --finding", param_hint="--findings")
    wanted = tuple(_lesion(text, known) for text in finding or ())
    written = 0
    for number in track(
        range(seed, seed + count), description="Phantoms", console=errors, transient=True, disable=not errors.is_terminal
    ):
        directory = out / f"study-{number:06d}"
        if plain:
            written += len(make_study(number, directory=directory, rows=rows, columns=columns))
        else:
            written += len(
                make_films(
                    number,
                    directory=directory,
                    region=shown,
                    species=species or Species.DOG,
                    views=view or (),
                    part=part or "stifle",
                    rows=rows,
                    columns=columns,
                    findings=wanted or (_drawn(number, shown, part, species) if findings else None),
                )
            )
    console.print(f"{written} images of {count} studies in {out}")


def _drawn(seed: int, region: Region, part: str | None, species: Species | None) -> tuple[Lesion, ...]:
    return draw_findings(seed, region, part or "stifle", species or Species.DOG)


def _lesion(text: str, known: tuple[str, ...]) -> Lesion:
    concept, _, grade = text.partition(":")
    if concept not in known or grade not in ("1", "2", "3"):
        raise typer.BadParameter(
            f"{text} is no finding that is drawn there: one of {', '.join(known)}, then :1, :2 or :3", param_hint="--finding"
        )
    return Lesion(concept=concept, grade=int(grade))
