"""The coordinators, one in each place (X5): the real lookout and recorder, on simulated wires."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from coordinator.recording import Recorder
from coordinator.records import Keys, Reach
from coordinator.settings import CoordinatorSettings, Watched
from coordinator.sites.line import meaning
from coordinator.sites.lookout import Lookout
from coordinator.sites.ports import Means
from coordinator.sites.probe import NOBODY_THERE
from coordinator.sites.sight import Answer
from coordinator.stamp import Stamp
from loadtest.request import Call
from loadtest.sim.calls import Unanswered, call, result
from loadtest.sim.coordination.registry import SimRegistry
from loadtest.sim.front import NO_LISTENER, Attempt, Status
from loadtest.sim.front import Answer as Told
from loadtest.sim.ground import CLUSTER, ETCD, Ground
from loadtest.sim.happening import Kind
from loadtest.sim.life import Life
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.process import Process
from loadtest.wire import METHODS
from node.engine import HandoverAnswer
from proto import settlement_pb2

_PEERS: Final = ":peers"


@dataclass(slots=True)
class Inside:
    """Where a coordinator speaks to operators' ports from: another address of its host."""

    name: str
    site: str
    loop: VirtualLoop | None = None


class SimWatch(Process):
    """The coordinator of one place: a host, with one process after another.

    It looks at the nodes as terminals do, over the links from its own name; what it asks as an
    operator goes over those of its `inside`, so that terminals can be cut off and operators not.
    """

    def __init__(self, place: str, ground: Ground) -> None:
        super().__init__(f"watch-{place}", place, ground)
        self.inside = Inside(f"{self.name}:inside", place)
        ground.network.attach(self.inside)
        self._stamps = 0

    def start(self) -> None:
        """A new life, which knows nothing of the one before."""
        if self.up:
            return
        loop = self.inside.loop = self._live()
        self._ground.happened(Kind.RESTART, self.name, f"life {self.life}")
        loop.enter(partial(self._begin, loop))

    def crash(self, why: str = "killed") -> None:
        """The process is gone; nobody misses anything of it."""
        self.inside.loop = None
        self._die(why)

    def _begin(self, loop: VirtualLoop) -> None:
        ground, setup = self._ground, self._ground.setup
        settings = CoordinatorSettings(
            cluster=CLUSTER,
            name=self.name,
            place=self.site,
            etcd=(ETCD,),
            nodes=tuple(
                Watched(node, site, node, f"{node}{_PEERS}") for node, site in setup.nodes.items()
            ),
            switching=setup.switching,
            etcd_deadline_ms=setup.timings.etcd_deadline_ms,
        )
        registry = SimRegistry(
            ground.etcd, ground.network, self.name, loop, settings.etcd_deadline_ms
        )
        recorder = Recorder(registry, Keys(CLUSTER), self.name, self.site, self.wall_ms)
        means = Means(self._dial, self._stamp)
        lookout = Lookout(settings, registry, recorder, self, means)
        for work in (recorder.run(), lookout.run()):
            loop.create_task(work).add_done_callback(result)

    def say(self, kind: str, detail: str) -> None:
        """What its process writes into its log."""
        self._ground.happened(Kind.SAID, self.name, f"{kind}: {detail}")

    def _stamp(self) -> Stamp:
        self._stamps += 1
        return Stamp(self.wall_ms(), f"{self._stamps:08d}")

    def _dial(self, endpoint: str) -> SimLine:
        node = endpoint.removesuffix(_PEERS)
        return SimLine(self._ground, self.name if node == endpoint else self.inside.name, node)


class SimLine:
    """See `coordinator.sites.ports.Line`; from address `caller` to a port of `node`."""

    def __init__(self, ground: Ground, caller: str, node: str) -> None:
        self._ground = ground
        self._caller = caller
        self._node = node
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._asked = 0

    async def inquire(self, key: str, within_s: float) -> Answer:
        """See `Line.inquire`; the node's real front answers."""
        self._asked += 1
        number = self._asked
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Answer] = loop.create_future()
        self._waiting[number] = heard

        def hear(told: Told) -> None:
            if not heard.done():
                heard.set_result(_meaning(told))

        front = self._ground.nodes[self._node].front
        question = settlement_pb2.InquireRequest(idempotency_key=key).SerializeToString()
        path = METHODS[Call.INQUIRE].path
        attempt = Attempt(self._caller, path, question, within_s * 1000, hear)
        self._ground.network.send(
            self._caller,
            self._node,
            partial(front.take, attempt),
            "probe",
            stream=True,
            refused=partial(hear, NO_LISTENER),
        )
        timer = loop.call_later(within_s, hear, NO_LISTENER)
        try:
            return await heard
        finally:
            timer.cancel()
            del self._waiting[number]

    async def is_there(self, within_s: float) -> bool:
        """See `Line.is_there`; whoever runs and does not stand still answers at once."""
        with suppress(Unanswered):
            await call(self._ground, self._caller, self._node, "health", _nothing, within_s)
            return True
        return False

    async def hand_over(self, within_s: float) -> str:
        """See `Line.hand_over`."""
        try:
            answer = await call(
                self._ground, self._caller, self._node, "handover", _hand_over, within_s
            )
        except Unanswered as problem:
            return f"it could not be asked: {problem}"
        if answer.started:
            return f"it was asked and hands over to {answer.target}"
        return f"it was asked and does not hand over: {answer.reason}"

    async def anew(self) -> None:
        """See `Line.anew`."""
        for heard in list(self._waiting.values()):
            if not heard.done():
                heard.set_result(NOBODY_THERE)

    async def close(self) -> None:
        """See `Line.close`."""
        await self.anew()


def _meaning(told: Told) -> Answer:
    if isinstance(told, Status):
        return meaning(told.code, told.details)
    return Answer(Reach.SERVES)


async def _nothing(_: Life) -> None:
    """What a health check asks: whether anybody is there."""


async def _hand_over(life: Life) -> HandoverAnswer:
    return await life.engine.handover("")
