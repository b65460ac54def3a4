"""KServe's ``Storage`` (``from kserve_storage import Storage``) over this project's: it blocks, in any thread."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from pathlib import Path
from typing import TypeVar

import trio

from storage import Storage as Ours
from storage.pull import Order
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
            return str(_blocking(functools.partial(ours.fetch, uri, here)))
        folder = out_dir or tempfile.mkdtemp()
        _blocking(functools.partial(ours.place, uri, here / folder, here))
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


def _blocking(function: Callable[[], Awaitable[T]]) -> T:
    """In a trio loop of its own, in a thread: whatever ends the waiting ends the work.

    Not anyio's portal, which cannot be waited for in a thread that runs a trio loop itself.
    """
    scope, token = trio.CancelScope(), Future[trio.lowlevel.TrioToken]()

    async def work() -> T:
        token.set_result(trio.lowlevel.current_trio_token())
        with scope:
            return await function()
        raise AssertionError("nobody waits for it any more")

    with ThreadPoolExecutor(1) as thread:
        # From Python 3.14 on, a thread may inherit a context that says which loop runs.
        future = thread.submit(lambda: Context().run(lambda: trio.run(work)))
        try:
            return future.result()
        except BaseException:
            if not future.done():
                token.result().run_sync_soon(scope.cancel)
            raise
