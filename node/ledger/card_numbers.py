"""Find card numbers in text, so that none is ever accepted (PCI DSS 4: 3.3.1, 3.4.1, 3.5.1).

A card number is 12 to 19 digits that pass the Luhn check (ISO/IEC 7812-1), written in one piece or
in groups with spaces or hyphens between, narrow or full width (４９０３ …). Groups of other digits
beside it do not hide it.
"""

from __future__ import annotations

import re
from typing import Final

DIGITS_MIN: Final = 12
DIGITS_MAX: Final = 19

# Space, hyphen, and what a Japanese keyboard or a word processor makes of them.
_BETWEEN: Final = r"[ \-\t\u00a0\u2010-\u2015\u2212\u3000\uff0d]"
_LONG_RUN: Final = re.compile(rf"\d(?:{_BETWEEN}{{0,3}}\d){{{DIGITS_MIN - 1},}}")
_GROUP: Final = re.compile(r"\d+")


def holds_card_number(text: str) -> bool:
    """Whether any run of digit groups in `text` reads as a card number."""
    run = _LONG_RUN.search(text)
    while run is not None:
        if _run_holds(_GROUP.findall(run.group())):
            return True
        run = _LONG_RUN.search(text, run.end())
    return False


def passes_luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B. `digits` are decimal digits of any script."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def _run_holds(groups: list[str]) -> bool:
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > DIGITS_MAX:
                break
            if len(digits) >= DIGITS_MIN and passes_luhn(digits):
                return True
    return False
