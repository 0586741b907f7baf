"""The simulated store does what the real one does, and leaves on its disk what that would leave."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loadtest import evidence
from loadtest.sim.happening import Happened, Kind, Told
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.setup import DiskManners
from loadtest.sim.storage.disk import SimDisk
from loadtest.sim.storage.store import SimStore, ledger_of
from loadtest.sim.timeline import Timeline
from node.core.messages import Entry, Offer
from node.core.outputs import Install, Write
from node.ledger.commands import Receipt
from node.store import (
    FULL,
    IndexPassed,
    Recovered,
    SnapshotDamaged,
    SnapshotFailed,
    SnapshotFile,
    StoreClosed,
    StoreFailed,
    StoreFull,
    StoreRefused,
)
from tests.loadtest.small_town import live
from tests.node.store import parts
from tests.node.store.parts import log, sale

SLOWLY = DiskManners(least_ms=2.0, most_ms=2.0, stall=0.0)


class Bench:
    """One simulated disk, and lives of a store on it. It is the store's listener, too."""

    def __init__(self, seed: int = 1, *, manners: DiskManners = SLOWLY, name: str = "a1") -> None:
        self.timeline = Timeline()
        self.draw = random.Random(seed)
        self.told: list[Happened] = []
        self.heard: list[str] = []
        self.receipts: list[tuple[int, tuple[Receipt, ...]]] = []
        self.manners = manners
        self.disk = SimDisk(name, f"{name}-disk", self.timeline, self.draw, self.tell)
        self.loop = VirtualLoop(name, self.timeline, self.draw)
        self.store, self.recovered = self.open()

    def tell(self, told: Told) -> None:
        assert isinstance(told, Happened)
        self.told.append(told)

    def open(self, entries_in_memory: int = 1000) -> tuple[SimStore, Recovered]:
        store, recovered = SimStore.open(
            self.disk,
            node=self.disk.name,
            loop=self.loop,
            draw=self.draw,
            manners=self.manners,
            tell=self.tell,
            entries_in_memory=entries_in_memory,
        )
        store.start(self)
        return store, recovered

    def crash(self) -> None:
        """The process dies; another one may `restart`."""
        self.loop.kill()
        self.disk.crash()

    def restart(self, entries_in_memory: int = 1000) -> Recovered:
        self.loop = VirtualLoop("a1", self.timeline, self.draw)
        self.store, self.recovered = self.open(entries_in_memory)
        return self.recovered

    def run(self, ms: float = 1_000.0) -> None:
        self.timeline.run(self.timeline.now + ms)

    def settle(self, entries: Iterable[Entry], *, first_number: int = 1) -> None:
        for number, entry in enumerate(entries, first_number):
            self.store.write(Write(number, entry.epoch, 1, None, (entry,)))
            self.store.apply([entry])
            self.run(20.0)

    def flush(self) -> None:
        """Have the ledger's rows on the disk, as every picture does."""
        audited = self.store.audit(0, False)
        self.run(200.0)
        assert audited.result(0).problem == ""

    @property
    def kinds(self) -> list[Kind]:
        return [each.kind for each in self.told]

    def persisted(self, number: int) -> None:
        self.heard.append(f"persisted {number}")

    def applied(self, index: int, receipts: list[tuple[int, tuple[Receipt, ...]]]) -> None:
        self.heard.append(f"applied {index}")
        self.receipts += receipts

    def failed(self, reason: str) -> None:
        self.heard.append(f"failed: {reason}")


def offer_of(made: SnapshotFile) -> Offer:
    return Offer(9, made.index, made.epoch, made.hash)


def brought(donor: Bench, taker: Bench) -> tuple[Install, Path]:
    """A snapshot of the donor on the taker's disk, checked, and what to install."""
    making = donor.store.make_snapshot()
    donor.run(200.0)
    made = making.result(0)
    part = taker.store.snapshot_part(made.index, made.hash)
    taker.store.keep_part(part, made)
    taker.store.check_snapshot(part, offer_of(made))
    return Install(50, 3, 7, offer_of(made)), part


# -- while all goes well -----------------------------------------------------------------------


