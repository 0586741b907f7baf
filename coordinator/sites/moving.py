"""Asks a leader that terminals cannot reach to hand over within its site (H1).

Only one that is well inside: its operators' port answers while its terminals' port does not. Where
both are slow the node is busy, and another leader would be no better off.
"""

from __future__ import annotations

import asyncio

from coordinator.sites.ports import Dial, Line


async def ask_to_hand_over(dial: Dial, terminals: str, peers: str, deadline_ms: int) -> str:
    """Ask the leader whose two addresses (`host:port`) these are; what came of it, in words.

    A leader that is not to be reached by operators either is no error: the site's switch is next.
    """
    front, back = dial(terminals), dial(peers)
    try:
        return await _ask(front, back, deadline_ms / 1000)
    finally:
        await front.close()
        await back.close()


async def _ask(front: Line, back: Line, deadline_s: float) -> str:
    reached = asyncio.ensure_future(front.is_there(2 * deadline_s))
    try:
        if not await back.is_there(deadline_s):
            return "it could not be asked: nobody answers there either"
        # A busy node answers both questions late, but then both.
        await asyncio.wait({reached}, timeout=deadline_s / 2)
        if reached.done() and reached.result():
            return "it was not asked: terminals reach it after all"
    finally:
        reached.cancel()
    return await back.hand_over(deadline_s)
