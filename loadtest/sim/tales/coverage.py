"""What a day, or many, have exercised: the protocol's rules, and faults amid manoeuvres.

A day that never sent a set change while etcd was silent proves nothing of it. So every campaign
counts what it has met, and says what it has not.
"""

from __future__ import annotations

from collections import Counter

from loadtest.sim.happening import Step, Told
from loadtest.sim.tales.hindsight import Hindsight
from loadtest.sim.tales.pairs import UNREACHABLE, Fault, Manoeuvre, Pair, Pairs
from loadtest.sim.tales.rules import RULES
from loadtest.sim.tales.signs import Signs

_WIDE = max(map(len, Manoeuvre))


class Coverage:
    """Listens to a day. `rules` counts the signs of each rule, `pairs` what struck amid what."""

    def __init__(self) -> None:
        self.rules: Counter[str] = Counter()
        self.pairs: Counter[Pair] = Counter()
        self._signs = Signs(self.rules)
        self._hindsight = Hindsight(self.rules)
        self._pairs = Pairs(self.pairs)

    def __call__(self, told: Told) -> None:
        """Something is told; see `loadtest.sim.happening.Listener`."""
        if isinstance(told, Step):
            self._signs.step(told)
            self._hindsight.step(told)
            self._pairs.step(told)
        else:
            self._hindsight.happened(told)
            self._pairs.happened(told)

    def merge(self, other: Coverage) -> None:
        """Add what another day has exercised."""
        self.rules.update(other.rules)
        self.pairs.update(other.pairs)

    def unreached(self) -> list[str]:
        """What could have been met and was not, in words."""
        unmet = [f"{rule}: {sign}" for rule, sign in RULES.items() if not self.rules[rule]]
        for manoeuvre in Manoeuvre:
            missing = [
                fault
                for fault in Fault
                if not self.pairs[manoeuvre, fault] and (manoeuvre, fault) not in UNREACHABLE
            ]
            if missing:
                unmet.append(f"{manoeuvre}, never with: {', '.join(missing)}")
        return unmet

    def table(self) -> list[str]:
        """Both counts as text, and what could not be met, with the reason."""
        lines = ["rule  seen  sign"]
        lines += [f"{rule:<4}{self.rules[rule]:>6}  {sign}" for rule, sign in RULES.items()]
        lines += ["", " " * _WIDE + "".join(f"  {fault}" for fault in Fault)]
        for manoeuvre in Manoeuvre:
            cells = (f"{self._cell((manoeuvre, fault)):>{len(fault) + 2}}" for fault in Fault)
            lines.append(f"{manoeuvre:<{_WIDE}}{''.join(cells)}")
        return lines + _impossible()

    def _cell(self, pair: Pair) -> str:
        count = self.pairs[pair]
        return str(count) if count or pair not in UNREACHABLE else "-"


def _impossible() -> list[str]:
    """Why there is no number in some places, each reason once."""
    by_reason: dict[str, list[str]] = {}
    for pair, why in UNREACHABLE.items():
        by_reason.setdefault(why, []).append(" x ".join(pair))
    return [f"-: {', '.join(them)}: {why}" for why, them in by_reason.items()]
