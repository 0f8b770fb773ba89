"""`send-test`: a labelled test study to a destination, so that IT staff see in their viewer what it shows, and out again.

What was filed is remembered in `data_dir/send-test`, so that it can be named when it is withdrawn, by whatever version.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydicom import dcmread
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation

from cli.common import DEFAULT_FILE, ConfigOption, console, errors, settings_from
from config.settings import Destination, Settings
from delivery.destination import sender_for
from delivery.echo import sop_class_of
from delivery.result import StoreResult, StoreState
from delivery.sender import Sender
from domain.errors import HoundsfieldError, NotFound, PeerRefused
from domain.identity import Identity
from domain.types import Document, DocumentKind, InstanceRef, Species
from inference.engine import Engine
from node.models import threads_for_one_run, used_packages
from node.offline import analyse_files
from node.writing import Writing
from phantoms.study import make_study
from sr_writer.selection import Rejection, write_rejection

SEED = 7
ROWS, COLUMNS = 900, 1100
NAME, NUMBER, DESCRIPTION = "TEST^HOUNDSFIELD", "HOUNDSFIELD-TEST", "TEST - synthetic images, no animal"
MOST_READ_BACK_SECONDS = 20.0  # archives index late
FILED = "filed.json"


class TestNotFiled(HoundsfieldError):
    """The destination does not hold every object of the test."""


def send_test(
    name: Annotated[str, typer.Argument(metavar="DESTINATION", help="Name of a [[destination]].")],
    config: ConfigOption = DEFAULT_FILE,
    withdraw: Annotated[
        bool,
        typer.Option(
            "--withdraw",
            help="Send a rejection note that names all of it. A PACS without IHE IOCM keeps and shows it: delete it there.",
        ),
    ] = False,
) -> None:
    """File a study of synthetic images with its results, labelled TEST, to be looked at in the viewer."""
    settings = settings_from(config)
    to = next((each for each in settings.destination if each.name == name), None)
    if to is None:
        known = ", ".join(each.name for each in settings.destination) or "none"
        raise NotFound(f"no [[destination]] is called {name!r}; known: {known}")
    memory = Path(settings.node.data_dir) / "send-test" / uuid.uuid5(uuid.NAMESPACE_DNS, name).hex
    if withdraw:
        _withdraw(settings, to, memory)
    else:
        _file(settings, to, memory)


def _file(settings: Settings, to: Destination, memory: Path) -> None:
    sender = sender_for(to, calling_ae=settings.node.ae_title)
    with tempfile.TemporaryDirectory() as folder, errors.status("Making the test study") as doing:
        _check(settings, to, sender)
        now = datetime.now().astimezone()
        images = _images(Path(folder) / "study", now)
        results = _results(settings, to, [image.path for image in images], Path(folder) / "results")
        doing.update(f"Sending it to {to.name}")
        filed, refused = _send(sender, [*images, *results])
        if filed:
            _remember(memory / now.strftime("%Y%m%d-%H%M%S-%f"), filed)
        after = f"houndsfield send-test {to.name} --withdraw"
        if refused:
            known = f"{len(filed)} of {len(images) + len(results)} objects were filed; take them back with: {after}"
            raise TestNotFiled(f"{refused}; {known if filed else 'nothing was filed'}")
        doing.update("Looking for it there")
        said = _read_back(to, sender, filed)
    console.print(f"{len(images)} images and {len(results)} results are in {to.name}; {said}.")
    console.print(f"Patient {NAME}, ID {NUMBER}, study of {now:%Y-%m-%d}: {DESCRIPTION}. AI – not a diagnosis.")
    console.print(f"Look at it in the viewer; afterwards: {after}")


def _withdraw(settings: Settings, to: Destination, memory: Path) -> None:
    """Study by study; what was withdrawn is forgotten."""
    tests = sorted(memory.iterdir()) if memory.is_dir() else []
    if not tests:
        raise NotFound(f"no test that this node filed is known to be in {to.name}")
    sender = sender_for(to, calling_ae=settings.node.ae_title)
    for test in tests:
        filed = _remembered(test)
        if to.verify != "none" and not sender.found(filed):
            shutil.rmtree(test)
            raise TestNotFiled(f"none of the test's {len(filed)} objects is in {to.name} any more: nothing was withdrawn")
        with tempfile.TemporaryDirectory() as folder:
            note = write_rejection(
                filed,
                why=Rejection.QUALITY,
                source=filed[0].path,
                study_instance_uid=filed[0].study_instance_uid,
                identity=Identity(),
                style=to.style(settings.node.language),
                directory=Path(folder),
                number=1,
                made_at=datetime.now().astimezone(),
            )
            _, refused = _send(sender, [note])
        if refused:
            raise TestNotFiled(f"the rejection note was not taken: {refused}; delete patient ID {NUMBER} there by hand")
        shutil.rmtree(test)
        console.print(f"A rejection note for {len(filed)} objects is in {to.name}: a PACS that knows IHE IOCM hides them.")
    console.print(f"Others keep and show them: delete the patient with ID {NUMBER} there.")


def _check(settings: Settings, to: Destination, sender: Sender) -> None:
    """Nothing is filed where the whole would not be taken. Destinations that don't tell are asked by sending."""
    refused = {each.sop_class_uid: each.name for each in sender.check().capabilities if not each.accepted}
    style = to.style(settings.node.language)
    needed = [str(DigitalXRayImageStorageForPresentation), *(sop_class_of(kind, style) for kind in to.wanted)]
    missing = [refused[uid] for uid in needed if uid in refused]
    if missing:
        raise TestNotFiled(f"{to.name} does not accept {', '.join(missing)}; nothing was filed")


