"""deploy/lab/etcd_binary: which etcd is taken, and that an older one never is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from deploy.lab import apt
from deploy.lab.etcd_binary import EtcdRefused, check, find, parse


def fake(folder: Path, words: str) -> Path:
    """A program named etcd that answers `--version` with `words`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "etcd"
    path.write_text(f"#!/bin/sh\necho '{words}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without an etcd."""
    monkeypatch.delenv("KESSAI_ETCD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """apt finds an etcd 3.5.16 as often as it is asked; the list has one item each time."""
    asked: list[str] = []

    def fetch(
        package: str,
        good: Callable[[str], bool],
        work: Path,
        say: Callable[[str], None],
        *,
        too_old: Collection[str],
    ) -> Path:
        assert "bookworm" in too_old
        assert good("3.5.16-4")
        assert not good("3.4.30-1")
        asked.append(package)
        return work / "package.deb"

    def unpack(package: Path, folder: Path) -> None:
        fake(folder / "usr" / "bin", "etcd Version: 3.5.16")

    monkeypatch.setattr(apt, "fetch", fetch)
    monkeypatch.setattr(apt, "unpack", unpack)
    return asked


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.5.16", (3, 5, 16)),
        ("3.5.16-4", (3, 5, 16)),
        ("1:3.5.30+ds-1ubuntu1", (3, 5, 30)),
        ("3.6.0~rc1-1", (3, 6, -1)),
        ("3.5.16-rc.0", (3, 5, 15)),
        ("4", None),
        ("unknown", None),
    ],
)
def test_versions(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse(text) == version


def test_a_good_one_is_accepted(tmp_path: Path) -> None:
    assert check(fake(tmp_path, "etcd Version: 3.5.16")) == (3, 5, 16)


@pytest.mark.parametrize("version", ["3.4.23", "3.5.1", "3.5.15", "2.3.8"])
def test_an_older_one_is_refused_with_its_version_and_what_is_needed(
    tmp_path: Path, version: str
) -> None:
    path = fake(tmp_path, f"etcd Version: {version}")
    with pytest.raises(EtcdRefused, match=f"{path} is etcd {version}, .* needs 3.5.16 or later"):
        check(path)


def test_what_is_no_etcd_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EtcdRefused, match="does not say which version"):
        check(fake(tmp_path, "hello"))
    with pytest.raises(EtcdRefused, match="cannot be run"):
        check(tmp_path / "nothing")


def test_the_one_asked_for_is_taken_or_refused_but_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetched: list[str]
) -> None:
    fake(tmp_path / "bin", "etcd Version: 3.5.20")
    old = fake(tmp_path / "old", "etcd Version: 3.4.23")
    monkeypatch.setenv("KESSAI_ETCD", str(old))
    with pytest.raises(EtcdRefused, match=r"3\.4\.23"):
        find(tmp_path / "tools")
    good = fake(tmp_path / "good", "etcd Version: 3.6.1")
    monkeypatch.setenv("KESSAI_ETCD", str(good))
    assert find(tmp_path / "tools") == good
    assert fetched == []


def test_a_good_one_on_the_path_is_taken(tmp_path: Path, fetched: list[str]) -> None:
    path = fake(tmp_path / "bin", "etcd Version: 3.5.16")
    assert find(tmp_path / "tools") == path
    assert fetched == []


def test_an_old_one_on_the_path_is_passed_over_and_that_is_said(
    tmp_path: Path, fetched: list[str]
) -> None:
    fake(tmp_path / "bin", "etcd Version: 3.4.23")
    said: list[str] = []
    assert find(tmp_path / "tools", said.append).parts[-4:] == ("etcd-3.5.16", "usr", "bin", "etcd")
    assert "is etcd 3.4.23, which is too old" in said[0]


def test_it_is_installed_once(tmp_path: Path, fetched: list[str]) -> None:
    first = find(tmp_path / "tools")
    assert find(tmp_path / "tools") == first
    assert fetched == ["etcd-server"]
    assert not list((tmp_path / "tools").glob(".etcd-incomplete"))


def test_two_at_once_install_it_once(tmp_path: Path, fetched: list[str]) -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(find(tmp_path / "tools"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert fetched == ["etcd-server"]


def test_the_remains_of_an_interrupted_installation_are_not_used(
    tmp_path: Path, fetched: list[str]
) -> None:
    fake(tmp_path / "tools" / ".etcd-incomplete" / "root" / "usr" / "bin", "etcd Version: 3.5.99")
    (tmp_path / "tools" / "etcd-3.5.30" / "usr" / "bin").mkdir(parents=True)
    assert "etcd-3.5.16" in str(find(tmp_path / "tools"))


def test_when_apt_has_none_it_is_said_what_was_tried_and_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: object, **__: object) -> Path:
        raise apt.AptFailed("bookworm: only 3.4.23-4")

    monkeypatch.setattr(apt, "fetch", fetch)
    with pytest.raises(EtcdRefused, match=r"bookworm: only 3\.4\.23-4.*set KESSAI_ETCD"):
        find(tmp_path / "tools")
