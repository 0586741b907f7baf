"""deploy/lab/netns: the private ground is entered once, and nothing of it is ever left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from deploy.lab.netns.enter import GroundRefused, available, enter, inside
from deploy.lab.netns.gate import MARK
from deploy.lab.netns.network import Network, NetworkError
from deploy.topology import DEFAULT, load
from tests.deploy.netns_inside import COMMAND, PROJECT, Inside

GATE = (sys.executable, "-m", "deploy.lab.netns.gate")
LIMIT_S = 60.0


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command), cwd=PROJECT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def machine() -> tuple[str, list[str], list[str]]:
    """What anybody on this machine can see: mounts, named namespaces, interfaces."""
    names = Path("/run/netns")
    return (
        Path("/proc/self/mountinfo").read_text(),
        sorted(each.name for each in names.iterdir()) if names.is_dir() else [],
        sorted(line.split(":")[0] for line in Path("/proc/net/dev").read_text().splitlines()[2:]),
    )


def users_of(namespaces: set[str]) -> list[str]:
    """The processes that are in one of these namespaces, or hold one open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for path in (process / "ns/net", process / "ns/pid", *(process / "fd").iterdir()):
                with suppress(OSError):
                    if os.readlink(path) in namespaces:
                        found.append(str(path))
    return found


def namespaces_of(made: Inside) -> set[str]:
    """Every network namespace of a network, and its process namespace."""
    links = {made.run(host, "readlink", "/proc/self/ns/net")[1].strip() for host in made.ready}
    return links | {made.run("room", "readlink", "/proc/self/ns/pid")[1].strip()}


def gate_of(made: Inside) -> psutil.Process:
    return psutil.Process(made.process.pid)


def first_of(made: Inside) -> psutil.Process:
    (first,) = gate_of(made).children()
    return first


def runner_of(made: Inside) -> psutil.Process:
    """The process that builds the network; orphans have the same parent, and are younger."""
    return min(first_of(made).children(), key=lambda each: each.pid)


def killed(which: Callable[[Inside], psutil.Process]) -> Callable[[Inside], None]:
    return lambda made: which(made).send_signal(signal.SIGKILL)


def failed(made: Inside) -> None:
    assert made.process.stdin is not None
    made.process.stdin.write("this is not JSON\n")
    made.process.stdin.flush()


@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param(Inside.close, 0, id="ended"),
        pytest.param(failed, 1, id="failed"),
        pytest.param(lambda made: gate_of(made).terminate(), 128 + 15, id="terminated"),
        pytest.param(killed(runner_of), 128 + 9, id="runner-killed"),
        pytest.param(killed(first_of), 128 + 9, id="first-process-killed"),
        pytest.param(killed(gate_of), -9, id="gate-killed"),
    ],
)
def test_nothing_is_left_behind(end: Callable[[Inside], None], status: int) -> None:
    before = machine()
    with Inside() as made:
        mine = namespaces_of(made)
        assert len(mine) == len(made.ready) + 1
        # One that nobody waits for, on a host, and deaf to all that can be refused.
        made.run("a1", "sh", "-c", "trap '' TERM HUP INT; setsid sleep 600 >/dev/null 2>&1 &")
        # Faults with programs and rules of their own, which nobody ends either.
        made.call("delay", "ra-rb", 50)
        made.call("lossy", "a", 1, 0.5)
        made.call("cut", "room-a2")
        assert users_of(mine)
        end(made)
        assert made.process.wait(LIMIT_S) == status
    deadline = time.monotonic() + LIMIT_S
    while (left := users_of(mine)) and time.monotonic() < deadline:
        time.sleep(0.01)  # the kernel ends them; we only are no longer told when
    assert left == []
    assert machine() == before


def test_a_second_network_can_follow_the_first() -> None:
    code = (
        "from deploy.lab.netns.enter import enter; enter()\n"
        "from pathlib import Path\n"
        "from deploy.lab.netns.network import Network\n"
        "from deploy.topology import DEFAULT, load\n"
        "seen = []\n"
        "for _ in range(2):\n"
        "    with Network(load(DEFAULT)): pass\n"
        "    seen.append([Path('/proc/net', name).read_text() for name in ('route', 'fib_trie')])\n"
        "    seen[-1].append(len(Path('/proc/net/dev').read_text().splitlines()))\n"
        "assert seen[0] == seen[1], seen\n"
        "assert '198.18' not in seen[0][1], seen\n"
    )
    done = run([sys.executable, "-c", code])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_network_stands_at_once() -> None:
    code = (
        "from deploy.lab.netns.enter import enter; enter()\n"
        "import time\n"
        "from deploy.lab.netns.network import Network\n"
        "from deploy.topology import DEFAULT, load\n"
        "began = time.monotonic()\n"
        "with Network(load(DEFAULT)): print(time.monotonic() - began)\n"
    )
    assert float(run([sys.executable, "-c", code]).stdout) < 3.0  # a busy machine: 0.2


