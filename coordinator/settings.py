"""What a coordinator is told at start: where it stands, whom it watches, when it may act.

Read from one JSON file, checked whole before anything is opened.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from coordinator.addresses import over_each


class SettingsError(ValueError):
    """A settings file that cannot be used; the message names the file and the key."""


class Mode(StrEnum):
    """What coordinators do when two of three places agree that the active site serves nobody."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"  # they propose the switch to the operator
    OBSERVE_ONLY = "observe-only"  # they write down what they would have done


class Switching(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a site is switched. All times in milliseconds.

    `agree_ms`: how long the active site must have served no terminal, as seen from two places.
    `move_leader_ms`: a leader that is well inside but that terminals cannot reach is asked to hand
    over within its site when it has not been reached for so long, which is before `agree_ms`.
    """

    mode: Mode = Mode.AUTOMATIC
    probe_ms: int = 250
    probe_deadline_ms: int = 500
    move_leader_ms: int = 700
    agree_ms: int = 1200
    fresh_ms: int = 1500


class Watched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node to probe: `terminals` where it settles, `peers` where it listens to operators.

    `paths`: more IP addresses of its host, each reached over a network switch of its own; the ports
    are the same there.
    """

    node: str
    site: str
    terminals: str
    peers: str
    paths: tuple[str, ...] = ()

    def over_each(self, address: str) -> tuple[str, ...]:
        """`address`, which is one of the two above, then the same port over each path."""
        return over_each(address, self.paths)


class CoordinatorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One coordinator's settings. `place`: with what it fails (a site's name), or the witness."""

    cluster: str
    name: str
    place: str
    etcd: tuple[str, ...]
    nodes: tuple[Watched, ...]
    switching: Switching = Switching()
    etcd_deadline_ms: int = 800


def load(path: Path) -> CoordinatorSettings:
    """Read and check a settings file. Raises `SettingsError` saying what is wrong and where."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=CoordinatorSettings)
    except OSError as problem:
        raise SettingsError(f"{path}: cannot be read: {problem.strerror}") from problem
    except msgspec.MsgspecError as problem:
        raise SettingsError(f"{path}: {problem}") from problem


def dump(settings: CoordinatorSettings) -> bytes:
    """The JSON that `load` reads."""
    return msgspec.json.format(msgspec.json.encode(settings), indent=2)
