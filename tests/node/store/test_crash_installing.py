"""SIGKILL at every stage of an installation and of pruning: the replica of before, or of after."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node.core.outputs import Write
from node.ledger.audit import digest
from node.store import SnapshotFile, Store
from node.store.snapshot import take
from tests.node.store.parts import DATABASE, Ear, crash_image, log, settle, settled_and_flushed

# One life after the other, in processes forked from this one: the first is killed before its first
# step, the next before its second, and so on until one comes through. A step is a statement of the
# writer, a move of the high-water record, a report, the removal of the file.
LIVES = """
import os, shutil, signal, sys
from pathlib import Path
from node.core.messages import Offer
from node.core.outputs import Install
from node.store import Store
from node.store.highwater import HighWater
from tests.node.store.parts import Ear

reference, folder, source, index, chain, promised = sys.argv[1:]

def life(folder, last):
    steps = []

    def step(name):
        steps.append(name)
        (folder / "steps").write_text("\\n".join(steps))
        if len(steps) > last:
            os.kill(os.getpid(), signal.SIGKILL)

    class Marked(Ear):
        def persisted(self, number):
            step(f"persisted {number}")
            super().persisted(number)

    def before(owner, name):
        original = getattr(owner, name)
        def wrapped(self, *arguments, **named):
            if name != "unlink" or self.name.endswith(".part"):
                step(name)
            return original(self, *arguments, **named)
        setattr(owner, name, wrapped)

    def trace(cursor, sql, bindings):
        step(sql)
        return True

    store, recovered = Store.open(folder, node="a1")
    offer = Offer(9, int(index), 1, bytes.fromhex(chain))
    part = store.snapshot_part(offer.index, offer.hash)
    part.write_bytes(Path(source).read_bytes())
    store.check_snapshot(part, offer)
    before(HighWater, "cover")
    before(Path, "unlink")
    store._disk._connection.exec_trace = trace
    ear = Marked()
    store.apply([e for e in recovered.entries if recovered.applied_index < e.index <= 5])
    store.install(Install(7, int(promised), 4, offer), part)
    store.start(ear)
    ear.until(lambda e: e.number == 7)
    store.close()
    os._exit(0)

code, last = -signal.SIGKILL, 0
while code == -signal.SIGKILL:
    at = Path(folder) / str(last)
    shutil.copytree(reference, at)
    pid = os.fork()
    if not pid:
        try:
            life(at, last)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    last += 1
sys.exit(code)
"""

BEFORE = 5
AFTER = 12


def state(folder: Path) -> tuple[object, ...]:
    """All that a disk says of its replica at the next start, but for what is applied again."""
    store, recovered = Store.open(folder, node="a1", entries_in_memory=100)
    ear = Ear()
    store.start(ear)
    missing = recovered.entries[recovered.applied_index - recovered.base_index :]
    store.apply([entry for entry in missing if entry.index <= BEFORE])
    report = store.audit(0, False).result(20)
    store.close()
    assert report.problem == ""
    return (
        recovered.disk_id,
        recovered.cluster_id,
        recovered.promised,
        recovered.configuration_revision,
        recovered.prune_index,
        recovered.base_hash,
        recovered.entries,
        report.index,
        report.chain_hash,
        report.ledger_digest,
    )


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> tuple[SnapshotFile, Path]:
    store, _, _ = settled_and_flushed(tmp_path_factory.mktemp("donor"), AFTER)
    made = store.make_snapshot().result(20)
    kept = tmp_path_factory.mktemp("kept") / "snapshot"
    kept.write_bytes(made.path.read_bytes())
    store.close()
    return made, kept


def replica(folder: Path, tail: int) -> None:
    """As a crash left it: applied 3, two more only in the log, `tail` of an epoch that lost."""
    store, ear, entries = settled_and_flushed(folder.with_suffix(".live"), 3)
    more = log(BEFORE - 3, after=entries[-1])
    settle(store, ear, more, first_number=4)
    store.write(Write(6, 2, 1, None, tuple(log(tail, epoch=2, after=more[-1]))))
    ear.until(lambda e: e.number == 6)
    crash_image(folder.with_suffix(".live"), folder)
    store.close()


@pytest.mark.parametrize("tail", [0, 7, 9])
def test_a_kill_during_an_installation_leaves_one_replica_or_the_other(
    tmp_path: Path, snapshot: tuple[SnapshotFile, Path], tail: int
) -> None:
    """Never a mixture, and the own promise never goes back; once reported, it is the new one."""
    made, kept = snapshot
    reference, lives = tmp_path / "reference", tmp_path / "lives"
    replica(reference, tail)
    old = state(Path(shutil.copytree(reference, tmp_path / "old")))
    arguments = [reference, lives, kept, made.index, made.hash.hex(), 6]
    subprocess.run([sys.executable, "-c", LIVES, *map(str, arguments)], timeout=300, check=True)
    became: list[bool] = []
    folders = sorted(lives.iterdir(), key=lambda folder: int(folder.name))
    for folder in folders:
        steps = (folder / "steps").read_text().splitlines()
        found = state(folder)
        new = found[4] == AFTER
        if new:
            assert found[:2] == old[:2]
            assert found[2:9] == (6, 4, AFTER, made.hash, (), AFTER, made.hash)
            assert found[9] == _digest_of_donor(snapshot)
            assert not list((folder / "disk" / "snapshots").iterdir())
        else:
            assert found == old
            assert "persisted 7" not in steps
        became.append(new)
    # The old one up to the commit, the new one from then on; and steps on both sides of it.
    assert became == sorted(became)
    assert became.count(False) >= 8
    assert became.count(True) >= 4


def _digest_of_donor(snapshot: tuple[SnapshotFile, Path]) -> bytes:
    donor = snapshot[0].path.parents[2] / DATABASE
    picture = take(donor, None)
    try:
        return digest(picture.rows)
    finally:
        picture.close()
