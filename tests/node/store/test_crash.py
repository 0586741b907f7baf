"""SIGKILL at work: whatever was reported as persisted is there afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.store import Store
from tests.node.store.parts import log

CHILD = """
import sys
import time
from pathlib import Path
from node.core.outputs import Write
from node.store import Store
from tests.node.store.parts import Ear, log

class Shout(Ear):
    def persisted(self, number):
        print(number, flush=True)
        super().persisted(number)

store, _ = Store.open(Path(sys.argv[1]), node="a1", flush_rows=8)
keep = int(sys.argv[2])
ear = Shout()
store.start(ear)
for entry in log(5000):
    store.write(Write(entry.index, entry.index, 1, None, (entry,)))
    store.apply([entry])
    if entry.index > keep:
        store.prune(entry.index - keep)
    while entry.index == keep + 15 and not store.prune_index:
        time.sleep(0.001)
    ear.until(lambda e: e.number >= entry.index - 20)
"""


@pytest.mark.parametrize(("lines", "keep"), [(3, 5000), (40, 5000), (25, 4), (60, 30)])
def test_what_was_reported_survives_a_kill(tmp_path: Path, lines: int, keep: int) -> None:
    """Also while the log is pruned all the time."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), str(keep)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    heard = [child.stdout.readline() for _ in range(lines)]
    os.kill(child.pid, signal.SIGKILL)
    heard += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    reported = int([line for line in heard if line.endswith("\n")][-1])
    store, recovered = Store.open(tmp_path, node="a1", entries_in_memory=10_000)
    last = recovered.prune_index + len(recovered.entries)
    assert last >= reported >= lines
    assert recovered.promised >= reported
    assert recovered.entries == tuple(log(last)[recovered.prune_index :])
    assert (recovered.prune_index > 0) == (keep < 5000)
    report = store.audit(0, True)
    store.start(_Silent())
    assert report.result(20).problem == ""
    store.close()


class _Silent:
    def persisted(self, number: int) -> None: ...
    def applied(self, index: int, receipts: object) -> None: ...
    def failed(self, reason: str) -> None: ...
