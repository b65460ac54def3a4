"""A server that does to each connection what a test says: raw sockets in threads, for clients on any loop."""

from __future__ import annotations

import json
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 10.0
Behave = Callable[[socket.socket], None]


class RawServer:
    """``url`` of it; ``came`` and ``left`` get an item for each connection, made by its client and closed by it."""

    def __init__(self, listener: socket.socket, behaviours: list[Behave]) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}" if listener.family == socket.AF_INET else ""
        self.came: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.left: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.connections = 0
        self.faults: list[BaseException] = []
        self._listener = listener
        self._behaviours = behaviours
        self._open: list[socket.socket] = []

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            behave = self._behaviours[min(self.connections, len(self._behaviours) - 1)]
            self.connections += 1
            self._open.append(connection)
            self.came.put("came")
            threading.Thread(target=self._serve, args=(connection, behave), daemon=True).start()

    def _serve(self, connection: socket.socket, behave: Behave) -> None:
        try:
            with connection:
                behave(connection)
                while connection.recv(65536):
                    pass
        except TimeoutError as error:
            self.faults.append(error)
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001  # the test's own thread asserts that there are none
            self.faults.append(error)
        self.left.put("left")

    def close(self) -> None:
        # A close alone does not wake the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait_until_came(self) -> None:
        """Until a client has connected."""
        self.came.get(timeout=PATIENCE)

    def wait_until_left(self) -> None:
        """Until the client has closed a connection."""
        self.left.get(timeout=PATIENCE)


@contextmanager
def raw_server(*behaviours: Behave, listener: socket.socket | None = None) -> Iterator[RawServer]:
    """The first connection meets the first behaviour, and so on; those past the last meet the last.

    A behaviour that returns has its connection read to its end, which is the client's to make.
    """
    server = RawServer(listener or socket.create_server(("127.0.0.1", 0)), list(behaviours))
    thread = threading.Thread(target=server.accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(PATIENCE)
    assert server.faults == []


def read_request(connection: socket.socket) -> bytes:
    """One request, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes = b'{"live":true}', *, status: str = "200 OK", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body


def answering(*replies: bytes, seen: list[bytes] | None = None) -> Behave:
    """Answers the requests of a connection with these bytes, one after another, the last one again and again."""

    def behave(connection: socket.socket) -> None:
        number = 0
        while True:
            request = read_request(connection)
            if seen is not None:
                seen.append(request)
            connection.sendall(replies[min(number, len(replies) - 1)])
            number += 1

    return behave


def doubling(connection: socket.socket) -> None:
    """A predictor over v1: twice each instance."""
    while True:
        _, _, body = read_request(connection).partition(b"\r\n\r\n")
        predictions = [2 * row for row in json.loads(body)["instances"]]
        connection.sendall(
            answer(json.dumps({"predictions": predictions}).encode(), head="content-type: application/json\r\n")
        )


def answering_and_closing(reply: bytes) -> Behave:
    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_WR)

    return behave


def resetting(connection: socket.socket) -> None:
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def wait_for_files(count: int) -> None:
    """Until at most so many are open: the server's threads are in this process too, and close theirs when they can."""
    give_up = time.monotonic() + PATIENCE
    while open_files() > count:
        assert time.monotonic() < give_up, f"{open_files()} files are open, and were {count}"
        time.sleep(0.002)


def open_files() -> int:
    """File descriptors of this process."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("counts /proc/self/fd")
    return len(os.listdir(folder))  # noqa: PTH208  # the folder's own descriptor is counted once, each time
