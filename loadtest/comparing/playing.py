"""Plays what a comparison has planned, one after the other, and reads what each one left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import click

from deploy.cli.options import told
from loadtest import evidence
from loadtest.comparing.plan import Plan, Playing
from loadtest.drill.grounds import CannotBeDone, ground_of
from loadtest.drill.runner import Run, Teller, Wanted
from loadtest.generator import GeneratorFailed
from loadtest.report import cells, dossier
from loadtest.report.build import build
from loadtest.report.compare import before_after
from loadtest.report.comparison import Comparison
from loadtest.report.model import DrillReport


class NotPlayed(Exception):
    """One playing came to nothing that could be judged; the message says why."""


class Player(Protocol):
    """Plays one drill on one system."""

    def __call__(self, playing: Playing) -> DrillReport:
        """The report of it. Raises `NotPlayed`."""


@dataclass(frozen=True, slots=True)
class Real:
    """Plays on real clusters below `root`, each in a network of its own; `say` hears how it goes.

    What each leaves behind stays in the folder `evidence`.
    """

    plan: Plan
    root: Path
    evidence: Path
    say: Callable[[str], None]

    def __call__(self, playing: Playing) -> DrillReport:
        """Play it, and heal and stop everything whatever happens. Raises `NotPlayed`."""
        wanted = Wanted(
            seed=playing.seed,
            rate=playing.rate,
            root=self.root,
            evidence=self.evidence,
            command=self.plan.command([playing.drill.name], playing.seed, 1),
        )
        teller = Teller(self.say, lambda progress: None)
        try:
            with told(), ground_of(playing.drill, playing.topology) as ground:
                played = Run(playing.drill, ground, wanted, teller).play()
            return build(dossier.read(played.folder), evidence.altered(played.folder))
        except click.ClickException as problem:
            raise NotPlayed(problem.format_message()) from problem
        except (CannotBeDone, GeneratorFailed, OSError, ValueError) as problem:
            raise NotPlayed(str(problem)) from problem


@dataclass(slots=True)
class Played:
    """What has been played so far. `unplayed`: drill and system, and why."""

    plan: Plan
    reports: list[DrillReport] = field(default_factory=list)
    unplayed: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False

    def play(self, player: Player, say: Callable[[str], None]) -> None:
        """Play everything. An interruption ends it, and what was played until then stands."""
        waiting = list(self.plan.playings())
        while waiting:
            playing = waiting[0]
            name = f"{playing.drill.name} on {playing.drill.topology}"
            say(f"{playing.number} of {playing.of}: {name}, seed {playing.seed}")
            try:
                report = player(playing)
            except NotPlayed as problem:
                self.unplayed.append((name, str(problem)))
                say(f"not played: {problem}")
            except KeyboardInterrupt:
                self.interrupted = True
                left = [f"{each.drill.name} on {each.drill.topology}" for each in waiting]
                self.unplayed += [(each, "interrupted") for each in left]
                return
            else:
                self.reports.append(report)
                gap = cells.seconds(report.outcome.gap_ms)
                say(f"{report.ruling}: {gap} without settlement, evidence {report.origin.folder}")
            waiting.pop(0)

    def comparison(self) -> Comparison:
        """Both systems beside each other, as far as they were played."""
        plan = self.plan
        return before_after(
            self.reports,
            (plan.before.name, plan.after.name),
            command=plan.whole_command,
            seed=plan.seed,
            unplayed=self.unplayed,
        )
