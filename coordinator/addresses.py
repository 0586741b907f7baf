"""At which addresses a host is reached that is wired to more than one network."""

from __future__ import annotations

from collections.abc import Iterable


def over_each(address: str, paths: Iterable[str]) -> tuple[str, ...]:
    """`host:port`, then the same port at each of the host's other IP addresses."""
    port = address.rpartition(":")[2]
    return (address, *(f"{path}:{port}" for path in paths))
