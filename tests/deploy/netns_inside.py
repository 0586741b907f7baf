"""Enters a private ground, builds the network of a topology and does there what it is told.

Told in JSON lines: `{"call": NAME, "args": [...]}` for a method of the network,
`{"probe": [[FROM, HOW, TO, PATIENCE_S], ...]}`, `{"run": [HOST, COMMAND...]}` for a command's
process number and output, `{"detour": true}` to send the sites' traffic through the room. Each is
answered by one JSON line. `Inside`, below, is the other end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from deploy.lab.netns.enter import enter
from deploy.lab.netns.network import Network
from deploy.lab.netns.plan import ROOM
from deploy.lab.netns.rtnetlink import MAIN_TABLE
from deploy.topology import DEFAULT, load

AGENT = Path(__file__).with_name("netns_agent.py")
PROJECT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "tests.deploy.netns_inside")

Probe = tuple[str, str, str, float]


class Inside:
    """A process that runs `main`, as a context."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.process = subprocess.Popen(
            list(command), cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            self.ready = self._hear()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Inside:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and with it all that is inside."""
        try:
            self.process.communicate(timeout=30)
        finally:
            self.process.kill()
            self.process.wait()

    def call(self, name: str, *args: str | float | Sequence[str]) -> Any:
        """Call a method of the network, or look at what it is."""
        return self._tell({"call": name, "args": args})

    def probe(self, probes: Sequence[Probe]) -> list[str]:
        """What came of each of `probes`, tried at the same time."""
        found: list[str] = self._tell({"probe": probes})
        return found

    def run(self, host: str, *command: str) -> tuple[int, str]:
        """The process number and the output of a command on a host."""
        pid, output = self._tell({"run": [host, *command]})
        return pid, output

    def detour(self) -> None:
        """Change the sites' hosts so that they send to each other through the room."""
        self._tell({"detour": True})

    def _tell(self, what: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self._hear()

    def _hear(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait()}"
        answer = json.loads(line)
        assert "error" not in answer, answer
        return answer["done"]


def main() -> None:
    """Until the end of the input."""
    enter()
    with Network(load(DEFAULT)) as network:
        ends = [name for name, host in network.plan.hosts.items() if not host.forwards]
        agents = {
            name: subprocess.Popen(
                network.launcher(name, [sys.executable, "-ISE", str(AGENT)]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in ends
        }
        for agent in agents.values():
            assert agent.stdout is not None
            assert agent.stdout.readline() == "ready\n"
        say({"done": ends})
        for line in sys.stdin:
            told = json.loads(line)
            try:
                say({"done": do(network, agents, told)})
            except Exception as problem:
                say({"error": f"{type(problem).__name__}: {problem}"})
        for agent in agents.values():
            agent.communicate()


def do(network: Network, agents: dict[str, subprocess.Popen[str]], told: dict[str, Any]) -> Any:
    """One line of what we are told."""
    if "call" in told:
        answer = getattr(network, told["call"])
        if callable(answer):
            return answer(*told["args"])
        return dict(answer) if isinstance(answer, Mapping) else list(answer)
    if "run" in told:
        host, *command = told["run"]
        ran = subprocess.Popen(network.launcher(host, command), stdout=subprocess.PIPE, text=True)
        return ran.pid, ran.communicate()[0]
    if "detour" in told:
        for here, there in (("a", "b"), ("b", "a")):
            for name in network.topology.at(here):
                net = network.address(network.plan.router(there)).rpartition(".")[0] + ".0"
                number = network.plan.link(f"{ROOM}-{name}").interface(name)
                ask = network._wires.spaces[name].ask
                own, room = network.address(name), network.address(ROOM)
                ask.set_route((net, 24), 1, MAIN_TABLE, number, room, own)
        return None
    return probed(network, agents, told["probe"])


def probed(
    network: Network, agents: dict[str, subprocess.Popen[str]], probes: Sequence[Probe]
) -> list[str]:
    """Hand each agent its probes, then collect: all of them work at the same time."""
    mine = {name: [each for each in probes if each[0] == name] for name in agents}
    for name, agent in agents.items():
        assert agent.stdin is not None
        tries = [(how, network.address(to), patience_s) for _, how, to, patience_s in mine[name]]
        agent.stdin.write(json.dumps(tries) + "\n")
        agent.stdin.flush()
    found = {}
    for name, agent in agents.items():
        assert agent.stdout is not None
        found[name] = iter(json.loads(agent.stdout.readline()))
    return [next(found[each[0]]) for each in probes]


def say(what: dict[str, Any]) -> None:
    """One line to whoever tells us."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
