"""Ends a call with a `Rejection`: status, message, and the details a terminal can act on."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import grpc.aio

from node.rpc.errors import Rejection
from node.rpc.wire_refusal import DETAILS_KEY, status_details

MESSAGE_CHARACTERS: Final = 1000
"""A longer message would not fit the headers of a reply; the details name every field anyway."""


async def refuse(context: grpc.aio.ServicerContext[Any, Any], rejection: Rejection) -> NoReturn:
    """Abort the call of `context`; raises what grpc.aio wants raised."""
    await context.abort(
        rejection.code,
        rejection.message[:MESSAGE_CHARACTERS],
        ((DETAILS_KEY, status_details(rejection)),),
    )
