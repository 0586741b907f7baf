"""A real three-member etcd for tests, whose members can be killed, paused and brought back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

START_S = 20.0
"""How long a start may take before it counts as failed."""


def etcd_binary() -> Path:
    """The etcd to test with."""
    from deploy.lab import etcd_binary as binaries

    return binaries.find()


class EtcdCluster:
    """Members 0, 1 and 2 on loopback, with their data in `folder`. Use it as a context."""

    def __init__(self, folder: Path, size: int = 3) -> None:
        self._binary = etcd_binary()
        self._folder = folder
        ports = free_ports(2 * size)
        self._clients, self._peers = ports[:size], ports[size:]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * size

    @property
    def endpoints(self) -> list[str]:
        """`host:port` of every member, in order."""
        return [f"127.0.0.1:{port}" for port in self._clients]

    def __enter__(self) -> EtcdCluster:
        try:
            for index in range(len(self._clients)):
                self.start(index)
            self.wait_until_healthy()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, index: int) -> None:
        """Start a member that is not running, on the data it has."""
        client, peer = self._clients[index], self._peers[index]
        members = ",".join(f"m{n}=http://127.0.0.1:{p}" for n, p in enumerate(self._peers))
        options = {
            "name": f"m{index}",
            "data-dir": self._folder / f"m{index}",
            "listen-client-urls": f"http://127.0.0.1:{client}",
            "advertise-client-urls": f"http://127.0.0.1:{client}",
            "listen-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-cluster": members,
            "heartbeat-interval": 50,
            "election-timeout": 500,
            "log-level": "error",
        }
        with (self._folder / f"m{index}.log").open("ab") as log:
            self._processes[index] = subprocess.Popen(
                [self._binary, *(f"--{name}={value}" for name, value in options.items())],
                stdout=log,
                stderr=log,
            )

    def kill(self, index: int) -> None:
        """SIGKILL a member, running or paused."""
        process = self._processes[index]
        if process is not None:
            process.kill()
            process.wait()
            self._processes[index] = None

    def pause(self, index: int) -> None:
        """SIGSTOP: connections stay up, nothing is answered."""
        self._signal(index, signal.SIGSTOP)

    def resume(self, index: int) -> None:
        """SIGCONT."""
        self._signal(index, signal.SIGCONT)

    def heal(self) -> None:
        """Resume and restart whatever is not running, and wait until all is well."""
        for index, process in enumerate(self._processes):
            if process is None:
                self.start(index)
            else:
                self.resume(index)
        self.wait_until_healthy()

    def leader(self) -> int:
        """The index of etcd's own leader."""
        for index, client in enumerate(self._clients):
            status = _ask(client, "/v3/maintenance/status", b"{}")
            if status["header"]["member_id"] == status["leader"]:
                return index
        raise AssertionError("etcd has no leader")

    def a_follower(self) -> int:
        """The index of a member whose loss costs no election."""
        return (self.leader() + 1) % len(self._clients)

    def compact(self, revision: int) -> None:
        """Forget the history before `revision`."""
        body = json.dumps({"revision": revision, "physical": True}).encode()
        _ask(self._clients[0], "/v3/kv/compaction", body)

    def wait_until_healthy(self) -> None:
        """Return once every member has a leader and answers a linearizable read."""
        until = time.monotonic() + START_S
        for client in self._clients:
            while not _healthy(client):
                if time.monotonic() > until:
                    raise AssertionError(f"etcd does not become healthy: see {self._folder}")
                time.sleep(0.05)

    def close(self) -> None:
        """Kill all members."""
        for index in range(len(self._processes)):
            self.kill(index)

    def _signal(self, index: int, number: signal.Signals) -> None:
        process = self._processes[index]
        if process is not None:
            os.kill(process.pid, number)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _healthy(client: int) -> bool:
    try:
        return bool(_ask(client, "/health", None)["health"] == "true")
    except (OSError, ValueError):
        return False


def _ask(client: int, path: str, body: bytes | None) -> Any:
    # A handler of its own: an HTTP proxy in the environment is not for loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{client}{path}", body, timeout=1) as answer:
        return json.load(answer)
