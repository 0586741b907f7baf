"""A switch of the active site that loses nothing: through the leader, or past one that is gone.

With a leader it is planned (H2): the leader drains, so no request fails. Without one the guarded
transaction is sent to etcd directly (E5), and the standby's replicas take over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from coordinator import switching
from coordinator.keyvalue import RegistryError
from coordinator.recording import record
from coordinator.records import EventRecord
from coordinator.stamp import stamp
from coordinator.switching import SwitchRefused
from deploy.control import Control, ControlError, NodeStatus, leader_of
from deploy.lab import readiness
from deploy.sight import without_disks
from deploy.topology import Topology
from deploy.written import ask

WAIT_S: Final = 20.0
"""How long a new leader may take to serve before that is called a failure."""

_LOOK_EVERY_S: Final = 0.05
_PATIENCE_S: Final = 2.0
_CALLED_OFF_S: Final = 0.5  # by then a switch that was begun shows in the leader's status


@dataclass(frozen=True, slots=True)
class Moved:
    """The switch is done: `leader` serves in `to_site`; `direct`: no leader was there to ask."""

    from_site: str
    to_site: str
    leader: str
    epoch: int
    took_ms: int
    direct: bool


def switch(
    topology: Topology,
    to: str,
    *,
    by: str,
    say: Callable[[str], None] = lambda line: None,
    wait_s: float = WAIT_S,
) -> Moved:
    """Make `to` the active site and wait until somebody serves there.

    Raises `SwitchRefused` with the reason, `ControlError`, and `RegistryError` where etcd is away.
    """
    check_site(topology, to)
    began = time.monotonic()
    before = _leader(topology)
    if before is None:
        return _direct(topology, to, by, say, began, wait_s)
    refuse_at_once(before, to)
    _record(topology, by, before, f"asked {before.node} to switch to site {to}")
    try:
        with Control(topology.control_endpoints[before.node]) as control:
            begun = control.switch_site(to)
    except ControlError as problem:
        # It may have begun; what becomes of it shows in who leads where.
        say(f"{before.node} did not say whether it switches: {problem}")
    else:
        if not begun.started:
            raise SwitchRefused(f"{before.node} does not switch: {begun.reason}")
        say(f"{before.node} drains, {begun.target} is to lead in site {to}")
    after = await_leader_in(topology, to, wait_s, before)
    return Moved(before.active_site, to, after.node, after.epoch, _since_ms(began), direct=False)


def check_site(topology: Topology, to: str) -> None:
    """Raises `SwitchRefused` for a site that the topology does not have, or the only one."""
    names = [site.name for site in topology.sites]
    if to not in names:
        raise SwitchRefused(f"no site {to!r} here; expected one of {', '.join(names)}")
    if len(names) == 1:
        raise SwitchRefused(f"{to} is the only site: there is none to switch to")


def refuse_at_once(leader: NodeStatus, to: str) -> None:
    """What the leader's status already says against a switch. Raises `SwitchRefused`."""
    if to == leader.active_site:
        raise SwitchRefused(f"site {to} is the active one already: {leader.node} leads there")
    if leader.mode == "degraded":
        why = f" ({without_disks(leader.last_set_change)})" if leader.last_set_change else ""
        raise SwitchRefused(
            f"site {to} is not in sync{why}: it lacks what was settled since. Wait until "
            f"`kessai status` shows it in sync; if site {leader.active_site} is lost for good, "
            f"--allow-data-loss shows what would be given up"
        )
    if leader.manoeuvre:
        raise SwitchRefused(f"{leader.node} is at something else: {leader.manoeuvre}; try again")


def await_leader_in(
    topology: Topology, site: str, wait_s: float, before: NodeStatus | None
) -> NodeStatus:
    """Wait until somebody serves in `site`, active by then.

    Raises `SwitchRefused` if the leader of `before` goes on instead, or nobody serves in time.
    """
    began = time.monotonic()
    while True:
        now = leader_of(_statuses(topology))
        waited_s = time.monotonic() - began
        if now is not None and now.site == site and now.active_site == site:
            return now
        if (
            before is not None
            and now is not None
            and (now.node, now.epoch) == (before.node, before.epoch)
            and not now.manoeuvre
            and waited_s > _CALLED_OFF_S
        ):
            raise SwitchRefused(
                f"the switch was called off, {now.node} goes on in site {now.active_site}: "
                f"{now.reason or 'it took too long'}"
            )
        if waited_s > wait_s:
            where = f"{now.node} still leads in site {now.site}" if now else "nobody leads"
            raise SwitchRefused(
                f"the switch to site {site} has begun, but after {wait_s:.0f} s nobody serves "
                f"there; {where}: see `kessai status` and `kessai events`"
            )
        time.sleep(_LOOK_EVERY_S)


def _direct(
    topology: Topology,
    to: str,
    by: str,
    say: Callable[[str], None],
    began: float,
    wait_s: float,
) -> Moved:
    say("no leader answers: the switch goes to etcd directly")
    why = f"{by} asked for it, and no leader answered"
    try:
        made = ask(
            topology,
            lambda registry: switching.switch(
                registry, topology.cluster, to, by=by, why=why, stamp=stamp()
            ),
        )
    except SwitchRefused as problem:
        raise SwitchRefused(
            f"{problem.reason} (no leader answers: if that cannot be mended, --allow-data-loss "
            f"shows what would be given up)"
        ) from problem
    say(f"site {to} is active since revision {made.revision}; waiting for its leader")
    after = await_leader_in(topology, to, wait_s, None)
    old = next((name for name in sorted(made.configuration.in_sync) if name != to), "")
    return Moved(old, to, after.node, after.epoch, _since_ms(began), direct=True)


def _record(topology: Topology, by: str, leader: NodeStatus, why: str) -> None:
    """Who asked; a switch does not fail for want of that line."""
    event = EventRecord(
        time.time_ns() // 1_000_000,
        by,
        leader.site,
        "switch-asked",
        leader.epoch,
        leader.commit_index,
        why,
    )
    try:
        ask(topology, lambda registry: record(registry, topology.cluster, event))
    except RegistryError:
        return


def _leader(topology: Topology) -> NodeStatus | None:
    """Who leads; a moment without anybody may be a handover, which is not worth a hard switch."""
    began = time.monotonic()
    while True:
        leader = leader_of(_statuses(topology))
        if leader is not None or time.monotonic() - began > _PATIENCE_S:
            return leader
        time.sleep(_LOOK_EVERY_S)


def _statuses(topology: Topology) -> dict[str, NodeStatus | None]:
    return readiness.statuses(topology.control_endpoints, 1.0)


def _since_ms(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
