"""The load's pulse: what the generator said of the latest seconds, and waiting for a change."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from loadtest.drill.lookout import DrillFailed, Lookout, Note
from loadtest.drill.steps import Steady
from loadtest.generator import Generator
from loadtest.load_plan import Progress

STEADY_SHARE: Final = 0.8
"""Two seconds in a row at this share of the full rate, few terminals waiting: a steady state."""

_LOOK_EVERY_S: Final = 0.05


class Pulse:
    """Listens to one run of load, which is meant to be `rate` a second from `terminals`."""

    def __init__(self, rate: float, terminals: int, note: Note) -> None:
        self._full = rate
        self._rate = rate
        self._terminals = terminals
        self._note = note
        self._lock = threading.Lock()
        self._recent: deque[Progress] = deque(maxlen=3)

    def expect(self, times: float) -> float:
        """From now on so many times the full rate is meant: how many slots a second that is."""
        self._rate = self._full * times
        return self._rate

    def hear(self, progress: Progress) -> None:
        """One second of load; from the generator's thread."""
        with self._lock:
            self._recent.append(progress)

    def hold(self, for_s: float, generator: Generator) -> None:
        """Let time pass. Raises `GeneratorFailed` if the load ends meanwhile."""
        until = time.monotonic() + for_s
        while time.monotonic() < until:
            generator.check()
            time.sleep(min(_LOOK_EVERY_S, max(0.0, until - time.monotonic())))

    def await_steady(self, step: Steady, generator: Generator) -> bool:
        """Wait for a steady state; False if it never came and the step does not require it.

        Raises `DrillFailed`.
        """
        with self._lock:
            self._recent.clear()
        deadline = time.monotonic() + step.within_s
        while time.monotonic() < deadline:
            generator.check()
            with self._lock:
                last = list(self._recent)[-2:]
            if len(last) == 2 and all(self._is_steady(each) for each in last):
                self._note("steady", f"{last[-1].rate:.0f} a second")
                return True
            time.sleep(_LOOK_EVERY_S)
        words = f"no steady state within {step.within_s:.0f} s at {self._rate:.0f} a second"
        if step.required:
            raise DrillFailed(words)
        self._note("this machine does not keep up; going on", words)
        return False

    def await_stalled(self, within_s: float, lookout: Lookout, generator: Generator) -> None:
        """Wait until nothing is settled and a node says why. Raises `DrillFailed`."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            generator.check()
            with self._lock:
                still = bool(self._recent) and self._recent[-1].rate == 0
            reasons = lookout.reasons()
            if still and reasons:
                words = "; ".join(f"{node}: {reason}" for node, reason in reasons.items())
                self._note("settling has stopped", words)
                return
            time.sleep(_LOOK_EVERY_S)
        raise DrillFailed(f"settling did not stop with a reason within {within_s:.0f} s")

    def _is_steady(self, progress: Progress) -> bool:
        # With most terminals waiting the cluster is not keeping up, whatever it answers.
        enough = progress.rate >= STEADY_SHARE * self._rate
        return enough and progress.waiting < self._terminals / 2
