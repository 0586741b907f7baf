"""What docs/protocol.md says of modules and tests is true."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROTOCOL = ROOT / "docs" / "protocol.md"
PATH = re.compile(r"^(?:node|coordinator|deploy|loadtest|proto|tests)/[\w/.]+$")
TEST = re.compile(r"^(?:test_|Test)\w+$")
ROW = re.compile(r"^\| (.+?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
NOT_BUILT = "not built yet"


def quoted(text: str) -> list[str]:
    """What stands between back-ticks."""
    return re.findall(r"`([^`\n]+)`", text)


@cache
def defined_tests() -> frozenset[str]:
    """Every test there is: functions, and the state machines' test cases."""
    names: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        names |= set(
            re.findall(r"^ *(?:async )?def (test_\w+)|^(Test\w+) =", path.read_text(), re.MULTILINE)
        )
    return frozenset(name for pair in names for name in pair if name)


def rules(text: str) -> list[tuple[str, str, str]]:
    """The rows of the tables that tell where a rule lives."""
    return [
        (rule, where, tests)
        for rule, where, tests in ROW.findall(text)
        if "`test_" in tests or "`Test" in tests or tests == NOT_BUILT
    ]


def test_every_module_named_exists() -> None:
    paths = [name for name in quoted(PROTOCOL.read_text()) if PATH.match(name)]
    assert len(paths) > 50
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_test_named_exists() -> None:
    tests = [name for name in quoted(PROTOCOL.read_text()) if TEST.match(name)]
    assert len(tests) > 100
    assert [test for test in tests if test not in defined_tests()] == []


def test_every_rule_has_its_row_and_every_row_its_rule() -> None:
    text = PROTOCOL.read_text()
    stated = set(re.findall(r"^- \*\*([A-Z]\d+)\b", text, re.MULTILINE))
    listed = {rule.split()[0] for rule, _, _ in rules(text)}
    assert len(stated) > 40
    assert stated - listed == set()
    assert {rule for rule in listed if re.fullmatch(r"[A-Z]\d+", rule)} - stated == set()


@pytest.mark.parametrize("rule", [r for r in rules(PROTOCOL.read_text()) if "(!)" in r[0]])
def test_every_rule_that_must_be_kept_to_the_letter_has_a_test(rule: tuple[str, str, str]) -> None:
    number, where, tests = rule
    assert tests == NOT_BUILT or (quoted(where) and quoted(tests)), number
