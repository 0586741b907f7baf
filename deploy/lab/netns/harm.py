"""What is wrong with a network, as data: each fault's own harm, and what all of them make together.

Nothing is done here. Two faults may do the same harm; it is over when both are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deploy.lab.netns.ways import Link


@dataclass(frozen=True, slots=True)
class Down:
    """A link is down: nobody is at the other end of the cable."""

    link: Link


@dataclass(frozen=True, slots=True)
class Swallow:
    """What comes in over a link at this end of it, `host`, vanishes without a word."""

    link: Link
    host: str


@dataclass(frozen=True, slots=True)
class LosePart:
    """A share (0 to 1) of the packets vanishes at `host`: those that come in over `link`, or all
    that come in if that is None."""

    host: str
    link: Link | None
    share: float


@dataclass(frozen=True, slots=True)
class Slow:
    """Packets take so much longer over a link, each way."""

    link: Link
    wait_ms: float


@dataclass(frozen=True, slots=True)
class Unheard:
    """What the host `speaker` sends from any of its addresses vanishes at `listener` without a
    word, whichever way it came."""

    speaker: str
    listener: str


Harm = Down | Swallow | LosePart | Slow | Unheard


@dataclass(frozen=True, slots=True)
class State:
    """What all faults make together. `losing` has the share that vanishes at a host, by link (None:
    whatever comes in); `slow` the milliseconds that a link takes."""

    down: frozenset[Link] = frozenset()
    swallowing: frozenset[Swallow] = frozenset()
    losing: Mapping[tuple[str, Link | None], float] = field(default_factory=dict)
    slow: Mapping[Link, float] = field(default_factory=dict)
    unheard: frozenset[Unheard] = frozenset()


def together(harms: Iterable[Harm]) -> State:
    """The state that these harms make: losses one after the other, delays added."""
    down: set[Link] = set()
    swallowing: set[Swallow] = set()
    losing: dict[tuple[str, Link | None], float] = {}
    slow: dict[Link, float] = {}
    unheard: set[Unheard] = set()
    for harm in harms:
        match harm:
            case Down():
                down.add(harm.link)
            case Swallow():
                swallowing.add(harm)
            case LosePart():
                where = harm.host, harm.link
                losing[where] = 1 - (1 - losing.get(where, 0.0)) * (1 - harm.share)
            case Slow():
                slow[harm.link] = slow.get(harm.link, 0.0) + harm.wait_ms
            case Unheard():
                unheard.add(harm)
    return State(frozenset(down), frozenset(swallowing), losing, slow, frozenset(unheard))
