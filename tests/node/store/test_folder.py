"""Who may open a folder, and what becomes of a disk that is put aside (D6)."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from node.store import Store, StoreRefused
from tests.node.store.parts import log, opened, settle


def test_two_stores_cannot_open_one_folder(tmp_path: Path) -> None:
    store, _, _ = opened(tmp_path)
    with pytest.raises(StoreRefused, match="in use by another process"):
        Store.open(tmp_path, node="a1")
    with pytest.raises(StoreRefused, match="in use by another process"):
        Store.set_aside(tmp_path)
    store.close()
    store, _ = Store.open(tmp_path, node="a1")
    store.close()


def test_a_dead_process_holds_no_folder(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from node.store import Store; "
        "Store.open(Path(sys.argv[1]), node='a1'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == -9
    store, _ = Store.open(tmp_path, node="a1")
    store.close()


def test_a_refused_disk_is_kept_and_another_one_made(stopped: Path) -> None:
    database = stopped / "disk" / "settlement.db"
    damaged = b"x" + database.read_bytes()[1:]
    database.write_bytes(damaged)
    with pytest.raises(StoreRefused):
        Store.open(stopped, node="a1")
    kept = Store.set_aside(stopped)
    assert kept == stopped / "aside-1"
    assert (kept / "settlement.db").read_bytes() == damaged
    store, ear, recovered = opened(stopped)
    assert recovered.entries == ()
    settle(store, ear, log(1))
    store.close()
    assert Store.set_aside(stopped) == stopped / "aside-2"


def test_there_must_be_a_disk_to_put_aside(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="no disk here"):
        Store.set_aside(tmp_path)


def test_every_disk_has_its_own_id(tmp_path: Path) -> None:
    ids = set()
    for name in "abc":
        store, recovered = Store.open(tmp_path / name, node="a1")
        store.close()
        ids.add(recovered.disk_id)
        assert len(recovered.disk_id) == 32
    assert len(ids) == 3


def test_a_disk_half_made_was_never_used(tmp_path: Path) -> None:
    (tmp_path / "disk.new").mkdir()
    (tmp_path / "disk.new" / "settlement.db").write_bytes(b"half")
    store, recovered = Store.open(tmp_path, node="a1")
    store.close()
    assert recovered.entries == ()
    assert not (tmp_path / "disk.new").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreRefused, match="cannot be used"):
        Store.open(tmp_path / "file", node="a1")


def test_a_disk_that_cannot_be_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("node.store.highwater.create", no_room)
        with pytest.raises(StoreRefused, match=r"a new disk cannot be made here.*no space left"):
            Store.open(tmp_path, node="a1")
    assert not (tmp_path / "disk").exists()
    store, _ = Store.open(tmp_path, node="a1")
    store.close()
