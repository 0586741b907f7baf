"""Who counts what the settlement service does: a port, so the front knows no metrics library."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Called once a request on the hot path, so it must be cheap: under a microsecond or so."""

    def settled(self, service: int, outcome: int, seconds: float) -> None:
        """A receipt leaves, `seconds` after its request was decoded (service 0: a close)."""
        ...

    def refused(self, reason: str) -> None:
        """A request gets no receipt, for one of the small set of reasons of `node.rpc.errors`."""
        ...
