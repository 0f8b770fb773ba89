"""An association with a caller: admission and contexts at its beginning, then one message after the other.

Written against pynetdicom 3.0.4 like `scp.upper_layer`; the seams used here are `acse._negotiate_as_acceptor`,
`association._run_reactor` and `association._serve_request`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from socket import socket
from typing import Any, cast

import structlog
from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE, N_EVENT_REPORT
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AssociationServer

from scp.admission import LOCAL_LIMIT_EXCEEDED, Admission, Admitted, Caller, Refused, RefusedCaller, Rejected
from scp.command import StoreRequest
from scp.commitment import Commitments, CommitmentService
from scp.contexts import STORAGE_SOP_CLASSES, accepted_roles, negotiate
from scp.pdu import PduReader, ProtocolError
from scp.proxy import TrustedProxies
from scp.upper_layer import BufferedSocket, UpperLayer

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.1
CANNOT_UNDERSTAND = 0xC000
SOP_CLASS_NOT_SUPPORTED = 0x0122


class Slots:
    """The associations that may send at a time."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._lock = threading.Lock()
        self._taken: set[AcceptedAssociation] = set()

    def take(self, association: AcceptedAssociation) -> bool:
        with self._lock:
            if len(self._taken) >= self.count:
                return False
            self._taken.add(association)
            return True

    def leave(self, association: AcceptedAssociation) -> None:
        with self._lock:
            self._taken.discard(association)


