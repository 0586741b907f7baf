"""Plays one drill: cluster up, load on, steps, load off, evidence, verdict, everything down."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.lab.folder import ClusterError
from deploy.lab.processes import Cluster
from deploy.lab.program import ProgramFailed
from loadtest import directory, evidence
from loadtest.checkers.finding import Finding, ask_all
from loadtest.checkers.panel import PANEL
from loadtest.drill.catalogue import Drill
from loadtest.drill.collect import resolve, take_ledgers
from loadtest.drill.grounds import Ground, terminals_command
from loadtest.drill.keeping import Keeper, now_ms
from loadtest.drill.lookout import DrillFailed, Lookout, PromiseBroken
from loadtest.drill.pulse import Pulse
from loadtest.drill.scene import Scene
from loadtest.drill.services import not_approved, one_of_each
from loadtest.drill.steps import (
    Alarm,
    Await,
    Frozen,
    Heal,
    Hold,
    Pruned,
    Refused,
    Services,
    SnapshotTaken,
    Stalled,
    Steady,
    Step,
)
from loadtest.drill.verdict import Course, DrillVerdict, judge
from loadtest.evidence import EvidenceError
from loadtest.generator import Generator
from loadtest.load_plan import LoadPlan, Progress
from loadtest.measure import Figures, acknowledgements, measure

JST: Final = datetime.timezone(datetime.timedelta(hours=9), "JST")

_ON_THE_WAY_MS: Final = 200.0  # slots that came so long before a fault may be under way
_LONGEST_S: Final = 300.0


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
    """One playing of one drill on its ground."""

    def __init__(self, drill: Drill, ground: Ground, wanted: Wanted, teller: Teller) -> None:
        self._drill = drill
        self._ground = ground
        self._wanted = wanted
        self._teller = teller
        self._started = datetime.datetime.now(JST)
        self.folder = wanted.evidence / f"{self._started:%Y%m%d-%H%M%S}-{drill.name}"
        self._keeper = Keeper(self.folder, teller.say)
        self._pulse = Pulse(wanted.rate, drill.load.terminals, self._keeper.note)
        self._endpoints = directory.endpoints(ground.topology)
        self._sites = directory.sites(ground.topology)
        self._rounds = itertools.count(1)
        self._steady_ms: float | None = None
        self._healed_ms: float | None = None
        self._disturbed = (math.inf, math.inf)  # from the first fault to the last steady state
        self._unplayed = ""
        self._broken = ""
        self._before = ("", 0)
        self._after = ("", 0)

    def play(self) -> Played:
        """Play it to the end, or heal and clear up and raise what stopped it."""
        self.folder.mkdir(parents=True)
        cluster = Cluster(
            self._ground.topology,
            self._wanted.root,
            owned=True,
            launcher=self._ground.launcher,
            say=self._teller.say,
        )
        lookout = Lookout(cluster, self._keeper.note)
        scene = Scene(cluster, self._ground, lookout, self._keeper.note)
        try:
            cluster.clear()
            cluster.start()
            self._under_load(scene, lookout)
            self._gather(cluster)
        except BaseException as problem:
            self._keeper.note("stopped", f"{type(problem).__name__}: {problem}")
            scene.heal_whatever_happened()
            raise
        finally:
            cluster.stop(grace_s=3.0)
            self._keeper.logs(cluster)
        return self._judge()

    # --- under load ------------------------------------------------------------------------------

    def _under_load(self, scene: Scene, lookout: Lookout) -> None:
        plan = LoadPlan(
            run=self.folder.name,
            endpoints=self._endpoints,
            sites=self._sites,
            history=str(self.folder / "history-load.ndjson"),
            rate=self._wanted.rate,
            terminals=self._drill.load.terminals,
            seed=self._wanted.seed,
            tag="DRILL",
            business_date=self._today(),
            duration_s=_LONGEST_S,
        )
        self._teller.say(
            f"load: {plan.rate:.0f} a second from {plan.terminals} terminals, seed {plan.seed}"
        )

        def on_host(command: list[str]) -> list[str]:
            return terminals_command(self._ground.launcher, command)

        with Generator(plan, self.folder, self._progress, on_host) as generator:
            try:
                self._before = _led(lookout)
                for step in self._drill.steps:
                    generator.check()
                    self._play_step(step, scene, lookout, generator)
            except PromiseBroken as broken:
                self._broken = str(broken)
                self._keeper.note("not as it must be", self._broken)
            except (DrillFailed, ClusterError, ProgramFailed) as problem:
                self._unplayed = str(problem)
                self._keeper.note("could not go on", self._unplayed)
            finally:
                scene.heal_whatever_happened()
            self._after = _led(lookout)
            self._broken = self._broken or lookout.broken()
            self._keeper.note("arrivals stop")
            generator.stop()
            generator.wait()

    def _play_step(self, step: Step, scene: Scene, lookout: Lookout, generator: Generator) -> None:
        match step:
            case Steady():
                self._disturbed = (self._disturbed[0], now_ms())
                if self._pulse.await_steady(step, generator):
                    self._steady_ms = self._steady_ms or now_ms()
                self._pulse.hold(step.for_s, generator)
            case Hold():
                self._pulse.hold(step.for_s, generator)
            case Await():
                lookout.await_that(step)
            case Heal():
                scene.heal(everything=step.all)
                self._healed_ms = self._healed_ms or now_ms()
            case Stalled():
                self._pulse.await_stalled(step.within_s, lookout, generator)
            case Alarm():
                lookout.await_alarm(step)
            case Frozen():
                lookout.await_frozen(step)
            case Refused():
                scene.refused(step)
            case Services():
                self._ask_all_services(step.within_s)
            case Pruned():
                lookout.await_pruned(step, scene.absent_index)
            case SnapshotTaken():
                lookout.await_snapshot(step, scene.returned, scene.returned_log)
            case _:
                first = min(self._disturbed[0], now_ms() - _ON_THE_WAY_MS)
                self._disturbed = (first, math.inf)
                scene.do(step)

    def _ask_all_services(self, within_s: float) -> None:
        number = next(self._rounds)
        refused = not_approved(
            one_of_each(number, self._today()),
            self._endpoints,
            self._sites,
            self.folder / f"history-services-{number}.ndjson",
            within_s,
        )
        if refused:
            raise PromiseBroken(f"not every service is accepted: {'; '.join(refused)}")
        self._keeper.note("all seven services are accepted")

    def _progress(self, progress: Progress) -> None:
        self._pulse.hear(progress)
        self._teller.progress(progress)

    def _today(self) -> int:
        return int(f"{self._started:%Y%m%d}")

    # --- after the load --------------------------------------------------------------------------

    def _gather(self, cluster: Cluster) -> None:
        asked = resolve(self.folder, self._endpoints, self._sites, self._wanted.seed)
        if asked:
            self._keeper.note("asked again after the load", f"{asked} unheard results")
        try:
            take_ledgers(self.folder, cluster, self._keeper.note)
        except DrillFailed as problem:
            self._unplayed = self._unplayed or str(problem)
            self._keeper.note("no ledgers", str(problem))

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
            disturbed_from_ms=_finite(self._disturbed[0]),
            disturbed_to_ms=_finite(self._disturbed[1]),
            unplayed=self._unplayed,
            broken=self._broken,
        )
        verdict = judge(self._drill.limits, figures, course, findings)
        self._keeper.seal(
            self._drill,
            self._ground.topology,
            verdict,
            figures,
            course,
            command=self._wanted.command,
            started_at=self._started.isoformat(timespec="seconds"),
            seed=self._wanted.seed,
        )
        return Played(verdict, figures, self.folder)

    def _resumed(self, heard_ms: list[float]) -> float | None:
        """From the first healing to the first answer after it; None if there was none."""
        healed_ms = self._healed_ms
        if healed_ms is None:
            return None
        return next((at - healed_ms for at in heard_ms if at >= healed_ms), None)


def _finite(moment_ms: float) -> float | None:
    return moment_ms if math.isfinite(moment_ms) else None


def _led(lookout: Lookout) -> tuple[str, int]:
    """Who leads now, and the epoch."""
    leader = lookout.leader()
    return (leader.node, leader.epoch) if leader else ("nobody", lookout.epoch())
