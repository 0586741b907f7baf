"""Silence: what a replica does that can vouch for nothing any more."""

from __future__ import annotations

from node.core.inputs import FenceAsked, Input, Inquired, Proposed, Won
from node.core.messages import Refuse
from node.core.outputs import Fenced, NotProposed, ReadRefused, Resign
from node.core.state import State


class Silent:
    """Its disk failed, or the protocol was breached: it answers nobody and leads nothing."""

    role = "silent"

    def __init__(self, state: State, reason: str) -> None:
        self.state = state
        self.reason = reason

    def refuse(self, input: Input) -> None:
        """Turn away what waits for an answer; give a late win back; ignore everything else."""
        match input:
            case Proposed(ticket, _):
                self.state.out.answer.append(NotProposed(ticket, ""))
            case Inquired(read):
                self.state.out.answer.append(ReadRefused(read, ""))
            case FenceAsked(ticket, epoch):
                refuse = Refuse(epoch, self.state.promised, self.state.revision)
                self.state.out.answer.append(Fenced(ticket, refuse))
            case Won(_, epoch, _, _):
                self.state.out.ask_registry.append(Resign(epoch))
            case _:
                pass
