"""Faults done to a real cluster, and undone: always, in the reverse order, whatever happened."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import msgspec

from deploy.control import Control, ControlError
from deploy.lab.folder import ClusterError
from deploy.lab.processes import Cluster
from deploy.lab.program import ProgramFailed
from loadtest.drill import machines
from loadtest.drill.grounds import CannotBeDone, Ground
from loadtest.drill.lookout import LOOK_EVERY_S, DrillFailed, Lookout, Note, PromiseBroken, in_words
from loadtest.drill.steps import Refused
from loadtest.drill.victims import Victims, parts_of
from loadtest.faults import (
    NEEDS_NETWORK,
    SITE,
    AnyFault,
    FailingDisk,
    FullDisk,
    HandOver,
    Healing,
    Kill,
    LoseDisk,
    Mend,
    Pause,
    Restore,
    Resume,
    SlowDisk,
    Start,
    Stop,
    Switch,
    WrongClock,
    healing,
)

_SWITCH_WITHIN_S: Final = 10.0
_SWITCH_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class _Left:
    """A healing that waits; `fault` is the same number for all that was done at one moment."""

    fault: int
    undo: Healing


class Scene:
    """The cluster of one drill on its ground. `note` puts on record what is done, when it is.

    `done`: the faults so far, in order, each with the name it was done to.
    """

    def __init__(self, cluster: Cluster, ground: Ground, lookout: Lookout, note: Note) -> None:
        self._cluster = cluster
        self._ground = ground
        self._lookout = lookout
        self._note = note
        self._victims = Victims(cluster.topology, lookout)
        self._to_heal: list[_Left] = []
        self.done: list[AnyFault] = []
        self.absent_index = 0
        self.returned = ""
        self.returned_log = 0

    # What is done -------------------------------------------------------------------------------

    def do(self, fault: AnyFault) -> None:
        """Do it now. Its healing waits for `heal`. Raises `NothingToHurt`, `DrillFailed`."""
        names = self._victims.of(fault, self._down())
        self._note(f"{_verb(fault)} {', '.join(names)}", ", ".join(parts_of(fault)))
        singles = [_alone(fault, name) for name in names]
        # Before anything is done: an interrupt in between must find all of it.
        number = len(self.done)
        undo = [each for each in map(healing, singles) if each is not None]
        self._to_heal += [_Left(number, each) for each in sorted(undo, key=self._turn)]
        self.done += singles
        for name in names:
            self._victims.touched |= self._victims.within(name)
        if isinstance(fault, Kill):
            self._kill({each for name in names for each in self._programs(name)})
        else:
            for single in singles:
                self._perform(single)
        # What a step has undone needs no healing any more.
        self._to_heal = [left for left in self._to_heal if left.undo not in singles]

    def heal(self, *, everything: bool) -> None:
        """Undo the latest fault, or all of them. Raises `DrillFailed` if that does not work."""
        latest = self._to_heal[-1].fault if self._to_heal else 0
        while self._to_heal and (everything or self._to_heal[-1].fault == latest):
            undo = self._to_heal[-1].undo
            self._perform(undo)
            self._to_heal.pop()
            self._note(f"{_verb(undo)} {undo.target}", "healed")

    def heal_whatever_happened(self) -> None:
        """At the end, also after a failure: try every healing, and go on when one fails.

        An interrupt leaves what is not healed yet to the next call.
        """
        while self._to_heal:
            undo = self._to_heal[-1].undo
            try:
                self._perform(undo)
                self._note(f"{_verb(undo)} {undo.target}", "healed at the end")
            except (ClusterError, ProgramFailed, DrillFailed, OSError) as problem:
                self._note(f"could not {_verb(undo)} {undo.target}", str(problem))
            self._to_heal.pop()

    def refused(self, wanted: Refused) -> None:
        """Ask for a switch to the standby site: it must be refused for this reason.

        Raises `PromiseBroken`.
        """
        (site,) = self._victims.playing(["standby-site"], self._down())
        to = site.removeprefix(SITE)
        leader = self._leader()
        try:
            with Control(self._cluster.control_endpoints()[leader]) as control:
                answer = control.switch_site(to)
        except ControlError as problem:
            raise DrillFailed(f"a switch to {to} could not be asked for: {problem}") from problem
        if answer.started:
            raise PromiseBroken(f"{leader} began a switch to {to}, which had to be refused")
        if wanted.contains not in answer.reason:
            raise PromiseBroken(
                f"a switch to {to} was refused, but for another reason: {answer.reason!r} "
                f"does not say {wanted.contains!r}"
            )
        self._note(f"a switch to {to} is refused", answer.reason)

    # How ----------------------------------------------------------------------------------------

    def _perform(self, fault: AnyFault | Healing) -> None:
        name = fault.target
        try:
            match fault:
                case Restore():
                    self._ground.mend(fault.of)
                case Mend():
                    machines.mend(self._cluster, fault.of, self._note)
                case SlowDisk() | FullDisk() | FailingDisk() | WrongClock():
                    machines.harm(self._cluster, fault)
                case Switch():
                    self._switch(name)
                case HandOver():
                    self._hand_over(name)
                case LoseDisk():
                    self._kill({name})
                    kept = self._cluster.lose_disk(name)
                    self._note(f"{name} has lost its disk", f"the old one is in {kept}")
                case _ if isinstance(fault, NEEDS_NETWORK):
                    means = self._ground.harm(fault)
                    if means:
                        self._note(f"by means of {means}", name)
                case _:
                    self._to_program(fault)
        except CannotBeDone as problem:
            raise DrillFailed(str(problem)) from problem
        except ControlError as problem:
            raise DrillFailed(f"{_verb(fault)} {name}: {problem}") from problem

    def _to_program(self, fault: AnyFault) -> None:
        cluster, name = self._cluster, fault.target
        place = name.removeprefix(SITE) if name.startswith(SITE) else ""
        node = name in cluster.terminal_endpoints()
        match fault:
            case Start() if place:
                cluster.start_site(place)
            case Stop() if place:
                cluster.stop_site(place)
            case Pause() if not place:
                (cluster.pause_node if node else cluster.pause_etcd)(name)
            case Resume() if not place:
                (cluster.resume_node if node else cluster.resume_etcd)(name)
            case Stop() if node:
                cluster.stop_node(name)
            case Start() if node:
                log = cluster.log(name)
                self.returned = name
                self.returned_log = log.stat().st_size if log.exists() else 0
                cluster.start_node(name)
            case Start():
                cluster.start_etcd(name)
            case _:
                raise DrillFailed(f"{name}: cannot be the target of {_verb(fault)}")

    def _kill(self, programs: set[str]) -> None:
        """All of them at one moment. What the furthest of the nodes had is remembered."""
        found = self._lookout.statuses()
        self._cluster.kill(sorted(programs))
        stood = [each.last_index for name, each in found.items() if each and name in programs]
        self.absent_index = min(stood, default=self.absent_index)

    def _switch(self, target: str) -> None:
        """A switch that takes too long is called off, and one that meets another planned move is
        refused: then it is asked for again, as an operator would."""
        to = target.removeprefix(SITE)
        for _ in range(_SWITCH_ATTEMPTS):
            leader = self._leader()
            with Control(self._cluster.control_endpoints()[leader]) as control:
                answer = control.switch_site(to)
            if answer.started:
                self._note(f"{leader} switches to {to}", answer.target)
            else:
                self._note(f"{leader} does not switch to {to}", answer.reason)
            deadline = time.monotonic() + _SWITCH_WITHIN_S / _SWITCH_ATTEMPTS
            while time.monotonic() < deadline:
                now = self._lookout.leader()
                if now is not None and now.active_site == to and now.site == to:
                    self._note(f"{to} is active", in_words(now))
                    return
                time.sleep(LOOK_EVERY_S)
        raise DrillFailed(f"{to} did not become active in {_SWITCH_ATTEMPTS} attempts")

    def _hand_over(self, leader: str) -> None:
        with Control(self._cluster.control_endpoints()[leader]) as control:
            answer = control.handover()
        if not answer.started:
            raise DrillFailed(f"{leader} refused to hand over: {answer.reason}")
        self._note(f"{leader} hands over to {answer.target}", answer.reason)

    def _leader(self) -> str:
        return self._victims.playing(["leader"], self._down())[0]

    def _down(self) -> frozenset[str]:
        """Whatever a fault that is not healed took away."""
        targets = (left.undo.target for left in self._to_heal)
        return frozenset().union(*map(self._victims.within, targets))

    def _programs(self, name: str) -> set[str]:
        """The programs behind a name: one, or all that stand at a place."""
        return {each for each in self._victims.within(name) if not each.startswith(SITE)}

    def _turn(self, undo: Healing) -> int:
        """What is healed last comes first: nodes need etcd, which stands at places, too."""
        if undo.target.startswith(SITE):
            return 1
        return 2 if undo.target in {member.name for member in self._cluster.topology.etcd} else 0


def _alone(fault: AnyFault, name: str) -> AnyFault:
    """The fault as it is done to one of its victims."""
    if isinstance(fault, Kill):
        return Kill(name)
    return msgspec.structs.replace(fault, target=name)


def _verb(fault: AnyFault | Healing) -> str:
    return type(fault).__name__.lower()
