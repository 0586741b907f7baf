"""A plan's namespaces and cables: laid, harmed and mended."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final

from deploy.lab.netns import namespaces
from deploy.lab.netns.delays import Delay, Means
from deploy.lab.netns.harm import State, Swallow
from deploy.lab.netns.namespaces import LOCAL_PRIORITY, Namespace
from deploy.lab.netns.nftables import Ignore, Lose, Rule
from deploy.lab.netns.plan import ROOM, Plan
from deploy.lab.netns.rtnetlink import LOOPBACK, MAIN_TABLE
from deploy.lab.netns.ways import Link, Route

_SWALLOW_PRIORITY: Final = 10  # before the rule by which packets for ourselves are ours
_CROSSED_PRIORITY: Final = LOCAL_PRIORITY + 10
_CROSSED_TABLE: Final = 10


class Wires:
    """What `plan` says, made of namespaces and cables. `spaces` has the namespace of each host
    while it stands. Methods raise `OSError`."""

    def __init__(self, plan: Plan) -> None:
        self.spaces: dict[str, Namespace] = {}
        self._plan = plan
        self._state = State()
        self._delays: dict[Link, Delay] = {}
        self._rules: dict[str, list[Rule]] = {}
        self._routes = {
            link: [route for route in plan.routes if route.link == link] for link in plan.links
        }

    def lay(self, stack: ExitStack) -> None:
        """Build all of it; `stack` takes it away."""
        stack.callback(self._forget)
        for host in self._plan.hosts.values():
            own = host.name == ROOM
            space = namespaces.own() if own else namespaces.make(forwards=host.forwards)
            stack.callback(space.close)
            self.spaces[host.name] = space
            for address in self._addresses(host.name):
                space.ask.add_address(LOOPBACK, address)
            if own:
                stack.callback(space.ask.delete_address, LOOPBACK, host.address)
        for link in self._plan.links:
            one, other = link.ends
            near, far = self.spaces[one], self.spaces[other]
            here, there = ((link.interface(end), _mac(link, end)) for end in link.ends)
            near.ask.add_cable(link.label, here, there, far.file)
            if one == ROOM:  # ours stays, and is left as it was; the others go with theirs
                stack.callback(_take_away, near, link.interface(one))
            self._connect(link)
        for route in self._plan.routes:
            if route.link is None:
                ask = self.spaces[route.host].ask
                ask.set_no_route((route.to, route.length), route.metric, _table(route))
        for switches in self._plan.switches.values():
            self._keep_from_circling(switches)
        stack.callback(self.settle, State())

    def settle(self, wanted: State) -> None:
        """Have exactly this wrong. New harm is done before the old is mended: nothing slips
        through in between."""
        before = self._state
        # Whatever comes of it, mending goes through all that may be harmed by now.
        self._state = State(before.down | wanted.down, before.swallowing | wanted.swallowing)
        self._stop_delays(wanted)
        for link in wanted.down - before.down:
            self._unplug(link)
        for hole in wanted.swallowing - before.swallowing:
            self._swallow(hole, True)
        self._start_delays(wanted)
        self._filter(wanted)
        for hole in self._state.swallowing - wanted.swallowing:
            self._swallow(hole, False)
        for link in self._state.down - wanted.down:
            self._connect(link)
        self._state = wanted

    def means(self, link: Link) -> Means:
        """By what a slow link is slow. Raises `KeyError` for one that is not."""
        return self._delays[link].means

    # How

    def _unplug(self, link: Link) -> None:
        """Switch both ends off: each would see by itself that the other one is gone, but a little
        later, and here it is to be so when we return."""
        for end in link.ends:
            self.spaces[end].ask.set_up(link.interface(end), False)

    def _connect(self, link: Link) -> None:
        """Switch both ends on; their neighbours and routes are gone whenever they were off."""
        for end in link.ends:
            self.spaces[end].ask.set_up(link.interface(end), True)
        for end in link.ends:
            ask, far = self.spaces[end].ask, self._plan.hosts[link.far(end)]
            ask.set_neighbour(link.interface(end), far.address, _mac(link, far.name))
        for route in self._routes[link]:
            ask, via = self.spaces[route.host].ask, link.far(route.host)
            ask.set_route(
                (route.to, route.length),
                route.metric,
                _table(route),
                link.interface(route.host),
                self._plan.hosts[via].address,
                route.source or self._plan.hosts[route.host].address,
            )

    def _keep_from_circling(self, switches: Sequence[str]) -> None:
        """What one switch sends to another one is not sent back."""
        for here, there in itertools.permutations(switches, 2):
            label = self._plan.link(f"{here}-{there}").label
            self.spaces[here].ask.add_only_table(_CROSSED_PRIORITY, label, _CROSSED_TABLE)

    def _swallow(self, hole: Swallow, present: bool) -> None:
        # One that an attempt which failed has left, or has not come to, is as good.
        with suppress(FileExistsError, FileNotFoundError):
            self.spaces[hole.host].ask.set_black_hole(
                _SWALLOW_PRIORITY, hole.link.label, present=present
            )

    def _stop_delays(self, wanted: State) -> None:
        gone = [
            delay for link, delay in self._delays.items() if wanted.slow.get(link) != delay.wait_ms
        ]
        for delay in gone:
            del self._delays[delay.link]
        if gone:
            self._filter(wanted)
        for delay in gone:
            delay.stop()

    def _start_delays(self, wanted: State) -> None:
        for link, wait_ms in wanted.slow.items():
            if link not in self._delays:
                delay = Delay(link, wait_ms, self.spaces.__getitem__)
                delay.start()
                self._delays[link] = delay

    def _filter(self, wanted: State) -> None:
        """Who is not heard, losses, and the queues of the delays that are there now."""
        for host, space in self.spaces.items():
            silenced = [each.speaker for each in wanted.unheard if each.listener == host]
            rules: list[Rule] = [
                Ignore(address) for name in sorted(silenced) for address in self._addresses(name)
            ]
            rules += [
                Lose(share, link.interface(host) if link else 0)
                for (where, link), share in wanted.losing.items()
                if where == host
            ]
            for delay in self._delays.values():
                rules += delay.queues(host)
            if rules == self._rules.get(host, []):
                continue
            if space.filter is None:
                raise OSError("this kernel has no nf_tables: packets can be neither lost nor held")
            space.filter.set_rules(rules)
            self._rules[host] = rules

    def _addresses(self, host: str) -> tuple[str, ...]:
        found = self._plan.hosts[host]
        return (found.address, *found.pinned)

    def _forget(self) -> None:
        self.spaces.clear()
        self._rules.clear()


def _table(route: Route) -> int:
    return _CROSSED_TABLE if route.crossed else MAIN_TABLE


def _take_away(space: Namespace, interface: int) -> None:
    with suppress(OSError):  # already gone with the host at its other end
        space.ask.delete_cable(interface)


def _mac(link: Link, end: str) -> bytes:
    """An address that no vendor gives out, unique in the network."""
    return b"\x02\x4b\x00\x00" + link.interface(end).to_bytes(2, "big")
