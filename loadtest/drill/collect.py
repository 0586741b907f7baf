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
from deploy.control import Control, ControlError, NodeStatus
from deploy.lab.processes import Cluster
from loadtest import evidence, history_file
from loadtest.asking import Asking, Surroundings
from loadtest.checkers.evidence import Audit
from loadtest.drill.scene import DrillFailed, Note
from loadtest.evidence import Replicas, ReplicaState
from loadtest.history import Heard, Intent, Line, Result
from loadtest.history_file import Recorder
from loadtest.shell_asyncio import Line as Wire
from loadtest.terminal import Compass, Manner

_AT_ONCE: Final = 32
_GIVE_UP_MS: Final = 15_000.0
_STILL_S: Final = 15.0


def resolve(folder: Path, endpoints: tuple[str, ...], seed: int) -> int:
    """Ask again, with the same key, for everything that was never heard; how many there were.

    What is heard goes to a history of its own, under the ask it belongs to.
    """
    paths = sorted(folder.glob("history-*.ndjson"))
    intents = history_file.read(paths).unresolved()
    if intents:
        with Recorder(folder / "history-resolved.ndjson") as recorder:
            asyncio.run(_ask_again(intents, endpoints, seed, recorder))
    return len(intents)


async def _ask_again(
    intents: tuple[Intent, ...], endpoints: tuple[str, ...], seed: int, recorder: Recorder
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
            compass=Compass.fresh(endpoints),
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
    """Export every replica that answers, at one index, and audit them all.

    Raises `DrillFailed` when the in-sync replicas do not come to stand at one index.
    """
    statuses = _at_rest(cluster)
    leader = max(
        (each for each in statuses.values() if each.role == "leader" and each.serving),
        key=lambda status: status.epoch,
        default=None,
    )
    counted = set(leader.in_sync) if leader else set()
    for name, status in statuses.items():
        with Control(cluster.control_endpoints()[name]) as control:
            path = folder / f"ledger-{name}.ndjson"
            try:
                with path.open("w", encoding="utf-8") as file:
                    file.writelines(f"{line}\n" for line in control.export(status.applied_index))
            except ControlError as problem:
                path.unlink()
                note(f"no ledger of {name}", str(problem))
    audited = audit_cluster(cluster.control_endpoints())
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
            )
            for status in statuses.values()
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
    )
    target = folder / evidence.REPLICAS
    target.write_bytes(msgspec.json.format(msgspec.json.encode(replicas), indent=2))


def _at_rest(cluster: Cluster) -> Mapping[str, NodeStatus]:
    """Statuses of all nodes that answer, standing at one applied index under one leader."""
    deadline = time.monotonic() + _STILL_S
    words = "nobody answers"
    while time.monotonic() < deadline:
        found = {name: each for name, each in cluster.statuses().items() if each is not None}
        indexes = {each.applied_index for each in found.values()}
        led = any(each.role == "leader" and each.serving for each in found.values())
        if found and len(indexes) == 1 and led:
            return found
        words = ", ".join(f"{name} at {each.applied_index}" for name, each in found.items())
        words += "" if led else "; nobody leads"
        time.sleep(0.1)
    raise DrillFailed(f"the replicas did not come to rest at one index: {words}")
