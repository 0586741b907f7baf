"""The script `kessai`: when it installs, what, and that a later run does nothing of it.

A stand-in for Python on PATH writes down how it was called, so that no test needs the network.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PYTHON = r"""#!/bin/sh
printf '%s\n' "$*" >>"$FAKE/calls"
case "$*" in
    -V) echo "Python $(cat "$FAKE/version")" ;;
    "-c import ensurepip, venv") test ! -e "$FAKE/no-venv" ;;
    "-c import sys; print("*) echo python3.11-venv ;;
    -c*) test ! -e "$FAKE/too-old" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *--require-hashes*)
        echo "pip at work"
        while test -e "$FAKE/hold"; do sleep 0.02; done
        test ! -e "$FAKE/broken-network" ;;
    *kessai.py*) shift; echo "ran: $*" ;;
esac
"""
APT = '#!/bin/sh\necho "apt-get $*" >>"$FAKE/calls"\nrm -f "$FAKE/no-venv"\n'
# All that the script may count on, and what the stand-ins use themselves.
TOOLS = (
    *("cat", "cut", "dirname", "env", "flock", "grep", "head", "id", "mkdir", "mv", "readlink"),
    *("rm", "sh", "sha256sum", "tail", "true", "cp", "printf", "sleep", "test"),
)


class Checkout:
    """A folder with the script and what it reads, and a PATH of stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.fake = folder / "fake"
        (self.root / "deploy").mkdir(parents=True)
        (self.root / "proto").mkdir()
        shutil.copy(ROOT / "kessai", self.root / "kessai")
        (self.root / "deploy" / "requirements.lock").write_text("one==1 --hash=sha256:0\n")
        (self.root / "pyproject.toml").write_text("")
        (self.root / "proto" / "build_hook.py").write_text("")
        (self.root / "proto" / "a.proto").write_text("")
        (self.fake / "bin").mkdir(parents=True)
        (self.fake / "version").write_text("3.11.2")
        self.program("python3.11", PYTHON)
        for tool in TOOLS:
            (self.fake / "bin" / tool).symlink_to(str(shutil.which(tool)))

    def program(self, name: str, text: str) -> None:
        path = self.fake / "bin" / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "kessai", *arguments],
            env={"PATH": str(self.fake / "bin"), "FAKE": str(self.fake)},  # no HOME
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def calls(self) -> str:
        """What was asked of the stand-ins since the last time."""
        path = self.fake / "calls"
        text = path.read_text() if path.exists() else ""
        path.write_text("")
        return text

    def hold(self) -> Path:
        """While this file is there, pip does not finish."""
        path = self.fake / "hold"
        path.touch()
        return path

    def await_pip(self) -> None:
        log = self.root / ".kessai" / "install.log"
        deadline = time.monotonic() + 30
        while not (log.exists() and "pip at work" in log.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_run_installs_and_hands_over(checkout: Checkout) -> None:
    status, out, err = checkout.run("status", "--json", "two words")
    assert (status, out) == (0, "ran: status --json two words\n")
    assert [line.partition(" (")[0] for line in err.splitlines()] == [
        "kessai: making .venv with Python 3.11.2",
        "kessai: installing 1 locked packages",
        "kessai: generating the stubs of proto/ and installing kessai itself",
        "kessai: ready",
    ]
    assert "--require-hashes" in checkout.calls()


def test_a_later_run_only_hands_over(checkout: Checkout) -> None:
    checkout.run()
    checkout.calls()
    assert checkout.run("pay") == (0, "ran: pay\n", "")
    assert "pip" not in checkout.calls()


@pytest.mark.parametrize("changed", ["deploy/requirements.lock", "new Python", "moved"])
def test_another_lock_python_or_place_makes_everything_anew(
    checkout: Checkout, changed: str
) -> None:
    checkout.run()
    checkout.calls()
    if changed == "new Python":
        (checkout.fake / "version").write_text("3.11.9")
    elif changed == "moved":
        checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))
    else:
        (checkout.root / changed).write_text("one==2 --hash=sha256:0\n")
    assert checkout.run()[0] == 0
    calls = checkout.calls()
    assert "-m venv" in calls
    assert "--require-hashes" in calls


@pytest.mark.parametrize("changed", ["pyproject.toml", "proto/a.proto", "proto/build_hook.py"])
def test_another_wire_makes_only_the_stubs_anew(checkout: Checkout, changed: str) -> None:
    checkout.run()
    checkout.calls()
    (checkout.root / changed).write_text("changed")
    assert checkout.run()[0] == 0
    calls = checkout.calls()
    assert "--no-build-isolation" in calls
    assert "--require-hashes" not in calls


def test_a_new_proto_file_is_seen(checkout: Checkout) -> None:
    checkout.run()
    checkout.calls()
    (checkout.root / "proto" / "b.proto").write_text("new")
    checkout.run()
    assert "--no-build-isolation" in checkout.calls()


