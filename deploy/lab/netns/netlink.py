"""How anything is asked of the kernel's network: messages of nested attributes over a socket.

A socket speaks for the network namespace in which it was made, from whichever thread or namespace
it is used later on. No tool has to be installed for it, and a request takes microseconds.
Formats: man 7 netlink, linux/netlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import Final

REQUEST, ACK = 0x1, 0x4
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400

HEADER: Final = struct.Struct("=IHHII")
"""Before every message: its size, kind, flags, number, and the sender's port."""

_ERROR: Final = 2
_NESTED: Final = 0x8000
_ANSWER_BYTES: Final = 65536

Message = tuple[int, int, bytes]
"""The kind, the flags and the content of one message."""


class Netlink:
    """One namespace's ear for one `protocol`. Every method raises `OSError`."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.bind((0, 0))
        self._number = 0

    def close(self) -> None:
        """Speak no more; what was asked for stays."""
        self._socket.close()

    def ask(self, what: str, messages: Sequence[Message]) -> None:
        """Send `messages` as one and wait for the answer to each that wants one. Raises `OSError`
        with the kernel's reason, and `what` in its words."""
        packed, awaited = [], set()
        for kind, flags, body in messages:
            self._number += 1
            packed.append(framed(kind, flags, self._number, body))
            if flags & ACK:
                awaited.add(self._number)
        first = self._number - len(messages) + 1
        self._socket.send(b"".join(packed))
        while awaited:
            for number, code in _errors(self._socket.recv(_ANSWER_BYTES)):
                if code and number >= first:
                    raise OSError(-code, f"the kernel would not {what}: {os.strerror(-code)}")
                awaited.discard(number)


def framed(kind: int, flags: int, number: int, body: bytes) -> bytes:
    """A message as it is sent, padded to where another one may begin."""
    size = HEADER.size + len(body)
    return HEADER.pack(size, kind, REQUEST | flags, number, 0) + body + bytes(-size % 4)


def attribute(kind: int, value: bytes) -> bytes:
    """A value with its kind and size before it."""
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Attributes within one."""
    return attribute(kind | _NESTED, b"".join(attributes))


def is_missing(problem: OSError) -> bool:
    """Does the kernel say that it has no such thing at all?"""
    return problem.errno in (
        errno.EOPNOTSUPP,
        errno.EAFNOSUPPORT,
        errno.EPROTONOSUPPORT,
        errno.ENOENT,
    )


def _errors(data: bytes) -> list[tuple[int, int]]:
    """The numbers of the messages that are answered here, and the error of each: negated, or 0."""
    found, at = [], 0
    while at + HEADER.size <= len(data):
        size, kind, _, number, _ = HEADER.unpack_from(data, at)
        if kind == _ERROR:
            found.append((number, *struct.unpack_from("=i", data, at + HEADER.size)))
        at += size + -size % 4
    return found
