"""A server of the comparison as the system sees it: a session of its own, by which its processes are told apart."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

PATIENCE = 90.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. ``seconds``: from its start to its first yes."""

    session: int
    port: int
    seconds: float

    def cpu(self) -> float:
        """Seconds of CPU so far, of all its processes, with those that have ended (proc(5): utime to cstime)."""
        return sum(sum(map(int, stat[11:15])) for _, stat in _members(self.session)) / _TICKS

    def memory(self) -> int:
        """Bytes, what is shared divided among those that share it (PSS)."""
        return sum(pss(pid) for pid, _ in _members(self.session))

    def pause(self) -> None:
        """Takes no more CPU until ``resume``: others are measured, and some servers poll."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        for pid, _ in _members(self.session):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, env: Mapping[str, str], port: int, ready: str
) -> Iterator[Running]:
    """The server, once a GET of ``ready`` says yes (with "" once it listens). Killed at the end, with what it started.

    Raises AssertionError with its output where it ends, or says nothing for long.
    """
    log = folder / f"{port}.log"
    start = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5) as client:
            while not _says_yes(client, port, ready):
                if process.poll() is not None or time.perf_counter() - start > PATIENCE:
                    raise AssertionError(f"{command} is not ready\n{log.read_text(errors='replace')[-4000:]}")
                time.sleep(0.002)
        yield Running(process.pid, port, time.perf_counter() - start)
    finally:
        for pid, _ in _members(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _says_yes(client: httpx.Client, port: int, path: str) -> bool:
    try:
        if not path:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        return client.get(path).is_success
    except (OSError, httpx.TransportError):
        return False


def _members(session: int) -> list[tuple[int, list[str]]]:
    """Process id and the fields of its ``stat`` from the state on, of every process of a session (proc(5))."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session:
                    found.append((int(folder.name), fields))
    return found


def pss(pid: int) -> int:
    """Bytes of memory of a process, what is shared divided among those that share it; 0 of one that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