def test_what_was_written_is_there_after_a_restart() -> None:
    bench = Bench()
    entries = log(5)
    bench.store.bind_cluster("sim")
    bench.settle(entries)
    bench.store.write(Write(6, 7, 3))
    bench.run()
    bench.crash()
    again = bench.restart()
    assert again.entries == tuple(entries)
    assert (again.promised, again.configuration_revision, again.cluster_id) == (7, 3, "sim")
    assert bench.told == []  # nothing was under way
    bench.store.apply(entries[again.applied_index :])
    bench.flush()
    bench.crash()
    assert bench.restart(entries_in_memory=2).entries == tuple(entries[3:])


def test_all_that_waits_goes_into_one_commit() -> None:
    bench = Bench()
    entries = log(21)
    bench.store.write(Write(1, 1, 1, None, (entries[0],)))
    bench.store.apply(entries[:1])
    bench.run(1.0)  # its commit is under way
    for number, entry in enumerate(entries[1:], 2):
        bench.store.write(Write(number, 1, 1, None, (entry,)))
        bench.store.apply([entry])
    assert bench.heard == ["applied 1"]
    bench.run(12.0)
    assert bench.heard == ["applied 1", "persisted 1", "applied 21", "persisted 21"]
    assert [index for index, _ in bench.receipts] == list(range(1, 22))


def test_receipts_leave_before_the_sync_and_the_vow_after_the_high_water_record() -> None:
    bench = Bench()
    seen: list[tuple[str, int, int]] = []

    class Ear(Bench):
        def applied(self, index: int, receipts: Any) -> None:
            seen.append(("applied", len(self.disk.entries), self.disk.mark.index))

        def persisted(self, number: int) -> None:
            seen.append(("persisted", len(self.disk.entries), self.disk.mark.index))

    bench = Ear()
    (entry,) = log(1)
    bench.store.write(Write(1, 4, 1, None, (entry,)))
    bench.store.apply([entry])
    bench.run(3.0)
    assert seen == [("applied", 0, 0)]
    assert (len(bench.disk.entries), bench.disk.promised, bench.disk.mark.index) == (1, 4, 0)
    bench.run(3.0)
    assert seen[1:] == [("persisted", 1, 1)]


def test_a_cut_lowers_the_high_water_record_first() -> None:
    bench = Bench()
    entries = log(5)
    bench.store.write(Write(1, 1, 1, None, tuple(entries)))
    bench.run()
    newer = log(1, epoch=2, after=entries[2])
    bench.store.write(Write(2, 2, 1, 3, tuple(newer)))
    bench.run(3.0)
    assert (len(bench.disk.entries), bench.disk.mark.index, bench.disk.mark.promised) == (5, 3, 1)
    bench.run()
    assert bench.disk.entries == [*entries[:3], *newer]
    assert (bench.disk.mark.index, bench.disk.mark.hash) == (4, newer[0].hash)


def test_what_is_applied_is_read_at_once_and_reaches_the_disk_later() -> None:
    bench = Bench()
    bench.disk.slow(50.0)
    (entry,) = log(1, commands=1)
    bench.store.write(Write(1, 1, 1, None, (entry,)))
    bench.store.apply([entry])
    bench.run(1.0)
    command = sale(100_000 + 1)
    found = bench.store.inquire(command.key)
    assert found is not None
    assert found.receipt.index == 1
    (answer,) = bench.store.admit([command])
    assert isinstance(answer, Receipt)
    assert answer.replayed
    totals = bench.store.interim(command.terminal, 0)
    assert (totals.index, totals.as_of_ms) == (1, parts.STAMP_MS + 1)
    assert bench.disk.applied == 0
    bench.run()
    bench.flush()
    assert bench.disk.applied == 1


def test_the_log_is_pruned_in_pieces_and_never_above_the_ledger_on_the_disk() -> None:
    for seed in range(8):
        bench = Bench(seed)
        entries = log(40, commands=1)
        bench.store.prune(30)
        for number, entry in enumerate(entries, 1):
            bench.store.write(Write(number, 1, 1, None, (entry,)))
            bench.store.apply([entry])
            bench.run(4.0)
            assert bench.disk.pruned <= bench.disk.applied <= 40
        bench.run()
        bench.flush()
        bench.run()
        assert (bench.store.prune_index, bench.store.prune_stamp_ms) == (30, parts.STAMP_MS + 30)
        assert bench.store.read_log(30, 10**6) == ()
        assert bench.store.read_log(31, 10**6) == tuple(entries[30:])
        assert len(bench.store.read_log(31, 1)) == 1
        assert bench.disk.entries == entries  # the witness still sees all of it
        bench.crash()
        recovered = bench.restart()
        assert (recovered.prune_index, recovered.base_hash) == (30, entries[29].hash)


