"""The six checkers, in the order in which a reader wants their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loadtest.checkers import (
    conservation,
    divergence,
    double_effect,
    lost_approval,
    stale_read,
    wrong_replay,
)
from loadtest.checkers.finding import Checker

PANEL: Final[Mapping[str, tuple[str, Checker]]] = {
    "lost_approval": (lost_approval.QUESTION, lost_approval.check),
    "double_effect": (double_effect.QUESTION, double_effect.check),
    "wrong_replay": (wrong_replay.QUESTION, wrong_replay.check),
    "stale_read": (stale_read.QUESTION, stale_read.check),
    "conservation": (conservation.QUESTION, conservation.check),
    "divergence": (divergence.QUESTION, divergence.check),
}
