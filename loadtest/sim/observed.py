"""A replica that is watched: whatever it is told and does is judged and told, step by step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from loadtest.sim.happening import Glance, glance
from node.core import Replica
from node.core.inputs import Input
from node.core.invariants import InvariantBroken, check
from node.core.outputs import Output

OnStep = Callable[["Observed", Input, Glance, Glance, Output], None]
OnBroken = Callable[[str], None]


class Observed(Replica):
    """The core's replica, unchanged. `on_step` is called after every step, with a glance at the
    replica before it and one after; `on_broken` if it broke one of the replica's own invariants.
    """

    def __init__(self, *parts: Any, on_step: OnStep, on_broken: OnBroken, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._on_step = on_step
        self._on_broken = on_broken
        self._seen = glance(self)  # nothing changes between steps

    def step(self, input: Input, now: float) -> Output:
        """See `Replica.step`."""
        before = self._seen
        output = super().step(input, now)
        try:
            check(self, chain=bool(output.persist))
        except InvariantBroken as problem:
            self._on_broken(str(problem))
        after = self._seen = glance(self)
        self._on_step(self, input, before, after, output)
        return output


def observing(on_step: OnStep, on_broken: OnBroken) -> Callable[..., Observed]:
    """A class of replicas that tell these."""
    return partial(Observed, on_step=on_step, on_broken=on_broken)
