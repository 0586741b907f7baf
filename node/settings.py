"""What one node is told at start: its name, its folder, its addresses, its peers and its timings.

Read from one JSON file, checked whole before anything is opened.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class SettingsError(ValueError):
    """A settings file that cannot be used; the message names the file and the key."""


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another node: `peers` is where it speaks to replicas, `terminals` where it settles.

    `paths`: more IP addresses of its host, each over a network of its own; the ports are the same.
    `batch_every_ms`: while its site is the standby it is never counted, and sent entries once in so
    long only; 0: in real time.
    """

    node: str
    site: str
    peers: str
    terminals: str
    paths: tuple[str, ...] = ()
    batch_every_ms: int = 0


class Timings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All in milliseconds. `suspicion_ms` is stretched at random up to twice before it is used."""

    heartbeat_ms: int = 50
    suspicion_ms: int = 500
    eviction_ms: int = 1500
    etcd_deadline_ms: int = 800
    lease_ms: int = 5000
    handover_ms: int = 200
    retransmit_ms: int = 300


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds that keep a burst from becoming a collapse."""

    waiting_commands: int = 4096
    batch_commands: int = 256
    batches_under_way: int = 4
    batch_interval_ms: float = 20.0
    message_bytes: int = 65536
    append_bytes: int = 1_048_576
    entries_in_memory: int = 4096
    log_keep_entries: int = 20_000  # kept beyond what an in-sync replica may still need
    snapshot_bytes_s: int = 33_554_432  # how fast a snapshot is sent, at most


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node's settings. Addresses are `host:port`; `folder` holds its data, made if absent.

    `paths`: more IP addresses of this host, to be listened at with the same ports. `services`: what
    is offered while this node's site settles; none named: all. `batch_every_ms`: of this node's own
    site, as `Peer` has it of the others'.
    """

    cluster: str
    node: str
    site: str
    folder: str
    terminals: str
    peers: str
    metrics: str
    etcd: tuple[str, ...]
    others: tuple[Peer, ...]
    timings: Timings = Timings()
    limits: Limits = Limits()
    paths: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    batch_every_ms: int = 0
    disk_fault_file: str = ""  # drills: a file that tells the store's VFS how to misbehave


def load(path: Path) -> Settings:
    """Read and check a settings file. Raises `SettingsError` saying what is wrong and where."""
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=Settings)
    except OSError as problem:
        raise SettingsError(f"{path}: cannot be read: {problem.strerror}") from problem
    except msgspec.MsgspecError as problem:
        raise SettingsError(f"{path}: {problem}") from problem
    if any(peer.node == settings.node for peer in settings.others):
        raise SettingsError(f"{path}: others names the node {settings.node!r} itself")
    return settings


def dump(settings: Settings) -> bytes:
    """The JSON that `load` reads."""
    return msgspec.json.format(msgspec.json.encode(settings), indent=2)
