"""The operators' records: in order, bounded, never in the way of whoever has something to say."""

from __future__ import annotations

import asyncio

import pytest

from coordinator import recording
from coordinator.keyvalue import OutcomeUnknown, Put
from coordinator.recording import EVENTS_KEPT, WAITING_MAX, Recorder, events, record
from coordinator.records import EventRecord
from coordinator.registry import Registry
from tests.coordinator.conftest import PATIENCE_S, World, wall_ms
from tests.etcd_cluster import free_ports


def an_event(at_ms: int, why: str = "") -> EventRecord:
    """Something that happened at that time."""
    return EventRecord(at_ms, "n", "a", "kind", 0, 0, why)


async def test_what_is_said_is_recorded_with_time_place_and_reason(world: World) -> None:
    recorder = Recorder(world.registry, world.keys, "a1", "a", lambda: 1_700_000_000_000)
    running = asyncio.ensure_future(recorder.run())
    recorder.say("leader-lost", "it was silent", epoch=7, index=12)
    recorder.say("leader-won", "it was asked to")
    assert await recorder.flush(PATIENCE_S)
    running.cancel()
    assert await events(world.registry, world.cluster) == [
        EventRecord(1_700_000_000_000, "a1", "a", "leader-lost", 7, 12, "it was silent"),
        EventRecord(1_700_000_000_000, "a1", "a", "leader-won", 0, 0, "it was asked to"),
    ]


async def test_a_clock_set_back_does_not_turn_the_order_round(world: World) -> None:
    clock = iter([5000, 4000, 6000])
    recorder = Recorder(world.registry, world.keys, "a1", "a", lambda: next(clock))
    running = asyncio.ensure_future(recorder.run())
    for why in ("first", "second", "third"):
        recorder.say("kind", why)
    assert await recorder.flush(PATIENCE_S)
    running.cancel()
    told = await events(world.registry, world.cluster)
    assert [(event.why, event.at_ms) for event in told] == [
        ("first", 5000),
        ("second", 5000),
        ("third", 6000),
    ]


async def test_events_of_all_sources_stand_in_the_order_of_time(world: World) -> None:
    for at_ms in (3000, 1000, 20_000, 2000):
        await record(world.registry, world.cluster, an_event(at_ms))
    told = await events(world.registry, world.cluster)
    assert [event.at_ms for event in told] == [1000, 2000, 3000, 20_000]


async def test_while_etcd_is_away_nothing_blocks_and_what_does_not_fit_is_counted(
    world: World,
) -> None:
    (port,) = free_ports(1)
    registry = Registry([f"127.0.0.1:{port}"], 100)
    recorder = Recorder(registry, world.keys, "a1", "a", wall_ms)
    running = asyncio.ensure_future(recorder.run())
    for number in range(WAITING_MAX + 7):
        recorder.say("kind", str(number))
    assert not await recorder.flush(0.3)
    assert recorder.waiting == WAITING_MAX
    running.cancel()
    await registry.close()
    # etcd is back: the queue goes out in order, and the gap is owned up to.
    recorder._registry = world.registry
    running = asyncio.ensure_future(recorder.run())
    assert await recorder.flush(PATIENCE_S)
    running.cancel()
    told = await events(world.registry, world.cluster)
    assert [event.why for event in told[:-1]] == [
        str(number) for number in range(WAITING_MAX - len(told) + 1, WAITING_MAX)
    ]
    assert told[-1].kind == "events-dropped"
    assert told[-1].why == "7 events of a1 were dropped here: etcd was away too long"


async def test_the_events_in_etcd_stay_bounded(world: World) -> None:
    for start in range(0, EVENTS_KEPT, 100):
        await world.registry.transact(
            (),
            [
                Put(world.keys.event(at_ms, "n", "1"), an_event(at_ms).to_json())
                for at_ms in range(start, start + 100)
            ],
        )
    await record(world.registry, world.cluster, an_event(EVENTS_KEPT, "the newest"))
    assert len((await world.registry.list(world.keys.events)).pairs) == EVENTS_KEPT
    recorder = Recorder(world.registry, world.keys, "a1", "a", lambda: EVENTS_KEPT + 1)
    running = asyncio.ensure_future(recorder.run())
    for number in range(2 * recording._PRUNE_EVERY):
        recorder.say("kind", str(number))
    assert await recorder.flush(PATIENCE_S)
    recorder.say("kind", "the last")
    assert await recorder.flush(PATIENCE_S)
    running.cancel()
    told = await events(world.registry, world.cluster)
    assert len(told) == EVENTS_KEPT
    assert told[-1].why == "the last"
    kept = len((await world.registry.list(world.keys.events)).pairs)
    assert kept <= EVENTS_KEPT + recording._PRUNE_EVERY


async def test_an_endless_sentence_is_cut(world: World) -> None:
    recorder = Recorder(world.registry, world.keys, "a1", "a", wall_ms)
    running = asyncio.ensure_future(recorder.run())
    recorder.say("kind", "x" * 1_000_000)
    assert await recorder.flush(PATIENCE_S)
    running.cancel()
    (event,) = await events(world.registry, world.cluster)
    assert event.why == "x" * recording.WHY_MAX


async def test_what_is_no_event_is_left_out(world: World) -> None:
    await world.registry.put(world.keys.events + "00000000000001.n.1", b"{")
    await record(world.registry, world.cluster, an_event(2))
    assert await events(world.registry, world.cluster) == [an_event(2)]


async def test_one_event_whose_outcome_is_unknown_is_written_once_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    put = world.registry.put

    async def deaf(key: str, value: bytes, lease: int = 0) -> int:
        asked.append(key)
        await put(key, value, lease)
        if len(asked) == 1:
            raise OutcomeUnknown("the answer was lost")
        return 0

    monkeypatch.setattr(world.registry, "put", deaf)
    await record(world.registry, world.cluster, an_event(1))
    assert len(asked) == 2
    assert await events(world.registry, world.cluster) == [an_event(1)]
