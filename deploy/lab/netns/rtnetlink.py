"""What is asked of the kernel's network, in its own words: rtnetlink over a socket.

No tool has to be installed for it, and a request takes microseconds. A socket speaks for the
network namespace in which it was made, from whichever thread or namespace it is used later on.
Formats: man 7 rtnetlink, linux/rtnetlink.h, linux/if_link.h, linux/fib_rules.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

LOOPBACK: Final = 1
"""The interface number of `lo`, in every namespace."""

LOCAL_TABLE: Final = 255
"""The routing table that says which addresses are the namespace's own."""

_NEW_LINK, _DELETE_LINK = 16, 17
_NEW_ADDRESS, _DELETE_ADDRESS = 20, 21
_NEW_ROUTE: Final = 24
_NEW_NEIGHBOUR: Final = 28
_NEW_RULE, _DELETE_RULE = 32, 33

_REQUEST, _ACK = 0x1, 0x4
_REPLACE, _EXCLUSIVE, _CREATE = 0x100, 0x200, 0x400

_UP: Final = 0x1
_PERMANENT: Final = 0x80
_ONLINK: Final = 0x4
_MAIN_TABLE: Final = 254
_STATIC: Final = 4
_UNICAST: Final = 1
_TO_TABLE, _BLACK_HOLE = 1, 6

_HEADER: Final = struct.Struct("=IHHII")


class Rtnetlink:
    """One namespace's ear. Every method raises `OSError` with the kernel's reason."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._number = 0

    def close(self) -> None:
        """Speak no more; what was asked for stays."""
        self._socket.close()

    def add_cable(self, interface: int, mac: bytes, far_mac: bytes, far_namespace: int) -> None:
        """A pair of interfaces, one here and one in the namespace open as `far_namespace`. Both
        have the number `interface` and the name `l<number>`."""
        peer = _interface(interface) + _named(interface) + _attribute(1, far_mac)
        peer += _attribute(28, struct.pack("=I", far_namespace))
        kind = _attribute(1, b"veth") + _attribute(2, _attribute(1, peer))
        body = _interface(interface) + _named(interface) + _attribute(1, mac) + _attribute(18, kind)
        self._ask("add a link", _NEW_LINK, _CREATE | _EXCLUSIVE, body)

    def delete_cable(self, interface: int) -> None:
        """Remove an interface, and with it the other end of its cable."""
        self._ask("remove a link", _DELETE_LINK, 0, _interface(interface))

    def set_up(self, interface: int, up: bool) -> None:
        """Switch an interface on or off. Its routes and neighbours vanish when it is off."""
        self._ask("switch a link", _NEW_LINK, 0, _interface(interface, _UP if up else 0, _UP))

    def add_address(self, interface: int, address: str) -> None:
        """An address of our own, alone (/32)."""
        body = _address(interface, address)
        self._ask("add an address", _NEW_ADDRESS, _CREATE | _EXCLUSIVE, body)

    def delete_address(self, interface: int, address: str) -> None:
        """Take an address of our own away."""
        self._ask("remove an address", _DELETE_ADDRESS, 0, _address(interface, address))

    def set_neighbour(self, interface: int, address: str, mac: bytes) -> None:
        """Who is at the other end. Fixed, because a question about it would be lost with a cut
        link, and its loss reported to the sender: a black hole reports nothing."""
        body = struct.pack("=BxxxiHBB", socket.AF_INET, interface, _PERMANENT, 0, 0)
        body += _attribute(1, socket.inet_aton(address)) + _attribute(2, mac)
        self._ask("add a neighbour", _NEW_NEIGHBOUR, _CREATE | _REPLACE, body)

    def set_route(self, to: str, length: int, interface: int, via: str, source: str) -> None:
        """Send what is for `to`/`length` to the neighbour `via`; our own packets bear `source`."""
        body = struct.pack(
            "=BBBBBBBBI", socket.AF_INET, length, 0, 0, _MAIN_TABLE, _STATIC, 0, _UNICAST, _ONLINK
        )
        body += _attribute(1, socket.inet_aton(to)) if length else b""
        body += _attribute(5, socket.inet_aton(via)) + _attribute(4, struct.pack("=I", interface))
        body += _attribute(7, socket.inet_aton(source))
        self._ask("add a route", _NEW_ROUTE, _CREATE | _REPLACE, body)

    def set_local_rule(self, priority: int, *, present: bool) -> None:
        """Add or remove the rule by which packets for our own addresses are ours."""
        rule = _rule(priority, LOCAL_TABLE, _TO_TABLE)
        if present:
            self._ask("add a rule", _NEW_RULE, _CREATE | _EXCLUSIVE, rule)
        else:
            self._ask("remove a rule", _DELETE_RULE, 0, rule)

    def set_black_hole(self, priority: int, interface: int, *, present: bool) -> None:
        """Add or remove the rule that everything which comes in at `interface` vanishes."""
        rule = _rule(priority, 0, _BLACK_HOLE) + _attribute(3, f"l{interface}\0".encode())
        if present:
            self._ask("add a rule", _NEW_RULE, _CREATE | _EXCLUSIVE, rule)
        else:
            self._ask("remove a rule", _DELETE_RULE, 0, rule)

    def _ask(self, what: str, kind: int, flags: int, body: bytes) -> None:
        self._number += 1
        size = _HEADER.size + len(body)
        header = _HEADER.pack(size, kind, _REQUEST | _ACK | flags, self._number, 0)
        self._socket.send(header + body)
        while True:
            answer = self._socket.recv(65536)
            number = _HEADER.unpack_from(answer)[3]
            if number == self._number:
                break  # an acknowledgement: its first field is the error, negated, or 0
        (code,) = struct.unpack_from("=i", answer, _HEADER.size)
        if code:
            raise OSError(-code, f"the kernel would not {what}: {os.strerror(-code)}")


def is_missing(problem: OSError) -> bool:
    """Does the kernel say that it has no such thing at all?"""
    return problem.errno in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


def _interface(number: int, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, number, flags, change)


def _named(interface: int) -> bytes:
    return _attribute(3, f"l{interface}\0".encode())


def _address(interface: int, address: str) -> bytes:
    packed = socket.inet_aton(address)
    head = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, interface)
    return head + _attribute(2, packed) + _attribute(1, packed)


def _rule(priority: int, table: int, action: int) -> bytes:
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, table, 0, 0, action, 0)
    return head + _attribute(6, struct.pack("=I", priority))


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)
