"""Random walks through the world: any order of ticks, messages, fsyncs, crashes, etcd answers.

The invariants are checked by `World` after every step (node.core.invariants, witness). Here stand
the moves. A longer walk: `KESSAI_WALK=20000 pytest tests/node/core/test_stateful.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from coordinator.configuration import majority
from node.core import Timings
from node.core.inputs import HandoverAsked, PeerRefused, SwitchAsked
from tests.node.core.world import Packet, Promotion, World, events

EXAMPLES = int(os.environ.get("KESSAI_WALK", "60"))

WALK = settings(
    max_examples=EXAMPLES,
    stateful_step_count=80 if EXAMPLES <= 100 else 200,
    deadline=None,
    derandomize=EXAMPLES <= 100,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

PICK = st.integers(min_value=0, max_value=10_000)

QUICK = Timings(
    heartbeat_ms=50,
    suspicion_ms=200,
    eviction_ms=400,
    etcd_deadline_ms=200,
    handover_ms=200,
    retransmit_ms=100,
    append_bytes=40,
    appends_under_way=3,
    entries_in_memory=4,
    log_keep_entries=2,
)
"""Short, so that a walk sees many elections, and memory and disk so small that the log leaves
them all the time."""


class Walk(RuleBasedStateMachine):
    """One random walk. `PICK` chooses among whatever there is when a rule runs."""

    sites: ClassVar[Mapping[str, Sequence[str]]] = {"a": ["a1", "a2", "a3"]}
    copies_min: ClassVar[int] = 1
    batches: ClassVar[Mapping[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            self.sites, copies_min=self.copies_min, timings=QUICK, batches=self.batches
        )
        self.names = list(self.world.nodes)
        self.promotions: list[Promotion] = []

    @initialize(settled=st.booleans())
    def begin(self, settled: bool) -> None:
        if settled:
            self.world.run_until(lambda: bool(self.world.serving()))

    # -- time and work --------------------------------------------------------------------------

    @rule(pick=PICK, ms=st.sampled_from([0, 10, 60, 250, 700]))
    def tick(self, pick: int, ms: int) -> None:
        live = self.world.live()
        self.world.now += ms
        if live:
            self.world.tick(live[pick % len(live)])

    @rule(ms=st.sampled_from([10, 60, 300, 1000]))
    def run(self, ms: int) -> None:
        self.world.run(ms, step_ms=max(10, ms / 10))

    @rule(pick=PICK, count=st.integers(1, 4))
    def propose(self, pick: int, count: int) -> None:
        leaders = [n for n in self.world.live() if self.world.replica(n).accepting]
        if leaders:
            for _ in range(count):
                self.world.propose(leaders[pick % len(leaders)])

    @rule(pick=PICK)
    def inquire(self, pick: int) -> None:
        names = self.world.serving() or self.world.live()
        if names:
            self.world.inquire(names[pick % len(names)])

    # -- the network ----------------------------------------------------------------------------

    def _packet(self, pick: int) -> Packet | None:
        ready = [p for p in self.world.packets if not self.world.nodes[p.target].paused]
        return ready[pick % len(ready)] if ready else None

    @rule(picks=st.lists(PICK, min_size=1, max_size=6), keep=st.booleans())
    def deliver(self, picks: list[int], keep: bool) -> None:
        for pick in picks:
            packet = self._packet(pick)
            if packet is not None:
                self.world.deliver(packet, keep=keep)

    @rule(pick=PICK)
    def deliver_first(self, pick: int) -> None:
        for packet in list(self.world.packets)[: 1 + pick % 12]:
            if not self.world.nodes[packet.target].paused:
                self.world.deliver(packet)

    @rule(pick=PICK)
    def lose(self, pick: int) -> None:
        if self.world.packets:
            del self.world.packets[pick % len(self.world.packets)]

    @rule(a=PICK, b=PICK, both=st.booleans())
    def cut(self, a: int, b: int, both: bool) -> None:
        one, other = self.names[a % len(self.names)], self.names[b % len(self.names)]
        self.world.cut.add((one, other))
        if both:
            self.world.cut.add((other, one))

    @rule(pick=PICK)
    def isolate(self, pick: int) -> None:
        self.world.isolate(self.names[pick % len(self.names)])

    @rule()
    def mend(self) -> None:
        self.world.cut.clear()
        self.world.slow_disks.clear()
        self.world.slow_fetches.clear()
        self.world.etcd_away = False

    # -- disks ----------------------------------------------------------------------------------

    @rule(pick=PICK, count=st.integers(1, 5))
    def persist(self, pick: int, count: int) -> None:
        names = [n for n in self.world.live() if self.world.nodes[n].unsynced]
        if names:
            self.world.persist(names[pick % len(names)], count)

    @rule(pick=PICK)
    def apply(self, pick: int) -> None:
        names = [n for n in self.world.live() if self.world.nodes[n].unsynced]
        if names:
            self.world.apply(names[pick % len(names)])

    @rule(pick=PICK)
    def load(self, pick: int) -> None:
        names = [n for n in self.world.live() if self.world.nodes[n].loads]
        if names:
            self.world.load(names[pick % len(names)])

    @rule(pick=PICK)
    def make_snapshots(self, pick: int) -> None:
        names = [n for n in self.world.live() if self.world.nodes[n].making]
        if names:
            self.world.make_snapshots(names[pick % len(names)])

    @rule(pick=PICK, whole=st.booleans())
    def fetch(self, pick: int, whole: bool) -> None:
        names = [n for n in self.world.live() if self.world.nodes[n].fetch]
        if names:
            self.world.fetch(names[pick % len(names)], whole=whole)

    @rule(pick=PICK)
    def slow_fetch(self, pick: int) -> None:
        self.world.slow_fetches.add(self.names[pick % len(self.names)])

    @rule(pick=PICK)
    def slow_disk(self, pick: int) -> None:
        self.world.slow_disks.add(self.names[pick % len(self.names)])

    # -- processes ------------------------------------------------------------------------------

    @rule(pick=PICK, refuse=st.booleans())
    def crash(self, pick: int, refuse: bool) -> None:
        names = [n for n in self.names if self.world.nodes[n].replica is not None]
        if names:
            self.world.crash(names[pick % len(names)], refuse=refuse)

    @rule(pick=PICK)
    def restart(self, pick: int) -> None:
        names = [n for n in self.names if self.world.nodes[n].replica is None]
        if names:
            self.world.restart(names[pick % len(names)])

    @rule(pick=PICK)
    def lose_disk(self, pick: int) -> None:
        names = [n for n in self.names if self.world.nodes[n].replica is None]
        if names and pick % 5 == 0:
            self.world.lose_disk(names[pick % len(names)])

    @rule(pick=PICK)
    def pause(self, pick: int) -> None:
        live = self.world.live()
        if live:
            self.world.pause(live[pick % len(live)])

    @rule(pick=PICK)
    def wake(self, pick: int) -> None:
        self.world.wake(self.names[pick % len(self.names)])

    @rule(pick=PICK, of=PICK)
    def refused(self, pick: int, of: int) -> None:
        live = self.world.live()
        if live:
            name = self.names[of % len(self.names)]
            self.world.step(live[pick % len(live)], PeerRefused(name))

    @rule(pick=PICK)
    def hand_over(self, pick: int) -> None:
        serving = self.world.serving()
        if serving:
            self.world.step(serving[pick % len(serving)], HandoverAsked(""))

    # -- sites ----------------------------------------------------------------------------------

    def _standby(self) -> str:
        return self.world.registry.configuration.standby_site or ""

    @rule(site=st.sampled_from(["a", "b", ""]))
    def cut_site(self, site: str) -> None:
        """A whole site is cut off from the other, or from etcd, too."""
        inside = [n for n in self.names if n[0] == site]
        others = [n for n in self.names if n[0] != site]
        for one in inside:
            for other in others:
                self.world.cut |= {(one, other), (other, one)}

    @rule(site=st.sampled_from(["a", "b"]), refuse=st.booleans())
    def lose_site(self, site: str, refuse: bool) -> None:
        for name in self.names:
            if name[0] == site and self.world.nodes[name].replica is not None:
                self.world.crash(name, refuse=refuse)

    @rule(pick=PICK)
    def switch_site(self, pick: int) -> None:
        serving = self.world.serving()
        if serving:
            name = serving[pick % len(serving)]
            site = next((n[0] for n in self.names if n[0] != name[0]), "nowhere")
            self.world.step(name, SwitchAsked(site))

    @rule()
    def coordinator_plans(self) -> None:
        self.world.plan_switch(self._standby())

    @precondition(lambda self: self.world.outside)
    @rule(pick=PICK)
    def coordinator_switches(self, pick: int) -> None:
        self.world.switch(self.world.outside[pick % len(self.world.outside)])

    @rule(pick=PICK)
    def fence_all(self, pick: int) -> None:
        configuration = self.world.registry.configuration
        to = self._standby()
        if to and majority(len(configuration.in_sync[to])) < max(2, configuration.copies_min):
            self.promotions = [*self.promotions[-1:], self.world.begin_promotion(to)]

    @precondition(lambda self: self.promotions)
    @rule(pick=PICK)
    def promote(self, pick: int) -> None:
        promotion = self.promotions[pick % len(self.promotions)]
        if self.world.promote(promotion):
            self.promotions.clear()

    # -- etcd -----------------------------------------------------------------------------------

    @precondition(lambda self: self.world.requests)
    @rule(pick=PICK)
    def execute(self, pick: int) -> None:
        waiting = [r for r in self.world.requests if not r.executed]
        if waiting:
            self.world.execute(waiting[pick % len(waiting)])

    @precondition(lambda self: self.world.requests)
    @rule(pick=PICK, known=st.booleans())
    def answer(self, pick: int, known: bool) -> None:
        waiting = [
            r
            for r in self.world.requests
            if (r.executed or not known) and not self.world.nodes[r.node].paused
        ]
        if waiting:
            self.world.answer(waiting[pick % len(waiting)], known=known)

    @precondition(lambda self: self.world.requests)
    @rule(pick=PICK)
    def never_arrives(self, pick: int) -> None:
        waiting = [r for r in self.world.requests if not self.world.nodes[r.node].paused]
        if waiting:
            request = waiting[pick % len(waiting)]
            self.world.answer(request, known=False)
            if request in self.world.requests:
                self.world.requests.remove(request)

    @rule(pick=PICK, count=st.integers(1, 3))
    def watch(self, pick: int, count: int) -> None:
        live = self.world.live()
        if live:
            self.world.watch(live[pick % len(live)], count)

    @rule(pick=PICK)
    def expire(self, pick: int) -> None:
        self.world.expire(self.names[pick % len(self.names)])

    @rule()
    def etcd_away(self) -> None:
        self.world.etcd_away = True

    # -- at the end of each walk ----------------------------------------------------------------

    def teardown(self) -> None:
        world = self.world
        if not world.sound:
            return  # the step that broke it has said so
        for name, node in world.nodes.items():
            silent = [why for why in events(node, "silent") if "given up" not in why]
            assert not silent, f"{name}: {silent}"
            assert not events(node, "rolled-back"), f"{name}: {events(node, 'rolled-back')}"
        self._finish(world)

    def _finish(self, world: World) -> None:
        """6 liveness: once faults stop and a quorum is connected, a settlement succeeds."""
        world.heal()
        for name, node in world.nodes.items():
            given_up = node.id in world.registry.configuration.given_up
            if given_up:  # it comes back as another replica (X4)
                if node.replica is not None:
                    world.crash(name)
                world.lose_disk(name)
            if node.replica is None:
                world.restart(name)
            else:
                world.expire(name)
        if not self._quorum_of_disks():
            return
        world.run_until(lambda: any(world.replica(n).accepting for n in world.serving()), 60_000)
        name = next(n for n in world.serving() if world.replica(n).accepting)
        before = world.witness.last_committed
        world.propose(name)
        world.run_until(lambda: world.witness.last_committed > before, 10_000)

    def _quorum_of_disks(self) -> bool:
        """Do enough of the in-sync replicas still have their disks?"""
        configuration = self.world.registry.configuration
        ids = {node.id for node in self.world.nodes.values()}
        return all(
            len(members & ids) >= majority(len(members))
            for members in configuration.in_sync.values()
        )


class CautiousWalk(Walk):
    """The same with two copies at least."""

    copies_min = 2


class TwoSiteWalk(Walk):
    """Two replicas in the active site, two in the standby: every commit needs both sites."""

    sites: ClassVar[Mapping[str, Sequence[str]]] = {"a": ["a1", "a2"], "b": ["b1", "b2"]}


class RenewedWalk(Walk):
    """Three and three, two copies at least: the renewed design."""

    sites: ClassVar[Mapping[str, Sequence[str]]] = {
        "a": ["a1", "a2", "a3"],
        "b": ["b1", "b2", "b3"],
    }
    copies_min = 2


class SmallStandbyWalk(Walk):
    """Three and one: the standby can be lost with one disk."""

    sites: ClassVar[Mapping[str, Sequence[str]]] = {"a": ["a1", "a2", "a3"], "b": ["b1"]}


class LegacyWalk(Walk):
    """Two, and a standby that is fed in batches: promoted with loss, and switched back from."""

    sites: ClassVar[Mapping[str, Sequence[str]]] = {"a": ["a1", "a2"], "b": ["b1"]}
    batches: ClassVar[Mapping[str, int]] = {"b": 500}


TestWalk = Walk.TestCase
TestWalk.settings = WALK
TestCautiousWalk = CautiousWalk.TestCase
TestCautiousWalk.settings = WALK
TestTwoSiteWalk = TwoSiteWalk.TestCase
TestTwoSiteWalk.settings = WALK
TestRenewedWalk = RenewedWalk.TestCase
TestRenewedWalk.settings = WALK
TestSmallStandbyWalk = SmallStandbyWalk.TestCase
TestSmallStandbyWalk.settings = WALK
TestLegacyWalk = LegacyWalk.TestCase
TestLegacyWalk.settings = WALK
