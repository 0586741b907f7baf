"""Terminals and fronts on simulated wires: the contract of the real ones, without gRPC."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import grpc
import pytest

from loadtest.history import Heard, Intent, Line, Result, Unsent, gathered
from loadtest.request import Request, Service, Type
from loadtest.sim.front import Answer, Attempt, Front, Running, Status
from loadtest.sim.ground import Ground
from loadtest.sim.happening import Happened, Kind, Told
from loadtest.sim.loop import Defect, VirtualLoop
from loadtest.sim.network import Manners, Network
from loadtest.sim.people.terminals import BUSINESS_DATE, SimTerminal
from loadtest.sim.setup import Setup
from loadtest.sim.timeline import Dice, Timeline
from loadtest.terminal import Given, NoAnswer, Refused
from loadtest.wire import METHODS, encode, weigh
from node.core import Timings
from node.engine import NoQuorum, NotLeader, OutcomeUnknown, Overloaded
from node.ledger.check import FieldProblem
from node.ledger.commands import Command, Receipt
from node.ledger.refusals import RefusalKind, refusal
from node.rpc import errors
from node.rpc.wire_refusal import status_details
from tests.node.rpc.fake_engine import FakeEngine

SALE = Request(
    merchant="SHOP-0001",
    terminal="TSIM0000",
    business_date=BUSINESS_DATE,
    stan=1,
    service=Service.CREDIT,
    type=Type.SALE,
    brand="VISA",
    amount_minor=1200,
    card_token="tok-0001",
    card_last4="4242",
)
SITES = {"a": ("a1", "a2"), "b": ("b1",)}


@dataclass
class Node:
    """A host with a front and an engine that does what the test says."""

    name: str
    site: str
    network: Network
    engine: FakeEngine = field(default_factory=FakeEngine)
    loop: VirtualLoop | None = None
    running: Running | None = None
    lives: int = 0

    def __post_init__(self) -> None:
        self.front = Front(self, self.network)
        self.network.attach(self)

    def start(self) -> None:
        self.lives += 1
        self.loop = VirtualLoop(self.name, self.network.timeline, random.Random(self.lives))
        self.running = cast("Running", SimpleNamespace(engine=self.engine))

    def crash(self) -> None:
        assert self.loop is not None
        self.loop.kill()
        self.loop = self.running = None
        self.front.reset()


class Town:
    """Some nodes and some terminals; a1 leads, the others know it."""

    def __init__(self, *, seed: int = 1, terminals: int = 1, rate: float = 2.0) -> None:
        self.timeline = Timeline()
        self.told: list[Told] = []
        self.lines: list[Line] = []
        setup = Setup(SITES, 1, Timings(), terminals=terminals, rate=rate)
        dice = Dice(seed)
        self.network = Network(self.timeline, dice, self.told.append, Manners(late=0.0))
        self.nodes = {name: Node(name, site, self.network) for name, site in setup.nodes.items()}
        ground = SimpleNamespace(
            timeline=self.timeline,
            dice=dice,
            setup=setup,
            network=self.network,
            nodes=self.nodes,
            witness=SimpleNamespace(told=lambda terminal, index: None),
            happened=lambda kind, who, detail="": self.told.append(
                Happened(self.timeline.now, kind, who, detail)
            ),
        )
        self.terminals = [
            SimTerminal(number, cast("Ground", ground), self.lines.append)
            for number in range(terminals)
        ]
        for node in self.nodes.values():
            node.start()
            if node.name != "a1":
                node.engine.raise_at_once = node.engine.read_error = NotLeader("a1")
        for terminal in self.terminals:
            self.network.attach(terminal)

    def open(self) -> SimTerminal:
        for terminal in self.terminals:
            terminal.start()
        return self.terminals[0]

    def run(self, ms: float) -> None:
        self.timeline.run(self.timeline.now + ms)

    @property
    def heard(self) -> list[Heard]:
        return [line for line in self.lines if isinstance(line, Heard)]

    @property
    def intents(self) -> list[Intent]:
        return [line for line in self.lines if isinstance(line, Intent)]

    def kinds(self, kind: Kind) -> list[Happened]:
        return [each for each in self.told if isinstance(each, Happened) and each.kind is kind]


@dataclass
class Caller:
    """Somebody who calls a1 once and remembers what came back, and when."""

    town: Town
    timeout_ms: float = 500.0
    answers: list[tuple[float, Answer]] = field(default_factory=list)

    def call(self, data: bytes | None = None) -> None:
        town = self.town
        request = SALE
        method = METHODS[request.call]
        attempt = Attempt(
            "t0000",
            method.path,
            method.serialize(encode(request)) if data is None else data,
            self.timeout_ms,
            lambda answer: self.answers.append((town.timeline.now, answer)),
        )
        front = town.nodes["a1"].front
        town.network.send("t0000", "a1", lambda: front.take(attempt), "call", stream=True)

    @property
    def status(self) -> Status:
        ((_, answer),) = self.answers
        assert isinstance(answer, Status)
        return answer


# --- the front ------------------------------------------------------------------------------------


def test_bytes_go_in_and_the_receipts_bytes_come_out() -> None:
    town = Town()
    caller = Caller(town)
    caller.call()
    town.run(100)
    ((at_ms, answer),) = caller.answers
    assert isinstance(answer, bytes)
    assert METHODS[SALE.call].parse(answer).rrn == "632700000007"  # type: ignore[union-attr]
    assert 0.4 <= at_ms <= 5
    assert [command.key for command in town.nodes["a1"].engine.asked] == [SALE.key]


def test_what_is_no_message_and_what_is_no_valid_one_touches_nothing() -> None:
    for data, reason in ((b"\xff\xff", "not a message"), (b"", "merchant_id")):
        town = Town()
        caller = Caller(town)
        caller.call(data)
        town.run(100)
        assert reason in caller.status.message
        assert caller.status.details
        assert not town.nodes["a1"].engine.asked


def test_an_engines_error_travels_as_the_status_it_has_on_real_wires() -> None:
    town = Town()
    town.nodes["a1"].engine.answer = lambda command: OutcomeUnknown("a2")
    caller = Caller(town)
    caller.call()
    town.run(100)
    assert caller.status.code.name == "UNAVAILABLE"
    assert b"a2" in caller.status.details


def test_a_call_whose_time_is_over_is_dropped_and_answered_to_nobody() -> None:
    town = Town()
    engine = town.nodes["a1"].engine
    engine.hold = True
    caller = Caller(town, timeout_ms=200)
    caller.call()
    town.run(150)
    ((_, future),) = engine.waiting
    assert not future.cancelled()
    town.run(60)
    assert future.cancelled()
    assert caller.answers == []


def test_the_connections_of_a_killed_process_break() -> None:
    town = Town()
    node = town.nodes["a1"]
    node.engine.hold = True
    caller = Caller(town)
    caller.call()
    town.run(100)
    node.crash()
    town.run(100)
    assert caller.status.message == "connection reset by peer"
    assert not caller.status.details
    node.start()
    town.run(1000)
    assert len(caller.answers) == 1


def test_a_process_that_stands_still_answers_when_it_goes_on() -> None:
    town = Town()
    caller = Caller(town)
    node = town.nodes["a1"]
    assert node.loop is not None
    node.loop.pause()
    caller.call()
    town.run(300)
    assert caller.answers == []
    node.loop.wake()
    town.run(10)
    assert len(caller.answers) == 1


def test_a_process_that_is_not_ready_refuses_the_connection() -> None:
    town = Town()
    town.nodes["a1"].running = None
    caller = Caller(town)
    caller.call()
    town.run(100)
    assert caller.status.message == "connection refused"


def test_an_error_without_a_name_is_a_defect(caplog: pytest.LogCaptureFixture) -> None:
    def fail(command: Command) -> Receipt:
        raise ZeroDivisionError

    town = Town()
    town.nodes["a1"].engine.submit = fail  # type: ignore[method-assign, assignment]
    Caller(town).call()
    with pytest.raises(Defect):
        town.run(100)
    assert "nobody foresaw" in caplog.text


# --- the terminal ---------------------------------------------------------------------------------


def test_a_day_without_troubles_is_heard_from_first_to_last() -> None:
    town = Town(terminals=3, rate=20.0)
    town.open()
    town.run(20_000)
    for terminal in town.terminals:
        terminal.stop()
    town.run(2_000)
    assert all(terminal.idle for terminal in town.terminals)
    history = gathered(town.lines)
    assert 300 < len(history.intents) < 500
    assert not history.unresolved()
    assert {line.result for line in history.heard} >= {Result.OK, Result.READ}
    assert len(town.kinds(Kind.ANSWERED)) == len(history.heard)
    keys = {(intent.key, intent.request.terminal) for intent in history.intents if intent.key}
    assert {terminal for _, terminal in keys} == {"TSIM0000", "TSIM0001", "TSIM0002"}


def test_the_same_seed_makes_the_same_day() -> None:
    def day(seed: int) -> tuple[str, list[Line]]:
        town = Town(seed=seed, terminals=2, rate=10.0)
        town.open()
        town.run(5_000)
        return town.timeline.trace, town.lines

    assert day(3) == day(3)
    assert day(3) != day(4)


def test_it_asks_where_it_is_sent_and_remembers_who_answered() -> None:
    town = Town()
    town.nodes["a1"].crash()
    town.nodes["a2"].engine.raise_at_once = town.nodes["a2"].engine.read_error = None
    town.nodes["b1"].engine.raise_at_once = NotLeader("a2")
    town.open()
    town.run(10_000)
    assert {line.endpoint for line in town.heard} == {"a2"}
    first, *others = town.heard
    assert first.attempts in (2, 3)
    assert {line.attempts for line in others} == {1}


def test_a_refusal_is_final_and_names_the_field() -> None:
    town = Town()
    for node in town.nodes.values():
        node.engine.raise_at_once = None
        node.engine.answer = lambda command: refusal(RefusalKind.KEY_REUSED, "stan", "used")
    town.open()
    town.run(3_000)
    line = next(line for line in town.heard if line.result is not Result.READ)
    assert (line.result, line.code, line.detail) == (
        Result.REFUSED,
        "ALREADY_EXISTS",
        "stan: used",
    )


def test_after_a_slip_the_clerk_goes_on_and_the_terminal_keeps_asking() -> None:
    town = Town(rate=1.0)
    town.network.swallow({("t0000", name) for name in town.nodes}, "cut off")
    terminal = town.open()
    town.run(25_000)
    assert len(town.kinds(Kind.UNKNOWN)) == 2
    assert len(town.intents) == 3  # two slips printed, the third is under way
    assert {line.result for line in town.heard} == {Result.UNKNOWN}
    assert not terminal.idle
    terminal.stop()
    town.network.mend()
    town.run(10_000)
    assert terminal.idle
    history = gathered(town.lines)
    assert not history.unresolved()
    resolved = [line for line in history.heard if line.resolved]
    assert len(resolved) == 2
    assert all(line.heard_ms - line.intended_ms > 10_000 for line in resolved)
    # Four customers had waited and were served, the others had gone elsewhere.
    assert len(history.intents) == 3 + 4
    assert sum(line.slots for line in history.unsent) > 10


def test_time_outs_make_it_doubt_a_silent_site() -> None:
    town = Town()
    town.network.swallow({(name, "t0000") for name in ("a1", "a2")}, "one way")
    town.nodes["b1"].engine.raise_at_once = town.nodes["b1"].engine.read_error = None
    town.open()
    town.run(5_000)
    line = town.heard[0]
    assert line.endpoint == "b1"
    assert line.heard_ms - line.sent_ms >= 600.0
    assert len(town.nodes["a1"].engine.asked) == 1  # it was heard, its answer was not


def test_a_terminal_that_is_switched_off_gives_up_and_asks_again_when_it_is_back() -> None:
    town = Town(rate=4.0)
    town.network.swallow({("t0000", name) for name in town.nodes}, "cut off")
    terminal = town.open()
    town.run(5_000)
    (intent,) = town.intents
    terminal.switch_off()
    assert terminal.idle
    assert [line.result for line in town.heard] == [Result.UNKNOWN]
    unsent = [line.slots for line in town.lines if isinstance(line, Unsent)]
    assert len(unsent) > 5
    assert unsent[-1] == 4  # who stood there when the plug was pulled
    town.network.mend()
    town.run(5_000)
    assert town.intents == [intent]
    terminal.switch_on()
    town.run(100)
    again = town.intents[1]
    assert (again.key, again.again) == (intent.key, True)
    assert again.ask != intent.ask
    town.run(5_000)
    assert len(town.intents) > 10
    assert all(line.result is not Result.UNKNOWN for line in town.heard[1:])


def test_what_is_told_says_what_came_of_what_and_from_where() -> None:
    town = Town(terminals=4, rate=40.0)
    town.open()
    town.run(5_000)
    told = [each.detail for each in town.kinds(Kind.ANSWERED)]
    assert [words.partition(":")[0] for words in told] == [line.result.value for line in town.heard]
    assert all(re.search(r", from a1, attempt \d+$", words) for words in told)
    assert any(re.match(r"ok: sale ¥[\d,]+, from", words) for words in told)
    assert any(words.startswith("read: inquire, from") for words in told)


# --- what a status means --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rejection", "given"),
    [
        (errors.of_engine(NotLeader("a2")), NoAnswer(leader_endpoint="a2")),
        (errors.of_engine(NotLeader()), NoAnswer(retry_after_ms=errors.ELECTION_MS)),
        (errors.of_engine(OutcomeUnknown("a2")), NoAnswer(leader_endpoint="a2")),
        (errors.of_engine(NoQuorum("alone", 200)), NoAnswer(retry_after_ms=200.0)),
        (errors.of_engine(Overloaded(1_500)), NoAnswer(retry_after_ms=1_500.0)),
        (errors.expired(), NoAnswer()),
        (errors.of_fields([FieldProblem("stan", "missing")]), Refused()),
        (errors.of_refusal(refusal(RefusalKind.ORIGINAL_NOT_FOUND, "", "no such")), Refused()),
    ],
)
def test_what_the_node_writes_into_a_status_the_terminal_reads_out(
    rejection: errors.Rejection, given: Given
) -> None:
    word = weigh(rejection.code, rejection.message, status_details(rejection))
    assert word.given == given
    assert word.code == rejection.code.name
    assert word.detail
    assert (word.result is Result.REFUSED) == (given == Refused())


def test_a_status_that_nobody_wrote_is_no_answer_and_a_time_out_is_silence() -> None:
    reset = weigh(grpc.StatusCode.UNAVAILABLE, "connection reset by peer", b"")
    late = weigh(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time", b"\xff")
    assert (reset.given, late.given) == (NoAnswer(cut=True), NoAnswer(silent=True))
