"""The simulated etcd and the way to it: guards, lost and late outcomes, leases, watches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from coordinator.configuration import Configuration, ReplicaId
from coordinator.keyvalue import (
    Changed,
    Compacted,
    Delete,
    Get,
    LeaseGone,
    Listing,
    OutcomeUnknown,
    Put,
    Unavailable,
    Unchanged,
)
from coordinator.ports import Registry
from coordinator.watching import Watcher
from loadtest.sim.happening import Kind
from loadtest.sim.network import Manners
from tests.loadtest.sim.etcd_scene import DEADLINE_MS, HONEST, Scene, configured


@pytest.fixture
def scene() -> Iterator[Scene]:
    """An honest etcd, and nobody there yet."""
    scene = Scene()
    yield scene
    scene.over()


# --- Keys and guards --------------------------------------------------------------------------


def test_it_is_a_registry(scene: Scene) -> None:
    registry: Registry = scene.registry(scene.host())
    assert registry.endpoint == "etcd"


def test_a_transaction_has_one_revision_and_its_reads_see_its_writes(scene: Scene) -> None:
    host = scene.host()
    registry = scene.registry(host)
    first = scene.do(host, registry.transact((), (Put("k/a", b"1"), Put("k/b", b"2"))))
    assert first.succeeded
    made = scene.do(
        host,
        registry.transact(
            (Unchanged("k/a", first.revision), Unchanged("k/c", 0)),
            (Put("k/a", b"3"), Delete("k/b"), Get("k/a"), Get("k/b")),
        ),
    )
    assert made.revision == first.revision + 1
    assert {key: pair.value for key, pair in made.found.items()} == {"k/a": b"3"}
    assert made.found["k/a"].mod_revision == made.revision


def test_a_guard_that_does_not_hold_changes_nothing(scene: Scene) -> None:
    host = scene.host()
    registry = scene.registry(host)
    at = scene.do(host, registry.put("k", b"1"))
    outcome = scene.do(
        host, registry.transact((Unchanged("k", at + 1),), (Delete("k"),), (Get("k"),))
    )
    assert not outcome.succeeded
    assert outcome.revision == at
    assert outcome.found["k"].value == b"1"


# --- Outcomes ---------------------------------------------------------------------------------


def test_a_write_whose_answer_is_lost_took_effect(scene: Scene) -> None:
    scene.etcd.manners = replace(HONEST, answer_lost=1.0)
    host = scene.host()
    registry = scene.registry(host)
    registry._connection._connected = True
    with pytest.raises(OutcomeUnknown):
        scene.do(host, registry.put("k", b"1"))
    assert [pair.value for pair in scene.etcd.pairs("k")] == [b"1"]
    assert scene.kinds() == [Kind.ANSWER_LOST]


def test_a_late_write_takes_effect_after_its_sender_gave_it_up(scene: Scene) -> None:
    scene.etcd.manners = replace(HONEST, late=1.0)
    host = scene.host()
    registry = scene.registry(host)
    registry._connection._connected = True
    with pytest.raises(OutcomeUnknown):
        scene.do(host, registry.put("k", b"1"))
    scene.run(HONEST.late_ms + 100)
    assert [pair.value for pair in scene.etcd.pairs("k")] == [b"1"]
    assert scene.kinds() == [Kind.LATE]


def test_a_read_without_an_answer_is_merely_unavailable(scene: Scene) -> None:
    host = scene.host()
    registry = scene.registry(host)
    scene.do(host, registry.list("k"))
    scene.network.cut.add(("etcd", host.name))
    with pytest.raises(Unavailable):
        scene.do(host, registry.transact((), (Get("k"),)))


def test_who_cannot_connect_knows_that_nothing_was_done(scene: Scene) -> None:
    host = scene.host()
    registry = scene.registry(host)
    scene.network.cut.add((host.name, "etcd"))
    with pytest.raises(Unavailable):
        scene.do(host, registry.put("k", b"1"), within_ms=DEADLINE_MS / 2)


def test_an_etcd_that_refuses_connections_is_known_at_once(scene: Scene) -> None:
    host = scene.host()
    registry = scene.registry(host)
    scene.do(host, registry.put("k", b"1"))
    scene.etcd.away(refusing=True)
    with pytest.raises(Unavailable):
        scene.do(host, registry.put("k", b"2"), within_ms=50)
    scene.etcd.back()
    scene.do(host, registry.put("k", b"3"))
    assert [pair.value for pair in scene.etcd.pairs("k")] == [b"3"]


def test_nothing_takes_effect_while_etcd_says_nothing(scene: Scene) -> None:
    hosts = [scene.host(f"a{number}") for number in range(20)]
    registries = [scene.registry(host) for host in hosts]
    for host, registry in zip(hosts, registries, strict=True):
        scene.do(host, registry.list("k"))
    scene.etcd.away(refusing=False)
    for number, (host, registry) in enumerate(zip(hosts, registries, strict=True)):
        with pytest.raises(OutcomeUnknown):
            scene.do(host, registry.put(f"k/{number}", b"1"))
    assert not scene.etcd.pairs("k/")
    scene.etcd.back()
    scene.run(HONEST.late_ms + 100)
    assert 0 < len(scene.etcd.pairs("k/")) < 20  # some were on their way
    assert set(scene.kinds()) == {Kind.ETCD_AWAY, Kind.ETCD_BACK, Kind.LATE}


# --- Leases -----------------------------------------------------------------------------------


def test_a_lease_that_nobody_renews_takes_its_keys_with_it_in_its_own_time(scene: Scene) -> None:
    host = scene.host()
    registry = scene.registry(host)
    lease, ttl_s = scene.do(host, registry.grant(3))
    scene.do(host, registry.put("k", b"1", lease))
    scene.run(ttl_s * 1000 - 200)
    assert scene.etcd.pairs("k")
    scene.run(HONEST.slack_ms + 200)
    assert not scene.etcd.pairs("k")
    assert scene.kinds() == [Kind.LEASE_EXPIRED]
    assert scene.told[0].who == host.name
    with pytest.raises(LeaseGone):
        scene.do(host, registry.put("k", b"1", lease))
    with pytest.raises(LeaseGone):
        scene.do(host, registry.revoke(lease))


def test_a_lease_is_renewed_until_it_is_gone(scene: Scene) -> None:
    host = scene.host()
    registry = scene.registry(host)
    lease, _ = scene.do(host, registry.grant(2))
    renewing = scene.do(host, registry.renewals(lease))
    for _ in range(4):
        scene.run(1_500)
        assert scene.do(host, renewing.renew(0.5)) == 2
    scene.etcd.expire_all_silent()
    assert scene.do(host, renewing.renew(0.5)) == 2
    scene.etcd.expire(host.name)
    assert scene.do(host, renewing.renew(0.5)) == 0


def test_leases_have_their_full_time_again_when_etcd_is_back(scene: Scene) -> None:
    host = scene.host()
    lease, ttl_s = scene.do(host, scene.registry(host).grant(3))
    scene.run(ttl_s * 1000 - 200)
    scene.etcd.away()
    scene.run(10_000)
    scene.etcd.back()
    scene.run(ttl_s * 1000 - 200)
    assert scene.do(host, scene.do(host, scene.registry(host).renewals(lease)).renew(0.5)) == ttl_s


# --- Watches ----------------------------------------------------------------------------------


def test_a_watcher_hears_everything_in_order_over_a_network_that_loses_and_overtakes(
    scene: Scene,
) -> None:
    scene.network.manners = Manners(late=0.3, late_ms=120.0, loss=0.1)
    host = scene.host()
    heard: list[Changed] = []
    listed: list[Listing] = []

    def deliver(news: Listing | tuple[Changed, ...]) -> None:
        if isinstance(news, Listing):
            listed.append(news)
        else:
            heard.extend(news)

    watcher = Watcher(scene.registry(host), "k/", deliver, DEADLINE_MS)
    scene.begin(host, watcher.run())
    scene.run(5_000)
    for number in range(100):
        scene.etcd.transact("", (), (Put("k/a", b"%d" % number), Put("k/b", b"%d" % number)))
        scene.etcd.put("other", b"")
        scene.run(7)
    scene.run(10_000)
    assert len(listed) == 1
    assert [change.value for change in heard] == [b"%d" % (n // 2) for n in range(200)]
    revisions = [change.mod_revision for change in heard]
    assert revisions == sorted(revisions)


def test_a_watch_from_a_revision_that_is_compacted_says_so(scene: Scene) -> None:
    host = scene.host()
    registry = scene.registry(host)
    for _ in range(5):
        scene.etcd.put("k", b"")
    scene.etcd.compact()
    old = scene.do(host, registry.watch("k", 2))
    with pytest.raises(Compacted):
        scene.do(host, old.read(1.0))
    new = scene.do(host, registry.watch("k", 6))
    assert scene.do(host, new.read(1.0)) == (Changed("k", b"", 6),)


def test_a_watch_that_etcd_no_longer_knows_ends(scene: Scene) -> None:
    host = scene.host()
    watching = scene.do(host, scene.registry(host).watch("k", 2))
    assert scene.do(host, watching.read(1.0)) == ()
    scene.etcd.away()
    assert scene.do(host, watching.read(0.3)) is None
    scene.etcd.back()
    scene.do(host, watching.ask_progress(1.0))
    with pytest.raises(Unavailable):
        scene.do(host, watching.read(1.0))


def test_etcd_forgets_the_watches_of_a_life_that_is_over(scene: Scene) -> None:
    host = scene.host()
    scene.do(host, scene.registry(host).watch("k", 2))
    assert host.loop is not None
    host.loop.kill()
    scene.host(host.name)
    for _ in range(3):
        scene.etcd.put("k", b"")
        scene.run(100)
    assert not scene.etcd.watches._watches


# --- What the world is told -------------------------------------------------------------------


def test_a_switch_and_a_promotion_are_told(scene: Scene) -> None:
    before, _ = configured(scene, "a1")
    b1 = frozenset({ReplicaId("b1", "disk-b1")})
    both = before.with_set("b", b1)
    scene.etcd.put(scene.etcd.keys.configuration, both.to_json())
    scene.etcd.put(scene.etcd.keys.configuration, replace(both, active_site="b").to_json())
    scene.etcd.put(scene.etcd.keys.configuration, both.to_json())
    lossy = Configuration("cluster-id", "b", {"a": frozenset(), "b": b1}, 1, before.members)
    scene.etcd.put(scene.etcd.keys.configuration, lossy.to_json())
    assert scene.kinds() == [Kind.SITE_SWITCHED, Kind.SITE_SWITCHED, Kind.PROMOTED]
    assert scene.etcd.configuration() == (lossy, 6)