def test_a_picture_is_of_exactly_the_index_asked_for() -> None:
    bench = Bench()
    entries = log(6)
    bench.settle(entries[:2])
    asked = bench.store.audit(4, rederive=True)
    bench.store.write(Write(3, 1, 1, None, tuple(entries[2:])))
    bench.store.apply(entries[2:])
    bench.run()
    report = asked.result(0)
    assert (report.index, report.chain_hash, report.problem) == (4, entries[3].hash, "")
    passed = bench.store.audit(3, False)
    bench.run()
    assert isinstance(passed.exception(0), IndexPassed)


def test_closing_does_what_was_asked_and_then_nothing_more() -> None:
    bench = Bench()
    entries = log(3)
    bench.store.write(Write(1, 1, 1, None, tuple(entries)))
    bench.store.apply(entries)
    bench.run(1.0)
    bench.store.close()
    bench.store.close()
    assert bench.heard == ["applied 3", "persisted 1"]
    assert (bench.disk.applied, bench.disk.mark.index) == (3, 3)
    bench.store.write(Write(2, 9, 9))
    bench.run()
    assert bench.disk.promised == 1
    with pytest.raises(StoreClosed):
        bench.store.inquire("x")


# -- the same as the real one --------------------------------------------------------------------


def test_the_same_entries_make_the_same_ledger_as_in_the_real_store(tmp_path: Path) -> None:
    entries = live(seed=5, actions=120).entries
    real, ear, _ = parts.opened(tmp_path)
    bench = Bench()
    try:
        for store in (real, bench.store):
            store.bind_cluster("sim")
            for number, entry in enumerate(entries, 1):
                store.write(Write(number, 1, 1, None, (entry,)))
                store.apply([entry])
        ear.until(lambda heard: heard.number == len(entries))
        bench.run(10_000.0)
        ours, theirs = bench.store.audit(0, rederive=True), real.audit(0, True)
        bench.run()
        assert ours.result(0) == theirs.result(parts.WAIT_S)
        assert ours.result(0).problem == ""
        assert bench.receipts == ear.receipts
        assert list(bench.store.export(0))[1:] == list(real.export(0))[1:]
    finally:
        real.close()


