"""A topology's network: built, cut and restored while programs run in it.

A cut link is a `black-hole` by default: what is sent over it vanishes without a word, both ways, as
with a host that has lost its power. `unreachable` takes the link down: its routers say at once that
there is no way (to a sender who goes on asking, once a second: Linux limits it). Connections live
through a cut that is shorter than their patience.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Final, Literal

from deploy.lab.netns import namespaces
from deploy.lab.netns.enter import inside
from deploy.lab.netns.namespaces import Namespace
from deploy.lab.netns.plan import ROOM, TERMINALS, Link, plan
from deploy.lab.netns.rtnetlink import LOOPBACK
from deploy.topology import Topology

Flavour = Literal["black-hole", "unreachable"]

_CUT_PRIORITY: Final = 10  # before the rule by which packets for ourselves are ours


class NetworkError(RuntimeError):
    """The network cannot be built or changed; the message says what was tried and what helps."""


class Network:
    """The network of `topology`, as a context: it stands between enter and exit.

    Only inside of the private ground (`enter.enter`), and one at a time: the process that builds it
    is its room. Usable from any thread. Names that are not in the network raise `PlanError`.
    """

    def __init__(self, topology: Topology) -> None:
        self.plan = plan(topology)
        self._spaces: dict[str, Namespace] = {}
        self._reasons: dict[Link, dict[str, Flavour]] = {link: {} for link in self.plan.links}
        self._lock = threading.Lock()
        self._stack = ExitStack()

    @property
    def topology(self) -> Topology:
        """The topology with this network's addresses: start the cluster from this one."""
        return self.plan.topology

    @property
    def cuts(self) -> Mapping[str, Flavour]:
        """The links that are cut now, and how."""
        with self._lock:
            now = {link.name: _flavour(reasons) for link, reasons in self._reasons.items()}
        return {name: flavour for name, flavour in now.items() if flavour is not None}

    def __enter__(self) -> Network:
        if not inside():
            raise NetworkError(
                "a network is built only on a private ground, not on the machine itself: "
                "call deploy.lab.netns.enter.enter() first"
            )
        with ExitStack() as stack:
            try:
                self._build(stack)
            except OSError as problem:
                raise NetworkError(f"the network cannot be built: {problem}") from problem
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def launcher(self, host: str, command: Sequence[str]) -> Sequence[str]:
        """The command that runs `command` on `host`, in the same process (it execs). Hosts are
        the topology's nodes, etcd members and coordinators, and `terminals`. Needs us alive."""
        if self.plan.host(host).name == ROOM:
            return list(command)
        nsenter = shutil.which("nsenter")
        if nsenter is None or host not in self._spaces:
            raise NetworkError(f"nothing runs on {host}: no nsenter on PATH, or no network built")
        return [nsenter, f"--net={self._spaces[host].path()}", "--", *command]

    def address(self, host: str) -> str:
        """The address of a host."""
        return self.plan.host(host).address

    def cut(self, link: str, flavour: Flavour = "black-hole") -> None:
        """Cut a link, such as `ra-rb` between the sites or `a1-ra` to one host, until `restore`."""
        self._mark([self.plan.link(link)], "cut", flavour)

    def restore(self, link: str) -> None:
        """Undo `cut`; a link that is cut for another reason too stays cut until that is over."""
        self._mark([self.plan.link(link)], "cut", None)

    def isolate(self, site: str, flavour: Flavour = "black-hole") -> None:
        """Cut a place off from everything but the room, until `rejoin`. Inside, all goes on."""
        self._mark(self.plan.outward(site), f"isolate {site}", flavour)

    def rejoin(self, site: str) -> None:
        """Undo `isolate`."""
        self._mark(self.plan.outward(site), f"isolate {site}", None)

    def cut_terminals(self, site: str, flavour: Flavour = "black-hole") -> None:
        """Cut the link between a site and the terminals, until `restore_terminals`."""
        self.cut(self._to_terminals(site), flavour)

    def restore_terminals(self, site: str) -> None:
        """Undo `cut_terminals`."""
        self.restore(self._to_terminals(site))

    def heal(self) -> None:
        """Undo every cut and isolation."""
        with self._lock:
            for link, reasons in self._reasons.items():
                self._change(link, dict.fromkeys(reasons))

    def _to_terminals(self, site: str) -> str:
        return f"{self.plan.router(site)}-{self.plan.router(TERMINALS)}"

    def _mark(self, links: Sequence[Link], reason: str, flavour: Flavour | None) -> None:
        with self._lock:
            for link in links:
                self._change(link, {reason: flavour})

    def _change(self, link: Link, changes: Mapping[str, Flavour | None]) -> None:
        """Note who wants the link cut, or no longer, and do what follows from all of them."""
        if not self._spaces:
            raise NetworkError(f"{link.name} cannot be cut or restored: the network is not built")
        reasons = self._reasons[link]
        before = _flavour(reasons)
        for reason, flavour in changes.items():
            if flavour is None:
                reasons.pop(reason, None)
            else:
                reasons[reason] = flavour
        after = _flavour(reasons)
        if after == before:
            return
        try:
            # The new cut before the old one ends: nothing slips through in between.
            for flavour, present in ((after, True), (before, False)):
                if flavour == "black-hole":
                    self._black_hole(link, present)
                elif flavour == "unreachable":
                    self._unreachable(link, present)
        except OSError as problem:
            raise NetworkError(f"{link.name}: {problem}") from problem

    def _black_hole(self, link: Link, present: bool) -> None:
        for end in link.ends:
            self._spaces[end].ask.set_black_hole(_CUT_PRIORITY, link.number, present=present)

    def _unreachable(self, link: Link, present: bool) -> None:
        for end in link.ends:
            self._spaces[end].ask.set_up(link.number, not present)
        if not present:
            self._route(link)

    # Building

    def _build(self, stack: ExitStack) -> None:
        stack.callback(self._forget)
        for host in self.plan.hosts.values():
            own = host.name == ROOM
            space = namespaces.own() if own else namespaces.make(forwards=host.forwards)
            stack.callback(space.close)
            self._spaces[host.name] = space
            space.ask.add_address(LOOPBACK, host.address)
            if own:
                stack.callback(space.ask.delete_address, LOOPBACK, host.address)
        for link in self.plan.links:
            near, far = (self._spaces[end] for end in link.ends)
            near.ask.add_cable(link.number, _mac(link, 0), _mac(link, 1), far.file)
            if ROOM in link.ends:  # ours stays, and is left as it was; the others go with theirs
                stack.callback(_take_away, near, link)
            for space in (near, far):
                space.ask.set_up(link.number, True)
            self._route(link)

    def _route(self, link: Link) -> None:
        """Neighbours and routes of a link that has just come up."""
        for number, end in enumerate(link.ends):
            ask = self._spaces[end].ask
            other = self.plan.host(link.far(end)).address
            ask.set_neighbour(link.number, other, _mac(link, 1 - number))
            for route in self.plan.routes:
                if route.link == link and route.host == end:
                    own = self.plan.host(end).address
                    ask.set_route(route.to, route.length, link.number, other, own)

    def _forget(self) -> None:
        with self._lock:
            self._spaces.clear()
            for reasons in self._reasons.values():
                reasons.clear()


def _flavour(reasons: Mapping[str, Flavour]) -> Flavour | None:
    """How a link is cut: a link that is down for anybody is down for all."""
    if not reasons:
        return None
    return "unreachable" if "unreachable" in reasons.values() else "black-hole"


def _take_away(space: Namespace, link: Link) -> None:
    with suppress(OSError):  # already gone with the host at its other end
        space.ask.delete_cable(link.number)


def _mac(link: Link, end: int) -> bytes:
    """An address that no vendor gives out, unique in the network."""
    return b"\x02\x4b\x00" + bytes([end]) + link.number.to_bytes(2, "big")
