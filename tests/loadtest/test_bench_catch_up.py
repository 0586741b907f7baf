"""A node's return is measured from what was seen of it, and the steady load from its intent."""

from __future__ import annotations

import asyncio
import dataclasses

import msgspec
import pytest

from coordinator.records import ReportRecord
from deploy.control import NodeStatus, PeerStatus
from deploy.sight import Sight
from deploy.topology import Coordinator
from deploy.written import Written
from loadtest.bench import load, show
from loadtest.bench.beat import Beat, Waits, beat
from loadtest.bench.catch_up import CatchUp, away_node
from loadtest.bench.grounds import lacking, named
from loadtest.bench.intake import Gap, Look, Moments, NeverCaughtUp, Size, Transfer, returned
from loadtest.bench.load import BenchError
from node.rpc.server import open_channel
from tests.deploy import small
from tests.loadtest.test_bench import front, serving

# --- clusters -------------------------------------------------------------------------------------


def test_clusters_are_called_by_how_many_replicas_they_have() -> None:
    one = small.topology("one")
    assert list(named([one])) == ["3 replicas"]
    assert list(named([one, small.topology("two")])) == ["3 replicas", "3 replicas (two)"]
    with pytest.raises(BenchError, match="told apart"):
        named([one, one, one])


def blank(kind: type) -> dict[str, object]:
    """Empty values for all fields of a status."""
    empty: dict[str, object] = {"str": "", "int": 0, "float": 0.0, "bool": False}
    return {each.name: empty.get(str(each.type), ()) for each in dataclasses.fields(kind)}


def blank_struct(kind: type[msgspec.Struct]) -> dict[str, object]:
    """Empty values for the fields of a record that have no default."""
    empty: dict[object, object] = {str: "", int: 0, bool: False}
    fields = msgspec.structs.fields(kind)
    return {each.name: empty.get(each.type, ()) for each in fields if each.required}


def led(**known: object) -> NodeStatus:
    """What leader a1 of the small topology says; everything in sync and quiet unless told."""
    said = {
        "node": "a1",
        "disk_id": "d1",
        "role": "leader",
        "serving": True,
        "active_site": "a",
        "in_sync": ("a1/d1", "a2/d2", "a3/d3"),
        "standby_in_sync": (),
        "peers": (),
    }
    return msgspec.convert({**blank(NodeStatus), **said, **known}, NodeStatus)


def seen(leader: NodeStatus | None, *reported_ms: int) -> Sight:
    """A small cluster at 10,000 ms on the clock, with coordinators that reported at these times."""
    coordinators = tuple(Coordinator(f"c{n}", f"p{n}") for n in range(len(reported_ms)))
    reports = tuple(
        msgspec.convert(
            {**blank_struct(ReportRecord), "place": f"p{n}", "at_ms": at_ms}, ReportRecord
        )
        for n, at_ms in enumerate(reported_ms)
    )
    topology = msgspec.structs.replace(small.topology(), coordinators=coordinators)
    statuses = {"a1": leader} if leader else {}
    return Sight(topology, statuses, Written(None, 0, None, (), reports), at_ms=10_000)


def test_a_cluster_is_whole_when_all_replicas_are_in_sync_and_none_is_behind() -> None:
    assert lacking(seen(None)) == "no leader serves"
    assert lacking(seen(led())) == ""
    assert lacking(seen(led(in_sync=("a1/d1", "a3/d3")))) == "a2 not in sync"
    behind = {**blank(PeerStatus), "node": "a3", "lag": 7}
    assert lacking(seen(led(peers=(behind,)))) == "a3 still behind"


def test_a_coordinator_that_has_not_reported_yet_is_still_starting() -> None:
    assert lacking(seen(led(), 9_500, 9_900)) == ""
    assert lacking(seen(led(), 9_500, 1_000)) == "c1 only starting"


def test_the_node_that_goes_away_is_of_the_standby_site_and_never_the_leader() -> None:
    one_site = small.topology()
    assert away_node(one_site, led()) == "a3"
    assert away_node(one_site, led(node="a3")) == "a2"
    a, other = one_site.sites[0], small.topology().sites[0]
    b = msgspec.structs.replace(
        other,
        name="b",
        nodes=tuple(msgspec.structs.replace(n, name=n.name.replace("a", "b")) for n in other.nodes),
    )
    both = msgspec.structs.replace(one_site, sites=(a, b))
    assert away_node(both, led()) == "b3"
    assert away_node(both, led(node="b3", active_site="b")) == "a3"


# --- catching up ----------------------------------------------------------------------------------


def beats(*waits: tuple[float, float]) -> list[Beat]:
    return [Beat(at_s, wait_ms) for at_s, wait_ms in waits]