@pytest.mark.parametrize("seed", range(6))
def test_the_same_requests_leave_the_same_disk_as_in_the_real_store(
    tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    real, ear, _ = parts.opened(tmp_path)
    bench = Bench(seed)
    entries: list[Entry] = []
    applied = number = 0
    for number in range(1, 60):
        epoch = 1 + number // 10
        cut = draw.randint(applied, len(entries)) if draw.random() < 0.2 else None
        if cut is not None:
            del entries[cut:]
        new = log(draw.randint(0, 3), epoch=epoch, after=entries[-1] if entries else None)
        entries += new
        ready = entries[applied : draw.randint(applied, len(entries))]
        for store in (real, bench.store):
            store.write(Write(number, epoch, number // 7, cut, tuple(new)))
            store.apply(ready)
            store.prune(applied // 2)
        applied += len(ready)
        if draw.random() < 0.5:
            bench.run(5.0)
    ear.until(lambda heard: heard.number == number and heard.index == applied)
    bench.run(10_000.0)
    bench.flush()
    real.audit(0, False).result(parts.WAIT_S)
    bench.run()
    parts.pruned_to(real, bench.disk.pruned)
    ours, theirs = bench.store.audit(0, rederive=True), real.audit(0, True)
    bench.run()
    assert ours.result(0) == theirs.result(parts.WAIT_S)
    bench.crash()
    real.close()
    left = replace(parts.reopened(tmp_path), disk_id="a1-disk")
    assert bench.restart(entries_in_memory=4096) == left
    assert bench.receipts == ear.receipts


def test_the_lines_for_evidence_are_whole_also_in_the_middle_of_a_round(tmp_path: Path) -> None:
    bench = Bench()
    bench.store.bind_cluster("sim")
    entries = live(seed=3, actions=40).entries
    bench.settle(entries[:-1])
    bench.store.write(Write(len(entries), 1, 1, None, (entries[-1],)))
    bench.store.apply(entries[-1:])
    bench.run(1.0)
    assert len(bench.disk.entries) == len(entries) - 1
    file = tmp_path / "ledger-a1.ndjson"
    file.write_text("".join(f"{line}\n" for line in ledger_of(bench.store)))
    ledger = evidence.read_ledger(file, ("a1",))
    assert (ledger.meta.index, ledger.meta.node) == (len(entries), "a1")
    assert [entry.hash for entry in ledger.entries] == [entry.hash.hex() for entry in entries]
    assert ledger.records
    assert ledger.in_sync


def test_a_picture_in_the_middle_of_a_round_has_what_is_written_in_the_place_of_others() -> None:
    bench = Bench()
    entries = log(5)
    bench.settle(entries[:3])
    bench.store.write(Write(4, 1, 1, None, tuple(entries[3:])))
    bench.run()
    newer = log(2, epoch=2, after=entries[2])
    bench.store.write(Write(5, 2, 1, 3, tuple(newer)))
    bench.store.apply(newer)
    bench.run(1.0)
    assert bench.disk.entries == entries
    picture = bench.store.picture()
    assert (picture.log, picture.chain_hash) == ((*entries[:3], *newer), newer[-1].hash)


# -- crashes ---------------------------------------------------------------------------------------


def crashes(after_ms: Iterable[float], begin: Callable[[Bench], None]) -> Iterator[Bench]:
    """What `begin` starts, cut off at each moment, with either luck."""
    for at_ms in after_ms:
        for seed in range(6):
            bench = Bench(seed)
            begin(bench)
            bench.run(at_ms)
            bench.crash()
            yield bench


def test_a_crash_leaves_a_prefix_with_all_that_was_vouched_for() -> None:
    entries = log(30, commands=1)

    def begin(bench: Bench) -> None:
        def ask(number: int) -> None:
            entry = entries[number - 1]
            bench.store.write(Write(number, 1 + number // 10, 1, None, (entry,)))
            bench.store.apply([entry])

        for number in range(1, 31):
            bench.timeline.after(
                number * 0.7, partial(bench.loop.enter, partial(ask, number)), "ask"
            )

    found: set[Kind] = set()
    for bench in crashes([0.5 * half for half in range(1, 60)], begin):
        vouched = max((int(h.split()[1]) for h in bench.heard if h[0] == "p"), default=0)
        recovered = bench.restart()
        last = len(bench.disk.entries)
        assert bench.disk.entries == entries[:last]
        assert last >= vouched
        assert recovered.promised == (1 + last // 10 if last else 0)
        assert recovered.applied_index <= last
        report = bench.store.audit(0, rederive=False)
        bench.store.apply(entries[recovered.applied_index : last])
        bench.run(100.0)
        assert report.result(0).problem == ""
        again = bench.store.audit(0, rederive=True)
        bench.run(100.0)
        assert (again.result(0).index, again.result(0).problem) == (last, "")
        found.update(bench.kinds)
    assert found == {Kind.TORN, Kind.VANISHED}


def test_a_crash_while_the_log_is_cut_leaves_the_old_end_or_the_new_one() -> None:
    entries = log(5)
    newer = log(2, epoch=2, after=entries[2])
    ends = set()

    def begin(bench: Bench) -> None:
        bench.store.write(Write(1, 1, 1, None, tuple(entries)))
        bench.run()
        bench.store.write(Write(2, 2, 1, 3, tuple(newer)))

    for bench in crashes([0.05, 1.0, 3.0, 5.0, 7.0], begin):
        recovered = bench.restart()
        assert recovered.entries in (tuple(entries), (*entries[:3], *newer))
        assert (recovered.promised == 2) == (recovered.entries[-1] == newer[-1])
        ends.add(recovered.entries[-1].index)
    assert ends == {5}


def test_a_disk_that_lied_is_found_out_at_the_start() -> None:
    bench = Bench()
    entries = log(6)
    bench.settle(entries[:3])
    bench.disk.lie()
    bench.settle(entries[3:], first_number=4)
    assert bench.heard[-1] == "persisted 6"
    bench.crash()
    assert bench.disk.entries == entries[:3]
    assert bench.kinds == [Kind.VANISHED]
    with pytest.raises(StoreRefused, match="the log ends at 3, but was vouched for up to 6"):
        bench.restart()
    assert bench.disk.lied


def test_a_disk_that_lied_about_a_promise_is_found_out() -> None:
    bench = Bench()
    bench.disk.lie()
    bench.store.write(Write(1, 8, 1))
    bench.run()
    bench.crash()
    with pytest.raises(StoreRefused, match="promises epoch 0, but 8 was promised"):
        bench.restart()


def test_a_lie_that_is_over_before_the_crash_loses_nothing() -> None:
    bench = Bench()
    bench.disk.lie()
    bench.settle(log(3))
    bench.disk.repair()
    bench.crash()
    assert bench.restart().entries == tuple(log(3))


# -- snapshots -----------------------------------------------------------------------------------


def settled(count: int = 12, seed: int = 1) -> Bench:
    bench = Bench(seed)
    bench.store.bind_cluster("sim")
    bench.settle(log(count))
    return bench


def test_a_snapshot_takes_the_place_of_ledger_and_log() -> None:
    donor, taker = settled(), Bench(2, name="a2")
    taker.store.bind_cluster("sim")
    taker.settle(log(2))
    install, part = brought(donor, taker)
    taker.store.install(install, part)
    taker.run()
    assert taker.heard[-1] == "persisted 50"
    assert Kind.INSTALLED in taker.kinds
    assert (taker.disk.applied, taker.store.prune_index, taker.disk.promised) == (12, 12, 3)
    assert taker.store.prune_stamp_ms == parts.STAMP_MS + 12
    assert taker.disk.entries == donor.disk.entries
    assert (taker.disk.parts, taker.disk.disk_id) == ({}, "a2-disk")
    more = log(3, epoch=3, after=donor.disk.entries[-1])
    taker.settle(more, first_number=51)
    donor.settle(more, first_number=51)
    ours, theirs = taker.store.audit(0, rederive=True), donor.store.audit(0, rederive=True)
    for bench in (taker, donor):
        bench.run()
    assert ours.result(0).problem == theirs.result(0).problem == ""
    assert ours.result(0).ledger_digest == theirs.result(0).ledger_digest


def test_a_crash_while_it_is_installed_leaves_the_old_replica_or_the_new_one() -> None:
    standing = set()
    for at_ms in (0.05, 1.0, 3.0, 5.0, 7.0, 9.0):
        for seed in range(6):
            donor, taker = settled(4), Bench(seed, name="a2")
            taker.store.bind_cluster("sim")
            old = [*log(2), *log(5, epoch=2, after=log(2)[-1])]
            taker.store.write(Write(1, 2, 1, None, tuple(old)))
            taker.store.apply(old[:2])
            taker.run()
            install, part = brought(donor, taker)
            taker.store.install(install, part)
            taker.run(at_ms)
            taker.crash()
            recovered = taker.restart()
            if recovered.applied_index == 4:
                assert (recovered.entries, recovered.prune_index, recovered.promised) == ((), 4, 3)
                assert recovered.base_hash == donor.disk.entries[-1].hash
            else:
                assert (taker.disk.entries, recovered.promised) == (old, 2)
            standing.add(recovered.applied_index == 4)
            audited = taker.store.audit(0, rederive=False)
            taker.run()
            assert audited.result(0).problem == ""
    assert standing == {True, False}


def test_one_snapshot_serves_all_while_its_log_is_kept() -> None:
    bench = settled()
    first, second = bench.store.make_snapshot(), bench.store.make_snapshot()
    bench.run(200.0)
    made = first.result(0)
    assert second.result(0) is made
    assert bench.store.snapshot_file(made.index, made.hash) is made
    assert bench.store.snapshot_file(made.index, bytes(32)) is None
    assert bench.store.make_snapshot().result(0) is made
    bench.settle(log(2, after=log(12)[-1]), first_number=13)
    bench.store.prune(13)
    newer = bench.store.make_snapshot()
    bench.run(200.0)
    assert newer.result(0).index == 14
    assert bench.store.snapshot_file(made.index, made.hash) is None


def test_what_was_fetched_outlives_a_crash_while_it_is_of_use() -> None:
    donor, taker = settled(), Bench(2, name="a2")
    taker.store.bind_cluster("sim")
    install, part = brought(donor, taker)
    taker.crash()
    taker.restart()
    taker.store.check_snapshot(part, install.offer)
    with pytest.raises(SnapshotDamaged, match="another history"):
        taker.store.check_snapshot(part, Offer(9, 12, 1, bytes(32)))
    with pytest.raises(SnapshotDamaged, match="cannot be read"):
        taker.store.check_snapshot(taker.store.snapshot_part(5, bytes(32)), install.offer)
    assert taker.disk.parts == {}


# -- troubles --------------------------------------------------------------------------------------


def test_a_disk_error_stops_the_store_for_good() -> None:
    bench = Bench()
    entries = log(3)
    bench.settle(entries[:2])
    bench.disk.fail()
    waiting = bench.store.audit(9, False)
    bench.settle(entries[2:], first_number=3)
    assert bench.heard[-1].startswith("failed: OSError")
    assert bench.kinds == [Kind.DISK_FAILED]
    assert isinstance(waiting.exception(0), StoreFailed)
    with pytest.raises(StoreFailed):
        bench.store.read_log(1, 100)
    bench.crash()
    assert bench.restart().entries in (tuple(entries), tuple(entries[:2]))


def test_a_full_disk_is_told_from_a_bad_one() -> None:
    bench = Bench()
    bench.disk.fill(True)
    bench.store.write(Write(1, 1, 1, None, tuple(log(1))))
    bench.run()
    assert bench.heard[-1].startswith(f"failed: {FULL}")
    bench.crash()
    with pytest.raises(StoreFull):
        bench.restart()
    bench.disk.fill(False)
    assert bench.restart().entries == ()


def test_there_is_no_snapshot_without_room() -> None:
    donor, taker = settled(), Bench(2, name="a2")
    taker.store.bind_cluster("sim")
    install, part = brought(donor, taker)
    taker.disk.fill(True)
    with pytest.raises(OSError, match=FULL):
        taker.store.check_snapshot(part, install.offer)
    donor.store.prune(20)
    donor.flush()
    donor.disk.fill(True)
    making = donor.store.make_snapshot()
    donor.run()
    assert isinstance(making.exception(0), SnapshotFailed)


def test_a_log_that_cannot_be_read_stops_the_store() -> None:
    bench = settled()
    bench.disk.unreadable()
    with pytest.raises(StoreFailed):
        bench.store.read_log(1, 100)
    bench.run()
    assert bench.heard[-1].startswith("failed: StoreFailed")


def test_a_slow_disk_takes_longer() -> None:
    bench = Bench()
    bench.disk.slow(100.0)
    bench.store.write(Write(1, 1, 1))
    bench.run(150.0)
    assert bench.heard == []
    bench.run(100.0)
    assert bench.heard == ["persisted 1"]
    assert bench.store.fsyncs == 2
    assert bench.store.fsync_seconds == pytest.approx(0.204)


def test_a_disk_is_of_one_cluster_for_good() -> None:
    bench = Bench()
    bench.store.write(Write(1, 1, 1, None, tuple(log(2))))
    bench.run(1.0)
    bench.store.bind_cluster("sim")
    bench.store.bind_cluster("sim")
    with pytest.raises(StoreRefused, match="belongs to cluster sim, not to other"):
        bench.store.bind_cluster("other")
    bench.run()
    assert bench.disk.meta.cluster_id == "sim"


def test_what_the_protocol_forbids_stops_the_store() -> None:
    bench = settled(3)
    bench.store.write(Write(9, 5, 1, 1, ()))
    bench.run()
    assert bench.heard[-1].startswith("failed: Breach: dropping what follows 1")


def test_a_seed_makes_one_day() -> None:
    def day(seed: int) -> str:
        bench = Bench(seed, manners=DiskManners())
        bench.store.prune(10)
        bench.settle(log(15))
        return bench.timeline.trace

    assert day(4) == day(4) != day(5)
