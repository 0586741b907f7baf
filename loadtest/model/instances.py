"""What is explored: bounded worlds for `protocol.pml`, small enough to visit every state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Instance:
    """A bounded world. `witnesses` are what must happen in it somewhere, or it proves nothing.

    `constants` are the model's: N replicas, E leaders (epochs), LEN entries in a log, CRASHES,
    CHANGES of the configuration, READS; masks of replicas: SITE_A, SITE_B, START (who counts at
    first), AFTER (who begins like the one before it), TOGGLED (who may be evicted and admitted).
    `flags` turn parts of the model on: a new disk REPLACES another, DROPS of a whole standby,
    SWITCH of site, PROMOTION with loss.
    """

    name: str
    about: str
    constants: Mapping[str, int]
    flags: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    quick: bool = False

    def bounded(self, **constants: int) -> Instance:
        """The same world with other bounds."""
        return replace(self, constants={**self.constants, **constants})

    def definitions(self, *bugs: str) -> tuple[str, ...]:
        """What the preprocessor is told."""
        constants = (f"-D{name}={value}" for name, value in self.constants.items())
        return (*constants, *(f"-D{flag}" for flag in (*self.flags, *bugs)))

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        words = {
            "N": "replicas",
            "E": "leaders",
            "LEN": "entries",
            "CRASHES": "crashes",
            "CHANGES": "changes",
            "READS": "reads",
        }
        named = ((self.constants[name], word) for name, word in words.items())
        return ", ".join(
            f"{count} {word if count > 1 else _one(word)}" for count, word in named if count
        )


def _one(word: str) -> str:
    return word.removesuffix("es" if word == "crashes" else "s")


_SECOND: Final = "a second leader commits"
_FENCED: Final = "a fenced leader commits"
_TAKEN: Final = "a leader begins with another's log"
_DROPPED: Final = "a follower drops a suffix that conflicts"
_CRASHED: Final = "a crash loses what was not on disk"
_EVICTED: Final = "a replica is evicted"
_ADMITTED: Final = "a replica is admitted"
_JOINT: Final = "a commit while a set changes"
_CHANGED: Final = "a commit in a changed configuration"
_SWITCHED: Final = "the site is switched"
_FROM_B: Final = "a commit led from the other site"

_TAKEOVER: Final = (_SECOND, _FENCED, _TAKEN, _DROPPED)
_SETS: Final = (*_TAKEOVER, _JOINT, _CHANGED)

# Worlds, with their smallest useful bounds.
_ONE_SITE: Final = {
    "N": 3,
    "E": 2,
    "LEN": 2,
    "CRASHES": 0,
    "CHANGES": 0,
    "READS": 0,
    "COPIES": 2,
    "SITE_A": 0b111,
    "SITE_B": 0,
    "START": 0b111,
    "AFTER": 0b110,
}
_TWO_OF_THREE: Final = {**_ONE_SITE, "START": 0b011, "AFTER": 0b010}
_SPARE: Final = {**_ONE_SITE, "N": 4, "SITE_A": 0b1111}
_TWO_SITES: Final = {
    **_ONE_SITE,
    "N": 4,
    "SITE_A": 0b0011,
    "SITE_B": 0b1100,
    "START": 0b1111,
    "AFTER": 0b1010,
}
_STANDBY_OUT: Final = {
    **_ONE_SITE,
    "SITE_A": 0b001,
    "SITE_B": 0b110,
    "START": 0b001,
    "AFTER": 0b100,
    "COPIES": 1,
    "CHANGES": 1,
    "E": 4,
}

TAKEOVER: Final = Instance(
    "takeover",
    "three replicas in one site; one of them crashes",
    {**_ONE_SITE, "E": 3, "LEN": 3, "CRASHES": 1},
    witnesses=(*_TAKEOVER, _CRASHED),
)
CRASHES: Final = Instance(
    "crashes",
    "three replicas in one site, two crashes",
    {**_ONE_SITE, "LEN": 3, "CRASHES": 2},
    witnesses=(*_TAKEOVER, _CRASHED),
)
RIVALS: Final = Instance(
    "rivals",
    "three replicas that take the lead from each other again and again",
    {**_ONE_SITE, "E": 4, "LEN": 3},
    witnesses=_TAKEOVER,
    quick=True,
)
EVICTION: Final = Instance(
    "eviction",
    "three replicas; one is evicted and admitted again",
    {**_ONE_SITE, "E": 3, "LEN": 3, "CHANGES": 2, "TOGGLED": 0b111},
    witnesses=(*_SETS, _EVICTED, _ADMITTED),
)
EVICTION_CRASH: Final = Instance(
    "eviction-crash",
    "three replicas; one is evicted and admitted again, and one crashes",
    {**_ONE_SITE, "E": 3, "CRASHES": 1, "CHANGES": 2, "TOGGLED": 0b111},
    witnesses=(*_SETS, _EVICTED, _ADMITTED, _CRASHED),
)
ADMISSION: Final = Instance(
    "admission",
    "two replicas count, the third is admitted; one crashes",
    {**_TWO_OF_THREE, "LEN": 3, "CRASHES": 1, "CHANGES": 1, "TOGGLED": 0b100},
    witnesses=(*_SETS, _ADMITTED, _CRASHED),
)
NEW_DISK: Final = Instance(
    "new-disk",
    "three replicas and a new disk that counts for nothing; it takes another's place",
    {**_SPARE, "CHANGES": 2, "TOGGLED": 0b1111},
    flags=("REPLACES",),
    witnesses=(*_SETS, _EVICTED, _ADMITTED),
)
STANDBY: Final = Instance(
    "standby",
    "2+2; the standby is dropped as a whole and taken back one by one",
    {**_TWO_SITES, "LEN": 3, "CHANGES": 2, "TOGGLED": 0b1100},
    flags=("DROPS",),
    witnesses=(*_SETS, _EVICTED, _ADMITTED),
)
SWITCH: Final = Instance(
    "switch",
    "2+2; the other site becomes active, and may drop the old one or be dropped before",
    {**_TWO_SITES, "E": 3, "CHANGES": 2},
    flags=("DROPS", "SWITCH"),
    witnesses=(*_SETS, _EVICTED, _SWITCHED, _FROM_B),
)
SWITCH_CRASH: Final = Instance(
    "switch-crash",
    "2+2; the site is switched or the standby dropped, and one replica crashes",
    {**_TWO_SITES, "CRASHES": 1, "CHANGES": 1},
    flags=("DROPS", "SWITCH"),
    witnesses=(
        *_SETS,
        _SWITCHED,
        _FROM_B,
        _CRASHED,
        "a change is made when its leader is gone",
    ),
)
READS: Final = Instance(
    "reads",
    "three replicas, two changes, down to one copy; a read must be current",
    {**_ONE_SITE, "CHANGES": 2, "COPIES": 1, "READS": 1, "TOGGLED": 0b111},
    witnesses=(*_SETS, "a read is answered"),
    quick=True,
)
PROMOTION: Final = Instance(
    "promotion",
    "1+2, the standby not in sync; it is promoted with loss",
    {**_STANDBY_OUT, "LEN": 3},
    flags=("PROMOTION",),
    witnesses=(
        _SECOND,
        _FROM_B,
        "a promotion with loss",
        "an acknowledged entry is given up, and listed",
        "a replica that a promotion did not reach must stop",
    ),
)
PROMOTION_2_2: Final = Instance(
    "promotion-2+2",
    "2+2, the standby not in sync; it is promoted with loss while the old leader goes on",
    {**_TWO_SITES, "START": 0b0011, "CHANGES": 1, "E": 3},
    flags=("PROMOTION",),
    witnesses=(
        _SECOND,
        _FROM_B,
        "a promotion with loss",
        "an acknowledged entry is given up, and listed",
        "a leader that was given up commits what is listed",
    ),
)

INSTANCES: Final = (
    TAKEOVER,
    CRASHES,
    RIVALS,
    EVICTION,
    EVICTION_CRASH,
    ADMISSION,
    NEW_DISK,
    STANDBY,
    SWITCH,
    SWITCH_CRASH,
    READS,
    PROMOTION,
    PROMOTION_2_2,
)


def find(name: str) -> Instance:
    """The instance of that name. Raises `KeyError`."""
    return {instance.name: instance for instance in INSTANCES}[name]
