"""The checkers acquit a town where all went well, and convict every planted crime."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtest import evidence
from loadtest.checkers.evidence import Evidence
from loadtest.checkers.finding import Doubts, Finding, Verdict, ask, ask_all, compose
from loadtest.checkers.panel import PANEL
from tests.loadtest.small_town import NODES, alter, live

Json = dict[str, Any]
Change = Callable[[Json], Json | None]

SALE, VOID, REFUND, REDEEM = 3, 4, 5, 10


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live(seed=7, tills=4, actions=200).write(tmp_path_factory.mktemp("town"))


@pytest.fixture
def folder(town: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(town, tmp_path / "evidence"))


def judged(given: Evidence) -> dict[str, Finding]:
    return {finding.checker: finding for finding in ask_all(PANEL, given)}


def everywhere(folder: Path, change: Change) -> Evidence:
    """The same change in every replica's ledger: they agree, and are all wrong."""
    for node in NODES:
        alter(folder, f"ledger-{node}.ndjson", change)
    return evidence.read(folder)


def once(wanted: Callable[[Json], bool], change: Change) -> Change:
    """Change the first line that is wanted; it must exist in each file."""
    seen: set[int] = set()

    def apply(line: Json) -> Json | None:
        if line["kind"] == "meta":
            seen.clear()
        if not seen and wanted(line):
            seen.add(1)
            return change(line)
        if line["kind"] == "end":
            assert seen, "nothing was planted"
        return line

    return apply


def records(type_: int, **more: object) -> Callable[[Json], bool]:
    return lambda line: (
        line["kind"] == "record"
        and line["type"] == type_
        and line["outcome"] == 1
        and all(line[name] == value for name, value in more.items())
    )


def convicted(given: Evidence) -> set[str]:
    return {name for name, found in judged(given).items() if found.verdict is Verdict.FAIL}


def test_a_town_where_all_went_well_is_acquitted(town: Path) -> None:
    findings = judged(evidence.read(town))
    assert {name: found.problems for name, found in findings.items()} == dict.fromkeys(PANEL, ())
    assert all(found.verdict is Verdict.PASS for found in findings.values())
    assert all(found.looked_at > 300 for found in findings.values())
    assert compose(findings.values()) is Verdict.PASS


# --- lost_approval --------------------------------------------------------------------------------


def test_a_sale_that_one_replica_forgot_is_lost(folder: Path) -> None:
    given = alter(folder, "ledger-a2.ndjson", once(records(SALE), lambda line: None))
    found = judged(given)["lost_approval"]
    assert found.verdict is Verdict.FAIL
    assert len(found.problems) == 1
    assert "on a2" in found.problems[0]


def test_a_sale_lost_everywhere_is_lost_though_the_replicas_agree(folder: Path) -> None:
    lost = once(records(SALE, service=1), lambda line: None)
    found = judged(everywhere(folder, lost))
    assert found["divergence"].verdict is Verdict.PASS
    assert found["lost_approval"].affected == 1
    assert {words.split(":")[0][-2:] for words in found["lost_approval"].problems} == set(NODES)
    assert found["lost_approval"].notes == ("approvals heard that no ledger that counts holds: 1",)
    assert found["double_effect"].verdict is Verdict.FAIL  # logged, and no record


def test_what_a_promotion_with_loss_gave_up_is_lost_and_counted(folder: Path) -> None:
    """The two that still have it were given up with it: what they hold excuses nobody."""
    one = alter(folder, "ledger-a2.ndjson", once(records(SALE), lambda line: None))
    left = tuple(replace(ledger, in_sync=ledger.name == "a2") for ledger in one.ledgers)
    given_up = frozenset(ledger.replica for ledger in left if not ledger.in_sync)
    given = replace(one, ledgers=left, given_up=given_up)
    found = judged(given)["lost_approval"]
    assert (found.verdict, found.affected) == (Verdict.FAIL, 1)
    assert found.notes == ("approvals heard that no ledger that counts holds: 1",)