def test_the_command_line_begins_anew_once() -> None:
    code = (
        "import sys; from deploy.lab.netns.enter import enter, inside\n"
        "print('begun', inside(), sys.argv[1:], flush=True)\n"
        "enter(); enter()\n"
        "print('in', inside())\n"
    )
    done = run([sys.executable, "-c", code, "x", "-y"])
    assert done.stdout.splitlines() == [
        "begun False ['x', '-y']",
        "begun True ['x', '-y']",
        "in True",
    ], done.stderr


@pytest.mark.parametrize(
    ("script", "status"), [("exit 7", 7), ("kill -KILL $$", 128 + 9), ("/no/such/thing", 127)]
)
def test_the_commands_status_is_the_gates(script: str, status: int) -> None:
    assert run([*GATE, "sh", "-c", script]).returncode == status


def test_a_command_that_is_not_there() -> None:
    done = run([*GATE, "/no/such/thing"])
    assert (done.returncode, done.stderr) == (127, "/no/such/thing: No such file or directory\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_command(number: signal.Signals) -> None:
    code = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(42))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [*GATE, sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as gate:
        try:
            assert gate.stdout is not None
            assert gate.stdout.readline() == b"ready\n"
            gate.send_signal(number)
            assert gate.wait(LIMIT_S) == 42
        finally:
            gate.kill()


def test_it_is_available_here() -> None:
    assert available() == ""


def test_a_mark_from_elsewhere_is_no_ground(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "pid:[1]")
    assert not inside()


def test_nothing_is_built_on_the_machine_itself() -> None:
    before = machine()
    network = Network(load(DEFAULT))
    with pytest.raises(NetworkError, match=r"private ground.*enter\(\) first"):
        network.__enter__()
    with pytest.raises(NetworkError, match="the network is not built"):
        network.cut("ra-rb")
    assert machine() == before


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GroundRefused, match="apt-get install util-linux"):
        enter()


@pytest.mark.parametrize("kind", ["net", "user", "pid", "mnt"])
def test_a_kernel_that_says_no_is_quoted_with_the_remedy(kind: str) -> None:
    # On a private ground the limits are ours to set, for all that is inside.
    code = "from deploy.lab.netns.enter import available; print(available())"
    switch = f"/proc/sys/user/max_{kind}_namespaces"
    script = f'echo 0 > {switch}; unset {MARK}; exec "$0" "$@"'
    done = run([*GATE, "sh", "-c", script, sys.executable, "-c", code])
    assert "(unshare: No space left on device)" in done.stdout, done.stderr
    assert f"as root, sysctl -w user.max_{kind}_namespaces=1000" in done.stdout


@pytest.fixture
def folder_for_all() -> Iterator[Path]:
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path.chmod(0o755)
        for name in ("python", "project", "packages"):
            (path / name).mkdir()
        yield path


def test_an_unprivileged_user_can_do_all_of_it(folder_for_all: Path) -> None:
    before = machine()
    if os.geteuid() != 0:
        command = list(COMMAND)  # everything here is that test
    else:
        command = [*GATE, "sh", "-ec", as_nobody(folder_for_all)]
    with Inside(command) as made:
        made.call("isolate", "a")
        assert made.probe([("a1", "tcp", "a2", 20.0), ("a1", "tcp", "b1", 0.5)]) == ["ok", "silent"]
        assert made.probe([("room", "ping", "a1", 20.0)]) == ["ok"]
    assert machine() == before


def as_nobody(folder: Path) -> str:
    """A script that shows nobody what root alone may read here (Python, the project, its packages),
    in mounts that only the private ground has, and becomes nobody there."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = sysconfig.get_path("purelib")
    return (
        f"mount --bind {sys.base_prefix} {folder}/python\n"
        f"mount --bind {PROJECT} {folder}/project\n"
        f"mount --bind {packages} {folder}/packages\n"
        f"cd {folder}/project\n"
        f"unset {MARK} PYTHONHOME\n"
        f"export PYTHONPATH={folder}/project:{folder}/packages\n"
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all "
        f"{folder}/python/bin/{python} -m tests.deploy.netns_inside\n"
    )
