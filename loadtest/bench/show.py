"""The tables of `kessai bench`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from loadtest.bench.catch_up import CatchUp
from loadtest.bench.intake import Return, spread
from loadtest.bench.rounds import Compared, Measured, Spread

HOW: Final = (
    "rates are answers a second: median (least to greatest) of the rounds; a ratio compares two\n"
    "rounds of one turn. Only what is measured runs: a cluster is started for its part of a turn,\n"
    "waited for until all replicas are in sync, warmed up, measured, and stopped."
)


def compared(found: Compared) -> Iterator[str]:
    """The lines of the ratios."""
    yield HOW
    for each in found.comparisons:
        yield f"\n{each.mode}, {each.in_flight} in flight"
        for name, rounds in each.rounds.items():
            yield f"  {name:<14}{_row(rounds)}"
        for name, to, ratio in each.ratios():
            yield (
                f"  {f'{name} to {to}':<28}"
                f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.greatest:.2f})"
            )
        for name, rounds in each.rounds.items():
            yield f"  {name}: {'; '.join(_details(rounds))}"
    yield "\nwithout load, in processor cores"
    for name, cores in found.idle_cores.items():
        idle = Spread.of(cores)
        yield f"  {name:<14}{idle.median:.2f} ({idle.least:.2f} to {idle.greatest:.2f})"


def _row(rounds: Sequence[Measured]) -> str:
    rate = Spread.of([each.rate for each in rounds])
    p50 = Spread.of([each.p50_ms for each in rounds]).median
    p99 = Spread.of([each.p99_ms for each in rounds]).median
    rates = f"{rate.median:,.0f} ({rate.least:,.0f} to {rate.greatest:,.0f})"
    return f"{rates:<28}p50 {p50:.1f} ms  p99 {p99:.1f} ms"


def _details(rounds: Sequence[Measured]) -> Iterator[str]:
    spent = {
        part: Spread.of([each.cpu_us.get(part, 0.0) for each in rounds]).median
        for part in dict.fromkeys(part for each in rounds for part in each.cpu_us)
    }
    parts = ", ".join(f"{part} {microseconds:.0f}" for part, microseconds in spent.items())
    yield f"processor time an answer {sum(spent.values()):.0f} us ({parts})"
    fsyncs = [each.settlements_per_fsync for each in rounds if each.settlements_per_fsync]
    if fsyncs:
        yield f"settlements a fsync of the leader {Spread.of(fsyncs).median:.1f}"
    changed = sum(each.sets_changed for each in rounds)
    if changed:
        yield f"IN-SYNC SETS CHANGED in {changed} of {len(rounds)} rounds (counted all the same)"


def catch_up(found: CatchUp) -> Iterator[str]:
    """The lines of the returns."""
    yield (
        "a standby node is away while load goes on, and returns: median (least to greatest);\n"
        "times from the start of its process; waits from the intended start of each payment"
    )
    for title, returns in (
        ("from the leader's log", found.from_log),
        ("by snapshot, then log", found.by_snapshot),
    ):
        yield f"\n{title}, {len(returns)} returns at {found.rate:,.0f} payments a second"
        yield from _returns(returns, by_snapshot=returns is found.by_snapshot)


def _returns(returns: Sequence[Return], *, by_snapshot: bool) -> Iterator[str]:
    def told(of: str, unit: str, places: int = 1) -> str:
        it = spread(returns, of)
        return (
            f"{it.median:,.{places}f} ({it.least:,.{places}f} to {it.greatest:,.{places}f}) {unit}"
        )

    yield f"  missed          {told('missed.entries', 'entries', 0)}"
    yield f"                  {told('missed.settlements', 'settlements', 0)}"
    yield f"  first sign      {told('first_s', 's')}"
    fetched = [each for each in returns if each.snapshot]
    if by_snapshot and not fetched:
        yield "  snapshot        too small to be seen growing: no rate"
    elif by_snapshot:
        size = spread(fetched, "snapshot.size_bytes")
        rate = spread(fetched, "snapshot.bytes_s")
        yield (
            f"  snapshot        {size.median / 1e6:,.1f} MB at {rate.median / 1e6:,.1f} "
            f"({rate.least / 1e6:,.1f} to {rate.greatest / 1e6:,.1f}) MB/s, "
            f"seen growing in {len(fetched)} of {len(returns)}"
        )
    else:
        yield f"  taken in        {told('entries_s', 'entries/s', 0)}"
        yield f"                  {told('settlements_s', 'settlements/s', 0)}"
    yield f"  caught up       {told('caught_up_s', 's')}"
    yield f"  counted again   {told('counted_s', 's')}"
    for name, of in (
        ("before", "before"),
        ("while it starts", "starting"),
        ("while taking in", "taking_in"),
        ("after", "after"),
    ):
        payments = sum(int(getattr(each, of).payments) for each in returns)
        yield (
            f"  {name:<16}p99 {told(f'{of}.p99_ms', 'ms')}, longest "
            f"{spread(returns, f'{of}.longest_ms').greatest:,.1f} ms, of {payments:,} payments"
        )
