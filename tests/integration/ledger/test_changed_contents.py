"""The same SOP Instance UID with another content: each content is kept, and what is said of one is not said of the other."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from domain.types import DeliveryState, Document, DocumentKind, InstanceRef, Outcome, Received
from ledger import documents, images, retention, tasks
from ledger.documents import DeliveryRow
from ledger.store import Ledger, Transaction

DAY_SECONDS = 86_400.0
REF = InstanceRef(sop_class_uid="1.2.3", sop_instance_uid="2.25.1")
KEY = "2.25.1>pacs"


class StoppedClock(Protocol):
    now: float


def comes(tx: Transaction, content: str, study: str) -> Path:
    """As the pipeline writes it down: an image, and the original that a destination wants."""
    path = tx.root / "spool" / f"{content}.dcm"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    received = Received(
        ref=REF,
        study_instance_uid=study,
        series_instance_uid=f"{study}.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="DRROOM1",
        called_ae="HOUNDSFIELD",
        peer_host="192.0.2.21",
        modality="room-1",
        part10_header=b"",
        data_set=b"",
    )
    images.add(tx, received, path=path, sha256=content, size_bytes=9)
    original = Document(
        kind=DocumentKind.ORIGINAL,
        ref=REF,
        study_instance_uid=study,
        series_instance_uid=f"{study}.1",
        path=path,
        sha256=content,
    )
    documents.owe(tx, original, ["pacs"])
    images.reported(tx, study, outcome=Outcome.DECLINED, revision=1, evidence="")
    return path


def stored(tx: Transaction) -> DeliveryRow:
    held = tasks.claim(tx, "delivery", connections={"pacs": 1})
    assert held
    row = documents.get_delivery(tx, held.key)
    documents.delivered(tx, row, DeliveryState.STORED, status="stored")
    tasks.finish(tx, held)
    return row


def test_forgetting_a_study_leaves_the_file_of_an_image_that_was_sent_again_under_another(
    ledger: Ledger, clock: StoppedClock
) -> None:
    with ledger.transaction() as tx:
        wrong = comes(tx, "aa", "2.25.100")
        stored(tx)
    clock.now += 2 * DAY_SECONDS
    with ledger.transaction() as tx:
        right = comes(tx, "bb", "2.25.200")
        assert retention.is_owed(tx, "2.25.200")  # its original is not delivered yet
        assert not retention.is_owed(tx, "2.25.100")
        assert documents.get_delivery(tx, KEY).document.series_instance_uid == "2.25.200.1"
        assert retention.deletable(tx, {"DECLINED": 1.0}, limit=9) == ["2.25.100"]
        assert retention.forget_study(tx, "2.25.100") == [wrong]
        assert [row.path for row in images.of_study(tx, "2.25.200")] == [right]
        assert documents.get_delivery(tx, KEY).document.path == right


def test_a_file_that_another_row_names_is_never_given_up(ledger: Ledger) -> None:
    """A ledger of a version that left the document under the first study."""
    with ledger.transaction() as tx:
        wrong, right = comes(tx, "aa", "2.25.100"), comes(tx, "bb", "2.25.200")
        stored(tx)
        tx.connection.exec_driver_sql("UPDATE document SET study_instance_uid = '2.25.100'")
        assert retention.forget_study(tx, "2.25.100") == [wrong]
        assert right.is_file()


def test_what_does_not_lie_here_is_not_promised(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        first, second = comes(tx, "aa", "2.25.100"), comes(tx, "bb", "2.25.100")
        assert images.held(tx, ["2.25.1", "2.25.404"]) == {"2.25.1": "1.2.3"}
        for path in (first, second):
            path.unlink()
            assert images.held(tx, ["2.25.1"]) == {}
            path.touch()
