"""Asks a leader that terminals cannot reach to hand over within its site (H1).

Only one that is well inside: its operators' port answers while its terminals' port does not. Where
both are slow the node is busy, and another leader would be no better off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from coordinator.sites.ports import Dial, Line


async def ask_to_hand_over(
    dial: Dial, terminals: Sequence[str], peers: Sequence[str], deadline_ms: int
) -> str:
    """Ask the leader whose two ports these are, each at one `host:port` for every path to it; what
    came of it, in words.

    A leader that is not to be reached by operators either is no error: the site's switch is next.
    """
    fronts, backs = [dial(each) for each in terminals], [dial(each) for each in peers]
    try:
        return await _ask(fronts, backs, deadline_ms / 1000)
    finally:
        for line in (*fronts, *backs):
            await line.close()


async def _ask(fronts: Sequence[Line], backs: Sequence[Line], deadline_s: float) -> str:
    reached = asyncio.ensure_future(_first_there(fronts, 2 * deadline_s))
    try:
        back = await _first_there(backs, deadline_s)
        if back is None:
            return "it could not be asked: nobody answers there either"
        # A busy node answers both questions late, but then both.
        await asyncio.wait({reached}, timeout=deadline_s / 2)
        if reached.done() and reached.result() is not None:
            return "it was not asked: terminals reach it after all"
    finally:
        reached.cancel()
    return await back.hand_over(deadline_s)


async def _first_there(lines: Sequence[Line], within_s: float) -> Line | None:
    """The line over which somebody answers first; None if nobody does over any."""

    async def there(line: Line) -> Line | None:
        return line if await line.is_there(within_s) else None

    asked = [asyncio.ensure_future(there(line)) for line in lines]
    try:
        for each in asyncio.as_completed(asked):
            if (line := await each) is not None:
                return line
        return None
    finally:
        for task in asked:
            task.cancel()
