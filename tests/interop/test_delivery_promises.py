"""Storage commitment both ways through listener, ledger and delivery, with a real Orthanc as archive and as console."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import peers
import pytest
from factories import dx_file

from config.settings import Settings, parse
from delivery.part10 import identify
from delivery.store import send_document
from domain.types import DeliveryState, Document, DocumentKind, InstanceRef, Peer
from ledger import documents, tasks
from node import commitments
from node.commitments import Promises
from node.filing import Filing
from node.leases import Leases
from node.lines import lines
from node.parts import open_pipeline
from node.pipeline import Pipeline
from scp.listener import Listener

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A node's listener and its delivery, whose tasks are run by hand, and an Orthanc that knows it."""

    settings: Settings
    pipeline: Pipeline
    archive: peers.Orthanc

    def run_task(self) -> bool:
        """Whether one could be run now."""
        with self.pipeline.ledger.transaction() as tx:
            task = tasks.claim(tx, "delivery", connections=lines(self.settings))
        if task is None:
            return False
        filing = Filing(settings=self.settings, ledger=self.pipeline.ledger, leases=Leases())
        promises = Promises(settings=self.settings, ledger=self.pipeline.ledger)
        {"deliver": filing.deliver, "verify": filing.verify, "report": promises.tell}[task.kind](task)
        return True

    def state(self, uid: str) -> DeliveryState:
        with self.pipeline.ledger.transaction() as tx:
            return documents.get_delivery(tx, f"{uid}>orthanc").state


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    peers.require_tool("Orthanc")
    tmp_path = tmp_path_factory.mktemp("house")
    port = peers.free_port()
    with peers.orthanc(tmp_path / "orthanc", modalities={"node": ("NODE", "127.0.0.1", port)}) as archive:
        settings = parse(
            {
                "node": {"ae_title": "NODE", "host": "127.0.0.1", "port": port, "data_dir": str(tmp_path / "data")},
                "modality": [
                    {
                        "name": "console",
                        "ae_title": "ORTHANC",
                        "commit_host": "127.0.0.1",
                        "commit_port": archive.dicom_port,
                    }
                ],
                "destination": [
                    {
                        "name": "orthanc",
                        "ae_title": "ORTHANC",
                        "host": "127.0.0.1",
                        "port": archive.dicom_port,
                        "verify": "commitment",
                    }
                ],
            }
        )
        pipeline = open_pipeline(settings)
        listener = Listener(
            node=settings.node,
            modalities=settings.modality,
            receive=pipeline.receive,
            refused=lambda _caller: None,
            destinations=settings.destination,
            commitments=Promises(settings=settings, ledger=pipeline.ledger).service(),
        )
        with listener:
            yield House(settings=settings, pipeline=pipeline, archive=archive)
        pipeline.ledger.close()


def test_orthanc_answers_for_what_was_delivered_by_calling_the_listener(house: House) -> None:
    path = dx_file(house.settings.node.data_dir / "a.dcm", study=3, rows=16, columns=16)
    file = identify(path)
    document = Document(
        kind=DocumentKind.ORIGINAL,
        ref=InstanceRef(sop_class_uid=file.sop_class_uid, sop_instance_uid=file.sop_instance_uid),
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        path=path,
        sha256="0" * 64,
    )
    with house.pipeline.ledger.transaction() as tx:
        documents.owe(tx, document, ["orthanc"])
    assert house.run_task() and house.run_task()  # deliver, and ask
    peers.wait_until(lambda: house.state(file.sop_instance_uid) is DeliveryState.VERIFIED, what="the commitment")


def test_orthanc_as_a_console_is_called_back_with_what_the_node_holds(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitments, "CALL_AFTER_SECONDS", 0.0)
    node = Peer(ae_title="NODE", host="127.0.0.1", port=house.settings.node.port, calling_ae="ORTHANC")
    kept, absent = (dx_file(tmp_path / f"{n}.dcm", instance=n, rows=16, columns=16) for n in (1, 2))
    send_document(kept, node, timeout_seconds=TIMEOUT_SECONDS)
    files = [identify(kept), identify(absent)]
    asked = house.archive.post(
        "/modalities/node/storage-commitment",
        {"DicomInstances": [[file.sop_class_uid, file.sop_instance_uid] for file in files]},
    )

    def answered() -> bool:
        house.run_task()
        return bool(house.archive.get(f"/storage-commitment/{asked['ID']}")["Status"] == "Failure")

    peers.wait_until(answered, what="the report")
    report = house.archive.get(f"/storage-commitment/{asked['ID']}")
    assert [item["SOPInstanceUID"] for item in report["Success"]] == [files[0].sop_instance_uid]
    assert [item["SOPInstanceUID"] for item in report["Failures"]] == [files[1].sop_instance_uid]
