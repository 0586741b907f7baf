"""When each terminal means to start, where the rate changes with time. Pure; the same from a seed.

Customers are independent: in units of slots due they come as a Poisson stream of rate one, which
the inverse of the curve's integral carries to moments. So the stream follows every bend and jump of
the curve exactly, and a terminal's draws do not depend on anybody's answers.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from loadtest.arrivals import Pattern
from loadtest.profiles.curve import Curve


def schedule(
    pattern: Pattern, curve: Curve, *, seed: int, terminal: int, terminals: int
) -> Iterator[float]:
    """Intended starts of one terminal in milliseconds from the beginning, rising, up to the end.

    The curve is that of all `terminals` together; each gets an equal share. `terminal` counts from
    0. Raises `ValueError` for a terminal that is not there.
    """
    if not 0 <= terminal < terminals:
        raise ValueError(f"no schedule for terminal {terminal} of {terminals}")
    due = (
        _in_turn(terminal, terminals)
        if pattern is Pattern.CONSTANT
        else _independent(random.Random(f"arrivals/{seed}/{terminal}"), terminals)
    )
    for at_s in curve.moments(due):
        yield at_s * 1000.0


def _in_turn(terminal: int, terminals: int) -> Iterator[float]:
    return (float(number) for number in itertools.count(terminal, terminals))


def _independent(draw: random.Random, terminals: int) -> Iterator[float]:
    due = 0.0
    while True:
        due += draw.expovariate(1.0 / terminals)
        yield due
