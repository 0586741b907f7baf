"""`kessai compare`: what it plays, what it makes of it, and with which exit status it ends."""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from deploy.topology import find as find_topology
from loadtest.comparing import publishing
from loadtest.comparing.command import compare as command
from loadtest.comparing.plan import QUICK, Plan, PlanError, Playing, System, chosen, comparable
from loadtest.comparing.playing import NotPlayed, Played
from loadtest.comparing.table import AFTER_FAILED, ALL_GOOD, NOT_KNOWN, exit_status, show
from loadtest.drill.catalogue import Drill, Kind, Limits, catalogue
from loadtest.drill.steps import OnDuty, Steady
from loadtest.drill.verdict import Ruling
from loadtest.faults import Kill
from loadtest.report import dossier, page
from loadtest.report.build import build
from loadtest.report.comparison import Beside
from loadtest.report.model import DrillReport, Ending
from tests.loadtest.told_drill import play

OLD = System("legacy-2node", find_topology("legacy-2node"))
NEW = System("renewed-3node", find_topology("renewed-3node"))


def drill(name: str, *, copies_min: int | None = None) -> Drill:
    return Drill(
        title=f"The {name}",
        title_ja="訓練",
        about="One for tests.",
        steps=(Steady(1.0), Kill("leader"), OnDuty()),
        limits=Limits(),
        copies_min=copies_min,
        name=name,
    )


CRASH, LOSS = drill("crash"), drill("loss")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> DrillReport:
    return build(dossier.read(play(tmp_path_factory.mktemp("played"))))


def on(told: DrillReport, playing: Playing, ruling: Ruling, **outcome: object) -> DrillReport:
    """The report as if this playing had been played, and come to this."""
    assert told.grounds is not None
    return replace(
        told,
        name=playing.drill.name,
        ruling=ruling,
        outcome=replace(told.outcome, **outcome),  # type: ignore[arg-type]
        grounds=replace(told.grounds, topology=playing.drill.topology),
        origin=replace(told.origin, folder=f"{playing.number}-{playing.drill.name}"),
    )


class Fake:
    """Plays at once: each (drill, topology) comes to what `ends` says, all others pass."""

    def __init__(self, told: DrillReport, ends: dict[tuple[str, str], object]) -> None:
        self._told = told
        self._ends = ends
        self.played: list[tuple[str, str, int]] = []

    def __call__(self, playing: Playing) -> DrillReport:
        key = (playing.drill.name, playing.drill.topology)
        self.played.append((*key, playing.seed))
        end = self._ends.get(key, {})
        if isinstance(end, BaseException):
            raise end
        assert isinstance(end, dict)
        outcome = dict(end)
        return on(self._told, playing, outcome.pop("ruling", Ruling.PASS), **outcome)


def played(told: DrillReport, plan: Plan, **ends: object) -> tuple[Played, Fake]:
    """`ends` by the drill's name, with "_before" or "_after" behind it."""
    sides = {"before": OLD.name, "after": NEW.name}
    keys = {
        (name.rpartition("_")[0], sides[name.rpartition("_")[2]]): end for name, end in ends.items()
    }
    fake = Fake(told, keys)
    found = Played(plan)
    found.play(fake, lambda line: None)
    return found, fake


# --- the plan -------------------------------------------------------------------------------------


def test_only_drills_that_leave_it_to_the_people_on_duty_are_compared() -> None:
    other = msgspec.structs.replace(CRASH, steps=(Steady(1.0), Kill("leader")), name="other")
    assert comparable((CRASH, other, LOSS)) == (CRASH, LOSS)
    assert chosen((CRASH, other, LOSS), (), quick=False) == (CRASH, LOSS)
    assert chosen((CRASH, LOSS), ("loss", "loss"), quick=True) == (LOSS,)
    with pytest.raises(PlanError, match="not to be compared: other; there are: crash, loss"):
        chosen((CRASH, other, LOSS), ("other",), quick=False)


def test_the_catalogue_has_the_eight_quick_drills() -> None:
    found = chosen(catalogue(), (), quick=True)
    assert tuple(each.name for each in found) == QUICK
    assert len(set(QUICK)) == 8


