"""The business date (取引日), as a number: 20261123 is the 23rd of November 2026."""

from __future__ import annotations

import datetime
from typing import Final

JST: Final = datetime.timezone(datetime.timedelta(hours=9), "JST")
"""Japan's time: business dates are its dates."""


def of(moment: datetime.datetime) -> int:
    """The date of a moment, as its own time zone has it."""
    return int(f"{moment:%Y%m%d}")


def following(date: int) -> int:
    """The business date after this one. Raises `ValueError` for what is no date."""
    day = datetime.datetime.strptime(f"{date:08d}", "%Y%m%d") + datetime.timedelta(days=1)
    return of(day)
