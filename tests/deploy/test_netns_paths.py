"""Replicas with an address for each switch, on a network in which one switch fails them."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.deploy.netns_inside import PROJECT


def test_messages_go_on_over_the_other_switch() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy.netns_paths"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Switch 1 loses packets: over the address of switch 2. That is cut one way: back to the others.
    _, lossy, cut = json.loads(done.stdout)
    assert lossy == 2
    assert cut in (0, 1)
