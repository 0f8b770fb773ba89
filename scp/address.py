"""Addresses as the operating system names them, and as the settings do."""

from __future__ import annotations

import ipaddress
import socket

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(host: str) -> IpAddress:
    """An IPv4 caller of an IPv6 socket is ::ffff:192.0.2.21; a link-local one carries its interface, fe80::1%eth0."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def is_address_of(host: str, address: IpAddress) -> bool:
    """Whether a host's name, or an address, stands for this address. A name that cannot be resolved stands for none."""
    try:
        return address_of(host) == address
    except ValueError:
        pass
    try:
        known = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(address_of(str(where[0])) == address for *_, where in known)
