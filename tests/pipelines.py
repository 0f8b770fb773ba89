"""The node's way without its sockets: images as the listener hands them on, and a worker in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from pydicom import dcmread

from delivery.part10 import identify
from domain.types import Document, InstanceRef, Received
from inference.engine import Engine
from ledger import documents, images, tasks
from ledger.images import ImageRow
from node.pipeline import Pipeline
from node.worker import Worker


class Running:
    """A worker in a thread; `analysis` only, so that no destination is needed."""

    def __init__(self, pipeline: Pipeline, engine: Engine) -> None:
        self.stop = threading.Event()
        self.worker = Worker(pipeline, engine, self.stop)
        self.worker.lanes = {"analysis": 1}
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:  # noqa: BLE001  looked at by the tests
            self.error = error

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


def receive(pipeline: Pipeline, path: Path, *, urgent: bool = False) -> str:
    """As the listener does; the Study Instance UID."""
    ds = dcmread(path)
    content, offset = path.read_bytes(), identify(path).offset
    pipeline.receive(
        Received(
            ref=InstanceRef(sop_class_uid=str(ds.SOPClassUID), sop_instance_uid=str(ds.SOPInstanceUID)),
            study_instance_uid=str(ds.StudyInstanceUID),
            series_instance_uid=str(ds.SeriesInstanceUID),
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
            calling_ae="DRROOM1",
            called_ae="HOUNDSFIELD",
            peer_host="127.0.0.1",
            modality="room-1",
            part10_header=content[:offset],
            data_set=content[offset:],
            urgent=urgent,
        )
    )
    return str(ds.StudyInstanceUID)


def reports(pipeline: Pipeline, study: str) -> list[Document]:
    with pipeline.ledger.transaction() as tx:
        return [document for document in documents.of_study(tx, study) if document.kind == "sr"]


def rows(pipeline: Pipeline, study: str) -> list[ImageRow]:
    with pipeline.ledger.transaction() as tx:
        return images.of_study(tx, study)


def idle(pipeline: Pipeline) -> Callable[[], bool]:
    def nothing_to_analyse() -> bool:
        with pipeline.ledger.transaction() as tx:
            return all(row.kind in ("deliver", "upkeep") or row.state == "dead" for row in tasks.owed(tx))

    return nothing_to_analyse
