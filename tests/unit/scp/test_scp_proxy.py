"""The header that a load balancer sends first, byte by byte; and who may send one."""

from __future__ import annotations

import ipaddress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scp.pdu import ProtocolError
from scp.proxy import MAX_HEADER_BYTES, SIGNATURE, TrustedProxies, read_header

TLV = pack(">BH", 0x04, 3) + b"\0\0\0"


def header(command: int = 0x21, family: int = 0x11, body: bytes = b"", length: int | None = None) -> bytes:
    return SIGNATURE + pack(">BBH", command, family, len(body) if length is None else length) + body


def tcp4(source: str = "192.0.2.21", more: bytes = b"") -> bytes:
    return header(0x21, 0x11, ipaddress.ip_address(source).packed + bytes(4) + pack(">HH", 4711, 104) + more)


def tcp6(source: str = "2001:db8::21", more: bytes = b"") -> bytes:
    return header(0x21, 0x21, ipaddress.ip_address(source).packed + bytes(16) + pack(">HH", 4711, 104) + more)


@pytest.mark.parametrize(
    ("data", "source", "local"),
    [
        (tcp4(), "192.0.2.21", False),
        (tcp4(more=TLV), "192.0.2.21", False),
        (tcp6(), "2001:db8::21", False),
        (tcp6("::ffff:192.0.2.21", TLV), "192.0.2.21", False),
        (header(0x20, 0x00), None, True),
        (header(0x20, 0x11, b"anything"), None, True),
        (header(0x21, 0x00), None, False),
        (header(0x21, 0x00, b"\0" * 5), None, False),
    ],
)
def test_the_source_and_the_length(data: bytes, source: str | None, local: bool) -> None:
    read = read_header(data + b"\x01\x00the first PDU")
    assert read is not None
    assert (read.length, read.source, read.local) == (len(data), source, local)
    assert all(read_header(data[:count]) is None for count in range(1, len(data)))


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY TCP4 192.0.2.21 192.0.2.5 4711 104\r\n",  # version 1
        b"\r\n\r\n\0\r\nQUIX",
        header(0x11),
        header(0x22),
        header(0x21, 0x12, bytes(12)),  # UDP
        header(0x21, 0x31, bytes(216)),  # Unix socket
        header(0x21, 0x11, bytes(11)),
        header(0x21, 0x21, bytes(35)),
        tcp4(more=b"\x04"),
        tcp4(more=TLV[:-1]),
        header(0x21, 0x11, length=MAX_HEADER_BYTES),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_header(data)


@given(st.binary(max_size=64))
def test_no_bytes_break_it(tail: bytes) -> None:
    try:
        read = read_header(SIGNATURE + tail)
    except ProtocolError:
        return
    assert read is None or read.length <= len(SIGNATURE) + len(tail)


def test_who_is_trusted() -> None:
    proxies = TrustedProxies(["192.0.2.5", "2001:db8::/64"])
    assert all(host in proxies for host in ("192.0.2.5", "::ffff:192.0.2.5", "2001:db8::7"))
    assert not any(host in proxies for host in ("192.0.2.6", "2001:db8:1::7"))
    assert "127.0.0.1" not in TrustedProxies([])
