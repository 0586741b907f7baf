"""Rules that are broken on purpose, to see that the model would notice.

Each is one rule of docs/protocol.md read loosely (a BUG_ macro of `protocol.pml`), in a world small
enough to show what comes of it. Were it not found, the model would be blind to that rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtest.model.instances import (
    ADMISSION,
    CRASHES,
    EVICTION,
    NEW_DISK,
    PROMOTION,
    READS,
    RIVALS,
    SWITCH,
    Instance,
)


@dataclass(frozen=True, slots=True)
class Planted:
    """The rule broken by `macro`, and the assertion that must fail in `instance` because of it."""

    macro: str
    rule: str
    about: str
    instance: Instance
    caught_by: str
    quick: bool = False


_CRASH: Final = CRASHES.bounded(CRASHES=1, LEN=2)
_EVICT: Final = EVICTION.bounded(LEN=2, E=2, CHANGES=1)

PLANTED: Final = (
    Planted("BUG_D2", "D2", "acknowledges before the fsync", _CRASH, "agreement", quick=True),
    Planted("BUG_D3", "D3", "promises before it is on disk", _CRASH, "fenced_acks"),
    Planted("BUG_D4", "D4", "the leader counts itself before its fsync", _CRASH, "durability"),
    Planted("BUG_D6", "D6", "a lost disk comes back under its old id", _CRASH, "agreement"),
    Planted(
        "BUG_M1",
        "M1",
        "acknowledges its own last index instead of what matched",
        RIVALS.bounded(E=3, LEN=3),
        "durability",
        quick=True,
    ),
    Planted(
        "BUG_M1_COMMIT",
        "M1",
        "a commit index is taken beyond what matched",
        RIVALS.bounded(E=3, LEN=3),
        "agreement",
    ),
    Planted(
        "BUG_M2",
        "M2",
        "an Append that ends earlier cuts what agrees",
        RIVALS.bounded(E=2, LEN=2),
        "truncation",
    ),
    Planted(
        "BUG_T4_SMALL",
        "T4",
        "a takeover quorum that is one too small",
        RIVALS.bounded(E=2, LEN=2),
        "agreement",
        quick=True,
    ),
    Planted(
        "BUG_T4_OUTSIDE",
        "T4",
        "promises from outside the set (a new disk, the standby) count",
        NEW_DISK.bounded(CHANGES=0),
        "agreement",
    ),
    Planted(
        "BUG_T5",
        "T5",
        "the longest log is chosen, not that of the last epoch",
        RIVALS.bounded(E=4, LEN=4),
        "durability",
    ),
    Planted(
        "BUG_T6",
        "T6",
        "a leader answers before its EpochStart is committed",
        READS.bounded(CHANGES=0),
        "current_read",
    ),
    Planted(
        "BUG_T7",
        "T7",
        "entries of an older epoch are counted (Raft's figure 8)",
        RIVALS.bounded(LEN=2),
        "durability",
        quick=True,
    ),
    Planted("BUG_T8", "T8", "a restarted leader resumes its epoch", _CRASH, "truncation"),
    Planted(
        "BUG_E2",
        "E2, T3",
        "a candidate wins, and goes on, by an old configuration",
        EVICTION.bounded(CHANGES=1),
        "fenced_acks",
    ),
    Planted(
        "BUG_E4",
        "E4",
        "a set is changed without comparing the leader key",
        EVICTION.bounded(CHANGES=1),
        "durability",
    ),
    Planted(
        "BUG_E4_REVISION",
        "E4, S4",
        "a set is changed without comparing its revision, and a late copy comes",
        EVICTION.bounded(E=2, LEN=3, CHANGES=3),
        "durability",
    ),
    Planted(
        "BUG_E5",
        "E5",
        "a site is switched without comparing the configuration",
        SWITCH,
        "durability",
    ),
    Planted(
        "BUG_S1",
        "S1",
        "a new set counts alone before etcd has agreed",
        ADMISSION.bounded(CRASHES=0),
        "agreement",
    ),
    Planted("BUG_S2", "S2", "a set is changed before it holds everything", _EVICT, "durability"),
    Planted(
        "BUG_S4",
        "S4",
        "an unknown outcome is taken for a failure",
        _EVICT,
        "durability",
        quick=True,
    ),
    Planted(
        "BUG_S4_SEEN",
        "S4",
        "the same change, made by another leader, is taken for the own",
        ADMISSION.bounded(CRASHES=0),
        "agreement",
    ),
    Planted(
        "BUG_X1",
        "X1",
        "the active site's majority is enough",
        SWITCH.bounded(E=2, CHANGES=1),
        "durability",
    ),
    Planted(
        "BUG_X4_FENCE",
        "X4",
        "promoted without fencing the old site",
        PROMOTION.bounded(LEN=2),
        "loss_listed",
    ),
    Planted(
        "BUG_X4_KEY",
        "X4",
        "promoted without comparing the leader key",
        PROMOTION.bounded(LEN=2),
        "loss_listed",
    ),
    Planted(
        "BUG_R1",
        "R1",
        "an answer from before the inquiry proves a read",
        READS.bounded(CHANGES=0),
        "current_read",
    ),
    Planted(
        "BUG_R1_JOINT",
        "R1",
        "the old quorum alone proves a read while a set changes",
        READS,
        "current_read",
    ),
)
