"""The evidence folder: what a run leaves behind, so that anybody can judge it again.

| file | what |
|---|---|
| `history-*.ndjson` | what terminals intended and heard (loadtest/history.py) |
| `ledger-NODE.ndjson` | one replica's log and ledger as of one index (node/store/export.py) |
| `replicas.json` | each replica's status and audit at the end, and which were in sync |
| `events.ndjson` | what the runner did and saw, and when |
| `drill.json`, `load-plan.json` | what was run |
| `verdict.json` | figures and findings |
| `manifest.json` | versions, command, and the SHA-256 of every other file |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from loadtest import history_file
from loadtest.checkers.evidence import (
    Audit,
    Balance,
    Closing,
    End,
    Entry,
    Evidence,
    Ledger,
    LedgerLine,
    Meta,
    Record,
    Total,
)

MANIFEST: Final = "manifest.json"
REPLICAS: Final = "replicas.json"
FORMAT: Final = 1


class EvidenceError(ValueError):
    """Evidence that cannot be used; the message names the file and what is wrong with it."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something the runner did or saw, on the same clock as the histories."""

    at_ms: float
    what: str
    detail: str = ""


class ReplicaState(msgspec.Struct, frozen=True):
    """One replica when the ledgers were taken: `replica` is node/disk.

    `in_sync`: it counted, in its own site's set. `why`: what it was, in words, where it did not.
    """

    replica: str
    node: str
    role: str
    epoch: int
    applied_index: int
    in_sync: bool
    site: str = ""
    why: str = ""


class Replicas(msgspec.Struct, frozen=True):
    """All replicas at the end. `absent`: nodes that did not answer, each with why.

    `counted`: all that counted, by the leader's word, as node/disk. `given_up`: those that a
    promotion with loss gave up.
    """

    states: tuple[ReplicaState, ...]
    audits: tuple[Audit, ...]
    counted: tuple[str, ...] = ()
    absent: dict[str, str] = {}
    given_up: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """What was run, with what, and the hash of every file."""

    format: int
    name: str
    command: str
    started_at: str
    seed: int
    versions: dict[str, str]
    files: dict[str, str]


def read(folder: Path) -> Evidence:
    """Everything the checkers need. Raises `EvidenceError` where a file is missing or broken."""
    try:
        told = history_file.read(sorted(folder.glob("history-*.ndjson")))
        replicas = msgspec.json.decode((folder / REPLICAS).read_bytes(), type=Replicas)
        in_sync = {state.node for state in replicas.states if state.in_sync}
        ledgers = tuple(
            read_ledger(path, in_sync) for path in sorted(folder.glob("ledger-*.ndjson"))
        )
    except (OSError, history_file.HistoryError, msgspec.MsgspecError) as problem:
        raise EvidenceError(f"{folder}: {problem}") from problem
    there = {each.replica for each in ledgers}
    missing = tuple(replica for replica in replicas.counted if replica not in there)
    return Evidence(told, ledgers, replicas.audits, missing, frozenset(replicas.given_up))


def read_ledger(path: Path, in_sync: Iterable[str]) -> Ledger:
    """One exported ledger, which must be whole. Raises `EvidenceError`."""
    with path.open("rb") as file:
        return to_ledger(file, in_sync, str(path))


def to_ledger(lines: Iterable[bytes | str], in_sync: Iterable[str], where: str) -> Ledger:
    """The ledger that an export's lines say, all of them. `where` they are from is for the words of
    `EvidenceError`."""
    decode = msgspec.json.Decoder(LedgerLine).decode
    rows: list[LedgerLine] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(decode(line))
        except msgspec.MsgspecError as problem:
            raise EvidenceError(f"{where}:{number}: {problem}") from problem
    if not rows or not isinstance(rows[0], Meta) or rows[0].format != FORMAT:
        raise EvidenceError(f"{where}: does not begin with a meta line of format {FORMAT}")
    if not isinstance(rows[-1], End) or rows[-1].lines != len(rows) - 1:
        raise EvidenceError(f"{where}: was cut short")
    meta = rows[0]
    return Ledger(
        meta=meta,
        entries=tuple(row for row in rows if isinstance(row, Entry)),
        records=tuple(row for row in rows if isinstance(row, Record)),
        balances=tuple(row for row in rows if isinstance(row, Balance)),
        totals=tuple(row for row in rows if isinstance(row, Total)),
        closings=tuple(row for row in rows if isinstance(row, Closing)),
        in_sync=meta.node in set(in_sync),
    )


def seal(
    folder: Path, *, name: str, command: str, started_at: str, seed: int, versions: dict[str, str]
) -> Path:
    """Write the manifest over all files now in the folder; returns its path."""
    files = {
        path.relative_to(folder).as_posix(): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = Manifest(FORMAT, name, command, started_at, seed, versions, files)
    target = folder / MANIFEST
    target.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    return target


def altered(folder: Path) -> list[str]:
    """Files that are missing, changed or new since `seal`. Raises `EvidenceError` without one."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as problem:
        raise EvidenceError(f"{folder / MANIFEST}: {problem}") from problem
    now = {
        path.relative_to(folder).as_posix(): digest(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    names = now.keys() | manifest.files.keys()
    return sorted(name for name in names if now.get(name) != manifest.files.get(name))


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
