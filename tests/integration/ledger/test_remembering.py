"""Images, documents, commitments, alarms and counters: what is asked of them later is what was said."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import pytest
import sqlalchemy as sa

from domain.errors import NotFound, StorageUnavailable
from domain.types import (
    AlarmKind,
    DeliveryState,
    Document,
    DocumentKind,
    ImageAnswer,
    InstanceRef,
    Outcome,
    Received,
    Species,
)
from ledger import alarms, commitments, documents, images, peers, retention, status, tasks
from ledger.commitments import Request
from ledger.store import Ledger, Transaction

DAY_SECONDS = 86_400.0
STUDY = "2.25.100"


class StoppedClock(Protocol):
    now: float


def add(
    tx: Transaction,
    uid: str = "2.25.1",
    *,
    content: str = "aa",
    study: str = STUDY,
    urgent: bool = False,
    spooled: bool = True,
) -> int | None:
    path = tx.root / "spool" / f"{content}.dcm"
    path.parent.mkdir(exist_ok=True)
    if spooled:
        path.touch()
    received = Received(
        ref=InstanceRef(sop_class_uid="1.2.3", sop_instance_uid=uid),
        study_instance_uid=study,
        series_instance_uid="2.25.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="ROOM\0\udcff",  # titles come as they are
        called_ae="HOUNDSFIELD",
        peer_host="192.0.2.21",
        modality="room-1",
        part10_header=b"",
        data_set=b"",
    )
    new = images.add(tx, received, path=path, sha256=content, size_bytes=3_000_000_000, urgent=urgent)
    return None if new is None else new.id


def document(tx: Transaction, uid: str = "2.25.9", *, kind: DocumentKind = DocumentKind.SR, sha256: str = "d") -> Document:
    path = tx.root / "results" / f"{uid}.dcm"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    return Document(
        kind=kind,
        ref=InstanceRef(sop_class_uid="1.2.4", sop_instance_uid=uid),
        study_instance_uid=STUDY,
        series_instance_uid="2.25.2" if kind is DocumentKind.ORIGINAL else "2.25.90",
        path=path,
        sha256=sha256,
    )


def deliver(tx: Transaction, name: str, *, end: bool = True) -> documents.DeliveryRow:
    held = tasks.claim(tx, "delivery", connections={name: 9})
    assert held
    row = documents.get_delivery(tx, held.key)
    if end:
        documents.attempted(tx, row)
        documents.delivered(tx, row, DeliveryState.STORED, status="stored")
        tasks.finish(tx, held)
    return row


def test_an_image_comes_out_as_it_went_in(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        first = add(tx)
        assert first is not None
        assert add(tx) is None  # sent again
        row = images.get(tx, first)
        assert row.path == tx.root / "spool/aa.dcm"
        assert images.files(tx) == {row.path: first}
        assert images.held(tx, ["2.25.1", "2.25.2"]) == {"2.25.1": "1.2.3"}
        answer = ImageAnswer(ref=InstanceRef(sop_class_uid="1.2.3", sop_instance_uid="2.25.1"), outcome=Outcome.DECLINED)
        images.answered(tx, first, answer)
        assert images.get(tx, first).answer == answer
        assert images.again(tx, STUDY) == [first]
        assert images.get(tx, first).answer is None
        with pytest.raises(NotFound):
            images.get_study(tx, "2.25.404")


def test_an_image_whose_file_is_gone_is_not_acknowledged(ledger: Ledger) -> None:
    """Retention deleted the same content between spooling it again and writing it down."""
    with pytest.raises(StorageUnavailable), ledger.transaction() as tx:
        add(tx, spooled=False)
    with ledger.reading() as tx:
        assert images.studies(tx) == []


def test_another_content_is_kept_beside_the_first_and_is_an_alarm_until_it_is_seen(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        add(tx)
        add(tx, content="bb")
        assert [row.sha256 for row in images.of_study(tx, STUDY)] == ["aa", "bb"]
        (alarm,) = alarms.open_alarms(tx)
        assert alarm.kind is AlarmKind.CONFLICT
        assert "from room-1" in alarm.text
        assert alarm.text.endswith(f"both are kept, in study {STUDY}")
        assert alarms.acknowledge(tx, alarm.id)
        assert alarms.open_alarms(tx) == []
        assert not alarms.acknowledge(tx, alarm.id)


def test_a_study_is_urgent_once_one_of_its_images_is_and_keeps_what_a_person_said(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for number, urgent in enumerate((False, True, False)):
            add(tx, f"2.25.{number}", content=str(number), urgent=urgent)
        images.corrected(tx, STUDY, Species.CAT)
        study = images.get_study(tx, STUDY)
    assert study.urgent
    assert study.species is Species.CAT


def test_alarms_are_told_once_to_each_and_not_after_they_were_seen(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for _ in range(2):
            alarms.raise_(tx, AlarmKind.DISK, "data_dir", "little space", since=5.0)
        (alarm,) = alarms.unsent(tx, "mail")
        assert alarm.since == 5.0
        alarms.sent(tx, alarm.id, "mail")
        alarms.sent(tx, alarm.id, "mail")
        assert alarms.unsent(tx, "mail") == []
        assert alarms.unsent(tx, "hook") == [alarm]
        alarms.acknowledge(tx, alarm.id)
        assert alarms.unsent(tx, "hook") == []
        assert [row.acknowledged_at for row in alarms.open_alarms(tx)] == [tx.now]  # the disk is still full
        alarms.clear(tx, AlarmKind.DISK, "data_dir")
        assert alarms.open_alarms(tx) == []
        alarms.raise_(tx, AlarmKind.DISK, "data_dir", "little space again")
        assert len(alarms.unsent(tx, "mail")) == 1


def test_withdrawn_results_are_no_predecessors_and_what_waits_is_not_sent(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        add(tx)
        documents.owe(tx, document(tx), ["pacs", "away"])
        documents.owe(tx, document(tx, "2.25.8", kind=DocumentKind.SC), ["away"])
        documents.owe(tx, document(tx, "2.25.1", kind=DocumentKind.ORIGINAL), ["archive"])
        filed = deliver(tx, "pacs")
        assert documents.newest(tx, "2.25.90") is not None
        assert len(documents.of_images(tx, STUDY, ["away"])) == 1
        told = documents.withdrawn(tx, STUDY)
        images.withdrawn(tx, STUDY)
    assert [(row.destination, row.document.ref) for row in told] == [("pacs", filed.document.ref)]
    with ledger.transaction() as tx:
        assert documents.newest(tx, "2.25.90") is None
        assert documents.of_images(tx, STUDY, ["away"]) == []
        assert [row.destination for row in tasks.owed(tx)] == ["archive"]  # what was received is still what was received
        assert images.get_study(tx, STUDY).withdrawn_at == tx.now


def test_a_destinations_commitment_verifies_what_it_keeps(ledger: Ledger) -> None:
    uids = ["2.25.7", "2.25.8", "2.25.9"]
    with ledger.transaction() as tx:
        for uid in uids:
            documents.owe(tx, document(tx, uid), ["pacs"])
            deliver(tx, "pacs")
            tasks.owe(tx, "verify", f"{uid}>pacs", queue="delivery", destination="pacs", run_at=tx.now + 60)
        commitments.ask(tx, "2.25.55", "pacs", uids)
        assert tasks.claim(tx, "delivery", connections={"pacs": 9}) is None
        failed = {"2.25.8": "no such object instance"}
        assert commitments.answered(tx, "2.25.55", "other", committed=uids, failed={}) == 0  # it was not asked
        assert commitments.answered(tx, "2.25.55", "pacs", committed=["2.25.7", "2.25.404"], failed=failed) == 2
        assert commitments.answered(tx, "2.25.55", "pacs", committed=["2.25.7"], failed={}) == 0  # reported twice
        assert commitments.answered(tx, "2.25.56", "pacs", committed=uids, failed={}) == 0  # asked by nobody
        states = {row.document.ref.sop_instance_uid: row.state for row in documents.deliveries(tx, STUDY)}
        assert states == {
            "2.25.7": DeliveryState.VERIFIED,
            "2.25.8": DeliveryState.STORED,
            "2.25.9": DeliveryState.STORED,
        }
        kept, lost, silent = (commitments.newest(tx, uid, "pacs") for uid in uids)
        assert kept and lost and silent
        assert (kept.answered_at, kept.failure) == (tx.now, None)
        assert lost.failure == "no such object instance"
        assert silent.answered_at is None
        assert commitments.newest(tx, "2.25.7", "other") is None
        due = [tasks.claim(tx, "delivery", connections={"pacs": 9}) for _ in range(3)]
        assert [held.key for held in due if held] == ["2.25.7>pacs", "2.25.8>pacs"]  # at once


def test_a_consoles_request_is_kept_until_it_was_answered(ledger: Ledger) -> None:
    request = Request(
        transaction_uid="2.25.60",
        modality="room-1",
        calling_ae="DRROOM1",
        called_ae="HOUNDSFIELD",
        peer_host="192.0.2.21",
        requested=(("1.2.3", "2.25.1"), ("1.2.3", "2.25.2")),
        asked_at=1_000_000.0,
    )
    with ledger.transaction() as tx:
        commitments.requested(tx, replace(request, requested=(("1.2.3", "2.25.3"),)))
        commitments.requested(tx, request)  # the same Transaction UID again
        assert commitments.get_request(tx, "2.25.60") == request
        commitments.reported(tx, "2.25.60")
        assert commitments.get_request(tx, "2.25.60") is None


def test_a_request_of_a_console_that_cannot_be_called_is_forgotten_after_a_day(ledger: Ledger, clock: StoppedClock) -> None:
    with ledger.transaction() as tx:
        for uid in ("2.25.60", "2.25.61"):
            commitments.requested(
                tx,
                Request(
                    transaction_uid=uid,
                    modality="room-1",
                    calling_ae="DRROOM1",
                    called_ae="HOUNDSFIELD",
                    peer_host="192.0.2.21",
                    requested=(("1.2.3", "2.25.1"),),
                    asked_at=tx.now,
                ),
            )
        tasks.owe(tx, "report", "2.25.61", queue="delivery")
        retention.prune(tx, days=1, limit=9)
        assert commitments.get_request(tx, "2.25.60") is not None
    clock.now += DAY_SECONDS + 1
    with ledger.transaction() as tx:
        retention.prune(tx, days=1, limit=9)
        assert commitments.get_request(tx, "2.25.60") is None
        assert commitments.get_request(tx, "2.25.61") is not None  # it is still being called


def test_a_study_without_an_image_is_kept_as_long_as_a_declined_one(ledger: Ledger, clock: StoppedClock) -> None:
    with ledger.transaction() as tx:
        new = add(tx)
        assert new is not None
    clock.now += 2 * DAY_SECONDS
    with ledger.transaction() as tx:
        assert retention.deletable(tx, {"DECLINED": 1.0}, limit=9) == []  # nothing was said of it yet
        answer = ImageAnswer(ref=InstanceRef(sop_class_uid="1.2.3", sop_instance_uid="2.25.1"), outcome=Outcome.DECLINED)
        images.answered(tx, new, answer)
        assert retention.deletable(tx, {"DECLINED": 1.0}, limit=9) == [STUDY]
        assert retention.deletable(tx, {"DECLINED": 3.0}, limit=9) == []
        assert retention.deletable(tx, {"DECLINED": 0.0, "ANALYSED": 1.0}, limit=9) == []


def test_looking_for_old_studies_takes_as_long_however_many_are_owed(ledger: Ledger, clock: StoppedClock) -> None:
    for number in range(20):
        with ledger.transaction() as tx:
            study = f"2.25.9{number}"
            add(tx, f"2.25.8{number}", content=str(number), study=study)
            images.reported(tx, study, outcome=Outcome.DECLINED, revision=1, evidence="")
            if number < 15:
                tasks.owe(tx, "study", study, queue="analysis")
    clock.now += 2 * DAY_SECONDS
    said: list[str] = []

    def executed(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    with ledger.reading() as tx:
        sa.event.listen(tx.connection, "before_cursor_execute", executed)
        found = retention.deletable(tx, {"DECLINED": 1.0, "ANALYSED": 1.0}, limit=3)
        sa.event.remove(tx.connection, "before_cursor_execute", executed)
    assert found == ["2.25.915", "2.25.916", "2.25.917"]
    assert len(said) == 1


def test_only_what_nobody_is_owed_is_forgotten(ledger: Ledger, clock: StoppedClock) -> None:
    days = {"DECLINED": 10.0, "ANALYSED": 0.0}

    def deletable() -> list[str]:
        with ledger.reading() as tx:
            return retention.deletable(tx, days, limit=10)

    with ledger.transaction() as tx:
        image = add(tx)
        tasks.owe(tx, "image", str(image), queue="analysis")
        images.reported(tx, STUDY, outcome=Outcome.DECLINED, revision=1, evidence="")
        add(tx, "2.25.77", content="cc", study="2.25.200")
        images.reported(tx, "2.25.200", outcome=Outcome.ANALYSED, revision=1, evidence="")
        add(tx, "2.25.78", content="ee", study="2.25.300")  # nothing was said of it yet
    clock.now += 10 * DAY_SECONDS + 1
    assert deletable() == []  # an image is not read yet
    with ledger.transaction() as tx:
        held = tasks.claim(tx, "analysis", connections={})
        assert held
        tasks.finish(tx, held)
        documents.owe(tx, document(tx), ["pacs"])
    assert deletable() == []  # a document is not delivered yet
    with ledger.transaction() as tx:
        held = tasks.claim(tx, "delivery", connections={"pacs": 1})
        assert held
        documents.delivered(tx, documents.get_delivery(tx, held.key), DeliveryState.DEAD, status="no")
        tasks.bury(tx, held, error="no")
    assert deletable() == []  # a person has not seen yet that it never will be
    with ledger.transaction() as tx:
        assert retention.forget_study(tx, STUDY) == []
        tasks.cancel(tx, held.id)
    assert deletable() == [STUDY]
    with ledger.transaction() as tx:
        paths = retention.forget_study(tx, STUDY)
        assert paths == [tx.root / "results/2.25.9.dcm", tx.root / "spool/aa.dcm"]
        assert retention.forget_study(tx, STUDY) == []
    with ledger.reading() as tx:
        assert images.studies(tx) == ["2.25.200", "2.25.300"]
        assert documents.deliveries(tx, STUDY) == []


def test_what_was_sent_again_meanwhile_is_not_forgotten(ledger: Ledger, clock: StoppedClock) -> None:
    with ledger.transaction() as tx:
        add(tx)
        images.reported(tx, STUDY, outcome=Outcome.DECLINED, revision=1, evidence="")
    clock.now += 2 * DAY_SECONDS
    with ledger.transaction() as tx:
        assert retention.deletable(tx, {"DECLINED": 1.0}, limit=1) == [STUDY]
        new = add(tx, "2.25.3", content="bb")
        tasks.owe(tx, "image", str(new), queue="analysis")
        assert retention.forget_study(tx, STUDY) == []
        assert len(images.of_study(tx, STUDY)) == 2


def test_days_are_counted_before_their_tasks_are_forgotten(ledger: Ledger, clock: StoppedClock) -> None:
    clock.now = 1_790_000_000.0  # 2026-09-21
    for day in range(5):
        for number in range(day + 1):
            with ledger.transaction() as tx:
                tasks.owe(tx, "image", f"{day} {number}", queue="analysis")
                held = tasks.claim(tx, "analysis", connections={})
                assert held
                tasks.finish(tx, held)
        clock.now += DAY_SECONDS
    expected = {f"2026-09-{21 + day}": {"image": day + 1} for day in range(5)}
    with ledger.transaction() as tx:
        assert status.done_by_day(tx, days=9) == expected
        assert retention.prune(tx, days=2.5, limit=4) == 4
        assert retention.prune(tx, days=2.5, limit=4) == 2
        assert retention.prune(tx, days=2.5, limit=4) == 0
        assert status.done_by_day(tx, days=9) == expected
        assert status.done_by_day(tx, days=3) == {"2026-09-24": {"image": 4}, "2026-09-25": {"image": 5}}
        assert status.task_counts(tx) == {}


def test_status_counts_what_is_owed(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for key in ("a", "b", "c"):
            tasks.owe(tx, "study", key, queue="analysis")
        held = tasks.claim(tx, "analysis", connections={})
        assert held
        tasks.owe(tx, "study", held.key, queue="analysis")
        buried = tasks.claim(tx, "analysis", connections={})
        assert buried
        tasks.bury(tx, buried, error="no")
        assert status.task_counts(tx) == {"study": {"ready": 2, "running": 1, "dead": 1}}
        assert status.studies_in_work(tx) == 2
        peers.beat(tx, "worker@a:1")
        peers.beat(tx, "scp@a", note="started again 3 times")
        assert peers.heartbeats(tx) == {"worker@a:1": 0.0, "scp@a": 0.0}
        assert peers.notes(tx) == {"scp@a": "started again 3 times"}


def test_strangers_with_odd_titles_are_listed_and_their_number_is_limited(ledger: Ledger, clock: StoppedClock) -> None:
    for number in range(peers.CALLERS_KEPT + 10):
        clock.now += 1
        with ledger.transaction() as tx:
            peers.refused(
                tx, calling_ae=f"SCAN{number}\0", called_ae="\udce9", peer_host="192.0.2.9", reason="unknown sender"
            )
    with ledger.reading() as tx:
        assert len(peers.refused_callers(tx)) == 50
        assert tx.connection.exec_driver_sql("SELECT count(*) FROM refused_caller").scalar() == peers.CALLERS_KEPT