MOMENTS = Moments(load_s=0.0, away_s=10.0, return_s=30.0, end_s=50.0)
MISSED = Gap(entries=1000, settlements=5000)


def test_a_return_from_the_log_is_timed_from_the_first_entry_missed_to_the_last() -> None:
    looks = [
        Look(30.0, 200, 1200, False),
        Look(31.0, 200, 1201, False),  # it starts; nothing comes in
        Look(31.5, 700, 1202, False),
        Look(32.0, 1201, 1204, False),  # near
        Look(32.5, 1205, 1206, True),
    ]
    payments = beats((1.0, 10.0), (30.5, 80.0), (31.2, 40.0), (32.4, 60.0), (40.0, 11.0))
    found = returned(looks, [], MISSED, MOMENTS, payments)
    assert (found.first_s, found.caught_up_s, found.counted_s) == (1.0, 2.0, 2.5)
    assert found.entries_s == 1001.0
    assert found.settlements_s == 5005.0
    assert found.snapshot is None
    assert found.before == Waits(1, 10.0, 10.0, 10.0)
    assert found.starting == Waits(1, 80.0, 80.0, 80.0)
    assert found.taking_in == Waits(2, 60.0, 60.0, 60.0)
    assert found.after == Waits(1, 11.0, 11.0, 11.0)


def test_a_snapshot_is_timed_from_its_first_byte_seen_to_its_last() -> None:
    looks = [
        Look(30.0, 200, 1200, False),
        Look(33.9, 200, 1200, False),
        Look(34.0, 1199, 1201, False),
        Look(34.2, 1201, 1202, True),
    ]
    sizes = [
        Size(30.0, 0),
        Size(31.0, 1_000_000),
        Size(32.0, 5_000_000),
        Size(33.0, 5_000_000),  # being checked
        Size(33.5, 0),  # put in place
    ]
    found = returned(looks, sizes, MISSED, MOMENTS, [])
    assert found.snapshot == Transfer(5_000_000, 1.0, 4_000_000.0)
    assert found.first_s == 1.0
    assert found.counted_s == pytest.approx(4.2)
    assert found.taking_in == Waits(0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ([], "nobody looked"),
        ([Look(30.0, 200, 1200, False), Look(31.0, 200, 1200, False)], "stands at entry 200"),
        ([Look(30.0, 200, 1200, False), Look(31.0, 900, 1200, False)], "entry 900 of 1200"),
        ([Look(30.0, 200, 1200, False), Look(31.0, 1200, 1200, False)], "entry 1200 of 1200"),
    ],
)
def test_a_node_that_is_not_back_gives_no_figures(looks: list[Look], why: str) -> None:
    with pytest.raises(NeverCaughtUp, match=why):
        returned(looks, [], MISSED, MOMENTS, [])


async def test_the_steady_load_is_timed_from_its_intended_start_and_stops() -> None:
    stop, paid = asyncio.Event(), list[Beat]()
    async with serving(front()) as address, open_channel(address) as channel:
        paying = asyncio.create_task(beat(channel, load.requests("BEAT"), 200.0, stop, paid))
        await asyncio.sleep(0.5)
        stop.set()
        await paying
    assert 50 < len(paid) < 150
    assert min(each.wait_ms for each in paid) > 0
    assert sorted(each.at_s for each in paid)[0] < paid[-1].at_s


async def test_a_refusal_ends_the_steady_load() -> None:
    async with serving(front()) as address, open_channel(address) as channel:
        source = load.requests("a name too long")
        with pytest.raises(BenchError):
            await beat(channel, source, 200.0, asyncio.Event(), [])


def test_the_tables_say_what_was_measured() -> None:
    looks = [Look(30.0, 200, 1200, False), Look(31.0, 1200, 1200, True)]
    sizes = [Size(30.0, 10), Size(30.5, 1_000_010)]
    found = CatchUp(
        150.0,
        [returned(looks, [], MISSED, MOMENTS, beats((31.5, 12.0)))],
        [returned(looks, sizes, MISSED, MOMENTS, [])],
    )
    table = "\n".join(show.catch_up(found))
    assert "1 returns at 150 payments a second" in table
    assert "1,000 (1,000 to 1,000) entries/s" in table
    assert "1.0 MB at 2.0 (2.0 to 2.0) MB/s" in table
    assert "12.0 (12.0 to 12.0) ms" in table
    assert "too small" in "\n".join(
        show.catch_up(CatchUp(150.0, found.from_log, found.from_log[:]))
    )
    assert found.as_json()["by_snapshot"][0]["snapshot"]["size_bytes"] == 1_000_010
