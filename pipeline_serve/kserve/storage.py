"""KServe's ``Storage`` (``from kserve_storage import Storage``) over this project's: it blocks, in any thread."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from storage import Storage as Ours
from storage.order import Order
from storage.uri import scheme_of

T = TypeVar("T")
_HERE = ("", "file", "pvc")


class Storage:
    """Brings models to where they can be opened."""

    @staticmethod
    def download(
        uri: str,
        out_dir: str | None = None,
        allow_patterns: Sequence[str] | None = None,
        ignore_patterns: Sequence[str] | None = None,
    ) -> str:
        """The folder with the model's files: ``out_dir``, or a new one; a path of this machine is itself without one.

        The patterns, of paths in the model, go before those of the environment. Raises OSError (most a StorageError)
        that names what was looked for, ValueError for a URI that names nothing. Ctrl-C leaves nothing half-made.
        """
        order = Order(allow=tuple(allow_patterns or ()), ignore=tuple(ignore_patterns or ()))
        ours, here = Ours(os.environ, order=order), Path.cwd()
        if out_dir is None and scheme_of(uri) in _HERE:
            return str(_blocking(functools.partial(ours.bring, uri, here)))
        folder = out_dir or tempfile.mkdtemp()
        _blocking(functools.partial(ours.put, uri, here / folder, here))
        return folder

    @staticmethod
    def download_files(
        source_uris: Sequence[str],
        out_dirs: Sequence[str],
        allow_patterns: Sequence[str] | None = None,
        ignore_patterns: Sequence[str] | None = None,
    ) -> list[str]:
        """As ``download``, one after the other, each into its folder. Raises ValueError where their numbers differ."""
        places = list(zip(source_uris, out_dirs, strict=True))
        return [Storage.download(uri, folder, allow_patterns, ignore_patterns) for uri, folder in places]


def _blocking(function: Callable[..., T]) -> T:
    """In a thread: whatever ends the waiting ends the work."""
    cancel = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(function, cancel=cancel)
        try:
            return future.result()
        except BaseException:
            cancel.set()
            raise
