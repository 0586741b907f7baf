"""What a day has exercised: the signs that need more than one step, and how it is all told."""

from __future__ import annotations

import json
import pickle

import pytest

from loadtest.sim.happening import Kind
from loadtest.sim.tales.coverage import Coverage
from loadtest.sim.tales.pairs import Fault, Manoeuvre
from loadtest.sim.tales.rules import RULES
from node.core.inputs import SwitchAsked
from node.ledger.commands import encode_batch
from tests.loadtest.sim.watched import Watched

THREE = {"a": ["a1", "a2", "a3"]}
PAIRS = {"a": ["a1", "a2"], "b": ["b1", "b2"]}


@pytest.fixture
def coverage() -> Coverage:
    """Nothing was met yet."""
    return Coverage()


def serving(sites: dict[str, list[str]], coverage: Coverage) -> Watched:
    """A cluster whose first node leads, and has settled something."""
    world = Watched(sites, coverage)
    world.elect("a1")
    world.work(2)
    return world


def test_a_quiet_day_shows_the_rules_of_settling_and_no_other(coverage: Coverage) -> None:
    world = serving(THREE, coverage)
    world.work(20)
    assert {rule for rule in RULES if coverage.rules[rule]} == {
        "D2", "D3", "M5", "T1", "T3", "T4", "T6",
    }  # fmt: skip


def test_E2_a_campaign_that_lost_to_anothers_win(coverage: Coverage) -> None:
    world = Watched({"a": ["a1", "a2", "a3"], "b": ["b1", "b2", "b3"]}, coverage)
    world.run_until(lambda: bool(world.serving()))
    assert coverage.rules["E2"] == 1
    world.run(500)
    assert coverage.rules["E2"] == 1


def test_E2_a_win_over_a_key_that_was_suspected(coverage: Coverage) -> None:
    world = serving(THREE, coverage)
    before = coverage.rules["E2"]
    world.crash("a1", refuse=True)
    world.run_until(lambda: bool(world.serving()))
    assert coverage.rules["E2"] > before


def test_E3_a_former_lifes_key_that_goes_without_its_lease(coverage: Coverage) -> None:
    world = serving(THREE, coverage)
    for expires in (True, False):
        (leader,) = world.serving()
        seen = coverage.rules["E3"]
        world.crash(leader)
        world.restart(leader)
        world.watch(leader)
        if expires:
            world.tell(Kind.LEASE_EXPIRED, leader)
        world.expire(leader)
        world.watch(leader)
        assert coverage.rules["E3"] == seen + (not expires)
        world.run_until(lambda: bool(world.serving()))


def test_E3_a_win_whose_answer_was_lost(coverage: Coverage) -> None:
    world = serving(THREE, coverage)
    world.expire("a1")
    world.run_until(lambda: bool(world.serving()))
    assert coverage.rules["E3"] == 0
    world.expire(*world.serving())
    while not world.requests:
        world.tick(ms=10)
        for name in world.nodes:
            world.watch(name)
    world.tell(Kind.ANSWER_LOST, world.requests[0].node, "write of leader")
    world.run_until(lambda: bool(world.serving()))
    assert coverage.rules["E3"] == 1


def test_S3_and_E4_a_set_change_is_sent_and_made(coverage: Coverage) -> None:
    world = serving(THREE, coverage)
    world.crash("a3")
    world.etcd_away = True
    world.run(800)
    assert coverage.rules["S3"] > 1
    assert coverage.rules["E4"] == 0
    world.etcd_away = False
    world.run(500)
    assert coverage.rules["E4"] == 1


def test_D6_a_node_that_counts_again_on_another_disk(coverage: Coverage) -> None:
    world = serving(THREE, coverage)
    world.crash("a3")
    world.restart("a3")
    world.run(500)
    assert coverage.rules["D6"] == 0
    world.crash("a3")
    world.lose_disk("a3")
    world.restart("a3")
    world.run(2_000)
    assert coverage.rules["D6"] == 1


def test_E5_a_switch_and_not_any_other_loss_of_the_key(coverage: Coverage) -> None:
    world = serving(PAIRS, coverage)
    world.expire("a1")
    world.run_until(lambda: bool(world.serving()))
    assert coverage.rules["E5"] == 0
    world.run(200)
    world.step(world.serving()[0], SwitchAsked("b"))
    world.run_until(lambda: world.serving() in (["b1"], ["b2"]))
    assert coverage.rules["E5"] == 1
    assert coverage.rules["H2"] == 1


