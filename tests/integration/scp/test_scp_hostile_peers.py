"""Peers that pad, stall, lie and flood: raw sockets against the listener."""

from __future__ import annotations

import gc
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import pack, unpack

import pytest
from pynetdicom import AE
from raw_pdus import (
    ABORT,
    ACCEPT,
    DX,
    NO_DATA_SET,
    P_DATA,
    REJECT,
    RELEASE_ANSWER,
    RELEASE_REQUEST,
    VERIFICATION,
    command,
    implicit,
    p_data,
    request,
    store_command,
)

from config.settings import Modality, Node
from domain.types import Received
from scp.admission import RefusedCaller
from scp.listener import Listener

MODALITIES = [
    Modality(name="dr-room-1", ae_title="DRROOM1"),
    Modality(name="blank-console", ae_title="", host="127.0.0.1"),
]


@pytest.fixture
def received() -> list[Received]:
    return []


@contextmanager
def listening(received: list[Received], refused: list[RefusedCaller] | None = None, **node: object) -> Iterator[Listener]:
    settings = Node.model_validate({"host": "127.0.0.1", **node})
    note = (refused if refused is not None else []).append
    with Listener(node=settings, modalities=MODALITIES, receive=received.append, refused=note, port=0) as listener:
        yield listener


def image() -> bytes:
    return implicit(
        SOPClassUID=DX, SOPInstanceUID="2.25.1001", StudyInstanceUID="2.25.2", SeriesInstanceUID="2.25.3", Rows=2
    )


class Peer:
    """A TCP connection that says what it likes."""

    def __init__(self, listener: Listener) -> None:
        self.socket = socket.create_connection(("127.0.0.1", listener.port), timeout=5)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """Type and body of the next PDU; (0, b"") when the node has closed."""
        try:
            header = self._exactly(6)
            if len(header) < 6:
                return 0, b""
            pdu_type, length = unpack(">BxI", header)
            return pdu_type, self._exactly(length)
        except ConnectionError:
            return 0, b""

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (more := self.socket.recv(count - len(data))):
            data += more
        return data

    def status(self) -> int:
        """The status of a C-STORE response."""
        pdu_type, body = self.read()
        assert pdu_type == P_DATA
        at = body.index(pack("<HHI", 0, 0x0900, 2)) + 8
        return int(unpack_from_u16(body, at))

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def unpack_from_u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


@contextmanager
def established(listener: Listener, rq: bytes = b"") -> Iterator[Peer]:
    with Peer(listener) as peer:
        peer.send(rq or request())
        assert peer.read()[0] == ACCEPT
        yield peer


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.01)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def threads() -> int:
    return sum("AcceptorThread" in thread.name for thread in threading.enumerate())


def takes_an_echo(listener: Listener) -> bool:
    ae = AE(ae_title="DRROOM1")
    ae.add_requested_context(VERIFICATION)
    association = ae.associate("127.0.0.1", listener.port, ae_title="HOUNDSFIELD")
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return bool(status.Status == 0x0000)


@pytest.mark.parametrize(
    ("calling", "called", "seen"),
    [
        (b"DRROOM1\0\0\0\0\0\0\0\0\0", b"HOUNDSFIELD\0\0\0\0\0", "DRROOM1"),
        (b"  DRROOM1", b" HOUNDSFIELD", "DRROOM1"),
        (b"DRROOM1\0PACS\0\0\0\0", b"HOUNDSFIELD", "DRROOM1"),
        (b" " * 16, b"HOUNDSFIELD", ""),
        (b"\0" * 16, b"HOUNDSFIELD", ""),
    ],
)
def test_padded_and_blank_titles_are_served(received: list[Received], calling: bytes, called: bytes, seen: str) -> None:
    with listening(received) as listener, Peer(listener) as peer:
        peer.send(request(calling, called))
        pdu_type, body = peer.read()
        assert pdu_type == ACCEPT
        assert body[4:36] == called.ljust(16) + calling.ljust(16)  # PS3.8 Table 9-17: as they came
        peer.send(store_command() + p_data(3, 2, image()))
        assert peer.status() == 0x0000
        peer.send(RELEASE_REQUEST)
        assert peer.read()[0] == RELEASE_ANSWER
    (image_received,) = received
    assert image_received.calling_ae == seen


