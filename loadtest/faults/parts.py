"""What every fault has in common, and the words for what is not a program."""

from __future__ import annotations

from typing import Final

import msgspec

SITE: Final = "site:"
"""Before a place's name: everything that stands there, as in "site:a"."""

SWITCH: Final = "switch:"
"""Before a site's name and a number: a network switch of that site, as in "switch:a/1"."""

BETWEEN_SITES: Final = "between-sites"
"""The link between the two sites."""

TERMINALS_LINK: Final = "terminals-link:"
"""Before a site's name: the link between that site and the terminals."""


class Fault(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True):
    """Something done to a cluster. `target`: a part or a name (loadtest/faults/casting.py)."""

    target: str
