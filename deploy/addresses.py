"""Which `host:port` addresses a cluster may use: they must not leave the machine."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

NAMESPACES: Final = ipaddress.ip_network("198.18.0.0/15")
"""Set aside for tests of networks (RFC 2544): what hosts in network namespaces are given."""


def split(address: str) -> tuple[str, int]:
    """`host:port` as a pair. Raises `ValueError` saying what was expected."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError(f"expected host:port, such as 127.0.0.1:7101, not {address!r}")
    if not 1024 <= int(port) <= 65535:
        raise ValueError(f"expected a port from 1024 to 65535, not {port}")
    return host, int(port)


def check(address: str) -> None:
    """Nothing here is encrypted or authenticated yet: raises `ValueError`, saying what was
    expected, for an address outside of this machine and of its own network namespaces."""
    host, port = split(address)
    try:
        found = ipaddress.ip_address(host)
    except ValueError as problem:
        raise ValueError(f"expected an IP address before the port, not {address!r}") from problem
    if not (found.is_loopback or found in NAMESPACES):
        raise ValueError(
            f"expected a loopback address (127.0.0.1:{port}) or, in network namespaces, one of "
            f"{NAMESPACES}, not {address!r}"
        )
