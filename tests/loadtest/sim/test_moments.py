"""Each moment is recognised from one step, and plain service has none but its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.configuration import ReplicaId
from loadtest.sim.happening import Glance, Happened, Kind, Step
from loadtest.sim.weather.moments import Moment, moments, partner, place
from node.core.inputs import (
    FenceAsked,
    GuardUnknown,
    Input,
    Inquired,
    Proposed,
    Received,
    Tick,
)
from node.core.messages import Ack, Append, Fetch, Handover, Offer, Promise, Refuse
from node.core.outputs import (
    Answer,
    Campaign,
    Event,
    Fenced,
    Install,
    Output,
    ReadReady,
    Send,
    Write,
)

FOLLOWER = Glance("follower", 0, "", "", "", 3, 5, 5, 7)
FENCING = replace(FOLLOWER, role="takeover", epoch=4, phase="fencing", promised=4)
STARTING = replace(FENCING, role="leader", phase="starting", last=8)
SERVING = replace(STARTING, phase="serving", commit=8, applied=8)
OFFER = Offer(4, 6, 3, b"")
VOW = Promise(4, 3, 7, 5)


def step(
    before: Glance = SERVING, after: Glance | None = None, given: Input | None = None, **out: object
) -> Step:
    return Step(10.0, "a1", 1, given or Tick(), before, after or before, Output(**out))  # type: ignore[arg-type]


def with_change(change: str) -> Glance:
    return replace(SERVING, change=change)


def with_move(move: str) -> Glance:
    return replace(SERVING, move=move)


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        (step(FOLLOWER, ask_registry=[Campaign("x", 3, 1)]), Moment.CAMPAIGN),
        (step(FOLLOWER, FENCING), Moment.WON),
        (step(FOLLOWER, send=[Send("a2", VOW)]), Moment.VOWED),
        (step(FENCING, replace(FENCING, phase="fetching")), Moment.FETCHING),
        (step(FENCING, STARTING), Moment.STARTING),
        (step(STARTING, replace(STARTING, commit=8)), Moment.STARTED),
        (step(replace(STARTING, commit=8), SERVING), Moment.SERVING),
        (step(SERVING, FOLLOWER), Moment.DEPOSED),
        (step(FOLLOWER, send=[Send("a2", Refuse(9, 3, 7))]), Moment.OVERTAKEN),
        (step(given=Proposed(1, b""), persist=[Write(1, 4, 1)]), Moment.PLACED),
        (step(SERVING, replace(SERVING, commit=9)), Moment.COMMITTED),
        (step(FOLLOWER, persist=[Write(1, 4, 1, truncate_after=6)]), Moment.REPLACING),
        (step(given=Inquired(1)), Moment.READING),
        (step(SERVING, with_change("covering")), Moment.COVERING),
        (step(with_change("covering"), with_change("sent")), Moment.SENT),
        (step(SERVING, with_change("sent")), Moment.SENT),
        (step(with_change("sent"), given=GuardUnknown(1)), Moment.UNKNOWN),
        (step(with_change("sent"), SERVING), Moment.CHANGED),
        (step(SERVING, with_move("handover")), Moment.DRAINING),
        (step(with_move("handover"), send=[Send("a2", Handover(4))]), Moment.HANDED),
        (step(SERVING, with_move("switch draining")), Moment.SWITCH_DRAINING),
        (step(SERVING, with_move("switch asking etcd")), Moment.SWITCH_SENT),
        (step(make_snapshot=["b1"]), Moment.SNAPSHOT_WANTED),
        (step(send=[Send("b1", OFFER)]), Moment.SNAPSHOT_OFFERED),
        (step(FOLLOWER, fetch_snapshot=[("a1", OFFER)]), Moment.SNAPSHOT_FETCHING),
        (step(FOLLOWER, persist=[Install(1, 4, 1, OFFER)]), Moment.SNAPSHOT_INSTALLING),
        (step(prune=3), Moment.PRUNING),
        (
            step(FOLLOWER, replace(FOLLOWER, promised=9), FenceAsked(1, 9)),
            Moment.FENCING,
        ),
        (step(FOLLOWER, answer=[Fenced(1, VOW)]), Moment.FENCED),
        (Happened(1.0, Kind.SITE_SWITCHED, "watch-w"), Moment.SWITCHED),
        (Happened(1.0, Kind.PROMOTED, "desk"), Moment.PROMOTED),
        (Happened(1.0, Kind.CRASH, "a1"), Moment.DOWN),
        (Happened(1.0, Kind.RESTART, "a1"), Moment.RESTARTED),
        (Happened(1.0, Kind.WAKE, "a1"), Moment.WOKEN),
        (Happened(1.0, Kind.ETCD_BACK, "etcd"), Moment.ETCD_BACK),
        (Happened(1.0, Kind.LEASE_EXPIRED, "a1"), Moment.LEASE_GONE),
        (Happened(1.0, Kind.INSTALLED, "a1"), Moment.SNAPSHOT_INSTALLED),
    ],
)
def test_a_moment_is_recognised(told: Step | Happened, moment: Moment) -> None:
    assert moments(told) == (moment,)


HEARTBEAT = Send("a2", Append(4, 1, 8, 4, b"", (), 8))
ANSWERS: list[Answer] = [ReadReady(1)]


@pytest.mark.parametrize(
    "told",
    [
        step(send=[HEARTBEAT]),
        step(FOLLOWER, replace(FOLLOWER, commit=6)),
        step(FOLLOWER, send=[Send("a1", Ack(4, 1, 8))], persist=[Write(1, 4, 1)]),
        step(given=Inquired(1), answer=ANSWERS),
        step(FOLLOWER, given=Inquired(1)),
        step(given=GuardUnknown(1)),
        step(with_change("covering"), SERVING),
        step(with_move("handover"), SERVING),
        step(with_move("switch asking etcd"), send=[Send("b1", Handover(4))]),
        step(FOLLOWER, send=[Send("a2", Refuse(2, 3, 7))]),
        step(FOLLOWER, given=FenceAsked(1, 2), answer=[Fenced(1, Refuse(2, 3, 1))]),
        step(events=[Event("takeover", "")]),
        Happened(1.0, Kind.LOST, "a1>a2"),
    ],
)
def test_most_of_what_happens_is_no_moment(told: Step | Happened) -> None:
    assert moments(told) == ()


def test_one_step_may_be_several_moments() -> None:
    both = step(FENCING, STARTING, persist=[Write(1, 4, 1, truncate_after=6)])
    assert set(moments(both)) == {Moment.STARTING, Moment.REPLACING}


def test_whose_moment_it_is() -> None:
    assert place(step()) == "a1"
    assert place(Happened(1.0, Kind.WAKE, "b2")) == "b2"


def test_the_other_one_is_whom_it_is_for_or_from() -> None:
    assert partner(step(send=[HEARTBEAT, Send("b1", OFFER)])) == "b1"
    assert partner(step(FENCING, send=[Send("a3", Fetch(4, 0, 0, b""))])) == "a3"
    assert partner(step(FOLLOWER, fetch_snapshot=[("a2", OFFER)])) == "a2"
    assert partner(step(make_snapshot=["b3"])) == "b3"
    acked = Received(ReplicaId("a2", "disk1"), Ack(4, 1, 8))
    assert partner(step(given=acked)) == "a2"
    assert partner(step()) == ""
    assert partner(Happened(1.0, Kind.CRASH, "a1")) == ""
