"""The options of `kessai load`, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from loadtest.arrivals import Pattern
from loadtest.locust_command import Crew, Files
from loadtest.profiles.catalogue import CATALOGUE, Profile
from loadtest.profiles.thresholds import Limits

_HIGHEST_TERMINALS: Final = 5000
_RAMP_P99_MS: Final = 500.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line, checked."""

    profile: Profile
    limits: Limits
    lowest_break: float
    seed: int
    pattern: Pattern
    crew: Crew
    files: Files
    web_port: int | None


class Wanting(click.Command):
    """A command whose options below become one `Wanted`, passed as `wanted`."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.params += _OPTIONS

    def invoke(self, ctx: click.Context) -> Any:
        """Put the options together first. Raises `click.UsageError`."""
        names = [option.name for option in _OPTIONS if option.name]
        given = {name: ctx.params.pop(name) for name in names}
        ctx.params["wanted"] = _wanted(given)
        return super().invoke(ctx)


def _wanted(given: dict[str, Any]) -> Wanted:
    try:
        profile = CATALOGUE[given["profile"]].changed(
            rate=given["rate"],
            peak=given["peak"],
            duration_s=given["duration"],
            terminals=given["terminals"],
        )
        profile.curve  # noqa: B018 - refuses figures that make none
    except ValueError as problem:
        raise click.UsageError(str(problem)) from problem
    crew = Crew(given["workers"], given["away"], given["master_host"], given["master_port"])
    if crew.workers > profile.terminals:
        raise click.UsageError("there are more workers than terminals")
    if given["web"] and (crew.workers or profile.until_broken or profile.node_down):
        raise click.UsageError("--web goes with a single process and a profile that runs by itself")
    if given["web"] and (given["html"] or given["csv"]):
        raise click.UsageError("Locust's page has its report and its tables for download")
    if crew.workers:  # the workers share them evenly
        shares = -(-profile.terminals // crew.workers)
        profile = profile.changed(terminals=shares * crew.workers)
    ramp = _RAMP_P99_MS if profile.until_broken else None
    p99_ms = given["max_p99_ms"]
    return Wanted(
        profile=profile,
        limits=Limits(
            p99_ms=ramp if p99_ms is None else p99_ms,
            wait_ms=given["max_wait_ms"],
            gap_ms=given["max_gap_ms"],
            unknown=given["max_unknown"],
            refused=given["max_refused"],
            unsent=given["max_unsent"],
        ),
        lowest_break=given["min_rate"],
        seed=given["seed"],
        pattern=Pattern(given["pattern"]),
        crew=crew,
        files=Files(given["html"], given["csv"]),
        web_port=given["web_port"] if given["web"] else None,
    )


_POSITIVE: Final = click.FloatRange(min=0, min_open=True)
_MS: Final = click.FloatRange(min=0)
_COUNT: Final = click.IntRange(min=0)
_FILE: Final = click.Path(dir_okay=False, path_type=Path)

_OPTIONS: Final[list[click.Parameter]] = [
    click.Option(
        ["--profile"],
        type=click.Choice(list(CATALOGUE)),
        default="steady",
        show_default=True,
        help="; ".join(f"{each.name}: {each.about}" for each in CATALOGUE.values()) + ".",
    ),
    click.Option(["--rate"], type=_POSITIVE, help="Slots a second, all terminals together."),
    click.Option(["--peak"], type=_POSITIVE, help="Of burst, day and ramp: the highest rate."),
    click.Option(["--duration"], type=_POSITIVE, help="Seconds; a day is squeezed into them."),
    click.Option(["--terminals"], type=click.IntRange(1, _HIGHEST_TERMINALS)),
    click.Option(
        ["--seed"], type=int, default=1, show_default=True, help="The same seed asks the same."
    ),
    click.Option(
        ["--pattern"],
        type=click.Choice([each.value for each in Pattern]),
        default=Pattern.POISSON.value,
        show_default=True,
    ),
    click.Option(["--max-p99-ms"], type=_MS, help="From the intended start; of a ramp 500."),
    click.Option(["--max-wait-ms"], type=_MS, help="The longest of all waits."),
    click.Option(["--max-gap-ms"], type=_MS, help="The longest time without a settlement."),
    click.Option(
        ["--max-unknown"],
        type=_COUNT,
        default=0,
        show_default=True,
        help="Results that are unknown at the end.",
    ),
    click.Option(["--max-refused"], type=_COUNT, help="Refusals other than a decline."),
    click.Option(
        ["--max-unsent"],
        type=_COUNT,
        default=0,
        show_default=True,
        help="Slots that were never sent.",
    ),
    click.Option(
        ["--min-rate"],
        type=_MS,
        default=0.0,
        help="Of a ramp: the lowest rate at which it may break.",
    ),
    click.Option(["--html"], type=_FILE, help="Locust's own report, one file."),
    click.Option(["--csv"], type=_FILE, help="Locust's own figures: the beginning of their names."),
    click.Option(
        ["--workers"],
        type=click.IntRange(0, 64),
        default=0,
        help="Share the terminals between so many processes on this machine.",
    ),
    click.Option(
        ["--away"],
        type=click.IntRange(0, 64),
        default=0,
        help="And so many on other machines; the command for them is printed.",
    ),
    click.Option(
        ["--master-host"],
        default="127.0.0.1",
        show_default=True,
        help="The address of this machine that workers away from it reach.",
    ),
    click.Option(["--master-port"], type=int, default=5557, show_default=True),
    click.Option(["--web"], is_flag=True, help="Steer it from Locust's web page instead."),
    click.Option(["--web-port"], type=int, default=8089, show_default=True),
]