def test_a_forgotten_decline_is_lost_too(folder: Path) -> None:
    def declined(line: Json) -> bool:
        return bool(line["kind"] == "record" and line["outcome"] == 2)

    assert "lost_approval" in convicted(everywhere(folder, once(declined, lambda line: None)))


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": 2},
        {"amount_minor": 1},
        {"index": 999_999},
        {"rrn": "000000000000"},
        {"service": 2},
        {"terminal": "SOMEBODY"},
    ],
)
def test_a_settlement_kept_otherwise_than_told_is_lost(folder: Path, change: Json) -> None:
    given = everywhere(folder, once(records(SALE, service=1), lambda line: line | change))
    assert "lost_approval" in convicted(given)


def test_a_replica_outside_the_set_does_not_count_for_loss(folder: Path) -> None:
    alter(folder, "ledger-a3.ndjson", once(records(SALE), lambda line: None))
    replicas = folder / evidence.REPLICAS
    text = replicas.read_text().replace('"a3", "in_sync": true', '"a3", "in_sync": false')
    replicas.write_text(text)
    assert "lost_approval" not in convicted(evidence.read(folder))


# --- double_effect --------------------------------------------------------------------------------


def test_a_key_with_two_records_is_a_double_effect(folder: Path) -> None:
    path = folder / "ledger-a1.ndjson"
    lines = path.read_text().splitlines()
    twin = next(line for line in lines if '"kind":"record"' in line)
    lines.insert(lines.index(twin), twin)
    path.write_text("\n".join(lines) + "\n")
    given = alter(folder, "ledger-a1.ndjson", lambda line: line)
    found = judged(given)["double_effect"]
    assert found.verdict is Verdict.FAIL
    assert "2 records" in " ".join(found.problems)


def test_an_effect_that_nobody_asked_for_is_found(folder: Path) -> None:
    asked: list[str] = []

    def forget(line: Json) -> Json | None:
        if line["kind"] == "intent" and line["key"] and not asked:
            asked.append(line["key"])
        return None if line.get("key") in asked else line

    given = alter(folder, "history-0.ndjson", forget)
    found = judged(given)["double_effect"]
    assert [asked[0] in words for words in found.problems] == [True] * 3


def test_two_voids_of_one_sale_are_a_double_effect(folder: Path) -> None:
    voids: list[str] = []

    def again(line: Json) -> Json:
        if records(VOID)(line):
            voids.append(line["original_key"])
            return line | {"original_key": voids[0]}
        return line

    given = everywhere(folder, again)
    assert len(set(voids)) > 1
    assert {"double_effect", "conservation"} <= convicted(given)


def test_a_key_settled_again_at_a_later_entry_is_a_double_effect(folder: Path) -> None:
    def later(line: Json) -> Json:
        return line | {"index": line["index"] + 1}

    assert "double_effect" in convicted(everywhere(folder, once(records(SALE), later)))


def test_a_key_logged_with_two_contents_is_found(folder: Path) -> None:
    held: list[Json] = []

    def twice(line: Json) -> Json:
        if line["kind"] == "meta":
            held.clear()
        if line["kind"] == "entry" and line["commands"]:
            if not held:
                held.append(line["commands"][0])
            elif len(held) == 1:
                held.append(held[0])
                other = held[0] | {"fingerprint": "00"}
                return line | {"commands": [*line["commands"], other]}
        return line

    assert "double_effect" in convicted(everywhere(folder, twice))


# --- wrong_replay ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"approval_code": "999999"}, {"rrn": "X"}, {"settled_at_ms": 1}, {"outcome": 2}]
)
def test_a_repeat_answered_otherwise_is_a_wrong_replay(folder: Path, change: Json) -> None:
    def replayed(line: Json) -> bool:
        return line["kind"] == "heard" and bool(line.get("reply", {}).get("replayed"))

    changed: list[str] = []

    def lie(line: Json) -> Json:
        if not changed and replayed(line):
            changed.append(line["key"])
            return line | {"reply": line["reply"] | change}
        return line

    given = alter(folder, "history-0.ndjson", lie)
    found = judged(given)["wrong_replay"]
    assert found.verdict is Verdict.FAIL
    assert all(changed[0] in words for words in found.problems)


