"""The sums of a day."""

from __future__ import annotations

from loadtest.sim.happening import Kind
from loadtest.sim.tales.tally import REPEAT, Tally
from tests.loadtest.sim.watched import Watched

PAIRS = {"a": ["a1", "a2"], "b": ["b1", "b2"]}


def test_what_replicas_did_is_summed() -> None:
    tally = Tally()
    world = Watched(PAIRS, tally)
    world.elect("a1")
    world.crash("b2")
    world.run(1_000)
    world.work(20)
    world.restart("b2")
    world.run(2_000)
    assert tally.counts["leaderships"] == 1
    assert (tally.counts["evictions"], tally.counts["admissions"]) == (1, 1)
    assert tally.counts["snapshots offered and fetched"] == 1
    assert tally.counts["processes ended"] == 1
    assert tally.counts["prunings"] > 10


def test_answers_are_summed_by_what_they_say() -> None:
    tally = Tally()
    world = Watched(PAIRS, tally)
    for detail in (
        "ok: sale ¥1,200, from a1, attempt 1",
        "ok: sale ¥1,200, from a2, attempt 2, settled before",
        "declined: sale ¥9,999, from a1, attempt 1",
        "read: interim, from a2, attempt 1",
        "refused: void ¥1,200, from a1, attempt 1: no such original",
    ):
        world.tell(Kind.ANSWERED, "t0000", detail)
    world.tell(Kind.UNKNOWN, "t0001", "unknown: sale ¥1,200, 4 attempts")
    assert tally.counts["settled"] == 3
    assert tally.counts[REPEAT] == 1
    assert tally.counts["declined"] == tally.counts["read"] == tally.counts["refused"] == 1
    assert tally.counts["fault slips"] == 1


def test_days_are_added_up() -> None:
    one, other = Tally(), Tally()
    for tally in (one, other):
        Watched(PAIRS, tally).elect("a1")
    one.merge(other)
    assert one.counts["leaderships"] == 2
    assert one.line() == "2 leaderships"


def test_every_sum_has_its_place_in_the_table() -> None:
    tally = Tally()
    world = Watched(PAIRS, tally)
    world.elect("a1")
    world.work(20)
    for kind in Kind:
        world.tell(kind, "a1", "ok: sale")
    told = "\n".join(tally.table())
    assert all(f"{count:,} {name}" in told for name, count in tally.counts.items() if name)
