"""What is asked of the kernel's routing, in its own words: interfaces, addresses, routes, rules.

Formats: man 7 rtnetlink, linux/rtnetlink.h, linux/if_link.h, linux/fib_rules.h, linux/pkt_sched.h.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from deploy.lab.netns.netlink import ACK, CREATE, EXCLUSIVE, REPLACE, Netlink, attribute

LOOPBACK: Final = 1
"""The interface number of `lo`, in every namespace."""

MAIN_TABLE: Final = 254
"""The routing table that is asked for every packet that is not for ourselves."""

LOCAL_TABLE: Final = 255
"""The routing table that says which addresses are the namespace's own."""

_NEW_LINK, _DELETE_LINK = 16, 17
_NEW_ADDRESS, _DELETE_ADDRESS = 20, 21
_NEW_ROUTE: Final = 24
_NEW_NEIGHBOUR: Final = 28
_NEW_RULE, _DELETE_RULE = 32, 33
_NEW_QUEUE, _DELETE_QUEUE = 36, 37

_UP: Final = 0x1
_PERMANENT: Final = 0x80
_ONLINK: Final = 0x4
_STATIC: Final = 4
_UNICAST, _UNREACHABLE = 1, 7
_TO_TABLE, _BLACK_HOLE, _REFUSE = 1, 6, 7
_ROOT: Final = 0xFFFFFFFF
_TICK_NS: Final = 64
_NETEM_LIMIT: Final = 100_000  # packets that wait at most


Net = tuple[str, int]
"""Addresses that begin like this one: so many bits of it."""

End = tuple[int, bytes]
"""One end of a cable: its interface's number, unique in its namespace, and its MAC address."""


