"""Signs of the protocol's rules in single steps: which of `RULES` a step shows to be at work.

A step is a replica before, what it took in, what came of it, and the replica after. What only
shows in view of what was told before is for `hindsight`. This runs at every step of every day, so
it looks first for what makes most steps uninteresting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from loadtest.sim.happening import Step
from node.core.inputs import (
    GuardFailed,
    GuardUnknown,
    Inquired,
    LeaderSeen,
    Persisted,
    Proposed,
    Received,
    Tick,
    Won,
)
from node.core.messages import Ack, Append, Fence, Handover, Message, Promise, Refuse, Suspect
from node.core.outputs import (
    Campaign,
    ChangeConfiguration,
    Fenced,
    Install,
    Placed,
    ReadReady,
    Resign,
    SwitchSite,
)


class Signs:
    """Looks for signs, and counts them by rule in `seen`."""

    def __init__(self, seen: Counter[str]) -> None:
        self._seen = seen
        self._inputs: dict[type, Callable[[Step, Any], None]] = {
            Tick: self._tick,
            Received: self._received,
            Persisted: self._persisted,
            Proposed: self._proposed,
            Won: self._won,
            GuardUnknown: self._guard_unknown,
        }
        self._messages: dict[type, Callable[[Step, Any], None]] = {
            Append: self._append,
            Fence: self._fence,
            Handover: self._handover,
        }

    def step(self, step: Step) -> None:
        """A step was taken."""
        given = step.input
        look = self._inputs.get(type(given))
        if look is not None:
            look(step, given)
        before, after, output = step.before, step.after, step.output
        if before.phase != after.phase or before.role != after.role:
            self._turned(step)
        if before.change != after.change:
            self._changed(step)
        if output.apply and before.role == "leader":
            self._committed(step)
        if output.persist and before.role == "follower":
            self._wrote(step)
        if output.answer:
            self._answered(step)
        if output.events:
            self._said(step)
        if output.ask_registry:
            self._asked_etcd(step)
        if output.prune:
            self._seen["M5"] += 1

    # -- by what came in ------------------------------------------------------------------------

    def _tick(self, step: Step, _: Tick) -> None:
        sent = step.output.send
        if sent and step.before.role == "follower" and isinstance(sent[0].message, Suspect):
            self._seen["T2"] += 1

    def _received(self, step: Step, received: Received) -> None:
        look = self._messages.get(type(received.message))
        if look is not None:
            look(step, received.message)

    def _append(self, step: Step, append: Append) -> None:
        if not step.output.send:
            self._unbound(step, append)
        elif isinstance(ack := step.output.send[0].message, Ack) and ack.index < step.after.last:
            self._seen["M1"] += 1  # at once, so the log's end is on disk, too

    def _fence(self, step: Step, fence: Fence) -> None:
        sent = step.output.send
        if not sent:
            self._unbound(step, fence)
        elif isinstance(answer := sent[0].message, Refuse) and answer.promised < answer.epoch:
            self._seen["W2"] += 1

    def _unbound(self, step: Step, message: Append | Fence) -> None:
        """Whoever belongs to a cluster would have promised this, or refused it."""
        after = step.after
        if after.promised == 0 < message.epoch and after.role == "follower":
            self._seen["E1"] += 1

    def _handover(self, step: Step, _: Handover) -> None:
        for ask in step.output.ask_registry:
            if isinstance(ask, Campaign) and ask.suspected:
                self._seen["H1"] += 1

    def _persisted(self, step: Step, _: Persisted) -> None:
        for send in step.output.send:
            if isinstance(send.message, Promise):
                self._seen["D3"] += 1
            elif isinstance(send.message, Ack):
                self._seen["D2"] += 1
                break
        if step.before.role == "leader" and step.after.commit > step.before.commit:
            self._seen["D4"] += 1

    def _proposed(self, step: Step, _: Proposed) -> None:
        placed = any(isinstance(answer, Placed) for answer in step.output.answer)
        if placed and step.before.last > step.before.commit and step.output.send:
            self._seen["M3"] += 1

    def _won(self, step: Step, won: Won) -> None:
        if step.after.role == "takeover" and step.after.epoch == won.epoch:
            self._seen["T3"] += 1
        elif any(isinstance(a, Resign) and a.epoch == won.epoch for a in step.output.ask_registry):
            self._seen["E3"] += 1

    def _guard_unknown(self, step: Step, _: GuardUnknown) -> None:
        if step.before.change == "sent" and step.after.change == "sent":
            self._seen["S4"] += 1

    # -- by what became of the replica ----------------------------------------------------------

    def _turned(self, step: Step) -> None:
        before, after = step.before, step.after
        if before.phase == "fencing" and after.phase in ("fetching", "starting"):
            self._seen["T4"] += 1
        elif before.phase == "fetching" and after.phase == "starting":
            self._seen["T5"] += 1
        elif before.phase == "starting" and after.phase == "serving":
            self._seen["T6"] += 1
        led = before.role in ("leader", "takeover")
        if led and after.role == "follower" and _ends_a_leadership(step):
            self._seen["T8"] += 1

    def _changed(self, step: Step) -> None:
        before, after = step.before, step.after
        if before.change == "covering" and after.change == "sent":
            self._seen["S2"] += 1
        decided = after.role == "leader" or isinstance(step.input, GuardFailed)
        if before.change == "sent" and not after.change and decided:
            self._seen["E4"] += 1
        evicts = any(e.detail.startswith("begun: evict") for e in step.output.events)
        if after.phase == "starting" and not before.change and after.change and evicts:
            self._seen["S5"] += 1

    def _committed(self, step: Step) -> None:
        if step.output.apply[0].epoch < step.before.epoch:
            self._seen["T7"] += 1
        if step.before.change and step.after.change:
            self._seen["S1"] += 1

    # -- by what came of it ---------------------------------------------------------------------

    def _wrote(self, step: Step) -> None:
        promised = step.before.promised
        for write in step.output.persist:
            if isinstance(write, Install):
                self._seen["M4"] += 1
                continue
            if write.entries and write.promised > promised:
                self._seen["D1"] += 1
            if write.truncate_after is not None:
                self._seen["M2"] += 1

    def _answered(self, step: Step) -> None:
        for answer in step.output.answer:
            if isinstance(answer, ReadReady) and not isinstance(step.input, Inquired):
                self._seen["R1"] += 1
            elif isinstance(answer, Fenced) and isinstance(answer.promise, Promise):
                self._seen["X4"] += 1

    def _said(self, step: Step) -> None:
        for event in step.output.events:
            if event.kind == "set-change" and event.detail.startswith("begun"):
                self._seen["S6"] += 1
            elif event.kind == "alarm":
                self._seen["X2"] += 1
            elif event.kind == "rolled-back":
                self._seen["D5"] += 1

    def _asked_etcd(self, step: Step) -> None:
        for ask in step.output.ask_registry:
            if isinstance(ask, ChangeConfiguration):
                self._seen["S3"] += 1
            elif isinstance(ask, SwitchSite):
                self._seen["H2"] += 1
            elif isinstance(ask, Campaign) and not isinstance(received(step), Handover):
                self._seen["T1"] += 1


def received(step: Step) -> Message | None:
    """The message this step took in; None if it took in something else."""
    return step.input.message if isinstance(step.input, Received) else None


def _ends_a_leadership(step: Step) -> bool:
    """Was it a Refuse, or etcd's word of the key, that the step took in? (T8)"""
    return isinstance(step.input, LeaderSeen) or isinstance(received(step), Refuse)
