"""Making a bad day small: the fewest and shortest troubles, in the smallest cluster, that still
break what was broken.

Delta debugging (Zeller and Hildebrandt 2002) on the list of troubles, then one thing after another
made smaller. Pure: whether a plan fails is the caller's affair, and the budget is in plays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from coordinator.configuration import majority
from loadtest.sim.network import Manners
from loadtest.sim.setup import DiskManners, EtcdManners, Setup
from loadtest.sim.weather.troubles import At, Cue, Plan, Trouble, earliest

_TAIL_MS: Final = 1_500.0
_BRIEFEST_MS: Final = 20.0


def shrink(plan: Plan, fails: Callable[[Plan], bool], budget: int) -> Plan:
    """The smallest plan found with at most `budget` calls of `fails` that still fails.

    `plan` itself fails, which is not asked.
    """
    trial = _Trial(plan, fails, budget)
    while trial.left:
        before = trial.best
        _fewer(trial)
        for step in (_smaller_cluster, _fewer_terminals, _kinder, _shorter_day, _gentler):
            _repeat(trial, step)
        if trial.best == before:
            break
    return trial.best


@dataclass(slots=True)
class _Trial:
    """`best` is the smallest plan so far that fails; `left` calls of `fails` remain."""

    best: Plan
    fails: Callable[[Plan], bool]
    left: int

    def holds(self, plan: Plan) -> bool:
        """Does this one fail, too? Then it is the best."""
        if not self.left or plan == self.best:
            return False
        self.left -= 1
        if self.fails(plan):
            self.best = plan
            return True
        return False


def _fewer(trial: _Trial) -> None:
    """Leave out a half of the troubles, a quarter, ... and each by itself."""
    size = max(1, len(trial.best.troubles) // 2)
    while True:
        at = 0
        while at < len(trial.best.troubles) and trial.left:
            troubles = trial.best.troubles
            kept = troubles[:at] + troubles[at + size :]
            if not trial.holds(replace(trial.best, troubles=kept)):
                at += size
        if size == 1:
            return
        size //= 2


def _repeat(trial: _Trial, step: Callable[[Plan], Iterator[Plan]]) -> None:
    """Take the first smaller plan of a step that still fails, as long as there is one."""
    while any(trial.holds(plan) for plan in step(trial.best)):
        pass


def _with(plan: Plan, setup: Setup) -> Plan:
    return replace(plan, setup=setup)


def _smaller_cluster(plan: Plan) -> Iterator[Plan]:
    """Without the last site, or without the last node of a site; never too small to settle."""
    sites = plan.setup.sites
    smaller: list[Mapping[str, tuple[str, ...]]] = []
    if len(sites) > 1:
        smaller.append(dict(list(sites.items())[:-1]))
    smaller += [
        {**sites, site: nodes[:-1]} for site, nodes in list(sites.items())[::-1] if len(nodes) > 1
    ]
    for each in smaller:
        if sum(majority(len(nodes)) for nodes in each.values()) >= plan.setup.copies_min:
            yield _with(plan, replace(plan.setup, sites=each))


def _fewer_terminals(plan: Plan) -> Iterator[Plan]:
    """Half as many, one less; half as many payments."""
    setup = plan.setup
    for count in (setup.terminals // 2, setup.terminals - 1):
        if count >= 1:
            yield _with(plan, replace(setup, terminals=count))
    if setup.rate > 1:
        yield _with(plan, replace(setup, rate=float(setup.rate // 2)))


def _kinder(plan: Plan) -> Iterator[Plan]:
    """With links, disks and an etcd that do nothing out of the ordinary."""
    setup = plan.setup
    links = Manners(late=0.0)
    disk = DiskManners(stall=0.0)
    etcd = EtcdManners(answer_lost=0.0, late=0.0)
    yield _with(plan, replace(setup, manners=links, disk=disk, etcd=etcd))
    yield _with(plan, replace(setup, manners=links))
    yield _with(plan, replace(setup, disk=disk))
    yield _with(plan, replace(setup, etcd=etcd))


def _shorter_day(plan: Plan) -> Iterator[Plan]:
    """The calm begins soon after the last trouble, or earlier still. It stays as long as it was: in
    a shorter one nothing comes right."""
    setup = plan.setup
    last = max((earliest(trouble.when) for trouble in plan.troubles), default=0.0)
    for safety_ms in (last + _TAIL_MS, setup.safety_ms * 0.75):
        if safety_ms < setup.safety_ms:
            yield _with(plan, replace(setup, safety_ms=float(round(safety_ms))))


def _gentler(plan: Plan) -> Iterator[Plan]:
    """Each trouble shorter, milder, sooner, or at a plainer time."""
    for number, trouble in enumerate(plan.troubles):
        for easier in _easier(trouble):
            yield replace(plan, troubles=_put(plan.troubles, number, easier))


def _easier(trouble: Trouble) -> Iterator[Trouble]:
    if trouble.for_ms > _BRIEFEST_MS:
        yield replace(trouble, for_ms=float(round(trouble.for_ms / 2)))
    if trouble.pick:
        yield replace(trouble, pick=0)
    when = trouble.when
    if isinstance(when, At):
        if when.ms % 100:
            yield replace(trouble, when=At(when.ms // 100 * 100))
        return
    if when.after_ms:
        yield replace(trouble, when=replace(when, after_ms=0.0))
    if when.nth > 1:
        yield replace(trouble, when=replace(when, nth=1))
    if when.since_ms:
        yield replace(trouble, when=Cue(when.moment, when.nth, when.after_ms))


def _put(troubles: Sequence[Trouble], number: int, trouble: Trouble) -> tuple[Trouble, ...]:
    return (*troubles[:number], trouble, *troubles[number + 1 :])
