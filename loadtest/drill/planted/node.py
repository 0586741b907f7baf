"""The program of a node with one fault in it: `python -m loadtest.drill.planted.node SETTINGS.json
--fault NAME`. All else on the command line is the program's own.
"""

from __future__ import annotations

import argparse
import sys

from loadtest.drill.planted import catalogue
from loadtest.sim.planted.plant import planted
from node.__main__ import main as settle


def main() -> int:
    """The program, from its start to its end, with the fault in it; its exit code."""
    names = [each.name for each in catalogue.FAULTS]
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.drill.planted.node", description=__doc__
    )
    parser.add_argument("--fault", required=True, choices=names)
    arguments, sys.argv[1:] = parser.parse_known_args()
    with planted(catalogue.find(arguments.fault).plant):
        return settle()


if __name__ == "__main__":
    sys.exit(main())
