"""All planted bugs."""

from __future__ import annotations

from typing import Final

from loadtest.sim.planted import changes, quorums, settling, vows
from loadtest.sim.planted.plant import Plant

PLANTS: Final[tuple[Plant, ...]] = (
    *vows.PLANTS,
    *quorums.PLANTS,
    *changes.PLANTS,
    *settling.PLANTS,
)


def find(name: str) -> Plant:
    """The plant of this name. Raises `KeyError`."""
    return {each.name: each for each in PLANTS}[name]
