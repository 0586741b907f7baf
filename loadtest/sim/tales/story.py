"""A day in sentences: who did what, when, and why.

What a replica tells its operator is most of it; the rest is what passes between replicas and what
befell them. Heartbeats, Appends and Acks are not told, payments as sums, and what is said again
soon is said once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadtest.sim.happening import Happened, Kind, Step, Told
from node.core.inputs import CampaignLost, GuardFailed, GuardUnknown
from node.core.messages import Fence, Message, Promise, Refuse, Suspect
from node.core.outputs import ChangeConfiguration, Event, Resign, Write

AGAIN_MS: Final = 2_000.0
"""What is said again within this time is counted, not told."""

PAYMENTS_MS: Final = 1_000.0
"""How much of a day one sum of payments stands for, at least."""

_TELLING: Final = re.compile(
    "Fence|Promise|Refuse|Fetch|Entries|Handover|Offer|snapshot|.*write of .*(leader|configuration)"
)
"""Of what is lost, repeated, or done without an answer: what does not come again anyhow."""

_LONGEST: Final = 140
"""What coordinators say of a site may list all its nodes; the beginning is enough."""

_ON_LINKS: Final = (Kind.LOST, Kind.REPEATED, Kind.ANSWER_LOST, Kind.LATE)

_EVENTS: Final[Mapping[str, str]] = {
    "campaign": "{who} campaigns: {detail}",
    "fetch": "{who} looks for a longer log: {detail}",
    "serving": "{who} serves, {detail}",
    "follower": "{who} leads no more: {detail}",
    "silent": "{who} falls silent: {detail}",
    "set-change": "{who} changes who counts, {detail}",
    "alarm": "{who} raises an alarm, {detail}",
    "in-sync": "{who} tells that {detail}",
    "fenced": "{who} is fenced {detail}",
    "snapshot": "{who} and a snapshot: {detail}",
    "handover": "{who} hands over: {detail}",
    "switch": "{who} switches the site: {detail}",
    "rolled-back": "{who} finds that {detail}",
}
"""What replicas tell their operators, by kind."""

_HAPPENED: Final[Mapping[Kind, str]] = {
    Kind.CRASH: "{who} is gone: {detail}",
    Kind.RESTART: "{who} begins: {detail}",
    Kind.PAUSE: "{who} stands still",
    Kind.WAKE: "{who} goes on where it stood",
    Kind.CLOCK: "{who} has another clock: {detail}",
    Kind.TORN: "of what {who} had not synced a part comes back: {detail}",
    Kind.VANISHED: "what {who} had not synced is gone: {detail}",
    Kind.DISK_LOST: "{who} loses its disk {detail}",
    Kind.DISK_REFUSED: "{who} puts its disk aside: {detail}",
    Kind.DISK_FAILED: "the disk of {who} fails",
    Kind.DISK_FULL: "the disk of {who} is full",
    Kind.DISK_SLOW: "the disk of {who} is slow: {detail}",
    Kind.INSTALLED: "{who} has installed a snapshot at {detail}",
    Kind.LOST: "{detail} is lost on {who}",
    Kind.REPEATED: "{detail} comes twice on {who}",
    Kind.CUT: "links are cut: {who}",
    Kind.MENDED: "links are mended: {who}",
    Kind.ETCD_AWAY: "etcd is away: {detail}",
    Kind.ETCD_BACK: "etcd is back",
    Kind.ANSWER_LOST: "etcd does what {who} asks, and {who} never hears of it: {detail}",
    Kind.LATE: "etcd does what {who} asked long ago: {detail}",
    Kind.LEASE_EXPIRED: "etcd ends a lease of {who}: {detail}",
    Kind.SITE_SWITCHED: "etcd has switched the site for {who}: {detail}",
    Kind.PROMOTED: "etcd has promoted a site with loss for {who}: {detail}",
    Kind.ASKED: "{who} asks: {detail}",
    Kind.REFUSED: "{who} is refused: {detail}",
    Kind.UNKNOWN: "{who} prints a fault slip, {detail}",
    Kind.PHASE: "{who}: {detail}",
}


@dataclass(slots=True)
class _Line:
    at_ms: float
    text: str
    times: int = 1
    last_ms: float = 0.0

    def __str__(self) -> str:
        again = f" ({self.times} times, until {self.last_ms / 1000:.3f})" if self.times > 1 else ""
        return f"{self.at_ms / 1000:9.3f}  {self.text}{again}"


class Story:
    """Listens to a day, and tells it."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._lately: dict[object, _Line] = {}
        self._answers: Counter[str] = Counter()
        self._answers_since = 0.0
        self._inputs: dict[type, Callable[[Step, Any], None]] = {
            CampaignLost: self._campaign_lost,
            GuardFailed: self._guard_failed,
            GuardUnknown: self._guard_unknown,
        }

    def __call__(self, told: Told) -> None:
        """Something is told; see `loadtest.sim.happening.Listener`."""
        if isinstance(told, Step):
            self._step(told)
        elif told.kind is Kind.ANSWERED:
            self._answered(told)
        else:
            self._happened(told)

    def lines(self) -> list[str]:
        """The day so far: seconds since its beginning, and a sentence."""
        lines = (*self._lines, *self._payments())
        return [str(line) for line in sorted(lines, key=lambda line: line.at_ms)]

    # -- how it is told -------------------------------------------------------------------------

    def _say(self, at_ms: float, text: str, key: object = None) -> None:
        """Tell it, or count it where the same (or what has the same `key`) was told lately."""
        key = text if key is None else key
        line = self._lately.get(key)
        if line is not None and at_ms - max(line.at_ms, line.last_ms) <= AGAIN_MS:
            line.text, line.last_ms = text, at_ms
            line.times += 1
            return
        self._lines.append(line := _Line(at_ms, text))
        self._lately[key] = line

    # -- what happened --------------------------------------------------------------------------

    def _happened(self, told: Happened) -> None:
        if told.kind is Kind.SILENT or (told.kind in _ON_LINKS and not _TELLING.match(told.detail)):
            return  # the replica has said so itself, or it does not matter
        words = _HAPPENED.get(told.kind, "{who}: {detail}")
        text = words.format(who=told.who, detail=told.detail).rstrip(": ")
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]}..."
        # What a coordinator says begins with what kind of thing it is; the rest has numbers.
        said = told.detail.partition(":")[0] if told.kind is Kind.SAID else text
        self._say(told.at_ms, text, (told.who, said))

    def _answered(self, told: Happened) -> None:
        if told.at_ms - self._answers_since >= PAYMENTS_MS:
            self._lines.extend(self._payments())
            self._answers.clear()
        if not self._answers:
            self._answers_since = told.at_ms
        self._answers[told.detail.partition(":")[0]] += 1

    def _payments(self) -> list[_Line]:
        if not self._answers:
            return []
        sums = ", ".join(f"{count} {result}" for result, count in sorted(self._answers.items()))
        return [_Line(self._answers_since, f"terminals hear: {sums}")]

    # -- steps ----------------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        look = self._inputs.get(type(step.input))
        if look is not None:
            look(step, step.input)
        output = step.output
        for event in output.events:
            self._event(step, event)
        if output.abandon and step.before.last > step.after.applied:
            placed = f"{step.after.applied + 1} to {step.before.last}"
            self._say(step.at_ms, f"{step.node} does not know what becomes of {placed}")
        for ask in output.ask_registry:
            if isinstance(ask, ChangeConfiguration):
                self._say(step.at_ms, f"{step.node} asks etcd for its change {ask.change}")
            elif isinstance(ask, Resign):
                self._say(step.at_ms, f"{step.node} gives the key of epoch {ask.epoch} back")
        for write in output.persist:
            if isinstance(write, Write) and write.truncate_after is not None:
                self._replaces(step, write)
        if output.send:
            self._sends(step)
        if output.prune:
            text = f"{step.node} drops its log up to {output.prune}"
            self._say(step.at_ms, text, (step.node, "prune"))

    def _event(self, step: Step, event: Event) -> None:
        who = step.node
        if event.kind == "takeover":
            asked = [s.node for s in step.output.send if isinstance(s.message, Fence)]
            text = f"{who} wins epoch {step.after.epoch} and asks {', '.join(asked)} to promise"
        else:
            words = _EVENTS.get(event.kind, "{who}: {detail}")
            text = words.format(who=who, detail=event.detail)
        self._say(step.at_ms, text)

    def _replaces(self, step: Step, write: Write) -> None:
        text = f"{step.node} drops its log after {write.truncate_after}"
        if write.entries:
            last = write.entries[-1]
            text += f" and takes what epoch {last.epoch} has up to {last.index}"
        self._say(step.at_ms, text)

    def _sends(self, step: Step) -> None:
        who = step.node
        for send in step.output.send:
            said = _in_words(send.message)
            if said is not None:
                text, key = said
                self._say(step.at_ms, f"{who} {text.format(to=send.node)}", (who, send.node, key))

    def _campaign_lost(self, step: Step, lost: CampaignLost) -> None:
        self._say(step.at_ms, f"{step.node} does not win: {lost.reason}")

    def _guard_failed(self, step: Step, failed: GuardFailed) -> None:
        self._say(step.at_ms, f"etcd refuses the change {failed.change} of {step.node}")

    def _guard_unknown(self, step: Step, unknown: GuardUnknown) -> None:
        text = f"{step.node} cannot know whether etcd made its change {unknown.change}"
        self._say(step.at_ms, text)


def _in_words(message: Message) -> tuple[str, object] | None:
    """What a message says, and what makes another one say the same; None: not worth telling."""
    match message:
        case Promise(epoch, last_epoch, last_index):
            words = f"promises epoch {epoch} to {{to}}, with a log up to {last_index}"
            return f"{words} of epoch {last_epoch}", ("promise", epoch)
        case Refuse(epoch, promised) if promised < epoch:
            return f"refuses {{to}}'s epoch {epoch}: an older configuration", ("refuse", epoch)
        case Refuse(epoch, promised):
            return f"refuses {{to}}'s epoch {epoch}: it promised {promised}", ("refuse", epoch)
        case Suspect(epoch):
            return f"asks {{to}} whether epoch {epoch} is over", ("suspect", epoch)
        case _:
            return None