def test_both_systems_get_the_same_seed_the_same_load_and_the_same_ground() -> None:
    plan = Plan((CRASH, LOSS), OLD, NEW, seed=5, repeat=2, rate=40.0)
    found = list(plan.playings())
    assert [(each.drill.name, each.drill.topology, each.seed) for each in found] == [
        (name, system.name, seed)
        for name in ("crash", "loss")
        for seed in (5, 6)
        for system in (OLD, NEW)
    ]
    assert {each.rate for each in found} == {40.0}
    assert {each.drill.ground for each in found} == {Kind.NETNS}
    assert [each.number for each in found] == list(range(1, 9))
    assert found[0].topology.copies_min == OLD.topology.copies_min
    own = Plan((CRASH,), OLD, NEW)
    assert next(own.playings()).rate == CRASH.load.rate


def test_what_a_drill_says_of_its_topology_holds_for_both() -> None:
    plan = Plan((drill("two-copies", copies_min=2),), OLD, NEW)
    assert [each.topology.copies_min for each in plan.playings()] == [2, 2]


def test_the_command_plays_it_again() -> None:
    plan = Plan((CRASH, LOSS), OLD, NEW, seed=5, repeat=2, rate=40.0)
    assert plan.whole_command == (
        "kessai compare --drill crash --drill loss --before legacy-2node --after renewed-3node "
        "--seed 5 --repeat 2 --rate 40"
    )
    own = Plan((CRASH,), OLD, NEW, files={"crash": "my drills/crash.toml"})
    assert "--drill 'my drills/crash.toml' --before" in own.whole_command
    plain = Plan((CRASH,), OLD, NEW)
    assert plain.whole_command.endswith("--after renewed-3node --seed 1")


# --- what comes of it -----------------------------------------------------------------------------


def test_the_systems_stand_beside_each_other(told: DrillReport) -> None:
    plan = Plan((CRASH, LOSS), OLD, NEW)
    bad = {
        "ruling": Ruling.FAIL,
        "lost": 117,
        "services": 1,
        "operator_steps": 2,
        "gap_ms": 12_400.0,
        "gap_ended": Ending.OPERATORS,
    }
    found, fake = played(told, plan, loss_before=bad, loss_after={"services": 7})
    assert len(fake.played) == 4
    comparison = found.comparison()
    assert comparison.renewal is not None
    assert [line.beside for line in comparison.lines] == [Beside.AS_WELL, Beside.ONLY_AFTER]
    assert comparison.renewal.sentence.en == (
        "After the renewal 2 of 2 drills passed, nothing lost; before: 1 of 2 drills passed, "
        "117 settlements lost, 0 doubled."
    )
    assert exit_status(comparison) == ALL_GOOD  # what the old system fails is a finding
    said = shown(found)
    for words in ("12.40 s,", "until people", "117", "1 of 7", "7 of 7"):
        assert words in said
    assert "As well" in said
    assert comparison.renewal.command in said


def shown(found: Played) -> str:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    show(console, found.comparison())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_repeats_are_told_with_least_median_and_greatest(told: DrillReport) -> None:
    found, _ = played(told, Plan((CRASH,), OLD, NEW, repeat=3), crash_before={"gap_ms": 900.0})
    (line,) = found.comparison().lines
    before, after = line.cells
    assert before is not None
    assert after is not None
    assert (len(before.reports), before.passed) == (3, 3)
    assert "Pass 3 of 3" in shown(found)


def test_equipment_that_is_not_there_is_no_failure(told: DrillReport) -> None:
    nothing = {"ruling": Ruling.INCONCLUSIVE, "absent": "site a has no switch-2"}
    found, _ = played(told, Plan((CRASH, LOSS), OLD, NEW), loss_before=nothing)
    comparison = found.comparison()
    assert comparison.lines[1].beside is Beside.NO_EQUIPMENT
    assert exit_status(comparison) == ALL_GOOD
    assert "legacy-2node: no such equipment: site a has no switch-2" in shown(found)
    assert comparison.renewal is not None
    assert "before: 1 of 1 drills passed" in comparison.renewal.sentence.en


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ({}, ALL_GOOD),
        ({"crash_before": {"ruling": Ruling.FAIL}}, ALL_GOOD),
        ({"crash_after": {"ruling": Ruling.FAIL}}, AFTER_FAILED),
        ({"crash_before": {"ruling": Ruling.INCONCLUSIVE}}, NOT_KNOWN),
        ({"crash_after": {"ruling": Ruling.INCONCLUSIVE}}, NOT_KNOWN),
        ({"crash_before": NotPlayed("etcd did not start")}, NOT_KNOWN),
        (
            {
                "crash_before": {"ruling": Ruling.INCONCLUSIVE},
                "crash_after": {"ruling": Ruling.FAIL},
            },
            AFTER_FAILED,
        ),
    ],
)
def test_the_exit_status(told: DrillReport, ends: dict[str, object], status: int) -> None:
    found, _ = played(told, Plan((CRASH,), OLD, NEW), **ends)
    assert exit_status(found.comparison()) == status


