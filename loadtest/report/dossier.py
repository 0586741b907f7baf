"""All that one drill left in its evidence folder, read and typed. Ledgers stay on disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from deploy import topology as topologies
from deploy.topology import Topology, TopologyError
from loadtest import evidence, history_file
from loadtest.checkers.finding import Finding
from loadtest.drill.catalogue import Drill
from loadtest.drill.verdict import Course, Row, Ruling
from loadtest.evidence import Event, EvidenceError, Manifest
from loadtest.history import History
from loadtest.history_file import HistoryError
from loadtest.load_plan import LoadPlan
from loadtest.measure import Figures, NothingMeasured, measure

VERDICT: Final = "verdict.json"
DRILL: Final = "drill.json"
EVENTS: Final = "events.ndjson"
TOPOLOGY: Final = "topology.json"
PLAN: Final = "load-plan.json"

_T = TypeVar("_T")


class Document(msgspec.Struct, frozen=True):
    """What `verdict.json` holds. `figures` by name: another version may have measured others."""

    ruling: Ruling
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    figures: dict[str, Any] | None
    course: Course


class Entry(msgspec.Struct, frozen=True):
    """One line of a node's or a coordinator's log. `at_ms` is Unix time, by that host's clock."""

    at_ms: float
    event: str
    detail: str = ""
    node: str = ""
    coordinator: str = ""

    @property
    def who(self) -> str:
        """Whose line it is."""
        return self.node or self.coordinator


@dataclass(frozen=True, slots=True)
class Dossier:
    """One drill's evidence. `journal` is in the order of time, on the clock of the histories.

    `figures`: as sealed, and from the histories what the sealed ones lack; None where there are
    none. `topology`: None where neither the folder nor this installation knows it. `seal`: the
    SHA-256 of the manifest, which is worth noting down elsewhere.
    """

    folder: Path
    manifest: Manifest
    seal: str
    drill: Drill
    document: Document
    figures: Figures | None
    events: tuple[Event, ...]
    journal: tuple[Entry, ...]
    history: History
    topology: Topology | None


def read(folder: Path) -> Dossier:
    """Everything but the ledgers. Raises `EvidenceError` naming the file that cannot be used."""
    drill = read_drill(folder)
    try:
        told = history_file.read(sorted(folder.glob("history-*.ndjson")))
    except (OSError, HistoryError) as problem:
        raise EvidenceError(f"{folder}: {problem}") from problem
    document = read_document(folder)
    offset_ms = told.headers[0].unix_at_zero_ms if told.headers else 0.0
    return Dossier(
        folder=folder,
        manifest=read_manifest(folder),
        seal=seal_of(folder),
        drill=drill,
        document=document,
        figures=_figures(folder, document, told),
        events=read_events(folder),
        journal=_journal(folder, offset_ms),
        history=told,
        topology=_topology(folder, drill),
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest. Raises `EvidenceError`."""
    return _decoded(folder / evidence.MANIFEST, Manifest)


def read_document(folder: Path) -> Document:
    """The sealed verdict. Raises `EvidenceError`."""
    return _decoded(folder / VERDICT, Document)


def read_drill(folder: Path) -> Drill:
    """What was played. Raises `EvidenceError`."""
    return _decoded(folder / DRILL, Drill)


def read_events(folder: Path) -> tuple[Event, ...]:
    """What the runner did and saw, in its order; a line cut short is left out.

    Raises `EvidenceError`.
    """
    path = folder / EVENTS
    try:
        data = path.read_bytes()
        return tuple(msgspec.json.decode(line, type=Event) for line in _whole_lines(data))
    except (OSError, msgspec.MsgspecError) as problem:
        raise EvidenceError(f"{path}: {problem}") from problem


def _figures(folder: Path, document: Document, told: History) -> Figures | None:
    sealed = document.figures
    if sealed is None:
        return None
    try:
        measured = measure(told, document.course.steady_ms)
    except NothingMeasured as problem:
        raise EvidenceError(f"{folder}: {problem}, but figures were sealed") from problem
    whole = asdict(measured)
    try:
        return msgspec.convert(whole | {n: sealed[n] for n in whole if n in sealed}, Figures)
    except msgspec.ValidationError as problem:
        raise EvidenceError(f"{folder / VERDICT}: figures: {problem}") from problem


def seal_of(folder: Path) -> str:
    """The SHA-256 of the manifest itself. Raises `EvidenceError`."""
    path = folder / evidence.MANIFEST
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as problem:
        raise EvidenceError(f"{path}: {problem}") from problem


def _decoded(path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as problem:
        raise EvidenceError(f"{path}: {problem}") from problem


def _journal(folder: Path, offset_ms: float) -> tuple[Entry, ...]:
    found = [
        msgspec.structs.replace(entry, at_ms=entry.at_ms - offset_ms)
        for path in sorted(folder.glob("log-*.txt"))
        for entry in _entries(path.read_bytes())
    ]
    return tuple(sorted(found, key=lambda entry: entry.at_ms))


def _entries(data: bytes) -> Iterator[Entry]:
    decode = msgspec.json.Decoder(Entry).decode
    for line in _whole_lines(data):
        try:
            yield decode(line)
        except msgspec.MsgspecError:
            continue  # a program's log may hold more than its journal, a traceback for one


def _whole_lines(data: bytes) -> list[bytes]:
    whole, _, _ = data.rpartition(b"\n")
    return [line for line in whole.split(b"\n") if line]


def _topology(folder: Path, drill: Drill) -> Topology | None:
    """As the drill was played on it; from the folder, else this installation's of that name."""
    path = folder / TOPOLOGY
    if path.exists():
        return _decoded(path, Topology)
    try:
        found = drill.changed(topologies.find(drill.topology))
    except TopologyError:
        return None
    return found if _fits(found, folder / PLAN) else None


def _fits(topology: Topology, plan: Path) -> bool:
    """Has every site as many nodes as the terminals were told of? (Addresses differ by ground.)"""
    if not plan.exists():
        return True
    told = Counter(_decoded(plan, LoadPlan).sites.values())
    return told == {site.name: len(site.nodes) for site in topology.sites}
