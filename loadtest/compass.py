"""Where a terminal turns: what it knows of the nodes and their sites, and whom it doubts. Pure.

Terminals share nothing: each learns of a lost site by one bounded attempt of its own, all of them
at the same time, and then leaves the whole site alone until its doubt has passed. Where nodes have
several addresses it is two attempts: the first may only have met a bad path.

A leader may be well and yet not be reached from here. Then the node that names it is asked to relay
to it, and goes on being asked for a while once that has worked; then the leader is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest


@dataclass(slots=True)
class Compass:
    """What one terminal knows of the nodes: where it was last answered, and whom it doubts.

    `sites` says in which site an endpoint is (all in one where nothing is said). A site is doubted
    as soon as one of its endpoints was silent: a lost site swallows whatever is sent to any of its
    addresses, so the next attempt goes to the other site, which knows who leads.

    `paths` has the other addresses of the node at an endpoint. They are used in turn: `good` is the
    turn at which a site's nodes last answered, `missed` how often a node did not since then.

    `led` is who leads, as was last heard; `unreached_until_ms` has the nodes to which no way was
    found lately; until `relayed_until_ms` requests to `led` go by way of others.
    """

    endpoints: tuple[str, ...]
    preferred: str
    sites: Mapping[str, str] = field(default_factory=dict)
    answered: str = ""
    doubted_until_ms: dict[str, float] = field(default_factory=dict)
    site_doubted_until_ms: dict[str, float] = field(default_factory=dict)
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    good: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    led: str = ""
    unreached_until_ms: dict[str, float] = field(default_factory=dict)
    relayed_until_ms: float = 0.0

    @classmethod
    def fresh(
        cls,
        endpoints: tuple[str, ...],
        first: int = 0,
        sites: Mapping[str, str] | None = None,
        paths: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Compass:
        """A terminal newly switched on. `first` spreads terminals over the endpoints, and with them
        the sites: the ring goes from one site to the other, and begins elsewhere for each.
        """
        if not endpoints:
            raise ValueError("a terminal needs at least one endpoint")
        known = sites or {}
        ring = _alternating(endpoints, known)
        start = first % len(ring)
        ring = ring[start:] + ring[:start]
        return cls(ring, ring[0], known, paths=paths or {})

    def address(self, endpoint: str) -> str:
        """The address at which the node at `endpoint` is tried next."""
        turns = self._turns(endpoint)
        turn = self.good.get(self._site(endpoint), 0) + self.missed.get(endpoint, 0)
        return turns[turn % len(turns)]

    def doubts(self, endpoint: str, now_ms: float) -> bool:
        """Did this endpoint fail to answer lately?"""
        return now_ms < self.doubted_until_ms.get(endpoint, 0.0)

    def doubts_site(self, endpoint: str, now_ms: float) -> bool:
        """Did an endpoint of the same site fail to answer lately?"""
        return now_ms < self.site_doubted_until_ms.get(self._site(endpoint), 0.0)

    def was_missed(self, endpoint: str, address: str) -> None:
        """Nobody was met there: the next attempt uses another address of the same node."""
        if self.paths.get(endpoint) and address == self.address(endpoint):
            self.missed[endpoint] = self.missed.get(endpoint, 0) + 1

    def was_unreached(self, endpoint: str, until_ms: float) -> None:
        """Rather have others relay to it until then, unless only one path has failed."""
        if self.missed.get(endpoint, 0) != 1:
            self.unreached_until_ms[endpoint] = until_ms

    def was_silent(self, endpoint: str, until_ms: float) -> None:
        """Doubt this endpoint and its site until then, unless only one path has been silent."""
        if self.missed.get(endpoint, 0) == 1:
            return
        self.doubted_until_ms[endpoint] = until_ms
        self.site_doubted_until_ms[self._site(endpoint)] = until_ms

    def has_spoken(self, endpoint: str, address: str) -> None:
        """Its site is there, whatever was thought of it, and reached at addresses like this one."""
        self.doubted_until_ms.pop(endpoint, None)
        self.unreached_until_ms.pop(endpoint, None)
        self.site_doubted_until_ms.pop(self._site(endpoint), None)
        turns = self._turns(endpoint)
        if len(turns) > 1 and address in turns:
            self.good[self._site(endpoint)] = turns.index(address)
            self.missed.pop(endpoint, None)

    def was_told(self, hint: str) -> None:
        """A node says who leads."""
        if hint != self.led:
            self.led, self.relayed_until_ms = hint, 0.0

    def was_answered(self, endpoint: str) -> None:
        """It answered what it was asked itself: no way round is needed."""
        self.preferred = self.answered = self.led = endpoint
        self.relayed_until_ms = 0.0

    def was_relayed(self, endpoint: str, now_ms: float, for_ms: float) -> None:
        """An answer came by way of this node: ask it for so long, counted from the first time."""
        self.preferred = endpoint
        if now_ms >= self.relayed_until_ms:
            self.relayed_until_ms = now_ms + for_ms

    def reaches(self, hint: str, now_ms: float) -> bool:
        """Is it worth going there oneself, rather than by way of the node that says so?"""
        return self.believes(hint, now_ms) and now_ms >= self.unreached_until_ms.get(hint, 0.0)

    def wants_relay(self, endpoint: str, now_ms: float) -> bool:
        """Is the leader, unless this is it, still to be asked by way of other nodes?"""
        return endpoint != self.led and now_ms < self.relayed_until_ms

    def believes(self, hint: str, now_ms: float) -> bool:
        """Is it worth going where a node says that the leader is?

        A hint into a doubted site is worth it only where it is news: when it names another one
        than the leader that was known there. Else it is what a node still believes of a lost site.
        """
        if self.doubts(hint, now_ms):
            return False
        if not self.doubts_site(hint, now_ms):
            return True
        return self.answered not in ("", hint) and self._site(self.answered) == self._site(hint)

    def after(self, endpoint: str, now_ms: float) -> str:
        """The next endpoint round the ring: one that is not in doubt, rather of a site that is not.

        All in doubt: simply the next.
        """
        ring = self.endpoints
        start = ring.index(endpoint) if endpoint in ring else -1
        order = [ring[(start + step) % len(ring)] for step in range(1, len(ring) + 1)]
        return min(
            order, key=lambda each: (self.doubts(each, now_ms), self._worse_site(each, now_ms))
        )

    def _worse_site(self, endpoint: str, now_ms: float) -> bool:
        return not self.doubts(endpoint, now_ms) and self.doubts_site(endpoint, now_ms)

    def _turns(self, endpoint: str) -> tuple[str, ...]:
        """All addresses of a node, in the order in which they are tried: after the main one, which
        is commonly reached over the first switch, the one over the last.
        """
        return (endpoint, *reversed(self.paths.get(endpoint, ())))

    def _site(self, endpoint: str) -> str:
        return self.sites.get(endpoint, "")


def _alternating(endpoints: tuple[str, ...], sites: Mapping[str, str]) -> tuple[str, ...]:
    """The first of each site, then the second of each, and so on."""
    groups: dict[str, list[str]] = {}
    for endpoint in endpoints:
        groups.setdefault(sites.get(endpoint, ""), []).append(endpoint)
    rows = zip_longest(*groups.values())
    return tuple(endpoint for row in rows for endpoint in row if endpoint is not None)
