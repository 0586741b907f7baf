"""Who may speak as which replica: strangers, nodes in the wrong site, two nodes with one name.

Each is told what is wrong with it and what to do, and told again and again while it lasts; the
journal hears of it now and then. Refusing a stream is safe: the protocol makes up for what it would
have carried.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Final

from node.rpc.wire_replication import Hello

ALIVE_S: Final = 1.0
"""A stream heard from within this time belongs to a process that is there."""

SAID_EVERY_S: Final = 5.0
_SUBJECTS: Final = 256


class Sparingly:
    """Lets the same thing be said once in a while only."""

    def __init__(self, now_s: Callable[[], float], every_s: float = SAID_EVERY_S) -> None:
        self._now_s = now_s
        self._every_s = every_s
        self._said: dict[Hashable, float] = {}

    def may_say(self, subject: Hashable) -> bool:
        """Is it time to say this (again)? Then it counts as said."""
        now = self._now_s()
        said = self._said.get(subject)
        if said is not None and now - said < self._every_s:
            return False
        if len(self._said) >= _SUBJECTS:
            self._said.clear()  # who varies what it says is heard more often, and costs no memory
        self._said[subject] = now
        return True


class Speaker:
    """One stream that was let in: `heard_s` is when something last came on it."""

    __slots__ = ("disk_id", "heard_s", "node")

    def __init__(self, node: str, disk_id: str, heard_s: float) -> None:
        self.node = node
        self.disk_id = disk_id
        self.heard_s = heard_s


class Doorkeeper:
    """Judges each Hello against who we are, who is known, and who speaks already."""

    def __init__(
        self, hello: Callable[[], Hello], sites: Mapping[str, str], now_s: Callable[[], float]
    ) -> None:
        """`hello` says who we are; `sites` maps every other node's name to its site."""
        self._hello = hello
        self._sites = sites
        self._now_s = now_s
        self._inside: dict[str, list[Speaker]] = {}

    def problem(self, hello: Hello) -> str:
        """Why this one is not let in, and what to do; "" if it is."""
        return self._stranger(hello) or self._double(hello)

    def let_in(self, hello: Hello) -> Speaker:
        """A stream begins. Whoever holds it sets `heard_s`, and calls `left` at its end."""
        speaker = Speaker(hello.node, hello.disk_id, self._now_s())
        self._inside.setdefault(hello.node, []).append(speaker)
        return speaker

    def left(self, speaker: Speaker) -> None:
        """The stream has ended."""
        self._inside[speaker.node].remove(speaker)

    def _stranger(self, hello: Hello) -> str:
        us = self._hello()
        if hello.cluster != us.cluster:
            return (
                f"{hello.node} belongs to cluster {hello.cluster!r}, {us.node} to {us.cluster!r}: "
                "correct `cluster` or the addresses in the settings of one of them"
            )
        if us.cluster_id and hello.cluster_id and hello.cluster_id != us.cluster_id:
            return (
                f"{hello.node} carries the data of another cluster ({hello.cluster_id}, here it is "
                f"{us.cluster_id}): start it with its own folder, or with --new-disk"
            )
        if hello.node == us.node:
            return (
                f"two nodes call themselves {us.node}: disk {hello.disk_id} spoke to disk "
                f"{us.disk_id}: stop one of them, or correct `node` in its settings"
            )
        site = self._sites.get(hello.node)
        if site is None:
            return (
                f"no node {hello.node!r} is known to {us.node}: correct `node` in its settings, "
                "or name it in everybody's `others`"
            )
        if site != hello.site:
            return (
                f"{hello.node} says that it is in site {hello.site!r}, {us.node} knows it in site "
                f"{site!r}: correct `site` in its settings"
            )
        return ""

    def _double(self, hello: Hello) -> str:
        # The former life of a node that lost its disk is silent; a second process is not. With
        # the same disk it is the same replica, whose old stream has not ended yet.
        now = self._now_s()
        for speaker in self._inside.get(hello.node, ()):
            if speaker.disk_id != hello.disk_id and now - speaker.heard_s < ALIVE_S:
                return (
                    f"two nodes call themselves {hello.node}: disk {hello.disk_id} is refused "
                    f"while disk {speaker.disk_id} is heard from: stop one of them, or correct "
                    "`node` in its settings"
                )
        return ""
