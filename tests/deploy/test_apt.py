"""deploy/lab/apt: the machine's own mirror, read from both kinds of sources files."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.lab.apt import NEWER, AptFailed, Mirror, mirrors, release

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def etc(folder: Path, **files: str) -> Path:
    (folder / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        path = folder / "sources.list" if stem == "main" else folder / "sources.list.d" / stem
        (path if stem == "main" else path.with_suffix(f".{suffix}")).write_text(text)
    return folder


def test_deb822(tmp_path: Path) -> None:
    text = f"""\
# the archive
Types: deb deb-src
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://deb.debian.org/debian
 http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEYRING}

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEYRING}

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""
    assert mirrors("bookworm", etc(tmp_path, debian_sources=text)) == (
        Mirror("http://deb.debian.org/debian", KEYRING),
        Mirror("http://mirror.example/debian", KEYRING),
    )


def test_one_line_entries(tmp_path: Path) -> None:
    text = f"""\
# deb http://old.example/debian bookworm main
deb-src http://src.example/debian bookworm main
deb [arch=amd64 signed-by={KEYRING}] http://one.example/debian bookworm main  # ours
deb http://security.example/debian-security bookworm-security main
deb http://contrib.example/debian bookworm contrib
"""
    more = "deb http://two.example/debian bookworm main contrib\n"
    assert mirrors("bookworm", etc(tmp_path, main_list=text, more_list=more)) == (
        Mirror("http://one.example/debian", KEYRING),
        Mirror("http://two.example/debian", ""),
    )


def test_a_key_written_out_in_the_file_leaves_the_common_keyrings(tmp_path: Path) -> None:
    text = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS
 -----END PGP PUBLIC KEY BLOCK-----
"""
    found = mirrors("bookworm", etc(tmp_path, debian_sources=text))
    assert found == (Mirror("http://deb.debian.org/debian", ""),)


def test_a_line_for_another_suite() -> None:
    with_key = Mirror("http://deb.debian.org/debian", KEYRING)
    assert with_key.line("trixie", "main") == (
        f"deb [signed-by={KEYRING}] http://deb.debian.org/debian trixie main"
    )
    without = Mirror("http://archive.ubuntu.com/ubuntu", "")
    assert without.line("plucky", "main universe") == (
        "deb http://archive.ubuntu.com/ubuntu plucky main universe"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="x"', ("debian", "bookworm")),
        ("ID=debian\nPRETTY_NAME=sid", ("debian", "sid")),
        ("ID=ubuntu\nVERSION_CODENAME=noble\nID_LIKE=debian", ("ubuntu", "noble")),
        (
            'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble',
            ("ubuntu", "noble"),
        ),
    ],
)
def test_the_distribution(tmp_path: Path, text: str, found: tuple[str, str]) -> None:
    path = tmp_path / "os-release"
    path.write_text(text)
    assert release(path) == found
    assert found[0] in NEWER


def test_another_distribution_is_named(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text('ID=alpine\nPRETTY_NAME="Alpine Linux v3.22"\n')
    with pytest.raises(AptFailed, match=r"this is Alpine Linux v3\.22, not Debian or Ubuntu"):
        release(path)
