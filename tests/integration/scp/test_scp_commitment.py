"""Storage commitment on the listener's associations: a console that asks, and a destination that reports."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from peers import wait_until
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_role

from config.settings import Destination, Modality, Node
from domain.errors import StorageUnavailable
from domain.types import InstanceRef
from scp.listener import CommitmentReport, CommitmentRequest, Commitments, Listener, RefusedCaller

SOP_CLASS, SOP_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
CONSOLE = Modality(name="dr-room-1", ae_title="DRROOM1")
PACS = Destination(name="clinic-pacs", ae_title="PACS", host="127.0.0.1", verify="commitment")
HELD, MISSING = "2.25.1", "2.25.2"


@dataclass
class Ledger:
    """The node's side: remembers, or fails as it is told to."""

    requests: list[CommitmentRequest] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    reports: list[CommitmentReport] = field(default_factory=list)
    full: bool = False

    def ask(self, request: CommitmentRequest) -> None:
        if self.full:
            raise StorageUnavailable("the disk is full")
        self.requests.append(request)

    def holds(self, instances: Sequence[InstanceRef]) -> Mapping[str, int]:
        return {ref.sop_instance_uid: 0x0112 for ref in instances if ref.sop_instance_uid != HELD}

    def commit(self, report: CommitmentReport) -> None:
        if self.full:
            raise StorageUnavailable("the disk is full")
        self.reports.append(report)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def listener(ledger: Ledger) -> Iterator[Listener]:
    def refused(_: RefusedCaller) -> None:
        pass

    def receive(_: object) -> None:
        pytest.fail("nothing is stored here")

    commitments = Commitments(asked=ledger.ask, holds=ledger.holds, told=ledger.told.append, committed=ledger.commit)
    with Listener(
        node=Node(host="127.0.0.1"),
        modalities=[CONSOLE],
        destinations=[PACS],
        receive=receive,
        refused=refused,
        commitments=commitments,
        port=0,
    ) as running:
        yield running


@contextmanager
def associated(
    listener: Listener,
    calling: str = "DRROOM1",
    *,
    role: bool = False,
    reports: list[Dataset] | None = None,
    answer: int = 0,
) -> Iterator[Association]:
    def on_report(event: evt.Event) -> tuple[int, None]:
        if reports is not None:
            report = event.event_information
            report.EventTypeID = event.event_type
            reports.append(report)
        return answer, None

    ae = AE(ae_title=calling)
    ae.add_requested_context(SOP_CLASS)
    association = ae.associate(
        "127.0.0.1",
        listener.port,
        ae_title="HOUNDSFIELD",
        ext_neg=[build_role(SOP_CLASS, scp_role=True)] if role else [],
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report)],
    )
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def ask(association: Association, *uids: str, transaction: str = "2.25.77", action: int = 1) -> int:
    request = Dataset()
    request.TransactionUID = transaction
    request.ReferencedSOPSequence = [reference(uid) for uid in uids]
    status, _ = association.send_n_action(request, action, SOP_CLASS, SOP_INSTANCE)
    return int(status.Status)


