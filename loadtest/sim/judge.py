"""The drills' judges over a simulated day: what terminals heard against what replicas hold.

The evidence is that of a drill's folder, made in memory. What a promotion with loss has given up
(X4) is known entry by entry: answers that came of those entries are left out of the history, each
by its key, its index and its leader's time, so that nothing else is excused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from coordinator.configuration import ReplicaId
from loadtest.checkers.evidence import Audit, Evidence
from loadtest.checkers.finding import Finding, ask_all
from loadtest.checkers.panel import PANEL
from loadtest.evidence import to_ledger
from loadtest.history import Heard, History
from loadtest.sim.storage.rows import Picture
from loadtest.sim.world import World
from node.core.messages import Entry
from node.ledger.commands import decode_batch
from node.store import audit
from node.store.export import lines

Settlement = tuple[str, int, int]
"""One settlement and no other: key, index, and its leader's time in milliseconds."""


def findings(world: World) -> tuple[Finding, ...]:
    """What every checker says of the world as it stands, in the panel's order."""
    return ask_all(PANEL, evidence(world))


def evidence(world: World) -> Evidence:
    """What a drill would collect now: the ledger of every replica that runs, the audits of those
    that count."""
    configuration, _ = world.configuration()
    counted = configuration.members if configuration else frozenset[ReplicaId]()
    given_up = configuration.given_up if configuration else frozenset[ReplicaId]()
    lives = [node.running for node in world.nodes.values() if node.running is not None]
    pictures = {life.me: life.store.picture() for life in lives}
    in_sync = {replica.node for replica in pictures if replica in counted}
    return Evidence(
        history=without(world.history, settlements(_lost(world))),
        ledgers=tuple(
            to_ledger(lines(picture, replica.node), in_sync, str(replica))
            for replica, picture in pictures.items()
        ),
        audits=tuple(
            _audit(replica.node, picture)
            for replica, picture in pictures.items()
            if replica in counted
        ),
        missing=tuple(str(replica) for replica in sorted(counted - pictures.keys())),
        given_up=frozenset(map(str, given_up)),
    )


def uncounted(world: World) -> str:
    """Why not every node counts again, in words; "" if all do."""
    configuration, _ = world.configuration()
    if configuration is None:
        return "there is no configuration"
    for name, node in world.nodes.items():
        if node.running is None:
            return f"{name} does not run"
        if node.running.me not in configuration.members:
            return f"{node.running.me} does not count"
    return ""


def converged(world: World) -> str:
    """Why the cluster is not whole again, in words; "" if every node counts and all of them hold
    one log, committed and applied to its end."""
    missing = uncounted(world)
    if missing:
        return missing
    ends: dict[tuple[int, bytes], str] = {}
    for name, node in world.nodes.items():
        assert node.running is not None, "every node counts"
        state = node.running.replica.state
        if state.applied < state.log.last_index:
            return f"{name} has applied {state.applied} of {state.log.last_index} entries"
        ends.setdefault((state.log.last_index, state.log.last_hash), name)
    if len(ends) > 1:
        words = ", ".join(f"{name} at {index}" for (index, _), name in ends.items())
        return f"not all hold one log: {words}"
    return ""


def settlements(entries: Iterable[Entry]) -> frozenset[Settlement]:
    """Everything that these entries may have settled."""

    def found() -> Iterator[Settlement]:
        for entry in entries:
            if entry.payload:
                batch = decode_batch(entry.payload)
                for command in batch.commands:
                    yield command.key, entry.index, batch.stamp_ms
                    # A reversal that comes first answers under the key of what it reverses.
                    yield command.original_key, entry.index, batch.stamp_ms

    return frozenset(found())


def without(history: History, lost: Collection[Settlement]) -> History:
    """The history without the answers that came of what is `lost`."""
    return replace(history, heard=tuple(line for line in history.heard if _of(line) not in lost))


def _lost(world: World) -> Iterator[Entry]:
    """What promotions with loss have given up, but for what a survivor turned out to have."""
    for forfeit in world.desk.given_up:
        yield from (entry for entry in forfeit.gone if entry.hash in world.witness.given_up)


def _of(line: Heard) -> Settlement | None:
    reply = line.reply
    return (reply.key, reply.index, reply.settled_at_ms) if reply is not None else None


def _audit(node: str, picture: Picture) -> Audit:
    """The replica's own audit, as `node.store` makes it."""
    report = audit.add_up(picture, rederive=True)
    return Audit(
        node=node,
        index=report.index,
        chain_hash=report.chain_hash.hex(),
        ledger_digest=report.ledger_digest.hex(),
        totals_json=report.totals_json,
        records=report.records,
        rederived=report.rederived,
        problem=report.problem,
    )
