"""Documents of one destination over one association: each a task of its own, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desks import CONTEXTS, Desk, desk
from odd_peers import Kept, scp
from peers import free_port
from pydicom.dataset import Dataset
from pynetdicom import evt

from domain.types import DeliveryState, Peer
from ledger import documents, tasks
from ledger.documents import DeliveryRow
from ledger.store import Transaction
from node import filing
from node.filing import Filing
from node.leases import Leases


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
            answer.Status, answer.ErrorComment = 0xC001, "Study of Rex Miller is locked"
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
                    documents.delivered(
                        tx, documents.get_delivery(tx, f"{uids[2]}>pacs"), DeliveryState.CANCELLED, status="-"
                    )
            return kept(event)

        with scp((evt.EVT_C_STORE, withdraws_the_last), contexts=CONTEXTS) as peer:
            to = work.filing.settings.destination[0].model_copy(update={"port": peer.port})
            settings = work.filing.settings.model_copy(update={"destination": (to,)})
            work.filing = Filing(settings=settings, ledger=work.ledger, leases=Leases())
            work.step()
        assert work.states(uids) == [DeliveryState.STORED, DeliveryState.STORED, DeliveryState.CANCELLED]
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
