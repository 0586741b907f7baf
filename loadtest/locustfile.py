"""Locust's side of the load: its users are the terminals, its statistics count as ours do.

Started by loadtest/generator.py as `locust -f loadtest/locustfile.py --plan PLAN.json`. Importing
locust patches the standard library for gevent, so nothing but a locust process imports this.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import msgspec
from locust import User, events, task
from locust.exception import StopUser

from loadtest.crowd import Crowd
from loadtest.history import Heard, Result
from loadtest.history_file import Recorder
from loadtest.load_plan import load_plan
from loadtest.request import Request
from loadtest.shell_gevent import Lines


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
    parser.add_argument(
        "--plan", required=True, help="the load plan, JSON", include_in_web_ui=False
    )


@events.init.add_listener  # type: ignore[untyped-decorator]
def _prepare(environment: Any, **_: Any) -> None:
    plan = load_plan(Path(environment.parsed_options.plan))

    def report(request: Request, heard: Heard) -> None:
        bad = heard.result in (Result.REFUSED, Result.UNKNOWN)
        environment.events.request.fire(
            request_type=request.call.value,
            name=request.label,
            response_time=heard.heard_ms - heard.intended_ms,
            response_length=0,
            exception=Unsettled(f"{heard.result}: {heard.code}") if bad else None,
            context={},
        )

    recorder = Recorder(Path(plan.history))
    environment.crowd = Crowd(plan, recorder, Lines.open(plan.endpoints), report)
    environment.events.spawning_complete.add_listener(lambda **_: environment.crowd.begin())
    if plan.controlled:
        gevent.spawn(_listen, environment)
        gevent.spawn(_run, environment)
    else:
        environment.events.test_stop.add_listener(lambda **_: environment.crowd.stop())
        environment.events.quit.add_listener(lambda **_: environment.crowd.close())
    gevent.spawn(_tell, environment)


def _listen(environment: Any) -> None:
    """A word on standard input ends the day; its end without one, that our starter is dead."""
    gevent.socket.wait_read(sys.stdin.fileno())
    if os.read(sys.stdin.fileno(), 1):
        environment.crowd.stop()
    else:
        environment.crowd.abandon()


def _run(environment: Any) -> None:
    crowd: Crowd = environment.crowd
    crowd.wait_until_over()
    environment.runner.stop()
    crowd.close()
    environment.process_exit_code = 0  # what is a failure is decided by who reads the history
    environment.runner.quit()


def _tell(environment: Any) -> None:
    """One line of progress a second on standard output."""
    crowd: Crowd = environment.crowd
    try:
        while True:
            gevent.sleep(1.0)
            line = msgspec.json.encode(crowd.progress(1.0)) + b"\n"
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        logging.getLogger(__name__).info("nobody reads our progress any more")
        crowd.stop()
