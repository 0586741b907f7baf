"""Plays one drill: cluster up, load on, steps, load off, evidence, verdict, everything down."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import platform
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec

from deploy.lab.folder import ClusterError
from deploy.lab.processes import Cluster
from deploy.lab.program import ProgramFailed
from deploy.topology import Topology
from loadtest import evidence
from loadtest.checkers.finding import Finding, ask_all
from loadtest.checkers.panel import PANEL
from loadtest.drill.catalogue import Await, Drill, Heal, Hold, Stalled, Steady, Step
from loadtest.drill.collect import resolve, take_ledgers
from loadtest.drill.scene import DrillFailed, Scene
from loadtest.drill.verdict import Course, DrillVerdict, judge
from loadtest.evidence import Event, EvidenceError
from loadtest.generator import Generator
from loadtest.load_plan import LoadPlan, Progress
from loadtest.measure import Figures, acknowledgements, measure

JST: Final = datetime.timezone(datetime.timedelta(hours=9), "JST")
STEADY_SHARE: Final = 0.8
"""Two seconds in a row at this share of the full rate, few terminals waiting: a steady state."""

_ON_THE_WAY_MS: Final = 200.0  # slots that came so long before a fault may be under way
_LONGEST_S: Final = 240.0
_LOOK_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Teller:
    """Where a run tells how it goes: a sentence, or a second of load."""

    say: Callable[[str], None]
    progress: Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Played:
    """One drill played: its verdict, its figures, and where the evidence is."""

    verdict: DrillVerdict
    figures: Figures | None
    folder: Path


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to play it: with which seed, rate and folders, and the command that would repeat it."""

    seed: int
    rate: float
    root: Path
    evidence: Path
    command: str


