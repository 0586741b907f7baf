"""Whole days: a few of each season, the same day twice, and days that must be called bad."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import msgspec
import pytest

from loadtest.checkers.evidence import Evidence
from loadtest.history import Result
from loadtest.sim import judge
from loadtest.sim.happening import Happened, Kind, Step, Told
from loadtest.sim.play import play
from loadtest.sim.weather.days import SEASONS, draw, season_of
from loadtest.sim.weather.troubles import Plan
from loadtest.sim.world import World


@pytest.mark.parametrize("seed", range(len(SEASONS)), ids=lambda seed: str(season_of(seed)))
def test_a_day_of_each_season_comes_right_again(seed: int) -> None:
    outcome = play(draw(seed))
    assert outcome.violation is None
    assert not outcome.excused
    assert {str(finding.verdict) for finding in outcome.findings} == {"pass"}
    assert all(finding.looked_at for finding in outcome.findings)
    assert outcome.tally.counts["settled"] > 0


def test_the_same_seed_is_the_same_day_also_in_another_process() -> None:
    """Nothing depends on what was played before, nor on the order of sets."""
    here = play(draw(7)).trace
    play(draw(3))
    assert play(draw(7)).trace == here
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from loadtest.sim.play import play; from loadtest.sim.weather.days import draw; "
            "print(play(draw(7)).trace)",
        ],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == here


def test_another_seed_is_another_day() -> None:
    assert play(draw(0)).trace != play(replace(draw(0), seed=1)).trace


def test_a_day_has_a_safety_phase_with_troubles_and_a_calm_without() -> None:
    told: list[Told] = []
    outcome = play(draw(9), [told.append])
    happened = [each for each in told if isinstance(each, Happened)]
    calm = next(each.at_ms for each in happened if each.kind is Kind.PHASE)
    assert calm == outcome.plan.setup.safety_ms
    struck = {Kind.CUT, Kind.PAUSE, Kind.ETCD_AWAY, Kind.DISK_LOST, Kind.LOST}
    assert any(each.kind in struck for each in happened if each.at_ms < calm)
    assert not any(each.kind in struck for each in happened if each.at_ms > calm)
    assert any(isinstance(each, Step) for each in told)


def test_a_cluster_that_never_comes_right_again_is_not_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def only_calls_it_calm(world: World) -> None:
        every = world.network.hosts
        world.network.swallow(world.network.between(every, every), "for good")
        world.ground.happened(Kind.PHASE, "the world", "calm")

    monkeypatch.setattr(World, "heal", only_calls_it_calm)
    outcome = play(_short(draw(0)))
    assert outcome.violation is not None
    assert outcome.violation.invariant == "6 liveness"
    assert "no payment was settled" in outcome.violation.words


def test_what_the_judges_find_ends_the_day_as_a_violation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A terminal that heard of a settlement at a place where no replica holds it."""
    honest = judge.evidence

    def misheard(world: World) -> Evidence:
        evidence = honest(world)
        heard = list(evidence.history.heard)
        at = next(n for n, line in enumerate(heard) if line.result is Result.OK)
        reply = heard[at].reply
        assert reply is not None
        elsewhere = msgspec.structs.replace(reply, index=reply.index + 1)
        heard[at] = msgspec.structs.replace(heard[at], reply=elsewhere)
        return replace(evidence, history=replace(evidence.history, heard=tuple(heard)))

    monkeypatch.setattr(judge, "evidence", misheard)
    outcome = play(draw(0))
    assert outcome.violation is not None
    assert outcome.violation.invariant == "lost_approval"
    assert "heard index" in outcome.violation.words


def _short(plan: Plan) -> Plan:
    return replace(plan, setup=replace(plan.setup, calm_ms=3_000.0))
