"""deploy/lab/netns: a whole cluster on it, seen from the room while a site is isolated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.deploy.netns_inside import PROJECT


def test_the_room_sees_into_an_isolated_site(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy.netns_cluster", str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    whole, isolated, again = json.loads(done.stdout)
    # Every node and etcd member answers the room throughout; but e1, alone, has no leader.
    nodes = ["a1", "a2", "b1", "b2"]
    assert whole == again == {"nodes": nodes, "etcd": ["e1", "e2", "e3"]}
    assert isolated == {"nodes": nodes, "etcd": ["e2", "e3"]}
