"""Sees to it that a cluster ends with the process that asked for that, however that one ends.

`python -m deploy.lab.guardian FOLDER` waits for the end of its input, which is a pipe that only
the owner holds open: it closes when the owner is done, crashes or is killed. Then every program
that has a record in FOLDER is killed. A process of its own, because one that gets SIGKILL can
clean up nothing.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from deploy.lab.program import Program

_PROJECT: Final = Path(__file__).resolve().parents[2]


class Guardian:
    """The owner's side: started with the cluster, dismissed after it."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.lab.guardian", str(root)],
            cwd=_PROJECT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Close its input and wait until it has ended what is left."""
        self._process.communicate()


def end_all(root: Path) -> None:
    """SIGKILL every program with a record below `root`, all at once, then wait for them."""
    programs = [Program(path.stem, root) for path in sorted((root / "run").glob("*.json"))]
    for program in programs:
        program.signal(signal.SIGKILL)
    for program in programs:
        program.kill()


if __name__ == "__main__":
    # The terminal's Ctrl-C is for the owner, which may still want to stop the cluster in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_all(Path(sys.argv[1]))
