"""pay and inquire as a person types them, against a centre in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import loadtest.cli
import loadtest.counter
from loadtest import history_file
from tests.loadtest.fake_centre import FakeCentre

TOPOLOGY = """
cluster = "fake"
active_site = "a"
copies_min = 1
[[sites]]
name = "a"
{nodes}
[[etcd]]
name = "e1"
place = "a"
client = "127.0.0.1:17698"
peers = "127.0.0.1:17699"
"""
NODE = """
[[sites.nodes]]
name = "a{number}"
terminals = "{terminals}"
peers = "127.0.0.1:1768{number}"
metrics = "127.0.0.1:1769{number}"
"""


class Counter:
    """A shop's counter: a fake centre, a home folder, and the commands."""

    def __init__(self, centre: FakeCentre, home: Path) -> None:
        self.centre = centre
        self.home = home
        self.topology = home / "fake.toml"
        nodes = "".join(
            NODE.format(number=number, terminals=endpoint)
            for number, endpoint in enumerate(centre.endpoints, start=1)
        )
        self.topology.write_text(TOPOLOGY.format(nodes=nodes))

    def run(self, command: str, *arguments: str) -> Result:
        group = click.Group(commands={each.name or "": each for each in loadtest.cli.commands})
        return CliRunner().invoke(
            group, [command, "--topology", str(self.topology), *arguments], catch_exceptions=False
        )


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    monkeypatch.setattr(loadtest.counter, "HOME", tmp_path)
    with FakeCentre() as centre:
        yield Counter(centre, tmp_path)


def test_a_payment_prints_its_slip_and_is_remembered(counter: Counter) -> None:
    done = counter.run("pay", "--amount", "1200", "--last4", "4242")
    assert done.exit_code == 0
    assert "APPROVED 承認" in done.output
    assert "¥1,200" in done.output
    told = history_file.read([counter.home / "terminals" / "T0001.ndjson"])
    assert [intent.request.stan for intent in told.intents] == [1]
    assert list(counter.centre.ledger) == [told.intents[0].key]


def test_every_payment_has_its_own_number_unless_it_is_repeated(counter: Counter) -> None:
    for _ in range(3):
        counter.run("pay", "--date", "20261123")
    again = counter.run("pay", "--date", "20261123", "--stan", "2")
    assert "the first answer again" in again.output
    counter.run("pay", "--date", "20261123")
    assert [key[-11:-5] for key in counter.centre.ledger] == [
        "000001",
        "000002",
        "000003",
        "000004",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--card", "tok-NOFUNDS51"), 1, "DECLINED 不承認"),
        (("--amount", "-1"), 2, "amount_minor: must be above 0"),
        (("--close",), 0, "daily close 日計"),
        (("--service", "dcc", "--dcc", "800,USD,0.0067"), 0, "800 USD"),
        (("--service", "e-money", "--type", "balance"), 0, "残高照会"),
    ],
)
def test_outcomes_have_their_exit_status(
    counter: Counter, arguments: tuple[str, ...], status: int, words: str
) -> None:
    done = counter.run("pay", *arguments)
    assert done.exit_code == status
    assert words in done.output


def test_no_answer_is_a_fault_slip_and_says_how_to_go_on(counter: Counter) -> None:
    counter.centre.leader = None
    done = counter.run("pay", "--deadline", "0.3")
    assert done.exit_code == 3
    assert "FAULT SLIP 障害伝票" in done.output
    assert "kessai inquire T0001." in done.output
    counter.centre.leader = 1
    assert counter.run("pay", "--stan", "1").exit_code == 0


def test_a_wrong_dcc_offer_is_told(counter: Counter) -> None:
    done = counter.run("pay", "--service", "dcc", "--dcc", "a lot")
    assert done.exit_code == 2
    assert "AMOUNT,CURRENCY,RATE" in done.output


def test_inquiring_finds_what_was_settled_and_says_what_was_not(counter: Counter) -> None:
    paid = json.loads(counter.run("pay", "--json").output)
    found = counter.run("inquire", paid["key"])
    assert found.exit_code == 0
    assert "approved, now" in found.output
    assert json.loads(counter.run("inquire", "--json", paid["key"]).output)["reply"]["rrn"]
    absent = counter.run("inquire", "T9.20261123.000001.0200")
    assert absent.exit_code == 1
    assert "is not in the ledger" in absent.output


def test_drills_are_listed_and_an_unknown_one_is_refused() -> None:
    group = click.Group(commands={each.name or "": each for each in loadtest.cli.commands})
    listed = CliRunner().invoke(group, ["drill", "list"])
    assert listed.exit_code == 0
    assert "leader-crash" in listed.output
    refused = CliRunner().invoke(group, ["drill", "run", "tea-break"])
    assert refused.exit_code == 3
    assert "there are: " in refused.output
