"""A day in a small town: tills, a real ledger in memory, and the evidence they leave behind.

Everything between is left out (no network, no quorum), so whatever a checker says against this
evidence is wrong, and whatever is planted in it must be found.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from loadtest import evidence
from loadtest.checkers.evidence import Audit, Evidence
from loadtest.history import Header, Heard, Intent, Line, Result
from loadtest.history_file import Recorder
from loadtest.request import Call, Request
from loadtest.traffic import Till
from loadtest.wire import Word, decode, encode
from node.core.messages import GENESIS_HASH, Entry, chain_hash
from node.engine import Current
from node.ledger.admission import Refusal, admit
from node.ledger.audit import digest
from node.ledger.book import apply
from node.ledger.commands import Command, Receipt, encode_batch
from node.ledger.memory import MemoryStorage
from node.ledger.queries import inquire
from node.rpc import wire as front
from node.store.export import lines
from node.store.snapshot import Snapshot
from proto import settlement_pb2 as pb

NODES = ("a1", "a2", "a3")


@dataclass
class Town:
    """What was settled, and what the terminals heard."""

    storage: MemoryStorage
    entries: list[Entry]
    history: list[Line]
    refused: list[tuple[Request, str]]

    def write(self, folder: Path) -> Path:
        """The evidence folder of three replicas that agree."""
        with Recorder(folder / "history-0.ndjson") as recorder:
            for line in self.history:
                recorder.write(line)
        for node in NODES:
            path = folder / f"ledger-{node}.ndjson"
            path.write_text("".join(f"{each}\n" for each in lines(self._snapshot(node), node)))
        audit = Audit(
            node="",
            index=len(self.entries),
            chain_hash=self.entries[-1].hash.hex(),
            ledger_digest=digest(self.storage).hex(),
            totals_json="",
            records=0,
            rederived=True,
            problem="",
        )
        state = {"role": "follower", "epoch": 1, "applied_index": len(self.entries)}
        replicas = {
            "states": [
                {"replica": f"{node}/d", "node": node, "in_sync": True, **state} for node in NODES
            ],
            "audits": [
                {**{name: getattr(audit, name) for name in Audit.__struct_fields__}, "node": node}
                for node in NODES
            ],
        }
        (folder / evidence.REPLICAS).write_text(json.dumps(replicas))
        return folder

    def _snapshot(self, node: str) -> Snapshot:
        picture = SimpleNamespace(
            meta=SimpleNamespace(
                disk_id=f"disk-{node}", cluster_id="c", prune_index=0, prune_hash=""
            ),
            index=len(self.entries),
            epoch=self.entries[-1].epoch,
            chain_hash=self.entries[-1].hash,
            rows=self.storage,
            entries=lambda: iter(self.entries),
            close=lambda: None,
        )
        return cast("Snapshot", picture)


def live(*, seed: int = 7, tills: int = 4, actions: int = 300) -> Town:
    """Let every till do so many things, one settlement an entry."""
    town = Town(MemoryStorage(), [], [], [])
    town.history.append(Header("town", seed, 1_700_000_000_000.0))
    _append(town, b"")
    day = [
        Till(seed=seed, number=number, tag="TOWN", business_date=20261123)
        for number in range(tills)
    ]
    for turn in range(actions):
        for till in day:
            action = till.next()
            _ask(town, action.request, turn, again=action.again)
    return town


def alter(
    folder: Path, name: str, change: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> Evidence:
    """Rewrite one file line by line (None drops the line) and read the evidence again."""
    path = folder / name
    kept = []
    for line in path.read_text().splitlines():
        changed = change(json.loads(line))
        if changed is not None:
            kept.append(changed)
    for each in kept:
        if each["kind"] == "end":
            each["lines"] = len(kept) - 1
    path.write_text("".join(json.dumps(each) + "\n" for each in kept))
    return evidence.read(folder)


def _ask(town: Town, request: Request, turn: int, *, again: bool) -> None:
    ask = f"{request.terminal}/{turn}"
    at_ms = float(turn)
    town.history.append(Intent(ask, request.key, at_ms, at_ms, request, again))
    word = _answer(town, request)
    town.history.append(
        Heard(
            ask,
            request.key,
            word.result or Result.UNKNOWN,
            at_ms,
            at_ms,
            at_ms + 1.0,
            1,
            "town",
            word.reply,
            word.code,
            word.detail,
        )
    )


def _answer(town: Town, request: Request) -> Word:
    message = encode(request)
    if isinstance(message, pb.InterimRequest):
        return decode(pb.InterimReply())
    if isinstance(message, pb.InquireRequest):
        found = inquire(town.storage, message.idempotency_key)
        return decode(front.inquire_reply(Current(found, len(town.entries))))
    command = (
        front.close_command(message)
        if isinstance(message, pb.CloseRequest)
        else front.settle_command(message)
    )
    if not isinstance(command, Command):
        town.refused.append((request, str(command)))
        return Word(decode(pb.InterimReply()).given, Result.REFUSED, detail=str(command))
    answer: Receipt | Refusal | None = admit(town.storage, [command])[0]
    if isinstance(answer, Refusal):
        town.refused.append((request, answer.message))
        return Word(decode(pb.InterimReply()).given, Result.REFUSED, detail=answer.message)
    if answer is None:
        stamp_ms = 1_700_000_000_000 + len(town.entries)
        (answer,) = _append(town, encode_batch(stamp_ms, (command,)))
    if request.call is Call.CLOSE:
        return decode(front.close_reply(answer))
    return decode(front.settle_reply(answer))


def _append(town: Town, payload: bytes) -> tuple[Receipt, ...]:
    index = len(town.entries) + 1
    previous = town.entries[-1].hash if town.entries else GENESIS_HASH
    town.entries.append(Entry(index, 1, payload, chain_hash(previous, index, 1, payload)))
    return apply(town.storage, index, payload)
