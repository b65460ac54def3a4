"""Asking: wrk for small requests, and for large ones a plain socket that asks so many times and checks each answer."""

from __future__ import annotations

import re
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.beside.processes import Running
from benchmarks.beside.works import Work

_SCRIPT = 'wrk.method = "POST"\nwrk.body = io.open("{body}", "rb"):read("*a")\n{headers}\n'
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Measured:
    """Per second; seconds; seconds of the server's CPU per request."""

    rate: float
    median: float
    cpu: float


def ask(work: Work, path: str, servers: Sequence[Running], seconds: int, folder: Path) -> Measured:
    """One round of a work. Raises AssertionError where an answer is not right."""
    check(work, path, servers[0].port)
    before = sum(server.cpu() for server in servers)
    port = servers[0].port
    if work.count:
        count, took, median = _asked_often(work, path, port)
    else:
        count, took, median = _wrk(work, path, port, seconds, folder)
    spent = sum(server.cpu() for server in servers) - before
    return Measured(count / took, median, spent / count)


def check(work: Work, path: str, port: int) -> None:
    """One answer, which has to be right: it also wakes a server that has been at rest."""
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        _exchange(connection, work, path)


def _wrk(work: Work, path: str, port: int, seconds: int, folder: Path) -> tuple[int, float, float]:
    script, body = folder / f"{work.name}.lua", folder / f"{work.name}.body"
    body.write_bytes(work.body)
    headers = "\n".join(f'wrk.headers["{name}"] = "{text}"' for name, text in work.headers.items())
    script.write_text(_SCRIPT.format(body=body, headers=headers))
    url = f"http://127.0.0.1:{port}{path}"
    told = wrk("-t1", f"-c{work.connections}", f"-d{seconds}s", "--latency", "-s", str(script), url)
    requests, took, unit = re.search(r"(\d+) requests in ([\d.]+)(\w+),", told).groups()
    median, small = re.search(r"50%\s+([\d.]+)(\w+)", told).groups()
    return int(requests), float(took) * _UNITS[unit], float(median) * _UNITS[small]


def wrk(*arguments: str) -> str:
    """What it prints. Raises AssertionError where an answer was none, or no good one."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is not installed: apt install wrk")
    told = subprocess.check_output([program, *arguments], text=True)
    if "Non-2xx" in told or "Socket errors" in told:
        raise AssertionError(f"{arguments[-1]}: {told}")
    return told


def _asked_often(work: Work, path: str, port: int) -> tuple[int, float, float]:
    """One after the other over one connection. The check of an answer is not part of its time."""
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _exchange(connection, work, path)
        took = [_exchange(connection, work, path) for _ in range(work.count)]
    return work.count, sum(took), statistics.median(took)


def _exchange(connection: socket.socket, work: Work, path: str) -> float:
    """Seconds from the first byte of the request to the last of its answer."""
    fields = {"host": "bench", **work.headers, "content-length": str(len(work.body))}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {text}\r\n" for name, text in fields.items()) + "\r\n"
    start = time.perf_counter()
    connection.sendall(head.encode())
    connection.sendall(work.body)
    status, headers, body = _reply(connection)
    took = time.perf_counter() - start
    if status != 200 or not work.is_right(headers, body):
        raise AssertionError(f"{path}: {status} {headers} {bytes(body[:200])!r}")
    return took


def _reply(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    received = bytearray()
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, rest = bytes(received).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    size = headers.get("content-length")
    if size is None:
        return int(first.split()[1]), headers, _chunks(connection, bytearray(rest))
    body = bytearray(int(size))
    body[: len(rest)] = rest
    have, view = len(rest), memoryview(body)
    while have < len(body):
        got = connection.recv_into(view[have:])
        if not got:
            raise AssertionError("the answer broke off")
        have += got
    return int(first.split()[1]), headers, bytes(body) if len(body) < 1 << 16 else body


def _chunks(connection: socket.socket, received: bytearray) -> bytes:
    parts = []
    while True:
        while b"\r\n" not in received:
            received += _more(connection)
        line, _, _ = received.partition(b"\r\n")
        size = int(bytes(line).partition(b";")[0], 16)
        while len(received) < len(line) + size + 4:
            received += _more(connection)
        parts.append(bytes(received[len(line) + 2 : len(line) + 2 + size]))
        del received[: len(line) + size + 4]
        if not size:
            return b"".join(parts)


def _more(connection: socket.socket) -> bytes:
    if not (got := connection.recv(1 << 18)):
        raise AssertionError("the server closed before its answer was whole")
    return got
