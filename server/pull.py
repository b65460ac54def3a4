"""``pull``: models into the cache, or into folders as KServe's storage initializer does."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from server.config import PullConfig, environment
from server.transfers import far, rate, sentence
from storage import Storage
from storage.archive import Limits
from storage.errors import Cancelled
from storage.events import Event, Listed, Moved, Observer
from storage.pull import Order

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_FAILED = 1
_STOPS = (signal.SIGINT, signal.SIGTERM)
_STEPS = 10


def pull(arguments: Sequence[str], config: PullConfig) -> int:
    """``pull`` of a URI, or of URIs and folders by turns.

    On stdout stand only the folders, or the local path in the cache; a failure is a line on stderr and does not stop
    the others. The exit code: 0, 1 where one failed, 128 + n after signal n.
    """
    limits = Limits(config.max_unpacked, config.max_members, config.max_ratio)
    folders: list[Path | None] = [Path(folder) for folder in arguments[1::2]] or [None]
    places = tuple(zip(arguments[::2], folders, strict=True))
    with watching(terminal=sys.stderr.isatty()) as observe:
        order = Order(limits=limits, observe=observe)
        storage = Storage(environment(), config.cache_dir, config.cache_size, config.offline or None, order)
        return _until_told(partial(_all, storage, places))


def _until_told(work: Callable[[threading.Event], int]) -> int:
    """The code that ``work`` returns, in a thread; 128 + n, with its flag set and its end awaited, after signal n.

    Without trio, which is a third of this command's imports, and with a queue that a signal's handler may put into: it
    runs between any two steps of this thread, an Event's own included.
    """
    cancel, news = threading.Event(), SimpleQueue[int | Future[int]]()
    before = {number: signal.signal(number, lambda heard, _: news.put(heard)) for number in _STOPS}
    try:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(work, cancel).add_done_callback(news.put)
            code = 0
            while True:
                match news.get():
                    case Future() as ended:
                        return code or ended.result()
                    case number:
                        code = 128 + number
                        cancel.set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _all(storage: Storage, places: Sequence[tuple[str, Path | None]], cancel: threading.Event) -> int:
    code = 0
    for uri, folder in places:
        if not cancel.is_set():
            code = max(code, _one(storage, uri, folder, cancel))
    return code


def _one(storage: Storage, uri: str, folder: Path | None, cancel: threading.Event) -> int:
    here = Path.cwd()
    try:
        if folder is None:
            print(storage.bring(uri, here, cancel=cancel), flush=True)  # noqa: T201
        else:
            storage.put(uri, here / folder, here, cancel=cancel)
            print(folder, flush=True)  # noqa: T201
    except Cancelled:
        return _FAILED  # the signal's code is what ends the command
    except (OSError, ValueError) as error:
        _say(f"pipeline-serve: {error if str(error) else type(error).__name__}")
        return _FAILED
    return 0


@contextmanager
def watching(*, terminal: bool) -> Iterator[Observer]:
    """Who tells on stderr how pulls get on: a bar on a terminal, else a line per tenth."""
    if not terminal:
        yield Lines()
        return
    from rich.console import Console  # noqa: PLC0415  # slow, and of no use where nobody watches
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )  # fmt: skip

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
    bar = Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    with bar:
        yield Bar(bar)


@dataclass(slots=True)
class Lines:
    """A line when a download begins, at each tenth of it, and when it has ended."""

    _tenth: int = 0
    _began: float = field(default_factory=time.monotonic)
    _there: int = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Listed(there=there):
                self._tenth, self._began, self._there = 0, time.monotonic(), there
                _say(sentence(event))
            case Moved(source, done, size):
                tenth = done * _STEPS // size if size else done // 2**30
                if tenth > self._tenth:
                    self._tenth = tenth
                    speed = rate(done - self._there, time.monotonic() - self._began)
                    _say(f"{source}: {far(done, size)}, {speed}")
            case _:
                _say(sentence(event))


@dataclass(slots=True)
class Bar:
    """One bar per download, gone when it has ended."""

    progress: Progress
    _tasks: dict[str, TaskID] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        match event:
            case Listed(source, _, size, there):
                self._tasks[source] = self.progress.add_task(source, total=size, completed=there)
            case Moved(source, done, _):
                self.progress.update(self._tasks[source], completed=done)
            case _:
                task = self._tasks.pop(event.source, None)
                if task is not None:
                    self.progress.remove_task(task)
                self.progress.console.print(sentence(event), markup=False, highlight=False, soft_wrap=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
