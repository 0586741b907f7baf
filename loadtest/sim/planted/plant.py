"""What a planted bug is, and how it is put in: attributes of modules and classes are replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """`name` of `owner`, a module or a class, becomes `into`."""

    owner: object
    name: str
    into: object


@dataclass(frozen=True, slots=True)
class Plant:
    """One bug: the `rule` of docs/protocol.md that it breaks, and in a sentence what is wrong.

    `seasons`: the days on which it can do harm, where most days are in vain; none: any day.
    """

    name: str
    rule: str
    wrong: str
    changes: tuple[Change, ...]
    seasons: tuple[str, ...] = ()


@contextmanager
def planted(plant: Plant) -> Iterator[None]:
    """The bug is in for the time of the block. One at a time, in this process.

    Raises `KeyError` where there is nothing to replace: the product has changed.
    """
    kept = [(each, vars(each.owner)[each.name]) for each in plant.changes]
    try:
        for each in plant.changes:
            setattr(each.owner, each.name, each.into)
        yield
    finally:
        for each, former in reversed(kept):
            setattr(each.owner, each.name, former)
