"""What `kessai drill run --planted` does and says."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

import click

from deploy.lab.ground import PROJECT
from deploy.lab.processes import HOME
from loadtest.drill.planted import catalogue, matrix
from loadtest.drill.planted.trial import Court, hold, trials
from loadtest.drill.runner import Teller

_ROOT: Final = HOME / "planted"
DOCUMENT: Final = PROJECT / "docs" / "evidence.md"


def planted(names: Sequence[str], *, seed: int, write: bool) -> int:
    """Plant faults, all or those named, and play each, and healthy nodes in the same drills.

    Returns the exit status: 0 if every fault was convicted, for what it is guilty of, and every
    healthy cluster acquitted. Raises `click.UsageError` for a fault there is not.
    """
    known = [each.name for each in catalogue.FAULTS]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise click.UsageError(f"no fault {', '.join(unknown)}; there are {', '.join(known)}")
    if write and names:
        raise click.UsageError("--write is for the table of all faults")
    chosen = list(trials(each for each in catalogue.FAULTS if not names or each.name in names))
    court = Court(_ROOT, seed, Teller(click.echo, lambda progress: None))
    rows = []
    for number, trial in enumerate(chosen, start=1):
        click.echo(f"\n{trial.name} in {trial.drill}  ({number} of {len(chosen)})")
        rows.append(hold(trial, court))
        click.echo(f"{rows[-1].ruling}: {rows[-1].words or 'nothing was found'}")
    click.echo()
    for line in matrix.table(rows):
        click.echo(line)
    if write:
        try:
            played = f"Played on {datetime.date.today():%d %B %Y}, with seed {seed}."
            lines = (played, "", *matrix.markdown(rows))
            matrix.MARKERS.update(DOCUMENT, lines)
        except (OSError, ValueError) as problem:
            raise click.UsageError(f"{DOCUMENT}: {problem}") from problem
    return 0 if all(row.just for row in rows) else 1
