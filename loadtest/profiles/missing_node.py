"""Load at N-1: one follower of a running cluster is stopped, and started again in any case."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deploy.lab.folder import ClusterError
from deploy.lab.ground import Ground


@contextmanager
def one_less(cluster: Ground, say: Callable[[str], None]) -> Iterator[str]:
    """Stop a follower, at the leader's site if there is one, and yield its name.

    It is started again when the block is left, also by Ctrl-C, which is not listened to while that
    is done. Raises `ClusterError` and `ProgramFailed`, also for a cluster that does not run here.
    """
    name = follower(cluster)
    say(f"{name} is stopped for the time of the load (if this is killed: `kessai up`)")
    try:
        cluster.stop_node(name)
        cluster.await_leader()
        yield name
    finally:
        with _undisturbed():
            if name not in cluster.running():
                cluster.start_node(name)
            say(f"{name} runs again")


def follower(cluster: Ground) -> str:
    """The node to stop: the first in the topology's order that is not the leader, those at the
    leader's site before others. Raises `ClusterError` where there is none."""
    leader = cluster.leader()
    if leader is None:
        raise ClusterError("there is no leader: see `kessai status`")
    running = set(cluster.running())
    if leader not in running:
        raise ClusterError(f"{leader} leads, but not as a program of this machine's lab")
    sites = {node.name: site.name for site in cluster.topology.sites for node in site.nodes}
    others = [name for name in sites if name in running and name != leader]
    if not others:
        raise ClusterError("no follower runs that could be stopped")
    return min(others, key=lambda name: sites[name] != sites[leader])


@contextmanager
def _undisturbed() -> Iterator[None]:
    both = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, signal.SIG_IGN) for each in both]
    try:
        yield
    finally:
        for each, handler in zip(both, before, strict=True):
            signal.signal(each, handler)
