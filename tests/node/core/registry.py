"""A linearizable stand-in for etcd: one leader key, one configuration, one revision counter.

It carries out the guarded transactions E2, E4, E5 to the letter. When a request is carried out,
whether its answer arrives, and what is answered instead, is for `World` and the test to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from coordinator.configuration import Configuration, ReplicaId, switch_refusal
from node.core.inputs import (
    CampaignLost,
    ConfigurationSeen,
    GuardFailed,
    GuardPassed,
    GuardUnknown,
    LeaderSeen,
    Won,
)
from node.core.outputs import (
    Campaign,
    ChangeConfiguration,
    RegistryRequest,
    Resign,
    SwitchSite,
)

Answer = Won | CampaignLost | GuardPassed | GuardFailed | GuardUnknown
News = LeaderSeen | ConfigurationSeen


@dataclass(frozen=True, slots=True)
class Holder:
    """The leader key: who holds it, since which revision, by which attempt."""

    epoch: int
    replica: ReplicaId
    attempt: str


@dataclass(slots=True)
class Request:
    """One request of one life of a node, from its sending to its answer."""

    number: int
    node: str
    replica: ReplicaId
    life: int
    ask: RegistryRequest
    executed: bool = False
    passed: bool = False
    revision: int = 0

    def __str__(self) -> str:
        return f"#{self.number} {self.node} {describe(self.ask)}"


PROMOTER = ReplicaId("promotion", "by-hand")
"""Who holds the leader key while the old site is fenced for a promotion with loss (X4)."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A switch of the active site that a coordinator has planned on what it read (E5)."""

    configuration: Configuration
    revision: int


