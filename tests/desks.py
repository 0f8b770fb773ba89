"""A node's filing with a peer of our own and a clock that is told the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from factories import dx_file
from odd_peers import DX, scp
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
)

from config.settings import parse
from delivery.commitment import Commitment
from delivery.part10 import identify
from domain.types import DeliveryState, Document, DocumentKind, InstanceRef, Peer
from ledger import documents, tasks
from ledger.documents import DeliveryRow
from ledger.store import Ledger
from node.commitments import answered
from node.filing import Filing
from node.leases import Leases

NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
CONTEXTS = {DX: NATIVE, StudyRootQueryRetrieveInformationModelFind: NATIVE, StorageCommitmentPushModel: NATIVE}


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A ledger and its filing, worked off by hand: what a worker's lane does, one claim after the other."""

    def __init__(self, folder: Path, peer: Peer, **more: object) -> None:
        self.clock = Clock()
        self.ledger = Ledger(folder / "data", clock=self.clock)
        self.folder = folder
        to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port, "timeout_seconds": 2, **more}
        settings = parse({"node": {"data_dir": str(folder / "data")}, "destination": [to]})
        self.filing = Filing(settings=settings, ledger=self.ledger, leases=Leases())
        self.rates = {"pacs": settings.destination[0].per_minute} if settings.destination[0].per_minute else {}

    def owe(self, count: int) -> list[str]:
        return [self.owe_one(number) for number in range(count)]

    def owe_one(self, number: int, path: Path | None = None, kind: DocumentKind = DocumentKind.ORIGINAL) -> str:
        path = path or dx_file(self.folder / "data" / f"{number}.dcm", instance=number + 1, rows=16, columns=16)
        file = identify(path)
        document = Document(
            kind=kind,
            ref=InstanceRef(sop_class_uid=file.sop_class_uid, sop_instance_uid=file.sop_instance_uid),
            study_instance_uid="1.2.3",
            series_instance_uid="1.2.3.4",
            path=path,
            sha256="0" * 64,
        )
        with self.ledger.transaction() as tx:
            documents.owe(tx, document, ["pacs"])
        return file.sop_instance_uid

    def step(self) -> str | None:
        """The next task, with what it takes along; None where none may run now."""
        with self.ledger.transaction() as tx:
            task = tasks.claim(tx, "delivery", connections={"pacs": 2}, rates=self.rates)
        if task is None:
            return None
        return self.filing.deliver(task) if task.kind == "deliver" else self.filing.verify(task)

    def hear(self, answer: Commitment) -> int:
        return answered(self.ledger, "pacs", answer)

    def owed(self) -> list[tasks.TaskRow]:
        with self.ledger.transaction() as tx:
            return tasks.owed(tx)

    def row(self, uid: str) -> DeliveryRow:
        with self.ledger.transaction() as tx:
            return documents.get_delivery(tx, f"{uid}>pacs")

    def states(self, uids: list[str]) -> list[DeliveryState]:
        return [self.row(uid).state for uid in uids]


@contextmanager
def desk(folder: Path, *handlers: Any, **more: object) -> Iterator[Desk]:
    with scp(*handlers, contexts=CONTEXTS) as peer:
        made = Desk(folder, peer, **more)
        yield made
        made.ledger.close()
