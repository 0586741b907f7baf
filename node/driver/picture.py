"""What a node says of itself: one immutable picture of replica, store and links (`NodeStatus`)."""

from __future__ import annotations

import resource
from collections.abc import Callable, Collection, Mapping

from coordinator.configuration import Configuration
from node.core import Replica
from node.core.follower import Follower
from node.core.leader import Leader
from node.core.silent import Silent
from node.core.switching import Switching
from node.core.takeover import Takeover
from node.driver.driver import Driver
from node.driver.ports import Figures
from node.engine import NodeStatus, PeerStatus


class Picture:
    """Takes the picture. `connected` says to which peers a stream stands now, `snapshot` what is
    being fetched, in words.
    """

    def __init__(
        self,
        driver: Driver,
        store: Figures,
        *,
        terminals: Mapping[str, str],
        connected: Callable[[], Mapping[str, bool]],
        snapshot: Callable[[], str],
        cluster_id: str,
    ) -> None:
        self._driver = driver
        self._store = store
        self._terminals = terminals
        self._connected = connected
        self._snapshot = snapshot
        self.cluster_id = cluster_id

    def status(self, *, serving: bool, reason: str, settled: int) -> NodeStatus:
        """The picture now; the three arguments are the engine's own knowledge."""
        replica, state = self._driver.replica, self._driver.replica.state
        configuration, role = state.configuration, replica.role
        usage = resource.getrusage(resource.RUSAGE_SELF)
        active = configuration.active_site if configuration else ""
        sets = configuration.in_sync if configuration else {}
        return NodeStatus(
            node=state.me.node,
            disk_id=state.me.disk,
            site=state.identity.site,
            role=_role(replica),
            epoch=state.promised,
            leader=replica.leader,
            leader_endpoint=self._terminals.get(replica.leader, ""),
            commit_index=state.commit,
            applied_index=state.applied,
            last_index=state.log.last_index,
            last_hash=state.log.last_hash,
            cluster_id=self.cluster_id,
            active_site=active,
            copies_min=configuration.copies_min if configuration else 0,
            configuration_revision=state.revision,
            in_sync=tuple(sorted(str(member) for member in sets.get(active, ()))),
            standby_in_sync=tuple(
                sorted(str(m) for s, members in sets.items() if s != active for m in members)
            ),
            serving=serving,
            reason=reason,
            peers=self._peers(role) if isinstance(role, Leader) else (),
            settled=settled,
            fsyncs=self._store.fsyncs,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            mode=mode(configuration, state.identity.batches),
            manoeuvre=manoeuvre(replica),
            last_set_change=state.last_set_change,
            prune_index=self._store.prune_index,
            snapshot=self._snapshot(),
            given_up=tuple(sorted(map(str, configuration.given_up))) if configuration else (),
        )

    def _peers(self, leader: Leader) -> tuple[PeerStatus, ...]:
        now = self._driver.now_ms()
        connected = self._connected()
        state = self._driver.replica.state
        last = state.log.last_index
        return tuple(
            PeerStatus(
                node=peer.node,
                disk_id=peer.replica.disk if peer.replica is not None else "",
                connected=connected.get(peer.node, False),
                acked_index=peer.match,
                lag=last - peer.match,
                silent_ms=int(now - peer.heard_at) if peer.replica is not None else -1,
                site=state.identity.peers[peer.node],
                feed=peer.feed_state,
            )
            for peer in leader.peers.values()
        )


def mode(configuration: Configuration | None, batches: Collection[str]) -> str:
    """How settlements are replicated: "in sync", "degraded" (the standby does not count, X2),
    "batches" (it is one of the sites that are fed so, X6), or "one site"; "" before there is a
    configuration.
    """
    if configuration is None:
        return ""
    standby = configuration.standby_site
    if standby is None:
        return "one site"
    if configuration.in_sync[standby]:
        return "in sync"
    return "batches" if standby in batches else "degraded"


def manoeuvre(replica: Replica) -> str:
    """What is under way, its phase and why, in words; "" for nothing."""
    role = replica.role
    if isinstance(role, Takeover):
        phase = "fencing" if role.donor is None else f"fetching from {role.donor.node}"
        return f"takeover of epoch {role.epoch}: {phase}"
    if not isinstance(role, Leader):
        return ""
    under_way = []
    if role.change is not None:
        under_way.append(f"set change, {role.change.phase}: {role.change.why}")
    if isinstance(role.move, Switching):
        under_way.append(f"switch to site {role.move.site}, {role.move.phase}")
    elif role.move is not None:
        under_way.append(f"handover to {role.move.target.node}")
    return "; ".join(under_way)


def _role(replica: Replica) -> str:
    role = replica.role
    if replica.state.configuration is None and not isinstance(role, Silent):
        return "unconfigured"
    if isinstance(role, Follower) and role.campaigning:
        return "campaigning"
    return role.role
