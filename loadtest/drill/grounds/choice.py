"""The ground that a drill asks for: whether it will do, the way there, and a place to stand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from deploy.lab.netns.plan import TERMINALS
from deploy.lab.parts import Launcher
from deploy.topology import Topology
from loadtest.drill.catalogue import Drill, Kind
from loadtest.drill.grounds import loopback, namespaces
from loadtest.drill.grounds.ports import CannotBeDone, Ground


@dataclass(frozen=True, slots=True)
class _Choice:
    """One kind of ground: what it `offers`, how the program `goes` there with these needs (it may
    begin anew; None where we stand already), and a `standing` on it for a topology."""

    offers: frozenset[str]
    goes: Callable[[Collection[str], Callable[[str], None]], None] | None
    standing: Callable[[Topology], AbstractContextManager[Ground]]


_KINDS: Final[Mapping[Kind, _Choice]] = {
    Kind.PROCESSES: _Choice(loopback.OFFERS, None, loopback.standing),
    Kind.NETNS: _Choice(namespaces.OFFERS, namespaces.go_there, namespaces.standing),
}


def go_to(drill: Drill, say: Callable[[str], None]) -> None:
    """Go where this drill can be played. This may begin the program anew elsewhere, so it is called
    before anything else is done; `say` is told what takes long. Raises `CannotBeDone`.
    """
    choice = _chosen(drill)
    if choice.goes is not None:
        try:
            choice.goes(drill.needs, say)
        except CannotBeDone as problem:
            raise CannotBeDone(f"{drill.name} cannot be played here: {problem}") from problem


@contextmanager
def ground_of(drill: Drill, topology: Topology) -> Iterator[Ground]:
    """The ground of this drill, for as long as the block lasts; a drill plays on any that offers
    what it needs, whichever one it names. Raises `CannotBeDone`."""
    with _chosen(drill).standing(topology) as ground:
        yield ground


def terminals_command(launcher: Launcher, command: list[str]) -> list[str]:
    """The load generator's command, put on the terminals' host."""
    return list(launcher(TERMINALS, command))


def _chosen(drill: Drill) -> _Choice:
    choice = _KINDS[drill.ground]
    lacking = drill.needs - choice.offers
    if lacking:
        able = [kind for kind, each in _KINDS.items() if drill.needs <= each.offers]
        helps = " or ".join(f'ground = "{kind}"' for kind in able) or "no ground that there is does"
        raise CannotBeDone(
            f'{drill.name} needs {", ".join(sorted(lacking))}, which ground = "{drill.ground}" '
            f"does not offer; {helps}"
        )
    return choice
