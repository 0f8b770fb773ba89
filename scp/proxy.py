"""PROXY protocol version 2: a trusted load balancer says, before the first PDU, whose connection it passes on.

The header's specification is https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, section 2.2. It is read from
`[node] trusted_proxies` alone; from anybody else its first byte is a PDU of an unknown type, and the association is aborted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from scp.address import address_of
from scp.pdu import ProtocolError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MAX_HEADER_BYTES = 4096  # addresses take 36 bytes; what follows them (TLS, cloud identifiers) is skipped
_FIXED = Struct(">12sBBH")
_TLV = Struct(">BH")
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_ADDRESS_BYTES = {_TCP4: 12, _TCP6: 36}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """source: the caller's address; None where the proxy does not know it. local: the proxy itself is calling."""

    length: int
    source: str | None
    local: bool


class TrustedProxies:
    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def __contains__(self, host: str) -> bool:
        address = address_of(host)
        return any(address in network for network in self._networks)


def read_header(data: bytes) -> ProxyHeader | None:
    """The header that these bytes begin with; None until it is whole. ProtocolError when they begin with no valid one."""
    if data[: len(SIGNATURE)] != SIGNATURE[: len(data)]:
        raise ProtocolError("what begins like a PROXY protocol header is none of version 2")
    if len(data) < _FIXED.size:
        return None
    _, command, family, rest = _FIXED.unpack_from(data)
    if command not in (_LOCAL, _PROXY):
        raise ProtocolError(f"a PROXY protocol header of version and command 0x{command:02X}")
    length = _FIXED.size + rest
    if length > MAX_HEADER_BYTES:
        raise ProtocolError(f"a PROXY protocol header of {length} bytes was announced")
    if len(data) < length:
        return None
    if command == _LOCAL:  # a health check; what follows says nothing
        return ProxyHeader(length=length, source=None, local=True)
    if family == _UNSPECIFIED:
        return ProxyHeader(length=length, source=None, local=False)
    if rest < _ADDRESS_BYTES.get(family, rest + 1):
        raise ProtocolError(f"a PROXY protocol header of family 0x{family:02X} with {rest} bytes of addresses")
    addresses = data[_FIXED.size : length]
    _require_whole_tlvs(addresses[_ADDRESS_BYTES[family] :])
    source = ipaddress.ip_address(addresses[: 4 if family == _TCP4 else 16])
    return ProxyHeader(length=length, source=str(address_of(str(source))), local=False)


def _require_whole_tlvs(data: bytes) -> None:
    at = 0
    while at < len(data):
        if len(data) - at < _TLV.size or len(data) - at < _TLV.size + _TLV.unpack_from(data, at)[1]:
            raise ProtocolError("a PROXY protocol header whose last value is cut off")
        at += _TLV.size + int(_TLV.unpack_from(data, at)[1])
