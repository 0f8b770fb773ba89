"""Peers of our own that behave, refuse, hang, break off or lie: in this process, on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from delivery.find import Whereabouts
from delivery.part10 import identify
from domain.types import Peer

SHORT_SECONDS = 0.4
LONG_SECONDS = 10.0
SLACK_SECONDS = 2.0  # two busy cores
DX = DigitalXRayImageStorageForPresentation

Handler = Callable[..., Any]


@contextmanager
def scp(
    *handlers: tuple[Any, Handler],
    contexts: dict[UID, list[UID]] | None = None,
    prepare: Callable[[AE], None] = lambda _entity: None,
) -> Iterator[Peer]:
    """A peer named PACS; `contexts`: SOP class → transfer syntaxes, by default DX, C-FIND and C-ECHO, native."""
    entity = AE(ae_title="PACS")
    entity.acse_timeout = entity.dimse_timeout = LONG_SECONDS
    native = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    accepted = contexts or {DX: native, StudyRootQueryRetrieveInformationModelFind: native, Verification: native}
    for sop_class, syntaxes in accepted.items():
        entity.add_supported_context(sop_class, syntaxes)
    prepare(entity)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        yield Peer(ae_title="PACS", host="127.0.0.1", port=server.server_address[1])
    finally:
        # socketserver looks every 0.5 s whether it shall end; no test waits for that.
        threading.Thread(target=server.shutdown).start()


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[Peer]:
    """A peer that is no DICOM implementation: `serve` gets its first connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            serve(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield Peer(ae_title="PACS", host="127.0.0.1", port=listener.getsockname()[1])
    finally:
        listener.close()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds + SLACK_SECONDS


class Kept:
    """A C-STORE handler that keeps what comes, as it comes."""

    def __init__(self, status: int = 0x0000, comment: str = "") -> None:
        self.status = status
        self.comment = comment
        self.data_sets: list[bytes] = []
        self.commands: list[tuple[str, str, str]] = []
        self.associations: set[int] = set()

    def __call__(self, event: Any) -> Dataset:
        request = event.request
        self.data_sets.append(request.DataSet.getvalue())
        syntax = event.context.transfer_syntax
        self.commands.append((request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, syntax))
        self.associations.add(id(event.assoc))
        answer = Dataset()
        answer.Status = self.status
        if self.comment:
            answer.ErrorComment = self.comment
        return answer


def where(path: Path) -> Whereabouts:
    header = dcmread(path, stop_before_pixels=True)
    return Whereabouts(
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=header.SeriesInstanceUID,
        sop_instance_uid=header.SOPInstanceUID,
    )


def body(path: Path) -> bytes:
    return path.read_bytes()[identify(path).offset :]