def test_a_repeat_answered_as_new_is_a_wrong_replay(folder: Path) -> None:
    def fresh(line: Json) -> Json:
        if line["kind"] == "heard" and line.get("reply", {}).get("replayed"):
            return line | {"reply": line["reply"] | {"replayed": False}}
        return line

    found = judged(alter(folder, "history-0.ndjson", fresh))["wrong_replay"]
    assert "answered as new 2 times" in " ".join(found.problems)


# --- stale_read -----------------------------------------------------------------------------------


def inquired(town: Path) -> tuple[str, Json]:
    """An inquiry that found what its terminal had been told of before: its ask, and that answer."""
    lines = [json.loads(line) for line in (town / "history-0.ndjson").read_text().splitlines()]
    heard = [line for line in lines if line["kind"] == "heard"]
    told = {line["key"]: line for line in heard if line["result"] in ("ok", "declined")}
    for line in heard:
        reply = line.get("reply")
        if line["result"] == "read" and reply and reply["key"] in told:
            return line["ask"], told[reply["key"]]
    raise AssertionError("nobody inquired")


def test_what_was_heard_and_then_not_found_is_a_stale_read(folder: Path) -> None:
    ask_, told = inquired(folder)

    def forget(line: Json) -> Json:
        if line["kind"] == "heard" and line["ask"] == ask_:
            del line["reply"]
        return line

    found = judged(alter(folder, "history-0.ndjson", forget))["stale_read"]
    assert found.verdict is Verdict.FAIL
    assert told["key"] in found.problems[0]
    assert found.affected == 1


def test_what_was_not_heard_before_the_question_was_sent_may_be_denied(folder: Path) -> None:
    ask_, _ = inquired(folder)

    def early(line: Json) -> Json:
        if line["kind"] == "heard" and line["ask"] == ask_:
            del line["reply"]
            return line | {"sent_ms": 0.0}
        return line

    found = judged(alter(folder, "history-0.ndjson", early))["stale_read"]
    assert found.verdict is Verdict.PASS


def test_a_refusal_for_want_of_an_original_that_was_heard_is_a_stale_read(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "history-0.ndjson").read_text().splitlines()]
    follows = {
        line["ask"]: line["request"]["original_key"]
        for line in lines
        if line["kind"] == "intent" and line["request"].get("original_key")
    }
    changed: list[str] = []

    def refuse(line: Json) -> Json:
        if line["kind"] == "heard" and line["ask"] in follows and not changed:
            changed.append(follows[line["ask"]])
            del line["reply"]
            return line | {"result": "refused", "code": "NOT_FOUND"}
        return line

    found = judged(alter(folder, "history-0.ndjson", refuse))["stale_read"]
    assert found.verdict is Verdict.FAIL
    assert changed[0] in found.problems[0]


# --- conservation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["total", "closing"])
@pytest.mark.parametrize("column", ["count", "captured_minor", "voided_minor", "refunded_minor"])
def test_a_total_that_is_off_by_one_is_found(folder: Path, kind: str, column: str) -> None:
    def off(line: Json) -> Json:
        return line | {column: line[column] + 1}

    given = everywhere(folder, once(lambda line: line["kind"] == kind, off))
    assert convicted(given) == {"conservation"}
    assert len(judged(given)["conservation"].problems) == 3


def test_a_record_moved_to_another_close_is_found(folder: Path) -> None:
    def moved(line: Json) -> Json:
        return line | {"close_number": line["close_number"] + 1}

    assert convicted(everywhere(folder, once(records(SALE), moved))) == {"conservation"}


@pytest.mark.parametrize("amount", [1, -1])
def test_a_balance_that_does_not_add_up_is_found(folder: Path, amount: int) -> None:
    def stored(line: Json) -> bool:
        return line["kind"] == "balance" and line["service"] in (4, 5)

    def off(line: Json) -> Json:
        return line | {"amount_minor": line["amount_minor"] + amount}

    assert convicted(everywhere(folder, once(stored, off))) == {"conservation"}


