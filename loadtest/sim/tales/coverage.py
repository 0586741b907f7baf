"""What a day, or many, have exercised: the protocol's rules, and faults amid manoeuvres.

A day that never sent a set change while etcd was silent proves nothing of it. So every campaign
counts what it has met, and says what it has not.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from textwrap import wrap
from typing import Any, Final

from loadtest.sim.happening import Step, Told
from loadtest.sim.tales.hindsight import Hindsight
from loadtest.sim.tales.pairs import UNREACHABLE, Fault, Manoeuvre, Pair, Pairs
from loadtest.sim.tales.rules import RULES
from loadtest.sim.tales.signs import Signs

_WIDE: Final = max(map(len, Manoeuvre))
_RULE: Final = 4
_SEEN: Final = 7
"""Room for a count of some hundred thousands."""


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

    def document(self) -> dict[str, Any]:
        """Both counts for machines, and what is missing in words."""
        return {
            "rules": {rule: self.rules[rule] for rule in RULES},
            "pairs": {
                manoeuvre: {fault: self.pairs[manoeuvre, fault] for fault in Fault}
                for manoeuvre in Manoeuvre
            },
            "impossible": [" x ".join(pair) for pair in UNREACHABLE],
            "unreached": self.unreached(),
        }

    def table(self) -> list[str]:
        """Both counts as text, and what could not be met, with the reason."""
        met = sum(1 for rule in RULES if self.rules[rule])
        lines = [f"{met} of the {len(RULES)} rules of docs/protocol.md were seen at work:", ""]
        lines.append(f"{'rule':<{_RULE}}{'seen':>{_SEEN}}  sign")
        lines += [
            f"{rule:<{_RULE}}{self.rules[rule]:>{_SEEN},}  {sign}" for rule, sign in RULES.items()
        ]
        possible = [pair for pair in product(Manoeuvre, Fault) if pair not in UNREACHABLE]
        met = sum(1 for pair in possible if self.pairs[pair])
        lines += ["", f"{met} of the {len(possible)} faults that can strike amid a manoeuvre did:"]
        lines += ["", " " * _WIDE + "".join(f"{fault:>{_width(fault)}}" for fault in Fault)]
        for manoeuvre in Manoeuvre:
            cells = (f"{self._cell((manoeuvre, fault)):>{_width(fault)}}" for fault in Fault)
            lines.append(f"{manoeuvre:<{_WIDE}}{''.join(cells)}")
        return [*lines, "", *_impossible()]

    def _cell(self, pair: Pair) -> str:
        count = self.pairs[pair]
        return f"{count:,}" if count or pair not in UNREACHABLE else "-"


def _width(fault: Fault) -> int:
    return max(len(fault), _SEEN) + 2


def _impossible() -> list[str]:
    """Why there is no number in some places, each reason once."""
    by_reason: dict[tuple[Fault, str], list[Manoeuvre]] = {}
    for (manoeuvre, fault), why in UNREACHABLE.items():
        by_reason.setdefault((fault, why), []).append(manoeuvre)
    return [
        line
        for (fault, why), them in by_reason.items()
        for line in wrap(f"-  {fault} amid {'; '.join(them)}: {why}.", 100, subsequent_indent="   ")
    ]
