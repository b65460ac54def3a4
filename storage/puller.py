"""A process that pulls one model into the cache, for a server that answers requests meanwhile: ``beside.py`` starts it.

Standard input is the job, and as long as it is open somebody wants it done; messages go through a pipe of their own,
for a standard output is anybody's who prints. It imports what a pull needs, and no trio.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
import traceback

from storage.cache import Entry
from storage.errors import Cancelled
from storage.fetch import Storage
from storage.messages import Alive, Brought, Failed, Frames, Job, Line, Message, framed, travelling
from storage.order import Order
from storage.source import Local

_STDIN = 0
# How soon it is seen that the parent is gone while somebody else, forked from it, keeps its end of the pipe.
_LOOK = 0.2
# How often it says that it is there. The parent waits for much longer.
_ALIVE = 5.0


def main(said: int) -> None:
    """Does what standard input says, tells the descriptor what becomes of it, and ends once standard input does."""
    os.set_inheritable(said, False)
    job = _read_job()
    if job is not None:
        _Puller(job, said).run()
    os._exit(0)  # a thread that waits for a silent peer is not waited for


class _Puller:
    def __init__(self, job: Job, said: int) -> None:
        self._job = job
        self._said = said
        self._one = threading.Lock()
        self._cancel = threading.Event()

    def run(self) -> None:
        logging.getLogger("pipeline_serve").addHandler(_Lines(self))
        logging.getLogger("pipeline_serve").setLevel(logging.INFO)
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            self.tell(self._pulled())
            self._cancel.wait()
        except Cancelled:
            pass
        except Exception as error:  # noqa: BLE001  # the process that waits for it raises it
            if not isinstance(error, OSError | ValueError):
                traceback.print_exc()
            self.tell(Failed(travelling(error)))

    def tell(self, message: Message) -> None:
        """To the parent; who is not there any more needs no pull either."""
        data = memoryview(framed(message))
        try:
            with self._one:
                while data:
                    data = data[os.write(self._said, data) :]
        except OSError:
            self._cancel.set()

    def _pulled(self) -> Brought:
        job = self._job
        order = Order(allow=job.allow, ignore=job.ignore, limits=job.limits, crew=job.crew, observe=self.tell)
        storage = Storage(job.environment, job.root, job.size, offline=False, order=order)
        match storage.found(job.uri, job.folder, job.options, job.digest, cancel=self._cancel):
            case Entry(identity):
                return Brought(identity, storage.cache.forgotten)
            case Local(path):
                raise AssertionError(f"{path} is no download")

    def _watch(self) -> None:
        due = 0.0
        while os.getppid() == self._job.parent:
            if time.monotonic() >= due:
                self.tell(Alive())
                due = time.monotonic() + _ALIVE
            if select.select([_STDIN], [], [], _LOOK)[0] and not os.read(_STDIN, 1):
                break
        self._cancel.set()


class _Lines(logging.Handler):
    """Our own log lines: others' may have in them what the parent's filters take out."""

    def __init__(self, own: _Puller) -> None:
        super().__init__()
        self._own = own

    def emit(self, record: logging.LogRecord) -> None:
        self._own.tell(Line(record.name, record.levelno, record.getMessage()))


def _read_job() -> Job | None:
    """None where who started this process is gone before it has said what for."""
    frames = Frames()
    jobs: list[Job] = []  # one, which nothing follows
    while not jobs and (more := os.read(_STDIN, 65536)):
        jobs = frames.feed(more)
    return jobs[0] if jobs else None
