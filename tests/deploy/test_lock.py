"""deploy/requirements.lock: whole, hashed, and the only place that versions come from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def lock() -> dict[str, tuple[str, int]]:
    """Package to version and number of hashes."""
    found: dict[str, tuple[str, int]] = {}
    text = (ROOT / "deploy" / "requirements.lock").read_text()
    for entry in re.split(r"\n(?=[a-z])", text):
        match = re.match(r"([a-z0-9-]+)==(\S+)", entry)
        if match:
            found[match.group(1)] = (match.group(2), entry.count("--hash=sha256:"))
    return found


def name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match
    return re.sub(r"[._]", "-", match.group(0)).lower()


def test_every_package_has_hashes(lock: dict[str, tuple[str, int]]) -> None:
    assert len(lock) > 50
    assert [package for package, (_, hashes) in lock.items() if not hashes] == []


def test_everything_the_project_names_is_locked(
    project: dict[str, Any], lock: dict[str, tuple[str, int]]
) -> None:
    named = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
    ]
    assert [each for each in named if name(each) not in lock] == []


def test_the_build_requirements_are_the_locked_ones(
    project: dict[str, Any], lock: dict[str, tuple[str, int]]
) -> None:
    for requirement in project["build-system"]["requires"]:
        package, _, version = requirement.partition("==")
        assert lock[name(package)][0] == version
