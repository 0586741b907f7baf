"""A drill judged again from its files: the same verdict, or what is not as it was sealed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from loadtest import evidence
from loadtest.checkers.panel import PANEL
from loadtest.drill.services import fewest, one_of_each
from loadtest.drill.verdict import Row, Ruling
from loadtest.evidence import Event, EvidenceError
from loadtest.history import Heard, Intent, Result
from loadtest.history_file import Recorder
from loadtest.report.command import verify as command
from loadtest.report.dossier import read_document, read_manifest
from loadtest.verify import Altered, Verified, verify
from tests.loadtest.small_town import alter
from tests.loadtest.told_drill import DRILL, play, seal


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(tmp_path_factory.mktemp("played"))


@pytest.fixture
def folder(played: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(played, tmp_path / "evidence"))


def reseal(folder: Path) -> None:
    """As a forger would: the manifest over what is there now."""
    old = read_manifest(folder)
    evidence.seal(
        folder,
        name=old.name,
        command=old.command,
        started_at=old.started_at,
        seed=old.seed,
        versions=old.versions,
    )


def forge(folder: Path, change: Callable[[dict[str, object]], None]) -> Verified:
    """Change the sealed verdict, and the manifest with it."""
    path = folder / "verdict.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    reseal(folder)
    return verify(folder)


def what_differs(verified: Verified) -> set[str]:
    return {each.what for each in verified.differences}


def test_what_was_sealed_comes_out_again(played: Path) -> None:
    verified = verify(played)
    assert verified.holds
    assert verified.sealed is verified.now is Ruling.PASS
    assert len(verified.findings) == len(PANEL)
    assert not verified.differences
    assert not verified.notes


@pytest.mark.parametrize("name", ["history-0.ndjson", "ledger-a2.ndjson", "log-a1.txt"])
def test_a_changed_file_is_found(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.write(b"\n")
    verified = verify(folder)
    assert verified.altered == (Altered(name, "changed"),)
    assert not verified.holds


def test_missing_and_added_files_are_found(folder: Path) -> None:
    (folder / "log-a1.txt").unlink()
    (folder / "more.txt").write_text("new")
    assert set(verify(folder).altered) == {
        Altered("log-a1.txt", "missing"),
        Altered("more.txt", "added"),
    }


def test_a_sale_taken_out_of_every_ledger_is_found_even_if_sealed_again(folder: Path) -> None:
    dropped: set[str] = set()

    def without_a_sale(line: dict[str, object]) -> dict[str, object] | None:
        if line["kind"] == "meta":
            dropped.clear()
        if not dropped and line["kind"] == "record" and line["outcome"] == 1:
            dropped.add("one")
            return None
        return line

    for node in ("a1", "a2", "a3"):
        alter(folder, f"ledger-{node}.ndjson", without_a_sale)
    reseal(folder)
    verified = verify(folder)
    assert not verified.altered
    assert (verified.sealed, verified.now) == (Ruling.PASS, Ruling.FAIL)
    assert {"the verdict", "lost_approval"} <= what_differs(verified)


def test_a_gap_made_shorter_in_the_verdict_is_found(folder: Path) -> None:
    def shorter(document: dict[str, object]) -> None:
        figures = document["figures"]
        assert isinstance(figures, dict)
        figures["longest_gap_ms"] = 100.0

    verified = forge(folder, shorter)
    assert what_differs(verified) == {"longest_gap_ms"}
    assert not verified.holds


def test_operator_steps_are_counted_again_from_the_record(folder: Path) -> None:
    with (folder / "events.ndjson").open("ab") as file:
        event = Event(9_000.0, "operator", "kessai site switch --to b --allow-data-loss")
        file.write(msgspec.json.encode(event) + b"\n")
    reseal(folder)
    verified = verify(folder)
    assert what_differs(verified) == {"operator steps"}
    (difference,) = verified.differences
    assert (difference.sealed, difference.now) == ("0", "1")


def test_offered_services_are_counted_again_from_the_histories(folder: Path) -> None:
    path = folder / "history-services-1.ndjson"
    with Recorder(path) as recorder:
        for number, result in enumerate((Result.OK, Result.OK, Result.UNKNOWN)):
            ask, request = f"seven/{number}", one_of_each(1, 20261123)[number]
            recorder.write(Intent(ask, request.key, 9_000.0, 9_000.0, request))
            times = (9_000.0, 9_000.0, 9_100.0)
            recorder.write(Heard(ask, request.key, result, *times, 1, "town"))
    assert fewest(folder) == 2
    path.unlink()
    assert fewest(folder) is None

    def seven(document: dict[str, object]) -> None:
        rows, course = document["rows"], document["course"]
        assert isinstance(rows, list)
        assert isinstance(course, dict)
        course["services"] = 7
        rows.append({"what": "services still offered", "what_ja": "", "value": "7 of 7"})

    assert "services still offered" not in {row.what for row in rows_of(folder)}
    assert not forge(folder, seven).holds


def rows_of(folder: Path) -> tuple[Row, ...]:
    return read_document(folder).rows


def test_a_longest_wait_that_no_slot_had_is_found(folder: Path) -> None:
    def shorter(document: dict[str, object]) -> None:
        figures = document["figures"]
        assert isinstance(figures, dict)
        figures["longest_wait_ms"] = 7.0

    assert "longest_wait_ms" in what_differs(forge(folder, shorter))


def test_a_failure_told_as_a_pass_is_found(folder: Path) -> None:
    strict = msgspec.structs.replace(
        DRILL, limits=msgspec.structs.replace(DRILL.limits, longest_gap_ms=500.0)
    )
    seal(folder, strict)
    assert verify(folder).sealed is Ruling.FAIL
    assert verify(folder).holds

    def passing(document: dict[str, object]) -> None:
        document["ruling"] = "pass"

    assert what_differs(forge(folder, passing)) == {"the verdict"}


@pytest.mark.parametrize(
    ("line", "now"),
    [
        ({"what": "not as it must be", "detail": "frozen node committed"}, Ruling.FAIL),
        ({"what": "could not go on", "detail": "nobody leads"}, Ruling.INCONCLUSIVE),
        (
            {"what": "newly in sync", "detail": "a3/d is counted, 70 entries behind"},
            Ruling.FAIL,
        ),
    ],
)
def test_what_the_events_say_counts_though_the_verdict_is_silent(
    folder: Path, line: dict[str, str], now: Ruling
) -> None:
    with (folder / "events.ndjson").open("a") as file:
        file.write(json.dumps({"at_ms": 9_000.0, **line}) + "\n")
    reseal(folder)
    assert verify(folder).now is now


def test_a_drill_without_ledgers_stays_inconclusive(folder: Path) -> None:
    (folder / "replicas.json").unlink()
    verified = verify(folder)
    assert verified.now is Ruling.INCONCLUSIVE
    assert Altered("replicas.json", "missing") in verified.altered


def test_a_broken_verdict_is_an_altered_file(folder: Path) -> None:
    (folder / "verdict.json").write_text("{")
    verified = verify(folder)
    assert verified.sealed is None
    assert not verified.holds


def test_a_folder_without_a_manifest_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"manifest\.json"):
        verify(tmp_path)


def test_exit_status_and_words(folder: Path) -> None:
    runner = CliRunner()
    good = runner.invoke(command, [str(folder)])
    assert good.exit_code == 0
    assert "HOLDS" in good.output
    (folder / "drill.json").write_text("{}")
    bad = runner.invoke(command, [str(folder), "--json"])
    assert bad.exit_code == 1
    said = json.loads(bad.output)
    assert said["altered"] == [{"name": "drill.json", "how": "changed"}]
    assert said["holds"] is False
    none = runner.invoke(command, [str(folder / "nothing")])
    assert none.exit_code == 2
    assert "cannot be read" in none.output


def test_latest_is_the_newest_of_the_evidence_at_home(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.report.command.HOME", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(command, ["latest"]).exit_code == 2
    kept = tmp_path / "evidence"
    folder.rename(tmp_path / "moved")
    kept.mkdir()
    (tmp_path / "moved").rename(kept / "20301231-235959-made-up")
    (kept / "20300101-000000-older").mkdir()
    assert CliRunner().invoke(command, ["latest"]).exit_code == 0
