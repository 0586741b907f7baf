"""`kessai drill` as a person, or a program, uses it; what is played is made up."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

import loadtest.cli
from deploy.lab.folder import ClusterError
from loadtest import evidence
from loadtest.checkers.finding import ask_all
from loadtest.checkers.panel import PANEL
from loadtest.drill import command
from loadtest.drill.catalogue import NEEDS, Kind, catalogue, load
from loadtest.drill.player import Doing
from loadtest.drill.runner import Played, Teller, Wanted
from loadtest.drill.screen import Screen, step_words
from loadtest.drill.steps import KINDS, Hold, Steady, in_words, longest_s
from loadtest.drill.template import template
from loadtest.drill.verdict import DrillVerdict, Row, Ruling, worst
from loadtest.faults import Kill
from loadtest.generator import GeneratorFailed
from loadtest.load_plan import Progress
from loadtest.measure import measure
from tests.loadtest import told_drill

SECOND = Progress(3.0, 59.0, 8.0, 31.0, 170, 2, 0, 1, 4)


def kessai(*arguments: str) -> Result:
    group = click.Group(commands={each.name or "": each for each in loadtest.cli.commands})
    return CliRunner().invoke(group, ["drill", *arguments], catch_exceptions=False)


# --- a drill of one's own -------------------------------------------------------------------------


def used(text: str) -> str:
    """The template with all that waits to be used in use."""
    return re.sub(r"^#(?=[^ \n])", "", text, flags=re.MULTILINE)


def test_the_template_can_be_played_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(template("mine.toml"))
    drill = load(path)
    assert isinstance(drill.steps[0], Steady)
    assert isinstance(drill.steps[-1], Steady)
    assert any(isinstance(step, Kill) for step in drill.steps)
    assert drill.needs == set()


def test_the_template_shows_every_step_and_fault_as_it_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = used(template("mine.toml"))
    path.write_text(text.replace('ground = "processes"', 'ground = "netns"'))
    drill = load(path)
    assert {type(step) for step in drill.steps} == set(KINDS.values())
    assert drill.needs == set(NEEDS)
    assert all(value is not None for value in msgspec.structs.astuple(drill.limits))


def test_a_new_drill_is_written_into_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert f"kessai drill run {path}" in kessai("new", str(path)).output
    written = path.read_text()
    again = kessai("new", str(path))
    assert (again.exit_code, path.read_text()) == (1, written)
    assert "File exists" in again.output
    assert "ends in .toml" in kessai("new", str(tmp_path / "mine.txt")).output
    assert kessai("new").output == template("my-drill.toml")


def test_a_drill_is_shown_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "copy.toml"
    path.write_text(kessai("show", "leader-crash").output)
    (original,) = (each for each in catalogue() if each.name == "leader-crash")
    assert msgspec.structs.replace(load(path), name=original.name) == original
    assert kessai("show", "tea-break").exit_code == 1


def test_what_there_is_can_be_read_by_a_program() -> None:
    listed = json.loads(kessai("list", "--json").output)
    assert [each["name"] for each in listed] == [each.name for each in catalogue()]
    grounds = {each["ground"] for each in listed}
    assert grounds == {str(kind) for kind in Kind}
    assert all(each["needs"] == ["network"] for each in listed if each["ground"] == "netns")


def test_steps_in_words_leave_out_what_is_as_ever() -> None:
    assert in_words(Steady(4.0)) == "steady for_s 4"
    assert in_words(Steady(4.0, required=False)) == "steady for_s 4, required False"
    assert in_words(Kill("leader", also=("follower",))) == "kill leader, also follower"
    assert (longest_s(Steady(4.0, within_s=6.0)), longest_s(Hold(2.0))) == (10.0, 2.0)
    assert longest_s(Kill("leader")) == 0.0


# --- playing --------------------------------------------------------------------------------------


class Pretended:
    """Stands for `Run`: rulings are given in turn, `trouble` is raised instead of playing."""

    def __init__(self, folder: Path, rulings: list[Ruling]) -> None:
        self.folder = told_drill.play(folder)
        self.rulings = rulings
        self.seeds: list[int] = []
        self.trouble: Callable[[], None] = lambda: None

    def __call__(self, drill: Any, ground: Any, wanted: Wanted, teller: Teller) -> Any:
        self.seeds.append(wanted.seed)
        self.teller = teller
        return self

    def play(self) -> Played:
        self.teller.say("-- kill a1 (leader)")
        self.teller.progress(SECOND)
        self.trouble()
        told = evidence.read(self.folder)
        ruling = self.rulings.pop(0)
        verdict = DrillVerdict(ruling, (Row("what", "何", "3 ms"),), ask_all(PANEL, told))
        return Played(verdict, measure(told.history), self.folder)


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    play = Pretended(tmp_path / "evidence", [Ruling.PASS])
    monkeypatch.setattr(command, "Run", play)
    return play


def test_a_verdict_for_people_has_notes_and_no_line_a_second(pretended: Pretended) -> None:
    done = kessai("run", "leader-crash")
    assert done.exit_code == 0
    assert "-- kill a1 (leader)" in done.output
    assert "PASS 合格" in done.output
    assert "59/s" not in done.output


def test_a_verdict_for_programs_is_one_document_and_nothing_else(pretended: Pretended) -> None:
    done = kessai("run", "leader-crash", "--json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert (document["drill"], document["ruling"]) == ("leader-crash", "pass")
    (run,) = document["runs"]
    assert run["rows"] == [
        {"what": "what", "what_ja": "何", "value": "3 ms", "limit": "", "good": None}
    ]
    assert {finding["verdict"] for finding in run["findings"]} == {"pass"}
    assert run["figures"]["longest_gap_ms"] > 0
    assert run["evidence"] == str(pretended.folder)
    assert "-- kill a1 (leader)" in done.stderr


def test_repeated_drills_have_seeds_of_their_own_and_the_worst_counts(
    pretended: Pretended,
) -> None:
    pretended.rulings = [Ruling.PASS, Ruling.FAIL, Ruling.INCONCLUSIVE]
    done = kessai("run", "leader-crash", "--repeat", "3", "--seed", "7", "--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["ruling"] == "fail"
    assert [run["ruling"] for run in document["runs"]] == ["pass", "fail", "inconclusive"]
    assert document["longest_gap_ms"]["min"] == document["longest_gap_ms"]["max"]
    assert pretended.seeds == [7, 8, 9]
    assert "1 of 3 passed" in done.stderr


def test_one_failure_weighs_more_than_what_could_not_be_judged() -> None:
    assert worst([Ruling.PASS, Ruling.INCONCLUSIVE]) is Ruling.INCONCLUSIVE
    assert worst([Ruling.INCONCLUSIVE, Ruling.FAIL, Ruling.PASS]) is Ruling.FAIL
    assert worst([Ruling.PASS]) is Ruling.PASS


@pytest.mark.parametrize(
    ("problem", "status", "words"),
    [
        (ClusterError("a1 does not start"), 3, "a1 does not start"),
        (GeneratorFailed("locust ended early"), 3, "locust ended early"),
        (KeyboardInterrupt(), 130, "interrupted; healed and stopped"),
    ],
)
def test_what_was_not_played_is_no_verdict(
    pretended: Pretended, problem: BaseException, status: int, words: str
) -> None:
    def trouble() -> None:
        raise problem

    pretended.trouble = trouble
    done = kessai("run", "leader-crash", "--json")
    assert (done.exit_code, done.stdout) == (status, "")
    assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tea-break",), "no drill is called 'tea-break'"),
        (("leader-crash", "--topology", "moon"), "moon"),
        (("leader-crash", "--rate", "0"), "--rate"),
        (("leader-crash", "--surprise"), "--surprise"),
        ((), "NAME"),
        (("leader-crash", "--write"), "--planted"),
        (("leader-crash", "--planted"), "--planted"),
    ],
)
def test_a_wrong_command_line_is_not_taken_for_a_verdict(
    arguments: tuple[str, ...], words: str
) -> None:
    done = kessai("run", *arguments)
    assert done.exit_code == 3
    assert words in done.output


# --- on a terminal --------------------------------------------------------------------------------

DOING = Doing("hold for_s 4", 3, 9, 4.0, 70.0)


def test_a_step_is_told_with_the_time_that_is_left() -> None:
    assert step_words(DOING, 3.2) == "3/9 hold for_s 4: 3 s, all 73 s"
    assert step_words(Doing("kill leader", 2, 9, 0.0, 74.0), 0.0) == "2/9 kill leader"


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_has_a_line_that_is_redrawn(terminal: bool) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=120, color_system=None)
    with Screen(console).live() as teller:
        teller.say("-- kill a1 (leader)")
        teller.doing(DOING)
        teller.progress(SECOND)
        teller.say("-- a1 is gone")
    assert "-- kill a1 (leader)\n" in written.getvalue()
    for words in ("3/9 hold for_s 4: ", "59/s  p99 31 ms"):
        assert (words in written.getvalue()) is terminal
