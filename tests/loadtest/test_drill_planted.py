"""The planted faults: they go in, do what they say, and a real cluster of them is convicted."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest.checkers.finding import Finding, Verdict
from loadtest.checkers.panel import PANEL
from loadtest.drill import catalogue as drills
from loadtest.drill.catalogue import Kind
from loadtest.drill.planted import catalogue, command, matrix, node, storing, trial
from loadtest.drill.planted.fault import Fault, Trial
from loadtest.drill.planted.matrix import Row
from loadtest.drill.planted.trial import Court
from loadtest.drill.runner import Teller
from loadtest.drill.verdict import DrillVerdict, Ruling
from loadtest.sim.planted.plant import Change, Plant, planted
from node.core.messages import GENESIS_HASH, Entry, chain_hash
from node.core.outputs import Write
from node.store import Recovered, Store
from tests.deploy.small import topology

FAULTS = pytest.mark.parametrize("fault", catalogue.FAULTS, ids=lambda fault: fault.name)


# --- what is planted ------------------------------------------------------------------------------


def test_every_checker_has_somebody_to_convict() -> None:
    assert {fault.checker for fault in catalogue.FAULTS} == set(PANEL)
    assert len({fault.name for fault in catalogue.FAULTS}) == len(catalogue.FAULTS)


@FAULTS
def test_a_fault_goes_in_and_comes_out(fault: Fault) -> None:
    changes = fault.plant.changes
    before = [vars(each.owner)[each.name] for each in changes]
    with planted(fault.plant):
        assert [vars(each.owner)[each.name] for each in changes] == [each.into for each in changes]
    assert [vars(each.owner)[each.name] for each in changes] == before
    assert not any(each.into is was for each, was in zip(changes, before, strict=True))


@FAULTS
def test_its_drill_can_be_played_anywhere_and_is_not_in_the_catalogue(fault: Fault) -> None:
    assert catalogue.drill(fault.drill).ground is Kind.PROCESSES
    assert fault.drill not in {each.name for each in drills.catalogue()}


def test_the_program_of_a_node_runs_with_the_fault_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = catalogue.find("answers-before-quorum")
    (change,) = fault.plant.changes
    seen: list[object] = []

    def settle() -> int:
        seen.extend([vars(change.owner)[change.name], *sys.argv[1:]])
        return 7

    monkeypatch.setattr(node, "settle", settle)
    settings = Path("a1.json")
    monkeypatch.setattr(sys, "argv", ["node", *trial.guilty(fault)(settings)[3:], "--more"])
    assert node.main() == 7
    assert seen == [change.into, "a1.json", "--more"]


def test_a_fault_that_there_is_not_is_refused() -> None:
    wrong = trial.guilty(GUILTY)(Path("a1.json"))
    ended = subprocess.run(wrong, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "forgets-keys" in ended.stderr


# --- what they do ---------------------------------------------------------------------------------


class _Nobody:
    """Listens to a store, and has nothing to do with what it says."""

    def persisted(self, number: int) -> None:
        """Nothing."""

    def applied(self, index: int, receipts: object) -> None:
        """Nothing."""

    def failed(self, reason: str) -> None:
        """It must not."""
        raise AssertionError(reason)


def written(folder: Path, count: int) -> None:
    """A store with so many entries in its log."""
    store, _ = Store.open(folder, node="a1")
    entries: list[Entry] = []
    before = GENESIS_HASH
    for index in range(1, count + 1):
        before = chain_hash(before, index, 1, b"")
        entries.append(Entry(index, 1, b"", before))
    store.start(_Nobody())
    store.write(Write(1, 1, 0, None, tuple(entries)))
    store.close()


def reopened(folder: Path) -> Recovered:
    """What the store in this folder says that it holds."""
    store, recovered = Store.open(folder, node="a1")
    store.close()
    return recovered


def test_a_store_that_loses_its_tail_says_that_it_never_had_it(tmp_path: Path) -> None:
    written(tmp_path, 40)
    assert reopened(tmp_path).entries[-1].index == 40
    with planted(catalogue.find("loses-its-tail").plant):
        assert reopened(tmp_path).entries[-1].index == 40 - storing.DROPPED
    assert reopened(tmp_path).entries[-1].index == 40 - storing.DROPPED  # and is not refused


# --- the matrix -----------------------------------------------------------------------------------

PLANT = Plant("a", "T7", "it is wrong", (Change(matrix, "table", None),))
GUILTY = Fault(PLANT, "some-drill", "lost_approval")
ACCUSED, CONTROL = Trial(GUILTY, "some-drill"), Trial(None, "some-drill")
CONVICTED = Row(ACCUSED, Ruling.FAIL, ("lost_approval", "divergence"), "k", 21.4)
ACQUITTED = Row(CONTROL, Ruling.PASS, (), "", 20.0)


def finding(checker: str, *problems: str) -> Finding:
    """What a checker says who found these problems, if any."""
    verdict = Verdict.FAIL if problems else Verdict.PASS
    return Finding(checker, "?", verdict, 9, problems, len(problems))


def test_a_conviction_must_be_for_what_the_fault_is_guilty_of() -> None:
    both = (finding("lost_approval", "k is not there", "more"), finding("divergence", "differ"))
    row = matrix.judged(ACCUSED, DrillVerdict(Ruling.FAIL, (), both), 21.4)
    assert row.just
    assert (row.convicted_by, row.words) == (("lost_approval", "divergence"), "k is not there")
    other = (finding("lost_approval"), finding("divergence", "differ"))
    assert not matrix.judged(ACCUSED, DrillVerdict(Ruling.FAIL, (), other), 1.0).just
    slow = DrillVerdict(Ruling.FAIL, (), (finding("lost_approval"),), broken="too slow")
    row = matrix.judged(ACCUSED, slow, 1.0)
    assert not row.just
    assert row.words == "too slow"


def test_the_innocent_must_be_acquitted_not_merely_unconvicted() -> None:
    assert ACQUITTED.just
    assert not replace(ACQUITTED, ruling=Ruling.INCONCLUSIVE).just
    found = (finding("stale_read", "denied"),)
    row = matrix.judged(CONTROL, DrillVerdict(Ruling.FAIL, (), found), 1.0)
    assert not row.just
    assert row.words == "denied"


def test_the_table_names_who_got_away() -> None:
    away = replace(CONVICTED, ruling=Ruling.PASS, convicted_by=())
    assert matrix.table([CONVICTED, away, ACQUITTED]) == [
        "planted fault  drill       verdict  convicted by               seconds",
        "a              some-drill  fail     lost_approval, divergence  21",
        "a              some-drill  pass     nobody                     21       NOT JUST",
        "healthy        some-drill  pass     nobody                     20",
    ]


def test_the_table_goes_into_the_document() -> None:
    document = f"before\n{matrix.MARKERS.begin}\nold\n{matrix.MARKERS.end}\nafter\n"
    lines = matrix.MARKERS.fill(document, matrix.markdown([CONVICTED, ACQUITTED])).splitlines()
    assert lines[2].startswith("| planted fault | rule |")
    assert lines[4:] == [
        "| `a` | T7 | it is wrong | some-drill | fail | lost_approval, divergence | k | 21 |",
        "| `healthy` |  | nothing | some-drill | pass | nobody |  | 20 |",
        matrix.MARKERS.end,
        "after",
    ]


def test_the_document_has_every_fault_and_all_of_it_was_just() -> None:
    _, _, rest = command.DOCUMENT.read_text().partition(matrix.MARKERS.begin)
    table, _, _ = rest.partition(matrix.MARKERS.end)
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    accused = [f"| `{fault.name}`" for fault in catalogue.FAULTS]
    assert [row[0] for row in rows if row[0] != "| `healthy`"] == accused
    assert {row[3] for row in rows if row[0] == "| `healthy`"} == {row[3] for row in rows}
    assert not any("NOT JUST" in cell for row in rows for cell in row)


# --- the command ----------------------------------------------------------------------------------


def test_each_drill_is_played_with_healthy_nodes_once() -> None:
    order = [(each.name, each.drill) for each in trial.trials(catalogue.FAULTS)]
    accused = [(fault.name, fault.drill) for fault in catalogue.FAULTS]
    assert order[: len(accused)] == accused
    controls = order[len(accused) :]
    assert {name for name, _ in controls} == {"healthy"}
    assert sorted(drill for _, drill in controls) == sorted({drill for _, drill in accused})


@pytest.mark.parametrize(("ruling", "status"), [(Ruling.PASS, 0), (Ruling.FAIL, 1)])
def test_the_exit_status_is_good_only_if_everything_was_just(
    monkeypatch: pytest.MonkeyPatch, ruling: Ruling, status: int
) -> None:
    def hold(each: Trial, court: Court) -> Row:
        if each.fault is None:
            return Row(each, ruling, (), "", 1.0)
        return Row(each, Ruling.FAIL, (each.fault.checker,), "so it was", 1.0)

    monkeypatch.setattr(command, "hold", hold)
    with CliRunner().isolation() as (out, *_):
        assert command.planted((), seed=1, write=False) == status
        said = out.getvalue().decode()
    assert all(fault.name in said for fault in catalogue.FAULTS)
    assert ("NOT JUST" in said) is bool(status)


def test_a_real_cluster_that_answers_before_its_quorum_is_convicted(tmp_path: Path) -> None:
    """The others are in docs/evidence.md: `kessai drill run --planted` plays them all."""
    told: list[str] = []
    fault = catalogue.find("answers-before-quorum")
    court = Court(tmp_path, 1, Teller(told.append, lambda second: None), topology())
    row = trial.hold(Trial(fault, fault.drill), court)
    assert row.just, (row, told)
    assert "is not there" in row.words
