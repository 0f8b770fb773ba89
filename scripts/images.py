"""What becomes of each shared test file, as a table: `make images`. Without those files nothing is written."""

from __future__ import annotations

import sys
from pathlib import Path

from domain import terms
from domain.errors import ImageUnreadable
from domain.types import Language
from inference.reading import NotAnImage, read_radiograph

DATA = Path(__file__).parents[2] / "shared" / "data"
HEAD = """# What becomes of odd images

Of 53 files that real systems send, radiographs and others, whole and damaged: what is shown, what is refused, and why.
Written by `make images`; a test keeps it true. `view` is what the header claims, before the pixels are asked; `spacing` says
what the header's millimetres mean. Of several frames one is shown: the representative one if the object names it, the
middle of a run (fluoroscopy, cine), else the first. What a person expects of each file is in
`tests/unit/inference/shared_images.toml`.

| file | outcome | rows × columns | decoder | view | spacing | notes |
|---|---|---|---|---|---|---|
"""


def table(folder: Path) -> str:
    return HEAD + "".join(_row(path) for path in sorted(folder.glob("*.dcm")))


def _row(path: Path) -> str:
    """No value of a header stands in it but size, view and spacing."""
    try:
        found = read_radiograph(path, assumed_species=None)
    except NotAnImage:
        return f"| {path.name} | no image | | | | | the object holds no image |\n"
    except ImageUnreadable as error:
        return f"| {path.name} | refused | | | | | {error} |\n"
    notes = ["captured: text may be burned in"] if found.burned_in else []
    if found.frames > 1:
        notes.append(f"frame {found.ref.frame_number} of {found.frames}")
    view = terms.name(found.view, Language.ENGLISH) if found.view else ""
    spacing = terms.source(found.spacing_source, Language.ENGLISH) if found.spacing_mm else "none"
    size = f"{found.rows} × {found.columns}"
    return f"| {path.name} | shown | {size} | {found.decoder} | {view} | {spacing} | {'; '.join(notes)} |\n"


if __name__ == "__main__":
    if not DATA.is_dir():
        sys.exit("the shared test images are not here")
    Path(sys.argv[1]).write_text(table(DATA), encoding="utf-8")
