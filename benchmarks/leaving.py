"""How soon a step is cancelled once its client has left: over HTTP/1.1 and HTTP/2, plain and through TLS.

    python -m benchmarks.leaving [--times 200]

A real server, and a step that says when it has begun and when it was cancelled, by datagrams to a Unix socket. The
client leaves in the ways there are: it closes, with requests behind the one under way too, it resets the connection,
and over HTTP/2 it takes its stream back.
Prints milliseconds from there to the cancellation, which is to come within 10: median, the 99th of 100, and the most.
Both processes read one clock (CLOCK_MONOTONIC), as on Linux and macOS, and share the cores.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fuzz.http1 import Wire
from tests.server.http2 import Http2
from tests.serving import Server, serving
from tests.tls import secured

BOUND_MS = 10.0
PATIENCE = 20.0
CANCEL = 8
"""Of HTTP/2 (RFC 9113, 7)."""
FILES = {
    "app.py": """
import os
import socket
import time

import trio


async def wait(rows):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.connect(os.environ["TOLD"])
        told.send(b"began")
        try:
            await trio.sleep_forever()
        finally:
            told.send(b"%.9f" % time.perf_counter())
""",
    "graph.yaml": "name: wait\nsteps: {wait: app.py:wait}\n",
}
PATH = b"/v1/models/wait:predict"
BODY = b'{"instances":[1]}'
MORE = b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n"
HEAD = b"POST %s HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


Leave = Callable[[Server, socket.socket], float]
"""Asks, leaves once the step has begun, and gives the seconds from there until it was cancelled."""


def http1(*, tls: bool, resets: bool, behind: int = 0) -> Leave:
    """``behind``: so many requests are sent with it."""

    def leave(server: Server, told: socket.socket) -> float:
        with Wire(server.port, tls=tls) as wire:
            wire.send(HEAD % (PATH, len(BODY)) + BODY + MORE * behind)
            wait_for_begin(told)
            left = time.perf_counter()
            if resets:
                wire.reset()
        return cancelled(told) - left

    return leave


def http2(*, tls: bool, takes_back: bool) -> Leave:
    def leave(server: Server, told: socket.socket) -> float:
        with Http2(server.port, secure=tls) as client:
            client.ask(1, PATH, b"POST", end=False)
            client.h2.send_data(1, BODY, end_stream=True)
            client.wire.sendall(client.h2.data_to_send())
            wait_for_begin(told)
            left = time.perf_counter()
            if takes_back:
                client.h2.reset_stream(1, CANCEL)
                client.wire.sendall(client.h2.data_to_send())
                return cancelled(told) - left
        return cancelled(told) - left

    return leave


WAYS = {
    "HTTP/1.1, closes": http1(tls=False, resets=False),
    "HTTP/1.1, closes behind 500 requests": http1(tls=False, resets=False, behind=500),
    "HTTP/1.1, resets": http1(tls=False, resets=True),
    "HTTP/2, closes": http2(tls=False, takes_back=False),
    "HTTP/2, takes its stream back": http2(tls=False, takes_back=True),
}
WAYS_OF_TLS = {
    "HTTP/1.1 over TLS, closes": http1(tls=True, resets=False),
    "HTTP/1.1 over TLS, resets": http1(tls=True, resets=True),
    "HTTP/2 over TLS, closes": http2(tls=True, takes_back=False),
    "HTTP/2 over TLS, takes its stream back": http2(tls=True, takes_back=True),
}


def wait_for_begin(told: socket.socket) -> None:
    if told.recv(64) != b"began":
        raise AssertionError("the step was cancelled before its client left")


def cancelled(told: socket.socket) -> float:
    """The moment of it."""
    return float(told.recv(64))


def measure(ways: Mapping[str, Leave], times: int, *, tls: bool) -> None:
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        folder = Path(name)
        told.bind(str(folder / "told"))
        told.settimeout(PATIENCE)
        flags = secured(folder) if tls else ()
        with serving(folder, FILES, *flags, env={"TOLD": str(folder / "told")}) as server:
            for way, leave in ways.items():
                leave(server, told)  # loads what HTTP/2 needs
                spent = sorted(leave(server, told) * 1e3 for _ in range(times))
                within = sum(own <= BOUND_MS for own in spent)
                print(
                    f"{way:40} median {statistics.median(spent):6.2f} ms, 99th of 100 {spent[int(0.99 * times)]:6.2f}, "
                    f"most {spent[-1]:6.2f}; {within} of {times} within {BOUND_MS:.0f} ms"
                )


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--times", type=int, default=200)
    times = read.parse_args().times
    measure(WAYS, times, tls=False)
    measure(WAYS_OF_TLS, times, tls=True)


if __name__ == "__main__":
    main()