def test_what_was_not_played_is_told_and_the_others_are(told: DrillReport) -> None:
    found, fake = played(
        told, Plan((CRASH, LOSS), OLD, NEW), crash_before=NotPlayed("etcd did not start")
    )
    assert len(fake.played) == 4
    assert found.unplayed == [("crash on legacy-2node", "etcd did not start")]
    said = shown(found)
    assert "not played: crash on legacy-2node: etcd did not start" in said
    assert "before: 1 of 2 drills passed (1 without an answer)" in said
    assert "No verdict" in said


def test_the_readme_gets_the_table_and_how_to_play_it_again(told: DrillReport) -> None:
    plan = Plan((CRASH, LOSS), OLD, NEW)
    found, _ = played(
        told,
        plan,
        loss_before={"ruling": Ruling.FAIL, "lost": 5, "services": 1, "operator_steps": 3},
        loss_after={"services": 7},
    )
    written = publishing.lines(found.comparison(), datetime.date(2026, 11, 23))
    rows = [line for line in written if line.startswith("| ")]
    assert len(rows) == 1 + 2 * 2
    before, after = (rows[3].split(" | "), rows[4].split(" | "))
    assert before[0].startswith("| The leader is killed (`loss`)<br>*Only after the renewal")
    assert (before[1], before[2], before[4], before[7]) == ("before", "fail", "5", "1 of 7")
    assert before[8] == "3 |"
    assert (after[1], after[2], after[7]) == ("**after**", "pass", "7 of 7")
    assert f"./{plan.whole_command}" in written
    assert any("23 November 2026" in line for line in written)
    document = f"head\n{publishing.MARKERS.begin}\nold\n{publishing.MARKERS.end}\ntail"
    filled = publishing.MARKERS.fill(document, written)
    assert "\nold\n" not in filled
    assert filled.startswith("head")
    assert filled.endswith("tail")


def test_a_picture_is_taken_of_a_page(tmp_path: Path) -> None:
    page_ = tmp_path / "page.html"
    page_.write_text("<!doctype html><title>t</title><body>a page")
    publishing.photograph(page_, tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_an_interruption_leaves_what_was_played(told: DrillReport) -> None:
    found, fake = played(told, Plan((CRASH, LOSS), OLD, NEW), loss_before=KeyboardInterrupt())
    assert found.interrupted
    assert [name for name, *_ in fake.played] == ["crash", "crash", "loss"]
    assert [name for name, _ in found.unplayed] == ["loss on legacy-2node", "loss on renewed-3node"]
    comparison = found.comparison()
    assert [line.name for line in comparison.lines] == ["crash"]
    assert exit_status(comparison) == NOT_KNOWN


def test_page_and_json_hold_both_columns(told: DrillReport, tmp_path: Path) -> None:
    found, _ = played(told, Plan((CRASH, LOSS), OLD, NEW), loss_before={"ruling": Ruling.FAIL})
    out = tmp_path / "new" / "comparison.html"
    page.write(found.comparison(), out)
    document = json.loads(out.with_suffix(".json").read_bytes())["comparison"]
    assert document["columns"] == [OLD.name, NEW.name]
    assert [len(line["cells"]) for line in document["lines"]] == [2, 2]
    assert document["lines"][1]["beside"] == "only_after"
    assert document["renewal"]["command"].startswith("kessai compare --drill crash")
    assert "Before and after the renewal" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--before", "x", "--after", "x"], "the same topology"),
        (["--drill", "no-such-drill"], "no drill is called 'no-such-drill'"),
        (["--drill", "demo"], "not to be compared: demo"),
        (["--before", "no-such-topology"], "no-such-topology"),
    ],
)
def test_what_cannot_be_compared_is_refused_at_once(options: list[str], words: str) -> None:
    done = CliRunner().invoke(command, options)
    assert done.exit_code == 3
    assert words in done.output
