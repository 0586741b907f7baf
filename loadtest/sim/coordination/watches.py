"""The watches of an etcd: each is told every change under its prefix, in order, a little late.

What is told names the revisions it covers, so that whoever hears it knows when something is
missing, and may ask for it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from coordinator.keyvalue import Changed, Compacted, RegistryError, Unavailable
from loadtest.sim.coordination.keyspace import Keyspace
from loadtest.sim.timeline import Dice, Timeline


@dataclass(frozen=True, slots=True)
class News:
    """All changes under a watch's prefix after one revision and up to another.

    `trouble`: nothing more will come, because of this.
    """

    after: int
    upto: int
    changes: tuple[Changed, ...] = ()
    trouble: RegistryError | None = None


@dataclass(slots=True, eq=False)
class Watch:
    """A watch of `prefix` by host `who`; it has been told everything up to the revision `sent`."""

    who: str
    prefix: str
    sent: int
    deliver: Callable[[News], None]
    due: bool = False


class Watches:
    """All watches of the etcd that holds `keyspace`; `lag_ms` says how late they may be told."""

    def __init__(
        self, timeline: Timeline, dice: Dice, keyspace: Keyspace, lag_ms: Callable[[], float]
    ) -> None:
        self._timeline = timeline
        self._dice = dice
        self._keyspace = keyspace
        self._lag_ms = lag_ms
        self._present = True
        # In the order they came; a set would have none.
        self._watches: dict[Watch, None] = {}

    def follow(self, watch: Watch) -> None:
        """Tell `watch` what changed since it was last told, and whatever changes from now on."""
        if self._present:
            self._watches[watch] = None
            self._pump(watch)

    def progress(self, watch: Watch, have: int) -> None:
        """Tell `watch`, which knows everything up to `have`, the rest, or that this is all."""
        if not self._present:
            return
        if watch in self._watches:
            watch.sent = have
            self._pump(watch)
        else:
            watch.deliver(News(have, have, trouble=Unavailable("etcd knows no such watch")))

    def forget(self, watch: Watch) -> None:
        """Tell it nothing more."""
        self._watches.pop(watch, None)

    def changed(self, changes: tuple[Changed, ...]) -> None:
        """A revision was made: tell everybody whom it concerns."""
        for watch in self._watches:
            if not watch.due and any(change.key.startswith(watch.prefix) for change in changes):
                watch.due = True
                what = f"etcd tells {watch.who}"
                lag = self._dice.of(what).uniform(0, self._lag_ms())
                self._timeline.after(lag, partial(self._pump, watch), what)

    def end(self) -> None:
        """etcd is away: members without a leader end their watches, and take no new ones."""
        self._present = False
        self._watches.clear()

    def begin(self) -> None:
        """etcd is back."""
        self._present = True

    def _pump(self, watch: Watch) -> None:
        watch.due = False
        if watch not in self._watches:
            return
        after, upto = watch.sent, self._keyspace.revision
        try:
            changes = self._keyspace.since(after, watch.prefix)
        except Compacted as problem:
            self.forget(watch)
            watch.deliver(News(after, upto, trouble=problem))
        else:
            watch.sent = upto
            watch.deliver(News(after, upto, changes))
