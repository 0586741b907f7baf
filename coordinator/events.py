"""What a session tells its owner: the outcome of what was asked, and what etcd was seen to hold.

Pure. The driver translates these one to one into inputs of the core; the fields are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.configuration import Configuration


@dataclass(frozen=True, slots=True)
class Won:
    """The campaign `attempt` took the leader key at `epoch`; the configuration was read after (T3).

    May come after a `CampaignLost` of the same attempt: a late win (E3). An owner that can no
    longer use it resigns the epoch.
    """

    attempt: str
    epoch: int
    configuration: Configuration
    revision: int


@dataclass(frozen=True, slots=True)
class CampaignLost:
    """The campaign `attempt` did not take the key, or not in time; `reason` is for people."""

    attempt: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeaderSeen:
    """The leader key as etcd had it at `revision`: `epoch` 0, with empty names, for nobody.

    `revision` is the `mod_revision` of the put (then it equals `epoch`) or of the deletion; for a
    key absent from a listing it is the listing's header revision. It lets an owner tell a deletion
    that came before its own win from one that ended it.
    """

    epoch: int
    node: str
    disk: str
    revision: int


@dataclass(frozen=True, slots=True)
class ConfigurationSeen:
    """The configuration as etcd has it now, at its `mod_revision`."""

    configuration: Configuration
    revision: int


@dataclass(frozen=True, slots=True)
class GuardPassed:
    """The guarded change `change` was made, at `revision` (S4)."""

    change: int
    revision: int


@dataclass(frozen=True, slots=True)
class GuardFailed:
    """The guard of `change` did not hold: the epoch or the configuration is another's."""

    change: int


@dataclass(frozen=True, slots=True)
class GuardUnknown:
    """Nobody knows whether `change` was made: send the same again (S4)."""

    change: int


CoordinatorEvent = (
    Won | CampaignLost | LeaderSeen | ConfigurationSeen | GuardPassed | GuardFailed | GuardUnknown
)
