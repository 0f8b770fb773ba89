"""Storage Commitment Push Model (PS3.4 annex J): asking an archive, and telling a console that asked us.

An archive answers on the association of the request, or, most of them, on one of its own to the node's listener.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from delivery.association import NothingAccepted, associate, name_of
from delivery.status import describe
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import InstanceRef, Peer

_REQUEST_ACTION = 1
_ALL_COMMITTED, _SOME_FAILED = 1, 2
# PS3.3 C.14.1.1
_REASONS = {
    0x0110: "processing failure",
    0x0112: "it does not have the object",
    0x0119: "it has another SOP class under this UID",
    0x0122: "it does not commit to this SOP class",
    0x0131: "it has had this transaction before",
    0x0213: "it is out of resources",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """What an archive answered for. failed: SOP Instance UID → Failure Reason (0008,1197)."""

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


def reason_in_words(reason: int) -> str:
    return f"0x{reason:04X}" + (f" ({_REASONS[reason]})" if reason in _REASONS else "")


def ask_commitment(
    refs: Sequence[InstanceRef], peer: Peer, *, transaction_uid: str, timeout_seconds: float, wait_seconds: float
) -> Commitment | None:
    """N-ACTION for these objects; the answer when it comes on this association within `wait_seconds`, otherwise None.

    PeerRefused when the peer offers no storage commitment or refuses the request; PeerUnavailable as `associate`.
    """
    answers: list[Commitment] = []
    heard = threading.Event()

    def on_report(event: evt.Event) -> tuple[int, None]:
        answer = read_report(event.event_information)
        if answer.transaction_uid == transaction_uid:
            answers.append(answer)
            heard.set()
        return 0x0000, None

    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(ref) for ref in refs]
    contexts = [build_context(StorageCommitmentPushModel)]
    try:
        with associate(
            peer, contexts, timeout_seconds=timeout_seconds, handlers=[(evt.EVT_N_EVENT_REPORT, on_report)]
        ) as link:
            status, _ = link.association.send_n_action(
                request, _REQUEST_ACTION, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            _require_success(status, peer, "storage commitment", timeout_seconds)
            heard.wait(wait_seconds)
    except NothingAccepted as error:
        raise PeerRefused(
            f'{name_of(peer)} does not offer storage commitment; enable it there, or set verify to "find"'
        ) from error
    return answers[0] if answers else None


def tell_commitment(
    refs: Sequence[InstanceRef], failed: Mapping[str, int], peer: Peer, *, transaction_uid: str, timeout_seconds: float
) -> None:
    """N-EVENT-REPORT to a console that asked earlier, over an association of its own; `failed` as in `Commitment`.

    PeerRefused when it does not take the report, PeerUnavailable as `associate`.
    """
    report = _report_of(refs, failed, transaction_uid=transaction_uid)
    event_type = _SOME_FAILED if failed else _ALL_COMMITTED
    # PS3.4 J.3.3: whoever opens the association for the report is the SCP of the service, and says so.
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    contexts = [build_context(StorageCommitmentPushModel)]
    try:
        with associate(peer, contexts, timeout_seconds=timeout_seconds, roles=[role]) as link:
            status, _ = link.association.send_n_event_report(
                report, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            _require_success(status, peer, "the report of a storage commitment", timeout_seconds)
    except NothingAccepted as error:
        raise PeerRefused(
            f"{name_of(peer)} takes no reports of storage commitment; let it answer for that service"
        ) from error


def _report_of(refs: Sequence[InstanceRef], failed: Mapping[str, int], *, transaction_uid: str) -> Dataset:
    """The Event Information of an N-EVENT-REPORT (PS3.4 table J.3-2)."""
    report = Dataset()
    report.TransactionUID = transaction_uid
    kept = [_reference(ref) for ref in refs if ref.sop_instance_uid not in failed]
    if kept:
        report.ReferencedSOPSequence = kept
    if failed:
        report.FailedSOPSequence = [_failure(ref, failed) for ref in refs if ref.sop_instance_uid in failed]
    return report


def read_report(report: Dataset) -> Commitment:
    """The same, read. An object that stands in both lists has failed."""
    failed = {
        str(item.get("ReferencedSOPInstanceUID", "")): int(item.get("FailureReason", 0x0110))
        for item in report.get("FailedSOPSequence") or []
    }
    kept = (str(item.get("ReferencedSOPInstanceUID", "")) for item in report.get("ReferencedSOPSequence") or [])
    return Commitment(
        transaction_uid=str(report.get("TransactionUID", "")), committed=frozenset(kept) - set(failed), failed=failed
    )


def _require_success(status: Dataset, peer: Peer, what: str, timeout_seconds: float) -> None:
    code = status.get("Status")
    if code is None:
        raise PeerUnavailable(f"{name_of(peer)} did not answer to {what} within {timeout_seconds:g} s, or broke it off")
    if code == 0x0213 or code & 0xFF00 == 0xA700:
        raise PeerUnavailable(f"{name_of(peer)} cannot take {what} now: status {describe(code)}")
    if code != 0x0000:
        raise PeerRefused(f"{name_of(peer)} refused {what} with status {describe(code)}", status=code)


def _reference(ref: InstanceRef) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = ref.sop_class_uid
    item.ReferencedSOPInstanceUID = ref.sop_instance_uid
    return item


def _failure(ref: InstanceRef, failed: Mapping[str, int]) -> Dataset:
    item = _reference(ref)
    item.FailureReason = failed[ref.sop_instance_uid]
    return item
