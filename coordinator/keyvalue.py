"""The words in which the project speaks to etcd: pairs, comparisons, transactions, watches.

Pure. `coordinator.registry` turns them into etcd's own messages; nothing else needs to know those.
"""

from __future__ import annotations

from dataclasses import dataclass


class RegistryError(Exception):
    """A request to etcd that brought no answer to build on."""


class Unavailable(RegistryError):
    """Definite: the request was never handed to a server, or a server refused to begin it."""


class OutcomeUnknown(RegistryError):
    """Ambiguous: the request may have been carried out, or may still be. Read back (E3, S4)."""


class Refused(RegistryError):
    """Definite: etcd looked at the request and will not do it; trying again changes nothing."""


class LeaseGone(Refused):
    """Definite: the lease named in the request does not exist any more."""


class UnsupportedVersion(RegistryError):
    """A member runs an etcd too old to be trusted; the message names endpoint and version."""


class Compacted(RegistryError):
    """The history asked for is gone: list again."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key as etcd has it: `mod_revision` is that of its last change, `lease` 0 if it has none."""

    key: str
    value: bytes
    mod_revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything under a prefix, as of `revision`."""

    revision: int
    pairs: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """One change under a watched prefix; `value` is None where the key was deleted."""

    key: str
    value: bytes | None
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A transaction's guard: `key` is still at `mod_revision`; 0 means that it does not exist."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """Write `key`; it goes when `lease` goes, if that is not 0."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `key`; no error if there is none."""

    key: str


@dataclass(frozen=True, slots=True)
class Get:
    """Read `key`, inside the transaction."""

    key: str


Operation = Put | Delete | Get


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction did: which branch ran, at which revision, and what its `Get`s found."""

    succeeded: bool
    revision: int
    found: dict[str, KeyValue]
