"""The judges of a simulated day acquit a quiet one, and convict what was done to its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from loadtest.checkers.finding import Verdict
from loadtest.history import SETTLED, Heard, Result, gathered
from loadtest.sim import judge
from loadtest.sim.people.forfeit import Forfeit
from loadtest.sim.setup import Setup
from loadtest.sim.world import World
from node.core import Timings
from node.core.messages import Entry, chain_hash
from node.ledger.commands import Batch, decode_batch, encode_batch
from node.ledger.storage import Table

SITE = {"a": ("a1", "a2", "a3")}


@pytest.fixture
def world() -> Iterator[World]:
    """Four seconds of business, and everything is heard."""
    world = World(5, Setup(SITE, 2, Timings(), terminals=4, rate=40.0))
    world.begin()
    world.run(4_000)
    for terminal in world.terminals:
        terminal.stop()
    world.run(6_000)
    assert all(terminal.idle for terminal in world.terminals)
    yield world
    world.close()


def verdicts(world: World) -> dict[str, Verdict]:
    return {finding.checker: finding.verdict for finding in judge.findings(world)}


def convicted(world: World) -> set[str]:
    return {name for name, verdict in verdicts(world).items() if verdict is Verdict.FAIL}


def told(world: World) -> Heard:
    """The last approval that was heard."""
    return next(
        line
        for line in reversed(world.lines)
        if isinstance(line, Heard) and line.result is Result.OK
    )


def batch(world: World) -> tuple[Entry, Batch]:
    """The last entry in the log that holds commands."""
    entry = next(each for each in reversed(world.nodes["a1"].disk.entries) if each.payload)
    return entry, decode_batch(entry.payload)


def test_a_quiet_day_is_acquitted(world: World) -> None:
    assert judge.converged(world) == ""
    assert set(verdicts(world).values()) == {Verdict.PASS}
    found = judge.evidence(world)
    assert len(found.ledgers) == len(found.audits) == 3
    assert all(audit.rederived and not audit.problem for audit in found.audits)
    assert all(ledger.in_sync for ledger in found.ledgers)
    assert sum(line.result in SETTLED for line in found.history.heard) > 80


def test_an_answer_that_no_ledger_holds_is_a_lost_approval(world: World) -> None:
    reply = told(world).reply
    assert reply is not None
    forged = msgspec.structs.replace(reply, index=reply.index + 1, settled_at_ms=1)
    world.lines.append(msgspec.structs.replace(told(world), reply=forged))
    assert convicted(world) == {"lost_approval", "wrong_replay"}


def test_a_row_that_one_replica_lacks_convicts_it(world: World) -> None:
    key = told(world).key
    life = world.nodes["a2"].running
    assert life is not None
    picture = life.store.picture()
    kept = [(name, row) for name, row in picture.rows.scan(Table.RECORD) if name != key]
    robbed = type(picture.rows)()
    for table in Table:
        robbed.put(table, kept if table is Table.RECORD else list(picture.rows.scan(table)))
    life.store.picture = lambda: replace(picture, rows=robbed)  # type: ignore[method-assign]
    assert convicted(world) >= {"lost_approval", "divergence"}
    assert any(audit.node == "a2" and audit.problem for audit in judge.evidence(world).audits)


def test_a_replica_that_counts_and_does_not_run_leaves_the_judges_unsure(world: World) -> None:
    world.nodes["a2"].crash()
    assert judge.converged(world) == "a2 does not run"
    assert set(verdicts(world).values()) == {Verdict.UNKNOWN}
    assert judge.evidence(world).missing == (f"a2/{world.nodes['a2'].disk.disk_id}",)


def test_a_replica_on_a_new_disk_does_not_count_before_it_is_admitted(world: World) -> None:
    world.nodes["a2"].lose_disk()
    world.nodes["a2"].start()
    assert judge.converged(world).endswith("does not count")
    world.run(16_000)
    assert judge.converged(world) == ""
    assert set(verdicts(world).values()) == {Verdict.PASS}


def test_a_log_that_is_not_applied_to_its_end_is_not_whole(world: World) -> None:
    life = world.nodes["a3"].running
    assert life is not None
    life.replica.state.applied -= 1
    assert judge.converged(world).startswith("a3 has applied")


# --- promotions with loss -------------------------------------------------------------------------


def test_what_was_given_up_is_left_out_and_nothing_else(world: World) -> None:
    """An entry that another site had at the same index, with the commands of one that is kept."""
    entry, held = batch(world)
    stamp_ms = held.stamp_ms + 7
    payload = encode_batch(stamp_ms, held.commands)
    gone = replace(entry, payload=payload, hash=chain_hash(b"", entry.index, 1, payload))
    lost = [
        msgspec.structs.replace(
            line, reply=msgspec.structs.replace(line.reply, settled_at_ms=stamp_ms, rrn="0")
        )
        for line in world.history.heard
        if line.reply is not None and line.reply.index == entry.index
    ]
    assert lost
    before = world.history.heard
    world.lines.extend(lost)
    assert convicted(world) == {"lost_approval", "wrong_replay"}

    configuration, _ = world.configuration()
    assert configuration is not None
    world.desk.given_up.append(Forfeit("b", configuration, (), (gone,)))
    world.witness.given_up.add(gone.hash)
    assert set(verdicts(world).values()) == {Verdict.PASS}
    assert judge.evidence(world).history.heard == before

    world.witness.given_up.clear()  # a survivor had it after all
    assert convicted(world) == {"lost_approval", "wrong_replay"}


def test_a_settlement_is_known_by_key_index_and_time(world: World) -> None:
    entry, held = batch(world)
    found = judge.settlements([entry])
    assert {(command.key, entry.index, held.stamp_ms) for command in held.commands} <= found
    heard = told(world)
    assert heard.reply is not None
    mine = (heard.reply.key, heard.reply.index, heard.reply.settled_at_ms)
    history = gathered(world.lines)
    key, index, stamp_ms = mine
    for other in ((key, index + 1, stamp_ms), (key, index, stamp_ms + 1), ("", index, stamp_ms)):
        assert judge.without(history, {other}) == history
    assert heard not in judge.without(history, {mine}).heard


def test_who_was_given_up_is_not_compared(world: World) -> None:
    configuration, _ = world.configuration()
    assert configuration is not None
    (a3,) = (each for each in configuration.members if each.node == "a3")
    without = configuration.with_set("a", configuration.active_set - {a3})
    changed = replace(without, given_up=frozenset({a3}))
    world.configuration = lambda: (changed, 9)  # type: ignore[method-assign]
    found = judge.evidence(world)
    assert found.given_up == {str(a3)}
    assert {audit.node for audit in found.audits} == {"a1", "a2"}
    assert [ledger.name for ledger in found.ledgers if ledger.in_sync] == ["a1", "a2"]
