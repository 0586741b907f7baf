"""A headless Chromium that is spoken to over a pipe, for tests that look at a page as people do.

The browser's own DevTools protocol, a JSON object and a zero byte a message on the descriptors 3
and 4, needs no library. `Browser` has no network: every name fails to resolve, and what a page asks
for is on record. Debian's package is `chromium`; for Japanese, `fonts-noto-cjk`.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

PROGRAM: Final = shutil.which("chromium") or shutil.which("google-chrome")
_WITHIN_S: Final = 60.0


class Browser:
    """One page. `complaints`: console errors and exceptions; `requests`: addresses asked for."""

    def __init__(self, folder: Path, width: int = 1200, height: int = 900) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._number = 0
        self._session: str | None = None
        self._left = b""
        self._seen: list[dict[str, Any]] = []
        assert PROGRAM, "no Chromium: apt-get install chromium fonts-noto-cjk"
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [
            PROGRAM,
            "--headless=new",
            "--no-sandbox",  # a container's root has no user namespaces
            "--disable-gpu",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder}",
            f"--window-size={width},{height}",
            "about:blank",
        ]
        ends = [_high(theirs_in), _high(theirs_out)]
        log = (os.fspath(folder / "chromium.log"), os.O_WRONLY | os.O_CREAT, 0o644)
        self._process = os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, ends[0], 3),
                (os.POSIX_SPAWN_DUP2, ends[1], 4),
                (os.POSIX_SPAWN_OPEN, 1, *log),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        for end in ends:
            os.close(end)
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, address: str, *, scheme: str = "light") -> None:
        """Load a page anew; `scheme` is what the reader's system prefers."""
        self.complaints.clear()
        self.requests.clear()
        prefers = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=prefers)
        self.call("Page.navigate", url="about:blank")
        self._await("Page.loadEventFired")
        self.call("Page.navigate", url=address)
        self._await("Page.loadEventFired")

    def ask(self, script: str) -> Any:
        """The value of a JavaScript expression. Raises `AssertionError` if it throws."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def shot(self, path: Path) -> Path:
        """The whole page as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """One command and its answer. Raises `AssertionError` for an error."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _WITHIN_S
        while True:
            heard = self._hear(deadline)
            if heard.get("id") == self._number:
                assert "error" not in heard, (method, heard["error"])
                result: dict[str, Any] = heard["result"]
                return result

    def _await(self, event: str) -> None:
        deadline = time.monotonic() + _WITHIN_S
        while not any(each["method"] == event for each in self._seen):
            self._hear(deadline)
        self._seen.clear()

    def _hear(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._in, 1 << 20) if ready else b""
            assert data, "the browser does not answer"
            self._left += data
        line, _, self._left = self._left.partition(b"\0")
        heard: dict[str, Any] = json.loads(line)
        if "method" in heard:
            self._note(heard["method"], heard.get("params", {}))
            self._seen.append(heard)
        return heard

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None
    ) -> None:
        os.kill(self._process, signal.SIGTERM)
        os.waitpid(self._process, 0)
        os.close(self._in)
        os.close(self._out)


def _high(descriptor: int) -> int:
    """The same pipe under a number that is in nobody's way while 3 and 4 are given out."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
