"""A stop takes no longer than it may, whatever storing does."""

from __future__ import annotations

import socket
import threading
import time

import raw_pdus

from config.settings import Modality, Node
from domain.types import Received
from scp.listener import Listener

IMAGE = raw_pdus.implicit(
    SOPClassUID=raw_pdus.DX, SOPInstanceUID="2.25.1001", StudyInstanceUID="2.25.2", SeriesInstanceUID="2.25.3"
)


def test_storing_that_hangs_does_not_hold_the_stop_and_is_never_acknowledged() -> None:
    storing, go_on = threading.Event(), threading.Event()

    def hang(_: Received) -> None:
        storing.set()
        go_on.wait(30)

    listener = Listener(
        node=Node(host="127.0.0.1", drain_seconds=0.2),
        modalities=[Modality(name="dr-room-1", ae_title="DRROOM1")],
        receive=hang,
        refused=lambda _: None,
        port=0,
    )
    with listener, socket.create_connection(("127.0.0.1", listener.port), timeout=10) as caller:
        answers = caller.makefile("rb")
        caller.sendall(raw_pdus.request())
        assert raw_pdus.read_pdu(answers)[0] == raw_pdus.ACCEPT
        caller.sendall(raw_pdus.store_command() + raw_pdus.p_data(3, 2, IMAGE))
        assert storing.wait(10)
        start = time.monotonic()
        listener.stop()
        assert time.monotonic() - start < 5
        go_on.set()
        assert answers.read(1) == b""
