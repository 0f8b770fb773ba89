"""Associations as SCU: contexts, time-outs, and what each failure means, mapped in one place.

Every wait is bounded by `timeout_seconds` without progress: name resolution, connecting, negotiation, each stalled send,
each response. A peer that connects and says nothing, or takes the data and never answers, costs that long and no longer.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context

from delivery.faults import AnswerLost
from domain.errors import PeerRefused, PeerUnavailable
from domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from domain.types import Peer

MAX_CONTEXTS = 128  # PS3.8 9.3.2.2: odd identifiers from 1 to 255

# A release that the peer does not answer changes nothing: all responses are in.
_RELEASE_SECONDS = 5.0
# P-DATA PDUs between us and the socket. Enough to keep it busy; few enough that a large object is never queued whole.
_PDUS_IN_FLIGHT = 32
# A peer may allow PDUs without limit; these are large enough for any network and small enough to see progress by.
_LARGEST_PDU_BYTES = 1 << 20
# What the kernel may hold back unsent when the wait for a response begins; on a slow line its own 4 MB would outlast it.
_SEND_BUFFER_BYTES = 256 << 10
# A link slower than this is not waited for: the bound on a peer that trickles.
_LEAST_BYTES_PER_SECOND = 20_000


class AssociationLost(AnswerLost):
    """Established, then broken or silent while an object was on its way."""


class NothingAccepted(PeerRefused):
    """The peer took the association and none of the services offered."""

    def __init__(self, message: str, rejected: Sequence[PresentationContext]) -> None:
        super().__init__(message)
        self.rejected = tuple(rejected)


def name_of(peer: Peer) -> str:
    return f"{peer.ae_title} at {peer.host}:{peer.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    context_id: int
    transfer_syntax_uid: str


class Link:
    """An established association. Not shared between threads."""

    def __init__(self, association: Association, peer: Peer, timeout_seconds: float) -> None:
        self.association = association
        self.peer = peer
        self.timeout_seconds = timeout_seconds
        self._slots = threading.Semaphore(_PDUS_IN_FLIGHT)
        self._closed = threading.Event()
        self._message_id = 0
        association.bind(evt.EVT_PDU_SENT, self._on_sent)
        association.bind(evt.EVT_CONN_CLOSE, self._on_closed)
        # Lost between its acceptance and the line above: the handler was too late to hear of it.
        if not association.is_established:
            self._closed.set()

    def accepted(self, sop_class_uid: str) -> list[Accepted]:
        """The contexts in which this SOP class may be used, in the order in which they were proposed."""
        return [
            Accepted(context_id=context.context_id, transfer_syntax_uid=str(context.transfer_syntax[0]))
            for context in self.association.accepted_contexts
            if context.abstract_syntax == sop_class_uid and context.context_id is not None and context.as_scu
        ]

    def knows(self, sop_class_uid: str) -> bool:
        """Whether the peer takes the SOP class in some encoding: PS3.8 9.3.3.2, result 4 complains of the encodings only."""
        return bool(self.accepted(sop_class_uid)) or knows_class(self.association.rejected_contexts, sop_class_uid)

    def c_store(self, request: C_STORE, context_id: int, *, size_bytes: int) -> C_STORE:
        """Send one object; AssociationLost when it breaks, stalls or stays unanswered.

        pynetdicom's own `send_c_store` queues the whole object before it waits, so that its time-out runs while the data is
        still on its way, and it chooses the context by itself (3.0.4). Before removing this, check that both have changed.
        """
        association = self.association
        if self._closed.is_set():
            raise self._lost("closed the association")
        deadline = time.monotonic() + self.timeout_seconds + size_bytes / _LEAST_BYTES_PER_SECOND
        self._message_id = self._message_id % 0xFFFF + 1
        request.MessageID = self._message_id
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        with self._reactor_paused():
            for fragment in message.encode_msg(context_id, self._pdu_bytes()):
                self._take_slot(deadline)
                association.dul.send_pdu(fragment)
            for _ in range(_PDUS_IN_FLIGHT):
                self._take_slot(deadline)
            self._slots.release(_PDUS_IN_FLIGHT)
            association.dimse_timeout = self.timeout_seconds
            _, response = association.dimse.get_msg(block=True)
        if response is None:
            if self._closed.is_set() or association.acse.is_aborted():
                raise self._lost("closed the association before it answered")
            raise self._lost(f"took the object and did not answer within {self.timeout_seconds:g} s")
        if not isinstance(response, C_STORE) or not response.is_valid_response:
            raise self._lost("sent an answer that is none to a C-STORE")
        if response.MessageIDBeingRespondedTo != self._message_id:
            raise self._lost("answered another request than the one that was sent")
        return response

    def _pdu_bytes(self) -> int:
        announced = self.association.acceptor.maximum_length or _LARGEST_PDU_BYTES  # 0: without limit
        return max(8, min(announced, _LARGEST_PDU_BYTES) // 2 * 2)  # fragments have an even length: PS3.8 annex E

    def _take_slot(self, deadline: float) -> None:
        wait_seconds = min(self.timeout_seconds, max(0.0, deadline - time.monotonic()))
        taken = self._slots.acquire(timeout=wait_seconds)
        if self._closed.is_set():
            raise self._lost("closed the association in the middle of an object")
        if not taken:
            raise self._lost(f"stopped taking data for {wait_seconds:g} s")

    @contextmanager
    def _reactor_paused(self) -> Iterator[None]:
        """Keep pynetdicom's own thread from taking the response off the queue, as its `send_…` methods do (3.0.4)."""
        association = self.association
        association._reactor_checkpoint.clear()
        try:
            while not association._is_paused and association.is_alive():
                time.sleep(0.0001)
            yield
        finally:
            association._reactor_checkpoint.set()

    def _lost(self, what: str) -> AssociationLost:
        return AssociationLost(f"{name_of(self.peer)} {what}; whether it kept the object is not known")

    def _on_sent(self, event: evt.Event) -> None:
        if isinstance(event.pdu, P_DATA_TF):
            self._slots.release()

    def _on_closed(self, _event: evt.Event) -> None:
        self._closed.set()
        self._slots.release()


