"""``pull``: models into the cache, or into folders as KServe's storage initializer does."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from server.config import PullConfig, environment
from server.progress import Display, display, say
from server.signals import until_told
from storage import Storage
from storage.errors import Cancelled
from storage.order import Limits, Order

_FAILED = 1


def pull(arguments: Sequence[str], config: PullConfig) -> NoReturn:
    """``pull`` of a URI, or of URIs and folders by turns; ends the process.

    On stdout stand only the folders, or the local path in the cache; a failure is a line on stderr and does not stop
    the others. The exit code: 0, 1 where one failed, 128 + n after signal n.
    """
    until_told(partial(_all, arguments, config))


def _all(arguments: Sequence[str], config: PullConfig, cancel: threading.Event) -> int:
    limits = Limits(config.max_unpacked, config.max_members, config.max_ratio)
    folders: list[Path | None] = [Path(folder) for folder in arguments[1::2]] or [None]
    shown = display(terminal=sys.stderr.isatty())
    order = Order(limits=limits, observe=shown)
    storage = Storage(environment(), config.cache_dir, config.cache_size, config.offline or None, order)
    code = 0
    for uri, folder in zip(arguments[::2], folders, strict=True):
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