class Rtnetlink(Netlink):
    """One namespace's routing. Every method raises `OSError` with the kernel's reason."""

    def __init__(self) -> None:
        super().__init__(socket.NETLINK_ROUTE)

    def add_cable(self, name: str, near: End, far: End, far_namespace: int) -> None:
        """A pair of interfaces of one `name`, `near` here and `far` in the namespace open as
        `far_namespace`."""
        peer = _interface(far[0]) + _named(name) + attribute(1, far[1])
        peer += attribute(28, struct.pack("=I", far_namespace))
        kind = attribute(1, b"veth") + attribute(2, attribute(1, peer))
        body = _interface(near[0]) + _named(name) + attribute(1, near[1]) + attribute(18, kind)
        self._ask("add a link", _NEW_LINK, CREATE | EXCLUSIVE, body)

    def delete_cable(self, interface: int) -> None:
        """Remove an interface, and with it the other end of its cable."""
        self._ask("remove a link", _DELETE_LINK, 0, _interface(interface))

    def set_up(self, interface: int, up: bool) -> None:
        """Switch an interface on or off. Its routes and neighbours vanish when it is off."""
        self._ask("switch a link", _NEW_LINK, 0, _interface(interface, _UP if up else 0, _UP))

    def add_address(self, interface: int, address: str) -> None:
        """An address of our own, alone (/32)."""
        body = _address(interface, address)
        self._ask("add an address", _NEW_ADDRESS, CREATE | EXCLUSIVE, body)

    def delete_address(self, interface: int, address: str) -> None:
        """Take an address of our own away."""
        self._ask("remove an address", _DELETE_ADDRESS, 0, _address(interface, address))

    def set_neighbour(self, interface: int, address: str, mac: bytes) -> None:
        """Who is at the other end. Fixed, because a question about it would be lost with a cut
        link, and its loss reported to the sender: a black hole reports nothing."""
        body = struct.pack("=BxxxiHBB", socket.AF_INET, interface, _PERMANENT, 0, 0)
        body += attribute(1, socket.inet_aton(address)) + attribute(2, mac)
        self._ask("add a neighbour", _NEW_NEIGHBOUR, CREATE | REPLACE, body)

    def set_route(
        self, to: Net, metric: int, table: int, interface: int, via: str, source: str
    ) -> None:
        """Send what is for `to` to the neighbour `via`, unless a way with a lower `metric` is
        open; our own packets bear `source`."""
        body = _route(to, metric, table, _UNICAST)
        body += attribute(5, socket.inet_aton(via)) + attribute(4, struct.pack("=I", interface))
        body += attribute(7, socket.inet_aton(source))
        self._ask("add a route", _NEW_ROUTE, CREATE | REPLACE, body)

    def set_no_route(self, to: Net, metric: int, table: int) -> None:
        """Say to whoever sends to `to` that there is no way."""
        body = _route(to, metric, table, _UNREACHABLE)
        self._ask("add a route", _NEW_ROUTE, CREATE | REPLACE, body)

    def set_local_rule(self, priority: int, *, present: bool) -> None:
        """Add or remove the rule by which packets for our own addresses are ours."""
        rule = _rule(priority, LOCAL_TABLE, _TO_TABLE)
        if present:
            self._ask("add a rule", _NEW_RULE, CREATE | EXCLUSIVE, rule)
        else:
            self._ask("remove a rule", _DELETE_RULE, 0, rule)

    def set_black_hole(self, priority: int, name: str, *, present: bool) -> None:
        """Add or remove the rule that everything which comes in at the interface vanishes."""
        rule = _rule(priority, 0, _BLACK_HOLE) + _named(name)
        if present:
            self._ask("add a rule", _NEW_RULE, CREATE | EXCLUSIVE, rule)
        else:
            self._ask("remove a rule", _DELETE_RULE, 0, rule)

    def add_only_table(self, priority: int, name: str, table: int) -> None:
        """What comes in at the interface has the ways of `table`, and no others."""
        rule = _rule(priority, table, _TO_TABLE) + _named(name)
        self._ask("add a rule", _NEW_RULE, CREATE | EXCLUSIVE, rule)
        rule = _rule(priority + 1, 0, _REFUSE) + _named(name)
        self._ask("add a rule", _NEW_RULE, CREATE | EXCLUSIVE, rule)

    def set_netem(self, interface: int, wait_ms: float) -> None:
        """Have the kernel itself let all that leaves by the interface wait (netem)."""
        ticks = min(round(wait_ms * 1e6 / _TICK_NS), 0xFFFFFFFF)
        options = struct.pack("=6I", ticks, _NETEM_LIMIT, 0, 0, 0, 0)
        body = _queue(interface) + attribute(1, b"netem\0") + attribute(2, options)
        self._ask("delay packets", _NEW_QUEUE, CREATE | REPLACE, body)

    def delete_netem(self, interface: int) -> None:
        """Let packets leave at once again."""
        self._ask("delay no packets", _DELETE_QUEUE, 0, _queue(interface))

    def _ask(self, what: str, kind: int, flags: int, body: bytes) -> None:
        self.ask(what, [(kind, ACK | flags, body)])


def _interface(number: int, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, number, flags, change)


def _named(name: str) -> bytes:
    return attribute(3, name.encode() + b"\0")


def _queue(interface: int) -> bytes:
    return struct.pack("=BxxxiIII", socket.AF_UNSPEC, interface, 0, _ROOT, 0)


def _route(to: Net, metric: int, table: int, kind: int) -> bytes:
    address, length = to
    flags = _ONLINK if kind == _UNICAST else 0
    body = struct.pack("=8BI", socket.AF_INET, length, 0, 0, table, _STATIC, 0, kind, flags)
    body += attribute(1, socket.inet_aton(address)) if length else b""
    return body + attribute(6, struct.pack("=I", metric))


def _address(interface: int, address: str) -> bytes:
    packed = socket.inet_aton(address)
    head = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, interface)
    return head + attribute(2, packed) + attribute(1, packed)


def _rule(priority: int, table: int, action: int) -> bytes:
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, table, 0, 0, action, 0)
    return head + attribute(6, struct.pack("=I", priority))
