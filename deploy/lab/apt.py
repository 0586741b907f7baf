"""One package from apt into a folder of ours, without touching what the machine has installed.

Used where the distribution's own version is too old: a newer suite of the same distribution is
asked for that one package, from the mirror and with the keyring the machine already uses. All of
apt's state goes to a private folder, so neither root nor the machine's package lists are involved.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Suites newer than a machine's own that may be asked, the nearest first.
NEWER: Final[Mapping[str, tuple[str, ...]]] = {
    "debian": ("trixie", "forky", "sid"),
    "ubuntu": ("plucky", "questing", "resolute"),
}
_COMPONENTS: Final[Mapping[str, str]] = {"debian": "main", "ubuntu": "main universe"}


class AptFailed(RuntimeError):
    """The package cannot be had; the message says what was tried and what apt said."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where the machine gets its packages: one archive and the keyring that vouches for it."""

    uri: str
    signed_by: str  # a path, or empty: apt's common keyrings

    def line(self, suite: str, components: str) -> str:
        """A one-line sources.list entry for `suite`."""
        options = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {options}{self.uri} {suite} {components}"


def release(path: Path = Path("/etc/os-release")) -> tuple[str, str]:
    """The distribution (`debian` or `ubuntu`, also for their children) and its suite's name.

    Raises `AptFailed` on anything else.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as problem:
        raise AptFailed(f"{path} cannot be read: {problem.strerror}") from problem
    said = {
        key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines) if key
    }
    suite = said.get("UBUNTU_CODENAME") or said.get("VERSION_CODENAME", "sid")
    for name in (said.get("ID", ""), *said.get("ID_LIKE", "").split()):
        if name in NEWER:
            return name, suite
    raise AptFailed(f"this is {said.get('PRETTY_NAME', platform.system())}, not Debian or Ubuntu")


def mirrors(suite: str, etc: Path = Path("/etc/apt")) -> tuple[Mirror, ...]:
    """The mirrors from which this machine takes `suite`, from both kinds of sources file."""
    parts = etc / "sources.list.d"
    found: list[Mirror] = []
    for path in sorted(parts.glob("*.sources")):
        found += _from_deb822(path.read_text(errors="replace"), suite)
    for path in (etc / "sources.list", *sorted(parts.glob("*.list"))):
        if path.exists():
            found += _from_lines(path.read_text(errors="replace"), suite)
    return tuple(dict.fromkeys(found))


def fetch(
    package: str,
    good: Callable[[str], bool],
    work: Path,
    say: Callable[[str], None],
    *,
    too_old: Collection[str] = (),
) -> Path:
    """Download `package` in a version that `good` accepts into `work`; returns the .deb's path.

    Tries the machine's own suite first, then newer ones; `too_old` names suites that need not be
    asked. Raises `AptFailed`.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise AptFailed("apt-get and dpkg-deb are needed, and not here")
    distribution, own = release()
    sources = mirrors(own)
    if not sources:
        raise AptFailed(f"no mirror for {own} is named in /etc/apt")
    newer = NEWER[distribution]
    later = newer[newer.index(own) + 1 :] if own in newer else newer
    tried: list[str] = []
    for suite in (*(() if own in too_old else (own,)), *later):
        for mirror in sources:
            private = _Private(work / "apt" / suite, mirror.line(suite, _COMPONENTS[distribution]))
            say(f"looking for {package} in {suite} at {mirror.uri}")
            trouble = private.update()
            version = private.candidate(package)
            if version is None:
                tried.append(f"{suite}: {trouble or 'not there'}")
            elif not good(version):
                tried.append(f"{suite}: only {version}")
            else:
                say(f"downloading {package} {version} from {suite}")
                return private.download(package, version)
    raise AptFailed("; ".join(tried))


def unpack(package: Path, folder: Path) -> None:
    """Unpack a .deb into `folder`; nothing of it is run. Raises `AptFailed`."""
    folder.mkdir(parents=True, exist_ok=True)
    _run(["dpkg-deb", "-x", str(package), str(folder)], cwd=folder)


class _Private:
    """apt with one source and every folder of its own."""

    def __init__(self, folder: Path, source: str) -> None:
        self._folder = folder.resolve()
        for name in ("state/lists/partial", "cache/archives/partial", "parts"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()  # nothing installed: no dependency is looked for
        (self._folder / "source.list").write_text(source + "\n")
        settings = {
            "Dir::State": "state",
            "Dir::State::status": "status",
            "Dir::Cache": "cache",
            "Dir::Etc::SourceList": "source.list",
            "Dir::Etc::SourceParts": "parts",
            "Dir::Etc::PreferencesParts": "parts",
        }
        self._options = [
            *(f"-o{key}={self._folder / value}" for key, value in settings.items()),
            "-oDir::Etc::Preferences=/dev/null",
            "-oAcquire::Languages=none",
            "-oAcquire::Retries=2",
            "-oAcquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
            "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            # Root's apt would drop to a user who cannot write here.
            "-oAPT::Sandbox::User=",
        ]

    def update(self) -> str:
        """Fetch the list of packages; returns what went wrong, or nothing."""
        try:
            _run(["apt-get", *self._options, "-qq", "update"], cwd=self._folder)
        except AptFailed as problem:
            # Hooks of the machine may fail for want of root; the list decides, not the status.
            return str(problem)
        return ""

    def candidate(self, package: str) -> str | None:
        """The version that would be downloaded, or None."""
        text = _run(["apt-cache", *self._options, "policy", package], cwd=self._folder)
        match = re.search(r"Candidate: (\S+)", text)
        return match.group(1) if match and match.group(1) != "(none)" else None

    def download(self, package: str, version: str) -> Path:
        """The path of the downloaded .deb; apt has checked it against the signed list."""
        wanted = f"{package}={version}"
        _run(["apt-get", *self._options, "-qq", "download", wanted], cwd=self._folder)
        found = sorted(self._folder.glob(f"{package}_*.deb"))
        if not found:
            raise AptFailed(f"apt said that it downloaded {wanted}, but left no file")
        return found[-1]


def _run(command: list[str], cwd: Path) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise AptFailed(f"{command[0]}: {problem}") from problem
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        said = " ".join(lines or done.stderr.splitlines()[-3:]) or f"status {done.returncode}"
        raise AptFailed(f"{command[0]} {command[-2]} {command[-1]}: {said}")
    return done.stdout


def _from_lines(text: str, suite: str) -> Iterator[Mirror]:
    """`deb [options] uri suite component...`, one a line."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]*)", line)
        if match and match.group(3) == suite and "main" in match.group(4).split():
            options = dict(each.partition("=")[::2] for each in (match.group(1) or "").split())
            yield Mirror(match.group(2), options.get("signed-by", ""))


def _from_deb822(text: str, suite: str) -> Iterator[Mirror]:
    """Paragraphs of `Field: value`, continued by indented lines; `#` starts a comment line."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        last = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[last] = f"{fields.get(last, '')} {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                last = name.strip().lower()
                fields[last] = value.strip()
        if (
            "deb" in fields.get("types", "").split()
            and suite in fields.get("suites", "").split()
            and "main" in fields.get("components", "").split()
            and fields.get("enabled", "yes").lower() not in ("no", "false", "0")
        ):
            # A keyring may also be written out in place; then apt's common keyrings must do.
            keyring = fields.get("signed-by", "")
            for uri in fields.get("uris", "").split():
                yield Mirror(uri, keyring if keyring.startswith("/") else "")