@pytest.mark.parametrize(
    ("calling", "called", "reason", "line"),
    [
        (b"STRANGER\0", b"HOUNDSFIELD", 3, "STRANGER at 127.0.0.1 called; no [[modality]] has this AE title"),
        (b"\x1b[31mRED\x07", b"HOUNDSFIELD", 3, "?[31mRED? at 127.0.0.1 called; no [[modality]] has this AE title"),
        (b"DRROOM1", b"\0" * 16, 7, "DRROOM1 at 127.0.0.1 called a blank AE title; this node answers it as HOUNDSFIELD"),
    ],
)
def test_any_title_reaches_admission(
    received: list[Received], calling: bytes, called: bytes, reason: int, line: str
) -> None:
    refused: list[RefusedCaller] = []
    with listening(received, refused) as listener, Peer(listener) as peer:
        peer.send(request(calling, called))
        assert peer.read() == (REJECT, bytes((0, 1, 1, reason)))
        assert peer.read() == (0, b"")
    assert [caller.reason for caller in refused] == [line]


def test_an_announced_pdu_of_4_gigabytes_takes_no_memory_and_ends_the_association(received: list[Received]) -> None:
    with listening(received) as listener, established(listener) as peer:
        gc.collect()
        before = resident_bytes()
        peer.send(store_command())
        peer.send(pack(">BxI", P_DATA, 0xFFFFFFFF) + pack(">IBB", 0xFFFFFFF0, 3, 0) + bytes(1000))
        assert peer.read()[0] in (ABORT, 0)
        assert resident_bytes() - before < 16 << 20
        until(lambda: threads() == 0)
        assert takes_an_echo(listener)
    assert received == []


def test_a_pdu_within_the_bound_that_never_comes_takes_no_memory(received: list[Received]) -> None:
    with listening(received, max_pdu_megabytes=1024) as listener, established(listener) as peer:
        gc.collect()
        before = resident_bytes()
        peer.send(store_command() + pack(">BxI", P_DATA, 1 << 30) + pack(">IBB", (1 << 30) - 4, 3, 0) + bytes(1000))
        time.sleep(0.1)
        assert resident_bytes() - before < 16 << 20


@pytest.mark.parametrize(
    "half",
    [
        b"",  # connects and says nothing
        request()[:30],
        request()[:5],
    ],
    ids=["nothing", "half a request", "half a header"],
)
def test_a_caller_that_never_asks_is_let_go(received: list[Received], half: bytes) -> None:
    with listening(received, idle_seconds=0.3) as listener, Peer(listener) as peer:
        peer.send(half)
        start = time.monotonic()
        while peer.read()[0]:
            continue
        assert time.monotonic() - start < 3
        until(lambda: threads() == 0)


@pytest.mark.parametrize(
    "half",
    [
        b"",  # idle after the association
        store_command()[:20],
        store_command(),  # the data set never comes
        store_command() + p_data(3, 2, image())[:40],
        store_command() + p_data(3, 0, image()),  # the last fragment never comes
    ],
    ids=["idle", "half a command", "no data set", "half a fragment", "no last fragment"],
)
def test_an_idle_or_half_open_peer_frees_its_slot(received: list[Received], half: bytes) -> None:
    with listening(received, idle_seconds=0.4, max_associations=1) as listener, established(listener) as peer:
        peer.send(half)
        assert not takes_an_echo(listener)
        assert peer.read()[0] == ABORT
        until(lambda: takes_an_echo(listener))
    assert received == []