def reference(uid: str, failure: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DX, uid
    if failure is not None:
        item.FailureReason = failure
    return item


def test_a_console_that_keeps_its_association_is_told_on_it(listener: Listener, ledger: Ledger) -> None:
    reports: list[Dataset] = []
    with associated(listener, reports=reports) as association:
        assert ask(association, HELD, MISSING, transaction="2.25.77") == 0x0000
        assert ask(association, HELD, transaction="2.25.78") == 0x0000
        assert [request.transaction_uid for request in ledger.requests] == ["2.25.77", "2.25.78"]
        wait_until(lambda: len(ledger.told) == 2, what="both reports are taken")
    request = ledger.requests[0]
    assert (request.modality, request.calling_ae, request.peer_host) == ("dr-room-1", "DRROOM1", "127.0.0.1")
    assert request.instances[1] == InstanceRef(sop_class_uid=DX, sop_instance_uid=MISSING)
    some, every = reports
    assert (some.TransactionUID, some.EventTypeID) == ("2.25.77", 2)
    assert [item.ReferencedSOPInstanceUID for item in some.ReferencedSOPSequence] == [HELD]
    assert [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in some.FailedSOPSequence] == [(MISSING, 0x0112)]
    assert (every.TransactionUID, every.EventTypeID, "FailedSOPSequence" in every) == ("2.25.78", 1, False)
    assert ledger.told == ["2.25.77", "2.25.78"]


def test_a_console_that_releases_at_once_is_still_owed_its_report(listener: Listener, ledger: Ledger) -> None:
    reports: list[Dataset] = []
    with associated(listener, reports=reports) as association:
        assert ask(association, HELD) == 0x0000
    assert len(ledger.requests) == 1
    listener.stop(drain_seconds=5)
    assert (reports, ledger.told) == ([], [])


def test_a_report_that_the_console_refuses_is_still_owed(listener: Listener, ledger: Ledger) -> None:
    reports: list[Dataset] = []
    with associated(listener, reports=reports, answer=0x0110) as association:
        assert ask(association, HELD) == 0x0000
        wait_until(lambda: reports, what="the report")
    listener.stop(drain_seconds=5)
    assert ledger.told == []


def test_what_is_not_remembered_is_refused(listener: Listener, ledger: Ledger) -> None:
    with associated(listener) as association:
        assert ask(association, HELD, action=2) == 0x0123
        assert ask(association, HELD, transaction="") == 0x0115
        ledger.full = True
        assert ask(association, HELD) == 0x0213
        ledger.full = False
        assert ask(association, HELD) == 0x0000  # the association lives on


def test_an_archive_reports_as_the_provider_of_the_service(listener: Listener, ledger: Ledger) -> None:
    report = Dataset()
    report.TransactionUID = "2.25.79"
    report.ReferencedSOPSequence = [reference(HELD), reference(MISSING)]
    report.FailedSOPSequence = [reference(MISSING, 0x0112)]
    with associated(listener, "PACS", role=True) as association:
        (context,) = association.accepted_contexts
        assert context.as_scp
        status, _ = association.send_n_event_report(report, 2, SOP_CLASS, SOP_INSTANCE)
        assert status.Status == 0x0000
        ledger.full = True
        status, _ = association.send_n_event_report(report, 2, SOP_CLASS, SOP_INSTANCE)
        assert status.Status == 0x0110
        status, _ = association.send_n_event_report(report, 3, SOP_CLASS, SOP_INSTANCE)
        assert status.Status == 0x0113
    assert ledger.reports == [
        CommitmentReport(
            transaction_uid="2.25.79",
            destination="clinic-pacs",
            committed=frozenset({HELD}),
            failed={MISSING: 0x0112},
        )
    ]


def test_each_caller_has_its_own_role(listener: Listener, ledger: Ledger) -> None:
    with associated(listener, "PACS") as association:
        assert ask(association, HELD) == 0x0124
    with associated(listener, role=True) as association:
        report = Dataset()
        report.TransactionUID = "2.25.80"
        status, _ = association.send_n_event_report(report, 1, SOP_CLASS, SOP_INSTANCE)
        assert status.Status == 0x0124
    assert (ledger.requests, ledger.reports) == ([], [])


def test_a_destination_may_not_store_and_takes_no_slot(listener: Listener) -> None:
    ae = AE(ae_title="PACS")
    ae.add_requested_context(DX)
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate("127.0.0.1", listener.port, ae_title="HOUNDSFIELD")
    try:
        assert [context.abstract_syntax for context in association.accepted_contexts] == ["1.2.840.10008.1.1"]
    finally:
        association.release()


def test_several_consoles_at_once(listener: Listener, ledger: Ledger) -> None:
    def console(number: int) -> None:
        with associated(listener) as association:
            assert ask(association, HELD, transaction=f"2.25.9{number}") == 0x0000
            wait_until(lambda: f"2.25.9{number}" in ledger.told, what="the report")

    threads = [threading.Thread(target=console, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=15)
    assert sorted(ledger.told) == [f"2.25.9{number}" for number in range(4)]
