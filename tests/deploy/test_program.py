"""deploy/lab/program: only what we started is ever signalled, and it is found again later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from deploy.lab.program import Program, ProgramFailed, Record

SLEEPER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('here', flush=True); time.sleep(600)",
]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program("sleeper", tmp_path)
    yield made
    made.kill()


def start(program: Program, command: list[str]) -> int:
    program.start(command, Path("/"), dict(os.environ))
    while "here" not in program.last_words():
        assert program.running()
    pid = program.pid()
    assert pid is not None
    return pid


def record_of(program: Program, folder: Path) -> Path:
    return folder / "run" / f"{program.name}.json"


def test_it_runs_until_it_is_stopped(program: Program, tmp_path: Path) -> None:
    start(program, SLEEPER)
    assert record_of(program, tmp_path).exists()
    assert program.stop(grace_s=10.0)
    assert not program.running()
    assert not record_of(program, tmp_path).exists()


def test_a_second_start_changes_nothing(program: Program) -> None:
    pid = start(program, SLEEPER)
    program.start(SLEEPER, Path("/"), dict(os.environ))
    assert program.pid() == pid


def test_another_object_finds_the_process_again(program: Program, tmp_path: Path) -> None:
    pid = start(program, SLEEPER)
    later = Program("sleeper", tmp_path)
    assert later.pid() == pid
    assert later.kill()
    assert program.pid() is None


def test_a_stubborn_one_is_killed_after_the_grace(program: Program) -> None:
    start(program, STUBBORN)
    assert not program.stop(grace_s=0.1)
    assert not program.running()


def test_a_paused_one_is_running_and_can_be_stopped(program: Program) -> None:
    start(program, SLEEPER)
    assert program.signal(signal.SIGSTOP)
    assert program.running()
    assert program.stop(grace_s=10.0)


def test_a_process_that_only_has_our_number_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (tmp_path / "run").mkdir()
        for record in (
            Record(stranger.pid, 1, boot, ()),  # started at another moment
            Record(stranger.pid, started(stranger.pid), "another-boot", ()),
        ):
            (tmp_path / "run" / "a1.json").write_bytes(msgspec.json.encode(record))
            program = Program("a1", tmp_path)
            assert program.pid() is None
            assert not program.signal(signal.SIGKILL)
            assert not program.kill()
        assert stranger.poll() is None
        assert not (tmp_path / "run" / "a1.json").exists()
    finally:
        stranger.kill()
        stranger.wait()


def started(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat[stat.rindex(")") + 2 :].split()[19])


def test_a_zombie_does_not_run(program: Program) -> None:
    program.start([sys.executable, "-c", ""], Path("/"), dict(os.environ))
    assert program.wait(timeout_s=10.0)
    assert program.pid() is None


def test_a_command_that_is_not_there(program: Program) -> None:
    with pytest.raises(ProgramFailed, match="sleeper cannot be started: /no/such"):
        program.start(["/no/such"], Path("/"), {})


def test_the_log_is_continued_and_its_end_shown(program: Program) -> None:
    for word in ("first", "second"):
        program.start([sys.executable, "-c", f"print('{word}')"], Path("/"), dict(os.environ))
        assert program.wait(timeout_s=10.0)
    assert program.last_words(1) == "  second"
    assert program.log.read_text() == "first\nsecond\n"


def test_an_interrupt_while_starting_leaves_no_unknown_process(tmp_path: Path) -> None:
    # The child interrupts its parent at once, so the signal comes while start() is at work or
    # just after; in both cases there must be a record by which to end it.
    program = Program("sleeper", tmp_path)
    command = [
        sys.executable,
        "-c",
        "import os, signal, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(600)",
    ]

    def start_and_wait() -> None:
        program.start(command, Path("/"), dict(os.environ))
        program.wait(timeout_s=20.0)

    try:
        with pytest.raises(KeyboardInterrupt):
            start_and_wait()
        assert program.pid() is not None
    finally:
        assert program.kill()
