"""A headless Chromium that runs what a page's reader does: DevTools' protocol over a pipe, messages ended by a NUL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

COMMAND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
_PATIENCE = 30_000
"""Milliseconds after which a page that did not do what a test waits for has failed."""


class Page:
    """One page. What it said on its console, and what it could not load, is in ``complaints``."""

    def __init__(self, reading: BinaryIO, writing: BinaryIO) -> None:
        self._from = reading
        self._to = writing
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict:
        """One command, and its result. Raises AssertionError with what the browser says where it fails."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._number, "method": method, "params": params, **session}
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(answer["params"]))

    def _next(self) -> bytes:
        message = b""
        while not message.endswith(b"\0"):
            byte = self._from.read(1)
            assert byte, "the browser ended"
            message += byte
        return message[:-1]

    def run(self, script: str) -> object:
        """The value of an expression in the page, once it is settled."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, timeout=_PATIENCE
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url: str, until: str) -> None:
        self.call("Page.navigate", url=url)
        self.until(until)

    def until(self, condition: str) -> object:
        """Waits in the page, frame by frame, for an expression that is true; the expression's value."""
        return self.run(f"""new Promise((found, failed) => {{
            const end = performance.now() + {_PATIENCE};
            const look = () => {{
                let value; try {{ value = {condition}; }} catch {{ value = null; }}
                if (value) found(value);
                else if (performance.now() > end) failed(new Error("never: " + {json.dumps(condition)}));
                else setTimeout(look, 10);
            }};
            look();
        }})""")


@contextmanager
def browsing(folder: Path, *flags: str) -> Iterator[Page]:
    """A page of a browser that has nothing of its own; ``folder`` is new and empty."""
    assert COMMAND is not None
    down, to_browser = os.pipe()
    from_browser, up = os.pipe()

    # The browser reads at 3 and writes at 4.
    put = "import os, sys; a = sys.argv; os.dup2(int(a[1]), 3); os.dup2(int(a[2]), 4); os.execv(a[3], a[3:])"
    command = [sys.executable, "-c", put, str(down), str(up), COMMAND, *_QUIET, *flags]
    command += ["--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, pass_fds=(down, up), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(down)
    os.close(up)
    with os.fdopen(from_browser, "rb") as reading, os.fdopen(to_browser, "wb", buffering=0) as writing:
        try:
            yield Page(reading, writing)
        finally:
            writing.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
