"""deploy/lab/faketime: a program's wall clock is moved while it runs, and nothing else of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.lab import apt, faketime
from deploy.lab.faketime import FaketimeMissing, check, find, moved_by, under
from deploy.lab.folder import ClusterError

TELLS = """
import sys, time
for line in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


@pytest.fixture
def asked_apt(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """apt has none; the list has one item each time it is asked."""
    asked: list[str] = []

    def fetch(package: str, *_: object, **__: object) -> Path:
        asked.append(package)
        raise apt.AptFailed("bookworm: not there")

    monkeypatch.setattr(apt, "fetch", fetch)
    monkeypatch.delenv("KESSAI_FAKETIME", raising=False)
    return asked


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """The file by which the clock of a program goes."""
    path = tmp_path / "clock"
    path.write_bytes(moved_by(0))
    return path


@pytest.fixture
def told(clock: Path) -> Iterator[Callable[[], tuple[float, float]]]:
    """Asks a program that runs under libfaketime how far its two clocks are from ours."""
    with subprocess.Popen(
        [*under(find(say=print), clock), sys.executable, "-c", TELLS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:

        def ask() -> tuple[float, float]:
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write("now\n")
            program.stdin.flush()
            wall, monotonic = (float(each) for each in program.stdout.readline().split())
            return wall - time.time(), monotonic - time.monotonic()

        yield ask
        program.kill()


@pytest.mark.parametrize("offset_s", [3600, -3600])
def test_the_wall_clock_moves_there_and_back_and_the_other_one_does_not(
    told: Callable[[], tuple[float, float]], clock: Path, offset_s: int
) -> None:
    for moved_s in (0, offset_s, 0):
        clock.write_bytes(moved_by(moved_s))
        wall, monotonic = told()
        while abs(wall - moved_s) > 60:  # the file is looked at once in a while
            time.sleep(0.1)
            wall, monotonic = told()
        assert abs(monotonic) < 60


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be used|does not move"), (b"no library", "does not move")]
)
def test_what_moves_no_clock_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    library = tmp_path / "libfaketimeMT.so.1"
    if content is not None:
        library.write_bytes(content)
    with pytest.raises(FaketimeMissing, match=words):
        check(library)


def test_the_one_asked_for_is_taken_or_refused_but_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_apt: list[str]
) -> None:
    monkeypatch.setenv("KESSAI_FAKETIME", str(tmp_path / "nothing.so"))
    with pytest.raises(FaketimeMissing, match=r"nothing\.so"):
        find(tmp_path / "tools")
    assert asked_apt == []


def test_one_that_is_installed_is_taken_and_a_bad_one_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_apt: list[str]
) -> None:
    good = tmp_path / "good" / "usr" / "lib" / "x" / "faketime" / "libfaketimeMT.so.1"
    bad = tmp_path / "bad" / "usr" / "lib" / "x" / "faketime" / "libfaketimeMT.so.1"
    for library in (good, bad):
        library.parent.mkdir(parents=True)
        library.touch()

    def check(library: Path) -> None:
        if library == bad:
            raise FaketimeMissing("bad")

    monkeypatch.setattr(faketime, "check", check)
    assert find(tmp_path / "tools", system=tmp_path / "good") == good
    assert asked_apt == []
    with pytest.raises(FaketimeMissing):
        find(tmp_path / "tools", system=tmp_path / "bad")
    assert asked_apt == ["libfaketime"]


def test_when_there_is_none_it_is_said_what_was_tried_and_what_helps(
    tmp_path: Path, asked_apt: list[str]
) -> None:
    with pytest.raises(FaketimeMissing, match=r"bookworm: not there.*KESSAI_FAKETIME") as caught:
        find(tmp_path / "tools", system=tmp_path)
    assert isinstance(caught.value, ClusterError)