def test_a_failed_step_shows_its_output_and_is_done_again(checkout: Checkout) -> None:
    (checkout.fake / "broken-network").touch()
    status, out, err = checkout.run("up")
    assert (status, out) == (1, "")
    assert "pip at work" in err
    assert "that failed; all of its output is in " in err
    (checkout.fake / "broken-network").unlink()
    checkout.calls()
    status, out, err = checkout.run("up")
    assert (status, out) == (0, "ran: up\n")
    assert "an earlier install was interrupted; starting over" in err
    assert "-m venv" in checkout.calls()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_install_is_done_again(checkout: Checkout, number: signal.Signals) -> None:
    hold = checkout.hold()
    process = checkout.start("up")
    checkout.await_pip()
    os.killpg(process.pid, number)
    process.communicate()
    hold.unlink()
    status, out, err = checkout.run("up")
    assert (status, out) == (0, "ran: up\n")
    assert "an earlier install was interrupted; starting over" in err


def test_two_at_once_install_once(checkout: Checkout) -> None:
    hold = checkout.hold()
    first = checkout.start("first")
    checkout.await_pip()
    second = checkout.start("second")
    assert second.stderr is not None
    assert second.stderr.readline() == ("kessai: another install is under way; waiting for it\n")
    hold.unlink()
    assert first.communicate(timeout=60)[0] == "ran: first\n"
    assert second.communicate(timeout=60)[0] == "ran: second\n"
    assert checkout.calls().count("--require-hashes") == 1


def test_a_missing_venv_module_is_installed_with_apt(checkout: Checkout) -> None:
    (checkout.fake / "no-venv").touch()
    checkout.program("apt-get", APT)
    checkout.program("id", "#!/bin/sh\necho 0\n")
    status, _, err = checkout.run()
    assert status == 0
    assert "kessai: installing the system package python3.11-venv" in err
    assert "apt-get install -y --no-install-recommends python3.11-venv" in checkout.calls()


def test_without_root_sudo_is_used(checkout: Checkout) -> None:
    (checkout.fake / "no-venv").touch()
    checkout.program("apt-get", APT)
    checkout.program("id", "#!/bin/sh\necho 1000\n")
    checkout.program("sudo", '#!/bin/sh\necho "sudo $*" >>"$FAKE/calls"\nexec "$@"\n')
    status, _, _ = checkout.run()
    assert status == 0
    assert "sudo env DEBIAN_FRONTEND=noninteractive apt-get install" in checkout.calls()


def test_without_root_and_sudo_it_says_so(checkout: Checkout) -> None:
    (checkout.fake / "no-venv").touch()
    checkout.program("apt-get", APT)
    checkout.program("id", "#!/bin/sh\necho 1000\n")
    status, out, err = checkout.run()
    assert (status, out) == (1, "")
    assert "this needs root, and there is no sudo" in err


def test_without_a_good_python_it_says_which_are(checkout: Checkout) -> None:
    (checkout.fake / "too-old").touch()
    status, out, err = checkout.run()
    assert (status, out) == (1, "")
    assert err == "kessai: no Python 3.11, 3.12 or 3.13 on PATH: apt-get install python3\n"


def test_it_can_be_called_through_a_link_from_elsewhere(checkout: Checkout) -> None:
    link = checkout.fake / "bin" / "kessai"
    link.symlink_to(checkout.root / "kessai")
    done = subprocess.run(
        [link, "pay"],
        cwd="/",
        env={"PATH": str(checkout.fake / "bin"), "FAKE": str(checkout.fake)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ran: pay\n"


def test_every_check_runs_and_one_that_finds_something_fails_them_all(checkout: Checkout) -> None:
    checkout.run()
    for tool in ("ruff", "mypy", "lint-imports"):
        path = checkout.root / ".venv" / "bin" / tool
        path.write_text(f'#!/bin/sh\necho "{tool} $*"\ntest "$1" != format\n')
        path.chmod(0o755)
    status, out, err = checkout.run("check")
    assert status == 1
    assert out.splitlines() == [
        "ruff check",
        "ruff format --check",
        "mypy --strict",
        "lint-imports ",
    ]
    assert err.splitlines()[-1] == "kessai: found something: ruff format --check"


def test_the_tests_get_an_etcd_and_their_arguments(checkout: Checkout) -> None:
    for tool in ("gcc", "chromium"):
        checkout.program(tool, "#!/bin/sh\n")
    checkout.run()
    checkout.calls()
    assert checkout.run("test", "-k", "a b")[0] == 0
    assert checkout.calls().splitlines()[-2:] == ["-m deploy.lab.etcd_binary", "-m pytest -k a b"]


def test_a_compiler_and_a_browser_are_installed_for_the_tests_and_said(checkout: Checkout) -> None:
    checkout.program("apt-get", APT)
    checkout.program("id", "#!/bin/sh\necho 0\n")
    checkout.run()
    checkout.calls()
    status, _, err = checkout.run("test")
    assert status == 0
    packages = ["gcc", "libc6-dev", "chromium", "fonts-noto-cjk"]
    installed = [line for line in checkout.calls().splitlines() if line.startswith("apt-get")]
    assert [line.split()[-1] for line in installed] == packages
    assert all(f"installing the system package {package}" in err for package in packages)


def test_without_apt_it_is_said_what_the_tests_need(checkout: Checkout) -> None:
    checkout.run()
    status, _, err = checkout.run("test")
    assert status == 1
    assert "the tests need gcc libc6-dev chromium fonts-noto-cjk" in err
