"""One request from the clerk's hand to the history: the exchange and its record, without I/O.

The shells (gevent, asyncio) only send and sleep; what is written down, and when, is decided here,
so both write the same history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadtest.compass import Compass
from loadtest.history import Heard, Intent, Line, Result
from loadtest.request import Request
from loadtest.terminal import (
    Begin,
    Done,
    Ending,
    Exchange,
    Given,
    GiveUp,
    Manner,
    RecordIntent,
    Send,
    Slip,
    WaitUntil,
    Woke,
)
from loadtest.wire import Word


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an asking needs of the outside: a clock in milliseconds, chance, and the record."""

    clock: Callable[[], float]
    random: Callable[[], float]
    record: Callable[[Line], None]


class Asking:
    """Drives one `Exchange`; each step answers with the one thing to do, or None when it is over.

    `last` is the latest line on record; after a slip it says UNKNOWN until a later answer replaces
    it. `over`: nothing more will come. `word` is what the latest attempt came back with.
    """

    def __init__(
        self,
        ask: str,
        request: Request,
        *,
        intended_ms: float,
        compass: Compass,
        manner: Manner,
        around: Surroundings,
        again: bool = False,
    ) -> None:
        self.ask = ask
        self.request = request
        self.last: Heard | None = None
        self.over = False
        self._intended_ms = intended_ms
        self._again = again
        self._around = around
        self._exchange = Exchange(compass, manner)
        self._sent_ms = 0.0
        self._send: Send | None = None
        self.word = Word(Begin())

    def now_ms(self) -> float:
        """The clock that `WaitUntil` speaks of."""
        return self._around.clock()

    def begin(self) -> Send | WaitUntil | None:
        """Write the intent down and say what to send first."""
        return self._step(Begin())

    def hear(self, word: Word) -> Send | WaitUntil | None:
        """The attempt came back with this."""
        self.word = word
        return self._step(word.given)

    def woke(self) -> Send | WaitUntil | None:
        """The wait is over."""
        return self._step(Woke())

    def give_up(self) -> None:
        """No further attempts: the result stays unknown, and the record says so."""
        self.word = Word(GiveUp())
        self._step(GiveUp())

    def _step(self, given: Given) -> Send | WaitUntil | None:
        now_ms = self._around.clock()
        for output in self._exchange.step(given, now_ms, self._around.random):
            match output:
                case RecordIntent():
                    self._write_intent(now_ms)
                case Slip():
                    self._write_heard(Result.UNKNOWN, now_ms)
                case Done():
                    self._finish(output, now_ms)
                case Send():
                    if self._send is None:
                        self._sent_ms = now_ms
                    self._send = output
                    return output
                case WaitUntil():
                    return output
        return None

    def _finish(self, done: Done, now_ms: float) -> None:
        self.over = True
        if done.ending is Ending.UNKNOWN:
            if not done.slipped:
                self._write_heard(Result.UNKNOWN, now_ms)
            return
        resolved = ""
        if done.slipped:
            replayed = self.word.reply is not None and self.word.reply.replayed
            resolved = "same key: settled before" if replayed else "same key: settled now"
            if done.ending is Ending.REFUSED:
                resolved = "same key: refused"
        self._write_heard(self.word.result or Result.UNKNOWN, now_ms, resolved)

    def _write_intent(self, now_ms: float) -> None:
        self._around.record(
            Intent(
                ask=self.ask,
                key=self.request.key,
                intended_ms=round(self._intended_ms, 3),
                written_ms=round(now_ms, 3),
                request=self.request,
                again=self._again,
            )
        )

    def _write_heard(self, result: Result, now_ms: float, resolved: str = "") -> None:
        self.last = Heard(
            ask=self.ask,
            key=self.request.key,
            result=result,
            intended_ms=round(self._intended_ms, 3),
            sent_ms=round(self._sent_ms, 3),
            heard_ms=round(now_ms, 3),
            attempts=self._send.attempt if self._send else 0,
            endpoint=self._send.endpoint if self._send else "",
            reply=self.word.reply,
            code=self.word.code,
            detail=self.word.detail,
            resolved=resolved,
        )
        self._around.record(self.last)
