"""The model of the protocol: it holds where it should, and notices what is broken on purpose."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest.model import spin_binary
from loadtest.model.command import model, verdict
from loadtest.model.instances import INSTANCES, RIVALS, Instance
from loadtest.model.planted import PLANTED, Planted
from loadtest.model.spin import MODEL, Explored, SpinFailed, explore, parse, trail
from loadtest.model.spin_binary import SpinMissing

SAID = """\
witness: a second leader commits
pan:1: assertion violated durability (at depth 35)
pan: wrote protocol.pml.trail

State-vector 148 byte, depth reached 41, errors: 1
    96453 states, stored
   508213 states, matched
   604666 transitions (= stored+matched)
        0 atomic steps

   16.925	equivalent memory usage for states (stored*(State-vector + overhead))
  148.691	total actual memory usage
"""

TOLD = """\
R0 wins epoch 1 in configuration 0 and promises it
witness: a second leader commits
R0 takes the log [421] of epoch 4
R0 has a takeover quorum and leads epoch 4 with log [0]
R0 asks etcd for members {5}
pan:1: assertion violated durability (at depth 36)
spin: trail ends after 36 steps
"""


@pytest.fixture(scope="module")
def spin() -> Path:
    """A Spin that runs here; it may have to be fetched."""
    return spin_binary.find(say=print)


@pytest.fixture(scope="module")
def rivals(spin: Path) -> Explored:
    """The quick instance, in fewer epochs."""
    return explore(RIVALS.bounded(E=3), spin)


def test_every_state_of_the_quick_instance_is_right(rivals: Explored) -> None:
    assert verdict(RIVALS, rivals) == "holds"
    assert rivals.states > 10_000
    assert rivals.complete
    assert rivals.trail == ()


@pytest.mark.parametrize("bug", [each for each in PLANTED if each.quick], ids=lambda bug: bug.macro)
def test_a_broken_rule_is_noticed(bug: Planted, spin: Path) -> None:
    found = explore(bug.instance, spin, bug.macro)
    assert found.violated == bug.caught_by
    assert found.trail[0] == "R0 wins epoch 1 in configuration 0 and promises it"


def test_what_the_verifier_says_is_read() -> None:
    found = parse(SAID, 1.5, ("a step",))
    assert found == Explored(
        states=96453,
        transitions=604666,
        depth=41,
        memory_mb=148.691,
        seconds=1.5,
        complete=True,
        violated="durability",
        witnesses=("a second leader commits",),
        trail=("a step",),
    )


def test_large_figures_are_read() -> None:
    said = SAID.replace("604666 transitions", "1.6226953e+08 transitions")
    assert parse(said, 0.0).transitions == 162_269_530


@pytest.mark.parametrize(
    "warning",
    [
        "error: max search depth too small",
        "pan: reached -DMEMLIM bound",
        "Warning: Search not completed",
    ],
)
def test_a_search_that_ended_early_is_not_called_exhaustive(warning: str) -> None:
    clean = SAID.replace("errors: 1", "errors: 0").replace("assertion violated", "")
    assert parse(clean, 0.0).complete
    cut = parse(f"{warning}\n{clean}", 0.0)
    assert not cut.complete
    assert verdict(RIVALS, cut) == "not finished"


def test_a_verifier_that_says_nothing_has_failed() -> None:
    with pytest.raises(SpinFailed, match="states"):
        parse("Segmentation fault", 0.0)


def test_an_error_that_is_no_assertion_is_told() -> None:
    with pytest.raises(SpinFailed, match="no assertion"):
        parse(SAID.replace("assertion violated durability", "invalid array index"), 0.0)


def test_what_must_happen_and_does_not_is_told() -> None:
    clean = parse(SAID.replace("errors: 1", "errors: 0").replace("assertion violated", ""), 0.0)
    wanted = Instance("small", "", {}, witnesses=("a second leader commits", "a read is answered"))
    assert verdict(wanted, clean) == "proves nothing, never seen: a read is answered"


def test_a_run_is_told_in_sentences() -> None:
    assert trail(TOLD) == (
        "R0 wins epoch 1 in configuration 0 and promises it",
        "R0 takes the log [1 2 4] of epoch 4",
        "R0 has a takeover quorum and leads epoch 4 with log []",
        "R0 asks etcd for members {R0 R2}",
    )


def test_every_bug_in_the_model_is_planted_somewhere() -> None:
    in_model = set(re.findall(r"\bBUG_[A-Z0-9_]+", MODEL.read_text()))
    assert in_model == {each.macro for each in PLANTED}


def test_every_witness_is_one_of_the_models() -> None:
    in_model = set(re.findall(r'milestone\(\d+, "(.*)"\)', MODEL.read_text()))
    wanted = {witness for instance in INSTANCES for witness in instance.witnesses}
    assert wanted <= in_model


def test_bounds_are_told_in_words() -> None:
    bounds = RIVALS.bounded(CRASHES=1, CHANGES=2).bounds
    assert bounds == "3 replicas, 4 leaders, 3 entries, 1 crash, 2 changes"


def test_a_spin_that_does_not_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KESSAI_SPIN", str(tmp_path / "spin"))
    with pytest.raises(SpinMissing, match="KESSAI_SPIN"):
        spin_binary.find()
    done = CliRunner().invoke(model, ["--quick"])
    assert done.exit_code == 1
    assert "KESSAI_SPIN" in done.output


def test_the_command_ends_with_status_1_where_a_rule_does_not_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = parse(SAID, 0.0, ("R0 wins epoch 1",))
    monkeypatch.setattr(spin_binary, "find", lambda say: Path("spin"))
    monkeypatch.setattr(spin_binary, "version", lambda spin: "6")
    monkeypatch.setattr("loadtest.model.command.explore", lambda *asked: found)
    done = CliRunner().invoke(model, ["--instance", "rivals", "--json"])
    assert done.exit_code == 1
    (told,) = json.loads(done.stdout)
    assert told["verdict"] == "violated: durability"
    assert "1 R0 wins epoch 1" in done.stderr
