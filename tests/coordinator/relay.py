"""A TCP relay in front of an etcd member that can swallow answers, or keep requests for later."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Relay:
    """Listens on `endpoint` and forwards to `target` (both `host:port`). Use it as a context."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._server: asyncio.Server | None = None
        self._pairs: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self._kept: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._keeping = False
        self._keep_until = 0.0
        self._deaf = False
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.hang_up()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def swallow_answers(self) -> None:
        """From now on requests arrive, and their answers are lost."""
        self._deaf = True

    def keep_requests(self, within_s: float) -> None:
        """Keep what clients send `within_s` from now; what they send after that is lost."""
        self._keeping = True
        self._keep_until = asyncio.get_running_loop().time() + within_s

    async def deliver_kept(self) -> None:
        """Hand over what was kept; its answers are lost."""
        self._deaf = True
        for writer, data in self._kept:
            writer.write(data)
            await writer.drain()
        self._kept.clear()

    def hang_up(self) -> None:
        """Close every connection; new ones work."""
        self._deaf = self._keeping = False
        for pair in self._pairs:
            for writer in pair:
                writer.close()
        self._pairs.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(*self._target)
        self._pairs.append((writer, there))
        for pump in (self._requests(reader, there), self._answers(there_reader, writer)):
            task = asyncio.ensure_future(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self._keeping:
                    writer.write(data)
                    await writer.drain()
                elif asyncio.get_running_loop().time() < self._keep_until:
                    self._kept.append((writer, data))

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self._deaf:
                    writer.write(data)
                    await writer.drain()
