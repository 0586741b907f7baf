"""Who sits on a port that we need."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

import psutil

from deploy.addresses import split


class PortBusy(RuntimeError):
    """An address that somebody listens on already; names it and, if possible, the process."""


def check_free(addresses: Iterable[tuple[str, str]]) -> None:
    """Are these (whose in words, `host:port`) free? Raises `PortBusy` naming every one that is not.

    A port whose last connections are still closing counts as free, as it does for our servers.
    """
    busy = []
    for whose, address in addresses:
        host, port = split(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as problem:
                if problem.errno == errno.EADDRNOTAVAIL:
                    continue  # on a host of its own, a network namespace: nobody else is there
                busy.append(f"{address} ({whose}): {_holder(port) or problem.strerror}")
    if busy:
        raise PortBusy("busy: " + "; ".join(busy))


def _holder(port: int) -> str:
    """The process listening on `port`, in words; empty when it is not ours to see."""
    try:
        sockets = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return ""
    for each in sockets:
        if (
            each.status == psutil.CONN_LISTEN
            and each.laddr
            and each.laddr.port == port
            and each.pid
        ):
            try:
                command = " ".join(psutil.Process(each.pid).cmdline())
            except psutil.Error:
                command = ""
            return f"held by process {each.pid} {command[:60]}".rstrip()
    return ""
