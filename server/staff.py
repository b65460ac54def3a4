"""The workers of a supervisor: who they are, what each says and is told. Nothing here waits for one of them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from server.changes import Told
from server.channel import FromWorker, Lines, ToWorker, line
from server.forked import ended

_CHUNK = 65536


@dataclass(slots=True, eq=False)
class Worker:
    """One of them. What it has made is all that was made up to ``number``."""

    process: int
    place: int
    channel: socket.socket
    member: bool
    number: int
    born: float = field(default_factory=time.monotonic)
    lines: Lines[FromWorker] = field(default_factory=lambda: Lines(FromWorker))  # type: ignore[arg-type]  # a union is no type to mypy
    unsent: bytearray = field(default_factory=bytearray)
    settled: bool = False
    follows: bool = False
    ready: bool = False
    unfit: bool = False
    """It cannot be as the others are, and is to end."""


class Staff:
    """Those that are alive, or were when last looked at."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        """What a worker says makes the selector return, with the worker as its data."""
        self._selector = selector
        self._workers: dict[int, Worker] = {}

    def __iter__(self) -> Iterator[Worker]:
        return iter([*self._workers.values()])

    def __len__(self) -> int:
        return len(self._workers)

    def add(self, worker: Worker) -> None:
        worker.channel.setblocking(False)
        self._workers[worker.process] = worker
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def ends(self) -> Iterator[tuple[Worker, Iterable[FromWorker], int, float]]:
        """Those that have ended, each once: what it said last, its exit code and its seconds of CPU."""
        for worker in self:
            end = ended(worker.process)
            if end is not None:
                last = [*self.said(worker)]
                del self._workers[worker.process]
                self._close(worker)
                yield worker, last, *end

    def said(self, worker: Worker) -> Iterator[FromWorker]:
        """What has come from it. Where it says no more, its end is near."""
        while worker.channel.fileno() >= 0:
            try:
                data = worker.channel.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._close(worker)
            yield from worker.lines.fed(data)

    def tell(self, what: Iterable[Told]) -> None:
        """To those that are not there any more, nothing is said."""
        for process, message in what:
            worker = self._workers.get(process)
            if worker is not None:
                worker.unsent += line(message)
                self.send(worker)

    def tell_all(self, message: ToWorker) -> None:
        self.tell([(process, message) for process in self._workers])

    def send(self, worker: Worker) -> None:
        """As much as it takes now; the selector returns when it takes more."""
        if worker.channel.fileno() < 0:
            return
        try:
            sent = worker.channel.send(worker.unsent) if worker.unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:  # its end is near
            sent = len(worker.unsent)
        del worker.unsent[:sent]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.unsent else 0)
        self._selector.modify(worker.channel, events, worker)

    def kill(self) -> None:
        for process in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def let_go(self) -> None:
        """In a new worker: what is the supervisor's alone is closed, so that its end is seen."""
        for worker in self:
            worker.channel.close()

    def _close(self, worker: Worker) -> None:
        if worker.channel.fileno() >= 0:
            self._selector.unregister(worker.channel)
            worker.channel.close()
