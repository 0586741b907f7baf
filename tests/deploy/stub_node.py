"""A program that stands in for a settlement node: it answers Status and does nothing else.

It leads if its name is the first of the cluster's, so that a cluster of it becomes ready. A file
`refuse` in its data folder makes it end at once; a file `stubborn` makes it deaf to SIGTERM. With
`--new-disk` it empties its data folder first.
"""

from __future__ import annotations

import signal
import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc

from node.settings import Settings, load
from proto import control_pb2, control_pb2_grpc


class StubControl(control_pb2_grpc.ControlServicer):
    """Status from the settings alone; Audit as the files in the data folder say."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def Status(
        self, request: control_pb2.StatusRequest, context: grpc.ServicerContext
    ) -> control_pb2.NodeStatus:
        """Leader if first by name."""
        names = sorted((self._settings.node, *(peer.node for peer in self._settings.others)))
        leads = self._settings.node == names[0]
        return control_pb2.NodeStatus(
            node=self._settings.node,
            disk_id="d" + self._settings.node,
            site=self._settings.site,
            role="leader" if leads else "follower",
            epoch=7,
            leader=names[0],
            commit_index=40,
            applied_index=40,
            last_index=41,
            cluster_id="c1",
            active_site=self._settings.site,
            copies_min=2,
            in_sync=[f"{name}/d{name}" for name in names],
            serving=leads,
        )


def main() -> None:
    """Serve until SIGTERM."""
    settings = load(Path(sys.argv[1]))
    folder = Path(settings.folder)
    if "--new-disk" in sys.argv[2:]:
        for path in folder.iterdir():
            path.unlink()
    if (folder / "refuse").exists():
        sys.exit("log.sqlite: the chain hash of entry 12 does not match")
    stop = threading.Event()
    if (folder / "stubborn").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *what: stop.set())
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    control_pb2_grpc.add_ControlServicer_to_server(StubControl(settings), server)
    server.add_insecure_port(settings.peers)
    server.start()
    print(f"{settings.node} serves", flush=True)
    while not stop.wait(0.05):
        pass  # a signal taken by one of gRPC's threads is seen only when this one wakes
    server.stop(0)


if __name__ == "__main__":
    main()
