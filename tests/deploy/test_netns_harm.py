"""deploy/lab/netns: what faults make together, and the words in which the kernel is told."""

from __future__ import annotations

import pytest

from deploy.lab.netns.harm import Down, LosePart, Slow, State, Swallow, Unheard, together
from deploy.lab.netns.netlink import Message
from deploy.lab.netns.plan import plan
from deploy.lab.netns.rtnetlink import Rtnetlink
from deploy.topology import DEFAULT, load


def test_nothing_is_wrong() -> None:
    assert together([]) == State()


def test_harm_adds_up() -> None:
    made = plan(load(DEFAULT))
    link, other = made.link("ra-rb"), made.link("ra-rw")
    state = together(
        [
            Down(link),
            Down(link),
            Swallow(other, "ra"),
            LosePart("sa1", None, 0.5),
            LosePart("sa1", None, 0.2),
            LosePart("ra", link, 0.1),
            Slow(link, 20),
            Slow(link, 30),
            Slow(other, 5),
            Unheard("a1", "a2"),
            Unheard("a1", "a2"),
            Unheard("a2", "a1"),
        ]
    )
    assert state.down == {link}
    assert state.swallowing == {Swallow(other, "ra")}
    assert state.losing == {("sa1", None): pytest.approx(0.6), ("ra", link): pytest.approx(0.1)}
    assert state.slow == {link: 50, other: 5}
    assert state.unheard == {Unheard("a1", "a2"), Unheard("a2", "a1")}


def test_netem_is_asked_for_as_tc_would(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Message] = []
    monkeypatch.setattr(Rtnetlink, "ask", lambda self, what, messages: told.extend(messages))
    Rtnetlink().set_netem(3, 50)
    # `tc qdisc add dev INTERFACE root netem delay 50ms limit 100000`, as strace shows it.
    (kind, _, body) = told[0]
    assert kind == 36
    assert body == bytes.fromhex(
        "00000000 03000000 00000000 ffffffff 00000000"
        "0a000100 6e657465 6d000000"
        "1c000200 c2eb0b00 a0860100 00000000 00000000 00000000 00000000"
    )
