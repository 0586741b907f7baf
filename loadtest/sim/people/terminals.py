"""The terminals of a simulated day: the real client contract, with a clerk who has a queue.

As under load (loadtest/crowd.py): slots follow their schedule, not the answers. A clerk serves one
customer at a time, is free again when an answer or a fault slip is there, and after a slip the
terminal goes on asking behind the clerk's back. Unlike there, whoever finds too many waiting goes
elsewhere: so the queue that an outage leaves is soon gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc

from loadtest.arrivals import Pattern, arrivals
from loadtest.asking import Asking, Surroundings
from loadtest.compass import Compass
from loadtest.history import Heard, Line, Result, Unsent
from loadtest.request import TYPE_NAMES, Request
from loadtest.sim import eyewitness
from loadtest.sim.front import NO_LISTENER, Answer, Attempt, Status
from loadtest.sim.ground import Ground
from loadtest.sim.happening import Kind
from loadtest.sim.loop import VirtualLoop
from loadtest.slip import money
from loadtest.terminal import Manner, Send, WaitUntil
from loadtest.traffic import Action, Till
from loadtest.wire import METHODS, Word, decode, encode, weigh

TAG: Final = "SIM"
BUSINESS_DATE: Final = 20300317
"""The day that every wall clock shows at first."""

_QUEUE: Final = 4
"""So many customers wait at most."""

_TIME_IS_OVER: Final = Status(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time")


@dataclass(frozen=True, slots=True)
class _Slot:
    """Something to do, and when it was meant to be begun."""

    intended_ms: float
    action: Action | None = None
    """None: whatever the till has next."""


class SimTerminal:
    """One terminal: a host of no site, whose process always runs. `record` takes its history."""

    def __init__(self, number: int, ground: Ground, record: Callable[[Line], None]) -> None:
        setup, dice = ground.setup, ground.dice
        self.name = f"t{number:04d}"
        self.site = ""
        self.loop: VirtualLoop | None = VirtualLoop(
            self.name, ground.timeline, dice.of(f"loop {self.name}")
        )
        self.is_off = True
        self._number = number
        self._ground = ground
        self._record = record
        self._around = Surroundings(
            lambda: ground.timeline.now, dice.of(f"terminal {self.name}").random, record
        )
        self._till = Till(seed=dice.seed, number=number, tag=TAG, business_date=BUSINESS_DATE)
        self._manner = Manner()
        self._compass = self._fresh_compass()
        self._schedule = arrivals(
            Pattern.POISSON,
            seed=dice.seed,
            terminal=number,
            terminals=setup.terminals,
            rate=setup.rate,
        )
        self._began_ms = 0.0
        self._stopped = False
        self._late: deque[_Slot] = deque()
        self._open: dict[str, Asking] = {}
        self._told: dict[str, Heard] = {}
        self._clerk = ""  # what the clerk waits for
        self._unheard: list[Request] = []  # given up when it was switched off
        self._asked = 0

    @property
    def idle(self) -> bool:
        """Is everything that was meant to be asked answered?"""
        return not self._open and not self._late

    # -- its day ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the shop: slots count from now."""
        self.is_off = False
        self._began_ms = self._ground.timeline.now
        self._expect()

    def stop(self) -> None:
        """No new slots. What is late or under way goes on until it is heard."""
        self._stopped = True

    def switch_off(self) -> None:
        """Somebody pulls the plug: what is under way is given up, customers go elsewhere."""
        if self.is_off:
            return
        self.is_off = True
        for asking in list(self._open.values()):
            asking.give_up()
            self._unheard.append(asking.request)
            self._heard(asking)
        if self._late:
            late, first = len(self._late), self._late[0].intended_ms
            self._record(Unsent(self._till.terminal, late, first))
            self._late.clear()

    def switch_on(self) -> None:
        """It is there again, and first asks for what it never heard of, with the same keys."""
        if not self.is_off:
            return
        self.is_off = False
        self._compass = self._fresh_compass()
        unheard, self._unheard = self._unheard, []
        now = self._ground.timeline.now
        self._late.extend(_Slot(now, Action(request, again=True)) for request in unheard)
        self._serve()

    def _fresh_compass(self) -> Compass:
        sites = self._ground.setup.nodes
        return Compass.fresh(tuple(sites), self._number, sites)

    def _expect(self) -> None:
        """Wait for the next customer."""
        intended_ms = self._began_ms + next(self._schedule)

        def arrive() -> None:
            if self._stopped:
                return
            if len(self._late) >= _QUEUE:
                self._record(Unsent(self._till.terminal, 1, intended_ms))
            elif not self.is_off:
                self._late.append(_Slot(intended_ms))
                self._serve()
            self._expect()

        self._at(intended_ms, arrive, "customer")

    def _serve(self) -> None:
        """Begin with whoever has waited longest, if the clerk is free."""
        if self._clerk or not self._late or self.is_off:
            return
        slot = self._late.popleft()
        action = slot.action or self._till.next()
        asking = Asking(
            f"{self._till.terminal}/{self._asked}",
            action.request,
            intended_ms=slot.intended_ms,
            compass=self._compass,
            manner=self._manner,
            around=self._around,
            again=action.again,
        )
        self._asked += 1
        self._clerk = asking.ask
        self._open[asking.ask] = asking
        self._do(asking, asking.begin())

    # -- one asking ------------------------------------------------------------------------------

    def _do(self, asking: Asking, doing: Send | WaitUntil | None) -> None:
        self._heard(asking)
        if isinstance(doing, Send):
            self._send(asking, doing)
        elif isinstance(doing, WaitUntil):
            self._at(doing.at_ms, lambda: self._woke(asking), "waits")
        self._serve()

    def _woke(self, asking: Asking) -> None:
        if not asking.over:
            self._do(asking, asking.woke())

    def _send(self, asking: Asking, send: Send) -> None:
        """Exactly one of answer, refused connection and time-out is heard."""
        method = METHODS[asking.request.call]
        front = self._ground.nodes[send.endpoint].front
        waiting = True

        def hear(answer: Answer) -> None:
            nonlocal waiting
            if waiting and not asking.over:
                waiting = False
                alarm.cancel()
                self._do(asking, asking.hear(_word(asking.request, answer)))

        alarm = self._ground.timeline.after(
            send.timeout_ms, lambda: hear(_TIME_IS_OVER), f"{self.name} waits no longer"
        )
        data = method.serialize(encode(asking.request))
        attempt = Attempt(self.name, method.path, data, send.timeout_ms, hear)
        self._ground.network.send(
            self.name,
            send.endpoint,
            lambda: front.take(attempt),
            f"{asking.ask} #{send.attempt}",
            stream=True,
            refused=lambda: hear(NO_LISTENER),
        )

    def _at(self, when_ms: float, run: Callable[[], None], what: str) -> None:
        self._ground.timeline.at(when_ms, run, f"{self.name} {what}")

    # -- what is told ----------------------------------------------------------------------------

    def _heard(self, asking: Asking) -> None:
        """Tell of a new line about what was heard; either an answer or a slip frees the clerk."""
        last = asking.last
        if asking.over:
            self._open.pop(asking.ask, None)
        if last is None or last is self._told.get(asking.ask):
            return
        if asking.over:
            self._told.pop(asking.ask, None)
        else:
            self._told[asking.ask] = last
        if self._clerk == asking.ask:
            self._clerk = ""
        eyewitness.hear(self._ground, self.name, last)
        unknown = last.result is Result.UNKNOWN
        self._ground.happened(
            Kind.UNKNOWN if unknown else Kind.ANSWERED, self.name, _words(asking.request, last)
        )


def _word(request: Request, answer: Answer) -> Word:
    """What the real shells make of the same bytes or status."""
    if isinstance(answer, bytes):
        return decode(METHODS[request.call].parse(answer))
    return weigh(answer.code, answer.message, answer.details)


def _words(request: Request, heard: Heard) -> str:
    """`ok: sale ¥1,200, from a2, attempt 2, settled before`; the first word is the result."""
    words = TYPE_NAMES[request.type][0] if request.type else str(request.call)
    if request.amount_minor:
        words += f" {money(request.amount_minor, request.currency)}"
    if heard.result is Result.UNKNOWN:
        return f"{heard.result}: {words}, {heard.attempts} attempts"
    words = f"{heard.result}: {words}, from {heard.endpoint}, attempt {heard.attempts}"
    if heard.reply is not None and heard.reply.replayed:
        words += ", settled before"
    return f"{words}: {heard.detail}" if heard.result is Result.REFUSED else words