# Association, command, transfer syntax, data set → status and comment
Store = Callable[["AcceptedAssociation", StoreRequest, str, BytesIO], tuple[int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What every association of a listener shares."""

    admission: Admission
    slots: Slots
    refused: Refused
    store: Store
    commitments: Commitments | None  # None: the service is not offered
    proxies: TrustedProxies
    max_pdu_bytes: int
    max_object_bytes: int
    idle_seconds: float


class AcceptedAssociation(Association):
    """`admitted` is known from the negotiation on; `dul.titles` and the proxy's word from the request on.

    ended: called when the association's thread ends.
    """

    dul: UpperLayer

    def __init__(
        self,
        ae: ApplicationEntity,
        *,
        server: AssociationServer,
        connection: socket,
        peer_host: str,
        reception: Reception,
        ended: Callable[[AcceptedAssociation], None],
    ) -> None:
        super().__init__(ae, "acceptor")
        self._server = server
        self._ended = ended
        self.reception = reception
        self.commitment = None if reception.commitments is None else CommitmentService(reception.commitments)
        self.admitted: Admitted | None = None
        self.acse = _Acceptor(self)
        self.dul = UpperLayer(
            self,
            peer_host=peer_host,
            max_object_bytes=reception.max_object_bytes,
            wake=self.wake,
            store=self._store,
            proxied=peer_host in reception.proxies,
        )
        self.acse_timeout = ae.acse_timeout  # again: these set the timers of the new upper layer
        self.network_timeout = ae.network_timeout
        connection.settimeout(reception.idle_seconds)  # for sending: a peer that reads nothing ends the association
        self.local_host = str(connection.getsockname()[0])
        reader = PduReader(max_pdu_bytes=reception.max_pdu_bytes)
        self.set_socket(BufferedSocket(self, connection, reader=reader, bell=self.dul.bell))

    @property
    def peer_host(self) -> str:
        return self.dul.peer_host

    @property
    def caller(self) -> Caller:
        titles = self.dul.titles
        return Caller(
            calling_ae=titles.calling if titles else "",
            called_ae=titles.called if titles else "",
            peer_host=self.peer_host,
            local_host=self.local_host,
            hidden=self.dul.hidden,
        )

    def wake(self) -> None:
        """Let the loop look at the upper layer again."""
        if self.dimse.msg_queue.empty():
            self.dimse.msg_queue.put((None, None))

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        finally:
            self.reception.slots.leave(self)
            self._ended(self)

    def kill(self) -> None:
        self.reception.slots.leave(self)  # the connection may linger; nothing more is taken from it
        super().kill()

    def _bind_defaults(self) -> None:
        """The library's log handlers, which format every PDU and message, are left out."""
        for event in evt._INTERVENTION_EVENTS:
            self.bind(event, evt.get_default_handler(event))

    def _run_reactor(self) -> None:
        while not self._kill:
            try:
                context_id, message = self.dimse.msg_queue.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                context_id, message = None, None
            self.dul.bell.ring()  # the next object may be read now
            if message is not None and context_id is not None:
                self._serve_request(message, context_id)
                self.dul._idle_timer.restart()  # the time that storing took is not the sender's
            if self.is_established and self.acse.is_release_requested():
                self.reception.slots.leave(self)  # before the answer: the sender may call again at once
                self.acse.send_release(is_response=True)
                self.is_released = True
                self.is_established = False
                self.kill()
            elif self.acse.is_aborted():
                self.is_aborted = True
                self.is_established = False
                self.kill()
            elif not self.dul.is_alive():
                self.kill()
            elif self.dul.idle_timer_expired() and not self.dul.is_storing:
                log.warning("association aborted", peer=self.peer_host, reason="nothing came for [node] idle_seconds")
                self.abort()
            elif self.commitment and self.is_established and (report := self.commitment.due()):
                self.dimse.send_msg(*report)

    def end(self) -> None:
        """Abort what is established, cut what is not, or what storing keeps from hearing of it."""
        if self.is_established and not self.dul.is_storing:
            self.abort()
        else:
            cast(BufferedSocket, self.dul.socket).cut()

    def _store(self, request: StoreRequest, context_id: int, data_set: BytesIO) -> tuple[int, str]:
        """Called from the upper layer's thread, one object at a time."""
        context = self._accepted_cx.get(context_id)
        if context is None:
            raise ProtocolError("an object came in a presentation context that was not accepted")
        if request.sop_class_uid not in STORAGE_SOP_CLASSES:
            comment = "This SOP Class is not stored here"
            log.warning("image refused", peer=self.peer_host, status=f"0x{SOP_CLASS_NOT_SUPPORTED:04X}", reason=comment)
            return SOP_CLASS_NOT_SUPPORTED, comment
        return self.reception.store(self, request, str(context.transfer_syntax[0]), data_set)

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """What the library would leave without an answer gets a failure status; whole C-STOREs do not come here."""
        if isinstance(msg, C_STORE):
            self._fail(msg, context_id, CANNOT_UNDERSTAND, "The C-STORE command lacks a required field")
        elif isinstance(msg, N_EVENT_REPORT) and msg.MessageIDBeingRespondedTo is not None and self.commitment:
            self.commitment.taken(msg)
        else:
            super()._serve_request(msg, context_id)

    def _fail(self, request: C_STORE, context_id: int, status: int, comment: str) -> None:
        log.warning("image refused", peer=self.peer_host, status=f"0x{status:04X}", reason=comment)
        if request.MessageID is None:
            self.abort()  # nothing that could be answered
            return
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo = request.MessageID
        answer.AffectedSOPClassUID = request.AffectedSOPClassUID
        answer.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        answer.Status = status
        answer.ErrorComment = comment  # type: ignore[assignment]  # pynetdicom 3.0.4 declares None alone
        self.dimse.send_msg(answer, context_id)


class _Acceptor(ACSE):
    """Answers an A-ASSOCIATE-RQ. User identity, extended and asynchronous negotiation get no answer, which PS3.7 Annex D
    defines as "not supported": the sender then goes on without."""

    def _negotiate_as_acceptor(self) -> None:
        association = cast(AcceptedAssociation, self.assoc)
        reception = association.reception
        request = cast(A_ASSOCIATE, self.requestor.primitive)
        self.requestor.ae_title = request.calling_ae_title
        caller = association.caller
        decision = reception.admission.decide(caller)
        known = isinstance(decision, Admitted)
        if isinstance(decision, Admitted) and decision.modality is not None and not reception.slots.take(association):
            decision = Rejected(
                rejection=LOCAL_LIMIT_EXCEEDED,
                reason=f"{caller.calling_ae or 'A caller with a blank AE title'} at {caller.peer_host} called; "
                f"all {reception.slots.count} associations of [node] max_associations are taken",
            )
        if isinstance(decision, Rejected):
            self._refuse(caller, decision, known=known)
            return
        association.admitted = decision
        answers = negotiate(
            request.presentation_context_definition_list,
            storage=decision.modality is not None,
            commitment=association.commitment is not None and (decision.modality or decision.destination) is not None,
        )
        for role in accepted_roles(self.requestor.role_selection, answers):
            self.acceptor.add_negotiation_item(role)
        association._accepted_cx = {cast(int, cx.context_id): cx for cx in answers if cx.result == 0x00}
        association._rejected_cx = [cx for cx in answers if cx.result != 0x00]
        self.send_accept()
        association.is_established = True

    def _refuse(self, caller: Caller, decision: Rejected, *, known: bool) -> None:
        self.send_reject(*decision.rejection)
        log.warning("association refused", reason=decision.reason)
        try:
            cast(AcceptedAssociation, self.assoc).reception.refused(
                RefusedCaller(
                    calling_ae=caller.calling_ae,
                    called_ae=caller.called_ae,
                    peer_host=caller.peer_host,
                    reason=decision.reason,
                    unknown=not known,
                )
            )
        except Exception as error:  # noqa: BLE001  noting a stranger down must not cost the listener anything
            log.error("refused caller could not be noted", error=type(error).__name__)
        self.assoc.kill()
