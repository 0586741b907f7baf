"""Is the simulated etcd one? The same requests to it and to a real one, the same answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final

import pytest

from coordinator.keyvalue import (
    Changed,
    Compacted,
    Delete,
    Get,
    KeyValue,
    LeaseGone,
    Listing,
    Operation,
    Outcome,
    Put,
    Unchanged,
)
from coordinator.ports import Registry
from coordinator.registry import Registry as RealRegistry
from tests.etcd_cluster import EtcdCluster
from tests.loadtest.sim.etcd_scene import Scene

KEYS: Final = tuple(f"/likeness/k{number}" for number in range(5))
STEPS: Final = 250

Ask = Callable[[Registry], Coroutine[Any, Any, Any]]


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    """A real etcd of one member."""
    with EtcdCluster(tmp_path_factory.mktemp("etcd"), size=1) as cluster:
        yield cluster


class Twins:
    """A real and a simulated etcd that are asked the same.

    Revisions are counted from where each began, leases in the order they were granted.
    """

    def __init__(self, real: Registry, base: int) -> None:
        self.scene = Scene()
        self._host = self.scene.host()
        self._real = real
        self.bases = (base, self.scene.etcd.put("/before", b""))
        self.leases: list[tuple[int, int]] = []
        self.revision = 0

    async def ask(self, make: Callable[[int, Callable[[int], int]], Ask]) -> Any:
        """What both answer, told alike. `make` is given which of them is asked, and how it counts
        revisions."""
        told: list[Any] = []
        for which, base in enumerate(self.bases):
            ask = make(which, lambda revision, base=base: revision and revision + base)  # type: ignore[misc]
            try:
                answer = await (ask(self._real) if which == 0 else self._simulated(ask))
            except LeaseGone:
                answer = LeaseGone
            except Compacted:
                answer = Compacted
            told.append(self._alike(answer, which, base))
        assert told[1] == told[0]
        return told[0]

    async def grant(self) -> None:
        """A lease of each."""
        real, _ = await self._real.grant(600)
        simulated, _ = await self._simulated(lambda registry: registry.grant(600))
        self.leases.append((real, simulated))

    async def _simulated(self, ask: Ask) -> Any:
        return self.scene.do(self._host, ask(self.scene.registry(self._host)))

    def _alike(self, answer: Any, which: int, base: int) -> Any:
        def pair(pair: KeyValue) -> tuple[str, bytes, int, int]:
            numbers = [each[which] for each in self.leases]
            lease = numbers.index(pair.lease) + 1 if pair.lease else 0
            return pair.key, pair.value, pair.mod_revision - base, lease

        match answer:
            case Outcome(succeeded, revision, found):
                self.revision = revision - base
                return succeeded, self.revision, [pair(found[key]) for key in sorted(found)]
            case Listing(revision, pairs):
                return revision - base, [pair(each) for each in pairs]
            case int():
                return answer - base
            case tuple():
                changes: tuple[Changed, ...] = answer
                return [(each.key, each.value, each.mod_revision - base) for each in changes]
        return answer


def operations(draw: random.Random, lease: int) -> tuple[Operation, ...]:
    """A few, of different keys but for reads: etcd takes no two writes of one key."""
    made: list[Operation] = []
    for key in draw.sample(KEYS, draw.randint(0, 3)):
        put = Put(key, draw.randbytes(2), lease)
        choices: tuple[Operation, ...] = (put, Delete(key), Get(key))
        made.append(draw.choice(choices))
    return (*made, Get(draw.choice(KEYS)))


def transaction(
    draw: random.Random, revision: int, leases: Sequence[tuple[int, int]]
) -> Callable[[int, Callable[[int], int]], Ask]:
    """One that may hold or not, with leases that may exist or not."""
    guards = [
        (key, draw.choice([0, 0, revision, max(0, revision - draw.randint(0, 6))]))
        for key in draw.sample(KEYS, draw.randint(0, 2))
    ]
    lease = draw.choice([(0, 0), *leases])
    seed = draw.random()

    def make(which: int, counted: Callable[[int], int]) -> Ask:
        again = random.Random(seed)
        then, otherwise = operations(again, lease[which]), operations(again, lease[which])
        checks = [Unchanged(key, counted(at)) for key, at in guards]
        return lambda registry: registry.transact(checks, then, otherwise)

    return make


@pytest.mark.parametrize("seed", range(4))
async def test_it_answers_as_a_real_one(etcd: EtcdCluster, seed: int) -> None:
    draw = random.Random(seed)
    real = RealRegistry(etcd.endpoints, 5_000)
    for key in KEYS:  # of another seed
        await real.transact((), (Delete(key),))
    twins = Twins(real, await real.put("/before", b""))
    outcomes: list[Any] = []
    for _ in range(STEPS):
        step = draw.random()
        if step < 0.04:
            await twins.grant()
        elif step < 0.08 and twins.leases:
            ended = draw.choice(twins.leases)
            await twins.ask(
                lambda which, _, ended=ended: lambda registry: registry.revoke(ended[which])  # type: ignore[misc]
            )
        elif step < 0.2:
            await twins.ask(lambda which, _: lambda registry: registry.list("/likeness/"))
        else:
            outcomes.append(await twins.ask(transaction(draw, twins.revision, twins.leases)))
    assert LeaseGone in outcomes
    assert {outcome[0] for outcome in outcomes if outcome is not LeaseGone} == {True, False}

    async def history(registry: Registry, start: int) -> tuple[Changed, ...]:
        watching = await registry.watch("/likeness/", start)
        changes: tuple[Changed, ...] = ()
        while (more := await watching.read(0.5)) is not None:
            changes += more
        watching.close()
        return changes

    told = await twins.ask(lambda which, counted: lambda registry: history(registry, counted(1)))
    assert len(told) > STEPS / 4
    await twins.ask(transaction(draw, twins.revision, ()))
    last = twins.revision
    etcd.compact(twins.bases[0] + last)
    twins.scene.etcd.compact()
    heard = [
        await twins.ask(
            lambda which, counted, start=start: lambda registry: history(registry, counted(start))  # type: ignore[misc]
        )
        for start in (last - 1, last, last + 1)
    ]
    assert heard[0] is Compacted
    assert heard[2] == []
    twins.scene.over()
    await real.close()