def _images(folder: Path, now: datetime) -> list[Document]:
    """Of the phantom, as a study of its own: today's, so that a worklist shows it, and labelled."""
    identity = Identity(namespace=uuid.uuid5(uuid.NAMESPACE_DNS, now.isoformat()))
    images = []
    for number, path in enumerate(make_study(SEED, directory=folder, rows=ROWS, columns=COLUMNS), 1):
        ds = dcmread(path)
        ds.PatientName, ds.PatientID, ds.StudyDescription = NAME, NUMBER, DESCRIPTION
        ds.StudyID = ds.AccessionNumber = ""
        for date in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
            setattr(ds, date, now.strftime("%Y%m%d"))
        for at in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
            setattr(ds, at, now.strftime("%H%M%S"))
        ds.StudyInstanceUID, ds.SeriesInstanceUID = identity.uid("study"), identity.uid("series")
        ds.SOPInstanceUID = UID(identity.uid("image", number))
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(path)
        images.append(
            Document(
                kind=DocumentKind.ORIGINAL,
                ref=InstanceRef(sop_class_uid=ds.SOPClassUID, sop_instance_uid=ds.SOPInstanceUID),
                study_instance_uid=ds.StudyInstanceUID,
                series_instance_uid=ds.SeriesInstanceUID,
                path=path,
                sha256="",
            )
        )
    return images


def _results(settings: Settings, to: Destination, images: Sequence[Path], folder: Path) -> list[Document]:
    """In the destination's own style; none for one that wants originals alone."""
    if set(to.wanted) == {DocumentKind.ORIGINAL}:
        return []
    folder.mkdir()
    analysis = analyse_files(
        images,
        Engine(used_packages(settings), threads=threads_for_one_run(1)),
        writing=Writing(settings=settings.model_copy(update={"destination": (to,)}), identity=Identity(), results=folder),
        assumed_species=Species.DOG,
    )
    return [document for study in analysis.studies for document in study.documents]


def _send(sender: Sender, documents: Sequence[Document]) -> tuple[list[Document], str]:
    """What is there now, and why the rest is not; a connection that breaks ends it too."""
    filed: list[Document] = []
    refused: list[str] = []

    def answered(document: Document, result: StoreResult) -> None:
        if result.state is StoreState.STORED:
            filed.append(document)
        else:
            refused.append(result.reason)

    try:
        sender.send(documents, wanted=lambda _: not refused, answered=answered)
    except HoundsfieldError as error:
        refused.append(str(error))
    return filed, refused[0] if refused else ""


def _read_back(to: Destination, sender: Sender, filed: Sequence[Document]) -> str:
    """TestNotFiled where it looks and does not find all."""
    if to.verify == "none":
        return 'not looked for there (verify = "none")'
    deadline = time.monotonic() + min(to.verify_seconds, MOST_READ_BACK_SECONDS)
    try:
        while (found := len(sender.found(filed))) < len(filed) and time.monotonic() < deadline:
            time.sleep(0.5)
    except PeerRefused as error:
        raise TestNotFiled(f"{len(filed)} objects were stored, but {to.name} cannot be asked for them: {error}") from error
    if found < len(filed):
        raise TestNotFiled(f"{to.name} stored {len(filed)} objects, but {found} are found there by {sender.read_back_by}")
    return f"all {found} found there by {sender.read_back_by}"


def _remember(folder: Path, filed: Sequence[Document]) -> None:
    """With the files, by which some kinds of destination are asked."""
    folder.mkdir(parents=True)
    for document in filed:
        shutil.copyfile(document.path, folder / f"{document.ref.sop_instance_uid}.dcm")
    content = [
        {
            "kind": document.kind.value,
            "class": document.ref.sop_class_uid,
            "instance": document.ref.sop_instance_uid,
            "series": document.series_instance_uid,
            "study": document.study_instance_uid,
            "sha256": document.sha256,
        }
        for document in filed
    ]
    (folder / FILED).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _remembered(folder: Path) -> list[Document]:
    return [
        Document(
            kind=DocumentKind(item["kind"]),
            ref=InstanceRef(sop_class_uid=item["class"], sop_instance_uid=item["instance"]),
            study_instance_uid=item["study"],
            series_instance_uid=item["series"],
            path=folder / f"{item['instance']}.dcm",
            sha256=item["sha256"],
        )
        for item in json.loads((folder / FILED).read_text(encoding="utf-8"))
    ]
