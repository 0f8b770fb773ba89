"""Documents of one destination over one association: each a task of its own, whatever becomes of the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from factories import dx_file
from odd_peers import DX, Kept, scp
from peers import free_port
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
)

from config.settings import parse
from delivery.commitment import Commitment
from delivery.part10 import identify
from domain.types import DeliveryState, Document, DocumentKind, InstanceRef, Peer
from ledger import documents, tasks
from ledger.documents import DeliveryRow
from ledger.store import Ledger, Transaction
from node import filing
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

    def owe_one(self, number: int, path: Path | None = None) -> str:
        path = path or dx_file(self.folder / "data" / f"{number}.dcm", instance=number + 1, rows=16, columns=16)
        file = identify(path)
        document = Document(
            kind=DocumentKind.ORIGINAL,
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
        return answered(self.ledger, ["pacs"], answer)

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


def test_documents_of_one_destination_share_an_association(tmp_path: Path) -> None:
    kept = Kept()
    with desk(tmp_path, (evt.EVT_C_STORE, kept), verify="none") as work:
        uids = work.owe(5)
        work.step()
        assert work.states(uids) == [DeliveryState.STORED] * 5
        assert work.owed() == []
    assert [uid for _, uid, _ in kept.commands] == uids
    assert len(kept.associations) == 1


def test_an_association_that_breaks_at_one_document_leaves_the_later_ones_owed(tmp_path: Path) -> None:
    kept = Kept()

    def breaks_at_the_third(event: evt.Event) -> Dataset | int:
        if len(kept.commands) == 2:
            event.assoc.abort()
            return 0x0000
        return kept(event)

    with desk(tmp_path, (evt.EVT_C_STORE, breaks_at_the_third), verify="none") as work:
        uids = work.owe(5)
        said = work.step()
        assert said == "stored"
        assert work.states(uids) == [DeliveryState.STORED] * 2 + [DeliveryState.PENDING] * 3
        due = {row.key.split(">")[0]: row.run_at - work.clock.now for row in work.owed()}
        assert [row.state for row in work.owed()] == ["ready"] * 3
        # The one at which it broke waits by itself; the others for the breaker alone.
        assert due[uids[3]] == due[uids[4]] <= due[uids[2]]
        assert [work.row(uid).attempts for uid in uids] == [1, 1, 1, 0, 0]


def test_one_that_is_refused_dies_alone_in_the_words_of_the_peer(tmp_path: Path) -> None:
    kept = Kept()

    def refuses_the_second(event: evt.Event) -> Dataset:
        answer = kept(event)
        if len(kept.commands) == 2:
            answer.Status, answer.ErrorComment = 0xC001, "Study of 'Rex' is locked"
        return answer

    with desk(tmp_path, (evt.EVT_C_STORE, refuses_the_second), verify="none") as work:
        uids = work.owe(3)
        work.step()
        assert work.states(uids) == [DeliveryState.STORED, DeliveryState.REFUSED, DeliveryState.STORED]
        (dead,) = work.owed()
        assert dead.state == "dead"
        assert "0xC001" in (dead.error or "") and "Study of … is locked" in (dead.error or "")
    assert len(kept.associations) == 1


def test_a_file_that_cannot_be_read_costs_the_others_nothing(tmp_path: Path) -> None:
    kept = Kept()
    with desk(tmp_path, (evt.EVT_C_STORE, kept), verify="none") as work:
        uids = work.owe(3)
        (tmp_path / "data" / "1.dcm").unlink()
        work.step()
        assert work.states(uids) == [DeliveryState.STORED, DeliveryState.REFUSED, DeliveryState.STORED]
    assert [uid for _, uid, _ in kept.commands] == [uids[0], uids[2]]


def test_what_is_withdrawn_while_the_batch_runs_is_not_sent(tmp_path: Path) -> None:
    kept = Kept()
    with desk(tmp_path, verify="none") as work:
        uids = work.owe(3)

        def withdraws_the_last(event: evt.Event) -> Dataset:
            if not kept.commands:
                with work.ledger.transaction() as tx:
                    tasks.drop(tx, "deliver", f"{uids[2]}>pacs")
                    documents.delivered(tx, documents.get_delivery(tx, f"{uids[2]}>pacs"), DeliveryState.DEAD, status="-")
            return kept(event)

        with scp((evt.EVT_C_STORE, withdraws_the_last), contexts=CONTEXTS) as peer:
            to = work.filing.settings.destination[0].model_copy(update={"port": peer.port})
            settings = work.filing.settings.model_copy(update={"destination": (to,)})
            work.filing = Filing(settings=settings, ledger=work.ledger, leases=Leases())
            work.step()
        assert work.states(uids) == [DeliveryState.STORED, DeliveryState.STORED, DeliveryState.DEAD]
        assert work.owed() == []
    assert [uid for _, uid, _ in kept.commands] == uids[:2]


def test_a_batch_that_takes_too_long_gives_the_rest_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filing, "BATCH_SECONDS", 0.0)
    kept = Kept()
    with desk(tmp_path, (evt.EVT_C_STORE, kept), verify="none") as work:
        uids = work.owe(3)
        work.step()
        assert work.states(uids) == [DeliveryState.STORED, DeliveryState.PENDING, DeliveryState.PENDING]
        assert [row.state for row in work.owed()] == ["ready", "ready"]


def test_a_fault_of_our_own_at_one_document_spends_an_attempt_of_that_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, write = Kept(), documents.delivered

    def breaks_at_the_second(tx: Transaction, row: DeliveryRow, state: DeliveryState, *, status: str) -> None:
        if len(kept.commands) == 2:
            raise ValueError("a bug")
        write(tx, row, state, status=status)

    monkeypatch.setattr(documents, "delivered", breaks_at_the_second)
    with desk(tmp_path, (evt.EVT_C_STORE, kept), verify="none") as work:
        uids = work.owe(3)
        with pytest.raises(ValueError, match="a bug"):
            work.step()
        left = {row.key.split(">")[0]: row for row in work.owed()}
        assert {uid: (row.state, row.attempts) for uid, row in left.items()} == {
            uids[1]: ("ready", 1),
            uids[2]: ("ready", 0),
        }
        assert left[uids[1]].run_at > left[uids[2]].run_at
        monkeypatch.undo()
        work.clock.now += 60
        while work.step() is not None:
            pass
        assert work.states(uids) == [DeliveryState.STORED] * 3


def test_a_rate_limit_holds_however_many_are_owed(tmp_path: Path) -> None:
    kept = Kept()
    with desk(tmp_path, (evt.EVT_C_STORE, kept), verify="none", per_minute=30) as work:
        work.owe(4)
        for _ in range(3):
            while work.step() is not None:
                pass
            work.clock.now += 2.0
    assert len(kept.commands) == 3


def test_a_peer_that_has_no_room_for_hours_gets_the_document_when_it_has(tmp_path: Path) -> None:
    """Each try was once counted as if it had ended the worker: the fifth killed the document."""
    kept = Kept(status=0xA700)
    with desk(tmp_path, (evt.EVT_C_STORE, kept), verify="none") as work:
        (uid,) = work.owe(1)
        for _ in range(10):
            work.step()
            work.clock.now += filing.LONGEST_RETRY_SECONDS
        assert [(row.state, row.attempts) for row in work.owed()] == [("ready", 0)]
        kept.status = 0x0000
        work.step()
        assert work.states([uid]) == [DeliveryState.STORED]


def test_stored_documents_are_looked_for_over_one_association(tmp_path: Path) -> None:
    kept, asked = Kept(), set[int]()

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        asked.add(id(event.assoc))
        if event.identifier.SOPInstanceUID in [uid for _, uid, _ in kept.commands]:
            yield 0xFF00, event.identifier

    with desk(tmp_path, (evt.EVT_C_STORE, kept), (evt.EVT_C_FIND, find)) as work:
        uids = work.owe(4)
        work.step()
        work.step()
        assert work.states(uids) == [DeliveryState.VERIFIED] * 4
    assert len(asked) == 1


def test_an_outage_after_the_storing_is_waited_out_before_it_counts_as_not_verified(tmp_path: Path) -> None:
    kept = Kept()

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        yield 0xFF00, event.identifier

    with desk(tmp_path, (evt.EVT_C_STORE, kept), (evt.EVT_C_FIND, find)) as work:
        uids = work.owe(2)
        work.step()
        up = work.filing
        work.filing = away(work)
        for _ in range(12):
            work.step()
            work.clock.now += 300
        assert work.states(uids) == [DeliveryState.STORED] * 2
        work.filing = up
        work.clock.now += 3600
        work.step()
        assert work.states(uids) == [DeliveryState.VERIFIED] * 2


def away(work: Desk) -> Filing:
    """The same, while the destination is down."""
    to = work.filing.settings.destination[0].model_copy(update={"port": free_port()})
    settings = work.filing.settings.model_copy(update={"destination": (to,)})
    return Filing(settings=settings, ledger=work.ledger, leases=Leases())


def test_one_query_that_is_refused_costs_the_others_nothing(tmp_path: Path) -> None:
    kept = Kept()

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        if event.identifier.SOPInstanceUID == kept.commands[1][1]:
            yield 0xA900, Dataset()
        else:
            yield 0xFF00, event.identifier

    with desk(tmp_path, (evt.EVT_C_STORE, kept), (evt.EVT_C_FIND, find)) as work:
        uids = work.owe(3)
        work.step()
        work.step()
        assert work.states(uids) == [DeliveryState.VERIFIED, DeliveryState.STORED, DeliveryState.VERIFIED]


def test_a_folder_is_filed_to_and_read_back_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    work = Desk(tmp_path, Peer(ae_title="", host="", port=104), kind="folder", path=str(tmp_path / "share"))
    uids = work.owe(3)
    work.step()
    work.step()
    assert work.states(uids) == [DeliveryState.VERIFIED] * 3
    with work.ledger.transaction() as tx:
        assert documents.deliveries(tx, "1.2.3")[0].attempts == 1
    assert len(list((tmp_path / "share").rglob("*.dcm"))) == 3
    (tmp_path / "share").rename(tmp_path / "unmounted")
    late = work.owe_one(7)
    assert "mount its share" in (work.step() or "")
    assert work.states([late]) == [DeliveryState.PENDING]
    (tmp_path / "unmounted").rename(tmp_path / "share")
    work.clock.now += 600
    work.step()
    work.step()
    assert work.states([late]) == [DeliveryState.VERIFIED]
    work.ledger.close()


# Storage commitment


class Archive:
    """Keeps what it was asked to commit to."""

    def __init__(self) -> None:
        self.asked: list[Dataset] = []

    def __call__(self, event: evt.Event) -> tuple[int, None]:
        self.asked.append(event.action_information)
        return 0x0000, None


class PromptArchive(Archive):
    """Commits to everything over the association of the request, once its response has left."""

    def responded(self, event: evt.Event) -> None:
        if self.asked and isinstance(event.pdu, P_DATA_TF):
            threading.Thread(target=self._commit, args=(event.assoc, self.asked.pop()), daemon=True).start()

    def _commit(self, association: Any, request: Dataset) -> None:
        association.send_n_event_report(request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)


def report(asked: Dataset, **failed: int) -> Commitment:
    uids = [str(item.ReferencedSOPInstanceUID) for item in asked.ReferencedSOPSequence]
    by_uid = {uids[int(name[1:])]: reason for name, reason in failed.items()}
    return Commitment(transaction_uid=str(asked.TransactionUID), committed=frozenset(uids) - set(by_uid), failed=by_uid)


def test_an_answer_to_the_listener_verifies_all_that_were_asked_for_at_once(tmp_path: Path) -> None:
    kept, archive = Kept(), Archive()
    with desk(tmp_path, (evt.EVT_C_STORE, kept), (evt.EVT_N_ACTION, archive), verify="commitment") as work:
        uids = work.owe(3)
        work.step()
        work.step()
        assert work.states(uids) == [DeliveryState.STORED] * 3
        (asked,) = archive.asked
        assert work.hear(report(asked)) == 3
        assert work.states(uids) == [DeliveryState.VERIFIED] * 3
        while work.step() is not None:
            pass
        assert work.owed() == []
    assert len(kept.commands) == 3


def test_what_is_not_committed_to_is_sent_once_more_and_then_refused_in_words(tmp_path: Path) -> None:
    kept, archive = Kept(), Archive()
    with desk(tmp_path, (evt.EVT_C_STORE, kept), (evt.EVT_N_ACTION, archive), verify="commitment") as work:
        uids = work.owe(2)
        for turn in (1, 2):
            while work.step() is not None:
                work.clock.now += 1.0
            assert len(archive.asked) == turn
            work.hear(report(archive.asked[-1], _0=0x0112))
            work.clock.now += 1.0
        work.step()
        assert work.states(uids) == [DeliveryState.REFUSED, DeliveryState.VERIFIED]
        (dead,) = work.owed()
        assert "it does not have the object" in (dead.error or "")
        assert [uid for _, uid, _ in kept.commands] == [*uids, uids[0]]
        # A person may try again.
        with work.ledger.transaction() as tx:
            tasks.retry(tx, dead.id)
        while work.step() is not None:
            work.clock.now += 1.0
        work.hear(report(archive.asked[-1]))
        assert work.states(uids) == [DeliveryState.VERIFIED] * 2
        assert len(kept.commands) == 4


def test_no_answer_in_time_leaves_it_stored_and_says_so_until_one_comes(tmp_path: Path) -> None:
    kept, archive = Kept(), Archive()
    with desk(
        tmp_path, (evt.EVT_C_STORE, kept), (evt.EVT_N_ACTION, archive), verify="commitment", verify_seconds=60
    ) as work:
        uids = work.owe(1)
        work.step()
        work.step()
        assert work.step() is None
        work.clock.now += 61
        assert "has not answered" in (work.step() or "")
        assert work.states(uids) == [DeliveryState.STORED]
        assert work.owed() == []
        assert len(archive.asked) == 1
        work.hear(report(archive.asked[0], _0=0x0110))  # a day late
        work.step()
        work.step()
        assert len(kept.commands) == 2


def test_an_archive_without_storage_commitment_is_said(tmp_path: Path) -> None:
    with scp((evt.EVT_C_STORE, Kept()), contexts={DX: NATIVE}) as peer:
        work = Desk(tmp_path, peer, verify="commitment", verify_seconds=3)
        uids = work.owe(1)
        work.step()
        assert "does not offer storage commitment" in (work.step() or "")
        work.clock.now += 10
        assert "UNVERIFIED" in (work.step() or "")
        assert work.states(uids) == [DeliveryState.STORED] and work.owed() == []
        work.ledger.close()


def test_an_answer_on_the_association_of_the_request_counts(tmp_path: Path) -> None:
    kept, archive = Kept(), PromptArchive()
    handlers = [(evt.EVT_C_STORE, kept), (evt.EVT_N_ACTION, archive), (evt.EVT_PDU_SENT, archive.responded)]
    with desk(tmp_path, *handlers, verify="commitment") as work:
        uids = work.owe(2)
        work.step()
        work.step()
        assert work.states(uids) == [DeliveryState.VERIFIED] * 2
        assert work.step() is None
