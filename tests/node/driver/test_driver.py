"""The driver and its replica: what becomes of a fault in the program itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordinator.configuration import Configuration, ReplicaId
from node.core import Identity, Log, Replica, Timings
from node.core.inputs import ConfigurationSeen, Input, LeaderSeen, Tick
from node.core.messages import GENESIS_HASH, Entry, Message
from node.core.outputs import Event, Output, Write
from node.driver.driver import Driver

ME = ReplicaId("a1", "d1")


class Disk:
    """A store that takes everything and says nothing."""

    def write(self, write: Write) -> None:
        """Forget it."""

    def apply(self, entries: Sequence[Entry]) -> None:
        """Forget them."""

    def prune(self, index: int) -> None:
        """Forget it."""

    def read_log(self, first: int, max_bytes: int) -> tuple[Entry, ...]:
        """Nothing."""
        return ()


async def test_a_fault_in_a_step_makes_the_replica_silent_and_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replica = Replica(
        Identity(ME, "a", {"a2": "a"}, "life"),
        Timings(),
        lambda: 0.5,
        Log(0, 0, GENESIS_HASH),
        now=0,
    )
    told: list[Event] = []
    sent: list[Message] = []
    with ThreadPoolExecutor(1) as readers:
        driver = Driver(
            replica,
            Disk(),
            send=lambda node, message: sent.append(message),
            journal=told.append,
            loop=asyncio.get_running_loop(),
            readers=readers,
            append_bytes=1,
        )
        driver.feed(ConfigurationSeen(Configuration("c", "a", {"a": frozenset({ME})}, 1), 5))
        step = replica.step

        def broken(input: Input, now: float) -> Output:
            if isinstance(input, Tick):
                raise IndexError("entry 7 is not in memory")
            return step(input, now)

        monkeypatch.setattr(replica, "step", broken)
        driver.feed(Tick())
        assert replica.role.role == "silent"
        assert told[-1].kind == "silent"
        assert "fault in the program: IndexError at Tick: entry 7" in told[-1].detail
        assert "Traceback" in capsys.readouterr().err
        driver.feed(LeaderSeen(0, "", "", 9))  # and it stays so
        assert replica.role.role == "silent"
        assert sent == []
