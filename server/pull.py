"""``pull``: models into the cache, or into folders as KServe's storage initializer does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from server.config import PullConfig, environment
from server.progress import Display, display, say
from storage import Storage
from storage.archive import Limits
from storage.errors import Cancelled
from storage.pull import Order

_FAILED = 1
_STOPS = (signal.SIGINT, signal.SIGTERM)


def pull(arguments: Sequence[str], config: PullConfig) -> int:
    """``pull`` of a URI, or of URIs and folders by turns.

    On stdout stand only the folders, or the local path in the cache; a failure is a line on stderr and does not stop
    the others. The exit code: 0, 1 where one failed, 128 + n after signal n.
    """
    limits = Limits(config.max_unpacked, config.max_members, config.max_ratio)
    folders: list[Path | None] = [Path(folder) for folder in arguments[1::2]] or [None]
    places = tuple(zip(arguments[::2], folders, strict=True))
    shown = display(terminal=sys.stderr.isatty())
    order = Order(limits=limits, observe=shown)
    storage = Storage(environment(), config.cache_dir, config.cache_size, config.offline or None, order)
    return _until_told(partial(_all, storage, shown, places))


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


def _all(storage: Storage, shown: Display, places: Sequence[tuple[str, Path | None]], cancel: threading.Event) -> int:
    code = 0
    for uri, folder in places:
        if not cancel.is_set():
            code = max(code, _one(storage, shown, uri, folder, cancel))
    return code


def _one(storage: Storage, shown: Display, uri: str, folder: Path | None, cancel: threading.Event) -> int:
    try:
        where = _brought(storage, shown, uri, folder, cancel)
    except Cancelled:
        return _FAILED  # the signal's code is what ends the command
    except (OSError, ValueError) as error:
        say(f"pipeline-serve: {_words(error)}")
        return _FAILED
    print(where, flush=True)  # noqa: T201
    return 0


def _brought(storage: Storage, shown: Display, uri: str, folder: Path | None, cancel: threading.Event) -> Path:
    """Where the model is; the terminal is free again."""
    here = Path.cwd()
    try:
        if folder is None:
            return storage.bring(uri, here, cancel=cancel)
        storage.put(uri, here / folder, here, cancel=cancel)
        return folder
    finally:
        shown.rest()


def _words(error: OSError | ValueError) -> str:
    """A StorageError is meant for people; any other of the system's is a place and what is wrong there."""
    match error:
        case OSError(strerror=str(wrong), filename=str() | bytes() as place):
            return f"{os.fsdecode(place)}: {wrong}"
    return str(error) or type(error).__name__
