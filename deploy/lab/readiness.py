"""Is a node there, and waiting for something to come about while the programs it needs live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from deploy.control import Control, ControlError, NodeStatus
from deploy.lab.program import Program, ProgramFailed

_LOOK_EVERY_S: Final = 0.05


def status(endpoint: str, timeout_s: float) -> NodeStatus | None:
    """The status of the node at `endpoint`; None if it does not answer in time."""
    try:
        with Control(endpoint) as control:
            return control.status(timeout_s)
    except ControlError:
        return None


def statuses(endpoints: Mapping[str, str], timeout_s: float) -> dict[str, NodeStatus | None]:
    """The status of each node (by name), asked at the same moment; None for the silent ones."""
    with ThreadPoolExecutor(len(endpoints)) as pool:
        asked = {
            name: pool.submit(status, endpoint, timeout_s) for name, endpoint in endpoints.items()
        }
        return {name: answer.result() for name, answer in asked.items()}


def await_that(
    what: str, programs: Iterable[Program], timeout_s: float, there: Callable[[], bool]
) -> None:
    """Wait until `there()`. `programs` are needed for it: raises `ProgramFailed`, with the end of
    its log, as soon as one of them is gone, and after `timeout_s`. `what` is for the message.
    """
    needed = tuple(programs)
    deadline = time.monotonic() + timeout_s
    while not there():
        for program in needed:
            if not program.running():
                raise ProgramFailed(
                    f"{program.name} ended while waiting for {what}; the end of {program.log}:\n"
                    f"{program.last_words()}"
                )
        if time.monotonic() >= deadline:
            logs = ", ".join(str(program.log) for program in needed)
            raise ProgramFailed(f"waited {timeout_s:.0f} s in vain for {what}; see {logs}")
        time.sleep(_LOOK_EVERY_S)
