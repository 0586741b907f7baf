"""The client contract (C2) as a state machine: one `Exchange` takes one request to its answer.

Pure: time and randomness come as arguments, what to do goes out as data, and a thin shell (gevent
under Locust, asyncio for the command line and the drills) does it. The shell's duties:

1. perform the outputs in order; `RecordIntent` must be on record before any `Send` leaves;
2. answer each `Send` with exactly one of `Answered`, `Refused`, `NoAnswer`;
3. answer each `WaitUntil` with `Woke`, not before its time;
4. after `Slip` the clerk has been told; the exchange itself goes on, with the same key;
5. after `Done` there is nothing more to do.

An exchange never invents a result and never changes its key: whatever is not a definite refusal is
tried again, at any node, until it is heard.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from loadtest.compass import Compass


@dataclass(frozen=True, slots=True)
class Manner:
    """How patient and how pushy a terminal is; all in milliseconds.

    `attempt_ms` bounds one attempt. `deadline_ms`, from the first send, is when the clerk is told
    and the fault slip (障害伝票) is written. Waits are drawn from 0 to a bound that starts at
    `backoff_base_ms` and doubles up to `backoff_cap_ms` ("full jitter": the terminals of a shop
    must not come back in step), and up to `resolve_cap_ms` once the slip is written. An endpoint
    that did not answer, and then its site, is passed over for `doubt_ms`. Where another node has
    relayed to a leader that was not reached, it goes on doing so for `relayed_ms`, then the leader
    is tried again.
    """

    attempt_ms: float = 600.0
    deadline_ms: float = 10_000.0
    backoff_base_ms: float = 30.0
    backoff_cap_ms: float = 400.0
    resolve_cap_ms: float = 1_000.0
    doubt_ms: float = 800.0
    relayed_ms: float = 3_000.0


# --- What a shell tells the exchange --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """Start: the clerk pressed the button."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The centre answered: approved, declined or mismatch. Final."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite refusal, such as a field at fault: repeating would not help. Final."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Anything else: a broken connection, a node that cannot settle now (and may name the leader).

    `silent`: the attempt's time ran out, so the endpoint is better left alone for a while. `cut`:
    the connection could not be made, or broke.
    """

    silent: bool = False
    leader_endpoint: str = ""
    retry_after_ms: float = 0.0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Woke:
    """The wait asked for is over."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The terminal is switched off: no further attempts; the result stays unknown."""


Given = Begin | Answered | Refused | NoAnswer | Woke | GiveUp


# --- What the exchange tells its shell ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordIntent:
    """Write the attempt down, before anything is sent."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request to this endpoint and wait at most `timeout_ms`.

    `path`: another address of the same node, to be used in its place. `relay`: ask the node to pass
    the request on to the leader, should it not lead itself.
    """

    endpoint: str
    attempt: int
    timeout_ms: float
    path: str = ""
    relay: bool = False

    @property
    def address(self) -> str:
        """Where to send it."""
        return self.path or self.endpoint


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Wait for this moment of the shell's clock."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class Slip:
    """The deadline passed unheard: tell the clerk, print the fault slip."""


