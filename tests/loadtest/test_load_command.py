"""`kessai load` as a person types it, as real locust processes against a centre in memory."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import loadtest.load_command
from loadtest import history_file
from loadtest.clocks import on_one_clock
from loadtest.history import History
from loadtest.load_command import load
from tests.loadtest.fake_centre import FakeCentre
from tests.loadtest.test_cli import NODE, TOPOLOGY

SMALL = ("--rate", "60", "--terminals", "20", "--duration", "3")
AS_TYPED = (
    "import sys; from pathlib import Path; import loadtest.load_command as command; "
    "command.HOME = Path(sys.argv[1]); command.load(sys.argv[2:])"
)


class Stand:
    """A fake centre, its topology, and the command."""

    def __init__(self, centre: FakeCentre, home: Path) -> None:
        self.centre = centre
        self.home = home
        self.topology = home / "fake.toml"
        nodes = "".join(
            NODE.format(number=number, terminals=endpoint)
            for number, endpoint in enumerate(centre.endpoints, start=1)
        )
        self.topology.write_text(TOPOLOGY.format(nodes=nodes))

    def load(self, *arguments: str) -> Result:
        return CliRunner().invoke(
            load, ["--topology", str(self.topology), *arguments], catch_exceptions=False
        )

    def histories(self) -> list[History]:
        found = sorted(self.home.glob("load/*/history-load*.ndjson"))
        return [history_file.read([each]) for each in found]


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setattr(loadtest.load_command, "HOME", tmp_path)
    with FakeCentre() as centre:
        yield Stand(centre, tmp_path)


def test_both_counts_are_shown_and_locusts_files_written(stand: Stand) -> None:
    html, csv = stand.home / "report.html", stand.home / "figures"
    done = stand.load(*SMALL, "--html", str(html), "--csv", str(csv), "--max-p99-ms", "60000")
    assert done.exit_code == 0, done.output
    (told,) = stand.histories()
    asked = f"{len(told.intents):,}"
    assert f"{asked} requests" in done.output
    assert f"{asked} slots" in done.output
    assert "ok  p99 from the intended start" in done.output
    assert "ok  slots never sent: 0, limit 0" in done.output
    assert "<html" in html.read_text()
    assert (stand.home / "figures_stats.csv").read_text().startswith("Type,Name,Request Count")


def test_a_limit_that_is_not_met_is_exit_status_1(stand: Stand) -> None:
    done = stand.load(*SMALL, "--max-p99-ms", "0.001")
    assert done.exit_code == 1
    assert "NO  p99 from the intended start" in done.output


def test_unsent_slots_fail_a_run_that_locust_thinks_well_of(stand: Stand) -> None:
    stand.centre.leader = None
    done = stand.load(*SMALL, "--profile", "burst", "--peak", "90", "--max-unknown", "999999")
    assert done.exit_code == 1
    assert "NO  slots never sent" in done.output
    assert "ok  results unknown at the end" in done.output


def test_a_ramp_stops_where_it_breaks_and_says_at_what_rate(stand: Stand) -> None:
    ramp = ("--profile", "ramp", "--rate", "20", "--peak", "200", "--duration", "60")
    done = stand.load(*ramp, "--terminals", "20", "--max-p99-ms", "0.001")
    assert done.exit_code == 0, done.output
    assert "ok  broke at " in done.output
    (told,) = stand.histories()
    marks = {mark.name: mark.at_ms for mark in told.marks}
    assert marks["arrivals stopped"] - marks["load began"] < 50_000
    done = stand.load(*ramp, "--terminals", "20", "--max-p99-ms", "0.001", "--min-rate", "190")
    assert done.exit_code == 1
    assert "limit 190/s" in done.output


def test_workers_share_the_terminals_and_their_histories_are_one(stand: Stand) -> None:
    port = free_port()
    done = stand.load(*SMALL, "--workers", "2", "--master-port", str(port))
    assert done.exit_code == 0, done.output
    first, second = stand.histories()
    mine = [{line.request.terminal for line in each.intents} for each in (first, second)]
    assert all(mine)
    assert not mine[0] & mine[1]
    together = on_one_clock([first, second])
    assert len(together.intents) == len(first.intents) + len(second.intents)
    assert f"{len(together.intents):,} requests" in done.output
    assert {line.key for line in together.intents} >= set(stand.centre.ledger)


def test_a_worker_from_elsewhere_brings_its_history(stand: Stand, tmp_path: Path) -> None:
    port = str(free_port())
    locustfile = str(Path("loadtest/locustfile.py").resolve())
    away = [sys.executable, "-m", "locust", "-f", locustfile, "--worker", "--away"]
    away += ["--master-host", "127.0.0.1", "--master-port", port]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    surroundings = {"PYTHONPATH": str(Path.cwd()), "PATH": "", "HOME": str(elsewhere)}
    with subprocess.Popen(away, cwd=elsewhere, env=surroundings, stderr=subprocess.DEVNULL) as far:
        try:
            done = stand.load(*SMALL, "--away", "1", "--master-port", port)
            assert done.exit_code == 0, done.output
            assert far.wait(timeout=20) == 0
        finally:
            far.kill()
    assert "--worker --master-host 127.0.0.1" in done.output
    (sent,) = stand.home.glob("load/*/history-load-0.ndjson")
    (kept,) = elsewhere.glob(".kessai/load/*/history-load-0.ndjson")
    assert sent.read_bytes() == kept.read_bytes()


def test_what_cannot_run_is_exit_status_2(stand: Stand) -> None:
    assert stand.load("--profile", "steady", "--peak", "3").exit_code == 2
    assert stand.load("--profile", "n-minus-one").exit_code == 2  # no node of the lab leads
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        busy = stand.load(*SMALL, "--workers", "1", "--master-port", port)
    assert busy.exit_code == 2
    assert "workers could not be met" in busy.output


def test_a_cluster_that_does_not_run_is_told_at_once(tmp_path: Path) -> None:
    with FakeCentre() as centre:
        stand = Stand(centre, tmp_path)
    done = stand.load(*SMALL)
    assert done.exit_code == 2
    assert "nobody answers for fake" in done.output


def test_ctrl_c_drains_and_is_exit_status_130(stand: Stand) -> None:
    asked = ["--topology", str(stand.topology), "--rate", "60", "--terminals", "20"]
    command = [sys.executable, "-c", AS_TYPED, str(stand.home), *asked, "--duration", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        deadline = time.monotonic() + 60
        while not stand.centre.ledger and time.monotonic() < deadline:
            time.sleep(0.1)
        running.terminate()
        output = running.stdout.read()
        assert running.wait(timeout=60) == 130
    assert "from the intended start" in output
    (told,) = stand.histories()
    assert told.marks[-1].name == "drained"
    (statistics,) = stand.home.glob("load/*/locust-statistics.json")
    assert json.loads(statistics.read_text())


def test_the_web_page_is_one_process_so_that_nothing_outlives_it(stand: Stand) -> None:
    port = free_port()
    arguments = ["--topology", str(stand.topology), "--web", "--web-port", str(port)]
    command = [sys.executable, "-c", AS_TYPED, str(stand.home), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as page:
        try:
            assert answers(port, within_s=30), "the page never came up"
            page.terminate()
            page.wait(timeout=20)
        finally:
            page.kill()
    assert not answers(port, within_s=0.0), "something still serves the page"


def answers(port: int, within_s: float) -> bool:
    """Does anything answer HTTP on this port, tried at least once?"""
    end = time.monotonic() + within_s
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