def knows_class(rejected: Sequence[PresentationContext], sop_class_uid: str) -> bool:
    return any(context.abstract_syntax == sop_class_uid and context.result == 0x04 for context in rejected)


@contextmanager
def associate(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    *,
    timeout_seconds: float,
    handlers: Sequence[evt.EventHandlerType] = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[Link]:
    """An association with the peer, released at the end, cut when the block raises.

    handlers: of what the peer may ask on it. roles: other than this side being the SCU.
    PeerUnavailable: no connection, no answer, aborted, or rejected for now. PeerRefused: rejected for good; the sentence
    says what to change and where. NothingAccepted: none of the contexts was accepted.
    """
    address = _resolve(peer, timeout_seconds)
    entity = AE(ae_title=peer.calling_ae)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = timeout_seconds
    entity.acse_timeout = timeout_seconds
    entity.dimse_timeout = timeout_seconds
    entity.network_timeout = None  # a link lives as long as its block; each request has its own limit
    sockets: list[socket.socket] = []

    def on_open(event: evt.Event) -> None:
        transport = event.assoc.dul.socket
        connection = transport.socket if transport else None
        if connection is None:
            return
        sockets.append(connection)
        _limit(connection, timeout_seconds)

    def on_sent(_event: evt.Event) -> None:
        # DCMTK and Orthanc write a response in two pieces and hold back the second until the first is acknowledged, which
        # Linux delays by 40 ms; the kernel forgets this option with each segment sent.
        for connection in sockets:
            with suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    started = time.monotonic()
    with _at_most(2 * timeout_seconds, sockets):  # one to connect, one to negotiate
        association = entity.associate(
            address,
            peer.port,
            list(contexts),
            ae_title=peer.ae_title,
            ext_neg=list(roles),
            evt_handlers=[(evt.EVT_CONN_OPEN, on_open), (evt.EVT_PDU_SENT, on_sent), *handlers],
        )
    if not association.is_established:
        _cut(association, sockets)
        raise _explain(association, peer, connected=bool(sockets), waited_seconds=time.monotonic() - started)
    link = Link(association, peer, timeout_seconds)
    try:
        yield link
    except BaseException:
        _cut(association, sockets)
        raise
    release_seconds = min(timeout_seconds, _RELEASE_SECONDS)
    association.acse_timeout = release_seconds
    with _at_most(release_seconds, sockets):
        association.release()


def contexts_for(sop_class_uid: str, transfer_syntax_uids: Sequence[str]) -> list[PresentationContext]:
    """One context per transfer syntax, so that the peer answers for each."""
    return [build_context(UID(sop_class_uid), UID(transfer_syntax)) for transfer_syntax in transfer_syntax_uids]


def _limit(connection: socket.socket, timeout_seconds: float) -> None:
    """Bound each wait inside the kernel: pynetdicom 3.0.4 sends and receives without a time-out once connected, and its
    `abort()` waits for the thread that does. And no Nagle: the request would wait 40 ms for a delayed acknowledgement."""
    seconds = int(timeout_seconds)
    limit = struct.pack("ll", seconds, int((timeout_seconds - seconds) * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextmanager
def _at_most(seconds: float, sockets: list[socket.socket]) -> Iterator[None]:
    """Close the connections when the block lasts longer: a peer that sends a byte now and then outlives all other limits."""
    guard = threading.Timer(seconds, _shut, [sockets])
    guard.daemon = True
    guard.start()
    try:
        yield
    finally:
        guard.cancel()


def _shut(sockets: list[socket.socket]) -> None:
    for connection in sockets:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _cut(association: Association, sockets: list[socket.socket]) -> None:
    """End the association now. The connection goes first: an A-ABORT would queue behind data that nobody takes."""
    _shut(sockets)
    association.abort()


def _resolve(peer: Peer, timeout_seconds: float) -> str:
    """The peer's address, IPv4 where it has one. The system's resolver knows no time-out: a thread waits for it."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(peer.host))
    answers: list[str] = []

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
            answers.extend(str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0] != socket.AF_INET))

    thread = threading.Thread(target=ask, name="resolve", daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if not answers:
        raise PeerUnavailable(f"{name_of(peer)} cannot be reached: the host name {peer.host!r} is not known; check host")
    return answers[0]


# PS3.8 table 9-21: source, then reason
_REJECTIONS = {
    (1, 2): "it does not know the DICOM application context",
    (1, 3): "it does not know the calling AE title {calling}; add it there",
    (1, 7): "it does not answer to the AE title {called}; check ae_title",
    (2, 2): "it does not support this version of the protocol",
    (3, 1): "it is congested",
    (3, 2): "it has as many associations as it allows",
}


def _explain(
    association: Association, peer: Peer, *, connected: bool, waited_seconds: float
) -> PeerUnavailable | PeerRefused:
    """Why there is no association, in one sentence with what to do."""
    answer = association.acceptor.primitive
    limit = association.connection_timeout or 0.0
    if association.is_rejected and answer is not None:
        known = _REJECTIONS.get((answer.result_source or 0, answer.diagnostic or 0), "it gives no reason")
        reason = known.format(calling=peer.calling_ae, called=peer.ae_title)
        if answer.result == 0x01:
            return PeerRefused(f"{name_of(peer)} refused the association: {reason}")
        return PeerUnavailable(f"{name_of(peer)} refused the association for now: {reason}")
    if not connected and waited_seconds < 0.9 * limit:
        return PeerUnavailable(
            f"{name_of(peer)} refused the connection or cannot be reached; check host and port, and that it is running"
        )
    if not connected:
        return PeerUnavailable(f"{name_of(peer)} did not take the connection within {limit:g} s; check host, port, firewall")
    if answer is not None and association.rejected_contexts and not association.accepted_contexts:
        what = f"{name_of(peer)} accepts none of the services that were asked for"
        return NothingAccepted(what, association.rejected_contexts)
    if waited_seconds >= 0.9 * limit:
        return PeerUnavailable(
            f"{name_of(peer)} took the connection and did not answer within {limit:g} s; check that it speaks DICOM"
        )
    return PeerUnavailable(f"{name_of(peer)} closed the connection without an answer; check that it speaks DICOM")
