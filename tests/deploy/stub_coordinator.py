"""A program that stands in for a coordinator: it reads its settings and waits for its end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from coordinator.settings import load


def main() -> None:
    """Wait for SIGTERM, which ends it."""
    settings = load(Path(sys.argv[1]))
    print(f"{settings.name} watches from {settings.place}", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
