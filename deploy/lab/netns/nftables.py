"""What a namespace does with the packets that come in, in the words of the kernel's nf_tables.

One table with one chain before routing: it lets packets vanish, those of one sender or a part of
all, or hands them to a program that lets them wait (waiting.py). It is the same that `nft` would
set up, without `nft`.
Formats: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from deploy.lab.netns.netlink import ACK, CREATE, Message, Netlink, attribute, nested

PROTOCOL: Final = 12
"""The netlink protocol of all that filters packets."""

_SUBSYSTEM: Final = 10
_BEGIN, _END = 16, 17
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = (_SUBSYSTEM << 8 | kind for kind in (0, 2, 3, 6))

_TABLE: Final = b"kessai\0"
_CHAIN: Final = b"incoming\0"
_PREROUTING: Final = 0
_BEFORE_ALL: Final = -300
_DROP: Final = 0
_INTERFACE: Final = 4  # the incoming interface's number, of what is known about a packet
_RANDOM: Final = 1
_TO_NETWORK_ORDER: Final = 1
_NETWORK_HEADER: Final = 1
_SENDER_AT, _ADDRESS_BYTES = 12, 4  # in the header of IPv4
_EQUAL, _LESS = 0, 2
_VERDICT, _REGISTER = 0, 1
_PARTS: Final = 1_000_000  # a share is counted in these
_PASS_IF_NOBODY_LISTENS: Final = 1


@dataclass(frozen=True, slots=True)
class Lose:
    """A share (0 to 1) of what comes in vanishes, at random; at `interface`, or anywhere if 0."""

    share: float
    interface: int = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """What comes in at `interface` is handed to whoever listens at the queue of that `number`; it
    goes on at once if nobody does."""

    number: int
    interface: int


@dataclass(frozen=True, slots=True)
class Ignore:
    """All that comes from that address vanishes."""

    sender: str


Rule = Lose | Queue | Ignore


class Nftables:
    """One namespace's filter."""

    def __init__(self) -> None:
        self._netlink = Netlink(PROTOCOL)

    def close(self) -> None:
        """Speak no more; the rules stay."""
        self._netlink.close()

    def set_rules(self, rules: Iterable[Rule]) -> None:
        """Have these rules and no others from one moment on. Raises `OSError`."""
        messages = [
            _table(_NEW_TABLE, CREATE),  # so that there is one to delete
            _table(_DELETE_TABLE),
        ]
        packed = [_rule(rule) for rule in rules]
        if packed:
            messages += [_table(_NEW_TABLE, CREATE), _chain(), *packed]
        self._netlink.ask("filter packets", [_edge(_BEGIN), *messages, _edge(_END)])


def head(family: int, resource: int) -> bytes:
    """Before the attributes of every message to a filter."""
    return struct.pack("!BBH", family, 0, resource)


def _edge(kind: int) -> Message:
    """The first and the last message of what takes effect as one."""
    return kind, 0, head(socket.AF_UNSPEC, _SUBSYSTEM)


def _table(kind: int, flags: int = 0) -> Message:
    return kind, ACK | flags, head(socket.AF_INET, 0) + attribute(1, _TABLE)


def _chain() -> Message:
    hook = nested(4, _number(1, _PREROUTING), attribute(2, struct.pack("!i", _BEFORE_ALL)))
    body = attribute(1, _TABLE) + attribute(3, _CHAIN) + hook + attribute(7, b"filter\0")
    return _NEW_CHAIN, ACK | CREATE, head(socket.AF_INET, 0) + body


def _rule(rule: Rule) -> Message:
    match rule:
        case Ignore():
            steps = _from_sender(rule.sender) + _vanish()
        case Lose():
            steps = _from_interface(rule.interface) if rule.interface else b""
            steps += _at_random(rule.share) + _vanish()
        case Queue():
            steps = _from_interface(rule.interface)
            # As iptables would say it: kernels without netem are without nft's own word for it too.
            words = struct.pack("=HHHxx", rule.number, 1, _PASS_IF_NOBODY_LISTENS)
            steps += _step("target", attribute(1, b"NFQUEUE\0"), _number(2, 3), attribute(3, words))
    # After those before it, as the first of them decides.
    append = 0x800
    body = attribute(1, _TABLE) + attribute(2, _CHAIN) + nested(4, steps)
    return _NEW_RULE, ACK | CREATE | append, head(socket.AF_INET, 0) + body


def _from_interface(number: int) -> bytes:
    got = _step("meta", _number(1, _REGISTER), _number(2, _INTERFACE))
    return got + _compare(_EQUAL, struct.pack("=I", number))


def _from_sender(address: str) -> bytes:
    words = ((1, _REGISTER), (2, _NETWORK_HEADER), (3, _SENDER_AT), (4, _ADDRESS_BYTES))
    got = _step("payload", *(_number(kind, value) for kind, value in words))
    return got + _compare(_EQUAL, socket.inet_aton(address))


def _at_random(share: float) -> bytes:
    drawn = _step("numgen", _number(1, _REGISTER), _number(2, _PARTS), _number(3, _RANDOM))
    # Numbers are compared byte by byte, so the first byte has to be the greatest.
    words = ((1, _REGISTER), (2, _REGISTER), (3, _TO_NETWORK_ORDER), (4, 4), (5, 4))
    turned = _step("byteorder", *(_number(kind, value) for kind, value in words))
    return drawn + turned + _compare(_LESS, struct.pack("!I", round(share * _PARTS)))


def _vanish() -> bytes:
    return _step("immediate", _number(1, _VERDICT), nested(2, nested(2, _number(1, _DROP))))


def _compare(how: int, value: bytes) -> bytes:
    return _step("cmp", _number(1, _REGISTER), _number(2, how), nested(3, attribute(1, value)))


def _step(name: str, *words: bytes) -> bytes:
    """One step of a rule: the rule goes on with the next one only if it holds."""
    return nested(1, attribute(1, name.encode() + b"\0"), nested(2, *words))


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))
