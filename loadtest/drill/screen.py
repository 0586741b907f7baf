"""A drill while it runs: what is noted, and on a terminal one line that says how it goes now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from loadtest.drill.player import Doing
from loadtest.drill.runner import Teller
from loadtest.load_plan import Progress

_REDRAW_PER_S = 4


class Screen:
    """Writes to `console`. Where that is no terminal, it only says what is noted."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._doing: Doing | None = None
        self._until = 0.0
        self._progress: Progress | None = None

    @contextmanager
    def live(self) -> Iterator[Teller]:
        """Whom to tell, in the block; the line is up to date as long as that lasts."""
        teller = Teller(self._say, self._hear, self._begin)
        if not self._console.is_terminal:
            yield teller
            return
        with Live(
            console=self._console,
            get_renderable=self._line,
            refresh_per_second=_REDRAW_PER_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield teller

    def _say(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)

    def _hear(self, progress: Progress) -> None:
        self._progress = progress

    def _begin(self, doing: Doing | None) -> None:
        self._doing = doing
        self._until = time.monotonic() + (doing.longest_s if doing else 0.0)

    def _line(self) -> Text:
        words = []
        if self._doing is not None:
            left_s = max(0.0, self._until - time.monotonic())
            words.append(step_words(self._doing, left_s))
        if self._progress is not None:
            words.append(load_words(self._progress))
        return Text("   ".join(words), style="bold cyan", no_wrap=True, overflow="ellipsis")


def step_words(doing: Doing, left_s: float) -> str:
    """Which step is played, and how long it, and all to the end, can take from now on."""
    step = f"{doing.number}/{doing.of} {doing.words}"
    whole_s = left_s + doing.after_s
    return f"{step}: {left_s:.0f} s, all {whole_s:.0f} s" if doing.longest_s else step


def load_words(progress: Progress) -> str:
    """The latest second of load, in short."""
    return (
        f"{progress.rate:.0f}/s  p99 {progress.p99_ms:,.0f} ms  "
        f"waiting {progress.waiting:,}  unknown {progress.unknown:,}"
    )
