"""Which addresses a stranger may have this server connect to: those that anyone can, and no others."""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

_GLOBAL_V6 = ipaddress.ip_network("2000::/3")  # RFC 4291: all that is given out
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # RFC 6890: protocols
            "192.88.99.0/24",  # RFC 7526: relays of 6to4
            "168.63.129.16/32",  # Azure's own services, seen from inside alone
            "2001::/23",  # RFC 2928: protocols, Teredo among them
            "3fff::/20",  # RFC 9637: documentation
        ),
    )
)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, and so does one that it wraps."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # with a zone too: fe80::1%eth0
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if "%" in address:
            return False
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.sixtofour is not None and not is_public(str(ip.sixtofour)):
            return False
        if ip not in _GLOBAL_V6:
            return False
    special = ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback or ip.is_link_local
    return ip.is_global and not special and not any(ip in network for network in _NOT_PUBLIC)


def resolve(host: str, port: int) -> Sequence[tuple[int, Any]]:
    """(family, socket address) of each address that a name stands for.

    Raises:
        OSError: none. UnicodeError: it is no name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [(family, address) for family, _, _, _, address in found]
