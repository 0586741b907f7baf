"""Every conversation in scenarios/ goes as it is written down there (see scenario.py)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.node.core.scenario import Scenario, parse, render

FOLDER = Path(__file__).parent / "scenarios"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.txt")))
def test_scenario(name: str) -> None:
    path = FOLDER / f"{name}.txt"
    text = path.read_text()
    paragraphs = parse(text)
    scenario = Scenario()
    came = render(paragraphs, [scenario.say(p.command) if p.command else [] for p in paragraphs])
    if os.environ.get("KESSAI_REWRITE"):
        path.write_text(came)
    else:
        assert came == text


def test_a_paragraph_without_its_line_is_refused() -> None:
    with pytest.raises(ValueError, match="----"):
        parse("run 10\nok")
