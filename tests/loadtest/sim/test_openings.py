"""Openings bring about what they are for: played in the whole world, with a fault at the moment."""

from __future__ import annotations

import random

import pytest

from loadtest.sim.play import play
from loadtest.sim.setup import Setup
from loadtest.sim.tales.coverage import Coverage
from loadtest.sim.tales.pairs import Fault, Manoeuvre
from loadtest.sim.weather import openings, unanswered
from loadtest.sim.weather.climate import QUICK
from loadtest.sim.weather.moments import Moment
from loadtest.sim.weather.openings import Opening
from loadtest.sim.weather.strikes import AT_ONCE, UNHEARD, Strike, at_once
from loadtest.sim.weather.troubles import Part, Plan, What
from node.core import Timings

FROM_MS = 2_000.0
SETUP = Setup(
    {"a": ("a1", "a2", "a3"), "b": ("b1", "b2", "b3")},
    2,
    Timings(**QUICK, entries_in_memory=12, log_keep_entries=4),
    lease_ms=2_000,
    terminals=4,
    rate=40.0,
    safety_ms=7_000.0,
)


def lived(opening: Opening, moment: Moment, kind: Strike, seed: int = 1) -> Coverage:
    """A day of one scene."""
    draw = random.Random(f"{seed}/{moment}")
    scene = [*opening(draw, SETUP, FROM_MS), at_once(draw, SETUP, kind, moment, FROM_MS)]
    coverage = Coverage()
    outcome = play(Plan(seed, "one scene", SETUP, tuple(scene)), (coverage,))
    assert outcome.violation is None
    return coverage


def test_W2_a_winner_is_overtaken_by_a_switch_between_its_win_and_its_fences() -> None:
    coverage = lived(openings.overtaken, Moment.OVERTAKEN, (What.CLOCK_JUMP, Part.CUED))
    assert coverage.rules["W2"]
    assert coverage.rules["E5"]


@pytest.mark.parametrize(
    ("opening", "moment", "manoeuvre"),
    [
        (openings.leader_killed, Moment.CAMPAIGN, Manoeuvre.CAMPAIGN),
        (unanswered.site_to_drop, Moment.STARTING, Manoeuvre.STARTING),
        (unanswered.handover_amid_eviction, Moment.DRAINING, Manoeuvre.HANDOVER),
        (unanswered.slow_copy, Moment.SNAPSHOT_WANTED, Manoeuvre.MAKING),
        (openings.asked_to_switch, Moment.SWITCH_SENT, Manoeuvre.SWITCHING),
        (unanswered.promotion, Moment.FENCED, Manoeuvre.PROMOTION),
    ],
)
def test_an_answer_of_etcd_is_lost_in_the_middle_of(
    opening: Opening, moment: Moment, manoeuvre: Manoeuvre
) -> None:
    assert lived(opening, moment, UNHEARD).pairs[manoeuvre, Fault.ANSWER]


@pytest.mark.parametrize("kind", AT_ONCE)
def test_a_snapshot_is_struck_while_it_is_being_installed(kind: Strike) -> None:
    coverage = lived(openings.bare_return, Moment.SNAPSHOT_INSTALLING, kind)
    assert any(manoeuvre is Manoeuvre.INSTALLING for manoeuvre, _ in coverage.pairs)
