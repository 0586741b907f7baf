"""deploy/lost: the list of what is given up, added up and kept for the books."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import lost


def record(number: int, outcome: int = 1, **more: object) -> str:
    fields = {"kind": "record", "key": f"k{number}", "index": number, "outcome": outcome}
    return json.dumps({**fields, "amount_minor": 100 * number, **more})


def test_it_is_added_up_and_kept(tmp_path: Path) -> None:
    lines = [record(1), record(2), record(3, outcome=2), record(4, currency="USD")]
    path = tmp_path / "given-up" / "a-to-b.jsonl"
    found = lost.write(7, iter(lines), path)
    assert (found.count, found.approved) == (4, 3)
    assert found.amounts_minor == {"JPY": 300, "USD": 400}
    assert path.read_text().splitlines() == lines
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.words() == (
        f"4 settlements above index 7, 3 of them approved (JPY 300, USD 400); keys in {path} "
        f"(SHA-256 {found.sha256})"
    )


def test_nothing_is_lost(tmp_path: Path) -> None:
    found = lost.write(7, (), tmp_path / "none.jsonl")
    assert "0 settlements above index 7, 0 of them approved (no amount)" in found.words()


def test_a_list_that_breaks_off_is_none(tmp_path: Path) -> None:
    def breaks() -> Iterator[str]:
        yield record(1)
        raise RuntimeError("gone")

    path = tmp_path / "list.jsonl"
    path.write_text("of earlier")
    with pytest.raises(RuntimeError, match="gone"):
        lost.write(7, breaks(), path)
    assert path.read_text() == "of earlier"
