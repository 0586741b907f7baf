"""Who waits for a picture of the ledger at which index, so that applying can stop exactly there."""

from __future__ import annotations

from node.core.messages import Entry
from node.store.problems import IndexPassed, StoreClosed, StoreFailed
from node.store.work import Freeze


class Pictures:
    """`due` are those to take once what is planned is applied."""

    def __init__(self) -> None:
        self.due: list[Freeze] = []
        self._waiting: list[Freeze] = []

    def ask(self, freeze: Freeze, applied: int) -> None:
        """Takes a request in, when the ledger will next stand at `applied`."""
        if freeze.at_index in (0, applied):
            self.due.append(freeze)
        elif freeze.at_index > applied:
            self._waiting.append(freeze)
        elif freeze.done.set_running_or_notify_cancel():
            freeze.done.set_exception(IndexPassed(freeze.at_index, applied))

    def split(self, entries: tuple[Entry, ...]) -> int:
        """How many of the entries may be applied before a picture is due; it is `due` then."""
        target = min((freeze.at_index for freeze in self._waiting), default=None)
        if target is None or not entries or not entries[0].index <= target <= entries[-1].index:
            return len(entries)
        self.due = [freeze for freeze in self._waiting if freeze.at_index == target]
        self._waiting = [freeze for freeze in self._waiting if freeze.at_index != target]
        return target - entries[0].index + 1

    def pass_over(self, applied: int) -> None:
        """The ledger stands at `applied` now, without having stood at what lies before it."""
        waiting, self._waiting = self._waiting, []
        for freeze in waiting:
            self.ask(freeze, applied)

    def abandon(self, problem: StoreFailed | StoreClosed) -> None:
        """Tells all that there will be none."""
        for freeze in (*self.due, *self._waiting):
            if freeze.done.set_running_or_notify_cancel():
                freeze.done.set_exception(problem)
        self.due.clear()
        self._waiting.clear()
