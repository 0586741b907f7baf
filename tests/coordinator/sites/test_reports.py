"""How old another place's report is, without comparing clocks."""

from __future__ import annotations

from coordinator.keyvalue import KeyValue
from coordinator.sites.reports import Heard, ReportBook
from tests.coordinator.sites.test_judgement import report

FRESH_MS = 1500.0
B = report("b")


def pair(revision: int, place: str = "b") -> KeyValue:
    """A report as etcd has it."""
    return KeyValue(f"reports/{place}", report(place).to_json(), revision)


def ages(heard: tuple[Heard, ...]) -> list[float | None]:
    """Their ages."""
    return [each.age_ms for each in heard]


def test_a_report_seen_once_is_of_unknown_age() -> None:
    book = ReportBook(FRESH_MS)
    assert book.look([pair(5)], 0.0) == (Heard(B, None),)
    assert ages(book.look([pair(5)], 300.0)) == [None]


def test_a_report_that_changes_is_as_old_as_its_last_change() -> None:
    book = ReportBook(FRESH_MS)
    book.look([pair(5)], 0.0)
    assert ages(book.look([pair(6)], 300.0)) == [0.0]
    assert ages(book.look([pair(6)], 600.0)) == [300.0]
    assert ages(book.look([pair(7)], 900.0)) == [0.0]


def test_a_report_that_appears_while_we_look_is_of_unknown_age_until_it_changes() -> None:
    book = ReportBook(FRESH_MS)
    book.look([], 0.0)
    assert ages(book.look([pair(5)], 300.0)) == [None]
    assert ages(book.look([pair(6)], 600.0)) == [0.0]


def test_what_changed_while_nobody_looked_is_of_unknown_age() -> None:
    book = ReportBook(FRESH_MS)
    book.look([pair(5)], 0.0)
    book.look([pair(6)], 300.0)
    assert ages(book.look([pair(7)], 300.0 + FRESH_MS + 1)) == [None]
    assert ages(book.look([pair(8)], 600.0 + FRESH_MS + 1)) == [0.0]


def test_what_did_not_change_while_nobody_looked_is_as_old_as_it_is() -> None:
    book = ReportBook(FRESH_MS)
    book.look([pair(5)], 0.0)
    book.look([pair(6)], 300.0)
    assert ages(book.look([pair(6)], 5000.0)) == [4700.0]


def test_each_place_has_an_age_of_its_own_and_what_cannot_be_read_is_left_out() -> None:
    book = ReportBook(FRESH_MS)
    book.look([pair(5), pair(6, "witness"), KeyValue("reports/x", b"{", 7)], 0.0)
    heard = book.look([pair(5), pair(8, "witness"), KeyValue("reports/x", b"{", 9)], 300.0)
    assert [(each.report.place, each.age_ms) for each in heard] == [
        ("b", None),
        ("witness", 0.0),
    ]