def test_a_wrong_balance_in_an_answer_is_found(folder: Path) -> None:
    def off(line: Json) -> Json:
        return line | {"balance_minor": line["balance_minor"] + 5}

    given = everywhere(folder, once(records(SALE, service=4), off))
    assert "conservation" in convicted(given)


def test_a_refund_beyond_the_sale_is_found(folder: Path) -> None:
    def more(line: Json) -> Json:
        return line | {"amount_minor": line["amount_minor"] + 10_000_000}

    given = everywhere(folder, once(records(REFUND), more))
    assert "refunded of" in " ".join(judged(given)["conservation"].problems)


def test_a_coupon_redeemed_twice_is_found(folder: Path) -> None:
    tokens: list[str] = []

    def again(line: Json) -> Json:
        if records(REDEEM, service=6)(line):
            tokens.append(line["card_token"])
            return line | {"card_token": tokens[0]}
        return line

    given = everywhere(folder, again)
    assert "redeemed twice" in " ".join(judged(given)["conservation"].problems)


# --- divergence -----------------------------------------------------------------------------------


def test_another_hash_at_one_index_is_a_divergence(folder: Path) -> None:
    def fork(line: Json) -> Json:
        return line | {"hash": "00" * 32}

    def entry(line: Json) -> bool:
        return bool(line["kind"] == "entry" and line["index"] == 40)

    given = alter(folder, "ledger-a2.ndjson", once(entry, fork))
    found = judged(given)["divergence"]
    assert convicted(given) == {"divergence"}
    assert len(found.problems) == 2
    assert "from index 40 on" in found.problems[0]


def test_a_hole_in_a_log_is_a_divergence(folder: Path) -> None:
    def entry(line: Json) -> bool:
        return bool(line["kind"] == "entry" and not line["commands"])

    given = alter(folder, "ledger-a3.ndjson", once(entry, lambda line: None))
    assert convicted(given) == {"divergence"}


@pytest.mark.parametrize("kind", ["record", "balance", "total", "closing"])
def test_a_row_that_only_one_replica_has_is_a_divergence(folder: Path, kind: str) -> None:
    given = alter(
        folder, "ledger-a1.ndjson", once(lambda line: line["kind"] == kind, lambda line: None)
    )
    assert "divergence" in convicted(given)


@pytest.mark.parametrize(
    "change", [('"chain_hash": "', '"chain_hash": "0'), ('"problem": ""', '"problem": "bad sum"')]
)
def test_audits_that_disagree_or_complain_are_a_divergence(
    folder: Path, change: tuple[str, str]
) -> None:
    path = folder / evidence.REPLICAS
    path.write_text(path.read_text().replace(*change, 1))
    assert convicted(evidence.read(folder)) == {"divergence"}


def test_one_ledger_alone_proves_nothing(folder: Path) -> None:
    for node in ("a2", "a3"):
        (folder / f"ledger-{node}.ndjson").unlink()
    assert judged(evidence.read(folder))["divergence"].verdict is Verdict.UNKNOWN


# --- logs that were pruned ------------------------------------------------------------------------


def prune(folder: Path, node: str, upto: int) -> None:
    """Drop the entries up to an index, as a replica does."""

    def dropped(line: Json) -> Json | None:
        if line["kind"] == "meta":
            return line | {"prune_index": upto}
        return None if line["kind"] == "entry" and line["index"] <= upto else line

    alter(folder, f"ledger-{node}.ndjson", dropped)


def test_pruned_logs_are_judged_by_their_records_and_it_is_said(folder: Path) -> None:
    for node, upto in zip(NODES, (300, 200, 250), strict=True):
        prune(folder, node, upto)
    findings = judged(evidence.read(folder))
    assert {found.verdict for found in findings.values()} == {Verdict.PASS}
    (note,) = findings["double_effect"].notes
    assert note.startswith("entries 1 to 200 are pruned everywhere: ")


