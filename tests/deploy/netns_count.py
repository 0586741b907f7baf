"""Sends numbered datagrams to the echo of another host and counts those that come back.

`python netns_count.py ADDRESS COUNT` prints in JSON how many were answered, and the median of the
milliseconds that took.
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import time

PORT = 7000
GAP_S = 0.001
LAST_S = 0.7


def main(address: str, count: str) -> None:
    """All of them, one after the other."""
    sent: dict[bytes, float] = {}
    took_ms: dict[bytes, float] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:

        def listen(until: float) -> None:
            while len(took_ms) < int(count) and (left := until - time.monotonic()) > 0:
                made.settimeout(left)
                try:
                    came = made.recv(100)
                except TimeoutError:
                    return
                took_ms.setdefault(came, (time.monotonic() - sent[came]) * 1000)

        for number in range(int(count)):
            word = str(number).encode()
            sent[word] = time.monotonic()
            try:
                made.sendto(word, (address, PORT))
            except OSError:
                continue  # no way: it is not answered either
            listen(time.monotonic() + GAP_S)
        listen(time.monotonic() + LAST_S)
    median_ms = statistics.median(took_ms.values()) if took_ms else 0.0
    print(json.dumps({"answered": len(took_ms), "median_ms": median_ms}))


if __name__ == "__main__":
    main(*sys.argv[1:])
