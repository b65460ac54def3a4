"""``pull``: models into the cache, or into folders as KServe's storage initializer does."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from server.config import PullConfig, environment
from server.transfers import far, rate, sentence
from storage import Storage
from storage.archive import Limits
from storage.events import Event, Listed, Moved, Observer
from storage.pull import Order

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_FAILED = 1
_STEPS = 10


def pull(arguments: Sequence[str], config: PullConfig) -> int:
    """``pull`` of a URI, or of URIs and folders by turns.

    On stdout stand only the folders, or the local path in the cache; a failure is a line on stderr and does not stop
    the others. The exit code: 0, 1 where one failed, 128 + n after signal n.
    """
    limits = Limits(config.max_unpacked, config.max_members, config.max_ratio)
    folders: list[Path | None] = [Path(folder) for folder in arguments[1::2]] or [None]
    with watching(terminal=sys.stderr.isatty()) as observe:
        order = Order(limits=limits, observe=observe)
        storage = Storage(environment(), config.cache_dir, config.cache_size, config.offline or None, order)
        return trio.run(_all, storage, tuple(zip(arguments[::2], folders, strict=True)))


async def _all(storage: Storage, places: Sequence[tuple[str, Path | None]]) -> int:
    code = 0
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                nonlocal code
                async for number in signals:
                    code = 128 + number
                    nursery.cancel_scope.cancel()

            nursery.start_soon(stop)
            for uri, folder in places:
                code = max(code, await _one(storage, uri, folder))
            nursery.cancel_scope.cancel()
    return code


async def _one(storage: Storage, uri: str, folder: Path | None) -> int:
    here = Path.cwd()
    try:
        if folder is None:
            print(await storage.fetch(uri, here), flush=True)  # noqa: T201
        else:
            await storage.place(uri, here / folder, here)
            print(folder, flush=True)  # noqa: T201
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
