"""The planted bugs: they go in, they are found, and they come out again without a trace."""

from __future__ import annotations

import pytest

from loadtest.sim import campaign
from loadtest.sim.campaign import Day
from loadtest.sim.planted import catalogue, matrix
from loadtest.sim.planted.matrix import Row
from loadtest.sim.planted.plant import Change, Plant, planted
from loadtest.sim.play import Violated
from loadtest.sim.tales.coverage import Coverage
from loadtest.sim.tales.rules import RULES
from loadtest.sim.tales.tally import Tally
from loadtest.sim.weather.days import SEASONS, season_of

FOUND = Row("a", "T7", "it is wrong", 3, 25, "agreement", "so it was", 1234.0)
MISSED = Row("b", "D2", "it is wrong, too", 50)
_FEW = 6


def test_every_plant_breaks_a_rule_of_the_protocol() -> None:
    assert len(catalogue.PLANTS) >= 17
    assert len({plant.name for plant in catalogue.PLANTS}) == len(catalogue.PLANTS)
    assert {plant.rule for plant in catalogue.PLANTS} <= set(RULES)


@pytest.mark.parametrize("plant", catalogue.PLANTS, ids=lambda plant: plant.name)
def test_a_plant_goes_in_and_comes_out(plant: Plant) -> None:
    def there() -> list[object]:
        return [vars(each.owner)[each.name] for each in plant.changes]

    def fail() -> None:
        with planted(plant):
            assert there() == [each.into for each in plant.changes]
            raise RuntimeError("in the middle")

    before = there()
    assert not set(before) & {each.into for each in plant.changes}
    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert there() == before


def test_a_plant_for_something_that_is_gone_is_refused() -> None:
    plant = Plant("x", "T7", "", (Change(matrix, "seek", None), Change(matrix, "gone", None)))
    seek = matrix.seek
    with pytest.raises(KeyError), planted(plant):
        pass
    assert matrix.seek is seek


@pytest.mark.parametrize(
    ("name", "invariant"),
    [
        ("promise-before-fsync", "D3"),
        ("ack-before-fsync", "D2"),
        ("standby-not-counted", "write quorum"),
        ("takeover-quorum-too-small", "T4"),
        ("served-too-soon", "replica"),
        ("read-without-proof", "R1"),
        ("key-without-effect", "R1"),
    ],
)
def test_a_planted_bug_is_found(name: str, invariant: str) -> None:
    """Those that hardly a day hides: the others are in docs/simulator.md."""
    assert matrix.seek(name, 1, _FEW).invariant == invariant


def test_a_bug_may_ask_for_days_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[int] = []

    def quiet(seed: int) -> Day:
        played.append(seed)
        return Day(seed, "", None, "", 1, 1.0, Tally(), Coverage())

    monkeypatch.setattr(campaign, "live", quiet)
    assert matrix.seek("change-not-guarded", 1, 4).days == 4
    assert {season_of(seed).name for seed in played} == {"handovers", "etcd"}


def test_plants_name_seasons_that_there_are() -> None:
    known = {season.name for season in SEASONS}
    assert all(set(plant.seasons) <= known for plant in catalogue.PLANTS)


def test_a_day_that_goes_wrong_anyhow_finds_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Violated("6 liveness", "no payment was settled", 1.0)
    day = Day(1, "", wrong, "", 1, 1.0, Tally(), Coverage())
    monkeypatch.setattr(campaign, "live", lambda seed: day)
    assert not matrix.seek("own-log-kept", 1, 4).invariant


def test_the_matrix_is_in_the_order_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"a": FOUND, "b": MISSED}
    monkeypatch.setattr(matrix, "seek", lambda name, first, budget: rows[name])
    told: list[Row] = []
    assert matrix.matrix("ba", first=1, budget=9, jobs=1, on_row=told.append) == [MISSED, FOUND]
    assert told == [MISSED, FOUND]


def test_the_table_names_who_was_found_by_nobody() -> None:
    assert matrix.table([FOUND, MISSED]) == [
        "planted bug  rule  days          found by   in seed  after",
        "a            T7    3             agreement  25       1.2 s",
        "b            D2    more than 50  NOBODY",
    ]


def test_the_table_goes_between_its_markers() -> None:
    begin, end = matrix.MARKERS.begin, matrix.MARKERS.end
    document = f"before\n{begin}\nold\n{end}\nafter\n"
    written = matrix.MARKERS.fill(document, matrix.markdown([FOUND]))
    assert written.startswith(f"before\n{begin}\n| planted bug |")
    assert "| `a` | T7 | it is wrong | 3 | agreement | 25 | 1.2 s |" in written
    assert written.endswith(f"\n{end}\nafter\n")
    assert matrix.MARKERS.fill(written, matrix.markdown([FOUND])) == written
    with pytest.raises(ValueError, match="lacks"):
        matrix.MARKERS.fill("no markers here", [])
