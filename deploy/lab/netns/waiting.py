"""Lets the packets of one queue wait for a fixed time, where the kernel cannot do so by itself.

`python -m deploy.lab.netns.waiting QUEUE MILLISECONDS`, in the namespace of the queue, says "ready"
and goes on until its input ends; whatever waits then is still sent on in time.

Only the numbers of packets come here, their content stays in the kernel (NFQUEUE). All of them wait
equally long, so they leave in the order in which they came, and one word lets go of all that are
due.
"""

from __future__ import annotations

import select
import signal
import socket
import struct
import sys
import time
from collections import deque
from typing import Final

from deploy.lab.netns import syscalls
from deploy.lab.netns.netlink import ACK, HEADER, Netlink, attribute, framed
from deploy.lab.netns.nftables import PROTOCOL, head

READY: Final = "ready"
"""What the program says when packets may come."""

_SUBSYSTEM: Final = 3
_PACKET, _CONFIGURE, _LET_GO = (_SUBSYSTEM << 8 | kind for kind in (0, 2, 3))
_BIND: Final = 1
_ONLY_WHAT_IT_IS: Final = 1  # not the packet's content
_FLAGS: Final = 1 | 4  # packets go on if the queue is full; large ones need not be cut up
_LENGTH: Final = 65536
_ACCEPT: Final = 1
_PACKET_NUMBER_AT: Final = HEADER.size + 4 + 4  # always the first attribute

_BUFFER_BYTES: Final = 16 << 20
_SOL_NETLINK, _NO_ENOBUFS = 270, 5


class Queue(Netlink):
    """The kernel's queue of that `number`, ours alone. Raises `OSError`."""

    def __init__(self, number: int) -> None:
        super().__init__(PROTOCOL)
        self._head = head(socket.AF_UNSPEC, number)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._socket.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        self._configure(attribute(1, struct.pack("!BxH", _BIND, socket.AF_INET)))
        self._configure(
            attribute(2, struct.pack("!IB", 0, _ONLY_WHAT_IT_IS))
            + attribute(3, struct.pack("!I", _LENGTH))
            + attribute(4, struct.pack("!I", _FLAGS))
            + attribute(5, struct.pack("!I", _FLAGS))
        )
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def latest(self) -> int | None:
        """The number of the latest packet that has come; None if none came since the last call."""
        found = None
        while True:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                return found
            if HEADER.unpack_from(data)[1] == _PACKET:
                (found,) = struct.unpack_from("!I", data, _PACKET_NUMBER_AT)

    def let_go(self, number: int) -> None:
        """Send the packet of that number, and all before it, on their way."""
        body = self._head + attribute(2, struct.pack("!II", _ACCEPT, number))
        self._socket.send(framed(_LET_GO, 0, 0, body))

    def _configure(self, words: bytes) -> None:
        self.ask("queue packets", [(_CONFIGURE, ACK, self._head + words)])


def serve(queue: Queue, wait_s: float, until: int) -> None:
    """Let packets wait, until the file `until` ends and none is left."""
    waiting: deque[tuple[float, int]] = deque()
    files: list[Queue | int] = [queue, until]
    while waiting or until in files:
        left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        if until in select.select(files, (), (), left)[0]:
            files.remove(until)
        # The time is taken first: a packet waits rather too long than too short.
        latest, now = queue.latest(), time.monotonic()
        if latest is not None:
            waiting.append((now + wait_s, latest))
        due = None
        while waiting and waiting[0][0] <= now:
            due = waiting.popleft()[1]
        if due is not None:
            queue.let_go(due)


def main(number: str, milliseconds: str) -> None:
    """Until the end of the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for who started us
    syscalls.die_with_parent(signal.SIGKILL)
    queue = Queue(int(number))
    print(READY, flush=True)
    serve(queue, float(milliseconds) / 1000, sys.stdin.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