class Registry:
    """What etcd holds. `news` is what its watchers have not been told yet."""

    def __init__(self, configuration: Configuration) -> None:
        self.revision = 5
        self.leader: Holder | None = None
        self.configuration = configuration
        self.configuration_revision = 5
        self.news: list[News] = []

    def leader_seen(self) -> LeaderSeen:
        """The leader key as it is."""
        if self.leader is None:
            return LeaderSeen(0, "", "", self.revision)
        replica = self.leader.replica
        return LeaderSeen(self.leader.epoch, replica.node, replica.disk, self.leader.epoch)

    def configuration_seen(self) -> ConfigurationSeen:
        """The configuration as it is."""
        return ConfigurationSeen(self.configuration, self.configuration_revision)

    def execute(self, request: Request) -> None:
        """Carry the transaction out, once and atomically."""
        request.executed = True
        ask = request.ask
        match ask:
            case Campaign(attempt, suspected, revision):
                held = self.leader.epoch if self.leader else 0
                if held == suspected and revision == self.configuration_revision:
                    self.revision += 1
                    self.leader = Holder(self.revision, request.replica, attempt)
                    self.news.append(self.leader_seen())
                    request.passed = True
            case Resign(epoch):
                if self.leader is not None and self.leader.epoch == epoch:
                    self.delete_leader()
                    request.passed = True
            case ChangeConfiguration(_, epoch, revision, configuration):
                if self.leader is not None and self.leader.epoch == epoch:
                    if revision == self.configuration_revision:
                        self.put_configuration(configuration)
                        request.passed = True
                    elif configuration == self.configuration:
                        request.passed = True  # read back: it was made by the same, sent before
            case SwitchSite(_, epoch, revision, configuration):
                held = self.leader.epoch if self.leader else 0
                if held == epoch and revision == self.configuration_revision:
                    self.switch(configuration)
                    request.passed = True
                elif configuration == self.configuration and self.configuration_revision > revision:
                    request.passed = True  # read back: made, by whomever
        request.revision = self.configuration_revision if _is_change(ask) else self.revision

    def answer(self, request: Request) -> Answer | None:
        """What the requester hears of a request that was carried out. T3: read after winning."""
        match request.ask:
            case Campaign(attempt, _, _) if request.passed and self._holds(request):
                return Won(
                    attempt, request.revision, self.configuration, self.configuration_revision
                )
            case Campaign(attempt, _, _):
                return CampaignLost(attempt, "the key is another's")
            case ChangeConfiguration(number, _, _, _) | SwitchSite(number, _, _, _):
                passed = request.passed
                return GuardPassed(number, request.revision) if passed else GuardFailed(number)
            case _:
                return None

    def _holds(self, request: Request) -> bool:
        """T3: the read after winning also shows whether the key is still the winner's."""
        return self.leader is not None and self.leader.epoch == request.revision

    def delete_leader(self) -> None:
        """The key goes: resigned, or its lease ran out."""
        self.revision += 1
        self.leader = None
        self.news.append(self.leader_seen())

    def put_configuration(self, configuration: Configuration) -> None:
        """A new configuration, by whomever."""
        self.revision += 1
        self.configuration, self.configuration_revision = configuration, self.revision
        self.news.append(self.configuration_seen())

    def switch(self, configuration: Configuration) -> None:
        """E5: a new configuration, and the leader key deleted with it, in one transaction."""
        self.revision += 1
        self.configuration, self.configuration_revision = configuration, self.revision
        self.leader = None
        self.news.append(self.configuration_seen())
        self.news.append(self.leader_seen())

    # -- from outside ---------------------------------------------------------------------------

    def plan_switch(self, to: str) -> Outside | None:
        """What a coordinator would send now to make `to` active; None where it may not (E5)."""
        if switch_refusal(self.configuration, to):
            return None
        return Outside(replace(self.configuration, active_site=to), self.configuration_revision)

    def switch_from_outside(self, outside: Outside) -> bool:
        """The coordinator's transaction compares the configuration's revision, and no epoch."""
        if outside.revision != self.configuration_revision:
            return False
        self.switch(outside.configuration)
        return True

    def take_key(self) -> int:
        """X4: the promoter takes the leader key like a candidate. Returns the epoch to fence at:
        above every one so far, nobody's who leads, and, while the key is at it, the last one."""
        self.revision += 1
        self.leader = Holder(self.revision, PROMOTER, "promotion")
        self.news.append(self.leader_seen())
        return self.revision

    def promote(self, configuration: Configuration, revision: int, held: int | None) -> bool:
        """X4: compares the configuration's revision, and that the key is still the promoter's, so
        that nobody has won it since the fence (None: left out, to show what comes of that)."""
        if revision != self.configuration_revision:
            return False
        if held is not None and (self.leader is None or self.leader.epoch != held):
            return False
        self.switch(configuration)
        return True


def unknown(ask: RegistryRequest) -> Answer | None:
    """What the requester hears when nobody knows the outcome."""
    match ask:
        case Campaign(attempt, _, _):
            return CampaignLost(attempt, "outcome unknown")
        case ChangeConfiguration(number, _, _, _) | SwitchSite(number, _, _, _):
            return GuardUnknown(number)
        case _:
            return None


def describe(ask: RegistryRequest) -> str:
    """The request in a few words."""
    match ask:
        case Campaign(_, suspected, revision):
            return f"Campaign suspected={suspected} configuration={revision}"
        case Resign(epoch):
            return f"Resign epoch={epoch}"
        case ChangeConfiguration(number, epoch, revision, configuration) | SwitchSite(
            number, epoch, revision, configuration
        ):
            return (
                f"{type(ask).__name__} number={number} epoch={epoch} revision={revision} "
                f"{describe_sets(configuration)}"
            )


def describe_sets(configuration: Configuration) -> str:
    """The in-sync sets in a few words: the active site has a star."""
    return " ".join(
        f"{site}{'*' if site == configuration.active_site else ''}"
        f"{{{' '.join(sorted(str(member) for member in members))}}}"
        for site, members in sorted(configuration.in_sync.items())
    )


def _is_change(ask: RegistryRequest) -> bool:
    return isinstance(ask, ChangeConfiguration | SwitchSite)
