"""Documents that count as verified when the archive has committed to them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from desks import NATIVE, Desk, desk
from odd_peers import DX, Kept, scp
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from delivery.commitment import Commitment
from domain.types import DeliveryState, DocumentKind
from ledger import documents, tasks


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


def test_a_withdrawn_result_is_not_sent_again_but_the_note_that_says_so_is(tmp_path: Path) -> None:
    kept, archive = Kept(), Archive()
    with desk(tmp_path, (evt.EVT_C_STORE, kept), (evt.EVT_N_ACTION, archive), verify="commitment") as work:
        result = work.owe_one(0, kind=DocumentKind.SR)
        note = work.owe_one(1, kind=DocumentKind.KOS)
        written = work.row(note).document
        with work.ledger.transaction() as tx:
            documents.is_no_result(tx, written)
        work.step()
        work.step()
        work.clock.now += 1
        with work.ledger.transaction() as tx:
            assert [row.document.ref.sop_instance_uid for row in documents.withdrawn(tx, "1.2.3")] == [result]
        work.hear(report(archive.asked[-1], _0=0x0112, _1=0x0112))
        while work.step() is not None:
            work.clock.now += 1
        assert [uid for _, uid, _ in kept.commands] == [result, note, note]
        assert work.states([result]) == [DeliveryState.CANCELLED]
        assert [row.key for row in work.owed()] == [f"{note}>pacs"]


def test_an_archive_without_storage_commitment_is_said(tmp_path: Path) -> None:
    with scp((evt.EVT_C_STORE, Kept()), contexts={DX: NATIVE}) as peer:
        work = Desk(tmp_path, peer, verify="commitment", verify_seconds=3)
        uids = work.owe(1)
        work.step()
        assert "does not offer storage commitment" in (work.step() or "")
        work.clock.now += 10
        said = ""
        while (one := work.step()) is not None:
            said = one
            work.clock.now += 3
        assert "UNVERIFIED" in said
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
