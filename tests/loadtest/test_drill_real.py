"""One short drill on a real cluster: real nodes, a real etcd, a real locust, a real SIGKILL."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import msgspec
import psutil
import pytest

from deploy.lab.processes import Cluster
from deploy.topology import Topology
from loadtest import evidence, history_file
from loadtest.business_date import following
from loadtest.checkers.finding import Verdict, ask_all, compose
from loadtest.checkers.panel import PANEL
from loadtest.drill.catalogue import Drill, Limits, Load
from loadtest.drill.grounds import Loopback
from loadtest.drill.runner import Played, Run, Teller, Wanted
from loadtest.drill.steps import (
    Await,
    Heal,
    Hold,
    OnDuty,
    Rate,
    RollOver,
    Services,
    Steady,
    Whole,
)
from loadtest.drill.verdict import Ruling
from loadtest.faults import Kill, Pause, Switch
from loadtest.history import Intent, Result
from loadtest.load_plan import Progress
from loadtest.request import Call
from tests.deploy.small import topology, two_sites

LEADER_DIES = Drill(
    title="t",
    title_ja="t",
    about="t",
    name="short-leader-crash",
    steps=(
        Steady(1.0),
        Rate(2.0),
        RollOver(),
        Kill("leader"),
        OnDuty(),
        Rate(1.0),
        Hold(1.0),
        Services(required=False),
        Heal(),
        Whole(),
        Steady(1.0),
    ),
    limits=Limits(failed=0, unserved=0, new_leader=True, services=7),
    load=Load(rate=60, terminals=20),
)


def play(drill: Drill, ground: Topology, folder: Path, told: list[str]) -> Played:
    def progress(second: Progress) -> None:
        told.append(f"second {second.at_s:.0f}")

    wanted = Wanted(
        seed=5,
        rate=drill.load.rate,
        root=folder / "cluster",
        evidence=folder / "evidence",
        command="test",
    )
    return Run(drill, Loopback(ground), wanted, Teller(told.append, progress)).play()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Played, list[str]]:
    told: list[str] = []
    return play(LEADER_DIES, topology(), tmp_path_factory.mktemp("drill"), told), told


def test_the_drill_passes_and_says_what_it_did(played: tuple[Played, list[str]]) -> None:
    result, told = played
    assert result.verdict.ruling is Ruling.PASS, (result.verdict, told)
    assert result.figures is not None
    assert result.figures.unserved == result.figures.unknown_at_end == 0
    assert any(words.startswith("-- kill") for words in told)
    assert any(words.startswith("second") for words in told)
    for words in ("the rate changes (120 a second)", "services offered (7 of 7", "whole again"):
        assert any(each.startswith(f"-- {words}") for each in told), words


def test_at_the_end_of_the_business_date_every_terminal_closed_it_once(
    played: tuple[Played, list[str]],
) -> None:
    load = json.loads((played[0].folder / "load-plan.json").read_text())
    history = history_file.read([played[0].folder / "history-load.ndjson"])
    last = {line.ask: line.result for line in history.heard}
    by_terminal: dict[str, list[Intent]] = {}
    for intent in history.intents:
        if not intent.again:
            by_terminal.setdefault(intent.request.terminal, []).append(intent)
    assert len(by_terminal) == load["terminals"]
    for asked in by_terminal.values():
        dates = [each.request.business_date for each in asked]
        assert sorted(set(dates)) == [load["business_date"], following(load["business_date"])]
        close = asked[dates.index(following(load["business_date"])) - 1]
        assert (close.request.call, last[close.ask]) == (Call.CLOSE, Result.OK)


def test_the_evidence_can_be_judged_again_and_a_change_is_found(
    played: tuple[Played, list[str]],
) -> None:
    folder = played[0].folder
    assert evidence.altered(folder) == []
    assert compose(ask_all(PANEL, evidence.read(folder))) is Verdict.PASS
    for name in ("verdict.json", "drill.json", "load-plan.json", "events.ndjson", "log-a1.txt"):
        assert (folder / name).exists()
    assert json.loads((folder / "verdict.json").read_text())["ruling"] == "pass"
    ledger = next(iter(folder.glob("ledger-*.ndjson")))
    ledger.write_text(ledger.read_text().replace('"outcome":1', '"outcome":2', 1))
    assert evidence.altered(folder) == [ledger.name]
    assert compose(ask_all(PANEL, evidence.read(folder))) is Verdict.FAIL


def test_what_cannot_be_played_is_inconclusive_and_still_healed(tmp_path: Path) -> None:
    impossible = Drill(
        title="t",
        title_ja="t",
        about="t",
        name="impossible",
        steps=(Steady(0.5), Kill("follower"), Await(7, within_s=0.5), Steady(0.5)),
        limits=Limits(),
        load=Load(rate=30, terminals=10),
    )
    told: list[str] = []
    result = play(impossible, topology(), tmp_path, told)
    assert result.verdict.ruling is Ruling.INCONCLUSIVE
    assert "7 in sync" in result.verdict.unplayed
    assert any("healed at the end" in words for words in told)
    assert {finding.verdict for finding in result.verdict.findings} == {Verdict.PASS}


def test_an_interruption_heals_and_leaves_nothing_running(tmp_path: Path) -> None:
    ground = topology()
    told: list[str] = []

    def say(words: str) -> None:
        told.append(words)
        if words.startswith("-- pause"):
            raise KeyboardInterrupt

    paused = Drill(
        title="t",
        title_ja="t",
        about="t",
        name="interrupted",
        steps=(Steady(0.2), Pause("follower"), Hold(60), Steady(1)),
        limits=Limits(),
        load=Load(rate=30, terminals=10),
    )
    wanted = Wanted(5, 30, tmp_path / "cluster", tmp_path / "evidence", "test")
    with pytest.raises(KeyboardInterrupt):
        Run(paused, Loopback(ground), wanted, Teller(say, lambda second: None)).play()
    assert Cluster(ground, tmp_path / "cluster").running() == ()
    assert generators() == []
    (events,) = (tmp_path / "evidence").glob("*/events.ndjson")
    assert "KeyboardInterrupt" in events.read_text().splitlines()[-1]


def generators() -> list[str]:
    """Load generators of ours that still run: not one that ended and was not waited for."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(" ".join(process.cmdline()))
    return [command for command in found if "locustfile" in command]


def test_the_sites_are_switched_under_load_and_everything_is_accepted_there(
    tmp_path: Path,
) -> None:
    switched = Drill(
        title="t",
        title_ja="t",
        about="t",
        name="short-site-switch",
        steps=(
            Steady(1.0),
            Switch("standby-site"),
            Await(in_sync=2, standby_in_sync=2, mode="in sync", active="b"),
            Services(),
            Steady(1.0),
        ),
        limits=Limits(failed=0, unserved=0, new_leader=True),
        load=Load(rate=60, terminals=20),
    )
    told: list[str] = []
    result = play(switched, two_sites(), tmp_path, told)
    assert result.verdict.ruling is Ruling.PASS, (result.verdict, told)
    assert any(words.startswith("-- services offered (7 of 7") for words in told)
    states = msgspec.json.decode((result.folder / evidence.REPLICAS).read_bytes())["states"]
    assert {each["node"]: each["in_sync"] for each in states} == dict.fromkeys(
        ("a1", "a2", "b1", "b2"), True
    )