def test_a_double_effect_in_the_pruned_part_is_still_found(folder: Path) -> None:
    for node in NODES:
        prune(folder, node, 10_000_000)
    voids: list[str] = []

    def again(line: Json) -> Json:
        if records(VOID)(line):
            voids.append(line["original_key"])
            return line | {"original_key": voids[0]}
        return line

    assert {"double_effect", "conservation"} <= convicted(everywhere(folder, again))


def test_a_fork_below_what_is_left_of_the_logs_shows_in_their_ends(folder: Path) -> None:
    def ended(line: Json) -> Json:
        return line | {"chain_hash": "00" * 32} if line["kind"] == "meta" else line

    for node in NODES:
        prune(folder, node, 10_000_000)
    alter(folder, "ledger-a2.ndjson", ended)
    found = judged(evidence.read(folder))["divergence"]
    assert found.verdict is Verdict.FAIL
    assert [words for words in found.problems if "a1 and a2 differ at index" in words]


def test_replicas_with_nothing_in_common_prove_nothing(folder: Path) -> None:
    """a3's log ends where those of the others begin, and its ledger is of another index."""
    for node in ("a1", "a2"):
        prune(folder, node, 400)

    def shorter(line: Json) -> Json | None:
        if line["kind"] == "meta":
            return line | {"index": 400}
        return None if line["kind"] == "entry" and line["index"] > 400 else line

    alter(folder, "ledger-a3.ndjson", shorter)
    hash_of: list[str] = []

    def known(line: Json) -> Json:
        if line["kind"] == "entry" and line["index"] == 400:
            hash_of.append(line["hash"])
        return line

    alter(folder, "ledger-a3.ndjson", known)

    def ended(line: Json) -> Json:
        return line | {"chain_hash": hash_of[0]} if line["kind"] == "meta" else line

    alter(folder, "ledger-a3.ndjson", ended)
    found = judged(evidence.read(folder))["divergence"]
    assert found.verdict is Verdict.UNKNOWN
    assert "nothing in common" in found.problems[0]


# --- replicas that do not count, or were not there ------------------------------------------------


def says(folder: Path, node: str, **changes: object) -> None:
    """Change what the evidence says of the replicas; `node` no longer counts."""
    path = folder / evidence.REPLICAS
    told = json.loads(path.read_text())
    for state in told["states"]:
        if state["node"] == node:
            state["in_sync"] = False
    told["audits"] = [audit for audit in told["audits"] if audit["node"] != node]
    path.write_text(json.dumps(told | changes))


def behind(folder: Path, node: str, index: int) -> None:
    """As if this replica had come only so far: its log alone, no ledger."""
    hashes: list[str] = []

    def cut(line: Json) -> Json | None:
        if line["kind"] == "entry" and line["index"] == index:
            hashes.append(line["hash"])
        if line["kind"] == "meta":
            return line | {"index": index}
        if line["kind"] == "entry" and line["index"] > index:
            return None
        return None if line["kind"] in ("record", "balance", "total", "closing") else line

    alter(folder, f"ledger-{node}.ndjson", cut)

    def ended(line: Json) -> Json:
        return line | {"chain_hash": hashes[0]} if line["kind"] == "meta" else line

    alter(folder, f"ledger-{node}.ndjson", ended)


def test_a_replica_that_is_catching_up_is_told_of_and_not_judged(folder: Path) -> None:
    behind(folder, "a3", 100)
    says(folder, "a3")
    findings = judged(evidence.read(folder))
    assert {found.verdict for found in findings.values()} == {Verdict.PASS}
    assert findings["divergence"].notes == ("a3 does not count; it stands at index 100",)


def test_one_that_is_catching_up_may_be_behind_but_not_contradict(folder: Path) -> None:
    behind(folder, "a3", 100)
    says(folder, "a3")

    def fork(line: Json) -> Json:
        if line["kind"] == "entry" and line["index"] == 40:
            return line | {"hash": "00" * 32}
        return line

    assert convicted(alter(folder, "ledger-a3.ndjson", fork)) == {"divergence"}


