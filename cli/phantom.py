"""`phantom make`: synthetic studies with their ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from cli.common import console, errors
from phantoms.study import make_study

app = typer.Typer(help="Synthetic radiographs with exact ground truth.", no_args_is_help=True)


@app.command("make")
def make(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    count: Annotated[int, typer.Option("--count", min=1, help="How many studies.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first study's seed; the next has the next.")] = 0,
    rows: Annotated[int, typer.Option("--rows", min=64, max=6000, help="Image height in pixels.")] = 1200,
    columns: Annotated[int, typer.Option("--columns", min=64, max=6000, help="Image width in pixels.")] = 1500,
) -> None:
    """Write synthetic studies as DICOM, each with its ground truth in truth.json. The same seed makes the same bytes."""
    written = 0
    for number in track(
        range(seed, seed + count), description="Phantoms", console=errors, transient=True, disable=not errors.is_terminal
    ):
        written += len(make_study(number, directory=out / f"study-{number:06d}", rows=rows, columns=columns))
    console.print(f"{written} images of {count} studies in {out}")
