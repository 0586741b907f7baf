"""After the load: hear what is still unknown, then take every replica's ledger at one index."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.audit import audit as audit_cluster
from deploy.control import Control, ControlError, NodeStatus, leader_of
from deploy.lab.processes import Cluster
from loadtest import evidence, history_file
from loadtest.asking import Asking, Surroundings
from loadtest.checkers.evidence import Audit
from loadtest.compass import Compass
from loadtest.drill.lookout import DrillFailed, Note
from loadtest.evidence import Replicas, ReplicaState
from loadtest.history import Heard, Intent, Line, Result
from loadtest.history_file import Recorder
from loadtest.shell_asyncio import Line as Wire
from loadtest.terminal import Manner

_AT_ONCE: Final = 32
_GIVE_UP_MS: Final = 15_000.0
_STILL_S: Final = 15.0


def resolve(
    folder: Path,
    endpoints: tuple[str, ...],
    sites: Mapping[str, str],
    paths: Mapping[str, tuple[str, ...]],
    seed: int,
) -> int:
    """Ask again, with the same key, for everything that was never heard; how many there were.

    What is heard goes to a history of its own, under the ask it belongs to. `sites` and `paths` as
    in loadtest/compass.py.
    """
    histories = sorted(folder.glob("history-*.ndjson"))
    intents = history_file.read(histories).unresolved()
    if intents:
        with Recorder(folder / "history-resolved.ndjson") as recorder:
            asyncio.run(_ask_again(intents, endpoints, sites, paths, seed, recorder))
    return len(intents)


async def _ask_again(
    intents: tuple[Intent, ...],
    endpoints: tuple[str, ...],
    sites: Mapping[str, str],
    paths: Mapping[str, tuple[str, ...]],
    seed: int,
    recorder: Recorder,
) -> None:
    def record(line: Line) -> None:
        # The intent is on record already; an ask that is still unheard has its line, too.
        if isinstance(line, Heard) and line.result is not Result.UNKNOWN:
            words = line.resolved or _how(line)
            recorder.write(msgspec.structs.replace(line, resolved=f"after the load, {words}"))

    around = Surroundings(
        lambda: time.monotonic() * 1000.0, random.Random(f"resolve/{seed}").random, record
    )
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(wire: Wire, intent: Intent) -> None:
        asking = Asking(
            intent.ask,
            intent.request,
            intended_ms=intent.intended_ms,
            compass=Compass.fresh(endpoints, sites=sites, paths=paths),
            manner=Manner(),
            around=around,
        )
        async with slots:
            await wire.carry(asking, _GIVE_UP_MS)

    async with Wire(endpoints) as wire:
        await asyncio.gather(*(one(wire, intent) for intent in intents))


def _how(line: Heard) -> str:
    if line.result is Result.REFUSED:
        return "same key: refused"
    replayed = line.reply is not None and line.reply.replayed
    return "same key: settled before" if replayed else "same key: settled now"


def take_ledgers(folder: Path, cluster: Cluster, note: Note) -> None:
    """Export every replica that answers, those that count at one index, and audit them all.

    Replicas that do not count (they are catching up, or were given up) are taken as they stand.
    Raises `DrillFailed` when those that count do not come to stand at one index.
    """
    statuses, leader = _at_rest(cluster)
    counted = frozenset(leader.counted)
    found = {name: each for name, each in statuses.items() if each is not None}
    for name, status in found.items():
        with Control(cluster.control_endpoints()[name]) as control:
            path = folder / f"ledger-{name}.ndjson"
            try:
                with path.open("w", encoding="utf-8") as file:
                    file.writelines(f"{line}\n" for line in control.export(status.applied_index))
            except ControlError as problem:
                path.unlink()
                note(f"no ledger of {name}", str(problem))
    audited = audit_cluster(_endpoints_of(cluster, found, counted))
    for name, why in audited.silent.items():
        note(f"no audit of {name}", why)
    replicas = Replicas(
        states=tuple(
            ReplicaState(
                replica=status.replica,
                node=status.node,
                role=status.role,
                epoch=status.epoch,
                applied_index=status.applied_index,
                in_sync=status.replica in counted,
                site=status.site,
                why=_why(status, leader, counted),
            )
            for status in found.values()
        ),
        audits=tuple(
            Audit(
                node=each.node,
                index=each.index,
                chain_hash=each.chain_hash,
                ledger_digest=each.ledger_digest,
                totals_json=each.totals_json,
                records=each.records,
                rederived=each.rederived,
                problem=each.problem,
            )
            for each in audited.replicas
        ),
        counted=tuple(sorted(counted)),
        absent={name: "does not answer" for name, each in statuses.items() if each is None},
        given_up=leader.given_up,
    )
    for name in replicas.absent:
        note(f"no ledger of {name}", "it does not answer")
    for state in replicas.states:
        if state.why:
            note(f"{state.node} does not count", state.why)
    target = folder / evidence.REPLICAS
    target.write_bytes(msgspec.json.format(msgspec.json.encode(replicas), indent=2))


def _endpoints_of(
    cluster: Cluster, found: Mapping[str, NodeStatus], counted: frozenset[str]
) -> dict[str, str]:
    """Whom to audit: an audit is at one index, where the others need not come to stand."""
    endpoints = cluster.control_endpoints()
    return {name: endpoints[name] for name, each in found.items() if each.replica in counted}


def _why(status: NodeStatus, leader: NodeStatus, counted: frozenset[str]) -> str:
    if status.replica in counted:
        return ""
    if status.replica in leader.given_up:
        return "given up by a promotion with loss"
    behind = leader.applied_index - status.applied_index
    return f"catching up, {behind} entries behind" + (f"; {status.reason}" if status.reason else "")


def _at_rest(cluster: Cluster) -> tuple[Mapping[str, NodeStatus | None], NodeStatus]:
    """All nodes' statuses and the leader's, when all that count stand at one applied index."""
    deadline = time.monotonic() + _STILL_S
    words = "nobody answers"
    while time.monotonic() < deadline:
        statuses = cluster.statuses()
        leader = leader_of(statuses)
        found = {name: each for name, each in statuses.items() if each is not None}
        words = ", ".join(f"{name} at {each.applied_index}" for name, each in found.items())
        if leader is not None:
            there = [each for each in found.values() if each.replica in leader.counted]
            indexes = {each.applied_index for each in there}
            if len(there) == len(leader.counted) and indexes == {leader.last_index}:
                return statuses, leader
            words += f"; {len(there)} of {len(leader.counted)} that count answer"
        else:
            words += "; nobody leads"
        time.sleep(0.1)
    raise DrillFailed(f"the replicas did not come to rest at one index: {words}")
