"""When terminals mean to start: an open model at a fixed total rate.

Customers do not wait for the last one to be served before they arrive. So every slot has its
intended start, drawn beforehand; latency counts from it, and a slot that could not be sent is
counted, not forgotten.
"""

from __future__ import annotations

import enum
import itertools
import random
from collections.abc import Iterator


class Pattern(enum.StrEnum):
    """POISSON: independent customers. CONSTANT: an even beat, terminals taking turns."""

    POISSON = "poisson"
    CONSTANT = "constant"


def arrivals(
    pattern: Pattern, *, seed: int, terminal: int, terminals: int, rate: float
) -> Iterator[float]:
    """Intended starts of one terminal in milliseconds from the beginning, rising, without end.

    `rate` is that of all `terminals` together, per second; `terminal` counts from 0. Each gets an
    equal share. The same arguments give the same times. Raises `ValueError` on a rate or number
    that is not positive.
    """
    if rate <= 0 or terminals <= 0 or not 0 <= terminal < terminals:
        raise ValueError(f"no arrivals for terminal {terminal} of {terminals} at {rate}/s")
    mean_ms = 1000.0 * terminals / rate
    if pattern is Pattern.CONSTANT:
        first = mean_ms * terminal / terminals
        yield from (first + mean_ms * number for number in itertools.count())
    draw = random.Random(f"arrivals/{seed}/{terminal}")
    at = 0.0
    while True:
        at += draw.expovariate(1.0 / mean_ms)
        yield at
