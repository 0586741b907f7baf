"""Guarded changes of the configuration (E4), and what may be said of each (S4).

Pure. A change is `passed` when etcd said so, or when a later read finds exactly it while the leader
key is still at the epoch that asked: nobody else could have written it. It has `failed` when its
guard can never hold again. Everything else is unknown, above all a read that still finds the old
value: the transaction may yet arrive.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.ballot import Output, PutConfiguration, ReadBack, Seen
from coordinator.configuration import Configuration
from coordinator.events import GuardFailed, GuardPassed, GuardUnknown


@dataclass(slots=True)
class _Change:
    request: PutConfiguration
    unknown_at_ms: int | None = None  # when to say that nobody knows; None: an answer is awaited


class Changes:
    """The changes under way, by number. `retry_ms`: how fast an owner may be told to ask again."""

    def __init__(self, retry_ms: int) -> None:
        self._retry_ms = retry_ms
        self._open: dict[int, _Change] = {}

    @property
    def wake_ms(self) -> int | None:
        """When `tick` has something to say; None for not before another input."""
        return min(
            (c.unknown_at_ms for c in self._open.values() if c.unknown_at_ms is not None),
            default=None,
        )

    def ask(self, request: PutConfiguration, out: Output) -> None:
        """The owner wants this change, for the first time or again."""
        self._open[request.change] = _Change(request)
        out.requests.append(request)

    def answered(
        self, request: PutConfiguration, succeeded: bool, seen: Seen, now_ms: int, out: Output
    ) -> None:
        """The transaction, or a read after it, has shown what etcd holds."""
        change = self._open.get(request.change)
        if change is None:
            return
        if succeeded:
            self._passed(request, seen.revision, out)
        elif request.resigning and self._is_made(request, seen):
            # The switch took the key away, so the key cannot vouch for it: nobody else puts exactly
            # this in the place of exactly that, but whoever did, the switch is made (E5).
            self._passed(request, seen.configuration_revision, out)
        elif seen.epoch != request.epoch:
            self._failed(request, out)
        elif seen.configuration_revision == request.revision:
            change.unknown_at_ms = now_ms + self._retry_ms
        elif seen.configuration == request.configuration:
            self._passed(request, seen.configuration_revision, out)
        else:
            self._failed(request, out)

    def seen(self, epoch: int, revision: int, configuration: Configuration, out: Output) -> None:
        """etcd has `configuration` since `revision`, and had the leader key at `epoch` then: a
        change that asked for just this, in that epoch, is made, whatever becomes of its answer."""
        for change in list(self._open.values()):
            request = change.request
            ours = request.epoch == epoch and not request.resigning
            if ours and revision > request.revision and configuration == request.configuration:
                self._passed(request, revision, out)

    def unknown(self, request: PutConfiguration, out: Output) -> None:
        """The transaction's outcome is not known: read back."""
        if request.change in self._open:
            out.requests.append(ReadBack(request))

    def unheard(self, request: PutConfiguration, now_ms: int) -> None:
        """Neither the transaction nor the read came through; soon the owner shall ask again."""
        change = self._open.get(request.change)
        if change is not None:
            change.unknown_at_ms = now_ms + self._retry_ms

    def tick(self, now_ms: int, out: Output) -> None:
        """Say what is due."""
        for number, change in list(self._open.items()):
            if change.unknown_at_ms is not None and now_ms >= change.unknown_at_ms:
                del self._open[number]
                out.events.append(GuardUnknown(number))

    @staticmethod
    def _is_made(request: PutConfiguration, seen: Seen) -> bool:
        newer = seen.configuration_revision > request.revision
        return newer and seen.configuration == request.configuration

    def _passed(self, request: PutConfiguration, revision: int, out: Output) -> None:
        del self._open[request.change]
        out.events.append(GuardPassed(request.change, revision))

    def _failed(self, request: PutConfiguration, out: Output) -> None:
        del self._open[request.change]
        out.events.append(GuardFailed(request.change))
