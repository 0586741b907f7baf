"""The survey of the services: a program of its own, before a payment centre in memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from loadtest import history_file
from loadtest.drill import services
from loadtest.drill.lookout import DrillFailed
from loadtest.drill.services import fewest, offered, one_of_each
from loadtest.drill.survey import Errand
from loadtest.history import Heard, Intent, Result
from loadtest.history_file import Recorder
from tests.etcd_cluster import free_ports
from tests.loadtest.fake_centre import FakeCentre

(NOBODY,) = (f"127.0.0.1:{port}" for port in free_ports(1))
SEVEN = one_of_each(1, 20261123)


def errand(
    folder: Path,
    *endpoints: str,
    within_s: float = 20.0,
    paths: dict[str, tuple[str, ...]] | None = None,
) -> Errand:
    """All seven at these doors."""
    history = str(folder / "history-services-1.ndjson")
    return Errand(SEVEN, endpoints, history, within_s, paths=paths or {})


def here(command: list[str]) -> list[str]:
    """A host like any other."""
    return command


def test_all_seven_are_asked_by_a_program_on_the_terminals_host(tmp_path: Path) -> None:
    started: list[str] = []

    def on_host(command: list[str]) -> list[str]:
        started.append(" ".join(command[:3]))
        return command

    with FakeCentre() as centre:
        survey = offered(errand(tmp_path, *centre.endpoints), on_host)
        assert {key for _, key in centre.asked} == {each.key for each in SEVEN}
    assert started == [f"{sys.executable} -m loadtest.drill.survey"]
    assert survey.words == "7 of 7: CREDIT, UNIONPAY, J_DEBIT, E_MONEY, POINT, COUPON, DCC"
    assert survey.refused == ()
    assert fewest(tmp_path) == 7


def test_what_is_written_down_is_the_history_of_those_seven(tmp_path: Path) -> None:
    with FakeCentre() as centre:
        offered(errand(tmp_path, *centre.endpoints), here)
    history = history_file.read([tmp_path / "history-services-1.ndjson"])
    assert {each.request for each in history.intents} == set(SEVEN)
    assert history.unresolved() == ()


def test_a_node_is_asked_over_its_other_path(tmp_path: Path) -> None:
    with FakeCentre(doors=1) as centre:
        paths = {NOBODY: centre.endpoints}
        assert len(offered(errand(tmp_path, NOBODY, paths=paths), here).offered) == 7


def test_where_terminals_meet_nobody_nothing_is_offered(tmp_path: Path) -> None:
    survey = offered(errand(tmp_path, NOBODY, within_s=0.5), here)
    assert survey.words == "0 of 7: none"
    assert len(survey.refused) == 7
    assert survey.refused[0].startswith("CREDIT SALE: unknown")
    assert fewest(tmp_path) == 0


def test_a_program_that_cannot_ask_is_no_survey(tmp_path: Path) -> None:
    def broken(command: list[str]) -> list[str]:
        return [sys.executable, "-c", "import sys; sys.exit('no such host')"]

    with pytest.raises(DrillFailed, match="ended with 1: no such host"):
        offered(errand(tmp_path, NOBODY), broken)


def hanging(command: list[str]) -> list[str]:
    """A program that does not come to its end."""
    return [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_program_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_SPARE_S", 0.1)
    with pytest.raises(DrillFailed, match="did not begin in time"):
        offered(errand(tmp_path, NOBODY, within_s=0.1), hanging)


def test_of_one_that_was_killed_only_what_it_wrote_down_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_SPARE_S", 0.1)
    credit = SEVEN[0]
    with Recorder(tmp_path / "history-services-1.ndjson") as recorder:
        for request in SEVEN:
            recorder.write(Intent(request.terminal, request.key, 0.0, 0.0, request))
        recorder.write(Heard(credit.terminal, credit.key, Result.OK, 0.0, 0.0, 9.0, 1, NOBODY))
    survey = offered(errand(tmp_path, NOBODY, within_s=0.1), hanging)
    assert survey.offered == ("CREDIT",)
    assert survey.refused[0] == "UNIONPAY SALE: nothing was heard"
    assert fewest(tmp_path) == 1
