"""deploy/lab/clean: what killed runs left goes, and nothing else does."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.lab.clean import clean
from deploy.lab.folder import Folder
from deploy.lab.program import Program

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


def test_nothing_was_left(tmp_path: Path) -> None:
    assert clean(tmp_path) == []
    assert clean(tmp_path / "nowhere") == []


def test_programs_without_their_owner_are_ended_and_their_folder_goes(tmp_path: Path) -> None:
    root = tmp_path / "drill"
    program = Program("a1", root)
    program.start(SLEEP, tmp_path, {})
    (root / "data" / "a1").mkdir(parents=True)
    assert clean(tmp_path) == ["ended a1 of drill", f"removed {root}"]
    assert not program.running()
    assert list(tmp_path.iterdir()) == []


def test_every_folder_of_a_run_goes_and_no_other(tmp_path: Path) -> None:
    for name in ("demo", "bench-x1", "bench-x2", "renewed", "evidence", "tools"):
        (tmp_path / name / "data").mkdir(parents=True)
    assert clean(tmp_path) == [f"removed {tmp_path / n}" for n in ("demo", "bench-x1", "bench-x2")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evidence", "renewed", "tools"]


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "drill"
    program = Program("a1", root)
    program.start(SLEEP, tmp_path, {})
    try:
        with Folder(root).lock("start"):
            (line,) = clean(tmp_path)
            assert line.startswith("left alone: drill is in the hands of process ")
            assert program.running()
    finally:
        program.kill()
