"""What may be done to network equipment; only where every host has a network of its own."""

from __future__ import annotations

from typing import Literal

import msgspec

from loadtest.faults.parts import Fault

Way = Literal["both", "to", "from"]
"""Which packets vanish, seen from whoever suffers: those it sends there ("to"), those that come
from there ("from"), or all."""

Others = Literal["peers", "etcd", "terminals"]


class Cut(Fault, frozen=True, tag="cut"):
    """A link swallows everything, without a word. `target`: between-sites, or terminals-link (of
    the active site). `way`: seen from that site; between the sites, from the one that is active at
    the start."""

    way: Way = "both"


class Isolate(Fault, frozen=True, tag="isolate"):
    """A site is cut from everything but itself: the other site, the witness, the terminals."""


class CutOff(Fault, frozen=True, tag="cut-off"):
    """A node's host is cut from some of those it speaks to: the hosts of the other nodes, those of
    the etcd members, or that of the terminals. Without a word, whichever way packets take."""

    others: Others
    way: Way = "both"


class SwitchDown(Fault, frozen=True, tag="switch-down"):
    """A network switch loses its power; so do all its links.

    `target`: switch-1, switch-2 or all-switches (of the active site, one right after the other),
    standby-switch-1 and so on, or switch:SITE/NUMBER.
    """


class PortDown(Fault, frozen=True, tag="port-down"):
    """The link between a node's host and its site's switch of number `switch` is down."""

    switch: int = 1


class Lossy(Fault, frozen=True, tag="lossy"):
    """A `share` (0 to 1) of all packets vanishes; everything looks up and well. `target`: a switch,
    or a link as for `Cut` (each way)."""

    share: float


class Slow(Fault, frozen=True, tag="slow"):
    """Packets take so much longer over a link, each way. `target`: as for `Cut`."""

    delay_ms: float


NetworkFault = Cut | Isolate | CutOff | SwitchDown | PortDown | Lossy | Slow


class Restore(msgspec.Struct, frozen=True):
    """The network is as if `of` had never been done: what heals each of these."""

    of: NetworkFault

    @property
    def target(self) -> str:
        """Whose fault it was."""
        return self.of.target
