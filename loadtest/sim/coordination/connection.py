"""A process's connection to the simulated etcd: making it, asking, and what silence means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from coordinator.keyvalue import RegistryError, Unavailable
from loadtest.sim.coordination.etcd import SimEtcd
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.network import Network

T = TypeVar("T")


class Connection:
    """The connection of the process that runs on `loop` at `host`.

    It is made before anything is asked, so that what fails then was definitely not done, and made
    anew after every silence.
    """

    def __init__(self, etcd: SimEtcd, network: Network, host: str, loop: VirtualLoop) -> None:
        self.etcd = etcd
        self.host = host
        self.loop = loop
        self._network = network
        self._connected = False

    def send(self, what: str, receive: Callable[[], None]) -> None:
        """Carry something to etcd, if it arrives."""
        self._network.send(self.host, self.etcd.name, receive, what, stream=True)

    def send_back(self, what: str, receive: Callable[[], None]) -> None:
        """Carry something from etcd to the host, if it arrives: in whatever life it is then."""
        self._network.send(self.etcd.name, self.host, receive, what, stream=True)

    def doubt(self) -> None:
        """Nothing was heard where something should have been."""
        self._connected = False

    async def connect(self, within_s: float) -> None:
        """Be connected. Raises `Unavailable`."""
        if self._connected:
            return
        try:
            await self.ask("greeting", bool, within_s, write=False)
        except TimeoutError:
            raise Unavailable("etcd does not take connections") from None
        self._connected = True

    async def ask(self, what: str, work: Callable[[], T], within_s: float, *, write: bool) -> T:
        """Have etcd do `work`; returns or raises what came of it.

        Raises `TimeoutError` for silence, `Unavailable` where the connection was refused.
        """
        answer: asyncio.Future[T | RegistryError] = self.loop.create_future()

        def heard(result: T | RegistryError) -> None:
            if not answer.done():
                answer.set_result(result)

        def reply(result: T | RegistryError) -> None:
            self.send_back(f"answer to a {what}", lambda: heard(result))

        self._network.send(
            self.host,
            self.etcd.name,
            lambda: self.etcd.serve(self.host, what, work, reply, write=write),
            what,
            stream=True,
            refused=lambda: heard(Unavailable("etcd: connection refused")),
        )
        await asyncio.wait({answer}, timeout=within_s)
        if not answer.done():
            answer.cancel()
            self.doubt()
            raise TimeoutError
        result = answer.result()
        if isinstance(result, RegistryError):
            if isinstance(result, Unavailable):
                self.doubt()
            raise result
        return result