def test_a_slow_sender_is_not_idle(received: list[Received]) -> None:
    stream = store_command() + p_data(3, 2, image())
    with listening(received, idle_seconds=0.6) as listener, established(listener) as peer:
        for start in range(0, len(stream), len(stream) // 8):
            peer.send(stream[start : start + len(stream) // 8])
            time.sleep(0.1)
        assert peer.status() == 0x0000
    assert bytes(received[0].data_set) == image()


def test_a_peer_that_leaves_in_the_middle_of_an_image_leaves_nothing(received: list[Received]) -> None:
    with listening(received) as listener:
        with established(listener) as peer:
            peer.send(store_command() + p_data(3, 0, image()))
        until(lambda: threads() == 0)
        assert takes_an_echo(listener)
    assert received == []


def test_images_sent_without_waiting_are_all_answered_in_order(received: list[Received]) -> None:
    one = store_command() + p_data(3, 2, image())
    with listening(received) as listener, established(listener) as peer:
        peer.send(one * 20 + RELEASE_REQUEST)
        assert [peer.status() for _ in range(20)] == [0x0000] * 20
        assert peer.read()[0] == RELEASE_ANSWER
    assert len(received) == 20


def test_a_fast_sender_waits_while_an_image_is_stored() -> None:
    """Otherwise what it sends meanwhile would gather in memory."""
    storing, go_on = threading.Event(), threading.Event()

    def slow(_: Received) -> None:
        storing.set()
        assert go_on.wait(10)

    large = image() + pack("<HHI", 0x7FE0, 0x0010, 4 << 20) + bytes(4 << 20)
    one = store_command() + b"".join(
        p_data(3, 2 if at + (1 << 16) >= len(large) else 0, large[at : at + (1 << 16)])
        for at in range(0, len(large), 1 << 16)
    )
    node = Node(host="127.0.0.1")
    with (
        Listener(node=node, modalities=MODALITIES, receive=slow, refused=lambda _: None, port=0) as listener,
        established(listener) as peer,
    ):
        peer.socket.settimeout(1)
        peer.send(one)
        assert storing.wait(5)
        with pytest.raises(TimeoutError):
            for _ in range(20):  # 80 MB
                peer.send(one)
        go_on.set()


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(100),
        pack(">BxI", 1, 0xFFFFFFFF),
        pack(">BxI", 1, 200) + b"\xff" * 200,
        pack(">BxI", 1, 10) + bytes(10),
        store_command(),
        RELEASE_REQUEST,
    ],
    ids=["HTTP", "zeros", "4 GB request", "no AE titles", "short request", "command", "release"],
)
def test_nonsense_instead_of_a_request_is_thrown_out(
    received: list[Received], stream: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with listening(received) as listener:
        with Peer(listener) as peer:
            peer.send(stream)
            while peer.read()[0]:
                continue
        until(lambda: threads() == 0)
        assert takes_an_echo(listener)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "stream",
    [
        p_data(3, 2, image()),  # a data set without a command
        store_command() + store_command(),
        p_data(3, 3, b"nonsense"),
        command(t0100=0x7777, t0800=NO_DATA_SET),  # no such command
        p_data(3, 1, bytes(1 << 17)),  # a command without an end
        p_data(99, 3, b"") + p_data(99, 2, b""),
        pack(">BxI", 9, 0),
        request(),  # once more
    ],
    ids=["no command", "two commands", "no elements", "unknown", "endless", "no context", "unknown PDU", "second request"],
)
def test_nonsense_on_an_association_aborts_it(
    received: list[Received], stream: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with listening(received) as listener:
        with established(listener) as peer:
            peer.send(stream)
            assert peer.read()[0] in (ABORT, 0)
        until(lambda: threads() == 0)
        assert takes_an_echo(listener)
    assert received == []
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "stream",
    [
        store_command(data_set_type=NO_DATA_SET),
        store_command("1" * 65) + p_data(3, 2, image()),
        store_command("") + p_data(3, 2, image()),
        store_command() + p_data(3, 2, b""),
        command(t0100=0x0001, t0110=7, t0700=0, t0800=1) + p_data(3, 2, image()),
        store_command(sop_class="1.3.12.2.1107.5.9.1") + p_data(3, 2, image()),
    ],
    ids=["no data set", "long UID", "empty UID", "empty data set", "no UIDs", "private class"],
)
def test_an_impossible_store_is_answered_and_the_association_lives_on(received: list[Received], stream: bytes) -> None:
    with listening(received) as listener, established(listener) as peer:
        peer.send(stream)
        assert peer.status() in (0xC000, 0x0122)
        peer.send(store_command() + p_data(3, 2, image()))
        assert peer.status() == 0x0000
    assert len(received) == 1


def test_strangers_in_great_number_do_not_lock_out_a_known_sender(received: list[Received]) -> None:
    with listening(received, max_associations=1, idle_seconds=30) as listener:
        strangers = [Peer(listener) for _ in range(40)]
        try:
            until(lambda: threads() == 40)
            assert takes_an_echo(listener)
        finally:
            for stranger in strangers:
                stranger.socket.close()
        until(lambda: threads() == 0)  # at once, not after the time-out
