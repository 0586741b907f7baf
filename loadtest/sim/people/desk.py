"""The operators: they initialise, hand over, switch and promote, one thing at a time.

What they decide is deploy's (`deploy.fencing`, `coordinator.switching`); only how they reach nodes
and etcd is of the simulator. A person who is asked always consents, and vouches for a site to be
off only where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from coordinator import switching
from coordinator.configuration import ReplicaId
from coordinator.initialise import InitialiseError, Plan, initialise
from coordinator.keyvalue import RegistryError
from coordinator.stamp import Stamp
from coordinator.switching import SwitchRefused
from deploy.answers import Fenced
from deploy.ends import Ends
from deploy.fencing import Fencing, Overtaken, check_loss, going, sides
from deploy.written import read_from
from loadtest.sim.calls import Unanswered, call, result
from loadtest.sim.coordination.registry import SimRegistry
from loadtest.sim.ground import CLUSTER, Ground
from loadtest.sim.happening import Happened, Kind, Told
from loadtest.sim.life import Life
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.people.forfeit import Forfeit, Vow, weigh
from loadtest.sim.witness import Violation
from node.engine import HandoverAnswer, NodeStatus, SwitchAnswer

T = TypeVar("T")

BY: Final = "desk"
_CLUSTER_ID: Final = "sim-cluster"
_NODES_MS: Final = 20_000
_STATUS_S: Final = 1.0
_ASK_S: Final = 5.0
_FENCE_S: Final = 2.0
_LIST_S: Final = 10.0
_PATIENCE_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.05
_ROUNDS: Final = 3


_AGAIN_S: Final = 0.3
"""How soon an operator tries again what etcd did not answer."""


class Desk:
    """Where the operators sit: a host of no site that always runs.

    `given_up` are the promotions with loss that were made, in order.
    """

    def __init__(self, ground: Ground) -> None:
        self.name = BY
        self.site = ""
        self._loop = VirtualLoop(BY, ground.timeline, ground.dice.of(f"loop {BY}"))
        self.loop: VirtualLoop | None = self._loop
        self.given_up: list[Forfeit] = []
        self._ground = ground
        self._registry = SimRegistry(
            ground.etcd, ground.network, BY, self._loop, ground.setup.timings.etcd_deadline_ms
        )
        self._turn = asyncio.Lock()
        self._work: dict[asyncio.Task[None], None] = {}
        self._stamps = 0
        self._sent: Forfeit | None = None
        ground.listeners = (*ground.listeners, self._hear)

    # -- what operators are asked for ------------------------------------------------------------

    def initialise(self) -> None:
        """Make the first configuration, as soon as every node has published itself (E1)."""
        setup = self._ground.setup
        plan = Plan(setup.sites, next(iter(setup.sites)), setup.copies_min, _CLUSTER_ID)

        async def work() -> None:
            while True:  # asking again with the same cluster id is harmless
                with suppress(InitialiseError, RegistryError):
                    await initialise(self._registry, CLUSTER, plan, _NODES_MS)
                    return
                await asyncio.sleep(_AGAIN_S)

        self._begin("the first configuration", work)

    def handover(self, target: str = "") -> None:
        """Ask the leader to hand over, to whom it likes or to `target` (H1)."""
        self._begin(f"handover to {target or 'whoever is best'}", partial(self._handover, target))

    def switch(self, to: str) -> None:
        """Make `to` the active site without loss: through the leader (H2), or past one that is
        gone (E5)."""
        self._begin(f"switch to site {to}", partial(self._switch, to))

    def promote(self, to: str) -> None:
        """Make `to` the active site with whatever that loses (X4)."""
        self._begin(f"promotion of site {to}", partial(self._promote, to))

    def _begin(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        def begin() -> None:
            self._ground.happened(Kind.ASKED, self.name, what)
            task = self._loop.create_task(self._do(what, work))
            self._work[task] = None
            task.add_done_callback(self._work.pop)
            task.add_done_callback(result)

        self._loop.enter(begin)

    async def _do(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        async with self._turn:
            try:
                await work()
            except (SwitchRefused, InitialiseError, RegistryError, Unanswered) as problem:
                self._ground.happened(Kind.REFUSED, self.name, f"{what}: {problem}")

    # -- without loss ----------------------------------------------------------------------------

    async def _handover(self, target: str) -> None:
        leader = await self._leader()
        if leader is None:
            raise SwitchRefused("nobody leads")

        async def ask(life: Life) -> HandoverAnswer:
            return await life.engine.handover(target)

        begun = await self._call(leader.node, "handover", ask, _ASK_S)
        if not begun.started:
            raise SwitchRefused(f"{leader.node} does not hand over: {begun.reason}")

    async def _switch(self, to: str) -> None:
        leader = await self._leader()
        if leader is None:
            why = f"{BY} asked for it, and no leader answered"
            await switching.switch(self._registry, CLUSTER, to, by=BY, why=why, stamp=self._stamp())
            return

        async def ask(life: Life) -> SwitchAnswer:
            return await life.engine.switch_site(to)

        begun = await self._call(leader.node, "switch", ask, _ASK_S)
        if not begun.started:
            raise SwitchRefused(f"{leader.node} does not switch: {begun.reason}")

    async def _leader(self) -> NodeStatus | None:
        """Who leads and serves; a moment without anybody may be a handover."""
        until = self._loop.time() + _PATIENCE_S
        while True:
            found = await self._everywhere("status", _status, _STATUS_S)
            leaders = [each for each in found.values() if each.role == "leader" and each.serving]
            if leaders or self._loop.time() > until:
                return max(leaders, key=lambda each: each.epoch, default=None)
            await asyncio.sleep(_LOOK_EVERY_S)

    # -- with loss -------------------------------------------------------------------------------

    async def _promote(self, to: str) -> None:
        check_loss((await read_from(self._registry, CLUSTER)).configuration, to)
        for attempt in range(1, _ROUNDS + 1):
            try:
                await self._round(to)
                return
            except Overtaken as problem:
                if attempt == _ROUNDS:
                    raise SwitchRefused(str(problem)) from problem

    async def _round(self, to: str) -> None:
        """As deploy/giving_up does it, and in that order: key, fence, promotion, list."""
        ground = self._ground
        epoch = await switching.take_key(self._registry, CLUSTER, to, by=BY, stamp=self._stamp())
        try:
            vows = await self._everywhere("fence", partial(self._vow, epoch), _FENCE_S)
            fencing = sides(
                {node: vow.fenced for node, vow in vows.items()}, ground.setup.nodes, to
            )
            found = await read_from(self._registry, CLUSTER)
            configuration = check_loss(found.configuration, to)
            old = configuration.active_site
            fenced = fencing.holds(configuration)
            there = [node for node in ground.nodes.values() if node.site == old]
            if not fenced and any(node.up for node in there):
                raise SwitchRefused(f"nobody can confirm that site {old} is off")
            disks = {ReplicaId(each.node, each.disk) for each in found.nodes if each.site == old}
            goes = going(configuration, to, fencing, disks)
            off = [] if fenced else [list(node.disk.entries) for node in there]
            forfeit = weigh(to, goes.configuration, vows, fencing, goes.ends, off)
            await self._send(found.revision, epoch, forfeit)
        except Exception:
            with suppress(RegistryError):
                await switching.return_key(self._registry, CLUSTER, epoch)
            raise
        await self._list(forfeit, fencing, goes.ends, whole=fenced)

    async def _send(self, revision: int, epoch: int, forfeit: Forfeit) -> None:
        self._sent = forfeit
        try:
            await switching.promote_with_loss(
                self._registry,
                CLUSTER,
                revision,
                forfeit.planned,
                epoch=epoch,
                by=BY,
                why=f"{BY} promotes site {forfeit.to} with loss",
                stamp=self._stamp(),
            )
        except SwitchRefused as problem:
            raise Overtaken(str(problem)) from problem

    def _hear(self, told: Told) -> None:
        """Take note of a promotion when it takes effect, which may be before its answer comes, or
        without one."""
        if not isinstance(told, Happened) or told.kind is not Kind.PROMOTED:
            return
        configuration, revision = self._ground.etcd.configuration()
        forfeit, self._sent = self._sent, None
        if forfeit is None or forfeit.planned != configuration:
            self._ground.broken("X4", "a promotion with loss that no operator has asked for")
            return
        self.given_up.append(forfeit)
        self._judge(lambda: forfeit.made(self._ground.witness, revision))

    async def _list(self, forfeit: Forfeit, fencing: Fencing, ends: Ends, *, whole: bool) -> None:
        """The list comes from the first that can be asked; `whole` if that is the best of all."""
        for node, fenced in fencing.donors():
            since = partial(_since, ends.shared_with(fenced), fenced.disk_id)
            try:
                lines = await self._call(node, "list", since, _LIST_S)
            except Unanswered:
                whole = False
                continue
            self._judge(partial(forfeit.list_made, lines, whole=whole))
            return

    def _judge(self, judgement: Callable[[], None]) -> None:
        try:
            judgement()
        except Violation as violation:
            self._ground.broken(violation.invariant, violation.words)

    async def _vow(self, epoch: int, life: Life) -> Vow:
        """A vow, with the log that is on the disk it was made on."""
        answer = await life.engine.fence(epoch)
        log = self._ground.nodes[life.me.node].disk.entries[: answer.last_index]
        fenced = Fenced(
            answer.promised,
            answer.promised_epoch,
            answer.disk_id,
            answer.last_epoch,
            answer.last_index,
            answer.last_hash.hex(),
            answer.commit_index,
        )
        return Vow(fenced, tuple(log))

    # -- nodes -----------------------------------------------------------------------------------

    async def _everywhere(
        self, what: str, work: Callable[[Life], Awaitable[T]], within_s: float
    ) -> dict[str, T]:
        """The answers of all nodes that answer, by name."""
        nodes = list(self._ground.setup.nodes)

        async def ask(node: str) -> T | None:
            with suppress(Unanswered):
                return await self._call(node, what, work, within_s)
            return None

        answers = await asyncio.gather(*map(ask, nodes))
        return {
            node: answer for node, answer in zip(nodes, answers, strict=True) if answer is not None
        }

    async def _call(
        self, node: str, what: str, work: Callable[[Life], Awaitable[T]], within_s: float
    ) -> T:
        return await call(self._ground, self.name, node, what, work, within_s)

    def _stamp(self) -> Stamp:
        self._stamps += 1
        return Stamp(self._ground.wall_ms(), f"{self._stamps:08d}")


async def _status(life: Life) -> NodeStatus:
    return life.engine.status()


async def _since(after_index: int, disk_id: str, life: Life) -> list[str]:
    if life.me.disk != disk_id:
        raise Unanswered("it is on another disk than it vowed on")
    return [line async for lines in life.engine.since(after_index) for line in lines]
