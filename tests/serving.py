"""A real server process: ``python -m pipeline_serve`` on a free port, its output kept, stopped by a signal.

The port is chosen by the kernel and read from the line that the server prints once it is bound, so nothing races for
it. Waiting is polling of the real process by the real clock, with a bound; nothing here asserts a time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
"""Seconds after which a process that did not do what a test waits for has failed."""


class Server:
    """A server process. ``url`` is empty until it is bound, and stays so where its socket is no TCP one."""

    def __init__(self, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        # Files, not pipes: nobody has to read them for the process to go on.
        self._stdout = folder / f"stdout-{time.monotonic_ns()}"
        self._stderr = self._stdout.with_name(self._stdout.name.replace("stdout", "stderr"))
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        self.folder = folder
        self.url = ""

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **how: object) -> httpx.Client:
        """A client of this server that takes no proxy from the environment. The caller closes it.

        It trusts whoever answers unless told whom: to load all authorities takes 20 ms, and most requests have a
        client of their own.
        """
        settings = {"base_url": self.url, "trust_env": False, "timeout": PATIENCE, "verify": False, **how}
        return httpx.Client(**settings)  # type: ignore[arg-type]

    def get(self, path: str, **how: object) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **how)  # type: ignore[arg-type]

    def post(self, path: str, json: object = None, **how: object) -> httpx.Response:
        with self.client() as client:
            return client.post(path, json=json, **how)  # type: ignore[arg-type]

    def wait_until(self, what: str, happened: Callable[[], object]) -> None:
        """Polls until ``happened()`` is true. Raises AssertionError with the output where the process ends first."""
        give_up = time.monotonic() + PATIENCE
        while not happened():
            if self.process.poll() is not None and not happened():
                raise AssertionError(
                    f"the server ended before {what}; exit code {self.process.returncode}\n{self.output}"
                )
            if time.monotonic() > give_up:
                raise AssertionError(f"{what}: not within {PATIENCE:.0f} s\n{self.output}")
            time.sleep(0.005)

    def wait_for_log(self, text: str) -> None:
        self.wait_until(f"the log says {text!r}", lambda: text in self.stderr)

    def wait_until_bound(self) -> None:
        self.wait_until("the port is bound", lambda: "serving on " in self.stdout and self.stdout.endswith("\n"))
        url = self.stdout.split("serving on ")[1].splitlines()[0]
        if not url.startswith("unix:"):
            self.url = url.replace("localhost", "127.0.0.1")

    def wait_until_ready(self) -> None:
        with self.client() as client:
            self.wait_until("it is ready", lambda: _status(client, "/v2/health/ready") == httpx.codes.OK)

    @property
    def output(self) -> str:
        return f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"

    def send(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, 128+n where a signal n ended the process."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not stop\n{self.output}") from None
        return code if code >= 0 else 128 - code

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send(number)
        return self.wait()


def _status(client: httpx.Client, path: str) -> int:
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return 0


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of ours, and with the checkout importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_SERVE_")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def serving(
    folder: Path,
    files: Mapping[str, str] | None = None,
    *flags: str,
    graphs: Sequence[str] = ("graph.yaml",),
    env: Mapping[str, str] | None = None,
    wait: str = "ready",
    command: Sequence[str] = (sys.executable, "-m", "pipeline_serve"),
) -> Iterator[Server]:
    """A server of ``graphs`` in ``folder``, into which ``files`` (name → text) are written first.

    ``wait``: "ready", "bound" or "nothing". A free port is taken where ``flags`` name none. At the end a process that
    still runs is stopped; one that ignores it is killed.
    """
    write(folder, files or {})
    given = any(flag.replace("_", "-").startswith("--http-port") for flag in flags)
    port = [] if given or (env and "PIPELINE_SERVE_HTTP_PORT" in env) else ["--http-port", "0"]
    host = [] if any(flag.startswith("--host") for flag in flags) else ["--host", "127.0.0.1"]
    server = Server([*command, *graphs, *host, *port, *flags], folder, environment(**(env or {})))
    try:
        if wait != "nothing":
            server.wait_until_bound()
        if wait == "ready" and server.url:
            server.wait_until_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.send(signal.SIGTERM)
            try:
                server.process.wait(5)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()


def run(
    folder: Path,
    *arguments: str,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    command: Sequence[str] = ("-m", "pipeline_serve"),
) -> subprocess.CompletedProcess[str]:
    """One command that ends by itself: ``check``, ``run``, or a ``serve`` that is refused; or a script."""
    return subprocess.run(
        [sys.executable, *command, *arguments], cwd=folder, env=environment(**(env or {})), input=stdin,
        capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
