"""Storage Commitment Push Model (PS3.4 annex J) on the listener's associations, in both roles.

A console asks (N-ACTION) what the node holds and is answered at once with 0x0000: the request is remembered. What became of
it (N-EVENT-REPORT) is said on the same association when the console keeps it open for that long, otherwise by the node on an
association of its own. And a destination that was asked by the node may report here.

N-ACTION: 0x0000 remembered, 0x0115 unreadable, 0x0123 no such action, 0x0124 not from this caller, 0x0213 not remembered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import cast

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import decode, encode
from pynetdicom.presentation import PresentationContextTuple

from domain.types import InstanceRef
from scp.admission import Admitted, Caller

log = structlog.get_logger(__name__)

SOP_CLASS = UID("1.2.840.10008.1.20.1")
SOP_INSTANCE = UID("1.2.840.10008.1.20.1.1")  # well-known
REPORT_AFTER_SECONDS = 1.0  # most consoles release at once and wait for a call; a report then would cross their release

# Failure reasons, PS3.3 C.14.1.1
NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
PROCESSING_FAILURE = 0x0110

_SUCCESS = 0x0000
_NO_SUCH_EVENT = 0x0113
_INVALID_ARGUMENT = 0x0115
_NO_SUCH_ACTION = 0x0123
_NOT_AUTHORISED = 0x0124
_RESOURCE_LIMITATION = 0x0213
_REQUEST_COMMITMENT = 1
_ALL_COMMITTED, _SOME_FAILED = 1, 2
_MAX_INFORMATION_BYTES = 8 << 20  # some 50,000 references

Answer = tuple[int, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """What a console wants to be sure of. `modality` is the settings' name of it."""

    transaction_uid: str
    modality: str
    calling_ae: str
    called_ae: str
    peer_host: str
    instances: tuple[InstanceRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentReport:
    """What a destination answers for. failed: SOP Instance UID → failure reason; an object in both lists has failed."""

    transaction_uid: str
    destination: str
    committed: frozenset[str]
    failed: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitments:
    """The node's side. Called from the associations' threads; whatever `asked` and `committed` raise refuses the message.

    asked: returns when the request will survive a restart.
    holds: SOP Instance UID → failure reason of each of these objects that the node does not durably hold.
    told: the console has taken the report of this transaction.
    committed: a destination's report.
    """

    asked: Callable[[CommitmentRequest], None]
    holds: Callable[[Sequence[InstanceRef]], Mapping[str, int]]
    told: Callable[[str], None]
    committed: Callable[[CommitmentReport], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owed:
    at: float
    request: CommitmentRequest
    context: PresentationContextTuple


class CommitmentService:
    """Of one association. Handlers return a status and no data set, as pynetdicom wants them."""

    def __init__(self, commitments: Commitments) -> None:
        self._commitments = commitments
        self._owed: list[_Owed] = []
        self._awaited: dict[int, str] = {}  # Message ID → Transaction UID
        self._message_id = 0

    def asked(self, event: evt.Event, admitted: Admitted | None, caller: Caller) -> Answer:
        """N-ACTION."""
        action = cast(N_ACTION, event.request)
        if admitted is None or admitted.modality is None:
            return _NOT_AUTHORISED, None
        if action.ActionTypeID != _REQUEST_COMMITMENT:
            return _NO_SUCH_ACTION, None
        try:
            request = _request(_decoded(action.ActionInformation, event.context), admitted.modality, caller)
        except Exception as error:  # noqa: BLE001  pydicom raises anything on bytes that are no data set
            return _refused(_INVALID_ARGUMENT, caller, error)
        try:
            self._commitments.asked(request)
        except Exception as error:  # noqa: BLE001  whatever broke, the request is not remembered: never 0x0000
            return _refused(_RESOURCE_LIMITATION, caller, error)
        self._owed.append(_Owed(at=time.monotonic() + REPORT_AFTER_SECONDS, request=request, context=event.context))
        log.info("storage commitment asked", modality=request.modality, images=len(request.instances))
        return _SUCCESS, None

    def reported(self, event: evt.Event, admitted: Admitted | None, caller: Caller) -> Answer:
        """N-EVENT-REPORT."""
        report = cast(N_EVENT_REPORT, event.request)
        if admitted is None or admitted.destination is None:
            return _NOT_AUTHORISED, None
        if report.EventTypeID not in (_ALL_COMMITTED, _SOME_FAILED):
            return _NO_SUCH_EVENT, None
        try:
            said = _report(_decoded(report.EventInformation, event.context), admitted.destination)
        except Exception as error:  # noqa: BLE001  pydicom raises anything on bytes that are no data set
            return _refused(_INVALID_ARGUMENT, caller, error)
        try:
            self._commitments.committed(said)
        except Exception as error:  # noqa: BLE001  whatever broke, the report is not kept: the archive may send it again
            return _refused(PROCESSING_FAILURE, caller, error)
        log.info(
            "storage commitment reported", destination=said.destination, kept=len(said.committed), failed=len(said.failed)
        )
        return _SUCCESS, None

    def due(self) -> tuple[N_EVENT_REPORT, int] | None:
        """The next report that it is time for, and its presentation context."""
        if not self._owed or self._owed[0].at > time.monotonic():
            return None
        owed = self._owed.pop(0)
        try:
            failed = self._commitments.holds(owed.request.instances)
        except Exception as error:  # noqa: BLE001  the node owes the report still, and sends it by itself
            log.warning("no report on this association", modality=owed.request.modality, error=type(error).__name__)
            return None
        self._message_id = self._message_id % 0xFFFF + 1
        self._awaited[self._message_id] = owed.request.transaction_uid
        message = N_EVENT_REPORT()
        message.MessageID = self._message_id
        message.AffectedSOPClassUID, message.AffectedSOPInstanceUID = SOP_CLASS, SOP_INSTANCE
        message.EventTypeID = _SOME_FAILED if failed else _ALL_COMMITTED
        message.EventInformation = BytesIO(_encoded(_information(owed.request, failed), owed.context))
        return message, owed.context.context_id

    def taken(self, answer: N_EVENT_REPORT) -> None:
        """The console's answer to a report; with anything but success the node still owes it."""
        transaction_uid = self._awaited.pop(answer.MessageIDBeingRespondedTo or 0, None)
        if transaction_uid is None or answer.Status != _SUCCESS:
            return
        try:
            self._commitments.told(transaction_uid)
        except Exception as error:  # noqa: BLE001  then the console is told once more
            log.warning("a report that was taken could not be noted", error=type(error).__name__)


def _request(information: Dataset, modality: str, caller: Caller) -> CommitmentRequest:
    return CommitmentRequest(
        transaction_uid=_uid(information, "TransactionUID"),
        modality=modality,
        calling_ae=caller.calling_ae,
        called_ae=caller.called_ae,
        peer_host=caller.peer_host,
        instances=tuple(
            InstanceRef(
                sop_class_uid=_uid(item, "ReferencedSOPClassUID"), sop_instance_uid=_uid(item, "ReferencedSOPInstanceUID")
            )
            for item in information["ReferencedSOPSequence"].value
        ),
    )


def _report(information: Dataset, destination: str) -> CommitmentReport:
    failed = {
        _uid(item, "ReferencedSOPInstanceUID"): int(item.get("FailureReason", PROCESSING_FAILURE))
        for item in information.get("FailedSOPSequence") or []
    }
    kept = (_uid(item, "ReferencedSOPInstanceUID") for item in information.get("ReferencedSOPSequence") or [])
    return CommitmentReport(
        transaction_uid=_uid(information, "TransactionUID"),
        destination=destination,
        committed=frozenset(kept) - failed.keys(),
        failed=failed,
    )


def _information(request: CommitmentRequest, failed: Mapping[str, int]) -> Dataset:
    """PS3.4 table J.3-2."""
    information = Dataset()
    information.TransactionUID = request.transaction_uid
    kept, missing = [], []
    for ref in request.instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ref.sop_class_uid, ref.sop_instance_uid
        if ref.sop_instance_uid in failed:
            item.FailureReason = failed[ref.sop_instance_uid]
            missing.append(item)
        else:
            kept.append(item)
    if kept:
        information.ReferencedSOPSequence = kept
    if missing:
        information.FailedSOPSequence = missing
    return information


def _uid(item: Dataset, keyword: str) -> str:
    value = str(item[keyword].value)
    if not UID(value).is_valid:
        raise ValueError(f"{keyword} is no UID")
    return value


def _decoded(data: BytesIO | None, context: PresentationContextTuple) -> Dataset:
    if data is None or data.getbuffer().nbytes > _MAX_INFORMATION_BYTES:
        raise ValueError("no information, or too much")
    syntax = UID(context.transfer_syntax)
    return decode(data, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)


def _encoded(information: Dataset, context: PresentationContextTuple) -> bytes:
    syntax = UID(context.transfer_syntax)
    # None for what cannot be encoded, which a data set made here is not.
    return cast(bytes, encode(information, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated))


def _refused(status: int, caller: Caller, error: Exception) -> Answer:
    log.warning(
        "storage commitment refused", peer=caller.peer_host, status=f"0x{status:04X}", reason=type(error).__name__
    )  # its text may quote the data set
    return status, None
