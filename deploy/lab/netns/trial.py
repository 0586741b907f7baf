"""Tries once, inside a private ground, everything that a network is made of.

`python -m deploy.lab.netns.trial` says nothing and succeeds, or names on standard error what the
kernel would not do.
"""

from __future__ import annotations

import sys

from deploy.lab.netns import namespaces
from deploy.lab.netns.netlink import is_missing


def main() -> int:
    """0, or 1 after a word on standard error."""
    try:
        room, host = namespaces.own(), namespaces.make(forwards=True)
        room.ask.add_cable("l101", (101, b"\2kess\1"), (102, b"\2kess\2"), host.file)
        host.ask.set_black_hole(1, "l101", present=True)
    except OSError as problem:
        missing = ", which this kernel does not have" if is_missing(problem) else ""
        print(f"{problem.strerror or problem}{missing}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
