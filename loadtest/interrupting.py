"""Ctrl-C and SIGTERM end a command alike."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def both_interrupt() -> Iterator[None]:
    """SIGTERM raises `KeyboardInterrupt` as Ctrl-C does, in the block. In the main thread only."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    both = (signal.SIGINT, signal.SIGTERM)  # SIGINT, too: a shell's background job ignores it
    before = [signal.signal(each, interrupt) for each in both]
    try:
        yield
    finally:
        for each, handler in zip(both, before, strict=True):
            signal.signal(each, handler)
