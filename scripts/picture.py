"""Make README's picture: the overlay of a synthetic dog's lateral thorax. `make picture`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from domain.types import DocumentKind, Language, Species, Style
from inference.engine import Engine
from inference.package import find_packages
from node.offline import analyse_files
from phantoms.study import make_study
from sr_writer.picture import overlay_picture

SEED = 7
WIDTH = 1100


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_study(SEED, directory=folder / "study", views=("lateral-right",))
        analysis = analyse_files(
            paths,
            Engine(find_packages(), threads=2),
            style=Style(language=Language.ENGLISH),
            directory=folder / "out",
            assumed_species=Species.DOG,
        )
        (overlay,) = (
            document for study in analysis.studies for document in study.documents if document.kind is DocumentKind.SC
        )
        picture = overlay_picture(overlay.path)
        picture.resize((WIDTH, picture.height * WIDTH // picture.width)).save(target, quality=85, optimize=True)
    print(f"{target} written")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
