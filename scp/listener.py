"""The node's ear: C-ECHO, C-STORE and storage commitment for the modalities in the settings.

An image is answered with 0x0000 only after `receive` has returned, that is, when it is durable. Every other way out is a
failure status with an Error Comment, and the association lives on (PS3.4 B.2.3).

status  when
0xA700  it cannot be stored now, or the disk is too full: the sender keeps it and tries again
0xA900  the data set is not what the command said
0xC000  the data set cannot be kept, such as one without a Study Instance UID
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Sequence
from io import BytesIO
from types import TracebackType
from typing import Any, cast

import structlog
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity

from config.settings import Destination, Modality, Node
from domain.errors import DataSetUnusable, StorageUnavailable
from domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from domain.types import InstanceRef, Received
from scp.admission import Admission, Refused, RefusedCaller
from scp.association import CANNOT_UNDERSTAND, AcceptedAssociation, Reception, Slots
from scp.command import StoreRequest
from scp.commitment import CommitmentReport, CommitmentRequest, Commitments, CommitmentService
from scp.disk import Watermark
from scp.header import part10_header, read_identifiers
from scp.proxy import TrustedProxies
from scp.server import Server
from scp.upper_layer import OversizedObject

__all__ = [
    "CommitmentReport",
    "CommitmentRequest",
    "Commitments",
    "Listener",
    "Receive",
    "Refused",
    "RefusedCaller",
    "Watermark",
]

log = structlog.get_logger(__name__)

Receive = Callable[[Received], None]

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_MISMATCH = 0xA900
_MAX_REQUEST_WAIT_SECONDS = 30.0  # from the connection to a whole A-ASSOCIATE-RQ
_MEGABYTE = 1 << 20
_COMMENT_CHARACTERS = 64


class _Mismatch(DataSetUnusable):
    """The command announced another object than the data set is."""


class Listener:
    """Listens from `start` to `stop`, or as a context manager.

    receive: called from the associations' threads, several at a time; returns when the image is durable. StorageUnavailable
    and DataSetUnusable say what to answer; whatever else it raises is answered like StorageUnavailable.
    refused: called for every rejected association.
    destinations: those with verify = "commitment" may report here; they need `commitments`.
    commitments: without it storage commitment is offered to nobody.
    watermark: without it images are taken until the disk is full.
    port: instead of the settings'; 0 takes a free one.
    """

    def __init__(
        self,
        *,
        node: Node,
        modalities: Sequence[Modality],
        receive: Receive,
        refused: Refused,
        port: int | None = None,
        destinations: Sequence[Destination] = (),
        commitments: Commitments | None = None,
        watermark: Watermark | None = None,
    ) -> None:
        self._node = node
        self._urgent = frozenset(modality.name for modality in modalities if modality.urgent)
        self._watermark = watermark
        self._receive = receive
        self._asked_port = node.port if port is None else port
        self._reception = Reception(
            admission=Admission(
                node=node, modalities=modalities, destinations=destinations if commitments is not None else ()
            ),
            store=self._store,
            commitments=commitments,
            proxies=TrustedProxies(node.trusted_proxies),
            slots=Slots(node.max_associations),
            refused=refused,
            max_pdu_bytes=node.max_pdu_megabytes * _MEGABYTE,
            max_object_bytes=node.max_object_megabytes * _MEGABYTE,
            idle_seconds=node.idle_seconds,
        )
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Listener:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port listened on; the one asked for while not listening."""
        return self._asked_port if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """OSError when the port is taken or the address is not this machine's."""
        ae = ApplicationEntity(ae_title=self._node.ae_title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_pdu_size = 0  # unlimited; `max_pdu_megabytes` bounds what is taken
        ae.acse_timeout = min(self._node.idle_seconds, _MAX_REQUEST_WAIT_SECONDS)
        ae.dimse_timeout = self._node.idle_seconds
        ae.network_timeout = self._node.idle_seconds
        handlers: list[tuple[evt.InterventionEvent, Callable[[evt.Event], Any]]] = [
            (evt.EVT_N_ACTION, _commitment_asked),
            (evt.EVT_N_EVENT_REPORT, _commitment_reported),
        ]
        self._server = Server(ae, (self._node.host, self._asked_port), reception=self._reception, handlers=handlers)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="listener", daemon=True)
        self._thread.start()
        log.info("listening", ae_title=self._node.ae_title, host=self._node.host, port=self.port)

    def stop(self, *, drain_seconds: float | None = None) -> None:
        """Close the port, let running associations end within this time ([node] drain_seconds), abort the rest."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.drain(self._node.drain_seconds if drain_seconds is None else drain_seconds)
        if self._thread is not None:
            self._thread.join()

    def _store(
        self, association: AcceptedAssociation, request: StoreRequest, transfer_syntax_uid: str, data_set: BytesIO
    ) -> tuple[int, str]:
        """Answer a C-STORE. This is the one place where a failure becomes a status."""
        try:
            received = self._received(association, request, transfer_syntax_uid, data_set)
            with self._watermark.room_for(len(received.data_set)) if self._watermark else contextlib.nullcontext():
                self._receive(received)
        except StorageUnavailable as error:
            return self._refuse(association, OUT_OF_RESOURCES, "Cannot store now; keep the image and send it again", error)
        except _Mismatch as error:
            return self._refuse(association, DATA_SET_MISMATCH, str(error), error)
        except DataSetUnusable as error:
            return self._refuse(association, CANNOT_UNDERSTAND, str(error), error)
        except Exception as error:  # noqa: BLE001  whatever broke, the image is not durable: never 0x0000
            # Its text is left out, since it may quote the data set; its place is enough to find it.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            log.error("receiving broke", error=type(error).__name__, at=f"{frame.filename}:{frame.lineno}")
            return self._refuse(association, OUT_OF_RESOURCES, "Internal error; keep the image and send it again", None)
        return SUCCESS, ""

    def _received(
        self, association: AcceptedAssociation, request: StoreRequest, transfer_syntax_uid: str, data_set: BytesIO
    ) -> Received:
        """The request as domain types. DataSetUnusable says what is missing in it."""
        if isinstance(data_set, OversizedObject):
            raise DataSetUnusable(f"The object is larger than {self._node.max_object_megabytes} MB")
        content = data_set.getbuffer()
        identifiers = read_identifiers(content, transfer_syntax_uid)
        if identifiers.sop_class_uid != request.sop_class_uid:
            raise _Mismatch("The SOP Class UIDs of command and data set differ")
        if identifiers.sop_instance_uid != request.sop_instance_uid:
            raise _Mismatch("The SOP Instance UIDs of command and data set differ")
        caller = association.caller
        modality = association.admitted.modality if association.admitted else None
        if modality is None:
            raise DataSetUnusable("This caller may only verify")  # no storage context was accepted
        return Received(
            ref=InstanceRef(sop_class_uid=identifiers.sop_class_uid, sop_instance_uid=identifiers.sop_instance_uid),
            study_instance_uid=identifiers.study_instance_uid,
            series_instance_uid=identifiers.series_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            calling_ae=caller.calling_ae,
            called_ae=caller.called_ae,
            peer_host=caller.peer_host,
            modality=modality,
            part10_header=part10_header(
                sop_class_uid=identifiers.sop_class_uid,
                sop_instance_uid=identifiers.sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
                source_ae=caller.calling_ae,
            ),
            data_set=content,
            urgent=identifiers.urgent or modality in self._urgent,
        )

    def _refuse(
        self, association: AcceptedAssociation, status: int, comment: str, error: Exception | None
    ) -> tuple[int, str]:
        log.warning(
            "image refused",
            modality=association.admitted.modality if association.admitted else None,
            status=f"0x{status:04X}",
            reason=str(error) if error else comment,
        )
        return status, comment.encode("ascii", "replace").decode("ascii")[:_COMMENT_CHARACTERS]


def _commitment_asked(event: evt.Event) -> tuple[int, None]:
    association = cast(AcceptedAssociation, event.assoc)
    service = cast(CommitmentService, association.commitment)  # no context was accepted without it
    return service.asked(event, association.admitted, association.caller)


def _commitment_reported(event: evt.Event) -> tuple[int, None]:
    association = cast(AcceptedAssociation, event.assoc)
    service = cast(CommitmentService, association.commitment)  # no context was accepted without it
    return service.reported(event, association.admitted, association.caller)
