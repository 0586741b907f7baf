"""Faults done to a real cluster, and undone: always, in the reverse order, whatever happened."""

from __future__ import annotations

import time
from typing import Final

from deploy.control import Control, ControlError
from deploy.lab.folder import ClusterError
from deploy.lab.processes import Cluster
from deploy.lab.program import ProgramFailed
from loadtest.drill.grounds import CannotBeDone, Ground
from loadtest.drill.lookout import DrillFailed, Lookout, Note, PromiseBroken, in_words
from loadtest.drill.steps import Refused
from loadtest.faults import (
    BETWEEN_SITES,
    SITE,
    AnyFault,
    Cut,
    HandOver,
    Isolate,
    Kill,
    LoseDisk,
    NobodyToHurt,
    Pause,
    Restore,
    Resume,
    Stage,
    Start,
    Stop,
    Switch,
    cast,
    healing,
)

_LOOK_EVERY_S: Final = 0.25  # asking six nodes costs the load something
_LEADER_WITHIN_S: Final = 5.0  # a busy machine may not answer at the first look
_SWITCH_WITHIN_S: Final = 10.0
_SWITCH_ATTEMPTS: Final = 3


class Scene:
    """The cluster of one drill on its ground. `note` puts on record what is done, when it is."""

    def __init__(self, cluster: Cluster, ground: Ground, lookout: Lookout, note: Note) -> None:
        self._cluster = cluster
        self._ground = ground
        self._lookout = lookout
        self._note = note
        self._to_heal: list[AnyFault] = []
        self._together: list[int] = []  # how many healings each fault left
        self._touched: set[str] = set()
        self.absent_index = 0
        self.returned = ""
        self.returned_log = 0

    # What is done -------------------------------------------------------------------------------

    def do(self, fault: AnyFault) -> None:
        """Do it now. Its healing waits for `heal`. Raises `DrillFailed`."""
        names = self._victims(fault.target)
        self._note(f"{type(fault).__name__.lower()} {', '.join(names)}", fault.target)
        if healing(fault) is not None:
            self._together.append(len(names))
        for name in names:
            self._touched |= self._within(name)
            single = type(fault)(name)
            undo = healing(single)
            if undo is not None:
                self._to_heal.append(undo)
            self._perform(single)

    def heal(self, *, everything: bool) -> None:
        """Undo the latest fault, or all of them. Raises `DrillFailed` if that does not work."""
        if not self._to_heal:
            return
        count = len(self._to_heal) if everything else self._together[-1]
        self._together = [] if everything else self._together[:-1]
        for _ in range(count):
            undo = self._to_heal[-1]
            self._perform(undo)
            self._to_heal.pop()
            self._note(f"{type(undo).__name__.lower()} {undo.target}", "healed")

    def heal_whatever_happened(self) -> None:
        """At the end, also after a failure: try every healing, and go on when one fails."""
        while self._to_heal:
            undo = self._to_heal.pop()
            try:
                self._perform(undo)
                self._note(f"{type(undo).__name__.lower()} {undo.target}", "healed at the end")
            except (ClusterError, ProgramFailed, DrillFailed) as problem:
                self._note(f"could not {type(undo).__name__.lower()} {undo.target}", str(problem))

    def refused(self, wanted: Refused) -> None:
        """Ask for a switch to the standby site: it must be refused for this reason.

        Raises `PromiseBroken`.
        """
        (site,) = self._victims("standby-site")
        to = site.removeprefix(SITE)
        leader = self._leader()
        with Control(self._cluster.control_endpoints()[leader]) as control:
            answer = control.switch_site(to)
        if answer.started:
            raise PromiseBroken(f"{leader} began a switch to {to}, which had to be refused")
        if wanted.contains not in answer.reason:
            raise PromiseBroken(
                f"a switch to {to} was refused, but for another reason: {answer.reason!r} "
                f"does not say {wanted.contains!r}"
            )
        self._note(f"a switch to {to} is refused", answer.reason)

    # How ----------------------------------------------------------------------------------------

    def _perform(self, fault: AnyFault) -> None:
        name = fault.target
        try:
            match fault:
                case Cut():
                    if name != BETWEEN_SITES:
                        raise DrillFailed(f"{name}: only the link {BETWEEN_SITES} can be cut")
                    self._ground.cut_sites()
                case Isolate():
                    if not name.startswith(SITE):
                        raise DrillFailed(f"{name}: only a site can be isolated")
                    self._ground.isolate(name.removeprefix(SITE))
                case Restore():
                    self._ground.restore()
                case Switch():
                    self._switch(name)
                case HandOver():
                    self._hand_over(name)
                case LoseDisk():
                    self._kill_node(name)
                    kept = self._cluster.lose_disk(name)
                    self._note(f"{name} has lost its disk", f"the old one is in {kept}")
                case _:
                    self._to_program(fault)
        except CannotBeDone as problem:
            raise DrillFailed(str(problem)) from problem
        except ControlError as problem:
            raise DrillFailed(f"{type(fault).__name__.lower()} {name}: {problem}") from problem

    def _to_program(self, fault: AnyFault) -> None:
        cluster, name = self._cluster, fault.target
        place = name.removeprefix(SITE) if name.startswith(SITE) else ""
        node = name in cluster.terminal_endpoints()
        match fault:
            case Kill() if place:
                cluster.kill_site(place)
            case Start() if place:
                cluster.start_site(place)
            case Stop() if place:
                cluster.stop_site(place)
            case Kill() if node:
                self._kill_node(name)
            case Kill():
                cluster.kill_etcd(name)
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
                raise DrillFailed(f"{name}: cannot be the target of {type(fault).__name__.lower()}")

    def _kill_node(self, name: str) -> None:
        status = self._lookout.statuses().get(name)
        self._cluster.kill_node(name)
        if status is not None:
            self.absent_index = status.last_index

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
                time.sleep(_LOOK_EVERY_S)
        raise DrillFailed(f"{to} did not become active in {_SWITCH_ATTEMPTS} attempts")

    def _hand_over(self, leader: str) -> None:
        with Control(self._cluster.control_endpoints()[leader]) as control:
            answer = control.handover()
        if not answer.started:
            raise DrillFailed(f"{leader} refused to hand over: {answer.reason}")
        self._note(f"{leader} hands over to {answer.target}", answer.reason)

    def _leader(self) -> str:
        return self._victims("leader")[0]

    def _victims(self, target: str) -> tuple[str, ...]:
        deadline = time.monotonic() + _LEADER_WITHIN_S
        while True:
            stage = self._stage()
            try:
                if stage.leader is not None or target != "follower":
                    return cast(target, stage)
                words = "nobody leads, so nobody follows"
            except NobodyToHurt as problem:
                words = str(problem)
            if time.monotonic() >= deadline:
                raise DrillFailed(words)
            time.sleep(_LOOK_EVERY_S)

    def _stage(self) -> Stage:
        topology = self._cluster.topology
        leader = self._lookout.leader()
        down = [name for undo in self._to_heal for name in self._within(undo.target)]
        return Stage(
            leader=leader.node if leader else None,
            nodes=tuple(self._cluster.terminal_endpoints()),
            etcd=tuple(member.name for member in topology.etcd),
            down=frozenset(down),
            touched=frozenset(self._touched),
            sites={site.name: tuple(node.name for node in site.nodes) for site in topology.sites},
            active=leader.active_site if leader else "",
            places=topology.places(),
        )

    def _within(self, target: str) -> set[str]:
        """The target, and all that stands there where it is a place."""
        place = target.removeprefix(SITE) if target.startswith(SITE) else ""
        return {target, *(self._cluster.topology.at(place) if place else ())}
