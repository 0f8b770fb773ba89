"""The listener behind a load balancer: a hand-made one that lies and dawdles, and a real HAProxy."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import pack

import pytest
from brokers import haproxy
from peers import wait_until
from pynetdicom import AE
from raw_pdus import ACCEPT, REJECT, request
from structlog.testing import capture_logs

from config.settings import Modality, Node
from scp.admission import RefusedCaller
from scp.listener import Listener
from scp.proxy import SIGNATURE

ROOM = Modality(name="dr-room-1", ae_title="DRROOM1", host="192.0.2.21")
ROOM_6 = Modality(name="dr-room-6", ae_title="DRROOM6", host="2001:db8::21")
LOCAL_ROOM = Modality(name="dr-room-2", ae_title="DRROOM2", host="127.0.0.1")
BLANK = Modality(name="old", ae_title="", host="0.0.0.0/0")


@contextmanager
def listening(refused: list[RefusedCaller] | None = None, *, trusted: bool = True, **node: object) -> Iterator[Listener]:
    proxies = ["127.0.0.1"] if trusted else ["192.0.2.9"]
    settings = Node.model_validate({"host": "127.0.0.1", "trusted_proxies": proxies, **node})
    note = (refused if refused is not None else []).append
    modalities = [ROOM, ROOM_6, LOCAL_ROOM, BLANK]
    with Listener(node=settings, modalities=modalities, receive=lambda _: None, refused=note, port=0) as listener:
        yield listener


def header(source: str) -> bytes:
    address = ipaddress.ip_address(source)
    family = 0x11 if address.version == 4 else 0x21
    body = address.packed + bytes(len(address.packed)) + pack(">HH", 4711, 104)
    return SIGNATURE + pack(">BBH", 0x21, family, len(body)) + body


def answer(listener: Listener, *pieces: bytes) -> int | None:
    """The type of the first PDU that comes back; None for a closed connection."""
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as caller:
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            caller.sendall(piece)
        try:
            start = caller.recv(1)
        except ConnectionResetError:
            return None
        return start[0] if start else None


def test_the_callers_own_address_decides() -> None:
    refused: list[RefusedCaller] = []
    with listening(refused) as listener:
        assert answer(listener, header("192.0.2.21") + request()) == ACCEPT
        assert answer(listener, header("2001:db8::21"), request(b"DRROOM6")) == ACCEPT
        assert answer(listener, header("192.0.2.22"), request()) == REJECT
        assert answer(listener, header("2001:db8::22"), request(b"DRROOM6")) == REJECT
    assert [caller.peer_host for caller in refused] == ["192.0.2.22", "2001:db8::22"]


def test_the_header_may_come_in_any_pieces() -> None:
    whole = header("192.0.2.21") + request()
    with listening() as listener:
        for cut in (1, 11, 12, 16, 20, 28, 29):
            assert answer(listener, whole[:cut], whole[cut:]) == ACCEPT


def test_from_anybody_else_a_header_is_garbage() -> None:
    with listening(trusted=False) as listener:
        with capture_logs() as lines:
            assert answer(listener, header("127.0.0.1"), request(b"DRROOM2")) != ACCEPT
        assert any("unknown type 0x0D" in str(line.get("reason")) for line in lines)
        assert answer(listener, request(b"DRROOM2")) == ACCEPT


@pytest.mark.parametrize(
    "broken", [SIGNATURE[:-1] + b"!", SIGNATURE + b"\x31\x11\0\0", header("192.0.2.21")[:14] + b"\xff\xff"]
)
def test_a_broken_header_ends_the_connection(broken: bytes) -> None:
    with listening() as listener:
        assert answer(listener, broken.ljust(40, b"\0"), request()) != ACCEPT


def test_a_header_that_does_not_end_is_not_waited_for() -> None:
    with listening(idle_seconds=0.4) as listener:
        assert answer(listener, header("192.0.2.21")[:20]) != ACCEPT


def test_without_a_header_the_title_alone_decides() -> None:
    refused: list[RefusedCaller] = []
    unspecified = SIGNATURE + pack(">BBH", 0x21, 0, 0)
    with listening(refused) as listener:
        assert answer(listener, request()) == ACCEPT  # though its host is another
        assert answer(listener, unspecified, request()) == ACCEPT
        assert answer(listener, request(b"")) == REJECT
    assert [caller.calling_ae for caller in refused] == [""]


def test_the_proxys_own_call_is_its_own() -> None:
    local = SIGNATURE + pack(">BBH", 0x20, 0, 0)
    with listening() as listener:
        assert answer(listener, local, request(b"DRROOM2")) == ACCEPT
        assert answer(listener, local, request()) == REJECT  # dr-room-1 is elsewhere


def test_a_health_check_says_nothing_in_the_log() -> None:
    with listening() as listener, capture_logs() as lines:
        for start in (b"", SIGNATURE + pack(">BBH", 0x20, 0, 0)):
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", listener.port)) as check:
                    check.sendall(start)
        with socket.create_connection(("127.0.0.1", listener.port)) as check:
            check.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))  # HAProxy ends its checks by a reset
        assert answer(listener, request(b"DRROOM2")) == ACCEPT
        listener.stop(drain_seconds=5)
    assert lines == []


def test_behind_a_real_haproxy(tmp_path: Path) -> None:
    refused: list[RefusedCaller] = []
    with (
        listening(refused) as first,
        listening(refused) as second,
        haproxy(tmp_path / "haproxy", [first.port, second.port]) as port,
    ):
        for title, established in (("DRROOM2", True), ("DRROOM1", False)):
            ae = AE(ae_title=title)
            ae.add_requested_context("1.2.840.10008.1.1")
            association = ae.associate("127.0.0.1", port, ae_title="HOUNDSFIELD")
            assert association.is_established is established
            if established:
                assert association.send_c_echo().Status == 0x0000
                association.release()
        wait_until(lambda: len(refused) == 1)
    assert (refused[0].calling_ae, refused[0].peer_host) == ("DRROOM1", "127.0.0.1")  # the caller's, by the header
