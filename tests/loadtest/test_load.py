"""The load generator as a real locust process against a centre in memory."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from loadtest import history_file
from loadtest.generator import Generator, GeneratorFailed
from loadtest.history import History, Result
from loadtest.load_plan import LoadPlan, Progress, quantile
from loadtest.locust_command import Crew
from loadtest.measure import measure
from tests.loadtest.fake_centre import FakeCentre


@pytest.fixture
def centre() -> Iterator[FakeCentre]:
    with FakeCentre() as centre:
        yield centre


def plan(
    centre: FakeCentre, folder: Path, *, duration_s: float = 60.0, drain_s: float = 5.0
) -> LoadPlan:
    return LoadPlan(
        run="test",
        endpoints=centre.endpoints,
        history=str(folder / "history-load.ndjson"),
        rate=60,
        terminals=20,
        seed=3,
        tag="TEST",
        business_date=20261123,
        duration_s=duration_s,
        drain_s=drain_s,
    )


class Listener:
    """Hears the progress; `wait_for` returns once so much has been heard."""

    def __init__(self) -> None:
        self.lines: list[Progress] = []
        self._changed = threading.Condition()

    def __call__(self, progress: Progress) -> None:
        with self._changed:
            self.lines.append(progress)
            self._changed.notify_all()

    def wait_for(self, heard: int) -> None:
        def enough() -> bool:
            return bool(self.lines) and self.lines[-1].heard >= heard

        with self._changed:
            assert self._changed.wait_for(enough, timeout=60)

    def wait_for_another(self) -> None:
        with self._changed:
            seen = len(self.lines)
            assert self._changed.wait_for(lambda: len(self.lines) > seen + 1, timeout=60)


def read(plan: LoadPlan) -> History:
    return history_file.read([Path(plan.history)])


def test_an_outage_is_measured_from_the_intended_start_and_nothing_is_lost_sight_of(
    centre: FakeCentre, tmp_path: Path
) -> None:
    listener, load = Listener(), plan(centre, tmp_path)
    with Generator(load, tmp_path, listener) as running:
        listener.wait_for(heard=60)
        centre.leader = None
        listener.wait_for_another()
        centre.leader = 2
        centre.drop_answers = 5
        listener.wait_for(heard=listener.lines[-1].heard + 100)
        running.stop()
        running.wait()
    told = read(load)
    figures = measure(told)
    assert figures.slots == figures.answered == len(told.intents)
    assert figures.unknown_at_end == figures.refused == figures.unserved == 0
    # The outage lasted at least a second, and so long waited those who came at its beginning.
    assert figures.longest_gap_ms > 900
    assert figures.longest_wait_ms > 900
    assert figures.retried > 10
    # Written down first, sent afterwards; every settled key is in the centre's ledger, once.
    sent = {line.ask: line.sent_ms for line in told.heard}
    assert all(intent.written_ms <= sent[intent.ask] for intent in told.intents)
    settled = {line.key for line in told.heard if line.result in (Result.OK, Result.DECLINED)}
    assert settled == set(centre.ledger) - {
        line.key for line in told.heard if line.result is Result.MISMATCH
    }
    assert [mark.name for mark in told.marks] == ["load began", "arrivals stopped", "drained"]


def test_the_same_seed_asks_the_same_in_the_same_order(centre: FakeCentre, tmp_path: Path) -> None:
    asked = []
    for number in range(2):
        folder = tmp_path / str(number)
        listener, load = Listener(), plan(centre, folder)
        with Generator(load, folder, listener) as running:
            listener.wait_for(heard=60)
            running.stop()
            running.wait()
        by_terminal: dict[str, list[str]] = {}
        for intent in read(load).intents:
            by_terminal.setdefault(intent.request.terminal, []).append(str(intent.request))
        asked.append(by_terminal)
    for terminal in asked[0].keys() & asked[1].keys():
        one, other = asked[0][terminal], asked[1][terminal]
        both = min(len(one), len(other))
        assert both > 0
        assert one[:both] == other[:both]


def test_what_was_never_heard_or_sent_is_counted(centre: FakeCentre, tmp_path: Path) -> None:
    centre.leader = None
    listener, load = Listener(), plan(centre, tmp_path, duration_s=3.0, drain_s=0.5)
    with Generator(load, tmp_path, listener) as running:
        running.wait()
    told = read(load)
    figures = measure(told)
    reads = sum(line.result is Result.READ for line in told.heard)
    assert figures.answered == reads
    assert figures.unknown_at_end == len(told.unresolved()) > 0
    assert sum(line.slots for line in told.unsent) > 0
    assert figures.unserved == figures.slots - reads
    assert figures.longest_gap_ms == pytest.approx(3_000, rel=0.05)


def test_it_ends_when_its_starter_is_killed(centre: FakeCentre, tmp_path: Path) -> None:
    """Its standard input closes with us, so it leaves nothing running behind."""
    code = (
        "import sys, os, signal, msgspec; from pathlib import Path;"
        "from loadtest.generator import Generator; from loadtest.load_plan import load_plan;"
        "g = Generator(load_plan(Path(sys.argv[1])), Path(sys.argv[2]), lambda p: None);"
        "g.begun.wait(60); print(g._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    load = plan(centre, tmp_path, drain_s=1.0)
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode(load))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "plan.json"), str(tmp_path)],
        capture_output=True,
        check=False,
    )
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(timeout=30)
    assert [mark.name for mark in read(load).marks][-1] == "drained"


def test_a_worker_that_dies_ends_the_run(centre: FakeCentre, tmp_path: Path) -> None:
    """Less load than was asked for is not judged; nobody is left behind."""
    load = msgspec.structs.replace(plan(centre, tmp_path), processes=2)
    listener, port = Listener(), free_port()
    crew = Crew(here=2, port=port)
    with Generator(load, tmp_path, listener, crew=crew) as running:
        listener.wait_for(heard=60)
        (victim, *_) = (each for each in commands(port) if "--worker" in each.cmdline())
        victim.kill()
        with pytest.raises(GeneratorFailed, match="do not answer any more"):
            running.wait()
    assert not commands(port)


def test_workers_end_when_their_starter_is_killed(centre: FakeCentre, tmp_path: Path) -> None:
    code = (
        "import sys, os, signal, threading; from pathlib import Path;"
        "from loadtest.generator import Generator; from loadtest.load_plan import load_plan;"
        "from loadtest.locust_command import Crew;"
        "seen = threading.Event();"
        "g = Generator(load_plan(Path(sys.argv[1])), Path(sys.argv[2]),"
        " lambda p: p.heard and seen.set(), crew=Crew(here=2, port=int(sys.argv[3])));"
        "seen.wait(60); os.kill(os.getpid(), signal.SIGKILL)"
    )
    load = msgspec.structs.replace(plan(centre, tmp_path, drain_s=1.0), processes=2)
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode(load))
    port = free_port()
    arguments = [str(tmp_path / "plan.json"), str(tmp_path), str(port)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=False)
    _, alive = psutil.wait_procs(commands(port), timeout=40)
    assert not alive
    histories = sorted(tmp_path.glob("history-load-*.ndjson"))
    ends = [history_file.read([each]).marks[-1].name for each in histories]
    assert ends == ["drained", "drained"]


def commands(port: int) -> list[psutil.Process]:
    """The locust processes that meet at this port, wherever in the tree they are."""
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if {"locust", str(port)} <= set(each.info["cmdline"] or ())
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_generator_that_cannot_start_says_why(centre: FakeCentre, tmp_path: Path) -> None:
    load = plan(centre, tmp_path)
    (tmp_path / "history-load.ndjson").mkdir()
    with (
        pytest.raises(GeneratorFailed, match="Is a directory"),
        Generator(load, tmp_path, Listener()) as running,
    ):
        running.wait()


def test_quantiles() -> None:
    assert quantile([], 0.5) == 0.0
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([float(each) for each in range(100)], 0.99) == 99.0
