"""The moments worth waiting for: where a protocol breaks, if it breaks anywhere.

A fault at a random time strikes a cluster that just serves. So a trouble may wait for a moment that
lasts a millisecond: a promise that is on no disk yet, a set change that etcd has and its leader
does not know of. Each is recognised from what is told of one step, and nothing else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from loadtest.sim.happening import Glance, Happened, Kind, Step, Told
from node.core.inputs import FenceAsked, GuardUnknown, Inquired, Proposed, Received
from node.core.messages import Fetch, Handover, Offer, Promise, Refuse
from node.core.outputs import Campaign, Fenced, Install, Output, ReadReady, Write


class Moment(StrEnum):
    """What passes. The words complete "when ..."."""

    # taking over
    CAMPAIGN = "a campaign is on its way to etcd"
    WON = "an epoch is won that nobody has promised"
    VOWED = "a promise to a winner leaves"
    FETCHING = "a winner begins to fetch another's log"
    STARTING = "EpochStart is placed and on no disk"
    STARTED = "EpochStart is committed and not applied"
    SERVING = "a leader begins to serve"
    DEPOSED = "a leader leads no more"
    OVERTAKEN = "a winner is refused, since the site was switched meanwhile"
    # settling
    PLACED = "a batch is on its way and on no disk"
    COMMITTED = "only the leader knows that a batch is committed"
    REPLACING = "the end of a log is being replaced"
    READING = "a read waits for its proof"
    # the in-sync sets
    COVERING = "a set change waits for its new quorum"
    SENT = "a set change is on its way to etcd"
    UNKNOWN = "nobody knows whether etcd made a set change"
    CHANGED = "a set change is made"
    # planned moves
    DRAINING = "a handover drains"
    HANDED = "a handover was sent"
    SWITCH_DRAINING = "a site switch drains"
    SWITCH_SENT = "a site switch is on its way to etcd"
    SWITCHED = "etcd has switched the site"
    # snapshots and pruning
    SNAPSHOT_WANTED = "a snapshot is to be made"
    SNAPSHOT_OFFERED = "a snapshot is offered"
    SNAPSHOT_FETCHING = "a snapshot is being fetched"
    SNAPSHOT_INSTALLING = "a snapshot is being installed"
    SNAPSHOT_INSTALLED = "a snapshot is installed"
    PRUNING = "the log is being pruned"
    # promotion with loss
    FENCING = "a replica is fenced for a promotion, and not on disk"
    FENCED = "a replica has vowed to a promotion that etcd does not know"
    PROMOTED = "a site was promoted with loss"
    # processes and etcd
    DOWN = "a process is gone"
    RESTARTED = "a process begins"
    WOKEN = "a process wakes"
    ETCD_BACK = "etcd is back"
    LEASE_GONE = "a lease has ended"


_HAPPENED: Final = {
    Kind.CRASH: Moment.DOWN,
    Kind.RESTART: Moment.RESTARTED,
    Kind.WAKE: Moment.WOKEN,
    Kind.ETCD_BACK: Moment.ETCD_BACK,
    Kind.LEASE_EXPIRED: Moment.LEASE_GONE,
    Kind.SITE_SWITCHED: Moment.SWITCHED,
    Kind.PROMOTED: Moment.PROMOTED,
    Kind.INSTALLED: Moment.SNAPSHOT_INSTALLED,
}

_PHASES: Final = {
    "fencing": Moment.WON,
    "fetching": Moment.FETCHING,
    "starting": Moment.STARTING,
    "serving": Moment.SERVING,
}
_CHANGES: Final = {"covering": Moment.COVERING, "sent": Moment.SENT}
_MOVES: Final = {
    "handover": Moment.DRAINING,
    "switch draining": Moment.SWITCH_DRAINING,
    "switch asking etcd": Moment.SWITCH_SENT,
}


def moments(told: Told) -> tuple[Moment, ...]:
    """Which moments this is, in no particular order; mostly none.

    They pass with the *end* of the step: what it sends has left, what it writes is on no disk.
    """
    if isinstance(told, Happened):
        moment = _HAPPENED.get(told.kind)
        return () if moment is None else (moment,)
    found: list[Moment] = []
    if told.before != told.after:
        _turn(told.before, told.after, found)
    _ask(told, found)
    _output(told, found)
    return tuple(found)


def place(told: Told) -> str:
    """Whose moment it is: the node's name."""
    return told.who if isinstance(told, Happened) else told.node


def partner(told: Told) -> str:
    """Who else has a part in it: whom the message that matters goes to, else from whom one came.

    "" where nobody has.
    """
    if isinstance(told, Happened):
        return ""
    output = told.output
    for send in output.send:
        if isinstance(send.message, Handover | Offer | Promise | Fetch):
            return send.node
    if output.fetch_snapshot:
        return output.fetch_snapshot[0][0]
    if output.make_snapshot:
        return output.make_snapshot[0]
    return told.input.sender.node if isinstance(told.input, Received) else ""


def _turn(before: Glance, after: Glance, found: list[Moment]) -> None:
    """What the replica is in the middle of now, and was not."""
    if after.phase != before.phase or after.epoch != before.epoch:
        if after.phase:
            found.append(_PHASES[after.phase])
        if before.role == "leader" and after.role != "leader":
            found.append(Moment.DEPOSED)
    if after.change != before.change:
        if after.change:
            found.append(_CHANGES[after.change])
        elif before.change == "sent" and after.role == "leader":
            found.append(Moment.CHANGED)
    if after.move != before.move and after.move:
        found.append(_MOVES[after.move])
    if after.role == "leader" and after.commit > before.commit:
        found.append(Moment.STARTED if after.phase == "starting" else Moment.COMMITTED)


def _ask(step: Step, found: list[Moment]) -> None:
    """What was asked of the replica."""
    match step.input:
        case Proposed() if step.output.persist:
            found.append(Moment.PLACED)
        case Inquired() if step.after.phase == "serving" and not _is_answered(step.output):
            found.append(Moment.READING)
        case GuardUnknown() if step.after.change == "sent":
            found.append(Moment.UNKNOWN)
        case FenceAsked() if step.after.promised > step.before.promised:
            found.append(Moment.FENCING)


def _is_answered(output: Output) -> bool:
    return any(isinstance(answer, ReadReady) for answer in output.answer)


def _output(step: Step, found: list[Moment]) -> None:
    """What the replica has its driver do."""
    output = step.output
    for send in output.send:
        message = send.message
        if isinstance(message, Promise):
            found.append(Moment.VOWED)
        elif isinstance(message, Offer):
            found.append(Moment.SNAPSHOT_OFFERED)
        elif isinstance(message, Handover) and step.after.move == "handover":
            found.append(Moment.HANDED)
        elif isinstance(message, Refuse) and message.promised < message.epoch:
            found.append(Moment.OVERTAKEN)  # for its older configuration (W2)
    for write in output.persist:
        if isinstance(write, Install):
            found.append(Moment.SNAPSHOT_INSTALLING)
        elif isinstance(write, Write) and write.truncate_after is not None:
            found.append(Moment.REPLACING)
    for answer in output.answer:
        if isinstance(answer, Fenced) and isinstance(answer.promise, Promise):
            found.append(Moment.FENCED)
    if output.make_snapshot:
        found.append(Moment.SNAPSHOT_WANTED)
    if output.fetch_snapshot:
        found.append(Moment.SNAPSHOT_FETCHING)
    if output.prune:
        found.append(Moment.PRUNING)
    if any(isinstance(request, Campaign) for request in output.ask_registry):
        found.append(Moment.CAMPAIGN)