def test_X5_a_win_while_the_other_site_is_down(coverage: Coverage) -> None:
    world = serving(PAIRS, coverage)
    for name in ("a1", "a2"):
        world.crash(name)
    planned = world.plan_switch("b")
    assert planned is not None
    world.switch(planned)
    world.run_until(lambda: bool(world.serving()), 4_000)
    assert coverage.rules["X5"] == 1


@pytest.mark.parametrize("applied", [False, True])
def test_T9_a_leadership_that_ends_with_and_without_a_proposal_under_way(
    coverage: Coverage, applied: bool
) -> None:
    world = serving(THREE, coverage)
    world.propose("a1")
    if applied:
        world.settle()
    world.expire("a1")
    world.watch("a1")
    assert coverage.rules["T9"] == (not applied)


def test_W1_only_while_etcd_is_away(coverage: Coverage) -> None:
    world = serving(THREE, coverage)
    assert coverage.rules["W1"] == 0
    world.tell(Kind.ETCD_AWAY, "etcd")
    world.work(3)
    assert coverage.rules["W1"] == 3
    world.tell(Kind.ETCD_BACK, "etcd")
    world.work(3)
    assert coverage.rules["W1"] == 3


def test_C3_a_stamp_that_stands_still(coverage: Coverage) -> None:
    world = serving(THREE, coverage)
    world.work(3)
    assert coverage.rules["C3"] == 0
    world.run(20)
    world.propose("a1", encode_batch(world.stamp_ms, ()))
    assert coverage.rules["C3"] == 1


def test_C1_C2_and_R2_by_what_terminals_hear(coverage: Coverage) -> None:
    world = serving(THREE, coverage)
    for detail in (
        "ok: sale ¥1,200, from a1, attempt 1",
        "ok: sale ¥1,200, from a1, attempt 1, settled before",
        "ok: sale ¥1,200, from a1, attempt 3, settled before",
        "read: interim, from a1, attempt 1",
        "read: interim, from a2, attempt 1",
    ):
        world.tell(Kind.ANSWERED, "t0000", detail)
    assert (coverage.rules["C1"], coverage.rules["C2"], coverage.rules["R2"]) == (2, 1, 1)


def test_D5_a_disk_that_is_refused(coverage: Coverage) -> None:
    serving(THREE, coverage).tell(Kind.DISK_REFUSED, "a2")
    assert coverage.rules["D5"] == 1


def test_days_are_added_up_wherever_they_were_played(coverage: Coverage) -> None:
    serving(THREE, coverage).crash("a1")
    other: Coverage = pickle.loads(pickle.dumps(coverage))
    other.merge(coverage)
    assert other.rules["T6"] == 2
    assert other.pairs[Manoeuvre.SERVING, Fault.CRASH] == 2


def test_what_was_not_met_is_named(coverage: Coverage) -> None:
    serving(THREE, coverage).crash("a1")
    unmet = coverage.unreached()
    assert any(line.startswith("X4: ") for line in unmet)
    assert not any(line.startswith("T6: ") for line in unmet)
    (service,) = [line for line in unmet if line.startswith(Manoeuvre.SERVING)]
    assert Fault.PAUSE in service
    assert not service.endswith(f" {Fault.CRASH}")


def test_the_table_has_every_rule_and_every_pair(coverage: Coverage) -> None:
    serving(THREE, coverage).crash("a1")
    table = coverage.table()
    first = next(at for at, line in enumerate(table) if line.startswith("rule")) + 1
    assert [line.split()[0] for line in table[first : first + len(RULES)]] == list(RULES)
    rows = {
        str(manoeuvre): line[len(manoeuvre) :].split()
        for manoeuvre in Manoeuvre
        for line in table
        if line.startswith(f"{manoeuvre} ")
    }
    assert list(rows) == list(Manoeuvre)
    assert rows[Manoeuvre.SERVING][0] == "1"
    assert rows[Manoeuvre.DRAINING][list(Fault).index(Fault.ANSWER)] == "-"
    assert all(len(row) == len(Fault) for row in rows.values())


def test_the_document_for_machines_has_the_same_counts(coverage: Coverage) -> None:
    serving(THREE, coverage).crash("a1")
    document = json.loads(json.dumps(coverage.document()))
    assert document["rules"]["T6"] == coverage.rules["T6"] > 0
    assert document["pairs"]["normal service"]["crash"] == 1
    assert "site switch: draining x answer lost" in document["impossible"]
    assert document["unreached"] == coverage.unreached()
