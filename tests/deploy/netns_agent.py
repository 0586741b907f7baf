"""Stands on one host of a network: answers on TCP and UDP port 7000, and tries to reach others.

Reads one JSON line at a time, a list of probes `[how, address, patience_s]`, tries all of them at
once and answers with a list of what came of them:

ok            it was reached and answered
silent        nothing came back within the patience
unreachable   somebody on the way, or our own host, said that there is no way
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

PORT = 7000
IP_RECVERR = 11
AGAIN_S = 1.1
NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}

held: dict[str, socket.socket] = {}


def main() -> None:
    """Until the end of the input."""
    listener = socket.create_server(("", PORT), backlog=64)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("", PORT))
    for serve in (serve_tcp, serve_udp):
        made = listener if serve is serve_tcp else datagrams
        threading.Thread(target=serve, args=(made,), daemon=True).start()
    print("ready", flush=True)
    with ThreadPoolExecutor(64) as pool:
        for line in sys.stdin:
            print(
                json.dumps(list(pool.map(lambda probe: attempt(*probe), json.loads(line)))),
                flush=True,
            )


def serve_tcp(listener: socket.socket) -> None:
    """Echo to everybody who connects."""
    while True:
        caller, _ = listener.accept()
        threading.Thread(target=echo, args=(caller,), daemon=True).start()


def echo(caller: socket.socket) -> None:
    """Send back what comes, until it ends."""
    try:
        while data := caller.recv(4096):
            caller.sendall(data)
    except OSError:
        pass


def serve_udp(datagrams: socket.socket) -> None:
    """Echo every datagram."""
    while True:
        data, sender = datagrams.recvfrom(4096)
        try:
            datagrams.sendto(data, sender)
        except OSError:
            continue


def attempt(how: str, address: str, patience_s: float) -> str:
    """One probe."""
    try:
        {"tcp": tcp, "udp": udp, "ping": ping, "hold": hold, "talk": talk}[how](address, patience_s)
    except TimeoutError:
        return "silent"
    except OSError as problem:
        return "unreachable" if problem.errno in NO_WAY else f"{how}: {problem}"
    return "ok"


def tcp(address: str, patience_s: float) -> None:
    """Connect and hear the echo."""
    with socket.create_connection((address, PORT), patience_s) as made:
        made.sendall(b"?")
        made.recv(1)


def hold(address: str, patience_s: float) -> None:
    """Connect, and keep the connection for `talk`."""
    held[address] = socket.create_connection((address, PORT), patience_s)


def talk(address: str, patience_s: float) -> None:
    """A byte over the connection that `hold` made; one that is late is heard by the next talk."""
    made = held[address]
    made.settimeout(patience_s)
    made.sendall(b"!")
    if not made.recv(1):
        raise ConnectionResetError(errno.ECONNRESET, "closed")


def udp(address: str, patience_s: float) -> None:
    """A datagram and its echo."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)  # also what ICMP says
        made.connect((address, PORT))

        def send() -> None:
            made.send(b"?")

        def heard() -> bool:
            return bool(made.recv(1))

        ask(made, send, heard, patience_s)


def ping(address: str, patience_s: float) -> None:
    """An ICMP echo request and its reply, or an ICMP word that there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as made:
        mark = os.urandom(8)
        body = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, 1) + mark
        total = sum(struct.unpack(f"!{len(body) // 2}H", body))
        total = (total >> 16) + (total & 0xFFFF)
        total += total >> 16
        packet = body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]

        def send() -> None:
            made.sendto(packet, (address, 0))

        def heard() -> bool:
            answer = made.recv(4096)
            kind = answer[20]  # after an IP header without options
            if kind == 3 and mark in answer:
                raise OSError(errno.EHOSTUNREACH, "said so by ICMP")
            return kind == 0 and mark in answer

        ask(made, send, heard, patience_s)


def ask(
    made: socket.socket, send: Callable[[], None], heard: Callable[[], bool], patience_s: float
) -> None:
    """Send now and then again: routers do not say every time that there is no way."""
    deadline = time.monotonic() + patience_s
    again = 0.0
    while (now := time.monotonic()) < deadline:
        if now >= again:
            send()
            again = now + AGAIN_S
        if select.select([made], [], [], min(again, deadline) - now)[0] and heard():
            return
    raise TimeoutError


if __name__ == "__main__":
    main()
