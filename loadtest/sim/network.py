"""The wires: every message between two hosts, and what may become of it.

A host is a node, a terminal, a coordinator, an operator, or etcd. A link is one direction from one
host to another; each may lose, delay, repeat and reorder what it carries, or swallow everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from loadtest.sim.happening import Happened, Kind, Listener
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.timeline import Dice, Timeline


class Host(Protocol):
    """Somebody with an address. `loop` is None while its process does not run."""

    name: str
    site: str
    loop: VirtualLoop | None


@dataclass(frozen=True, slots=True)
class Manners:
    """How a link treats what it carries: shares are of 1, times in milliseconds.

    A delay is drawn between `least_ms` and `most_ms`, now and then (`late`) up to `late_ms`:
    whatever was sent afterwards may come first.
    """

    least_ms: float = 0.2
    most_ms: float = 2.0
    late: float = 0.01
    late_ms: float = 60.0
    loss: float = 0.0
    repeat: float = 0.0


HELD: Final = 0.2
"""The share of the messages sent over a cut link that its sender's machine keeps, and delivers once
the link is mended, as TCP does; the rest goes with a connection that was given up."""

_HELD_MOST: Final = 12


@dataclass(slots=True)
class Network:
    """All links. `manners` is for those not named in `special`, `cut` are those that swallow, and
    `held` is what they will carry once they are mended."""

    timeline: Timeline
    dice: Dice
    tell: Listener
    manners: Manners
    hosts: dict[str, Host] = field(default_factory=dict)
    cut: set[tuple[str, str]] = field(default_factory=set)
    special: dict[tuple[str, str], Manners] = field(default_factory=dict)
    held: dict[tuple[str, str], list[tuple[Callable[[], None], str]]] = field(default_factory=dict)

    def attach(self, host: Host) -> None:
        """Give a host its address, which is its name."""
        self.hosts[host.name] = host

    def send(
        self,
        source: str,
        target: str,
        receive: Callable[[], None],
        what: str,
        *,
        stream: bool = False,
        refused: Callable[[], None] | None = None,
    ) -> None:
        """Carry something: `receive` is called as the target's process, if it arrives.

        `stream`: a call over a connection of its own, which is never repeated. `refused` is called
        as the source's process when the target's host is reached and no process listens there.
        """
        link = (source, target)
        draw = self.dice.of(f"link {source}>{target}")
        manners = self.special.get(link, self.manners)
        # Drawn in any case, so that a cut link changes nothing of what comes after it is mended.
        lost, late, repeated = draw.random(), draw.random(), draw.random()
        delay = self._delay(draw.random(), late, manners)
        label = f"{source}>{target} {what}"
        arrive = self._arrival(source, target, receive, refused)
        if link in self.cut:
            if not stream and late < HELD and len(self.held.setdefault(link, [])) < _HELD_MOST:
                self.held[link].append((arrive, label))
            return
        if lost < manners.loss:
            self.tell(Happened(self.timeline.now, Kind.LOST, f"{source}>{target}", what))
            return
        self.timeline.after(delay, arrive, label)
        if not stream and repeated < manners.repeat:
            again = self._delay(draw.random(), late, manners)
            self.tell(Happened(self.timeline.now, Kind.REPEATED, f"{source}>{target}", what))
            self.timeline.after(delay + again, arrive, f"{label} again")

    def _arrival(
        self,
        source: str,
        target: str,
        receive: Callable[[], None],
        refused: Callable[[], None] | None,
    ) -> Callable[[], None]:
        asking = self.hosts[source].loop

        def arrive() -> None:
            if (source, target) in self.cut:
                return  # it was on its way when the link went
            loop = self.hosts[target].loop
            if loop is not None:
                loop.enter(receive)
            elif refused is not None and (target, source) not in self.cut:
                self.timeline.after(self.manners.least_ms, back, f"{target} refuses {source}")

        def back() -> None:
            sender = self.hosts[source].loop
            if sender is not asking or sender is None or refused is None:
                return  # whoever asked is gone: its next life has another connection
            if self.hosts[target].loop is None:
                sender.enter(refused)

        return arrive

    @staticmethod
    def _delay(share: float, late: float, manners: Manners) -> float:
        most = manners.late_ms if late < manners.late else manners.most_ms
        return manners.least_ms + share * (most - manners.least_ms)

    # -- what may happen to links ----------------------------------------------------------------

    def between(self, some: Iterable[str], others: Iterable[str]) -> set[tuple[str, str]]:
        """Every link from `some` to `others`, in that direction."""
        others = list(others)
        return {(one, other) for one in some for other in others if one != other}

    def swallow(self, links: Iterable[tuple[str, str]], why: str) -> None:
        """These links carry nothing any more."""
        self.cut.update(links)
        self.tell(Happened(self.timeline.now, Kind.CUT, why))

    def mend(self, links: Iterable[tuple[str, str]] | None = None, why: str = "all") -> None:
        """These links, or all, carry again."""
        mended = sorted(self.cut if links is None else self.cut.intersection(links))
        self.cut.difference_update(mended)
        for link in mended:
            for arrive, label in self.held.pop(link, ()):
                self.timeline.after(self.manners.most_ms, arrive, f"{label} at last")
        self.tell(Happened(self.timeline.now, Kind.MENDED, why))

    def worsen(self, links: Iterable[tuple[str, str]], **manners: float) -> None:
        """These links get other manners, until `recover`."""
        for link in links:
            self.special[link] = replace(self.special.get(link, self.manners), **manners)

    def recover(self) -> None:
        """Every link has the manners of all again."""
        self.special.clear()
