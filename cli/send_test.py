"""`send-test`: a labelled test study into a PACS, so that IT staff can see in their viewer what it shows, and out again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cli.common import DEFAULT_FILE, ConfigOption, console, errors, settings_from
from config.settings import Destination, Settings
from delivery.find import Whereabouts, find_filed
from delivery.store import StoreState, store
from domain.errors import HoundsfieldError, NotFound
from domain.identity import Identity
from domain.types import Document, Species, Style
from inference.engine import Engine
from node.models import threads_for_one_run, used_packages
from node.offline import NO_DATE, analyse_files
from node.writing import Writing
from phantoms.study import make_study
from sr_writer.selection import Rejection, write_rejection

SEED = 7
ROWS, COLUMNS = 900, 1100


class TestNotFiled(HoundsfieldError):
    """The destination did not take every object of the test."""


def send_test(
    name: Annotated[str, typer.Argument(metavar="DESTINATION", help="Name of a [[destination]].")],
    config: ConfigOption = DEFAULT_FILE,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the test's results back.")] = False,
) -> None:
    """File a synthetic study with its results, to be looked at in the viewer; --withdraw takes the results back."""
    settings = settings_from(config)
    to = next((each for each in settings.destination if each.name == name), None)
    if to is None:
        known = ", ".join(each.name for each in settings.destination) or "none"
        raise NotFound(f"no [[destination]] is called {name!r}; known: {known}")
    with tempfile.TemporaryDirectory() as folder, errors.status("Making the test study"):
        images, results = _make(settings, to, Path(folder))
        if withdraw:
            _send(settings, to, [_rejection(results, Path(folder)).path])
            console.print(
                f"A rejection note for {len(results)} results is in {name}: a PACS that knows IHE IOCM hides them."
            )
            console.print("Others keep them: delete the study of the patient below there.")
        else:
            _send(settings, to, [*images, *(document.path for document in results)])
            found = _found(settings, to, results)
            console.print(f"{len(images)} images and {len(results)} results are in {name}; {found} found again by C-FIND.")
            console.print("Look at them in the viewer; afterwards: houndsfield send-test " + name + " --withdraw")
    console.print("Patient: Phantom^Dog (a synthetic animal). AI – not a diagnosis.")


def _make(settings: Settings, to: Destination, folder: Path) -> tuple[list[Path], list[Document]]:
    """The same study, results and UIDs at every call, in the destination's own style."""
    images = make_study(SEED, directory=folder / "study", rows=ROWS, columns=COLUMNS)
    alone = settings.model_copy(update={"destination": (to,)})
    results = folder / "results"
    results.mkdir()
    analysis = analyse_files(
        images,
        Engine(used_packages(settings), threads=threads_for_one_run(1)),
        writing=Writing(settings=alone, identity=Identity(), results=results),
        assumed_species=Species.DOG,
    )
    return images, [document for study in analysis.studies for document in study.documents]


def _rejection(results: list[Document], folder: Path) -> Document:
    first = results[0]
    return write_rejection(
        results,
        why=Rejection.QUALITY,
        source=next(folder.glob("study/*.dcm")),
        study_instance_uid=first.study_instance_uid,
        identity=Identity(),
        style=Style(),
        directory=folder,
        number=1,
        made_at=NO_DATE,
    )


def _send(settings: Settings, to: Destination, paths: list[Path]) -> None:
    peer = to.peer(settings.node.ae_title)
    for result in store(paths, peer, timeout_seconds=to.timeout_seconds):
        if result.state is not StoreState.STORED:
            raise TestNotFiled(result.reason)


def _found(settings: Settings, to: Destination, results: list[Document]) -> int:
    wanted = [
        Whereabouts(
            study_instance_uid=document.study_instance_uid,
            series_instance_uid=document.series_instance_uid,
            sop_instance_uid=document.ref.sop_instance_uid,
        )
        for document in results
    ]
    return len(find_filed(wanted, to.peer(settings.node.ae_title), timeout_seconds=to.timeout_seconds))