def test_a_disk_that_was_given_up_may_hold_what_nobody_else_does(folder: Path) -> None:
    def fork(line: Json) -> Json:
        return line | {"hash": "00" * 32} if line["kind"] == "entry" else line

    alter(folder, "ledger-a3.ndjson", fork)
    says(folder, "a3", given_up=["a3/disk-a3"])
    findings = judged(evidence.read(folder))
    assert {found.verdict for found in findings.values()} == {Verdict.PASS}
    assert findings["divergence"].notes == ("a3: its disk was given up, so it is not compared",)


def test_a_replica_that_counts_and_is_not_there_makes_every_pass_unknown(folder: Path) -> None:
    (folder / "ledger-a3.ndjson").unlink()
    says(folder, "a3", counted=[f"{node}/disk-{node}" for node in NODES])
    findings = judged(evidence.read(folder))
    assert {found.verdict for found in findings.values()} == {Verdict.UNKNOWN}
    assert findings["lost_approval"].notes == ("in sync, but not examined: a3/disk-a3",)
    everything = alter(folder, "ledger-a1.ndjson", once(records(SALE), lambda line: None))
    assert judged(everything)["lost_approval"].verdict is Verdict.FAIL


# --- the judges themselves ------------------------------------------------------------------------


def test_a_checker_that_crashes_says_unknown_and_the_verdict_is_no_pass(town: Path) -> None:
    def crash(_: Evidence) -> Doubts:
        raise ZeroDivisionError("oops")

    given = evidence.read(town)
    found = ask("crash", "?", crash, given)
    assert found.verdict is Verdict.UNKNOWN
    assert "ZeroDivisionError: oops" in found.problems[0]
    passed = ask_all(PANEL, given)
    assert compose(passed) is Verdict.PASS
    assert compose([*passed, found]) is Verdict.UNKNOWN


def test_a_proven_breach_outweighs_an_unknown() -> None:
    unknown = Finding("a", "?", Verdict.UNKNOWN, 0)
    failed = Finding("b", "?", Verdict.FAIL, 1, ("x",))
    assert compose([unknown, failed]) is Verdict.FAIL
    assert compose([]) is Verdict.UNKNOWN


def test_a_pass_over_nothing_is_unknown(town: Path) -> None:
    given = evidence.read(town)
    assert ask("lazy", "?", lambda _: Doubts(0, (), 0), given).verdict is Verdict.UNKNOWN


def test_no_ledger_in_sync_is_unknown(folder: Path) -> None:
    path = folder / evidence.REPLICAS
    path.write_text(path.read_text().replace('"in_sync": true', '"in_sync": false'))
    found = judged(evidence.read(folder))
    needing = PANEL.keys() - {"divergence", "stale_read"}  # what was heard is enough for the latter
    assert {found[name].verdict for name in needing} == {Verdict.UNKNOWN}


# --- the folder -----------------------------------------------------------------------------------


def test_a_cut_or_foreign_ledger_is_not_read(folder: Path) -> None:
    path = folder / "ledger-a1.ndjson"
    whole = path.read_text()
    path.write_text(whole.rsplit("\n", 2)[0] + "\n")
    with pytest.raises(evidence.EvidenceError, match="cut short"):
        evidence.read(folder)
    path.write_text(whole.replace('"format":1', '"format":2'))
    with pytest.raises(evidence.EvidenceError, match="format 1"):
        evidence.read(folder)
    path.write_text("what?\n" + whole)
    with pytest.raises(evidence.EvidenceError, match=r"a1\.ndjson:1"):
        evidence.read(folder)


def test_the_manifest_finds_what_was_changed_added_or_removed(folder: Path) -> None:
    evidence.seal(folder, name="x", command="x", started_at="x", seed=1, versions={})
    assert evidence.altered(folder) == []
    (folder / "ledger-a1.ndjson").write_text("")
    (folder / "ledger-a2.ndjson").unlink()
    (folder / "new.txt").write_text("")
    expected = ["ledger-a1.ndjson", "ledger-a2.ndjson", "new.txt"]
    assert evidence.altered(folder) == expected