class Run:
    """One playing of one drill."""

    def __init__(self, drill: Drill, topology: Topology, wanted: Wanted, teller: Teller) -> None:
        self._drill = drill
        self._topology = topology
        self._wanted = wanted
        self._teller = teller
        self._started = datetime.datetime.now(JST)
        self.folder = wanted.evidence / f"{self._started:%Y%m%d-%H%M%S}-{drill.name}"
        self._lock = threading.Lock()
        self._recent: deque[Progress] = deque(maxlen=3)
        self._steady_ms: float | None = None
        self._healed_ms: float | None = None
        self._disturbed = (math.inf, math.inf)  # from the first fault to the last steady state
        self._unplayed = ""
        self._before = ("", 0)
        self._after = ("", 0)

    def play(self) -> Played:
        """Play it to the end, or heal and clear up and raise what stopped it."""
        self.folder.mkdir(parents=True)
        cluster = Cluster(self._topology, self._wanted.root, owned=True, say=self._teller.say)
        scene = Scene(cluster, self._note)
        try:
            cluster.clear()
            cluster.start()
            self._under_load(cluster, scene)
            self._gather(cluster)
        except BaseException as problem:
            self._note("stopped", f"{type(problem).__name__}: {problem}")
            scene.heal_whatever_happened()
            raise
        finally:
            cluster.stop(grace_s=3.0)
            self._keep_logs(cluster)
        return self._judge()

    # --- under load ------------------------------------------------------------------------------

    def _under_load(self, cluster: Cluster, scene: Scene) -> None:
        plan = LoadPlan(
            run=self.folder.name,
            endpoints=tuple(cluster.terminal_endpoints().values()),
            history=str(self.folder / "history-load.ndjson"),
            rate=self._wanted.rate,
            terminals=self._drill.load.terminals,
            seed=self._wanted.seed,
            tag="DRILL",
            business_date=int(f"{self._started:%Y%m%d}"),
            duration_s=_LONGEST_S,
        )
        self._teller.say(
            f"load: {plan.rate:.0f} a second from {plan.terminals} terminals, seed {plan.seed}"
        )
        with Generator(plan, self.folder, self._progress) as generator:
            try:
                leader = scene.leader()
                self._before = (leader.node, leader.epoch) if leader else ("nobody", scene.epoch())
                for step in self._drill.steps:
                    generator.check()
                    self._play_step(step, scene, generator)
            except (DrillFailed, ClusterError, ProgramFailed) as problem:
                self._unplayed = str(problem)
                self._note("could not go on", self._unplayed)
            finally:
                scene.heal_whatever_happened()
            leader = scene.leader()
            self._after = (leader.node, leader.epoch) if leader else ("nobody", scene.epoch())
            self._note("arrivals stop")
            generator.stop()
            generator.wait()

    def _play_step(self, step: Step, scene: Scene, generator: Generator) -> None:
        match step:
            case Steady():
                self._disturbed = (self._disturbed[0], _now_ms())
                self._await_steady(step, generator)
                self._sleep(step.for_s, generator)
            case Hold():
                self._sleep(step.for_s, generator)
            case Await():
                scene.await_in_sync(step.in_sync, step.within_s)
            case Heal():
                scene.heal(everything=step.all)
                self._healed_ms = self._healed_ms or _now_ms()
            case Stalled():
                self._await_stalled(step.within_s, scene, generator)
            case _:
                self._disturbed = (min(self._disturbed[0], _now_ms() - _ON_THE_WAY_MS), math.inf)
                scene.do(step)

    def _sleep(self, for_s: float, generator: Generator) -> None:
        until = time.monotonic() + for_s
        while time.monotonic() < until:
            generator.check()
            time.sleep(min(_LOOK_EVERY_S, max(0.0, until - time.monotonic())))

    def _await_steady(self, step: Steady, generator: Generator) -> None:
        with self._lock:
            self._recent.clear()
        deadline = time.monotonic() + step.within_s
        while time.monotonic() < deadline:
            generator.check()
            with self._lock:
                last = list(self._recent)[-2:]
            if len(last) == 2 and all(self._is_steady(each) for each in last):
                if self._steady_ms is None:
                    self._steady_ms = _now_ms()
                self._note("steady", f"{last[-1].rate:.0f} a second")
                return
            time.sleep(_LOOK_EVERY_S)
        words = f"no steady state within {step.within_s:.0f} s at {self._wanted.rate:.0f} a second"
        if step.required:
            raise DrillFailed(words)
        self._note("this machine does not keep up; going on", words)

    def _is_steady(self, progress: Progress) -> bool:
        enough = progress.rate >= STEADY_SHARE * self._wanted.rate
        # With most terminals waiting the cluster is not keeping up, whatever it answers.
        return enough and progress.waiting < self._drill.load.terminals / 2

    def _await_stalled(self, within_s: float, scene: Scene, generator: Generator) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            generator.check()
            with self._lock:
                still = bool(self._recent) and self._recent[-1].rate == 0
            reasons = scene.reasons()
            if still and reasons:
                words = "; ".join(f"{node}: {reason}" for node, reason in reasons.items())
                self._note("settling has stopped", words)
                return
            time.sleep(_LOOK_EVERY_S)
        raise DrillFailed(f"settling did not stop with a reason within {within_s:.0f} s")

    # --- after the load --------------------------------------------------------------------------

    def _gather(self, cluster: Cluster) -> None:
        endpoints = tuple(cluster.terminal_endpoints().values())
        asked = resolve(self.folder, endpoints, self._wanted.seed)
        if asked:
            self._note("asked again after the load", f"{asked} unheard results")
        try:
            take_ledgers(self.folder, cluster, self._note)
        except DrillFailed as problem:
            self._unplayed = self._unplayed or str(problem)
            self._note("no ledgers", str(problem))

    def _judge(self) -> Played:
        findings: tuple[Finding, ...] = ()
        figures: Figures | None = None
        resumed_ms: float | None = None
        try:
            told = evidence.read(self.folder)
            figures = measure(told.history, self._steady_ms, self._disturbed)
            resumed_ms = self._resumed(acknowledgements(told.history))
            self._teller.say("checking the evidence")
            findings = ask_all(PANEL, told)
        except (EvidenceError, ValueError) as problem:
            self._unplayed = self._unplayed or str(problem)
        course = Course(
            leader_before=self._before[0],
            epoch_before=self._before[1],
            leader_after=self._after[0],
            epoch_after=self._after[1],
            steady_ms=self._steady_ms,
            healed_ms=self._healed_ms,
            resumed_ms=resumed_ms,
            unplayed=self._unplayed,
        )
        verdict = judge(self._drill.limits, figures, course, findings)
        self._keep(verdict, figures, course)
        return Played(verdict, figures, self.folder)

    def _resumed(self, heard_ms: list[float]) -> float | None:
        """From the first healing to the first answer after it; None if there was none."""
        healed_ms = self._healed_ms
        if healed_ms is None:
            return None
        return next((at - healed_ms for at in heard_ms if at >= healed_ms), None)

    # --- what is kept ----------------------------------------------------------------------------

    def _note(self, what: str, detail: str = "") -> None:
        event = Event(round(_now_ms(), 3), what, detail)
        with (self.folder / "events.ndjson").open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")
        self._teller.say(f"-- {what}" + (f" ({detail})" if detail else ""))

    def _progress(self, progress: Progress) -> None:
        with self._lock:
            self._recent.append(progress)
        self._teller.progress(progress)

    def _keep(self, verdict: DrillVerdict, figures: Figures | None, course: Course) -> None:
        document = {
            "ruling": verdict.ruling,
            "rows": [asdict(row) for row in verdict.rows],
            "findings": [asdict(finding) for finding in verdict.findings],
            "figures": asdict(figures) if figures else None,
            "course": asdict(course),
        }
        for name, content in (("verdict.json", document), ("drill.json", self._drill)):
            data = msgspec.json.format(msgspec.json.encode(content), indent=2)
            (self.folder / name).write_bytes(data)
        evidence.seal(
            self.folder,
            name=self._drill.name,
            command=self._wanted.command,
            started_at=self._started.isoformat(timespec="seconds"),
            seed=self._wanted.seed,
            versions=versions(),
        )

    def _keep_logs(self, cluster: Cluster) -> None:
        for node in cluster.terminal_endpoints():
            log = cluster.log(node)
            if log.exists():
                (self.folder / f"log-{node}.txt").write_bytes(log.read_bytes())


def versions() -> dict[str, str]:
    """What the run ran on."""
    packages = ("grpcio", "locust", "gevent", "apsw", "protobuf")
    return {
        "python": sys.version.split()[0],
        "system": platform.platform(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def _now_ms() -> float:
    return time.monotonic() * 1000.0
