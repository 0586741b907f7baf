"""The numbered rules of docs/protocol.md, and by which sign each is known to have been at work.

A sign is something a rule did: not that a message of some type was seen, but that what followed is
what the rule says and would not have come without it. `signs` looks for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RULES: Final[Mapping[str, str]] = {
    "E1": "a replica of no cluster yet met a Fence or an Append with silence",
    "E2": "a campaign replaced the key it suspected, or lost to another's win",
    "E3": "a win was found by its nonce, or given back, or a former life's key was deleted",
    "E4": "etcd's guard decided on a set change: it was made, or ended the leadership",
    "E5": "the site was switched and the leader key gone at one revision",
    "D1": "a new promise and new entries went to disk as one write",
    "D2": "an Ack left when its writes were on disk, not when it was made",
    "D3": "a Promise left when it was on disk, not in the step of the Fence",
    "D4": "the leader's own fsync was what a commit had been waiting for",
    "D5": "a disk that had gone back was found, at its start or by its leader",
    "D6": "a node came to count again on another disk than before",
    "M1": "an Ack named less than the follower had on disk",
    "M2": "a follower cut a suffix that conflicted",
    "M3": "an Append left while what was before it was not committed yet",
    "M4": "a snapshot was installed",
    "M5": "a replica dropped the beginning of its log",
    "T1": "a member campaigned by itself: for the absent key, or with enough who agreed",
    "T2": "a follower's patience ran out: it asked whether others still hear the leader",
    "T3": "a winner found itself a member in the configuration read after winning",
    "T4": "a winner had promises from a takeover quorum",
    "T5": "a winner took another's log, and led with it",
    "T6": "a leader began to serve with EpochStart applied",
    "T7": "entries of older epochs were committed by one of the leader's own",
    "T8": "a Refuse, or etcd's word of the key, ended a leadership",
    "T9": "a leadership ended with proposals placed and not yet applied",
    "S1": "an index was committed while two configurations counted",
    "S2": "a set change was sent later than it was begun: the new quorum had to catch up",
    "S3": "the transaction of a set change was sent",
    "S4": "a leader that could not know whether its change was made stayed joint",
    "S5": "a new leader began to evict before its EpochStart was committed",
    "S6": "an eviction or an admission was begun",
    "H1": "the target of a handover campaigned at the word of its leader",
    "H2": "a leader that had drained asked etcd to switch the site",
    "X1": "the Ack of a replica of the standby site was what a commit had been waiting for",
    "X2": "the standby was dropped as a whole: degraded",
    "X3": "a new leader was promised enough while one of the other site still thought it led",
    "X4": "a replica vowed to be fenced for a promotion, or disks were given up",
    "X5": "a key was won while every node of the other site was down",
    "W1": "a commit while etcd was away",
    "W2": "a Fence was refused because of an older configuration",
    "R1": "a current read was answered in a later step than it was asked in",
    "R2": "a sales summary was read at a node that does not lead",
    "C1": "a repeated command was answered as the replay it is",
    "C2": "a terminal asked again and heard of what had been settled before",
    "C3": "a stamp stood still because the clock was behind the last one",
}
"""Rule -> the sign of it, in words."""

UNSIGNED: Final[Mapping[str, str]] = {
    "X6": "no day has a standby that is fed in batches",
    "C4": "the nodes' fronts relay nothing here: they name the leader",
}
"""Rules without a sign -> why the simulator does not show them."""
