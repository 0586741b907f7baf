"""What troubles do to a world, and what ends each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from loadtest.sim.happening import Happened, Kind
from loadtest.sim.weather.casting import Cast
from loadtest.sim.weather.troubles import Trouble, What

if TYPE_CHECKING:
    from loadtest.sim.node import SimNode
    from loadtest.sim.people.places import SimWatch
    from loadtest.sim.world import World

Heal = Callable[[], None]
Links = set[tuple[str, str]]

_ETCD: Final = "etcd"
_LOOK_MS: Final = 200.0
"""How often somebody looks whether a process that was asked to stop has ended."""


def nothing() -> None:
    """What ends a trouble that ends by itself."""


class Blows:
    """All that can be done to `world`. A link is whole, and etcd back, when nobody holds it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cuts: Counter[tuple[str, str]] = Counter()
        self._aways = 0

    def strike(self, trouble: Trouble, victims: Cast, partner: str = "") -> Heal:
        """Do it to `victims`, and return what ends it. `partner`: the other one of the cue."""
        world, names = self._world, victims.names
        match trouble.what:
            case What.ETCD_AWAY:
                return self._send_etcd_away()
            case What.UNHEARD:
                return self._silence_etcd()
            case What.HANDOVER:
                world.desk.handover()
            case What.SWITCH:
                world.desk.switch(victims.site)
            case What.PROMOTE:
                world.desk.promote(victims.site)
            case What.COMPACT:
                world.etcd.compact()
            case What.SWITCH_OFF:
                return self._switch_off(names)
            case What.LOSSY | What.LAGGING | What.REPEATING:
                return self._worsen(trouble, names)
            case What.CRASH | What.PAUSE | What.STOP | What.POWER:
                return _all(self._process(trouble, name, i) for i, name in enumerate(names))
            case _:
                links = self.links(trouble.what, victims, partner)
                if links:
                    return self._cut(links, f"{' '.join(names)} {trouble.what}")
                known = [world.nodes[name] for name in names if name in world.nodes]
                return _all(self._node(trouble, node) for node in known)
        return nothing

    # -- processes -------------------------------------------------------------------------------

    def _process(self, trouble: Trouble, name: str, number: int) -> Heal:
        host = self._host(name)
        match trouble.what:
            case What.PAUSE:
                host.pause()
                return host.wake
            case What.STOP if name in self._world.nodes:
                return self._stop(self._world.nodes[name])
            case _:
                host.crash()
                # After a loss of power the machines come up one after another.
                return self._later(number * trouble.much, host.start)

    def _host(self, name: str) -> SimNode | SimWatch:
        node = self._world.nodes.get(name)
        if node is not None:
            return node
        return next(watch for watch in self._world.watches.values() if watch.name == name)

    def _stop(self, node: SimNode) -> Heal:
        life = node.life
        node.stop()

        def start() -> None:
            if node.up and node.life == life:
                self._world.timeline.after(_LOOK_MS, start, f"{node.name} leaves still")
            else:
                node.start()

        return start

    def _later(self, ms: float, run: Heal) -> Heal:
        def wait() -> None:
            self._world.timeline.after(ms, run, "its turn has come")

        return wait if ms else run

    def _switch_off(self, names: Iterable[str]) -> Heal:
        off = [terminal for terminal in self._world.terminals if terminal.name in names]
        for terminal in off:
            terminal.switch_off()
        return _all(terminal.switch_on for terminal in off)

    # -- one node --------------------------------------------------------------------------------

    def _node(self, trouble: Trouble, node: SimNode) -> Heal:
        """What befalls a node's disk, lease or clock."""
        disk = node.disk
        match trouble.what:
            case What.LOSE_DISK:
                node.lose_disk()
                return node.start
            case What.LIE:
                disk.lie()
                return lambda: self._forget(node)
            case What.DISK_ERROR:
                disk.fail()
            case What.DISK_FULL:
                disk.fill(True)
                return lambda: disk.fill(False)
            case What.DISK_SLOW:
                disk.slow(trouble.much)
                return lambda: disk.slow(0.0)
            case What.UNREADABLE:
                disk.unreadable()
            case What.LEASE_ENDS:
                self._world.etcd.expire(node.name)
            case What.CLOCK_JUMP:
                return self._set_clock(node, trouble.much)
            case What.CLOCK_DRIFT:
                return self._let_drift(node, 1.0 + trouble.much)
        return nothing

    def _forget(self, node: SimNode) -> None:
        """The power fails, and what the disk only said it had is gone."""
        node.crash("its disk lied")
        node.start()

    def _set_clock(self, node: SimNode, by_ms: float) -> Heal:
        def turn(ms: float) -> None:
            node.clock_error_ms += ms
            self._tell_clock(node, f"wall clock set by {ms:+.0f} ms")

        turn(by_ms)
        return lambda: turn(-by_ms)

    def _let_drift(self, node: SimNode, rate: float) -> Heal:
        node.clock_rate = rate
        self._tell_clock(node, f"{rate:g} seconds a second from its next start on")
        node.crash()
        node.start()

        def right() -> None:
            node.clock_rate = 1.0

        return right

    def _tell_clock(self, node: SimNode, detail: str) -> None:
        self._world.tell(Happened(self._world.timeline.now, Kind.CLOCK, node.name, detail))

    # -- links -----------------------------------------------------------------------------------

    def links(self, what: What, victims: Cast, partner: str = "") -> Links:
        """Which links such a trouble cuts; none if it is not about links."""
        world, between = self._world, self._world.network.between
        mine = victims.names
        nodes = [name for name in world.nodes if name not in mine]
        outside = [watch.name for watch in world.watches.values()]
        outside += [terminal.name for terminal in world.terminals]
        match what:
            case What.DEAF:
                return between(nodes, mine)
            case What.DUMB:
                return between(mine, nodes)
            case What.CUT_OFF | What.CUT_SITES:
                return between(mine, nodes) | between(nodes, mine)
            case What.CUT_PARTNER:
                return between(mine, [partner] if partner in world.nodes else nodes[:1])
            case What.CUT_ETCD:
                return between(mine, [_ETCD]) | between([_ETCD], mine)
            case What.DEAF_TO_ETCD:
                return between([_ETCD], mine)
            case What.CUT_TERMINALS:
                # Coordinators stand where terminals do: they see what these see.
                return between(mine, outside) | between(outside, mine)
            case What.ISOLATE:
                inside = {*mine, *self._coordinator_of(victims.site)}
                others = [name for name in world.network.hosts if name not in inside]
                return between(inside, others) | between(others, inside)
            case _:
                return set()

    def _coordinator_of(self, site: str) -> list[str]:
        watch = self._world.watches.get(site)
        return [] if watch is None else [watch.name]

    def _cut(self, links: Links, why: str) -> Heal:
        self._cuts.update(links)
        self._world.network.swallow(links, why)

        def mend() -> None:
            self._cuts.subtract(links)
            self._world.network.mend([each for each in links if self._cuts[each] <= 0], why)

        return mend

    def _worsen(self, trouble: Trouble, names: tuple[str, ...]) -> Heal:
        """Messages are lost and repeated between nodes only: etcd's and the terminals' connections
        see to that themselves. Slow is slow for everybody."""
        network, much = self._world.network, trouble.much
        slow = trouble.what is What.LAGGING
        others = network.hosts if slow else self._world.nodes
        links = network.between(names, others) | network.between(others, names)
        if slow:
            network.worsen(links, least_ms=much / 2, most_ms=much, late_ms=3 * much)
        elif trouble.what is What.LOSSY:
            network.worsen(links, loss=much)
        else:
            network.worsen(links, repeat=much)

        def recover() -> None:
            for link in links:
                network.special.pop(link, None)

        return recover

    # -- etcd ------------------------------------------------------------------------------------

    def _send_etcd_away(self) -> Heal:
        self._aways += 1
        self._world.etcd.away()

        def back() -> None:
            self._aways -= 1
            if not self._aways:
                self._world.etcd.back()

        return back

    def _silence_etcd(self) -> Heal:
        """Requests take effect, watches go on, and no answer arrives."""
        self._lose_answers(1.0)
        return lambda: self._lose_answers(self._world.setup.etcd.answer_lost)

    def _lose_answers(self, share: float) -> None:
        etcd = self._world.etcd
        etcd.manners = replace(etcd.manners, answer_lost=share)


def _all(heals: Iterable[Heal]) -> Heal:
    """All of them, in order; what they do to begin with is done now."""
    found = list(heals)

    def heal() -> None:
        for each in found:
            each()

    return heal
