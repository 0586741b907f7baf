"""Drills and their verdicts as JSON, for programs: what `--json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import msgspec

from loadtest.drill.catalogue import Drill
from loadtest.drill.runner import Played
from loadtest.drill.verdict import Ruling


def of_drills(drills: Sequence[Drill]) -> str:
    """What there is to play."""
    return _text(
        [
            {
                "name": each.name,
                "title": each.title,
                "title_ja": each.title_ja,
                "about": each.about,
                "topology": each.topology,
                "ground": each.ground,
                "needs": sorted(each.needs),
                "load": each.load,
                "limits": each.limits,
                "longest_s": each.longest_s,
            }
            for each in drills
        ]
    )


def of_played(drill: Drill, played: Sequence[Played], ruling: Ruling) -> str:
    """One drill, played once or more often; `ruling` is that of all of them together."""
    figures = [each.figures for each in played if each.figures is not None]
    return _text(
        {
            "drill": drill.name,
            "title": drill.title,
            "topology": drill.topology,
            "ruling": ruling,
            "runs": [_of_run(each) for each in played],
            "longest_gap_ms": _spread([each.longest_gap_ms for each in figures]),
            "longest_wait_ms": _spread([each.longest_wait_ms for each in figures]),
        }
    )


def _of_run(played: Played) -> dict[str, Any]:
    verdict = played.verdict
    return {
        "ruling": verdict.ruling,
        "rows": [asdict(row) for row in verdict.rows],
        "findings": [asdict(finding) for finding in verdict.findings],
        "figures": asdict(played.figures) if played.figures else None,
        "broken": verdict.broken,
        "unplayed": verdict.unplayed,
        "evidence": str(played.folder.resolve()),
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"min": min(values), "median": median(values), "max": max(values)}


def _text(content: object) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
