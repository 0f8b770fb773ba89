"""Delivery through a real worker: a slow or absent PACS delays no other, and gets everything when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from factories import dx_file
from peers import free_port, wait_until
from pydicom import dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from config.settings import parse
from domain.types import DeliveryState, Document, DocumentKind, InstanceRef
from inference.engine import Engine
from ledger import alarms, documents, peers, tasks
from ledger.documents import DeliveryRow
from node.parts import open_pipeline
from node.pipeline import Pipeline
from node.worker import Worker


@contextmanager
def pacs(port: int, *, status: int = 0x0000, finds: bool = True, knows: list[str] | None = None) -> Iterator[list[str]]:
    """A PACS of our own: what it stored, by SOP Instance UID."""
    stored: list[str] = []

    def store(event: evt.Event) -> int:
        if status == 0x0000:
            stored.append(str(event.request.AffectedSOPInstanceUID))
        return status

    def find(event: evt.Event) -> Iterator[tuple[int, object]]:
        if finds and event.identifier.SOPInstanceUID in stored:
            yield 0xFF00, event.identifier

    ae = AE(ae_title="PACS")
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    ae.require_calling_aet = knows or []
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store), (evt.EVT_C_FIND, find)]
    )
    try:
        yield stored
    finally:
        server.shutdown()  # type: ignore[union-attr]


@pytest.fixture
def ports() -> dict[str, int]:
    return {"one": free_port(), "two": free_port()}


@pytest.fixture
def pipeline(tmp_path: Path, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    monkeypatch.setattr("ledger.peers.FIRST_PAUSE_SECONDS", 0.2)
    destinations = [
        {"name": name, "ae_title": "PACS", "host": "127.0.0.1", "port": port, "timeout_seconds": 2, "verify_seconds": 0.5}
        for name, port in ports.items()
    ]
    opened = open_pipeline(parse({"node": {"data_dir": str(tmp_path / "data")}, "destination": destinations}))
    yield opened
    opened.ledger.close()


@pytest.fixture
def worker(pipeline: Pipeline) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Worker(pipeline, Engine([], threads=1), stop).run)
    thread.start()
    yield
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def owe(pipeline: Pipeline, folder: Path, count: int, *names: str) -> list[str]:
    uids = []
    for number in range(count):
        path = dx_file(folder / f"{number}.dcm", instance=number + 1)
        ds = dcmread(path, stop_before_pixels=True)
        document = Document(
            kind=DocumentKind.ORIGINAL,
            ref=InstanceRef(sop_class_uid=str(ds.SOPClassUID), sop_instance_uid=str(ds.SOPInstanceUID)),
            study_instance_uid=str(ds.StudyInstanceUID),
            series_instance_uid=str(ds.SeriesInstanceUID),
            path=path,
            sha256="0" * 64,
        )
        with pipeline.ledger.transaction() as tx:
            documents.owe(tx, document, names)
        uids.append(str(ds.SOPInstanceUID))
    return uids


def delivery(pipeline: Pipeline, uid: str, name: str) -> DeliveryRow:
    with pipeline.ledger.transaction() as tx:
        return documents.get_delivery(tx, f"{uid}>{name}")


def reached(pipeline: Pipeline, uids: list[str], name: str, state: DeliveryState) -> Callable[[], bool]:
    return lambda: all(delivery(pipeline, uid, name).state is state for uid in uids)


def test_delivered_means_found_again(pipeline: Pipeline, worker: None, ports: dict[str, int], tmp_path: Path) -> None:
    with pacs(ports["one"]) as stored:
        uids = owe(pipeline, tmp_path, 3, "one")
        wait_until(reached(pipeline, uids, "one", DeliveryState.VERIFIED), what="all verified")
    assert sorted(stored) == sorted(uids)


def test_what_cannot_be_found_again_stays_stored(
    pipeline: Pipeline, worker: None, ports: dict[str, int], tmp_path: Path
) -> None:
    with pacs(ports["one"], finds=False) as stored:
        (uid,) = owe(pipeline, tmp_path, 1, "one")

        def nothing_is_owed() -> bool:
            with pipeline.ledger.transaction() as tx:
                return not [row for row in tasks.owed(tx) if row.destination == "one"]

        wait_until(nothing_is_owed, what="the search to end")
        assert delivery(pipeline, uid, "one").state is DeliveryState.STORED
        assert stored == [uid]  # looked for again and again, stored once


def test_an_absent_pacs_delays_no_other_and_gets_everything_when_it_is_back(
    pipeline: Pipeline, worker: None, ports: dict[str, int], tmp_path: Path
) -> None:
    with pacs(ports["two"]):
        uids = owe(pipeline, tmp_path, 8, "one", "two")
        wait_until(reached(pipeline, uids, "two", DeliveryState.VERIFIED), what="the healthy PACS to have all")
        assert reached(pipeline, uids, "one", DeliveryState.PENDING)()
        with pipeline.ledger.transaction() as tx:
            down = {row.name: row.down_since is not None for row in peers.destinations(tx, ["one", "two"])}
        assert down == {"one": True, "two": False}
        with pacs(ports["one"]):
            wait_until(reached(pipeline, uids, "one", DeliveryState.VERIFIED), seconds=20, what="the backlog to drain")
    assert all(delivery(pipeline, uid, "one").attempts == 1 for uid in uids)  # the outage spent none


def test_a_pacs_that_does_not_know_this_node_yet_gets_everything_when_it_does(
    pipeline: Pipeline, worker: None, ports: dict[str, int], tmp_path: Path
) -> None:
    (uid,) = owe(pipeline, tmp_path, 1, "one")
    with pacs(ports["one"], knows=["SOMEBODY"]):

        def down() -> bool:
            with pipeline.ledger.transaction() as tx:
                return peers.destinations(tx, ["one"])[0].last_error is not None

        wait_until(down, what="the refused association")
        assert delivery(pipeline, uid, "one").state is DeliveryState.PENDING
    with pacs(ports["one"], knows=["HOUNDSFIELD"]):
        wait_until(reached(pipeline, [uid], "one", DeliveryState.VERIFIED), seconds=20, what="the document there")


def test_a_destination_gets_no_more_documents_a_minute_than_it_is_to(
    pipeline: Pipeline, ports: dict[str, int], tmp_path: Path
) -> None:
    """Many at once, over however many connections; the one without a limit has them meanwhile."""
    one, two = pipeline.settings.destination
    limited = one.model_copy(update={"per_minute": 120, "connections": 4, "verify": "none"})
    settings = pipeline.settings.model_copy(update={"destination": (limited, two)})
    stop = threading.Event()
    thread = threading.Thread(target=Worker(replace(pipeline, settings=settings), None, stop).run)
    with pacs(ports["one"]) as slowly, pacs(ports["two"]) as fast:
        uids = owe(pipeline, tmp_path, 5, "one", "two")
        started = time.monotonic()
        thread.start()
        try:
            wait_until(lambda: len(fast) == 5, what="the one without a limit to have all")
            assert len(slowly) < 5
            wait_until(reached(pipeline, uids, "one", DeliveryState.STORED), what="the limited one to have all")
        finally:
            stop.set()
            thread.join(20)
    assert time.monotonic() - started >= 4 * 60 / 120  # the first at once, each of the others half a second later


def test_what_broke_at_a_content_that_was_corrected_meanwhile_is_no_result_that_is_missing(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    (uid,) = owe(pipeline, tmp_path, 1, "one")
    with pipeline.ledger.transaction() as tx:
        held = tasks.claim(tx, "delivery", connections={"one": 1})
        assert held
        documents.owe(tx, replace(documents.get_delivery(tx, held.key).document, sha256="1" * 64), ["one"])
    pipeline.give_up(held, "it broke")
    assert delivery(pipeline, uid, "one").state is DeliveryState.PENDING
    with pipeline.ledger.reading() as tx:
        assert alarms.open_alarms(tx) == []
        assert [(row.kind, row.state) for row in tasks.owed(tx)] == [("deliver", "ready")]


def test_a_refusal_is_believed_and_can_be_retried(
    pipeline: Pipeline, worker: None, ports: dict[str, int], tmp_path: Path
) -> None:
    with pacs(ports["one"], status=0xC000):
        (uid,) = owe(pipeline, tmp_path, 1, "one")
        wait_until(reached(pipeline, [uid], "one", DeliveryState.REFUSED), what="the refusal")
    with pipeline.ledger.transaction() as tx:
        (dead,) = (row for row in tasks.owed(tx) if row.destination == "one")
        assert dead.state == "dead"
        assert "0xC000" in (dead.error or "")
        tasks.retry(tx, dead.id)
        documents.reopened(tx, dead.key)
    with pacs(ports["one"]):
        wait_until(reached(pipeline, [uid], "one", DeliveryState.VERIFIED), seconds=20, what="the retry")
