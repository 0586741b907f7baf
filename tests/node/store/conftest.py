"""Disks for the store's tests, made once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.node.store.parts import crash_image, log, opened, settle

ENTRIES = 12


@pytest.fixture(scope="session")
def crashed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk whose last entries are only in the write-ahead log, left behind by a crash."""
    root = tmp_path_factory.mktemp("crashed")
    store, ear, _ = opened(root / "live")
    settle(store, ear, log(ENTRIES))
    store.audit(0, False).result(20)  # brings the ledger's rows to the disk
    image = crash_image(root / "live", root / "image")
    store.close()
    return image


@pytest.fixture(scope="session")
def stopped_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk left behind by a clean stop: everything is in the database file."""
    folder = tmp_path_factory.mktemp("stopped") / "live"
    store, ear, _ = opened(folder)
    settle(store, ear, log(ENTRIES))
    store.close()
    return folder


@pytest.fixture
def crashed(crashed_once: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(crashed_once, tmp_path / "crashed"))


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(stopped_once, tmp_path / "stopped"))
