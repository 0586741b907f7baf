"""The load of several processes, seen from the one that leads them: Locust's master.

It has no terminals. Workers tell it each second and their end over Locust's own wire; those on
other machines send what their terminals lived through after them, in pieces, so that the whole
evidence is in one folder.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import gevent
import msgspec

from loadtest.load_plan import LoadPlan, Progress
from loadtest.orders import Order, Stop, spoken
from loadtest.seconds import Second, Totals, together

SECOND: Final = "kessai second"
HISTORY: Final = "kessai history"
OVER: Final = "kessai over"
END_OF_DAY: Final = "kessai end of day"
ORDER: Final = "kessai order"
"""The names of our messages on Locust's wire; the last two go from the master to its workers."""

_MISSING: Final = "missing"
_LOOK_EVERY_S: Final = 0.2


class Foreman:
    """Gathers what the workers tell. `environment` and `runner` are Locust's, of its master."""

    def __init__(self, environment: Any, runner: Any, plan: LoadPlan) -> None:
        self._runner = runner
        self._plan = plan
        self._totals: dict[str, Totals] = {}
        self._seconds: list[Second] = []
        self._over: set[str] = set()
        self._stopping = False
        # Locust hands the master's options on to every worker: so the plan itself travels along.
        environment.parsed_options.plan_text = msgspec.json.encode(plan).decode()
        runner.register_message(SECOND, self._hear_second)
        runner.register_message(HISTORY, self._hear_history)
        runner.register_message(OVER, self._hear_over)

    def obey(self, order: Order) -> None:
        """Hand an order on to every worker."""
        if order == Stop():
            self.stop()
        else:
            self._runner.send_message(ORDER, spoken(order))

    def stop(self, *, abandon: bool = False) -> None:
        """No new slots; with `abandon`, what is under way is not waited for either."""
        self._stopping = True
        self._runner.send_message(END_OF_DAY, {"abandon": abandon})

    def wait_until_over(self) -> str:
        """Return when every worker's day is over: "", or what is wrong with one of them."""
        while len(self._over) < self._plan.processes:
            gevent.sleep(_LOOK_EVERY_S)
            lost = self._lost()
            if lost:
                return f"workers do not answer any more: {', '.join(sorted(lost))}"
            if self._stopping and not self._totals:
                return "stopped before the workers began"
        return ""

    def progress(self, since_s: float) -> Progress:
        """What all workers told since the last call, `since_s` seconds ago."""
        seconds, self._seconds = self._seconds, []
        return together(self._totals.values(), seconds, since_s)

    def _lost(self) -> set[str]:
        """Workers that fell silent, or went away, before their day was over."""
        clients = self._runner.clients
        silent = {client.id for client in clients.all if client.state == _MISSING}
        gone = {worker for worker in self._totals if worker not in clients}
        return (silent | gone) - self._over

    def _hear_second(self, environment: Any, msg: Any) -> None:
        second = msgspec.convert(msg.data, Second)
        self._totals[msg.node_id] = second.totals
        self._seconds.append(second)

    def _hear_history(self, environment: Any, msg: Any) -> None:
        with history_of(self._plan, int(msg.data["worker"])).open("ab") as file:
            file.write(msg.data["lines"])

    def _hear_over(self, environment: Any, msg: Any) -> None:
        logging.getLogger(__name__).info("the day of %s is over", msg.node_id)
        self._over.add(msg.node_id)


def history_of(plan: LoadPlan, worker: int) -> Path:
    """Where the history of a worker is kept on the master's machine; workers count from 0."""
    history = Path(plan.history)
    return history.with_name(f"{history.stem}-{worker}{history.suffix}")
