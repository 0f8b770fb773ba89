"""The listening socket: makes an association of each connection and knows the ones that live."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from socket import socket
from typing import Any, cast

import structlog
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import build_context
from pynetdicom.transport import AssociationServer, RequestHandler

from scp.association import AcceptedAssociation, Reception
from scp.contexts import VERIFICATION_SOP_CLASS

log = structlog.get_logger(__name__)

# Connections that have not said who they are hold no slot, but a thread each.
STRANGERS_AT_ONCE = 64


class Server(AssociationServer):
    request_queue_size = 64

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        *,
        reception: Reception,
        handlers: Sequence[tuple[evt.InterventionEvent, Callable[[evt.Event], Any]]],
    ) -> None:
        """OSError when the port is taken or the address is not this machine's."""
        self.reception = reception
        self._changed = threading.Condition()
        self._associations: set[AcceptedAssociation] = set()
        super().__init__(
            ae,
            address,
            ae.ae_title,
            [build_context(VERIFICATION_SOP_CLASS)],  # unused: each association negotiates for itself
            request_handler=_Handler,
        )
        self.handlers = handlers
        ae._servers.append(cast(Any, self))  # shutdown() takes it out again

    def _bind_defaults(self) -> None:
        """Associations bind their own."""

    def service_actions(self) -> None:
        """The library collects garbage here, 60 connections apart or 6 idle seconds, and stops every thread for it: 7 % of
        the time of eight senders. Python's own collector finds ended associations too."""

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002  socketserver's signature
        with self._changed:
            few = len(self._associations) < self.reception.slots.count + STRANGERS_AT_ONCE
        if not few:
            log.warning("connection closed", peer=client_address[0], reason="too many connections at once")
        return few

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  socketserver's signature
        if not isinstance(sys.exception(), OSError):  # that is a caller who has gone already, such as a health check
            log.exception("connection could not be handled", peer=client_address[0])

    def began(self, association: AcceptedAssociation) -> None:
        with self._changed:
            self._associations.add(association)

    def ended(self, association: AcceptedAssociation) -> None:
        with self._changed:
            self._associations.discard(association)
            self._changed.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait for the associations to end; abort what is left then."""
        end = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: not self._associations, timeout=seconds)
            left = list(self._associations)
        for association in left:
            log.warning("association aborted", peer=association.peer_host, reason="the listener stops")
            association.end()
        for association in left:
            association.join(timeout=max(1.0, end - time.monotonic()))


class _Handler(RequestHandler):
    def handle(self) -> None:
        server = cast(Server, self.server)
        association = self._create_association()
        server.began(association)
        association.start()

    def _create_association(self) -> AcceptedAssociation:
        server = cast(Server, self.server)
        ae: ApplicationEntity = self.ae
        association = AcceptedAssociation(
            ae,
            server=server,
            connection=cast(socket, self.request),
            peer_host=str(self.client_address[0]),
            reception=server.reception,
            ended=server.ended,
        )
        association.name = f"AcceptorThread@{self.client_address[0]}:{self.client_address[1]}"
        association.acceptor.maximum_length = ae.maximum_pdu_size
        association.acceptor.ae_title = server.ae_title
        association.acceptor.address_info = self.local
        association.acceptor.implementation_class_uid = ae.implementation_class_uid
        association.acceptor.implementation_version_name = ae.implementation_version_name
        association.requestor.address_info = self.remote
        for event, handler in server.handlers:
            association.bind(event, handler)
        return association
