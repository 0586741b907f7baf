"""Locust's side of the load: its users are the terminals, in one process or in several.

Started by loadtest/generator.py as `locust -f loadtest/locustfile.py --plan PLAN.json`, or with
`--worker` and no plan, which the master then sends. Importing locust patches the standard library
for gevent, so nothing but a locust process imports this.

Locust's statistics count as Locust does: from when a request was sent, and only what was sent. What
counts from the intended start is in the histories (loadtest/measure.py).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gevent
import gevent.socket
import msgspec
from locust import User, events, task
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from loadtest.crowd import Crowd
from loadtest.foreman import END_OF_DAY, HISTORY, ORDER, OVER, SECOND, Foreman, history_of
from loadtest.history import Heard, Result
from loadtest.history_file import Recorder
from loadtest.load_plan import LoadPlan, Progress, load_plan
from loadtest.orders import Order, Stop, understood
from loadtest.request import Request
from loadtest.seconds import together
from loadtest.shell_gevent import Lines

_PIECE: Final = 1 << 20
_LINE: Final = 1 << 10
_HOME_AWAY: Final = Path(".kessai/load")


class Unsettled(Exception):
    """What Locust's statistics file under failures: a refusal, or a result not known in time."""


class Terminal(User):
    """One till. Its schedule is its own (open model): Locust's waits and rates stay out of it."""

    @task
    def day(self) -> None:
        """From the opening of the doors to the end of the day."""
        crowd: Crowd = self.environment.crowd
        crowd.work()
        raise StopUser


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _add_arguments(parser: Any) -> None:
    parser.add_argument("--plan", help="the load plan, JSON", include_in_web_ui=False)
    parser.add_argument(
        "--away",
        action="store_true",
        help="this worker is not on the master's machine: send the history there at the end",
        include_in_web_ui=False,
    )


@events.init.add_listener  # type: ignore[untyped-decorator]
def _prepare(environment: Any, runner: Any, **_: Any) -> None:
    if isinstance(runner, WorkerRunner):
        _be_worker(environment, runner)
        return
    plan = load_plan(Path(environment.parsed_options.plan))
    if isinstance(runner, MasterRunner):
        _be_master(environment, runner, plan)
    else:
        _be_alone(environment, plan)


# --- one process -----------------------------------------------------------------------------


def _be_alone(environment: Any, plan: LoadPlan) -> None:
    crowd = _crowd(environment, plan, Path(plan.history))
    environment.events.spawning_complete.add_listener(lambda **_: crowd.begin())
    if plan.controlled:
        gevent.spawn(_listen, crowd.obey, crowd.abandon)
        gevent.spawn(_run, environment, crowd)
    else:
        environment.events.test_stop.add_listener(lambda **_: crowd.stop())
        environment.events.quit.add_listener(lambda **_: crowd.close())

    def progress(since_s: float) -> Progress:
        second = crowd.second()
        return together([second.totals], [second], since_s)

    gevent.spawn(_tell, progress, crowd.stop)


def _run(environment: Any, crowd: Crowd) -> None:
    crowd.wait_until_over()
    environment.runner.stop()
    crowd.close()
    _quit(environment, 0)  # what is a failure is decided by who reads the history


# --- several ---------------------------------------------------------------------------------


def _be_master(environment: Any, runner: Any, plan: LoadPlan) -> None:
    foreman = Foreman(environment, runner, plan)
    gevent.spawn(_listen, foreman.obey, lambda: foreman.stop(abandon=True))
    gevent.spawn(_tell, foreman.progress, foreman.stop)

    def lead() -> None:
        problem = foreman.wait_until_over()
        if problem:
            logging.getLogger(__name__).error(problem)
        _quit(environment, 1 if problem else 0)

    gevent.spawn(lead)


def _be_worker(environment: Any, runner: Any) -> None:
    """The plan comes with the order to start; then the doors open when all workers are ready."""
    away = environment.parsed_options.away  # now: the order brings the master's options along

    def start(**_: Any) -> None:
        plan = msgspec.json.decode(environment.parsed_options.plan_text, type=LoadPlan)
        number = runner.worker_index
        history = history_of(plan, number)
        if away:
            history = (_HOME_AWAY / plan.run / history.name).resolve()
        crowd = _crowd(environment, plan, history, first=number, step=plan.processes)
        environment.events.spawning_complete.add_listener(lambda **_: crowd.begin())

        def end(environment: Any, msg: Any) -> None:
            (crowd.abandon if msg.data["abandon"] else crowd.stop)()

        def obey(environment: Any, msg: Any) -> None:
            crowd.obey(understood(msg.data))

        runner.register_message(END_OF_DAY, end)
        runner.register_message(ORDER, obey)
        if not away:  # then nobody holds the other end of its standard input
            gevent.spawn(_listen, crowd.obey, crowd.abandon)
        gevent.spawn(_report, crowd, runner)
        gevent.spawn(_work, environment, runner, crowd, history if away else None)

    environment.events.test_start.add_listener(start)


def _work(environment: Any, runner: Any, crowd: Crowd, to_send: Path | None) -> None:
    crowd.wait_until_over()
    runner.stop()
    crowd.close()
    runner.send_message(SECOND, msgspec.to_builtins(crowd.second()))
    if to_send is not None:
        with to_send.open("rb") as file:
            while lines := file.read(_PIECE):
                runner.send_message(HISTORY, {"worker": runner.worker_index, "lines": lines})
    environment.process_exit_code = 0
    runner.send_message(OVER, {})


def _report(crowd: Crowd, runner: Any) -> None:
    while True:
        gevent.sleep(1.0)
        runner.send_message(SECOND, msgspec.to_builtins(crowd.second()))


# --- both ------------------------------------------------------------------------------------


def _crowd(
    environment: Any, plan: LoadPlan, history: Path, *, first: int = 0, step: int = 1
) -> Crowd:
    def report(request: Request, heard: Heard) -> None:
        if heard.resolved:
            return  # counted when its deadline passed
        bad = heard.result in (Result.REFUSED, Result.UNKNOWN)
        environment.events.request.fire(
            request_type=request.call.value,
            name=request.label,
            response_time=heard.heard_ms - heard.sent_ms,
            response_length=0,
            exception=Unsettled(f"{heard.result}: {heard.code}") if bad else None,
            context={},
        )

    lines = Lines.open(plan.endpoints)
    crowd = Crowd(plan, Recorder(history), lines, report, first=first, step=step)
    environment.crowd = crowd
    return crowd


def _quit(environment: Any, code: int) -> None:
    environment.process_exit_code = code
    environment.runner.quit()


def _listen(obey: Callable[[Order], None], abandon: Callable[[], None]) -> None:
    """Orders on standard input, up to the last one; its end before that: our starter is dead."""
    received = b""
    while True:
        gevent.socket.wait_read(sys.stdin.fileno())
        piece = os.read(sys.stdin.fileno(), _LINE)
        if not piece:
            abandon()
            return
        *lines, received = (received + piece).split(b"\n")
        for line in lines:
            order = understood(line.decode())
            obey(order)
            if order == Stop():
                return


def _tell(progress: Callable[[float], Progress], stop: Callable[[], None]) -> None:
    """One line of progress a second on standard output."""
    try:
        while True:
            gevent.sleep(1.0)
            line = msgspec.json.encode(progress(1.0)) + b"\n"
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        logging.getLogger(__name__).info("nobody reads our progress any more")
        stop()
