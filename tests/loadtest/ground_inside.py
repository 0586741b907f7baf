"""Does every fault of the network on a real one, alone and over another, and undoes it again.

Prints in JSON what is wrong with the network, in its own words: after each fault, and after its
mending.
"""

from __future__ import annotations

import json
from typing import Final

from deploy.lab.netns.enter import enter
from deploy.lab.netns.network import Network
from loadtest.drill.grounds import Namespaces
from loadtest.faults import (
    Cut,
    CutOff,
    Isolate,
    Lossy,
    NetworkFault,
    PortDown,
    Slow,
    SwitchDown,
)
from tests.deploy.small import two_sites

FAULTS: Final[tuple[NetworkFault, ...]] = (
    Cut("between-sites"),
    Cut("between-sites", "to"),
    Cut("between-sites", "from"),
    Cut("terminals-link:b"),
    Cut("terminals-link:b", "to"),
    Isolate("site:witness"),
    CutOff("a1", "peers"),
    CutOff("a1", "etcd", "to"),
    CutOff("a1", "terminals", "from"),
    SwitchDown("switch:a/2"),
    PortDown("a1", 2),
    Lossy("switch:a/1", 0.3),
    Lossy("between-sites", 0.2),
    Slow("between-sites", 100.0),
)


def main() -> None:
    """All of them, once alone and once all together."""
    enter()
    told: dict[str, list[list[str]]] = {"alone": [], "together": []}
    with Network(two_sites()) as network:
        ground = Namespaces(network)
        for fault in FAULTS:
            ground.harm(fault)
            told["alone"].append(list(network.faults))
            ground.mend(fault)
            told["alone"].append(list(network.faults))
        for fault in FAULTS:
            ground.harm(fault)
        told["together"].append(list(network.faults))
        for fault in FAULTS:
            ground.mend(fault)
            told["together"].append(list(network.faults))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
