"""The business date (取引日), as a number: 20261123 is the 23rd of November 2026."""

from __future__ import annotations

import datetime


def following(date: int) -> int:
    """The business date after this one. Raises `ValueError` for what is no date."""
    day = datetime.datetime.strptime(f"{date:08d}", "%Y%m%d") + datetime.timedelta(days=1)
    return int(f"{day:%Y%m%d}")
