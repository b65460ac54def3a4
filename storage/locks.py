"""Locks between processes, on files: the kernel drops one when its process ends, so none is ever stale."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from storage.errors import Cancelled

# flock cannot be waited for with a flag in hand.
_TICK = 0.03


@contextmanager
def locked(path: Path, cancel: Event) -> Iterator[None]:
    """Nobody else holds this lock meanwhile. Raises Cancelled when the flag is set while it waits."""
    while True:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            continue  # the folder was removed in between, with the lock that others had in it
        try:
            while not _taken(descriptor, fcntl.LOCK_EX):
                if cancel.wait(_TICK):
                    raise Cancelled
            if not _is(descriptor, path):
                continue  # whoever held it has removed the file, and others lock a new one
            yield
            return
        finally:
            os.close(descriptor)


def hold(path: Path) -> int | None:
    """A descriptor that keeps a file from being given to ``freed`` until it is closed; None where the file is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if _taken(descriptor, fcntl.LOCK_SH) and _is(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


@contextmanager
def freed(path: Path) -> Iterator[bool]:
    """True where nobody holds the file; as long as that lasts nobody can. One that may not be opened is another's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        yield _taken(descriptor, fcntl.LOCK_EX) and _is(descriptor, path)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    own = os.fstat(descriptor)
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)
