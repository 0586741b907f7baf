"""Coordinators on a real etcd before stand-in nodes: what they report, decide and write down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest
import pytest_asyncio

from coordinator.configuration import Configuration
from coordinator.keyvalue import Get
from coordinator.recording import Recorder, events
from coordinator.records import EventRecord, LeaderRecord, RecordError, ReportRecord
from coordinator.registry import Registry
from coordinator.settings import CoordinatorSettings, Mode, Switching, Watched, dump
from coordinator.sites import lookout
from coordinator.sites.journal import Journal
from coordinator.sites.line import GrpcLine
from coordinator.sites.lookout import Lookout
from coordinator.sites.ports import Means
from coordinator.stamp import stamp
from tests.coordinator.conftest import World, eventually, wall_ms
from tests.coordinator.sites.centre import Node
from tests.coordinator.sites.test_judgement import BOTH, SITES
from tests.etcd_cluster import free_ports

ROOT = Path(__file__).resolve().parents[3]
PLACES = {"ca": "a", "cb": "b", "cw": "witness"}
QUICK = Switching(probe_ms=100, probe_deadline_ms=300, move_leader_ms=300, agree_ms=600)


class Stage:
    """The nodes of both sites, a configuration in etcd, and coordinators as they are wanted."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.sites = {name: site for site, nodes in SITES.items() for name in nodes}
        ports = iter(free_ports(2 * len(self.sites)))
        self.nodes = {name: Node(next(ports)) for name in self.sites}
        # Where operators speak to them: other ports, which may stay up when those are down.
        self.peers = {name: Node(next(ports)) for name in self.sites}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._registries: list[Registry] = []
        self._open = contextlib.ExitStack()

    async def open(self, configuration: Configuration = BOTH) -> None:
        """All nodes up, a1 leads and serves."""
        for node in (*self.nodes.values(), *self.peers.values()):
            await node.start()
        self.nodes["a1"].mood = "serves"
        await self.configure(configuration)
        leader = LeaderRecord("a1", "disk-a1", "a", "a1:1", "nonce")
        await self.world.registry.put(self.world.keys.leader, leader.to_json())

    async def configure(self, configuration: Configuration) -> None:
        """Write the configuration."""
        await self.world.registry.put(self.world.keys.configuration, configuration.to_json())

    def settings(self, name: str, switching: Switching = QUICK) -> CoordinatorSettings:
        """What the coordinator `name` is told."""
        return CoordinatorSettings(
            cluster=self.world.cluster,
            name=name,
            place=PLACES[name],
            etcd=tuple(self.world.etcd.endpoints),
            nodes=tuple(
                Watched(node, site, self.nodes[node].endpoint, self.peers[node].endpoint)
                for node, site in self.sites.items()
            ),
            switching=switching,
        )

    def here(self, switching: Switching = QUICK, names: Sequence[str] = tuple(PLACES)) -> None:
        """Coordinators in this process."""
        for name in names:
            registry = Registry(self.world.etcd.endpoints, 800)
            self._registries.append(registry)
            recorder = Recorder(registry, self.world.keys, name, PLACES[name], wall_ms)
            journal = Journal(name, self._log(name))
            means = Means(GrpcLine, stamp)
            lookout = Lookout(self.settings(name, switching), registry, recorder, journal, means)
            for work in (recorder.run(), lookout.run()):
                self._tasks.append(asyncio.ensure_future(work))

    def _log(self, name: str) -> TextIO:
        return self._open.enter_context((self.folder / f"{name}.log").open("a"))

    async def start(self, name: str) -> None:
        """A coordinator as a process of its own."""
        path = self.folder / f"{name}.json"
        path.write_bytes(dump(self.settings(name)))
        await self.start_with(name, path)

    async def start_with(self, name: str, path: Path) -> None:
        """The same with a settings file of its own."""
        self.processes[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "coordinator", str(path), cwd=ROOT, stderr=self._log(name)
        )

    def said(self, name: str) -> list[dict[str, str]]:
        """The lines of a coordinator's log, without what the gRPC library adds."""
        lines = (self.folder / f"{name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def logs(self, name: str, event: str) -> None:
        """Wait until a coordinator's log has that event."""

        async def look() -> bool | None:
            return any(line["event"] == event for line in self.said(name)) or None

        await eventually(look)

    async def reports(self) -> dict[str, ReportRecord]:
        """What every place reports."""
        found = {}
        for pair in (await self.world.registry.list(self.world.keys.reports)).pairs:
            with contextlib.suppress(RecordError):
                report = ReportRecord.from_json(pair.value)
                found[report.place] = report
        return found

    async def all_look(self, places: Sequence[str] = tuple(PLACES.values())) -> None:
        """Wait until every place has seen the active site serve."""

        async def look() -> bool | None:
            reports = await self.reports()
            return all(p in reports and not reports[p].awaited for p in places) or None

        await eventually(look)

    async def rounds(self, count: int, places: Sequence[str]) -> None:
        """Wait until each place has reported `count` times more."""
        before = await self.reports()

        async def look() -> bool | None:
            now = await self.reports()
            # A round makes two pictures: one to report, one to judge.
            return all(now[p].sequence >= before[p].sequence + 2 * count for p in places) or None

        await eventually(look)

    async def configuration(self) -> Configuration:
        """What etcd has."""
        key = self.world.keys.configuration
        return Configuration.from_json(
            (await self.world.registry.transact((), (Get(key),))).found[key].value
        )

    async def leads(self) -> bool:
        """Is there a leader key?"""
        key = self.world.keys.leader
        return key in (await self.world.registry.transact((), (Get(key),))).found

    async def switched(self) -> bool | None:
        """Is site b the active one?"""
        return (await self.configuration()).active_site == "b" or None

    async def lose(self, site: str) -> None:
        """Every node of the site goes."""
        for name, where in self.sites.items():
            if where == site:
                await self.nodes[name].stop()
                await self.peers[name].stop()

    async def told(self, kind: str) -> list[EventRecord]:
        """The events of one kind."""
        found = await events(self.world.registry, self.world.cluster)
        return [event for event in found if event.kind == kind]

    async def hears(self, kind: str, count: int = 1) -> list[EventRecord]:
        """Wait for events of that kind."""

        async def look() -> list[EventRecord] | None:
            found = await self.told(kind)
            return found if len(found) >= count else None

        return await eventually(look)

    async def close(self) -> None:
        """Everything ends."""
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for registry in self._registries:
            await registry.close()
        for node in (*self.nodes.values(), *self.peers.values()):
            await node.stop()
        self._open.close()


@pytest_asyncio.fixture
async def stage(world: World, tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage with nobody on it yet."""
    made = Stage(world, tmp_path)
    yield made
    await made.close()


# --- As processes -----------------------------------------------------------------------------


async def test_the_loss_of_a_site_and_of_its_place_switches_exactly_once(stage: Stage) -> None:
    await stage.open()
    for name in PLACES:
        await stage.start(name)
    await stage.all_look()
    stage.processes["ca"].kill()
    await stage.lose("a")
    await eventually(stage.switched)
    assert not await stage.leads()
    assert await stage.configuration() == replace(BOTH, active_site="b")
    await stage.rounds(2, ["b", "witness"])
    assert await stage.told("served") == []
    stage.nodes["b1"].mood = "serves"
    served = await stage.hears("served", 2)
    assert all(event.why == "terminals of site b are served here again" for event in served)
    await stage.rounds(3, ["b", "witness"])
    (event,) = await stage.told("site-switch")
    assert event.source in ("cb", "cw")
    assert event.why.startswith("site b is active instead of a: site a serves no terminals")
    for words in ("seen from b (", "and witness (", "a1 silent", "a2 silent", "a3 silent"):
        assert words in event.why
    assert {event.site for event in await stage.told("unserved")} == {"b", "witness"}
    assert await stage.configuration() == replace(BOTH, active_site="b")
    for name in ("cb", "cw"):
        stage.processes[name].terminate()
        assert await stage.processes[name].wait() == 0
        said = stage.said(name)
        assert [line["event"] for line in (said[0], said[-1])] == ["started", "stopped"]
        assert all(line["coordinator"] == name for line in said)
    stopped = await stage.told("coordinator-stopped")
    assert {event.source for event in stopped} == {"cb", "cw"}


async def test_three_coordinators_at_once_switch_exactly_once(stage: Stage) -> None:
    await stage.open()
    for name in PLACES:
        await stage.start(name)
    await stage.all_look()
    await stage.lose("a")
    await eventually(stage.switched)
    await stage.rounds(3, list(PLACES.values()))
    assert len(await stage.told("site-switch")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Input data was truncated"),
        ('{"cluster": "c"}', "missing required field"),
        ('{"cluster":"c","name":"ca","place":"a","etcd":[],"nodes":[]}', "etcd names no endpoint"),
        ('{"cluster":"c","name":"ca","place":"a","etcd":["e"],"nodes":[]}', "nodes names no node"),
        (
            '{"cluster":"c","name":"c/a","place":"a","etcd":["e"],"nodes":[{"node":"a1",'
            '"site":"a","terminals":"h:1","peers":"h:2"}]}',
            "not an event's time, source and serial",
        ),
    ],
)
async def test_settings_that_cannot_be_used_are_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "coordinator",
        str(path),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().startswith(f"refused to start: {path}: ")
    assert words in said.decode()


async def test_without_etcd_it_starts_says_so_once_and_stops_when_told(
    stage: Stage, tmp_path: Path
) -> None:
    settings = stage.settings("ca")
    away = CoordinatorSettings(
        cluster=settings.cluster,
        name="ca",
        place="a",
        etcd=(f"127.0.0.1:{free_ports(1)[0]}",),
        nodes=settings.nodes,
        switching=QUICK,
        etcd_deadline_ms=100,
    )
    path = tmp_path / "ca.json"
    path.write_bytes(dump(away))
    await stage.start_with("ca", path)
    await stage.logs("ca", "etcd-away")
    await asyncio.sleep(1.0)  # some more rounds without etcd
    stage.processes["ca"].terminate()
    assert await stage.processes["ca"].wait() == 0
    assert [line["event"] for line in stage.said("ca")] == ["started", "etcd-away", "stopped"]


# --- In this process --------------------------------------------------------------------------


async def test_a_report_says_what_a_place_sees(stage: Stage) -> None:
    await stage.open()
    await stage.nodes["b3"].stop()
    stage.nodes["b2"].mood = "STORAGE_DOWN"
    stage.here(names=["cw"])
    await stage.all_look(["witness"])
    await stage.rounds(2, ["witness"])
    report = (await stage.reports())["witness"]
    assert (report.source, report.mode, report.active_site) == ("cw", "automatic", "a")
    assert (report.leader, report.unserved_ms, report.proposal) == ("a1", 0, "")
    assert report.says == "nothing to do about site a"
    assert report.etcd_ok
    seen = {node.node: (node.reach, node.reason) for node in report.nodes}
    assert seen["a1"] == ("serves", "")
    assert seen["a2"] == ("answers", "NOT_LEADER")
    assert seen["b2"] == ("answers", "STORAGE_DOWN")
    assert seen["b3"] == ("silent", "no connection")


async def test_one_place_alone_switches_nothing(stage: Stage) -> None:
    await stage.open()
    stage.here(names=["cb"])
    await stage.all_look(["b"])
    await stage.lose("a")
    await stage.hears("unserved")
    await stage.rounds(4, ["b"])
    assert not await stage.switched()
    assert "only b (" in (await stage.reports())["b"].says


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        (Mode.MANUAL, "switch-proposed", ": kessai site switch --to b"),
        (Mode.OBSERVE_ONLY, "would-have-switched", "would have switched to site b: "),
    ],
)
async def test_a_switch_that_is_not_automatic_is_only_told(
    stage: Stage, mode: Mode, kind: str, words: str
) -> None:
    await stage.open()
    stage.here(
        Switching(mode=mode, probe_ms=100, probe_deadline_ms=300, move_leader_ms=300, agree_ms=600)
    )
    await stage.all_look()
    await stage.lose("a")
    told = await stage.hears(kind, len(PLACES))
    assert all(words in event.why for event in told)
    await stage.rounds(3, list(PLACES.values()))
    assert all(words in report.proposal for report in (await stage.reports()).values())
    assert len(await stage.told(kind)) == len(PLACES)
    assert not await stage.switched()
    assert await stage.leads()


async def test_a_standby_out_of_sync_is_an_alarm_and_no_switch_until_it_is_back(
    stage: Stage,
) -> None:
    await stage.open(BOTH.with_set("b", ()))
    stage.here()
    await stage.all_look()
    await stage.lose("a")
    told = await stage.hears("switch-blocked", len(PLACES))
    assert all("site b is not in sync" in event.why for event in told)
    assert not await stage.switched()
    await stage.configure(BOTH)
    await eventually(stage.switched)


async def test_a_leader_that_terminals_cannot_reach_is_asked_to_hand_over(stage: Stage) -> None:
    await stage.open()
    stage.here(Switching(probe_ms=100, probe_deadline_ms=300, move_leader_ms=300, agree_ms=30_000))
    await stage.all_look()
    await stage.nodes["a1"].stop()  # its operators' port is still there
    told = await stage.hears("leader-unreached")
    assert "do not reach the leader a1" in told[0].why
    assert "a1: it was asked and hands over to a2" in told[0].why
    assert stage.peers["a1"].handovers >= 1
    stage.nodes["a2"].mood = "serves"
    leader = LeaderRecord("a2", "disk-a2", "a", "a2:1", "nonce")
    await stage.world.registry.put(stage.world.keys.leader, leader.to_json())
    await stage.rounds(4, list(PLACES.values()))
    assert not await stage.switched()
    assert stage.peers["a1"].handovers <= len(PLACES)


async def test_a_leader_that_could_not_hand_over_is_asked_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No switch can help: the standby is not in sync."""
    monkeypatch.setattr(lookout, "ASK_AGAIN_MS", 600)
    await stage.open(BOTH.with_set("b", ()))
    stage.peers["a1"].refuses = "the in-sync sets are being changed"
    stage.here()
    await stage.all_look()
    await stage.nodes["a1"].stop()

    async def often() -> bool | None:
        return stage.peers["a1"].handovers > 2 * len(PLACES) or None

    await eventually(often)
    told = await stage.hears("leader-unreached", len(PLACES))
    assert all("being changed" in event.why for event in told)


async def test_a_leader_whose_handover_does_not_help_costs_it_the_site(stage: Stage) -> None:
    await stage.open()
    stage.here()
    await stage.all_look()
    await stage.nodes["a1"].stop()
    await stage.peers["a1"].stop()
    await eventually(stage.switched)
    told = await stage.hears("leader-unreached")
    assert "could not be asked" in told[0].why


async def test_etcd_away_is_lived_through_and_written_down_once_it_is_back(stage: Stage) -> None:
    await stage.open()
    stage.here(names=["cb", "cw"])
    await stage.all_look(["b", "witness"])
    for member in range(3):
        stage.world.etcd.pause(member)
    for name in ("cb", "cw"):
        await stage.logs(name, "etcd-away")
    for member in range(3):
        stage.world.etcd.resume(member)
    stage.world.etcd.heal()
    await stage.hears("etcd-back", 2)
    assert not await stage.switched()
    await stage.lose("a")
    await eventually(stage.switched)


async def test_a_cluster_without_a_configuration_is_looked_at_in_peace(stage: Stage) -> None:
    stage.here(names=["cw"])

    async def said() -> bool | None:
        report = (await stage.reports()).get("witness")
        return (report is not None and "no configuration yet" in report.says) or None

    await eventually(said)
