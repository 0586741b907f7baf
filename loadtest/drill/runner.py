"""Plays one drill: cluster up, load on, steps, load off, evidence, verdict, everything down."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.lab.ground import node_command
from deploy.lab.processes import Cluster
from loadtest import business_date, directory, evidence
from loadtest.business_date import JST
from loadtest.checkers.finding import Finding, ask_all
from loadtest.checkers.panel import PANEL
from loadtest.drill.catalogue import CLOCK, DISK_FAULTS, Drill
from loadtest.drill.collect import resolve, take_ledgers
from loadtest.drill.duty import OPERATOR, Duty
from loadtest.drill.grounds import Ground, terminals_command
from loadtest.drill.keeping import Keeper
from loadtest.drill.lookout import DrillFailed, Lookout
from loadtest.drill.player import Doing, Means, Outcome, Player
from loadtest.drill.pulse import Pulse
from loadtest.drill.scene import Scene
from loadtest.drill.services import Survey, offered, one_of_each
from loadtest.drill.survey import Errand
from loadtest.drill.verdict import Course, DrillVerdict, judge
from loadtest.evidence import EvidenceError
from loadtest.generator import Generator
from loadtest.load_plan import LoadPlan, Progress
from loadtest.measure import Figures, measure, resumed

_TO_HEAL_S: Final = 120.0  # the load goes on while a drill that was given up is healed


@dataclass(frozen=True, slots=True)
class Teller:
    """Where a run tells how it goes: a sentence, a second of load, the step that is played now
    (None: no more)."""

    say: Callable[[str], None]
    progress: Callable[[Progress], None]
    doing: Callable[[Doing | None], None] = lambda doing: None


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

    def __init__(
        self,
        drill: Drill,
        ground: Ground,
        wanted: Wanted,
        teller: Teller,
        *,
        command: Callable[[Path], Sequence[str]] = node_command,
    ) -> None:
        self._drill = drill
        self._ground = ground
        self._wanted = wanted
        self._teller = teller
        self._command = command
        self._started = datetime.datetime.now(JST)
        self.folder = wanted.evidence / f"{self._started:%Y%m%d-%H%M%S}-{drill.name}"
        self._keeper = Keeper(self.folder, teller.say)
        self._pulse = Pulse(wanted.rate, drill.load.terminals, self._keeper.note)
        self._endpoints = directory.endpoints(ground.topology)
        self._sites = directory.sites(ground.topology)
        self._paths = directory.paths(ground.topology)
        self._rounds = itertools.count(1)
        self._outcome = Outcome()

    def play(self) -> Played:
        """Play it to the end, or heal and clear up and raise what stopped it."""
        self.folder.mkdir(parents=True)
        cluster = self._cluster()
        lookout = Lookout(cluster, self._keeper.note)
        scene = Scene(cluster, self._ground, lookout, self._keeper.note)
        try:
            cluster.clear()
            cluster.start()
            self._under_load(cluster, lookout, scene)
            self._gather(cluster)
        except BaseException as problem:
            self._keeper.note("stopped", f"{type(problem).__name__}: {problem}")
            scene.heal_whatever_happened()  # also after a second Ctrl-C, while it was healed
            raise
        finally:
            cluster.stop(grace_s=3.0)
            self._keeper.logs(cluster)
        return self._judge()

    def _cluster(self) -> Cluster:
        needs = self._drill.needs
        return Cluster(
            self._ground.topology,
            self._wanted.root,
            owned=True,
            command=self._command,
            launcher=self._ground.launcher,
            say=self._teller.say,
            faulty_disks=DISK_FAULTS in needs,
            movable_clocks=CLOCK in needs,
        )

    # --- under load ------------------------------------------------------------------------------

    def _under_load(self, cluster: Cluster, lookout: Lookout, scene: Scene) -> None:
        drill, note = self._drill, self._keeper.note
        plan = LoadPlan(
            run=self.folder.name,
            endpoints=self._endpoints,
            sites=self._sites,
            paths=self._paths,
            history=str(self.folder / "history-load.ndjson"),
            rate=self._wanted.rate,
            terminals=drill.load.terminals,
            seed=self._wanted.seed,
            tag="DRILL",
            business_date=business_date.of(self._started),
            duration_s=drill.longest_s + _TO_HEAL_S,
        )
        self._teller.say(
            f"load: {plan.rate:.0f} a second from {plan.terminals} terminals, seed {plan.seed}"
        )

        with Generator(plan, self.folder, self._progress, self._on_host) as generator:
            means = Means(
                scene=scene,
                lookout=lookout,
                pulse=self._pulse,
                generator=generator,
                operators=Duty(cluster, lookout, note, self.folder),
                services=self._ask_for_services,
            )
            player = Player(means, note, self._teller.doing, plan.business_date)
            self._outcome = player.play(drill.steps, drill.longest_s)
            note("arrivals stop")
            generator.stop()
            generator.wait()

    def _ask_for_services(self, within_s: float, business_date: int) -> Survey:
        number = next(self._rounds)
        history = self.folder / f"history-services-{number}.ndjson"
        errand = Errand(
            requests=one_of_each(number, business_date),
            endpoints=self._endpoints,
            history=str(history.resolve()),
            within_s=within_s,
            sites=self._sites,
            paths=self._paths,
        )
        return offered(errand, self._on_host)

    def _on_host(self, command: list[str]) -> list[str]:
        """The command that runs it where the terminals stand."""
        return terminals_command(self._ground.launcher, command)

    def _progress(self, progress: Progress) -> None:
        self._pulse.hear(progress)
        self._teller.progress(progress)

    # --- after the load --------------------------------------------------------------------------

    def _gather(self, cluster: Cluster) -> None:
        asked = resolve(self.folder, self._endpoints, self._sites, self._paths, self._wanted.seed)
        if asked:
            self._keeper.note("asked again after the load", f"{asked} unheard results")
        try:
            take_ledgers(self.folder, cluster, self._keeper.note)
        except DrillFailed as problem:
            self._outcome.unplayed = self._outcome.unplayed or str(problem)
            self._keeper.note("no ledgers", str(problem))

    def _judge(self) -> Played:
        outcome = self._outcome
        findings: tuple[Finding, ...] = ()
        figures: Figures | None = None
        resumed_ms: float | None = None
        try:
            told = evidence.read(self.folder)
            figures = measure(told.history, outcome.steady_ms, outcome.disturbed)
            resumed_ms = resumed(told.history, outcome.healed_ms)
            self._teller.say("checking the evidence")
            findings = ask_all(PANEL, told)
        except (EvidenceError, ValueError) as problem:
            outcome.unplayed = outcome.unplayed or str(problem)
        course = self._course(resumed_ms)
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

    def _course(self, resumed_ms: float | None) -> Course:
        outcome = self._outcome
        return Course(
            leader_before=outcome.before[0],
            epoch_before=outcome.before[1],
            leader_after=outcome.after[0],
            epoch_after=outcome.after[1],
            steady_ms=outcome.steady_ms,
            healed_ms=outcome.healed_ms,
            resumed_ms=resumed_ms,
            disturbed_from_ms=_finite(outcome.disturbed[0]),
            disturbed_to_ms=_finite(outcome.disturbed[1]),
            unplayed=outcome.unplayed,
            broken=outcome.broken,
            services=outcome.services,
            operator_steps=self._keeper.noted(OPERATOR),
        )


def _finite(moment_ms: float) -> float | None:
    return moment_ms if math.isfinite(moment_ms) else None
