"""A topology's network: built, harmed and mended while programs run in it.

A cut link is a `black-hole` by default: what is sent over it vanishes without a word, both ways, as
with a host that has lost its power. `unreachable` takes the link down: its ends see that, and take
another way if they have one; if not, they say at once that there is none (to a sender who goes on
asking, once a second: Linux limits it). Connections live through a cut that is shorter than their
patience.
"""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Literal

from deploy.lab.netns.delays import Means
from deploy.lab.netns.enter import inside
from deploy.lab.netns.harm import Down, Harm, LosePart, Slow, State, Swallow, Unheard, together
from deploy.lab.netns.plan import ROOM, PlanError, plan
from deploy.lab.netns.ways import Link
from deploy.lab.netns.wires import Wires
from deploy.topology import Topology

Flavour = Literal["black-hole", "unreachable"]
Way = Literal["both", "to", "from"]


class NetworkError(RuntimeError):
    """The network cannot be built or changed; the message says what was tried and what helps."""


class Network:
    """The network of `topology`, as a context: it stands between enter and exit.

    Only inside of the private ground (`enter.enter`), and one at a time: the process that builds it
    is its room. Usable from any thread. Names that are not in the network raise `PlanError`; what
    this kernel cannot do raises `NetworkError`. Every fault lasts until its opposite or `heal`; one
    that is asked for again is the same one, as it is asked for now.
    """

    def __init__(self, topology: Topology) -> None:
        self.plan = plan(topology)
        self._wires = Wires(self.plan)
        self._faults: dict[str, tuple[Harm, ...]] = {}
        self._lock = threading.Lock()
        self._stack = ExitStack()

    @property
    def topology(self) -> Topology:
        """The topology with this network's addresses: start the cluster from this one."""
        return self.plan.topology

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong now, in words, the oldest first."""
        with self._lock:
            return tuple(self._faults)

    @property
    def cuts(self) -> Mapping[str, Flavour]:
        """The links over which nothing passes now, either way, and how they are cut."""
        with self._lock:
            now = self._state()
        found: dict[str, Flavour] = {}
        for link in self.plan.links:
            if link in now.down:
                found[link.name] = "unreachable"
            elif now.swallowing.issuperset(_swallowed(link)):
                found[link.name] = "black-hole"
        return found

    def __enter__(self) -> Network:
        if not inside():
            raise NetworkError(
                "a network is built only on a private ground, not on the machine itself: "
                "call deploy.lab.netns.enter.enter() first"
            )
        with ExitStack() as stack:
            stack.callback(self._faults.clear)
            try:
                self._wires.lay(stack)
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
        nsenter, spaces = shutil.which("nsenter"), self._wires.spaces
        if nsenter is None or host not in spaces:
            raise NetworkError(f"nothing runs on {host}: no nsenter on PATH, or no network built")
        return [nsenter, f"--net={spaces[host].path()}", "--", *command]

    def address(self, host: str, switch: int = 0) -> str:
        """The address of a host; with a number, the one that is reached over the switches of that
        number alone, and from a site's hosts only by them."""
        if switch:
            self.plan.port(host, switch)
            return self.plan.host(host).pinned[switch - 1]
        return self.plan.host(host).address

    # Links

    def between(self, place: str, other: str) -> str:
        """The name of the link from one place to another, `terminals` being one too."""
        name = f"{self.plan.router(place)}-{self.plan.router(other)}"
        self.plan.link(name)
        return name

    def cut(self, link: str, flavour: Flavour = "black-hole") -> None:
        """Cut a link, such as `ra-rb` between the sites or `a1-sa1` to one, until `restore`."""
        found = self.plan.link(link)
        self._do(f"{found.name} cut", *_cut(found, flavour))

    def restore(self, link: str) -> None:
        """Undo `cut`; a link that is harmed by another fault too stays so until that is over."""
        self._undo(f"{self.plan.link(link).name} cut")

    def one_way(self, link: str) -> None:
        """Let vanish what goes from the first to the second of a link's hosts, as they are named
        here (`rb-ra` is the other direction of `ra-rb`), until `both_ways` of the same name."""
        found, end = self._second(link)
        self._do(_nothing(found.far(end), end), Swallow(found, end))

    def both_ways(self, link: str) -> None:
        """Undo `one_way`."""
        found, end = self._second(link)
        self._undo(_nothing(found.far(end), end))

    def lossy_link(self, link: str, share: float) -> None:
        """Let a `share` (0 to 1) of what goes over a link vanish, each way, until
        `lossless_link`."""
        found = self.plan.link(link)
        _check_share(share)
        self._do(f"{found.name} loses packets", *(LosePart(e, found, share) for e in found.ends))

    def lossless_link(self, link: str) -> None:
        """Undo `lossy_link`."""
        self._undo(f"{self.plan.link(link).name} loses packets")

    def delay(self, link: str, milliseconds: float) -> Means:
        """Let packets take that much longer over a link, each way, until `no_delay`. Returns what
        makes them wait."""
        found = self.plan.link(link)
        if not (milliseconds > 0 and math.isfinite(milliseconds)):
            raise ValueError(f"expected more than 0 milliseconds, not {milliseconds}")
        self._do(f"{found.name} slow", Slow(found, milliseconds))
        return self._wires.means(found)

    def no_delay(self, link: str) -> None:
        """Undo `delay`."""
        self._undo(f"{self.plan.link(link).name} slow")

    # Hosts

    def keep_apart(self, host: str, others: Sequence[str], way: Way = "both") -> None:
        """Let vanish, without a word, what `host` sends to any of `others` ("to"), what they send
        to it ("from"), or both, whichever way it takes, until `reunite` with the same words."""
        words, harms = self._apart(host, others, way)
        self._do(words, *harms)

    def reunite(self, host: str, others: Sequence[str], way: Way = "both") -> None:
        """Undo `keep_apart`."""
        self._undo(self._apart(host, others, way)[0])

    # Switches

    def switch_down(self, site: str, number: int) -> None:
        """Take the power from one of a site's switches (they count from 1): all its links are
        down, until `switch_up`."""
        name = self.plan.switch(site, number)
        self._do(f"{name} down", *map(Down, self.plan.at(name)))

    def switch_up(self, site: str, number: int) -> None:
        """Undo `switch_down`."""
        self._undo(f"{self.plan.switch(site, number)} down")

    def port_down(self, host: str, number: int) -> None:
        """Take the link between a host and its site's switch of that number down, until
        `port_up`."""
        link = self.plan.port(host, number)
        self._do(f"port {link.name} down", Down(link))

    def port_up(self, host: str, number: int) -> None:
        """Undo `port_down`."""
        self._undo(f"port {self.plan.port(host, number).name} down")

    def lossy(self, site: str, number: int, share: float) -> None:
        """Let a switch lose a `share` (0 to 1) of the packets that come to it, until `lossless`.
        Its links stay up, so nothing takes another way."""
        name = self.plan.switch(site, number)
        _check_share(share)
        self._do(f"{name} loses packets", LosePart(name, None, share))

    def lossless(self, site: str, number: int) -> None:
        """Undo `lossy`."""
        self._undo(f"{self.plan.switch(site, number)} loses packets")

    # Places

    def isolate(self, site: str, flavour: Flavour = "black-hole") -> None:
        """Cut a place off from everything but the room, until `rejoin`. Inside, all goes on."""
        links = self.plan.outward(site)
        self._do(f"{site} isolated", *(harm for link in links for harm in _cut(link, flavour)))

    def rejoin(self, site: str) -> None:
        """Undo `isolate`."""
        self.plan.router(site)
        self._undo(f"{site} isolated")

    def heal(self) -> None:
        """Undo every fault."""
        with self._lock:
            self._settle({})

    # How

    def _second(self, link: str) -> tuple[Link, str]:
        """A link, and that of its hosts which its name, as given, has last."""
        found = self.plan.link(link)
        return found, found.ends[1] if link == found.name else found.ends[0]

    def _apart(self, host: str, others: Sequence[str], way: Way) -> tuple[str, list[Harm]]:
        """What `keep_apart` does, in words and as data."""
        for name in (host, *others):
            if name == ROOM or self.plan.host(name).forwards:
                raise PlanError(f"{name} is neither of the cluster nor of the terminals")
        group = ", ".join(others)
        harms: list[Harm] = []
        if way != "from":
            harms += [Unheard(host, other) for other in others]
        if way != "to":
            harms += [Unheard(other, host) for other in others]
        words = {"both": f"{host} and {group} apart", "to": _nothing(host, group)}
        return words.get(way, _nothing(group, host)), harms

    def _state(self) -> State:
        return together(harm for harms in self._faults.values() for harm in harms)

    def _do(self, words: str, *harms: Harm) -> None:
        with self._lock:
            self._settle({**self._faults, words: harms})

    def _undo(self, words: str) -> None:
        with self._lock:
            self._settle({key: found for key, found in self._faults.items() if key != words})

    def _settle(self, faults: dict[str, tuple[Harm, ...]]) -> None:
        """Make these all that is wrong, or leave it as it was and raise `NetworkError`."""
        if not self._wires.spaces:
            raise NetworkError("nothing can be cut or restored: the network is not built")
        before, self._faults = self._faults, faults
        try:
            self._wires.settle(self._state())
        except OSError as problem:
            self._faults = before
            with suppress(OSError):
                self._wires.settle(self._state())
            new = ", ".join(key for key in faults if key not in before) or "mending"
            raise NetworkError(f"{new}: {problem}") from problem


def _cut(link: Link, flavour: Flavour) -> tuple[Harm, ...]:
    return (Down(link),) if flavour == "unreachable" else _swallowed(link)


def _swallowed(link: Link) -> tuple[Swallow, ...]:
    return tuple(Swallow(link, end) for end in link.ends)


def _nothing(sender: str, receiver: str) -> str:
    return f"nothing from {sender} to {receiver}"


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"expected a share of more than 0 and at most 1, not {share}")
