"""A link from a1 to a2 on a network of its own, while one switch or the other does not carry it.

Prints in JSON which of a2's addresses were used (0: the main one), once a2 has been killed in the
end and a1 was told so, and not before. The two ends are this file, too: `hear ADDRESSES` and `speak
ADDRESSES`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence

from coordinator.addresses import over_each
from deploy.lab.netns.enter import enter
from deploy.lab.netns.network import Network
from node.core.messages import Ack
from node.rpc.replication import PeerLink, ReplicationService
from node.rpc.server import build_server, listen
from node.rpc.wire_replication import Hello
from tests.deploy import small

EVERY_S = 0.02
MORE = 25


def main() -> None:
    """Everything, once."""
    enter()
    with Network(small.two_sites()) as network:
        node = next(each for each in network.topology.nodes if each.name == "a2")
        addresses = over_each(node.peers, node.paths)
        hearing = _run(network.launcher("a2", _own("hear", addresses)))
        _until(hearing, lambda line: line == "ready")
        speaking = _run(network.launcher("a1", _own("speak", addresses)))
        used = [_heard_over(hearing, speaking, lambda number: True)]
        network.lossy("a", 1, 0.4)
        used.append(_heard_over(hearing, speaking, lambda number: number == 2))
        network.lossless("a", 1)
        network.one_way("sa2-a2")
        used.append(_heard_over(hearing, speaking, lambda number: number != 2))
        hearing.kill()
        hearing.wait()
        _until(speaking, lambda line: line == "gone")
        speaking.kill()
        speaking.wait()
    print(json.dumps(used))


def _heard_over(
    hearing: subprocess.Popen[str], speaking: subprocess.Popen[str], right: Callable[[int], bool]
) -> int:
    """Wait until messages are sent over the right address, and heard; its number."""
    told = _until(speaking, lambda line: line.isdigit() and right(int(line)))
    assert "gone" not in told, "a path that is dead is not a process that is gone"
    first = int(_until(hearing, str.isdigit)[-1])
    _until(hearing, lambda line: line.isdigit() and int(line) >= first + MORE)
    return int(told[-1])


def _run(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _own(part: str, addresses: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "tests.deploy.netns_paths", part, *addresses]


def _until(process: subprocess.Popen[str], found: Callable[[str], bool]) -> list[str]:
    """What it says until one line is the one that is looked for."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not found(lines[-1]):
        line = process.stdout.readline()
        assert line, f"it ended with {process.wait()}"
        lines.append(line.strip())
    return lines


def _say(what: object) -> None:
    print(what, flush=True)


def _hello(node: str) -> Hello:
    return Hello("small", "c1", node, f"disk-{node}", "a")


async def hear(addresses: Sequence[str]) -> None:
    """Be a2: say the number of every message that comes."""

    def on_message(sender: object, message: object) -> None:
        if isinstance(message, Ack):
            _say(message.index)

    service = ReplicationService(lambda: _hello("a2"), {"a1": "a"}, on_message, _say)
    server = build_server([service.handler()], services=(), health=None, message_bytes=65536)
    for address in addresses:
        listen(server, address)
    await server.start()
    _say("ready")
    await asyncio.Event().wait()


async def speak(addresses: Sequence[str]) -> None:
    """Be a1: send messages, and say over which address each of them goes."""
    link = PeerLink("a2", addresses, lambda: _hello("a1"), lambda node: _say("gone"))
    link.start()
    index = 0
    while True:
        await asyncio.sleep(EVERY_S)
        index += 1
        link.send(Ack(1, 1, index))
        if link.connected:
            _say(addresses.index(link.address))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["hear", *addresses]:
            asyncio.run(hear(addresses))
        case ["speak", *addresses]:
            asyncio.run(speak(addresses))
        case _:
            main()
