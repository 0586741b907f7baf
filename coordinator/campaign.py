"""Tries for the leader key (E2), and what became of those whose outcome nobody knew (E3).

Pure. A try is one transaction, sent again only after a read showed that its guard still holds: the
guard lets one copy win at most once for each state of the key, and every copy carries the same
nonce. A try given up with a copy on its way keeps its nonce, so that a late win is recognised.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from coordinator.ballot import CampaignAsked, Output, PutLeader, ReadBack, Seen
from coordinator.events import CampaignLost
from coordinator.records import LeaderRecord


@dataclass(slots=True)
class Attempt:
    """One try. While it is awaited a request is under way, or `retry_at_ms` or a lease is waited
    for."""

    name: str
    record: LeaderRecord
    suspected: int
    configuration_revision: int
    give_up_ms: int
    retry_at_ms: int | None = None
    under_way: bool = False
    read_next: bool = False  # an outcome is unknown: read back before sending again
    unknown: bool = False  # a copy of the transaction may still arrive
    reported: bool = False  # the owner has heard CampaignLost
    trouble: str = "there is no lease"


class Campaign:
    """All tries of one life. At most one is awaited by the owner; the newest.

    `record` is what this life puts, but for the nonce, which is `life` and the attempt's name.
    """

    def __init__(self, record: LeaderRecord, life: str, *, campaign_ms: int, retry_ms: int) -> None:
        self._record = record
        self._life = life
        self._campaign_ms = campaign_ms
        self._retry_ms = retry_ms
        self._lease = 0
        self._able: dict[str, Attempt] = {}  # by nonce; all that can still win
        self._awaited: Attempt | None = None

    @property
    def wake_ms(self) -> int | None:
        """When `tick` has something to do; None for not before another input."""
        if self._awaited is None:
            return None
        retry_at_ms = self._awaited.retry_at_ms
        give_up_ms = self._awaited.give_up_ms
        return give_up_ms if retry_at_ms is None else min(retry_at_ms, give_up_ms)

    def ask(self, asked: CampaignAsked, now_ms: int, out: Output) -> None:
        """The owner wants the key; whatever it wanted before is lost."""
        if self._awaited is not None:
            self.lose(self._awaited, "another campaign was asked for", out)
        attempt = Attempt(
            name=asked.attempt,
            record=msgspec.structs.replace(self._record, nonce=f"{self._life}.{asked.attempt}"),
            suspected=asked.suspected,
            configuration_revision=asked.configuration_revision,
            give_up_ms=now_ms + self._campaign_ms,
        )
        self._able[attempt.record.nonce] = self._awaited = attempt
        self._send(attempt, out)

    def lease_granted(self, lease: int, out: Output) -> None:
        """What is put from now on is bound to `lease`."""
        self._lease = lease
        if self._awaited is not None and not self._awaited.under_way:
            self._send(self._awaited, out)

    def lease_lost(self, lease: int) -> None:
        """What was bound to `lease` cannot arrive any more, so those tries cannot win."""
        if lease == self._lease:
            self._lease = 0
        for attempt in list(self._able.values()):
            if attempt is not self._awaited and not attempt.under_way:
                del self._able[attempt.record.nonce]

    def take_winner(self, nonce: str) -> Attempt | None:
        """The try that put `nonce` in the leader key, if it is one of these; it is one no more."""
        attempt = self._able.pop(nonce, None)
        if attempt is self._awaited:
            self._awaited = None
        return attempt

    def answered(self, nonce: str, seen: Seen, out: Output) -> None:
        """The transaction, or a read after it, showed `seen`, which was not a win."""
        attempt = self._able.get(nonce)
        if attempt is None:
            return
        attempt.under_way = attempt.read_next = False
        if attempt is not self._awaited:
            self._forget(attempt)
        elif seen.configuration_revision != attempt.configuration_revision:
            self.lose(attempt, f"the configuration is at {seen.configuration_revision}", out)
        elif seen.epoch not in (0, attempt.suspected):
            holder = seen.leader.node if seen.leader else "a record nobody can read"
            self.lose(attempt, f"{holder} leads, epoch {seen.epoch}", out)
        else:
            # The guard holds: the key is as it was, or has gone since it was suspected (E2a).
            attempt.suspected = seen.epoch
            self._send(attempt, out)

    def put_failed(self, nonce: str, unknown: bool, reason: str, now_ms: int, out: Output) -> None:
        """The transaction brought no answer; `unknown` where it may yet be carried out."""
        attempt = self._able.get(nonce)
        if attempt is None:
            return
        attempt.under_way = False
        attempt.trouble = reason
        attempt.unknown = attempt.unknown or unknown
        if attempt is not self._awaited:
            self._forget(attempt)  # the watch shows a late win
        elif unknown:
            attempt.read_next = True
            self._send(attempt, out)
        else:
            attempt.retry_at_ms = now_ms + self._retry_ms

    def read_failed(self, nonce: str, now_ms: int) -> None:
        """The read brought no answer: read again."""
        attempt = self._able.get(nonce)
        if attempt is not None:
            attempt.under_way = False
            attempt.retry_at_ms = now_ms + self._retry_ms

    def tick(self, now_ms: int, out: Output) -> None:
        """Give up, or try again, when it is time to."""
        attempt = self._awaited
        if attempt is None:
            return
        if now_ms >= attempt.give_up_ms:
            self.lose(attempt, f"no outcome in time: {attempt.trouble}", out)
        elif attempt.retry_at_ms is not None and now_ms >= attempt.retry_at_ms:
            self._send(attempt, out)

    def lose(self, attempt: Attempt, reason: str, out: Output) -> None:
        """Tell the owner, once, that it did not get the key (in time)."""
        if attempt is self._awaited:
            self._awaited = None
        self._forget(attempt)
        if not attempt.reported:
            attempt.reported = True
            out.events.append(CampaignLost(attempt.name, reason))

    def _forget(self, attempt: Attempt) -> None:
        """Drop the nonce, unless a copy of its transaction may still arrive and win (E3)."""
        if not (attempt.unknown or attempt.under_way):
            self._able.pop(attempt.record.nonce, None)

    def _send(self, attempt: Attempt, out: Output) -> None:
        """Send the transaction, or the read that must come before it is sent again."""
        attempt.retry_at_ms = None
        if not self._lease:
            attempt.trouble = "there is no lease"
            return  # lease_granted sends it
        put = PutLeader(
            attempt.record, attempt.suspected, attempt.configuration_revision, self._lease
        )
        attempt.under_way = True
        out.requests.append(ReadBack(put) if attempt.read_next else put)
