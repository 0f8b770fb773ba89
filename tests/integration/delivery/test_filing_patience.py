"""A destination that is asked late, after an outage or a backlog: one answer that says no is not its last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desks import Desk, desk
from odd_peers import Kept
from peers import free_port
from pydicom.dataset import Dataset
from pynetdicom import evt

from delivery.commitment import Commitment
from domain.types import DeliveryState
from ledger.peers import LONGEST_PAUSE_SECONDS
from node.filing import Filing
from node.leases import Leases

HOUR_SECONDS = 3600.0


class Index:
    """Of an archive that stored everything: for so many queries it refuses, or finds nothing."""

    def __init__(self, *, refusing: int = 0, empty: int = 0) -> None:
        self._refusing, self._empty = refusing, empty
        self.asked = 0

    def __call__(self, event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        self.asked += 1
        if self.asked <= self._refusing:
            yield 0xC001, Dataset()
        elif self.asked > self._empty:
            yield 0xFF00, event.identifier


def worked_off(work: Desk) -> list[str]:
    """What every task said, each when it was due."""
    said: list[str] = []
    while (owed := work.owed()) and len(said) < 60:
        work.clock.now = max(work.clock.now, *(row.run_at for row in owed))
        said.append(work.step() or "")
    return said


@pytest.mark.parametrize(("refusing", "empty"), [(1, 0), (0, 1), (1, 2)])
def test_a_first_look_that_comes_late_is_not_the_last(tmp_path: Path, refusing: int, empty: int) -> None:
    index = Index(refusing=refusing, empty=empty)
    with desk(tmp_path, (evt.EVT_C_STORE, Kept()), (evt.EVT_C_FIND, index)) as work:
        uids = work.owe(1)
        work.step()
        work.clock.now += HOUR_SECONDS
        worked_off(work)
        assert work.states(uids) == [DeliveryState.VERIFIED]


def test_looks_before_a_backlog_do_not_make_the_first_one_after_it_the_last(tmp_path: Path) -> None:
    with desk(tmp_path, (evt.EVT_C_STORE, Kept()), (evt.EVT_C_FIND, Index(empty=5))) as work:
        uids = work.owe(1)
        for _ in range(5):
            work.step()
            work.clock.now += 1
        work.clock.now += HOUR_SECONDS
        worked_off(work)
        assert work.states(uids) == [DeliveryState.VERIFIED]


def test_what_is_never_found_is_looked_for_as_long_again_and_then_said_to_be_unverified(tmp_path: Path) -> None:
    index = Index(empty=100)
    with desk(tmp_path, (evt.EVT_C_STORE, Kept()), (evt.EVT_C_FIND, index), verify_seconds=60) as work:
        uids = work.owe(1)
        work.step()
        stored_at = work.clock.now
        work.clock.now += HOUR_SECONDS
        *others, last = worked_off(work)
        assert "UNVERIFIED" in last and not any("UNVERIFIED" in one for one in others)
        assert index.asked == 3
        assert work.clock.now - stored_at == HOUR_SECONDS + 60
        assert work.states(uids) == [DeliveryState.STORED]


def away(work: Desk) -> Filing:
    """The same, while the destination is down."""
    to = work.filing.settings.destination[0].model_copy(update={"port": free_port()})
    settings = work.filing.settings.model_copy(update={"destination": (to,)})
    return Filing(settings=settings, ledger=work.ledger, leases=Leases())


def test_a_pacs_that_is_down_for_a_week_gets_everything_when_it_is_back(tmp_path: Path) -> None:
    kept = Kept()
    with desk(tmp_path, (evt.EVT_C_STORE, kept), verify="none") as work:
        uids = work.owe(3)
        up, work.filing = work.filing, away(work)
        back_at = work.clock.now + 7 * 24 * HOUR_SECONDS
        while work.clock.now < back_at:  # it is dialled every five minutes, too often for a test
            assert work.step() is not None
            work.clock.now += 12 * HOUR_SECONDS
        work.clock.now = back_at - LONGEST_PAUSE_SECONDS
        work.step()
        assert work.states(uids) == [DeliveryState.PENDING] * 3
        work.clock.now = back_at + LONGEST_PAUSE_SECONDS
        work.filing = up
        while work.step() is not None:
            pass
        assert work.states(uids) == [DeliveryState.STORED] * 3
        assert {row.state for row in work.owed()} == set()


def test_silence_at_the_first_look_after_days_is_waited_out_for_a_day(tmp_path: Path) -> None:
    with desk(tmp_path, (evt.EVT_C_STORE, Kept()), (evt.EVT_C_FIND, Index())) as work:
        uids = work.owe(1)
        work.step()
        up, work.filing = work.filing, away(work)
        work.clock.now += 50 * HOUR_SECONDS
        work.step()
        work.clock.now += HOUR_SECONDS
        work.step()
        work.filing = up
        work.clock.now += HOUR_SECONDS
        work.step()
        assert work.states(uids) == [DeliveryState.VERIFIED]


def test_silence_is_not_waited_out_for_ever(tmp_path: Path) -> None:
    with desk(tmp_path, (evt.EVT_C_STORE, Kept())) as work:
        uids = work.owe(1)
        work.step()
        work.filing = away(work)
        first = work.clock.now
        assert "UNVERIFIED" in worked_off(work)[-1]
        assert 24 * HOUR_SECONDS <= work.clock.now - first < 48 * HOUR_SECONDS
        assert work.states(uids) == [DeliveryState.STORED]


class Archive:
    """Takes requests for commitment, after refusing the first so many."""

    def __init__(self, refusing: int = 0) -> None:
        self._refusing = refusing
        self.asked: list[Dataset] = []

    def __call__(self, event: evt.Event) -> tuple[int, None]:
        if self._refusing:
            self._refusing -= 1
            return 0x0110, None
        self.asked.append(event.action_information)
        return 0x0000, None

    def commits(self, work: Desk) -> None:
        (asked,) = self.asked
        uids = frozenset(str(item.ReferencedSOPInstanceUID) for item in asked.ReferencedSOPSequence)
        work.hear(Commitment(transaction_uid=str(asked.TransactionUID), committed=uids, failed={}))


def test_one_refusal_to_commit_after_a_backlog_is_not_the_last_word(tmp_path: Path) -> None:
    archive = Archive(refusing=1)
    with desk(tmp_path, (evt.EVT_C_STORE, Kept()), (evt.EVT_N_ACTION, archive), verify="commitment") as work:
        uids = work.owe(2)
        work.step()
        work.clock.now += HOUR_SECONDS
        work.step()
        work.clock.now += HOUR_SECONDS
        work.step()
        archive.commits(work)
        assert work.states(uids) == [DeliveryState.VERIFIED] * 2


def test_an_archive_that_was_down_is_asked_to_commit_when_it_is_back(tmp_path: Path) -> None:
    archive = Archive()
    with desk(tmp_path, (evt.EVT_C_STORE, Kept()), (evt.EVT_N_ACTION, archive), verify="commitment") as work:
        uids = work.owe(2)
        work.step()
        up, work.filing = work.filing, away(work)
        for _ in range(12):
            work.step()
            work.clock.now += 300
        work.filing = up
        work.clock.now += 2 * HOUR_SECONDS
        work.step()
        archive.commits(work)
        assert work.states(uids) == [DeliveryState.VERIFIED] * 2
        worked_off(work)
        assert work.owed() == []


def test_a_request_that_was_taken_late_has_its_full_time_to_be_answered(tmp_path: Path) -> None:
    archive = Archive()
    with desk(
        tmp_path, (evt.EVT_C_STORE, Kept()), (evt.EVT_N_ACTION, archive), verify="commitment", verify_seconds=60
    ) as work:
        work.owe(1)
        work.step()
        work.clock.now += HOUR_SECONDS
        asked_at = work.clock.now
        assert "UNVERIFIED" not in (work.step() or "")
        assert "has not answered" in worked_off(work)[-1]
        assert work.clock.now == asked_at + 60
        assert len(archive.asked) == 1