class Ending(enum.StrEnum):
    """How an exchange ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Done:
    """The end. `slipped`: the clerk had been told "unknown" before."""

    ending: Ending
    attempts: int
    slipped: bool


Output = RecordIntent | Send | WaitUntil | Slip | Done


class Exchange:
    """One request on its way to a final answer. `compass` is the terminal's, shared and updated."""

    __slots__ = (
        "_address",
        "_attempts",
        "_began_ms",
        "_compass",
        "_endpoint",
        "_hinted",
        "_manner",
        "_over",
        "_patient",
        "_relay",
        "_slipped",
    )

    def __init__(self, compass: Compass, manner: Manner) -> None:
        self._compass = compass
        self._manner = manner
        self._endpoint = self._address = compass.preferred
        self._attempts = 0
        self._began_ms = 0.0
        self._hinted = False
        self._patient = False
        self._relay = False
        self._slipped = False
        self._over = False

    def step(self, given: Given, now_ms: float, random: Callable[[], float]) -> tuple[Output, ...]:
        """What to do next. `random` draws from [0, 1). Nothing comes after `Done`."""
        if self._over:
            return ()
        match given:
            case Begin():
                self._began_ms = now_ms
                self._endpoint = self._compass.preferred
                return (RecordIntent(), self._send(now_ms))
            case Answered():
                self._compass.has_spoken(self._endpoint, self._address)
                if self._relay:
                    relayed_ms = self._manner.relayed_ms
                    self._compass.was_relayed(self._endpoint, now_ms, relayed_ms)
                else:
                    self._compass.was_answered(self._endpoint)
                return self._end(Ending.ANSWERED)
            case Refused():
                return self._end(Ending.REFUSED)
            case GiveUp():
                return self._end(Ending.UNKNOWN)
            case Woke():
                return (*self._slip_if_due(now_ms), self._send(now_ms))
            case NoAnswer():
                return (*self._slip_if_due(now_ms), *self._again(given, now_ms, random))

    def _again(
        self, given: NoAnswer, now_ms: float, random: Callable[[], float]
    ) -> tuple[Output, ...]:
        if given.silent or given.cut:
            self._compass.was_missed(self._endpoint, self._address)
            self._compass.was_unreached(self._endpoint, now_ms + self._manner.doubt_ms)
        if given.silent:
            self._compass.was_silent(self._endpoint, now_ms + self._manner.doubt_ms)
        hint = given.leader_endpoint
        if hint:
            self._compass.has_spoken(self._endpoint, self._address)
            self._compass.was_told(hint)
            if not self._relay and not self._compass.reaches(hint, now_ms):
                # It may be well, and cut off from here only: this node may reach it.
                return (self._send(now_ms, relay=True),)
        # A node that relayed in vain may name itself: it has come to lead meanwhile.
        if hint and self._compass.believes(hint, now_ms):
            # The first hint is followed at once; a hint that led to another hint is a cluster
            # between leaders, where nobody gains from hurry.
            at_once = not self._hinted and given.retry_after_ms <= 0
            self._hinted, self._patient = True, False
            self._endpoint = self._compass.preferred = hint
            if at_once:
                return (self._send(now_ms),)
        else:
            self._hinted = False
            # A node that asks for patience is the right one, until it asks twice: it may be a
            # leader cut off from its peers. Else try its neighbour.
            self._patient = given.retry_after_ms > 0 and not self._patient
            if not self._patient:
                self._endpoint = self._compass.after(self._endpoint, now_ms)
                self._compass.preferred = self._endpoint
        return (WaitUntil(now_ms + self._wait(given, now_ms, random)),)

    def _wait(self, given: NoAnswer, now_ms: float, random: Callable[[], float]) -> float:
        manner = self._manner
        cap = manner.resolve_cap_ms if self._slipped else manner.backoff_cap_ms
        bound = min(cap, manner.backoff_base_ms * 2.0 ** min(self._attempts - 1, 16))
        wait = max(given.retry_after_ms, random() * bound)
        if not self._slipped:
            wait = min(wait, max(0.0, self._began_ms + manner.deadline_ms - now_ms))
        return wait

    def _send(self, now_ms: float, *, relay: bool = False) -> Send:
        self._attempts += 1
        timeout = self._manner.attempt_ms
        if not self._slipped:
            left = self._began_ms + self._manner.deadline_ms - now_ms
            timeout = max(1.0, min(timeout, left))
        self._address = self._compass.address(self._endpoint)
        path = self._address if self._address != self._endpoint else ""
        self._relay = relay or self._compass.wants_relay(self._endpoint, now_ms)
        return Send(self._endpoint, self._attempts, timeout, path, self._relay)

    def _slip_if_due(self, now_ms: float) -> tuple[Output, ...]:
        if self._slipped or now_ms < self._began_ms + self._manner.deadline_ms:
            return ()
        self._slipped = True
        return (Slip(),)

    def _end(self, ending: Ending) -> tuple[Output, ...]:
        self._over = True
        return (Done(ending, self._attempts, self._slipped),)
