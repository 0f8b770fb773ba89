"""Storage commitment at the node: only what lies here is promised, and only who was asked answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import dx_file
from peers import free_port
from pipelines import receive, rows
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from config.settings import parse
from domain.types import DeliveryState, InstanceRef
from ledger import alarms, commitments, documents, peers, tasks
from ledger.documents import DeliveryRow
from node.commitments import Promises
from node.parts import open_pipeline
from node.pipeline import Pipeline
from node.worker import Worker
from scp.commitment import NO_SUCH_INSTANCE, CommitmentReport, CommitmentRequest


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    to = {"host": "127.0.0.1", "documents": ["original"], "verify": "commitment"}
    opened = open_pipeline(
        parse(
            {
                "node": {"data_dir": str(tmp_path / "data")},
                "modality": [{"name": "room-1", "ae_title": "DRROOM1"}],
                "destination": [
                    {"name": "other", "ae_title": "OTHER", **to},
                    {"name": "pacs", "ae_title": "PACS", **to},
                    {"name": "pacs-again", "ae_title": "PACS", "port": 105, **to},
                ],
            }
        )
    )
    yield opened
    opened.ledger.close()


def test_an_image_whose_file_is_gone_is_not_promised(pipeline: Pipeline, tmp_path: Path) -> None:
    promises = Promises(settings=pipeline.settings, ledger=pipeline.ledger)
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
    receive(pipeline, dx_file(tmp_path / "b.dcm", PatientID="RIGHT"))
    first, second = rows(pipeline, study)
    ref = InstanceRef(sop_class_uid=first.sop_class_uid, sop_instance_uid=first.sop_instance_uid)
    assert promises.holds([ref]) == {}
    for row in (first, second):
        content = row.path.read_bytes()
        row.path.unlink()
        assert promises.holds([ref]) == {ref.sop_instance_uid: NO_SUCH_INSTANCE}
        row.path.write_bytes(content)


def test_only_the_archive_that_was_asked_answers_under_whichever_name_it_is_listed(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    promises = Promises(settings=pipeline.settings, ledger=pipeline.ledger)
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))

    def deliveries() -> dict[str, DeliveryRow]:
        with pipeline.ledger.reading() as tx:
            return {row.destination: row for row in documents.deliveries(tx, study)}

    filed = deliveries()["pacs-again"]
    uid = filed.document.ref.sop_instance_uid
    with pipeline.ledger.transaction() as tx:
        documents.delivered(tx, filed, DeliveryState.STORED, status="stored")
        commitments.ask(tx, "2.25.55", "pacs-again", [uid])

    def reports(name: str) -> DeliveryState:
        promises.committed(
            CommitmentReport(transaction_uid="2.25.55", destination=name, committed=frozenset([uid]), failed={})
        )
        return deliveries()["pacs-again"].state

    assert reports("other") is DeliveryState.STORED
    assert reports("pacs") is DeliveryState.VERIFIED


@pytest.fixture
def calling(tmp_path: Path) -> Iterator[Pipeline]:
    """A node that calls two consoles back, of which nobody answers for the first."""
    names = ("dead-room", "room-1")
    modalities = [
        {"name": name, "ae_title": "DRROOM1", "commit_host": "127.0.0.1", "commit_port": free_port()} for name in names
    ]
    to = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1"}
    settings = {"node": {"data_dir": str(tmp_path / "calling")}, "modality": modalities, "destination": [to]}
    opened = open_pipeline(parse(settings))
    yield opened
    opened.ledger.close()


def asked(pipeline: Pipeline, transaction_uid: str, modality: str) -> None:
    Promises(settings=pipeline.settings, ledger=pipeline.ledger).asked(
        CommitmentRequest(
            transaction_uid=transaction_uid,
            modality=modality,
            calling_ae="DRROOM1",
            called_ae="HOUNDSFIELD",
            peer_host="127.0.0.1",
            instances=(InstanceRef(sop_class_uid="1.2", sop_instance_uid="2.25.1"),),
        )
    )
    with pipeline.ledger.transaction() as tx:
        tasks.hasten(tx, "report", transaction_uid)


def test_a_console_that_is_off_holds_one_lane_and_nobody_up(calling: Pipeline) -> None:
    for number in range(5):
        asked(calling, f"2.25.{number}", "dead-room")
    asked(calling, "2.25.9", "room-1")
    with calling.ledger.transaction() as tx:
        tasks.owe(tx, "deliver", "2.25.1>pacs", queue="delivery", destination="pacs")
    worker = Worker(calling, None, threading.Event())
    begun = [task for task, _ in (worker.claim("delivery") for _ in range(6)) if task is not None]
    assert sorted(str(task.destination) for task in begun) == ["console dead-room", "console room-1", "pacs"]
    assert worker.lanes["delivery"] >= len(begun)
    promises = Promises(settings=calling.settings, ledger=calling.ledger)
    (dead,) = (task for task in begun if task.destination == "console dead-room")
    assert "again in 5 s" in promises.tell(dead)
    assert worker.claim("delivery")[0] is None  # its other reports wait for the same breaker
    with calling.ledger.reading() as tx:
        assert alarms.open_alarms(tx) == []  # it may be switched off for the night


def test_a_console_that_answers_again_is_told_all(calling: Pipeline) -> None:
    promises = Promises(settings=calling.settings, ledger=calling.ledger)
    told: list[str] = []

    def take(event: evt.Event) -> tuple[int, None]:
        told.append(str(event.event_information.TransactionUID))
        return 0x0000, None

    with calling.ledger.transaction() as tx:
        peers.unavailable(tx, "console room-1", error="no answer", quietly=True)
        tx.connection.exec_driver_sql("UPDATE destination SET paused_until = 0")
    for number in range(2):
        asked(calling, f"2.25.{number}", "room-1")
    port = calling.settings.modality[1].commit_port
    ae = AE(ae_title="DRROOM1")
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    try:
        for _ in range(2):
            with calling.ledger.transaction() as tx:
                task = tasks.claim(tx, "delivery", connections={"console room-1": 1})
            assert task is not None
            assert "told of 1 objects" in promises.tell(task)
    finally:
        server.shutdown()  # type: ignore[union-attr]  # not None where it does not block
    assert sorted(told) == ["2.25.0", "2.25.1"]
