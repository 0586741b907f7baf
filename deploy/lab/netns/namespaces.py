"""A host: one network namespace, held by an open file and by nothing else.

It has no name on the machine; it ends when this process and the programs in it have ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from deploy.lab.netns import syscalls
from deploy.lab.netns.nftables import Nftables
from deploy.lab.netns.rtnetlink import LOOPBACK, Rtnetlink

T = TypeVar("T")

LOCAL_PRIORITY: Final = 100
"""Where the rule for our own addresses stands: rules before it also meet packets for ourselves."""

_SETTINGS: Final = {
    # A fresh namespace takes these over from the machine, so all of them are said.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    # A way whose cable has nobody at its other end is none: the next one is taken, also in the
    # moment in which only one of the two ends is off.
    "ipv4/conf/all/ignore_routes_with_linkdown": "1",
    "ipv4/conf/default/ignore_routes_with_linkdown": "1",
}


class Namespace:
    """One host's namespace. `file` is open on it; `ask` speaks to its routing, `filter` to what
    looks at its packets (None if the kernel has no such thing)."""

    def __init__(self, file: int, ask: Rtnetlink, filter: Nftables | None) -> None:
        self.file = file
        self.ask = ask
        self.filter = filter

    def path(self) -> str:
        """Where other processes of our process namespace can open it, while we live."""
        return f"/proc/{os.getpid()}/fd/{self.file}"

    def close(self) -> None:
        """Let it go; it ends with the last program in it."""
        self.ask.close()
        if self.filter is not None:
            self.filter.close()
        os.close(self.file)


def make(*, forwards: bool) -> Namespace:
    """A new namespace with nothing but its loopback interface. Raises `OSError`."""

    def work() -> Namespace:
        syscalls.unshare(syscalls.NEW_NETWORK)
        return _prepared(forwards)

    return _in_a_thread(work)


def own() -> Namespace:
    """The namespace in which this process stands, made ready as a host. Raises `OSError`."""
    return _in_a_thread(lambda: _prepared(forwards=False))


def _in_a_thread(work: Callable[[], T]) -> T:
    """A thread can leave for another network namespace, alone; it is not used again after that."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def _prepared(forwards: bool) -> Namespace:
    # The thread's own view: these files show the network namespace of whoever opens them.
    folder = Path("/proc/sys/net")
    (folder / "ipv4/ip_forward").write_text("1" if forwards else "0")
    for name, value in _SETTINGS.items():
        (folder / name).write_text(value)
    with suppress(FileNotFoundError):  # a kernel without IPv6 needs no telling
        (folder / "ipv6/conf/all/disable_ipv6").write_text("1")
    file = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        ask = Rtnetlink()
        ask.set_up(LOOPBACK, True)
        with suppress(FileExistsError):
            ask.set_local_rule(LOCAL_PRIORITY, present=True)
        with suppress(FileNotFoundError):
            ask.set_local_rule(0, present=False)
    except BaseException:
        os.close(file)
        raise
    try:
        packets = Nftables()
    except OSError:
        packets = None  # whoever needs it will say so
    return Namespace(file, ask, packets)
